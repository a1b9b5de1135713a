"""Figures of a bias audit: what they draw, what they leave out, what they refuse."""

from dataclasses import asdict, replace
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from bias_folder import TESTS, make_associations, make_location, make_prices
from msma import plotting
from msma.errors import ShapeError
from msma.plotting.inline import DARK, LIGHT
from msma.plotting.style import DIVERGING
from msma.results import Row


def _prices(prices, **options):
    records = [{**price.to_record(), "cost": asdict(price.cost)} for price in prices.prices]
    return plotting.plot_prices(
        records,
        **{
            "chosen": prices.prices.index(prices.recommended),
            "frontier": [prices.prices.index(price) for price in prices.frontier],
            "units": prices.recommended.cost_units,
            **options,
        },
    )


FIGURES = {
    "associations": lambda **options: plotting.plot_associations(make_associations().rows, **options),
    "deep": lambda **options: plotting.plot_associations(make_associations(33).rows, **options),
    "long": lambda **options: plotting.plot_associations(
        [replace(row, label="M" * 40 + ", " + "W" * 40) for row in make_associations().rows], **options
    ),
    "layers": lambda **options: plotting.plot_bias_layers(make_location(), **options),
    "prices": lambda **options: _prices(make_prices(), **options),
}


@pytest.mark.parametrize("width", [plotting.COLUMN, plotting.PAGE])
@pytest.mark.parametrize("name", FIGURES)
def test_every_text_lies_within_the_figure_and_is_large_enough(name, width):
    axes = FIGURES[name](width=width)
    figure = axes.get_figure(root=True)
    assert figure.get_size_inches()[0] == pytest.approx(width)
    figure.draw_without_rendering()
    box = figure.bbox
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    shown = [text for text in texts if text.get_visible() and text.get_window_extent().width > 0]
    assert len(shown) > 10
    for text in shown:
        extent = text.get_window_extent()
        assert extent.x0 >= box.x0 - 1, text.get_text()
        assert extent.x1 <= box.x1 + 1, text.get_text()
        assert text.get_fontsize() >= 7.6


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_a_bias_follow_light_and_dark(name):
    svg = plotting.to_inline_svg(FIGURES[name](), name=name, title="<1>", description="d")
    ElementTree.fromstring(svg)
    used = {part.split(")")[0] for part in svg.split("var(--")[1:]}
    assert used <= set(LIGHT)
    assert used <= set(DARK)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_a_bias_are_drawn_on_the_axes_given(name):
    axes = Figure().add_subplot()
    assert FIGURES[name](ax=axes) is axes


def _cells(axes):
    """Rectangles as high as a cell, left to right within each line."""
    cells = [p for p in axes.patches if isinstance(p, Rectangle) and p.get_height() > 0.2]
    return sorted(cells, key=lambda p: (round(p.get_y(), 3), p.get_x()))


def test_colour_and_number_of_a_cell_are_its_effect():
    rows = [row for row in make_associations(has_gap=False).rows if row.layer is None]
    axes = plotting.plot_associations(rows)
    cells = _cells(axes)
    assert len(cells) == len(rows) == 3 * len(TESTS)
    for row, cell in zip(rows, cells, strict=True):
        colour = DIVERGING[4 + int(np.clip(np.rint(row.effect / 0.5), -4, 4))]
        assert to_hex(cell.get_facecolor()) == colour
        inside = [
            text.get_text()
            for text in axes.texts
            if cell.get_x() < text.get_position()[0] < cell.get_x() + cell.get_width()
            and cell.get_y() < text.get_position()[1] < cell.get_y() + cell.get_height()
        ]
        [number] = inside
        assert float(number.replace("−", "-")) == pytest.approx(row.effect, abs=0.0501)


def test_a_dot_marks_what_is_left_after_correction_and_nothing_else():
    rows = make_associations().rows
    axes = plotting.plot_associations(rows)
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(dots) == sum(row.is_significant for row in rows) + 1  # and one in the key


def test_a_cell_without_an_effect_is_hatched_and_the_key_says_so():
    hatched = [cell for cell in _cells(FIGURES["associations"]()) if cell.get_hatch()]
    assert len(hatched) == 2
    assert any("nothing to measure" in text.get_text() for text in FIGURES["associations"]().texts)
    whole = plotting.plot_associations(make_associations(has_gap=False).rows)
    assert not any(cell.get_hatch() for cell in _cells(whole))
    assert not any("nothing to measure" in text.get_text() for text in whole.texts)


