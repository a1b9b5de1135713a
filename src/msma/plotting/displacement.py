"""Figure of how far perturbations move texts at each layer."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, log10
from statistics import fmean
from typing import TYPE_CHECKING, Any

from msma.errors import ShapeError
from msma.plotting.line_labels import label_ends
from msma.plotting.scale_bands import shade_scales
from msma.plotting.style import (
    CATEGORIES,
    GRID,
    MUTED,
    PAGE,
    RowLike,
    headed,
    panel_grid,
)
from msma.plotting.widths import fit
from msma.plotting.widths import inches as inches_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_METRIC = "displacement"
_MARKERS = ("o", "s", "^", "D", "v", "P")
#: Values that span more than this are drawn on a logarithmic axis; nothing below the least is told apart there.
_SPAN, _LEAST = 8.0, 0.01
#: Inches: height of a panel, widest label.
_HEIGHT, _LABEL = 2.0, 1.3

_Lines = Mapping[str, Sequence[RowLike]]


def plot_displacement(
    rows: Iterable[RowLike],
    *,
    has_every_strength: bool = False,
    ax: "Axes | None" = None,
    width: float = PAGE,
) -> "Axes":
    """Draw how far perturbations move texts at each layer, one line a perturbation at its highest strength.

    At 1, the dashed line, a perturbed text is as far from itself as from another text. Bands around lines are 95 %
    intervals, coloured bands behind are the scales. Perturbations are ordered by how far they move; where there are
    more than six, panels share them, each with the lines of the others in grey. On a logarithmic axis, values that
    are too small for it lie on its lower end.

    Args:
        rows: Rows "displacement" by layer, as ``displacement_rows`` gives them, with name and strength in ``map``;
            rows about whole scales and of other metrics are left out.
        has_every_strength: Draw a line for every strength, not for the highest alone; for one perturbation or two.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; panels are within them.

    Raises:
        ShapeError: When no displacement by layer comes.

    Examples:
        >>> from msma.results import Row
        >>> rows = [Row(metric="displacement", value=0.1 * (k + 1), target="local", layer=k, map=f"order {s}")
        ...         for k in range(3) for s in (0.1, 0.3)]
        >>> axes = plot_displacement(rows)
        >>> [line.get_label() for line in axes.child_axes[0].lines if not line.get_label().startswith("_")]
        ['order 0.3']
    """
    lines = strongest(rows, has_every_strength=has_every_strength)
    if not lines:
        raise ShapeError(
            f"rows without a value of '{_METRIC}' by layer came; expected those of displacement_rows or of a "
            "robustness audit"
        )
    names = list(lines)
    count = ceil(len(names) / len(_MARKERS))
    # Panels hold alike many: 8 perturbations are 4 and 4, not 6 and 2.
    each = ceil(len(names) / count)
    groups = [names[start : start + each] for start in range(0, len(names), each)]
    columns = 1 if width <= 5 else min(2, len(groups))
    ax, panels = panel_grid(
        ax, len(groups), width=width, height=_HEIGHT, columns=columns, left=0.5, top=0.42, bottom=0.5
    )
    inches = (width - 0.12) / columns - 0.5
    limits = _limits(lines)
    room = 0.34 + max(inches_of(_shorten(name)) for name in names)
    for number, (panel, group) in enumerate(zip(panels, groups, strict=True)):
        _draw_panel(panel, lines, group, limits=limits, inches=inches, room=room)
        headed(panel, _head(number, len(groups)), below="1: as far as another text")
    return ax


def strongest(rows: Iterable[RowLike], *, has_every_strength: bool = False) -> dict[str, list[RowLike]]:
    """Keep the values by layer of each perturbation at its highest strength, those that move most first.

    Args:
        rows: Rows of a robustness audit.
        has_every_strength: Keep the lower strengths too.

    Returns:
        Perturbation with its strength: its rows by layer.

    Examples:
        >>> from msma.results import Row
        >>> rows = [Row(metric="displacement", value=s, layer=0, map=f"{name} {s}")
        ...         for name, s in (("case", 0.1), ("case", 0.2), ("order", 0.3))]
        >>> list(strongest(rows))
        ['order 0.3', 'case 0.2']
    """
    found: dict[str, list[RowLike]] = {}
    for row in rows:
        if row.metric == _METRIC and row.layer is not None and row.value is not None and row.map:
            found.setdefault(row.map, []).append(row)
    best: dict[str, str] = {}
    for name in found:
        kind, strength = split_strength(name)
        if kind not in best or strength >= split_strength(best[kind])[1]:
            best[kind] = name
    kept = sorted(
        found if has_every_strength else best.values(),
        key=lambda name: -fmean(row.value or 0.0 for row in found[name]),
    )
    return {name: sorted(found[name], key=lambda row: row.layer or 0) for name in kept}


def split_strength(name: str) -> tuple[str, float]:
    """Part the name of a perturbation from its strength.

    Args:
        name: Both, with a space between.

    Returns:
        Name and strength; strength 0 where the last word is no number.

    Examples:
        >>> split_strength("keyboard 0.1"), split_strength("other language")
        (('keyboard', 0.1), ('other language', 0.0))
    """
    kind, _, last = name.rpartition(" ")
    try:
        return (kind, float(last)) if kind else (name, 0.0)
    except ValueError:
        return name, 0.0


def _head(number: int, count: int) -> str:
    if count == 1:
        return "How far texts move"
    return (
        "Those that move most"
        if number == 0
        else "Those that move least"
        if number == count - 1
        else "Between"
    )


def _limits(lines: _Lines) -> tuple[float, float, bool]:
    """Choose the ends of the axis, with 1 on it, and whether it is logarithmic."""
    values = [float(row.value or 0.0) for rows in lines.values() for row in rows]
    ends = [float(row.high) for rows in lines.values() for row in rows if row.high is not None]
    high = max([*values, *ends, 1.0])
    positive = [max(value, _LEAST) for value in values if value > _LEAST]
    low = min([*positive, 1.0])
    if high / low > _SPAN:
        return low / 1.3, high * 1.3, True
    return 0.0, high * 1.08, False


def _draw_panel(
    panel: "Axes",
    lines: _Lines,
    group: Sequence[str],
    *,
    limits: tuple[float, float, bool],
    inches: float,
    room: float,
) -> None:
    low, high, is_log = limits
    everything = [row for rows in lines.values() for row in rows]
    layers = sorted({row.layer or 0 for row in everything})
    first, last = layers[0] - 0.5, layers[-1] + 0.5
    labels = [_shorten(name) for name in group]
    # The bands end where the labels of lines begin.
    width = (last - first) * inches / max(inches - room, 0.3 * inches)
    panel.set_xlim(first - 0.02 * width, first + width)
    if is_log:
        panel.set_yscale("log")
        _name_decades(panel, low, high)
    panel.set_ylim(low, high)
    shade_scales(panel, everything, per_inch=width / inches)
    for tick in panel.get_yticks():
        if low <= tick <= high:
            panel.plot([first, last], [tick, tick], color=GRID, linewidth=0.6, zorder=0.5)
    panel.plot([first, last], [1.0, 1.0], color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    for name, rows in lines.items():
        if name not in group:
            panel.plot(*_points(rows, low), color=MUTED, linewidth=0.5, alpha=0.4, zorder=1.5)
    ends = []
    for number, name in enumerate(group):
        rows = lines[name]
        x, y = _points(rows, low)
        style: dict[str, Any] = {"color": CATEGORIES[number], "marker": _MARKERS[number], "markersize": 3.4}
        known = [row for row in rows if row.low is not None and row.high is not None]
        if known:
            panel.fill_between(
                [row.layer or 0 for row in known],
                [max(float(row.low or 0.0), low) for row in known],
                [max(float(row.high or 0.0), low) for row in known],
                color=style["color"],
                alpha=0.14,
                linewidth=0,
                zorder=2,
            )
        panel.plot(x, y, linewidth=1.4, label=name, zorder=4, clip_on=False, **style)
        ends.append((x[-1], y[-1]))
    label_ends(panel, labels, ends, start=last, per_inch=width / inches, markers=_MARKERS)


def _points(rows: Sequence[RowLike], low: float) -> tuple[list[int], list[float]]:
    return [row.layer or 0 for row in rows], [max(float(row.value or 0.0), low) for row in rows]


def _shorten(name: str) -> str:
    """Cut a long name, never its strength."""
    kind, strength = split_strength(name)
    tail = name[len(kind) :] if strength or kind != name else ""
    return fit(name.removesuffix(tail), _LABEL, tail=tail)


def _name_decades(panel: "Axes", low: float, high: float) -> None:
    ticks = [
        factor * 10.0**power
        for power in range(-4, 3)
        for factor in (1, 2, 5)
        if low <= factor * 10.0**power <= high
    ]
    if len(ticks) > 7:
        ticks = [tick for tick in ticks if round(log10(tick), 6).is_integer()]
    panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.minorticks_off()
