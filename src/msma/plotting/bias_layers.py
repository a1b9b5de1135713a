"""Figure of where a bias lives: what a probe reads of it at each layer, and whether pairs agree on its direction."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import TYPE_CHECKING

from msma.errors import ShapeError
from msma.plotting.scale_bands import draw_bands
from msma.plotting.style import (
    CATEGORIES,
    GRID,
    INK,
    MUTED,
    PAGE,
    RowLike,
    headed,
    legend,
    panel_grid,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PROBE, _NEW, _AGREEMENT = "bias_probe", "bias_probe_new_words", "bias_agreement"
_CHANCE = 0.5
_NEW_COLOUR = CATEGORIES[0]
#: Inches that a letter of a scale's name is given.
_LETTER = 0.072


def plot_bias_layers(rows: Iterable[RowLike], *, ax: "Axes | None" = None, width: float = PAGE) -> "Axes":
    """Draw where a bias lives: what a linear probe reads at each layer, and how far pairs agree on one direction.

    Bands around lines are 95 % intervals. The dashed line is the probe's control, whose labels were dealt out at
    random; the dotted one is chance. Coloured bands behind are the scales.

    Args:
        rows: Rows "bias_probe", "bias_probe_new_words" and "bias_agreement" by layer, as
            ``bias_location`` gives them; rows about whole scales are left out.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; probe and agreement are panels within them.

    Raises:
        ShapeError: When no value by layer comes.

    Examples:
        >>> from msma.results import Row
        >>> rows = [Row(metric="bias_probe", value=0.8, low=0.7, high=0.9, null=0.5, target="local", layer=k)
        ...         for k in range(3)]
        >>> axes = plot_bias_layers(rows)
        >>> [line.get_label() for line in axes.child_axes[0].lines if not line.get_label().startswith("_")]
        ['new texts', 'control', 'chance']
    """
    by_layer = [row for row in rows if row.layer is not None]
    probe, new, agreement = (_of(by_layer, metric) for metric in (_PROBE, _NEW, _AGREEMENT))
    panels = [name for name, found in ((_PROBE, [*probe, *new]), (_AGREEMENT, agreement)) if found]
    if not panels:
        raise ShapeError(
            f"rows without a value of '{_PROBE}' or '{_AGREEMENT}' by layer came; expected those of where a bias lives"
        )
    is_wide = width > 5
    ax, axes = panel_grid(
        ax,
        len(panels),
        width=width,
        height=1.75,
        columns=2 if is_wide else 1,
        left=0.52,
        top=0.5,
        bottom=0.5,
        head=0.0 if _PROBE not in panels else 0.28 if is_wide else 0.46,
    )
    for panel, name in zip(axes, panels, strict=True):
        if name == _PROBE:
            _draw_probe(panel, probe, new)
            _draw_key(ax, panel, is_wide=is_wide, left=0.46 / width)
            headed(panel, "Read by a linear probe", below="texts whose side it tells", is_raised=True)
        else:
            _draw_agreement(panel, agreement)
            headed(
                panel,
                "Pairs agree on a direction",
                below="0: not at all, 1: all differ alike",
                is_raised=True,
            )
        _shade_scales(panel, by_layer, inches=width / (2 if is_wide and len(panels) > 1 else 1) - 0.65)
    return ax


def _of(rows: Iterable[RowLike], metric: str) -> list[RowLike]:
    found = [row for row in rows if row.metric == metric and row.value is not None]
    return sorted(found, key=lambda row: row.layer or 0)


def _draw_line(panel: "Axes", rows: Sequence[RowLike], *, colour: str, label: str, is_thin: bool) -> None:
    x = [row.layer or 0 for row in rows]
    y = [float(row.value or 0.0) for row in rows]
    known = [
        (row.layer or 0, row.low, row.high) for row in rows if row.low is not None and row.high is not None
    ]
    if known:
        layers, lows, highs = zip(*known, strict=True)
        panel.fill_between(layers, lows, highs, color=colour, alpha=0.12, linewidth=0, zorder=2)
    panel.plot(
        x,
        y,
        color=colour,
        linewidth=0.9 if is_thin else 1.6,
        marker="D" if is_thin else "o",
        markersize=2.6 if is_thin else 3.6,
        markerfacecolor="none" if is_thin else colour,
        markeredgewidth=0.8,
        label=label,
        zorder=3 if is_thin else 4,
    )


def _draw_probe(panel: "Axes", probe: Sequence[RowLike], new: Sequence[RowLike]) -> None:
    if probe:
        _draw_line(panel, probe, colour=INK, label="new texts", is_thin=False)
    if new:
        _draw_line(panel, new, colour=_NEW_COLOUR, label="new people", is_thin=True)
    control = [(row.layer or 0, row.null) for row in probe if row.null is not None]
    if control:
        panel.plot(
            *zip(*control, strict=True),
            color=MUTED,
            linestyle=(0, (4, 2)),
            linewidth=1.0,
            label="control",
            zorder=3,
        )
    panel.axhline(_CHANCE, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1, label="chance")
    ends = [end for row in (*probe, *new) for end in (row.value, row.low, row.null) if end is not None]
    panel.set_ylim(min(0.4, min(ends) - 0.03), 1.02)
    panel.set_yticks(
        [tick for tick in (0.0, 0.25, 0.5, 0.75, 1.0) if tick >= panel.get_ylim()[0]],
        [f"{tick:.0%}" for tick in (0.0, 0.25, 0.5, 0.75, 1.0) if tick >= panel.get_ylim()[0]],
    )


def _draw_key(ax: "Axes", panel: "Axes", *, is_wide: bool, left: float) -> None:
    handles, labels = panel.get_legend_handles_labels()
    legend(
        ax,
        handles=handles,
        labels=labels,
        loc="upper left",
        bbox_to_anchor=(left, 1.0),
        ncols=4 if is_wide else 2,
        columnspacing=1.2,
        handletextpad=0.4,
        handlelength=1.9,
        borderaxespad=0.3,
    )


def _draw_agreement(panel: "Axes", rows: Sequence[RowLike]) -> None:
    _draw_line(panel, rows, colour=INK, label="agreement", is_thin=False)
    panel.axhline(0.0, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    panel.margins(y=0.12)


def _shade_scales(panel: "Axes", rows: Sequence[RowLike], *, inches: float) -> None:
    """Set the layers along x, and mark their scales."""
    layers = sorted({row.layer or 0 for row in rows})
    first, last = layers[0] - 0.5, layers[-1] + 0.5
    panel.set_xlim(first - 0.1, last + 0.1)
    panel.set_xticks(layers[:: max(1, ceil(len(layers) / (4.5 * inches)))])
    panel.grid(axis="y", color=GRID, linewidth=0.6)
    draw_bands(
        panel,
        rows,
        per_inch=(last - first + 0.2) / inches,
        room_of=lambda name: _LETTER * len(name),
    )
