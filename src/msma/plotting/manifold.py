"""Figures of the shape of each scale, and of the scales side by side in a plane."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from msma.errors import ShapeError
from msma.plotting.style import (
    CATEGORIES,
    COLUMN,
    GRID,
    INK,
    MUTED,
    PAGE,
    SCALE_COLOURS,
    SCALE_MARKERS,
    TEXT,
    calm,
    headed,
    legend,
    panel_grid,
    single_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = {"local": "-", "intermediate": (0, (5, 1.5)), "global": (0, (1.5, 1.2))}
#: Markers of label values, in the order of the colours in CATEGORIES.
CATEGORY_MARKERS = ("o", "^", "s", "D", "P", "X")


def plot_spectra(
    spectra: Mapping[str, Sequence[float]], *, ax: "Axes | None" = None, width: float = COLUMN
) -> "Axes":
    """Draw each scale's share of the variance by component, both axes logarithmic.

    Args:
        spectra: By scale: shares, descending.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes.

    Raises:
        ShapeError: When a spectrum is empty.

    Examples:
        >>> axes = plot_spectra({"local": [0.5, 0.3, 0.2], "global": [0.8, 0.1, 0.1]})
        >>> axes.get_xscale()
        'log'
    """
    ax = single_axes(ax, width=width, height=2.5)
    for scale, shares in spectra.items():
        values = np.asarray(shares, dtype=np.float64)
        # Rounding leaves zeros and tiny negatives in the tail, which have no logarithm.
        values = values[values > 1e-9]
        if len(values) == 0:
            raise ShapeError(
                f"the spectrum of '{scale}' came without a positive share; expected at least one"
            )
        colour = SCALE_COLOURS.get(scale, INK)
        ranks = np.arange(1, len(values) + 1)
        ax.plot(ranks, values, color=colour, linestyle=_DASHES.get(scale, "-"), linewidth=1.6, label=scale)
    ax.set_xscale("log")
    ax.set_yscale("log")
    calm(ax, grid="both")
    _plain_ticks(ax, "x", "{:g}".format)
    _plain_ticks(ax, "y", _percent)
    ax.set_xlabel("component")
    ax.set_ylabel("share of the variance")
    legend(ax, loc="lower left")
    return ax


def plot_dimensions(
    dimensions: Mapping[str, Mapping[str, Sequence[float | int]]],
    *,
    ax: "Axes | None" = None,
    width: float = COLUMN,
) -> "Axes":
    """Draw each scale's estimated intrinsic dimension over the size of the neighbourhood.

    Args:
        dimensions: By scale: ``neighbours`` and, of equal length, ``mle``.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes.

    Raises:
        ShapeError: When the two lists of a scale differ in length.

    Examples:
        >>> axes = plot_dimensions({"local": {"neighbours": [5, 10], "mle": [12.0, 11.0]}})
        >>> axes.get_ylabel()
        'estimated dimension'
    """
    ax = single_axes(ax, width=width, height=2.5)
    sizes: set[int] = set()
    for scale, curve in dimensions.items():
        if len(curve["neighbours"]) != len(curve["mle"]):
            raise ShapeError(
                f"{len(curve['neighbours'])} neighbourhoods and {len(curve['mle'])} dimensions came for "
                f"'{scale}'; expected as many of each"
            )
        sizes.update(int(k) for k in curve["neighbours"])
        ax.plot(
            curve["neighbours"],
            curve["mle"],
            color=SCALE_COLOURS.get(scale, INK),
            linestyle=_DASHES.get(scale, "-"),
            marker=SCALE_MARKERS.get(scale, "o"),
            markersize=5,
            linewidth=1.4,
            label=scale,
        )
    ax.set_xscale("log")
    calm(ax, grid="y")
    ax.set_xticks(sorted(sizes), [str(k) for k in sorted(sizes)])
    ax.minorticks_off()
    ax.set_ylim(bottom=0.0)
    ax.locator_params(axis="y", nbins=5)
    ax.set_xlabel("neighbours")
    ax.set_ylabel("estimated dimension")
    # Above the lines: within the panel there is no corner that some model's lines do not cross.
    legend(
        ax,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=3,
        borderaxespad=0.1,
        columnspacing=1.0,
        handletextpad=0.4,
    )
    return ax


def _percent(share: float) -> str:
    return f"{share * 100:g}%"


def _plain_ticks(ax: "Axes", which: str, form: Any) -> None:
    """Write logarithmic ticks as plain numbers: powers set as mathematics become pictures in SVG."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    axis.set_minor_formatter(NullFormatter())


