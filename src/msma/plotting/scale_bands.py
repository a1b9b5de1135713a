"""Scales behind lines that run over layers."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING

from msma._types import SCALES
from msma.plotting.style import INK, SCALE_COLOURS, TEXT, RowLike
from msma.plotting.widths import inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Names of each scale, the longest first, for the room there is.
SCALE_HEADS = {
    "local": ("local", "L"),
    "intermediate": ("intermediate", "inter.", "I"),
    "global": ("global", "G"),
}


def shade_scales(panel: "Axes", rows: Sequence[RowLike], *, per_inch: float) -> None:
    """Mark the scales of layers: faint bands behind, a coloured rule with their name below the axis.

    Args:
        panel: Axes with layers along x.
        rows: Rows by layer, with the scale of each layer in ``target``.
        per_inch: How many layers an inch of the panel holds.

    Examples:
        >>> from msma.plotting.style import new_figure
        >>> from msma.results import Row
        >>> panel = new_figure(3.5, 2).add_subplot()
        >>> shade_scales(panel, [Row(metric="m", value=1.0, target="local", layer=k) for k in range(3)], per_inch=1.0)
        >>> [text.get_text() for text in panel.texts]
        ['local']
    """
    layers = sorted({row.layer or 0 for row in rows})
    panel.set_xticks(
        layers[:: max(1, ceil(0.22 * len(layers) * per_inch / max(1, layers[-1] - layers[0] + 1)))]
    )
    draw_bands(panel, rows, per_inch=per_inch, room_of=lambda name: inches(name) + 0.06)


def draw_bands(
    panel: "Axes", rows: Sequence[RowLike], *, per_inch: float, room_of: Callable[[str], float]
) -> None:
    """Draw bands, rules and names of scales, and leave ticks as they are.

    Args:
        panel: Axes with layers along x.
        rows: Rows by layer, with the scale of each layer in ``target``.
        per_inch: How many layers an inch of the panel holds.
        room_of: Inches that a name needs; the longest name that has them is written, else the shortest.

    Examples:
        >>> from msma.plotting.style import new_figure
        >>> from msma.results import Row
        >>> panel = new_figure(3.5, 2).add_subplot()
        >>> rows = [Row(metric="m", value=1.0, target="local", layer=k) for k in range(3)]
        >>> draw_bands(panel, rows, per_inch=1.0, room_of=lambda name: float(len(name)))
        >>> [text.get_text() for text in panel.texts]
        ['L']
    """
    panel.spines["bottom"].set_visible(False)
    for scale in SCALES:
        own = [row.layer or 0 for row in rows if row.target == scale]
        if not own:
            continue
        low, high = min(own) - 0.5, max(own) + 0.5
        panel.axvspan(low, high, color=SCALE_COLOURS[scale], alpha=0.1, linewidth=0, zorder=0)
        panel.plot(
            [low + 0.06, high - 0.06],
            [0.0, 0.0],
            color=SCALE_COLOURS[scale],
            linewidth=3,
            solid_capstyle="butt",
            transform=panel.get_xaxis_transform(),
            clip_on=False,
        )
        room = (high - low) / per_inch
        name = next((n for n in SCALE_HEADS[scale] if room_of(n) <= room), SCALE_HEADS[scale][-1])
        panel.annotate(
            name,
            xy=((low + high) / 2, 0.0),
            xycoords=panel.get_xaxis_transform(),
            xytext=(0, -16),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=TEXT,
            color=INK,
            annotation_clip=False,
        )
