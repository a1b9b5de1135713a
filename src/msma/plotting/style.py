"""How every figure looks: widths, sizes, colours, and how figures are made.

Colours are told apart by people with any colour vision, differ in lightness, and are never the only sign:
position, marker or hatching says the same. Settings of matplotlib itself are left alone.
"""

from math import ceil
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from msma._types import SCALES
from msma.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Widths of one and of two columns of a page, in inches.
COLUMN, PAGE = 3.5, 7.0
#: Size of text in points: 8.5 points are 11 pixels on a screen.
TEXT, TITLE = 8.5, 9.5
#: Colour of each scale.
SCALE_COLOURS: dict[str, str] = dict(zip(SCALES, ("#c87a00", "#00836b", "#2653a3"), strict=True))
#: Marker of each scale, for readers who do not see the colours.
SCALE_MARKERS: dict[str, str] = dict(zip(SCALES, ("s", "^", "o"), strict=True))
INK, MUTED, GRID, SURFACE = "#1c1f26", "#565c69", "#dfe2e8", "#ffffff"
#: Colours of label values; the last one is everything else.
CATEGORIES = ("#6b3fb4", "#ba352d", "#0392ca", "#8f8a18", "#d3649a", "#4d515b")
#: Light to dark, for what goes from little to much.
RAMP = (
    "#f4f2f8",
    "#e8e3f1",
    "#dbd4ea",
    "#cec4e2",
    "#c0b4da",
    "#b1a3d1",
    "#a192c7",
    "#9181bc",
    "#8070b0",
    "#6f5fa3",
    "#5d4e94",
    "#4a3c82",
)
#: Less to more, for what goes either way from nothing (the middle one); ink is readable on each.
DIVERGING = (
    "#6aaad3",
    "#92c5de",
    "#b9d9ea",
    "#dbe9f2",
    "#f5f5f4",
    "#fbe3d4",
    "#f8c5a7",
    "#f2a37c",
    "#e57f5b",
)


@runtime_checkable
class RowLike(Protocol):
    """What a figure needs of a row of results; see :class:`msma.results.Row`."""

    @property
    def metric(self) -> str:
        """Name of the quantity."""

    @property
    def value(self) -> float | None:
        """The estimate."""

    @property
    def low(self) -> float | None:
        """Lower end of its interval."""

    @property
    def high(self) -> float | None:
        """Upper end of its interval."""

    @property
    def null(self) -> float | None:
        """The value where there is nothing to find."""

    @property
    def floor(self) -> float | None:
        """The best this sample can show."""

    @property
    def ceiling(self) -> float | None:
        """The largest attainable value."""

    @property
    def units(self) -> str:
        """Its units."""

    @property
    def better(self) -> str:
        """Which direction is better."""

    @property
    def source(self) -> str | None:
        """Scale mapped from."""

    @property
    def target(self) -> str | None:
        """Scale mapped to."""

    @property
    def layer(self) -> int | None:
        """Layer entry."""

    @property
    def split(self) -> str | None:
        """Part of the texts."""

    @property
    def map(self) -> str | None:
        """Map applied to the source."""


def new_figure(width: float, height: float) -> "Figure":
    """Make an empty figure that belongs to no window.

    Args:
        width: Its width in inches.
        height: Its height in inches.

    Returns:
        The figure.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", extra="report") from error
    return Figure(figsize=(width, height), facecolor=SURFACE, edgecolor=SURFACE)


def single_axes(ax: "Axes | None", *, width: float, height: float) -> "Axes":
    """Return the axes given, or those of a new figure that keeps room for their labels.

    Args:
        ax: Axes to draw on, or ``None``.
        width: Width of a new figure in inches.
        height: Its height in inches.

    Returns:
        The axes, in the house style.
    """
    if ax is None:
        figure = new_figure(width, height)
        figure.set_layout_engine("constrained")
        ax = figure.add_subplot()
    calm(ax)
    return ax


def calm(ax: "Axes", *, grid: str | None = None) -> None:
    """Take away what is not needed for reading: box, tick marks, loud colours.

    Args:
        ax: The axes.
        grid: Axis whose values get thin lines: "x", "y" or "both".
    """
    ax.set_facecolor("none")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(MUTED)
        ax.spines[side].set_linewidth(0.6)
    ax.tick_params(which="both", labelsize=TEXT, colors=MUTED, labelcolor=INK, length=2.5, width=0.6)
    ax.tick_params(which="minor", length=1.5, width=0.4)
    ax.xaxis.label.set(size=TEXT, color=INK)
    ax.yaxis.label.set(size=TEXT, color=INK)
    ax.set_axisbelow(True)
    if grid is not None:
        ax.grid(axis=grid, color=GRID, linewidth=0.6)  # type: ignore[arg-type,unused-ignore]


def headed(ax: "Axes", text: str, *, below: str = "", is_raised: bool = False) -> None:
    """Write a panel's heading above its left edge.

    Args:
        ax: The axes.
        text: The heading.
        below: A second line in small type.
        is_raised: Whether to leave room for that line even where there is none, as other panels have one.
    """
    ax.set_title(
        text, loc="left", fontsize=TITLE, color=INK, fontweight="bold", pad=17 if below or is_raised else 5
    )
    if below:
        ax.annotate(
            below,
            xy=(0.0, 1.0),
            xytext=(0, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=TEXT,
            color=MUTED,
            annotation_clip=False,
        )


def legend(ax: "Axes", **options: Any) -> None:
    """Draw a legend without a box.

    Args:
        ax: The axes whose labelled artists are listed.
        **options: Passed on to matplotlib.
    """
    settings: dict[str, Any] = {"frameon": False, "fontsize": TEXT, "labelcolor": INK, "handlelength": 1.6}
    ax.legend(**{**settings, **options})


def panel_grid(
    ax: "Axes | None",
    count: int,
    *,
    width: float,
    height: float,
    columns: int,
    left: float = 0.55,
    gap: float | None = None,
    top: float = 0.3,
    bottom: float = 0.35,
    head: float = 0.0,
) -> tuple["Axes", list["Axes"]]:
    """Divide axes into a grid of panels, measured in inches so that text never collides.

    Args:
        ax: Axes to divide; a new figure's when left out.
        count: Number of panels.
        width: Width of a new figure.
        height: Height of one panel's drawing area in a new figure.
        columns: Panels side by side.
        left: Room left of the first column.
        gap: Room left of the other columns; as for the first when left out.
        top: Room above each panel, for its heading.
        bottom: Room below each panel, for its axis.
        head: Room above everything, for a legend.

    Returns:
        The whole, invisible but for what is in it, and the panels in reading order.
    """
    gap = left if gap is None else gap
    columns = min(columns, count)
    lines = ceil(count / columns)
    if ax is None:
        figure = new_figure(width, head + lines * (top + height + bottom))
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_axis_off()
    box = ax.get_position()
    owner: Any = ax.get_figure(root=True)
    size = owner.get_size_inches()
    whole, tall = float(size[0]) * box.width, float(size[1]) * box.height
    each = (whole - left - gap * (columns - 1) - 0.12) / columns
    high = (tall - head) / lines - top - bottom
    panels = []
    for number in range(count):
        line, column = divmod(number, columns)
        x = left + column * (each + gap)
        y = tall - head - (line + 1) * (top + high + bottom) + bottom
        panel = ax.inset_axes((x / whole, y / tall, each / whole, high / tall))
        calm(panel)
        panels.append(panel)
    return ax, panels