def rank_groups(labels: Sequence[str], *, most: int = 5) -> tuple[list[str], list[int]]:
    """Keep the most frequent label values and put the rest together.

    Args:
        labels: A label for each sample.
        most: Most values kept, when there are more than one above it.

    Returns:
        The values kept, the last being "all others" where something was put together, and each sample's number.

    Examples:
        >>> rank_groups(list("aabbcd"), most=2)
        (['a', 'b', 'all others'], [0, 0, 1, 1, 2, 2])
    """
    counts = Counter(labels)
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    if len(ranked) > most + 1:
        ranked = [*ranked[:most], "all others"]
    number = {value: index for index, value in enumerate(ranked)}
    return ranked, [number.get(value, len(ranked) - 1) for value in labels]


def plot_clouds(
    points: Mapping[str, Float[np.ndarray, "samples 2"] | Sequence[Sequence[float]]],
    *,
    mapped: Mapping[str, Float[np.ndarray, "samples 2"] | Sequence[Sequence[float]]] | None = None,
    labels: Sequence[str] | None = None,
    ax: "Axes | None" = None,
    width: float = PAGE,
) -> "Axes":
    """Draw the scales side by side in one plane, each sample joined to where the map puts it.

    Args:
        points: By scale: a position for each sample, in one frame.
        mapped: By target scale: where the map from the scale above puts each sample.
        labels: A label for each sample; the most frequent ones get a colour and a marker.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; each scale is a panel within them.

    Raises:
        ShapeError: When scales differ in their number of samples.

    Examples:
        >>> axes = plot_clouds({"local": np.zeros((4, 2)), "global": np.ones((4, 2))}, labels=list("aabb"))
        >>> len(axes.child_axes)
        2
    """
    arrays = {scale: np.asarray(xy, dtype=np.float64).reshape(-1, 2) for scale, xy in points.items()}
    moved = {scale: np.asarray(xy, dtype=np.float64).reshape(-1, 2) for scale, xy in (mapped or {}).items()}
    sizes = {len(xy) for xy in (*arrays.values(), *moved.values())} | ({len(labels)} if labels else set())
    if len(sizes) != 1 or not arrays:
        raise ShapeError(f"clouds of {sorted(sizes)} samples came; expected as many in each scale and label")
    names, codes = rank_groups(labels) if labels else ([], [0] * sizes.pop())
    is_wide = width > 5
    columns = len(arrays) if is_wide else 1
    side = (width - 0.24) / columns - 0.12
    ax, panels = panel_grid(
        ax, len(arrays), width=width, height=side, columns=columns, left=0.12, bottom=0.08, head=0.28
    )
    everything = np.vstack(list(arrays.values()))
    centre = (everything.max(axis=0) + everything.min(axis=0)) / 2
    reach = float((everything.max(axis=0) - everything.min(axis=0)).max()) / 2 * 1.06 or 1.0
    for panel, (scale, xy) in zip(panels, arrays.items(), strict=True):
        if scale in moved:
            steps = np.stack([moved[scale], xy], axis=1)
            panel.plot(steps[..., 0].T, steps[..., 1].T, color=MUTED, linewidth=0.5, alpha=0.45, zorder=1)
        for number in range(max(1, len(names))):
            kept = np.array([code == number for code in codes])
            colour = CATEGORIES[number] if names else SCALE_COLOURS.get(scale, INK)
            marker = CATEGORY_MARKERS[number] if names else SCALE_MARKERS.get(scale, "o")
            label = names[number] if names else None
            x, y = xy[kept].T
            panel.scatter(x, y, s=11, color=colour, marker=marker, linewidths=0, alpha=0.85, label=label)
        panel.set(xlim=centre[0] + np.array([-reach, reach]), ylim=centre[1] + np.array([-reach, reach]))
        panel.set_aspect("equal")
        panel.set(xticks=[], yticks=[])
        for spine in panel.spines.values():
            spine.set(visible=True, color=GRID)
        headed(panel, scale)
    if names:
        handles, texts = panels[0].get_legend_handles_labels()
        legend(
            ax,
            handles=handles,
            labels=texts,
            loc="upper left",
            ncols=6 if is_wide else 3,
            fontsize=TEXT,
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.2,
            columnspacing=1.0,
            handletextpad=0.2,
        )
    return ax
