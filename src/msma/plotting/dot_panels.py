"""Panels of dots with intervals that share their lines: who on the left, how much along the axis, one panel a case."""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from msma._types import SCALES
from msma.plotting.style import (
    INK,
    MUTED,
    PAGE,
    SCALE_COLOURS,
    SCALE_MARKERS,
    TEXT,
    RowLike,
    calm,
    headed,
    legend,
    panel_grid,
)
from msma.plotting.widths import fit, inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches: a line, the widest name, the room above and below a panel.
_LINE, _NAME, _TOP, _BOTTOM = 0.18, 1.8, 0.32, 0.32
#: Inches of paper that a label may use right of a panel.
_EDGE = 0.08


class Panel(NamedTuple):
    """One panel.

    Args:
        head: What it is about.
        rows: A row for each line, ``None`` where there is none.
    """

    head: str
    rows: Sequence[RowLike | None]


def draw_dot_panels(
    panels: Sequence[Panel],
    names: Sequence[str],
    *,
    scales: Sequence[str | None],
    null: str = "",
    floor: str = "",
    ceiling: str = "",
    is_null_shared: bool = False,
    ax: "Axes | None" = None,
    width: float = PAGE,
) -> "Axes":
    """Draw values as dots with intervals, one line a name and one panel a case, all on the same axis.

    Args:
        panels: The cases.
        names: What each line is about.
        scales: The scale of each line, or ``None``.
        null: What the null is called in the key; left out when empty.
        floor: What the floor is called.
        ceiling: What the ceiling is called.
        is_null_shared: Whether the null is one for all lines, and so a line through the panel.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; panels are within them.
    """
    labels = [fit(name, _NAME) for name in names]
    left = 0.2 + max(map(inches, labels))
    columns = max(1, min(len(panels), 3, int((width - left) / 1.6)))
    keys = _keys(panels, null=null, floor=floor, ceiling=ceiling, is_null_shared=is_null_shared)
    per_line = 4 if width > 5 else 2
    ax, drawn = panel_grid(
        ax,
        len(panels),
        width=width,
        height=_LINE * len(names),
        columns=columns,
        left=left,
        gap=0.22,
        top=_TOP,
        bottom=_BOTTOM,
        head=0.08 + 0.19 * ceil(len(keys) / per_line) if keys else 0.0,
    )
    limits = _limits(panels, (bool(null), bool(floor), bool(ceiling)))
    for number, (panel, case) in enumerate(zip(drawn, panels, strict=True)):
        calm(panel, grid="x")
        for line, (row, scale) in enumerate(zip(case.rows, scales, strict=True)):
            if row is not None and row.value is not None:
                _draw_dot(
                    panel,
                    row,
                    line,
                    scale,
                    is_null=bool(null) and not is_null_shared,
                    is_ceiling=bool(ceiling),
                )
        known = [row for row in case.rows if row is not None]
        if null and is_null_shared:
            _draw_rule(panel, [row.null for row in known], (0, (4, 2)))
        if floor:
            _draw_rule(panel, [row.floor for row in known], (0, (1, 2)))
        room = (width - left - 0.12 - 0.22 * (columns - 1)) / columns
        panel.set_xlim(*_leave_room(limits, room))
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.set_yticks(range(len(names)), labels if number % columns == 0 else [""] * len(names))
        panel.tick_params(axis="y", length=0)
        panel.spines["left"].set_visible(False)
        ticks = _ticks(*limits)
        panel.set_xticks(ticks, [f"{tick:.0%}" for tick in ticks])
        # Headings are bold and larger than what is measured.
        headed(panel, fit(case.head, room / 1.3))
    if keys:
        _draw_key(ax, keys, columns=per_line, left=0.06 / width)
    return ax


