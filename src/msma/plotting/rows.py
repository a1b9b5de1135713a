"""Figures of rows of results: values with their intervals, nulls, floors and ceilings."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import pairwise
from math import floor, log10
from typing import TYPE_CHECKING, Any, NamedTuple

from msma.errors import ShapeError
from msma.plotting.style import (
    GRID,
    INK,
    MUTED,
    PAGE,
    SCALE_COLOURS,
    SURFACE,
    TEXT,
    RowLike,
    headed,
    legend,
    new_figure,
    panel_grid,
)
from msma.plotting.widths import inches
from msma.plotting.words import map_name, pair_name, wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Values that span more than this are drawn on a logarithmic axis.
_LARGEST_LINEAR_SPAN = 15.0
_MOST_SHARED = 6
_ARROWS = {"lower": "← better", "higher": "better →"}
#: Inches between the labels of two ticks, at least.
_BETWEEN_TICKS = 0.1


class _Panel(NamedTuple):
    """What one panel shows: a heading, its lines, and which rows stand on each."""

    heading: str
    below: str
    lines: list[str]
    rows: list[tuple[int, bool, RowLike]]  # line, whether it is the first of two series, row


def plot_rows(rows: Iterable[RowLike], *, ax: "Axes | None" = None, width: float = PAGE) -> "Axes":
    """Draw every value with its interval, null, floor and ceiling; one panel a metric.

    A value before mapping (map "none") is an open marker above the filled one after mapping.

    Args:
        rows: Rows of a result; those without a value are left out.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; each metric is a panel within them.

    Raises:
        ShapeError: When no row has a value.

    Examples:
        >>> from msma.results import Row
        >>> axes = plot_rows([Row(metric="r2", value=0.8, low=0.7, high=0.9, null=0.0, target="local")])
        >>> axes.child_axes[0].get_title(loc="left")
        'R²'
    """
    kept = [row for row in rows if row.value is not None]
    if not kept:
        raise ShapeError("0 rows with a value came; expected at least one")
    maps = _distinct(row.map for row in kept if row.map not in (None, "none"))
    splits = _distinct(row.split for row in kept)

    def line_of(row: RowLike) -> str:
        parts = [pair_name(row.source, row.target)]
        parts += [f"layer {row.layer}"] if row.layer is not None else []
        parts += [map_name(row.map)] if len(maps) > 1 and row.map is not None else []
        parts += [row.split] if len(splits) > 1 and row.split is not None else []
        return ", ".join(part for part in parts if part)

    every = _distinct(line_of(row) for row in kept)
    panels = []
    for metric in _distinct(row.metric for row in kept):
        members = [row for row in kept if row.metric == metric]
        # Panels that can share their lines do: readers then find a pair at the same height everywhere.
        lines = every if len(every) <= _MOST_SHARED else _distinct(line_of(row) for row in members)
        placed = [(lines.index(line_of(r)), r.map == "none" and len(maps) <= 1, r) for r in members]
        below = "as published" if wording(metric).is_paper else ""
        panels.append(_Panel(wording(metric).title, below, lines, placed))
    names = ("before mapping", "after mapping") if any(row.map == "none" for row in kept) else (None, "value")
    return _draw(panels, names=names, ax=ax, width=width)


def plot_maps(rows: Iterable[RowLike], *, ax: "Axes | None" = None, width: float = PAGE) -> "Axes":
    """Compare maps: one panel a metric and pair, one line a map, validation above test.

    Args:
        rows: Rows with ``map`` and ``split``; those without a value are left out.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; each metric and pair is a panel within them.

    Raises:
        ShapeError: When no row has a value.

    Examples:
        >>> from msma.results import Row
        >>> axes = plot_maps([Row(metric="kl", value=2.0, map=name, split="test") for name in ("ridge", "none")])
        >>> [label.get_text() for label in axes.child_axes[0].get_yticklabels()]
        ['ridge', 'before mapping']
    """
    kept = [row for row in rows if row.value is not None]
    if not kept:
        raise ShapeError("0 rows with a value came; expected at least one")
    lines = _distinct(map_name(row.map) for row in kept)
    panels = []
    for metric, source, target in _distinct((row.metric, row.source, row.target) for row in kept):
        members = [r for r in kept if (r.metric, r.source, r.target) == (metric, source, target)]
        placed = [(lines.index(map_name(r.map)), r.split == "validation", r) for r in members]
        panels.append(_Panel(wording(metric).title, pair_name(source, target), lines, placed))
    return _draw(panels, names=("validation", "test"), ax=ax, width=width, most_columns=2)


def _distinct(items: Iterable[Any]) -> list[Any]:
    seen: dict[Hashable, None] = dict.fromkeys(items)
    return list(seen)


def _draw(
    panels: Sequence[_Panel],
    *,
    names: tuple[str | None, str],
    ax: "Axes | None",
    width: float,
    most_columns: int = 3,
) -> "Axes":
    new_figure(0.1, 0.1)  # says what to install before anything else is tried
    columns = min(most_columns, len(panels)) if width > 5 else 1
    tallest = max(len(panel.lines) for panel in panels)
    longest = max(len(line) for panel in panels for line in panel.lines)
    room = min(0.075 * longest + 0.15, width * 0.42)
    # Panels of one row share their labels when all have the same lines.
    is_shared = all(panel.lines == panels[0].lines for panel in panels)
    is_raised = any(panel.below for panel in panels)
    ax, drawn = panel_grid(
        ax,
        len(panels),
        width=width,
        height=0.12 + 0.3 * tallest,
        columns=columns,
        left=room,
        gap=0.2 if is_shared else room,
        top=0.48 if is_raised else 0.32,
        bottom=0.42,
        head=0.25 if width > 5 else 0.45,
    )
    for number, (axes, panel) in enumerate(zip(drawn, panels, strict=True)):
        has_labels = not is_shared or number % columns == 0
        _draw_panel(axes, panel, has_labels=has_labels, is_small=columns > 2)
        headed(axes, panel.heading, below=panel.below, is_raised=is_raised)
    _draw_key(ax, panels, names=names, is_wide=width > 5)
    return ax


def _draw_panel(axes: "Axes", panel: _Panel, *, has_labels: bool, is_small: bool) -> None:
    rows = [row for *_, row in panel.rows]
    has_two = any(is_first for _, is_first, _ in panel.rows) and not all(f for _, f, _ in panel.rows)
    _fit_axis(axes, rows, most_ticks=4 if is_small else 6)
    for line, is_first, row in panel.rows:
        y = line + ((-0.2 if is_first else 0.17) if has_two else 0.0)
        _draw_row(axes, row, y, is_open=is_first)
    axes.set_ylim(len(panel.lines) - 0.5, -0.5)
    axes.set_yticks(range(len(panel.lines)), panel.lines if has_labels else [""] * len(panel.lines))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    units = rows[0].units
    words = " · ".join(
        part for part in ("" if units == "1" else units, _ARROWS.get(rows[0].better, "")) if part
    )
    # A long name of the units would run into that of the next panel.
    if inches(words) > _inches_wide(axes):
        words = words.replace(" · ", "\n")
    axes.set_xlabel(words, fontsize=TEXT, color=MUTED, labelpad=1.5, linespacing=1.05)


def _inches_wide(axes: "Axes") -> float:
    """Tell how wide a panel is: panels are placed within their parent, in shares of it."""
    owner: Any = axes.get_figure(root=True)
    locator: Any = axes.get_axes_locator()
    box = axes.get_position() if locator is None else locator(axes, None)
    return float(owner.get_size_inches()[0]) * float(box.width)


def _draw_row(axes: "Axes", row: RowLike, y: float, *, is_open: bool) -> None:
    colour = SCALE_COLOURS.get(row.target or "", INK)
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=2)
    axes.plot(
        [float(row.value or 0.0)],  # rows without a value were left out before
        [y],
        marker="o",
        markersize=5.5,
        markerfacecolor=SURFACE if is_open else colour,
        markeredgecolor=colour,
        markeredgewidth=1.2,
        linestyle="none",
        zorder=4,
    )
    if is_open:
        return
    for value, style in ((row.null, _NULL), (row.floor, _FLOOR), (row.ceiling, _CEILING)):
        if value is not None:
            axes.plot([value], [y], linestyle="none", zorder=3, clip_on=False, **style)


_NULL: dict[str, Any] = {"marker": "x", "color": MUTED, "markersize": 5.5, "markeredgewidth": 1.3}
_FLOOR: dict[str, Any] = {"marker": "|", "color": INK, "markersize": 11, "markeredgewidth": 1.6}
_CEILING: dict[str, Any] = {"marker": 4, "color": MUTED, "markersize": 7, "markeredgewidth": 0}


def _draw_key(ax: "Axes", panels: Sequence[_Panel], *, names: tuple[str | None, str], is_wide: bool) -> None:
    from matplotlib.lines import Line2D

    rows = [row for panel in panels for *_, row in panel.rows]
    round_mark = {"marker": "o", "markersize": 5.5, "markeredgewidth": 1.2, "markeredgecolor": INK}
    entries: list[tuple[str | None, dict[str, Any]]] = [
        (names[0], {**round_mark, "markerfacecolor": SURFACE, "linestyle": "none"}),
        (names[1], {**round_mark, "color": INK, "linestyle": "none"}),
        ("95% interval" if any(r.low is not None for r in rows) else None, {"color": INK, "linewidth": 1.6}),
    ]
    marks: list[tuple[str, Callable[[RowLike], float | None], dict[str, Any]]] = [
        ("null", lambda row: row.null, _NULL),
        ("floor", lambda row: row.floor, _FLOOR),
        ("ceiling", lambda row: row.ceiling, _CEILING),
    ]
    for name, read, style in marks:
        has_any = any(read(row) is not None for row in rows)
        entries.append((name if has_any else None, {**style, "linestyle": "none"}))
    shown = [(name, Line2D([], [], **style)) for name, style in entries if name is not None]
    legend(
        ax,
        handles=[handle for _, handle in shown],
        labels=[name for name, _ in shown],
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=6 if is_wide else 3,
        borderaxespad=0.1,
        columnspacing=1.1,
        handletextpad=0.4,
    )


def _fit_axis(axes: "Axes", rows: Sequence[RowLike], *, most_ticks: int) -> None:
    marks = [(row.value, row.low, row.high, row.null, row.floor, row.ceiling) for row in rows]
    numbers = [value for mark in marks for value in mark if value is not None]
    low, high = min(numbers), max(numbers)
    values = sorted(abs(row.value) for row in rows if row.value)
    ceiling = max((row.ceiling for row in rows if row.ceiling is not None), default=None)
    # A value that is zero but for noise must not stretch the axis over decades of nothing: not one that is small beside
    # the largest, nor, where what cannot be below zero is shown below it, one that is no farther from it than that.
    noise = max(max(abs(low), abs(high)) / 300, -low if low < 0 and -low < high / 10 else 0.0)
    unit = ceiling if ceiling else max(values[0] if values else 1.0, noise)
    if high - low <= _LARGEST_LINEAR_SPAN * max(unit, 1e-12) or low == high:
        pad = 0.06 * (high - low) or 0.1 * abs(high) or 0.1
        axes.set_xlim(low - pad, high + pad)
        axes.locator_params(axis="x", nbins=most_ticks - 1)
        return
    # Linear around zero, so that floors and nulls below it still have a place; logarithmic beyond.
    edge = ceiling if ceiling else 10.0 ** floor(log10(unit))
    edge = max(edge, 1e-5 * max(abs(low), abs(high)))
    axes.set_xscale("symlog", linthresh=edge, linscale=1.5 if ceiling else 0.6)
    axes.set_xlim(
        low * 1.8 if low < -edge else low - 0.12 * edge, high * 1.8 if high > edge else high + 0.12 * edge
    )
    ticks = _symlog_ticks(axes, low, high, edge, most=most_ticks)
    axes.set_xticks(ticks, [_tick(tick) for tick in ticks])
    axes.minorticks_off()


def _tick(value: float) -> str:
    text = f"{value / 1000:g}k" if abs(value) >= 1e4 else f"{value:g}"
    return text.replace("-", "−")


def _symlog_ticks(axes: "Axes", low: float, high: float, edge: float, *, most: int) -> list[float]:
    """Choose a few powers of ten within the limits, zero among them, whose labels leave room between each other."""
    transform = axes.transScale + axes.transLimits
    wide = _inches_wide(axes)

    def place(tick: float) -> tuple[float, float]:
        middle, half = wide * float(transform.transform((tick, 0.0))[0]), inches(_tick(tick)) / 2
        return middle - half, middle + half + _BETWEEN_TICKS

    def is_clear(ticks: list[float]) -> bool:
        spans = [place(tick) for tick in sorted(ticks)]
        return all(one[1] <= other[0] for one, other in pairwise(spans))

    powers = [edge * 10.0**k for k in range(12)]
    above, below = [p for p in powers if p <= high], [-p for p in powers if -p >= low]
    # Every first, second, third, ... power, the largest always among them.
    choices = [[0.0, *above[(len(above) - 1) % step :: step]] for step in range(1, len(above) + 2)]
    ticks = next((ticks for ticks in choices if len(ticks) <= most and is_clear(ticks)), [0.0])
    # Below zero there are only as many as find room, the farthest first.
    for tick in reversed(below):
        if len(ticks) < most and is_clear([*ticks, tick]):
            ticks.append(tick)
    return sorted(ticks)
