"""Figure of what erasing a bias leaves to read, over what it costs."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from msma._types import SCALES
from msma.errors import ShapeError
from msma.plotting.style import (
    COLUMN,
    INK,
    MUTED,
    SCALE_COLOURS,
    SCALE_MARKERS,
    SURFACE,
    TEXT,
    calm,
    legend,
    single_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CLEAN, _FILLED = "none", "leace"
_CHANCE = 0.5
#: Costs that span more than this are drawn on an axis that is compressed away from zero.
_SPAN = 25.0
#: Size of strengths beside marks, in points: 10 pixels on a screen.
_SMALL = 7.6


def plot_prices(
    records: Sequence[Mapping[str, Any]],
    *,
    chosen: int,
    frontier: Sequence[int],
    units: str,
    ax: "Axes | None" = None,
    width: float = COLUMN,
) -> "Axes":
    """Draw what a linear probe still reads at the output over what the erasure costs, one mark a setting.

    Filled marks are LEACE, open ones projection; numbers are strengths, bars 95 % intervals both ways. The faint tick
    joined to each mark is what a non-linear probe reads. Steps run along the settings that no other beats at both; the
    recommended one is ringed.

    Args:
        records: Settings with ``scale`` ("none" for the model as it is), ``method``, ``strength``,
            ``output_linear``, ``output_nonlinear`` and ``cost``, the last three with ``value``, ``low``, ``high``.
        chosen: Number of the record that is recommended.
        frontier: Numbers of the records that no other beats.
        units: Units of the cost.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes.

    Raises:
        ShapeError: When no record comes, or ``chosen`` or ``frontier`` names one that there is not.

    Examples:
        >>> reading = {"value": 0.55, "low": 0.5, "high": 0.6}
        >>> record = {"scale": "global", "method": "leace", "strength": 1.0, "output_linear": reading,
        ...           "output_nonlinear": reading, "cost": {"value": 0.02, "low": 0.01, "high": 0.03}}
        >>> plot_prices([record], chosen=0, frontier=[0], units="nats a token").get_xlabel()
        'cost, nats a token · ← better'
    """
    if not records:
        raise ShapeError("0 prices came; expected at least one setting")
    if unknown := [number for number in (chosen, *frontier) if not 0 <= number < len(records)]:
        raise ShapeError(
            f"record {unknown[0]} came as chosen or on the frontier; there are {len(records)}, from 0"
        )
    is_own = ax is None
    ax = single_axes(ax, width=width, height=0.82 * width + 0.5 if width <= COLUMN else 0.66 * width)
    calm(ax, grid="both")
    ax.axhline(_CHANCE, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1)
    costs = [_cost(record) for record in records]
    _draw_frontier(ax, records, frontier)
    for record, cost in zip(records, costs, strict=True):
        _draw_record(ax, record, cost)
    _set_axes(ax, records, units)
    ax.plot(
        [costs[chosen][0]],
        [records[chosen]["output_linear"]["value"]],
        color=INK,
        marker="o",
        markerfacecolor="none",
        markeredgewidth=1.2,
        markersize=12.0,
        linestyle="none",
        zorder=6,
    )
    _draw_key(ax, records, is_narrow=width <= COLUMN + 0.5)
    if is_own:
        # Only then is it known where marks come to lie, and so which numbers would collide.
        figure: Any = ax.get_figure(root=True)
        figure.draw_without_rendering()
    _name_strengths(ax, records, [chosen, *frontier, *range(len(records))])
    return ax


def _cost(record: Mapping[str, Any]) -> tuple[float, float, float]:
    """Give a cost with its interval; the model as it is costs nothing."""
    if record["scale"] == _CLEAN:
        return 0.0, 0.0, 0.0
    cost = record["cost"]
    return float(cost["value"]), float(cost["low"]), float(cost["high"])


def _marker(record: Mapping[str, Any]) -> dict[str, Any]:
    is_clean = record["scale"] == _CLEAN
    colour = INK if is_clean else SCALE_COLOURS[record["scale"]]
    return {
        "color": colour,
        "marker": "D" if is_clean else SCALE_MARKERS[record["scale"]],
        "markersize": 5.0,
        "markeredgewidth": 1.1,
        "markerfacecolor": colour if is_clean or record["method"] == _FILLED else SURFACE,
    }


def _draw_record(ax: "Axes", record: Mapping[str, Any], cost: tuple[float, float, float]) -> None:
    x, left, right = cost
    linear = record["output_linear"]
    y, style = float(linear["value"]), _marker(record)
    nonlinear = record.get("output_nonlinear")
    if nonlinear is not None:
        other = float(nonlinear["value"])
        ax.plot([x, x], [y, other], color=style["color"], linewidth=0.7, alpha=0.45, zorder=2)
        ax.plot(
            [x],
            [other],
            color=style["color"],
            marker="_",
            markersize=7.0,
            alpha=0.7,
            linestyle="none",
            zorder=2,
        )
    ax.errorbar(
        [x],
        [y],
        xerr=[[max(0.0, x - left)], [max(0.0, right - x)]],
        yerr=[[max(0.0, y - float(linear["low"]))], [max(0.0, float(linear["high"]) - y)]],
        elinewidth=0.8,
        linestyle="none",
        zorder=5,
        **style,
    )


def _draw_frontier(ax: "Axes", records: Sequence[Mapping[str, Any]], frontier: Sequence[int]) -> None:
    points = sorted((_cost(records[i])[0], float(records[i]["output_linear"]["value"])) for i in frontier)
    if len(points) > 1:
        # To pay less than the next point costs is to be left with what this one leaves.
        ax.step(*zip(*points, strict=True), where="post", color=INK, linewidth=0.8, zorder=3)


def _set_axes(ax: "Axes", records: Sequence[Mapping[str, Any]], units: str) -> None:
    paid = [_cost(record) for record in records]
    sizes = [abs(value) for value, *_ in paid if value != 0]
    if sizes and max(sizes) / median(sizes) > _SPAN / 5 and max(sizes) / min(sizes) > _SPAN:
        edge = median(sizes)
        ax.set_xscale("asinh", linear_width=edge)
        ticks = sorted({0.0, *(_round(max(sizes) * share) for share in (1.0, 0.25, 0.06))})
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
    else:
        ax.locator_params(axis="x", nbins=5)
    ax.margins(x=0.09)
    ends = [record[name][end] for record in records for name in ("output_linear", "output_nonlinear")
            if record.get(name) is not None for end in ("low", "high")]  # fmt: skip
    low, high = min(0.45, min(map(float, ends)) - 0.02), min(1.03, max(map(float, ends)) + 0.03)
    ax.set_ylim(low, max(high, 0.6))
    ticks = [k / 10 for k in range(11) if low <= k / 10 <= max(high, 0.6)]
    ax.set_yticks(ticks, [f"{tick:.0%}" for tick in ticks])
    ax.set_xlabel(f"cost, {units} · ← better", fontsize=TEXT, color=MUTED)
    ax.set_ylabel("told apart at the output · better ↓", fontsize=TEXT, color=MUTED)
    ax.annotate(
        "chance",
        xy=(1.0, _CHANCE),
        xycoords=ax.get_yaxis_transform(),
        xytext=(0, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=TEXT,
        color=MUTED,
    )


def _round(value: float) -> float:
    return float(f"{value:.1g}")


def _name_strengths(ax: "Axes", records: Sequence[Mapping[str, Any]], order: Sequence[int]) -> None:
    """Write strengths beside marks, the chosen one's first; one that would lie on another's is left out."""
    figure: Any = ax.get_figure(root=True)
    scale = 72.0 / figure.dpi
    marks = [
        ax.transData.transform((_cost(record)[0], float(record["output_linear"]["value"]))) * scale
        for record in records
    ]
    taken: list[tuple[float, float]] = []
    for number in dict.fromkeys(order):
        record = records[number]
        if record["scale"] == _CLEAN:
            continue
        x, y = marks[number]
        centre = (x + 13.0, y + 7.0)
        near = [
            m
            for i, m in enumerate(marks)
            if i != number and _is_near(centre, (float(m[0]), float(m[1])), 9, 6)
        ]
        if near or any(_is_near(centre, other, 19, 9) for other in taken):
            continue
        taken.append(centre)
        ax.annotate(
            f"{float(record['strength']):g}",
            (_cost(record)[0], float(record["output_linear"]["value"])),
            xytext=(6, 3.5),
            textcoords="offset points",
            fontsize=_SMALL,
            color=INK,
            zorder=7,
        )


def _is_near(one: tuple[float, float], other: tuple[float, float], wide: float, high: float) -> bool:
    return abs(one[0] - other[0]) < wide and abs(one[1] - other[1]) < high


def _draw_key(ax: "Axes", records: Sequence[Mapping[str, Any]], *, is_narrow: bool) -> None:
    from matplotlib.lines import Line2D

    shown = {record["scale"] for record in records}
    methods = {record["method"] for record in records if record["scale"] != _CLEAN}
    base: dict[str, Any] = {"linestyle": "none", "markersize": 5.0, "markeredgewidth": 1.1}
    keys: list[tuple[str, dict[str, Any]]] = [
        (scale, {**base, "marker": SCALE_MARKERS[scale], "color": SCALE_COLOURS[scale]})
        for scale in SCALES
        if scale in shown
    ]
    if _CLEAN in shown:
        keys.append(("as it is", {**base, "marker": "D", "color": INK}))
    if len(methods) > 1:
        keys.append(("LEACE", {**base, "marker": "o", "color": MUTED}))
        keys.append(("projection", {**base, "marker": "o", "color": MUTED, "markerfacecolor": SURFACE}))
    keys.append(
        (
            "non-linear" if is_narrow else "non-linear probe",
            {**base, "marker": "_", "color": MUTED, "markersize": 7.0},
        )
    )
    keys.append(
        ("take this", {**base, "marker": "o", "color": INK, "markerfacecolor": "none", "markersize": 9.0})
    )
    legend(
        ax,
        handles=[Line2D([], [], **options) for _, options in keys],
        labels=[name for name, _ in keys],
        loc="lower left",
        bbox_to_anchor=(-0.14 if is_narrow else -0.06, 1.0),
        ncols=3 if is_narrow else 4,
        columnspacing=0.9,
        handletextpad=0.3,
    )
