"""The figure of a certificate: what is certified, estimated and shown at each blur."""

from collections.abc import Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from msma.errors import ShapeError
from msma.plotting.style import INK, MUTED, PAGE, SCALE_COLOURS, TEXT, calm, headed, legend, panel_grid
from msma.plotting.words import pair_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Divergences below this are drawn at the bottom: a thousandth of a nat is nothing.
_LEAST = 1e-3


@runtime_checkable
class CurvePointLike(Protocol):
    """What the figure needs of a point of the curve; see :class:`msma.certificate.CurvePoint`."""

    @property
    def source(self) -> str:
        """Scale mapped from."""

    @property
    def target(self) -> str:
        """Scale mapped to."""

    @property
    def share(self) -> float:
        """The blur over the target's spread."""

    @property
    def is_chosen(self) -> bool:
        """Whether the numbers of the certificate are for this blur."""

    @property
    def n_directions(self) -> int:
        """Directions of the target above the blur."""

    @property
    def certified(self) -> float:
        """Upper confidence limit of the bound."""

    @property
    def upper(self) -> float:
        """The bound as estimated."""

    @property
    def gaussian(self) -> float:
        """The bound from the W2 distance of Gaussian fits."""

    @property
    def estimate(self) -> float | None:
        """Gaussian KL of the smoothed laws."""

    @property
    def estimate_low(self) -> float | None:
        """Lower end of its interval."""

    @property
    def estimate_high(self) -> float | None:
        """Upper end of its interval."""

    @property
    def lower(self) -> float | None:
        """Classifier bound."""

    @property
    def lower_low(self) -> float | None:
        """Lower end of its interval."""

    @property
    def lower_high(self) -> float | None:
        """Upper end of its interval."""

    @property
    def null(self) -> float | None:
        """What a map that learned nothing is certified for."""


def plot_certificate(
    curve: Iterable[CurvePointLike], *, ax: "Axes | None" = None, width: float = PAGE
) -> "Axes":
    """Draw the bracket around the divergence over the blur, one panel a pair, both axes logarithmic.

    The certified limit on top, with the bound's own estimate below it, the Gaussian surrogate dashed, the
    estimated divergence with its interval, the classifier's bound with its interval, and the limit of a map
    that learned nothing dotted. The blur the certificate's numbers are for is marked.

    Args:
        curve: Points of all pairs.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; each pair is a panel within them.

    Raises:
        ShapeError: When no point came.

    Examples:
        >>> from types import SimpleNamespace
        >>> names = ("estimate", "lower", "null")
        >>> empty = {n + end: None for n in names for end in ("", "_low", "_high")}
        >>> blurs = ((0.5, 8.0), (1.0, 2.0), (2.0, 0.5))
        >>> points = [
        ...     SimpleNamespace(source="global", target="local", share=s, is_chosen=s == 1.0, n_directions=3,
        ...                     certified=u, upper=u, gaussian=u, **empty)
        ...     for s, u in blurs
        ... ]
        >>> plot_certificate(points).child_axes[0].get_title(loc="left")
        'global → local'
    """
    points = list(curve)
    pairs = list(dict.fromkeys((point.source, point.target) for point in points))
    if not pairs:
        raise ShapeError("0 points of a curve came; expected at least one blur of one pair")
    columns = min(len(pairs), 3 if width > 5 else 1)
    lines = 3 if width > 5 else 6
    ax, panels = panel_grid(
        ax,
        len(pairs),
        width=width,
        height=2.2,
        columns=columns,
        left=0.8,
        gap=0.3,
        top=0.42,
        bottom=0.5,
        head=0.17 * lines + 0.1,
    )
    top = max(float(part) for point in points for part in (point.certified, point.null or 0.0))
    for number, (panel, pair) in enumerate(zip(panels, pairs, strict=True)):
        members = sorted((p for p in points if (p.source, p.target) == pair), key=lambda p: p.share)
        _draw_panel(panel, members, top=top)
        if number % columns == 0:
            panel.set_ylabel("divergence, nats")
        else:
            panel.set_yticklabels([])
    handles, labels = panels[0].get_legend_handles_labels()
    # Colours tell the panels' targets apart, so the legend shows the kinds of lines in ink.
    samples: list[Any] = [copy(handle) for handle in handles]
    for handle in samples:
        handle.set_color(MUTED if handle.get_color() == MUTED else INK)
    legend(
        ax,
        handles=samples,
        labels=labels,
        loc="upper left",
        ncols=2 if width > 5 else 1,
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2,
        labelspacing=0.25,
    )
    return ax


def _draw_panel(panel: "Axes", points: Sequence[CurvePointLike], *, top: float) -> None:
    colour = SCALE_COLOURS.get(points[0].target, INK)
    shares = [point.share for point in points]
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_ylim(_LEAST, 2.0 * max(top, 2 * _LEAST))
    calm(panel, grid="y")

    def line(name: str, label: str, **options: Any) -> None:
        values = _drawable(points, name)
        if any(value == value for value in values):
            panel.plot(shares, values, **{"color": colour, "linewidth": 1.4, "label": label, **options})

    def band(low: str, high: str, **options: Any) -> None:
        panel.fill_between(shares, _drawable(points, low), _drawable(points, high), linewidth=0, **options)

    line("null", "certified for a map that learned nothing", color=MUTED, linestyle=":", linewidth=1.2)
    line("certified", "certified: at most", linewidth=2.0, marker="v", markersize=4.5)
    line("gaussian", "at most, were both Gaussian", linestyle=(0, (5, 1.5)), linewidth=1.2)
    band("upper", "certified", color=colour, alpha=0.35)
    line("estimate", "estimate, were both Gaussian", color=INK, linewidth=1.2, marker="o", markersize=3.5)
    band("estimate_low", "estimate_high", color=INK, alpha=0.15)
    line("lower", "classifier: at least", color=MUTED, linewidth=1.2, marker="^", markersize=4.5)
    band("lower_low", "lower_high", color=MUTED, alpha=0.2)
    below = ""
    for point in points:
        if point.is_chosen:
            panel.axvline(point.share, color=MUTED, linewidth=0.8, zorder=0)
            below = f"{point.n_directions} directions above the line"
    headed(panel, pair_name(points[0].source, points[0].target), below=below)
    panel.set_xlabel("blur / rms spread")
    _plain(panel)


def _drawable(points: Sequence[CurvePointLike], name: str) -> list[float]:
    """Give values a logarithmic axis can hold: what is below its bottom lies on it, what is missing is a gap."""
    values = (getattr(point, name) for point in points)
    return [float("nan") if value is None else max(float(value), _LEAST) for value in values]


def _plain(panel: "Axes") -> None:
    """Write logarithmic ticks as plain numbers, with the bottom as what it stands for."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(LogLocator(numticks=6))
        axis.set_minor_formatter(NullFormatter())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"≤{value:g}" if value <= _LEAST else f"{value:,.6g}")
    )
    panel.tick_params(labelsize=TEXT)