def _draw_dot(
    panel: "Axes", row: RowLike, line: int, scale: str | None, *, is_null: bool, is_ceiling: bool
) -> None:
    value = float(row.value or 0.0)
    colour = SCALE_COLOURS[scale] if scale in SCALES else INK
    if row.low is not None and row.high is not None:
        panel.plot(
            [row.low, row.high], [line, line], color=colour, linewidth=1.2, zorder=3, label="_interval"
        )
    if is_null and row.null is not None:
        panel.plot([row.null], [line], color=MUTED, marker="x", markersize=4.0, linestyle="none", zorder=2)
    if is_ceiling and row.ceiling is not None:
        panel.plot([row.ceiling], [line], color=MUTED, marker="|", markersize=6.0, linestyle="none", zorder=2)
    marker = SCALE_MARKERS[scale] if scale in SCALES else "o"
    panel.plot(
        [value],
        [line],
        color=colour,
        marker=marker,
        markersize=4.6,
        linestyle="none",
        zorder=4,
        label="_value",
    )


def _draw_rule(panel: "Axes", values: Sequence[float | None], dashes: Any) -> None:
    for value in {value for value in values if value is not None}:
        panel.axvline(value, color=MUTED, linewidth=0.9, linestyle=dashes, zorder=1)


def _limits(panels: Sequence[Panel], is_used: tuple[bool, bool, bool]) -> tuple[float, float]:
    is_null, is_floor, is_ceiling = is_used
    ends = [
        float(end)
        for case in panels
        for row in case.rows
        if row is not None
        for end in (
            row.value,
            row.low,
            row.high,
            row.null if is_null else None,
            row.floor if is_floor else None,
            row.ceiling if is_ceiling else None,
        )
        if end is not None
    ]
    low, high = min(ends), max(ends)
    margin = 0.05 * max(high - low, 0.1)
    # More room on the right, where half a number stands out beyond the last tick.
    return low - margin, high + 2.4 * margin


def _leave_room(limits: tuple[float, float], room: float) -> tuple[float, float]:
    """Widen the axis where half of the last label would stand out beyond the figure's edge."""
    low, high = limits
    last = max(_ticks(low, high), default=low)
    share = max(0.0, inches(f"{last:.0%}") / 2 - _EDGE) / room
    return low, max(high, (last - share * low) / (1.0 - share))


def _ticks(low: float, high: float) -> list[float]:
    step = next((step for step in (1, 2, 5, 10, 20, 25) if (high - low) * 100 / step <= 4), 50)
    return [k / 100 for k in range(-200, 301, step) if low <= k / 100 <= high]


def _keys(
    panels: Sequence[Panel], *, null: str, floor: str, ceiling: str, is_null_shared: bool
) -> list[tuple[str, dict[str, Any]]]:
    """List what stands in the key: what is asked for and there."""
    rows = [row for case in panels for row in case.rows if row is not None]
    mark: dict[str, Any] = {"color": MUTED, "linestyle": "none"}
    rule: dict[str, Any] = {"color": MUTED, "linewidth": 0.9}
    keys: list[tuple[str, dict[str, Any]]] = []
    if null and any(row.null is not None for row in rows):
        keys.append(
            (
                null,
                {**rule, "linestyle": (0, (4, 2))}
                if is_null_shared
                else {**mark, "marker": "x", "markersize": 4},
            )
        )
    if floor and any(row.floor is not None for row in rows):
        keys.append((floor, {**rule, "linestyle": (0, (1, 2))}))
    if ceiling and any(row.ceiling is not None for row in rows):
        keys.append((ceiling, {**mark, "marker": "|", "markersize": 6}))
    return keys


def _draw_key(ax: "Axes", keys: Sequence[tuple[str, dict[str, Any]]], *, columns: int, left: float) -> None:
    from matplotlib.lines import Line2D

    legend(
        ax,
        handles=[Line2D([], [], **options) for _, options in keys],
        labels=[name for name, _ in keys],
        loc="upper left",
        bbox_to_anchor=(left, 1.0),
        ncols=columns,
        columnspacing=1.2,
        handletextpad=0.5,
        borderaxespad=0.2,
        fontsize=TEXT,
    )
