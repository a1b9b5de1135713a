"""Figure of an ablation: every arm beside the full objective and the closed form it starts at."""

from collections.abc import Iterable, Mapping, Sequence
from math import floor, log10
from typing import TYPE_CHECKING, Any

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
from msma.plotting.words import pair_name, wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEVEL = 0.05
#: What the arms are called; "base" is the closed form.
ARM_NAMES: dict[str, str] = {
    "full": "all three terms",
    "no_geometry": "without geometry",
    "no_information": "without information",
    "no_curvature": "without curvature",
    "only_geometry": "geometry only",
    "only_information": "information only",
    "only_curvature": "curvature only",
    "base": "closed form alone",
}
_ARROWS = {"lower": "← better", "higher": "better →"}
_SUFFIXES = ("_by_seed", "_minus_full", "_p_documents", "_p_seeds")


def plot_ablation(rows: Iterable[RowLike], *, ax: "Axes | None" = None, width: float = PAGE) -> "Axes":
    """Draw each metric of each arm beside the full objective; one line of panels a pair, one panel a metric.

    The interval is that of the paired difference from the full objective over documents. A filled marker
    differs over documents and over seeds (p below 0.05 after Holm's correction); small ticks are single seeds;
    lines mark the full objective and the closed form; an arm far off is an arrow with its value.

    Args:
        rows: Rows of :func:`msma.ablation.ablate`.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; each metric and pair is a panel within them.

    Raises:
        ShapeError: When no row of an arm has a value.

    Examples:
        >>> from msma.results import Row
        >>> rows = [Row(metric="r2", value=v, map=a) for a, v in (("full", 0.8), ("base", 0.7))]
        >>> [label.get_text() for label in plot_ablation(rows).child_axes[0].get_yticklabels()]
        ['all three terms', 'closed form alone']
    """
    everything = list(rows)
    kept = [row for row in everything if not row.metric.endswith(_SUFFIXES) and row.value is not None]
    if not kept:
        raise ShapeError("0 rows with a value came; expected rows of an ablation")
    new_figure(0.1, 0.1)  # says what to install before anything else is tried
    arms = list(dict.fromkeys(row.map or "" for row in everything if not row.metric.endswith(_SUFFIXES)))
    metrics = list(dict.fromkeys(row.metric for row in kept))
    pairs = list(dict.fromkeys((row.source, row.target) for row in kept))
    is_wide = width > 5
    # In one column of a paper two panels stand side by side, where that keeps a pair's panels together.
    columns = len(metrics) if is_wide else 2 - len(metrics) % 2
    ax, panels = panel_grid(
        ax,
        len(metrics) * len(pairs),
        width=width,
        height=0.1 + 0.19 * len(arms),
        columns=columns,
        left=1.38,
        gap=0.16,
        top=0.5,
        bottom=0.42,
        head=0.28 if is_wide else 0.85,
    )
    for number, panel in enumerate(panels):
        line, column = divmod(number, len(metrics))
        members = [row for row in everything if (row.source, row.target) == pairs[line]]
        _draw_panel(panel, members, metrics[column], arms, has_labels=number % columns == 0)
        below = pair_name(*pairs[line]) if number % columns == 0 else ""
        headed(
            panel, _TITLES.get(metrics[column], wording(metrics[column]).title), below=below, is_raised=True
        )
    _draw_key(ax, columns=7 if is_wide else 2)
    return ax


def _draw_panel(
    axes: "Axes", rows: Sequence[RowLike], metric: str, arms: Sequence[str], *, has_labels: bool
) -> None:
    found = {row.map or "": row for row in rows if row.metric == metric and row.value is not None}
    paired = {row.map or "": row for row in rows if row.metric == f"{metric}_minus_full"}
    seeds = [row for row in rows if row.metric == f"{metric}_by_seed"]
    low, high = _limits(found, paired)
    axes.set_xlim(low, high)
    colour = SCALE_COLOURS.get(next((row.target or "" for row in found.values()), ""), INK)
    floor = next((row.floor for row in found.values() if row.floor is not None), None)
    references = [(found[arm].value, style) for arm, style in _REFERENCES if arm in found]
    for value, style in [*references, (floor, _FLOOR)]:
        if value is not None and low <= value <= high:
            axes.axvline(value, zorder=1, **style)
    holds = _differs(rows, metric)
    for place, arm in enumerate(arms):
        if arm not in found:
            axes.text(0.5, place, "infinite", transform=axes.get_yaxis_transform(), **_WORD)
            continue
        _draw_arm(
            axes, found, paired, arm, place, colour=colour if holds.get(arm, False) else SURFACE, edge=colour
        )
        ticks = [float(row.value) for row in seeds if row.map == arm and row.value is not None]
        ticks = [tick for tick in ticks if low <= tick <= high]
        axes.plot(ticks, [place + 0.3] * len(ticks), color=colour, zorder=2, **_TICK)
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.set_yticks(range(len(arms)), [ARM_NAMES.get(a, a) for a in arms] if has_labels else [""] * len(arms))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.locator_params(axis="x", nbins=2, min_n_ticks=2)
    power = _scale_ticks(axes)
    shown = next(iter(found.values()), None)
    if shown is not None:
        units = power + {"share of variance": "share"}.get(shown.units, shown.units)
        words = " · ".join(part for part in (units, _ARROWS.get(shown.better, "")) if part not in ("", "1"))
        axes.set_xlabel(words, fontsize=TEXT, color=MUTED, labelpad=1.5)


