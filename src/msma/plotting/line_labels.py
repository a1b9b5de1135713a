"""Names beside the ends of lines, instead of a legend."""

from collections.abc import Sequence
from math import log10
from typing import TYPE_CHECKING, Any

from msma.plotting.style import CATEGORIES, INK, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Height of a line of text in inches.
_LINE = 0.135


def label_ends(
    panel: "Axes",
    labels: Sequence[str],
    ends: Sequence[tuple[float, float]],
    *,
    start: float,
    per_inch: float,
    markers: Sequence[str],
) -> None:
    """Write each label at the height where its line ends, moved apart where they would touch, joined by a thin line.

    Args:
        panel: Axes whose limits are set, linear or logarithmic in y.
        labels: What each line is called, at most as many as there are colours.
        ends: Where each line ends.
        start: Where along x the room for labels begins.
        per_inch: How many units of x an inch of the panel holds.
        markers: Marker of each line.

    Examples:
        >>> from msma.plotting.style import new_figure
        >>> panel = new_figure(3.5, 2).add_subplot()
        >>> label_ends(panel, ["a", "b"], [(1, 0.5), (1, 0.5)], start=1.0, per_inch=0.3, markers=("o", "s"))
        >>> heights = [text.xy[1] for text in panel.texts]
        >>> bool(heights[0] < heights[1])
        True
    """
    low, high = panel.get_ylim()
    is_log = panel.get_yscale() == "log"
    owner: Any = panel.get_figure(root=True)
    height = float(panel.get_position().height * owner.get_size_inches()[1]) or 1.0
    step = min(_LINE / height, 1.0 / len(ends))

    def share(value: float) -> float:
        return (
            (log10(value) - log10(low)) / (log10(high) - log10(low))
            if is_log
            else (value - low) / (high - low)
        )

    order = sorted(range(len(ends)), key=lambda number: ends[number][1])
    places = spread_apart([share(ends[number][1]) for number in order], step)
    for number, place in zip(order, places, strict=True):
        x, y = ends[number]
        colour = CATEGORIES[number]
        corner, stop = start + 0.02 * per_inch, start + 0.18 * per_inch
        at = low * (high / low) ** place if is_log else low + place * (high - low)
        panel.plot([x, corner, stop], [y, y, at], color=colour, linewidth=0.6, zorder=3)
        panel.plot([stop], [at], color=colour, marker=markers[number], markersize=3.4, zorder=3)
        panel.annotate(
            labels[number],
            xy=(stop, at),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=TEXT,
            color=INK,
            annotation_clip=False,
        )


def spread_apart(places: Sequence[float], step: float) -> list[float]:
    """Move ascending places apart by at least a step, below 1, the first ones staying where they can.

    Args:
        places: From 0 to 1, ascending.
        step: Least distance; no more than one over their number.

    Returns:
        The places.

    Examples:
        >>> spread_apart([0.1, 0.5, 0.5], 0.25), spread_apart([1.0, 1.0], 0.25)
        ([0.1, 0.5, 0.75], [0.625, 0.875])
    """
    spread = list(places)
    for number in range(1, len(spread)):
        spread[number] = max(spread[number], spread[number - 1] + step)
    top = 1.0 - step / 2
    for number in range(len(spread) - 1, -1, -1):
        spread[number] = min(spread[number], top)
        top = spread[number] - step
    return spread
