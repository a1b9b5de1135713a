"""Figures of a robustness audit: what they draw, what they leave out, what they refuse."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from msma import plotting
from msma.errors import ShapeError
from msma.plotting.detection import best_detectors, colour_of_detection
from msma.plotting.displacement import strongest
from msma.plotting.inline import DARK, LIGHT
from msma.plotting.style import DIVERGING
from msma.results import Row
from robustness_folder import (
    DETECTORS,
    GATES,
    PERTURBATIONS,
    list_anomalies,
    list_splits,
    make_detection,
    make_displacement,
    make_gates,
    make_probes,
)

MANY = tuple(f"perturbation{number}" for number in range(16))
FIGURES = {
    "displacement": lambda **options: plotting.plot_displacement(make_displacement(), **options),
    "few": lambda **options: plotting.plot_displacement(make_displacement(names=("swap", "ocr")), **options),
    "many": lambda **options: plotting.plot_displacement(make_displacement(33, names=MANY), **options),
    "long": lambda **options: plotting.plot_displacement(make_displacement(names=("w" * 60,)), **options),
    "detection": lambda **options: plotting.plot_detection(make_detection(), **options),
    "hostile": lambda **options: plotting.plot_detection(
        [
            replace(row, split=f"{row.split} {'W' * 60}", map=f"M{'W' * 60} {row.map}")
            for row in make_detection()
        ],
        **options,
    ),
    "hostile probes": lambda **options: plotting.plot_probes(
        [
            replace(row, split=f"{row.split} {'W' * 60}", map=f"M{'W' * 60}")
            for row in make_probes(splits=list_splits()[:2])
        ],
        **options,
    ),
    "false alarms": lambda **options: plotting.plot_detection(make_detection(), metric="fpr95", **options),
    "precision": lambda **options: plotting.plot_detection(make_detection(), metric="aupr", **options),
    "probes": lambda **options: plotting.plot_probes(make_probes(splits=list_splits()[:4]), **options),
    "coverage": lambda **options: plotting.plot_coverage(make_gates(), **options),
}


@pytest.mark.slow
@pytest.mark.parametrize("width", [plotting.COLUMN, plotting.PAGE])
@pytest.mark.parametrize("name", FIGURES)
def test_every_text_lies_within_the_figure_and_is_large_enough(name, width):
    figure = FIGURES[name](width=width).get_figure(root=True)
    assert figure.get_size_inches()[0] == pytest.approx(width)
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    shown = [text for text in texts if text.get_window_extent().width > 0]
    assert len(shown) > 10
    for text in shown:
        extent = text.get_window_extent()
        assert extent.x0 >= figure.bbox.x0 - 1, text.get_text()
        assert extent.x1 <= figure.bbox.x1 + 1, text.get_text()
        assert extent.y0 >= figure.bbox.y0 - 1, text.get_text()
        assert extent.y1 <= figure.bbox.y1 + 1, text.get_text()
        assert text.get_fontsize() >= 7.6


@pytest.mark.parametrize("name", ["displacement", "many", "few"])
@pytest.mark.parametrize("width", [plotting.COLUMN, plotting.PAGE])
def test_labels_of_lines_never_lie_on_each_other(name, width):
    axes = FIGURES[name](width=width)
    axes.get_figure(root=True).draw_without_rendering()
    for panel in axes.child_axes:
        boxes = [text.get_window_extent() for text in panel.texts if text.get_text().endswith(" 0.3")]
        assert boxes
        for number, box in enumerate(boxes):
            for other in boxes[number + 1 :]:
                assert min(box.y1, other.y1) - max(box.y0, other.y0) < 1.5


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_an_audit_follow_light_and_dark(name):
    svg = plotting.to_inline_svg(FIGURES[name](), name="figure", title="<1>", description="d")
    ElementTree.fromstring(svg)
    used = {part.split(")")[0] for part in svg.split("var(--")[1:]}
    assert used <= set(LIGHT)
    assert used <= set(DARK)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_an_audit_are_drawn_on_the_axes_given(name):
    axes = Figure().add_subplot()
    assert FIGURES[name](ax=axes) is axes


def _named(panel):
    return {line.get_label(): line for line in panel.lines if not line.get_label().startswith("_")}


def test_each_perturbation_is_drawn_once_at_its_highest_strength_with_its_values():
    result = make_displacement()
    panels = plotting.plot_displacement(result).child_axes
    lines = {name: line for panel in panels for name, line in _named(panel).items()}
    assert set(lines) == {f"{name} 0.3" for name in PERTURBATIONS}
    for name, line in lines.items():
        expected = [
            row.value for row in result.where(metric="displacement", map=name) if row.layer is not None
        ]
        assert list(line.get_ydata()) == expected
        assert list(line.get_xdata()) == list(range(13))


def test_panels_hold_at_most_six_lines_ordered_by_how_far_they_move():
    result = make_displacement(names=MANY)
    panels = plotting.plot_displacement(result).child_axes
    groups = [list(_named(panel)) for panel in panels]
    assert [len(group) for group in groups] == [6, 6, 4]
    assert [name for group in groups for name in group] == list(strongest(result))
    means = [np.mean([row.value for row in rows]) for rows in strongest(result).values()]
    assert means == sorted(means, reverse=True)
    assert len({panel.get_ylim() for panel in panels}) == 1


def test_the_axis_is_logarithmic_only_where_values_span_much_and_always_holds_one():
    def axis(low, high):
        rows = [
            Row(metric="displacement", value=value, target="local", layer=layer, map="case 0.1")
            for layer, value in enumerate((low, high))
        ]
        [panel] = plotting.plot_displacement(rows).child_axes
        assert panel.get_ylim()[0] < 1.0 < panel.get_ylim()[1]
        return panel.get_yscale()

    assert axis(0.2, 0.9) == "linear"
    assert axis(0.05, 0.9) == "log"
    assert axis(0.3, 9.0) == "log"


def test_a_layer_where_nothing_moves_lies_on_the_lower_end_of_a_logarithmic_axis():
    rows = [
        Row(
            metric="displacement",
            value=value,
            low=value,
            high=value,
            target="local",
            layer=k,
            map="order 0.1",
        )
        for k, value in enumerate((0.0, 0.05, 0.5))
    ]
    [panel] = plotting.plot_displacement(rows).child_axes
    line = _named(panel)["order 0.1"]
    assert line.get_ydata()[0] == panel.get_ylim()[0] > 0
    assert list(line.get_ydata()[1:]) == [0.05, 0.5]


def test_a_long_name_is_cut_but_its_strength_is_not():
    [panel] = FIGURES["long"]().child_axes
    [label] = [text.get_text() for text in panel.texts if text.get_text().startswith("ww")]
    assert label.endswith("… 0.3")


def test_the_highest_strength_is_the_largest_number_and_not_the_last_word():
    rows = [
        Row(metric="displacement", value=0.5, layer=0, map=name)
        for name in ("swap 10", "swap 9", "other domain")
    ]
    assert set(strongest(rows)) == {"swap 10", "other domain"}


def _cells(axes):
    """Rectangles as high as a cell, left to right within each line."""
    cells = [p for p in axes.patches if isinstance(p, Rectangle) and p.get_height() > 0.2]
    return sorted(cells, key=lambda p: (round(p.get_y(), 3), p.get_x()))


@pytest.mark.parametrize(
    ("metric", "chance", "is_higher_better"),
    [("auroc", 0.5, True), ("aupr", 0.5, True), ("fpr95", 0.95, False)],
)
def test_colour_and_number_of_a_cell_are_its_value_and_the_best_is_framed(metric, chance, is_higher_better):
    result = make_detection()
    axes = plotting.plot_detection(result, metric=metric)
    cells = _cells(axes)
    assert len(cells) == len(list_anomalies()) * len(DETECTORS)
    order = [(split, name) for split in list_anomalies() for name in DETECTORS]
    for (split, name), cell in zip(order, cells, strict=True):
        value = result.value(metric, split=split, map=name)
        colour = colour_of_detection(value, chance=chance, is_higher_better=is_higher_better)
        assert to_hex(cell.get_facecolor()) == colour
        [number] = [
            text
            for text in axes.texts
            if cell.get_x() < text.get_position()[0] < cell.get_x() + cell.get_width()
            and cell.get_y() < text.get_position()[1] < cell.get_y() + cell.get_height()
        ]
        assert float(number.get_text()) == pytest.approx(value, abs=0.0101)
        others = [result.value(metric, split=split, map=other) for other in DETECTORS]
        is_best = value == (max(others) if is_higher_better else min(others))
        assert (cell.get_linewidth() > 0) == is_best
        assert (number.get_fontweight() == "bold") == is_best


def test_what_is_nearly_perfect_is_not_called_perfect():
    rows = [
        Row(metric="auroc", value=value, map=name, split="a") for name, value in (("x", 0.9999), ("y", 1.0))
    ]
    numbers = [text.get_text() for text in plotting.plot_detection(rows).texts]
    assert ".99" in numbers
    assert "1.00" not in numbers


def test_detectors_that_tie_are_all_the_best_and_gaps_are_hatched_and_named():
    rows = [
        Row(metric="auroc", value=value, map=name, split=split)
        for split, name, value in (("a", "x", 0.8), ("a", "y", 0.8), ("b", "x", 0.4))
    ]
    axes = plotting.plot_detection(rows)
    cells = _cells(axes)
    assert [cell.get_linewidth() > 0 for cell in cells[:3]] == [True, True, True]
    assert [bool(cell.get_hatch()) for cell in cells] == [False, False, False, True]
    assert any(text.get_text() == "not measured" for text in axes.texts)
    assert not any(text.get_text() == "not measured" for text in FIGURES["detection"]().texts)
    assert best_detectors({("a", row.map): row for row in rows[:2]}, "a") == ["x", "y"]


def test_the_best_of_a_line_where_nothing_is_told_from_chance_is_not_framed():
    def framed(low):
        rows = [
            Row(metric="auroc", value=value, low=low, high=0.9, map=name, split="case 0.1")
            for name, value in (("x", 0.55), ("y", 0.52))
        ]
        return [cell.get_linewidth() > 0 for cell in _cells(plotting.plot_detection(rows))]

    assert framed(0.49) == [False, False]
    assert framed(0.51) == [True, False]


def test_colours_go_from_always_wrong_over_chance_to_perfect():
    assert [DIVERGING.index(colour_of_detection(v, chance=0.8)) for v in (0.0, 0.4, 0.8, 0.9, 1.0)] == [
        0, 2, 4, 6, 8,
    ]  # fmt: skip
    assert colour_of_detection(1.0, chance=0.95, is_higher_better=False) == DIVERGING[0]


def _dots(panel):
    return {
        round(float(line.get_ydata()[0])): float(line.get_xdata()[0])
        for line in panel.lines
        if line.get_label() == "_value"
    }


def test_dots_of_probes_are_their_accuracies_with_intervals_on_one_axis():
    result = make_probes()
    panels = plotting.plot_probes(result).child_axes
    assert [panel.get_title(loc="left") for panel in panels] == list_splits()
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert names[:3] == ["plain", "plain, local", "plain, intermediate"]
    for panel, split in zip(panels, list_splits(), strict=True):
        rows = [row for row in result if row.metric == "accuracy" and row.split == split]
        assert list(_dots(panel).values()) == [row.value for row in rows]
        spans = [list(line.get_xdata()) for line in panel.lines if line.get_label() == "_interval"]
        assert spans == [[row.low, row.high] for row in rows]
    assert len({panel.get_xlim() for panel in panels}) == 1


def test_probes_are_drawn_at_the_highest_strength_of_each_perturbation():
    splits = ["clean", "swap 0.3", "swap 0.1", "other domain"]
    panels = plotting.plot_probes(make_probes(splits=splits)).child_axes
    assert [panel.get_title(loc="left") for panel in panels] == ["clean", "swap 0.3", "other domain"]


def test_dots_of_gates_are_their_accuracies_and_the_line_is_accuracy_without_a_gate():
    result = make_gates()
    panels = plotting.plot_coverage(result, split="keyboard 0.3").child_axes
    assert [panel.get_title(loc="left") for panel in panels] == [
        "90% answered", "80% answered", "50% answered",
    ]  # fmt: skip
    for panel, percent in zip(panels, (90, 80, 50), strict=True):
        expected = [result.value(f"accuracy_at_{percent}", split="keyboard 0.3", map=gate) for gate in GATES]
        assert list(_dots(panel).values()) == expected
        [rule] = [line for line in panel.lines if list(line.get_ydata()) == [0, 1]]
        assert rule.get_xdata()[0] == 0.7


def test_clean_texts_are_drawn_unless_others_are_asked_for():
    whole = make_gates()
    shown = [_dots(panel) for panel in plotting.plot_coverage(whole).child_axes]
    assert shown == [_dots(panel) for panel in plotting.plot_coverage(whole, split="clean").child_axes]
    alone = plotting.plot_coverage(whole.where(split="ocr 0.3")).child_axes
    asked = plotting.plot_coverage(whole, split="ocr 0.3").child_axes
    assert [_dots(panel) for panel in alone] == [_dots(panel) for panel in asked]


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plotting.plot_displacement([]), "without a value of 'displacement' by layer"),
        (
            lambda: plotting.plot_displacement(
                [Row(metric="displacement", value=0.5, target="local", map="a 1")]
            ),
            "without a value of 'displacement' by layer",
        ),
        (lambda: plotting.plot_detection([]), "without a value of 'auroc'"),
        (
            lambda: plotting.plot_detection([Row(metric="auroc", value=None, map="a", split="b")]),
            "without a value of 'auroc'",
        ),
        (lambda: plotting.plot_detection(make_detection(), metric="f1"), "metric 'f1' came"),
        (lambda: plotting.plot_probes([]), "without a value of 'accuracy'"),
        (lambda: plotting.plot_probes(make_gates()), "without a value of 'accuracy'"),
        (lambda: plotting.plot_coverage([]), "without a value of 'accuracy_at_<percent>' came"),
        (lambda: plotting.plot_coverage(make_gates(), split="nowhere"), "'nowhere' came; there are 'clean'"),
        (
            lambda: plotting.plot_coverage([Row(metric="accuracy_at_most", value=0.5, map="a", split="b")]),
            "'accuracy_at_most' came",
        ),
    ],
)
def test_an_audit_that_cannot_be_drawn_is_refused_in_words(draw, words):
    with pytest.raises(ShapeError, match=words):
        draw()
