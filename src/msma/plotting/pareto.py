"""Figure of a search: what each trial reached, and the front that no trial beats in everything."""

from collections.abc import Mapping, Sequence
from math import floor, log10
from statistics import median
from typing import TYPE_CHECKING, Any

from msma.errors import ShapeError
from msma.plotting.style import (
    CATEGORIES,
    INK,
    MUTED,
    PAGE,
    SURFACE,
    TEXT,
    calm,
    headed,
    legend,
    new_figure,
    panel_grid,
)
from msma.plotting.words import wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FRONT = CATEGORIES[0]
_AXES: dict[str, str] = {
    "r2": "R² on validation · better ↑",
    "mi": "nats · better →",
    "map_curvature": "share of variance · ← better",
    "trial": "number of the trial",
}
_TITLES: dict[str, str] = {
    "mi": "R² and information",
    "map_curvature": "R² and map curvature",
    "trial": "R² by trial",
}


def plot_pareto(
    points: Sequence[Mapping[str, Any]],
    *,
    objectives: Sequence[str],
    front: Sequence[int],
    closed: Sequence[int] = (),
    recommended: int | None = None,
    ax: "Axes | None" = None,
    width: float = PAGE,
) -> "Axes":
    """Draw R2 against every other objective; each trial is a point.

    Trials on the front are filled, the closed form is a diamond, the recommended trial has a ring, pruned ones
    are crosses at what they reached when they were given up. Trials far below the others stand at the edge.

    Args:
        points: For each trial its ``trial`` number, its ``state`` and the value of each objective it reached.
        objectives: Names of the objectives, "r2" first.
        front: Numbers of the trials on the front.
        closed: Numbers of the trials that are the closed form alone.
        recommended: Number of the trial to take.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; each other objective is a panel within them, the trial's number where there is none.

    Raises:
        ShapeError: When no trial was completed.

    Examples:
        >>> points = [{"trial": n, "state": "complete", "r2": 0.5 + n / 10, "mi": 1.0 - n} for n in (0, 1)]
        >>> axes = plot_pareto(points, objectives=["r2", "mi"], front=[0, 1])
        >>> axes.child_axes[0].get_title(loc="left")
        'R² and information'
    """
    complete = [point for point in points if point["state"] == "complete"]
    if not complete:
        raise ShapeError("0 complete trials came; expected at least one")
    new_figure(0.1, 0.1)  # says what to install before anything else is tried
    others = [name for name in objectives if name != "r2"] or ["trial"]
    is_wide = width > 5
    columns = 2 if is_wide else 1
    ax, panels = panel_grid(
        ax,
        len(others),
        width=width,
        height=2.4,
        columns=columns,
        left=0.62,
        top=0.35,
        bottom=0.5,
        head=0.28 if is_wide else 0.66,
    )
    low, high = _limits([float(point["r2"]) for point in complete])
    for number, (panel, other) in enumerate(zip(panels, others, strict=True)):
        calm(panel, grid="both")
        panel.set_ylim(low, high)
        _fit_across(panel, [float(p[other]) for p in points if p.get(other) is not None], other)
        for point in points:
            if point.get(other) is not None and point.get("r2") is not None:
                style = _style(point, front=front, closed=closed)
                _draw_point(panel, float(point[other]), float(point["r2"]), style)
                if point["trial"] == recommended:
                    panel.plot([float(point[other])], [float(point["r2"])], **_RING)
        headed(panel, _TITLES.get(other, wording(other).title))
        panel.set_xlabel(_AXES.get(other, other), fontsize=TEXT, color=MUTED, labelpad=1.5)
        if number % columns == 0:
            panel.set_ylabel(_AXES["r2"], fontsize=TEXT, color=MUTED, labelpad=2)
    _draw_key(ax, has_pruned=any(point["state"] == "pruned" for point in points), columns=5 if is_wide else 2)
    return ax


def _style(point: Mapping[str, Any], *, front: Sequence[int], closed: Sequence[int]) -> dict[str, Any]:
    if point["state"] != "complete":
        return _PRUNED
    if point["trial"] in closed:
        return _CLOSED
    return _ON_FRONT if point["trial"] in front else _BEHIND


def _draw_point(axes: "Axes", x: float, y: float, style: Mapping[str, Any]) -> None:
    low, _ = axes.get_ylim()
    if y >= low:
        axes.plot([x], [y], linestyle="none", **style)
        return
    axes.plot([x], [0.02], transform=axes.get_xaxis_transform(), linestyle="none", **{**style, "marker": "v"})


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Show the upper half of the trials, and of the lower half what is not far below."""
    high, middle = max(values), median(values)
    reach = 3.0 * (high - middle) or 0.05 * abs(high) or 0.05
    low = min(value for value in values if value >= middle - reach)
    pad = 0.08 * (high - low) or reach
    return low - pad, high + pad


def _fit_across(axes: "Axes", values: Sequence[float], name: str) -> None:
    positive = sorted(value for value in values if value > 0)
    if name != "map_curvature" or not positive:
        axes.margins(x=0.08)
        axes.locator_params(axis="x", nbins=5)
        return
    # Curvature goes from zero, every affine map, over decades.
    edge = 10.0 ** floor(log10(max(positive[0], 1e-4 * positive[-1])))
    axes.set_xscale("symlog", linthresh=edge, linscale=0.6)
    axes.set_xlim(-0.25 * edge, positive[-1] * 2.0)
    powers = [edge * 10.0**k for k in range(12) if edge * 10.0**k <= positive[-1] * 2.0]
    step = 1 + len(powers) // 4
    axes.set_xticks([0.0, *powers[::step]], ["0", *(_power(power) for power in powers[::step])])
    axes.minorticks_off()


def _power(value: float) -> str:
    return "10" + str(round(log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


_ON_FRONT: dict[str, Any] = {"marker": "o", "markersize": 5.5, "color": _FRONT, "zorder": 4}
_BEHIND: dict[str, Any] = {
    "marker": "o",
    "markersize": 5.0,
    "color": MUTED,
    "markerfacecolor": SURFACE,
    "markeredgewidth": 1.0,
    "zorder": 3,
}
_CLOSED: dict[str, Any] = {"marker": "D", "markersize": 6.0, "color": INK, "zorder": 5}
_PRUNED: dict[str, Any] = {
    "marker": "x",
    "markersize": 4.5,
    "color": MUTED,
    "markeredgewidth": 1.0,
    "zorder": 2,
}
_RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 12.0,
    "color": INK,
    "markerfacecolor": "none",
    "markeredgewidth": 1.2,
    "linestyle": "none",
    "zorder": 6,
}


def _draw_key(ax: "Axes", *, has_pruned: bool, columns: int) -> None:
    from matplotlib.lines import Line2D

    entries = [
        ("on the front", _ON_FRONT),
        ("beaten by another", _BEHIND),
        *([("given up early", _PRUNED)] if has_pruned else []),
        ("closed form", _CLOSED),
        ("recommended", {**_RING, "markersize": 9.0}),
    ]
    legend(
        ax,
        handles=[Line2D([], [], **{**style, "linestyle": "none"}) for _, style in entries],
        labels=[name for name, _ in entries],
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        borderaxespad=0.1,
        columnspacing=1.1,
        handletextpad=0.4,
    )
