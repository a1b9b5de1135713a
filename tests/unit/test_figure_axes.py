"""Axes of figures: ticks that can be read, labels that do not run into each other, keys that cover no line."""

from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from msma import plotting
from msma._types import SCALES
from msma.results import Row


@pytest.mark.parametrize("width", [plotting.COLUMN, plotting.PAGE])
@pytest.mark.parametrize(
    "values",
    [(0.7, 0.001, 1.1), (0.001, 0.8, 6.7), (-41.0, 0.8), (812.0, 2.0), (1e5, 3e-3), (-2e4, 0.1, 3e4)],
)
def test_labels_of_ticks_leave_room_between_each_other_and_reach_the_values(values, width):
    rows = [
        Row(metric=f"m{k}", value=v, null=6.4, floor=-0.3, target="local") for k in range(3) for v in values
    ]
    axes = plotting.plot_rows(rows, width=width)
    renderer = FigureCanvasAgg(axes.figure).get_renderer()
    axes.figure.draw(renderer)
    for panel in axes.child_axes:
        shown = _shown_labels(panel)
        high = panel.get_xlim()[1]
        boxes = [text.get_window_extent(renderer) for text in shown]
        assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
        assert len(shown) >= 2
        assert max(text.get_position()[0] for text in shown) >= high / 40


def test_noise_around_zero_stretches_no_axis():
    rows = [Row(metric="kl_classifier", value=v, null=6.5, floor=-0.3) for v in (0.7, 0.001, 1.1)]
    panel = plotting.plot_rows(rows, width=plotting.COLUMN).child_axes[0]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["−0.1", "0", "0.1", "1"]


def test_units_that_are_wider_than_a_panel_take_two_lines():
    rows = [Row(metric=f"m{k}", value=0.5, units="share of variance", better="higher") for k in range(3)]
    wide = plotting.plot_rows(rows[:1], width=plotting.COLUMN).child_axes[0]
    narrow = plotting.plot_rows(
        [
            *rows,
            Row(
                metric="m0",
                value=0.4,
                units="share of variance",
                better="higher",
                target="intermediate",
                source="global",
            ),
        ]
    ).child_axes[0]
    assert wide.get_xlabel() == "share of variance · better →"
    assert narrow.get_xlabel() == "share of variance\nbetter →"


def test_the_key_of_dimensions_covers_no_line():
    curves = {s: {"neighbours": [5, 50], "mle": [4.0, 25.0 - 20 * k]} for k, s in enumerate(SCALES[:2])}
    axes = plotting.plot_dimensions(curves, width=plotting.COLUMN)
    renderer = FigureCanvasAgg(axes.figure).get_renderer()
    axes.figure.draw(renderer)
    assert axes.get_legend().get_window_extent(renderer).y0 >= axes.get_window_extent(renderer).y1 - 1


def _shown_labels(panel):
    """List labels of ticks that are drawn: those of ticks beyond the limits are not."""
    low, high = panel.get_xlim()
    return [
        text for text in panel.get_xticklabels() if text.get_text() and low <= text.get_position()[0] <= high
    ]


def _cut(axes):
    """List texts and keys that stand out over the edge of their figure."""
    figure = axes.get_figure(root=True)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    panels = [axes, *axes.child_axes]
    keys = [panel.get_legend() for panel in panels if panel.get_legend() is not None]
    texts = [text for panel in axes.child_axes for text in _shown_labels(panel)]
    texts += [panel.xaxis.label for panel in axes.child_axes]
    texts += [panel._left_title for panel in axes.child_axes]
    boxes = [(item, item.get_window_extent(renderer)) for item in (*keys, *texts)]
    return [item for item, box in boxes if box.width and (box.x1 > figure.bbox.x1 + 1 or box.x0 < -1)]


@pytest.mark.parametrize("width", [plotting.COLUMN, plotting.PAGE])
def test_nothing_of_a_search_is_cut_off(width):
    points = [
        {
            "trial": n,
            "state": "complete",
            "r2": 0.74 + n / 1e4,
            "mi": 87.3 + n / 20,
            "map_curvature": n * 1e-6,
        }
        for n in range(4)
    ]
    axes = plotting.plot_pareto(
        points, objectives=["r2", "mi", "map_curvature"], front=[0, 3], recommended=3, width=width
    )
    assert _cut(axes) == []
    assert len(axes.child_axes) == 2


@pytest.mark.parametrize("width", [plotting.COLUMN, plotting.PAGE])
@pytest.mark.parametrize("metrics", [("r2", "mi"), ("r2", "mi", "kl", "map_curvature"), ("r2", "mi", "kl")])
def test_nothing_of_an_ablation_is_cut_off(width, metrics):
    rows = [
        Row(metric=metric, value=0.5 + k / 10, map=arm, source="global", target="local")
        for metric in metrics
        for k, arm in enumerate(("full", "no_geometry", "base"))
    ]
    axes = plotting.plot_ablation(rows, width=width)
    assert len(axes.child_axes) == len(metrics)
    assert _cut(axes) == []


@pytest.mark.parametrize("width", [plotting.COLUMN, plotting.PAGE])
def test_the_last_share_of_probes_is_not_cut_off(width):
    rows = [
        Row(metric="accuracy", value=value, null=0.3, floor=0.4, map=name, split=split)
        for split in ("clean", "keyboard 0.3", "order 0.3")
        for name, value in (("plain", 0.88), ("ensemble", 0.96))
    ]
    assert _cut(plotting.plot_probes(rows, width=width)) == []