def test_layers_and_scales_stand_apart_and_one_can_be_without_the_other():
    rows = make_associations().rows
    gap = {}
    for name, chosen in (
        ("both", rows),
        ("layers", [row for row in rows if row.layer is not None]),
        ("scales", [row for row in rows if row.layer is None]),
    ):
        first = _cells(plotting.plot_associations(chosen))[: len(chosen) // len(TESTS)]
        steps = [b.get_x() - a.get_x() - a.get_width() for a, b in pairwise(first)]
        gap[name] = max(steps)
    assert gap["both"] > 0.1 > max(gap["layers"], gap["scales"])


def test_many_layers_leave_their_numbers_out_and_scales_keep_them():
    texts = [text.get_text() for text in FIGURES["deep"]().texts]
    signed = [text for text in texts if text[:1] in "+−" and "." in text]
    assert len(signed) == 3 * len(TESTS)


def test_tests_of_one_label_are_told_apart_by_their_names():
    rows = [
        replace(row, label="names, pleasant/unpleasant") if row.test in ("weat1", "weat6") else row
        for row in make_associations().rows
    ]
    words = " ".join(text.get_text() for text in plotting.plot_associations(rows).texts)
    assert "weat1: names" in words
    assert "weat6: names" in words
    assert "weat7" not in words


@pytest.mark.slow
def test_a_label_too_long_for_its_place_is_cut():
    rows = [replace(row, label="m" * 90) for row in make_associations().rows]
    for width in (plotting.COLUMN, plotting.PAGE):
        texts = [text.get_text() for text in plotting.plot_associations(rows, width=width).texts]
        assert any("mmm" in text and text.endswith("…") for text in texts)


def _named(panel):
    return {line.get_label(): line for line in panel.lines if not line.get_label().startswith("_")}


def test_lines_of_a_bias_are_its_values_by_layer():
    location = make_location()
    probe, agreement = plotting.plot_bias_layers(location).child_axes
    lines = _named(probe)
    for label, metric, column in (
        ("new texts", "bias_probe", "value"),
        ("control", "bias_probe", "null"),
        ("new people", "bias_probe_new_words", "value"),
    ):
        expected = [
            getattr(row, column) for row in location if row.metric == metric and row.layer is not None
        ]
        assert list(lines[label].get_ydata()) == expected
        assert list(lines[label].get_xdata()) == list(range(13))
    assert lines["chance"].get_ydata()[0] == 0.5
    expected = [row.value for row in location if row.metric == "bias_agreement" and row.layer is not None]
    assert list(_named(agreement)["agreement"].get_ydata()) == expected


def test_without_new_people_or_agreement_what_there_is_is_drawn():
    [probe] = plotting.plot_bias_layers(
        [row for row in make_location(has_new=False) if row.metric == "bias_probe"]
    ).child_axes
    assert list(_named(probe)) == ["new texts", "control", "chance"]
    [agreement] = plotting.plot_bias_layers(
        [row for row in make_location() if row.metric == "bias_agreement"]
    ).child_axes
    assert list(_named(agreement)) == ["agreement"]


def test_layers_come_in_order_and_those_without_a_value_are_left_out():
    rows = [
        Row(metric="bias_probe", value=value, target="local", layer=layer)
        for layer, value in ((2, 0.8), (0, 0.6), (1, None))
    ]
    line = _named(plotting.plot_bias_layers(rows).child_axes[0])["new texts"]
    assert list(line.get_xdata()) == [0, 2]
    assert list(line.get_ydata()) == [0.6, 0.8]


def _marks(axes):
    """Marks of settings: those of error bars."""
    return [bars[0] for bars in axes.containers]


def test_prices_lie_at_cost_and_what_is_left_and_the_model_as_it_is_costs_nothing():
    prices = make_prices()
    places = [(m.get_xdata()[0], m.get_ydata()[0]) for m in _marks(_prices(prices))]
    assert places == [
        (0.0 if price.is_clean else price.cost.value, price.output_linear.value) for price in prices.prices
    ]


def test_leace_is_filled_and_projection_open():
    prices = make_prices()
    for price, mark in zip(prices.prices, _marks(_prices(prices)), strict=True):
        is_open = to_hex(mark.get_markerfacecolor()) == "#ffffff"
        assert is_open == (price.method == "projection")


def test_the_ring_lies_on_the_recommended_price_and_steps_on_the_frontier():
    prices = make_prices()
    axes = _prices(prices)
    [ring] = [line for line in axes.lines if line.get_markersize() == 12.0]
    assert ring.get_xdata()[0] == prices.recommended.cost.value
    assert ring.get_ydata()[0] == prices.recommended.output_linear.value
    [steps] = [line for line in axes.lines if line.get_drawstyle().startswith("steps")]
    assert list(steps.get_ydata()) == [price.output_linear.value for price in prices.frontier]
    assert list(np.diff(steps.get_xdata()) > 0) == [True] * (len(prices.frontier) - 1)


def test_the_strength_of_the_recommended_price_is_always_written():
    prices = make_prices()
    axes = _prices(prices)
    written = {(text.xy, text.get_text()) for text in axes.texts}
    chosen = prices.recommended
    assert ((chosen.cost.value, chosen.output_linear.value), f"{chosen.strength:g}") in written


def test_costs_of_one_size_get_a_plain_axis_and_others_a_compressed_one():
    assert _prices(make_prices(strengths=(0.75, 1.0))).get_xscale() == "linear"
    assert _prices(make_prices()).get_xscale() == "asinh"


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plotting.plot_associations([]), "0 association tests"),
        (lambda: plotting.plot_bias_layers([]), "without a value"),
        (
            lambda: plotting.plot_bias_layers([Row(metric="bias_probe", value=0.5, target="local")]),
            "without a value",
        ),
        (lambda: plotting.plot_prices([], chosen=0, frontier=[], units="nats"), "0 prices"),
        (lambda: _prices(make_prices(), chosen=99), "record 99"),
        (lambda: _prices(make_prices(), frontier=[-1]), "record -1"),
    ],
)
def test_a_bias_that_cannot_be_drawn_is_refused_in_words(draw, words):
    with pytest.raises(ShapeError, match=words):
        draw()


def test_tables_and_price_lists_draw_themselves():
    assert make_associations().plot().texts
    assert make_prices().plot().get_xlabel().startswith("cost, nats")