def _scale_ticks(axes: "Axes") -> str:
    """Write very small numbers without their power of ten, which goes to the axis label."""
    low, high = axes.get_xlim()
    kept = [float(tick) for tick in axes.get_xticks() if low <= tick <= high]
    size = max(abs(low), abs(high))
    if size >= 1e-2:
        if len(kept) > 2 and max(len(f"{tick:.6g}") for tick in kept) > 4:  # long numbers would touch
            axes.set_xticks([kept[0], kept[-1]])
        return ""
    power = floor(log10(size))
    axes.set_xticks(kept, [f"{tick / 10.0**power:.3g}".replace("-", "−") for tick in kept])
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")) + " "


def _draw_arm(
    axes: "Axes",
    found: Mapping[str, RowLike],
    paired: Mapping[str, RowLike],
    arm: str,
    place: int,
    *,
    colour: str,
    edge: str,
) -> None:
    """Draw one arm; one that lies off the panel gets an arrow at its edge and its value in words."""
    value = float(found[arm].value or 0.0)
    low, high = axes.get_xlim()
    if not low <= value <= high:
        is_left = value < low
        axes.plot(
            [0.02 if is_left else 0.98],
            [place],
            transform=axes.get_yaxis_transform(),
            color=edge,
            marker="<" if is_left else ">",
            markersize=5.0,
            markerfacecolor=colour,
            linestyle="none",
        )
        side = {"x": 0.09, "ha": "left"} if is_left else {"x": 0.91, "ha": "right"}
        text = f"{value:.3g}".replace("-", "−")
        axes.text(y=place, s=text, transform=axes.get_yaxis_transform(), **{**_WORD, **side})
        return
    full = found.get("full")
    row = paired.get(arm)
    if full is not None and full.value is not None and row is not None and row.low is not None:
        ends = [full.value + row.low, full.value + float(row.high or 0.0)]
        axes.plot(ends, [place, place], color=edge, linewidth=1.5, zorder=2)
    axes.plot([value], [place], color=edge, markerfacecolor=colour, zorder=4, **_ROUND)


def _limits(found: Mapping[str, RowLike], paired: Mapping[str, RowLike]) -> tuple[float, float]:
    """Choose limits that show the arms near the full objective, however far off the others are."""
    values = {arm: float(row.value or 0.0) for arm, row in found.items()}
    centre = values.get("full", next(iter(values.values()), 0.0))
    sizes = sorted(abs(value - centre) for value in values.values())
    # Half of the arms are always shown; another one where it is no more than a few times further off. Where half
    # of them equal the full objective there is no such measure, and all are shown.
    widths = [_width(row) for arm, row in paired.items() if arm in found]
    middle = max([sizes[len(sizes) // 2], *widths]) if sizes else 0.0
    reach = middle * _REACH if sizes and sizes[len(sizes) // 2] > 0.0 else max(sizes, default=0.0)
    near = [arm for arm, value in values.items() if abs(value - centre) <= reach]
    ends = [values[arm] for arm in near]
    for arm in near:
        row = paired.get(arm)
        if row is not None and row.low is not None and row.high is not None:
            ends += [centre + row.low, centre + row.high]
    pad = 0.15 * (max(ends) - min(ends)) or 0.05 * abs(centre) or 0.05
    return min(ends) - pad, max(ends) + pad


def _width(row: RowLike) -> float:
    return 0.0 if row.low is None or row.high is None else min(row.high - row.low, abs(row.value or 0.0))


def _differs(rows: Sequence[RowLike], metric: str) -> Mapping[str, bool]:
    found: dict[str, bool] = {}
    for row in rows:
        if row.metric in (f"{metric}_p_documents", f"{metric}_p_seeds") and row.value is not None:
            found[row.map or ""] = found.get(row.map or "", True) and row.value < _LEVEL
    return found


_TITLES: dict[str, str] = {"mi": "Information", "kl": "KL", "map_curvature": "Curvature"}
#: An arm this many times further from the full objective than the others is drawn as an arrow.
_REACH = 6.0
_REFERENCES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("full", {"color": MUTED, "linewidth": 0.9}),
    ("base", {"color": MUTED, "linewidth": 0.9, "linestyle": (0, (2, 2))}),
)
_FLOOR: dict[str, Any] = {"color": INK, "linewidth": 0.9, "linestyle": (0, (1, 1.5))}
_ROUND: dict[str, Any] = {"marker": "o", "markersize": 5.0, "markeredgewidth": 1.2, "linestyle": "none"}
_TICK: dict[str, Any] = {"marker": "|", "markersize": 4.0, "markeredgewidth": 0.8, "linestyle": "none"}
_WORD: dict[str, Any] = {"fontsize": TEXT, "color": MUTED, "ha": "center", "va": "center"}


def _draw_key(ax: "Axes", *, columns: int) -> None:
    from matplotlib.lines import Line2D

    entries: list[tuple[str, dict[str, Any]]] = [
        ("differs", {**_ROUND, "color": INK}),
        ("not shown to differ", {**_ROUND, "color": INK, "markerfacecolor": SURFACE}),
        ("one seed", {**_TICK, "color": INK}),
        ("95% of difference", {"color": INK, "linewidth": 1.5}),
        ("all three", _REFERENCES[0][1]),
        ("closed form", _REFERENCES[1][1]),
        ("floor", _FLOOR),
    ]
    legend(
        ax,
        handles=[Line2D([], [], **style) for _, style in entries],
        labels=[name for name, _ in entries],
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        borderaxespad=0.1,
        columnspacing=0.9,
        handletextpad=0.4,
        handlelength=1.2,
    )
