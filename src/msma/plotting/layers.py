"""Figures whose axis is the depth of the model: bands, votes, similarity, signals."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from msma._types import SCALES
from msma.errors import ShapeError
from msma.plotting.style import (
    GRID,
    INK,
    MUTED,
    PAGE,
    SCALE_COLOURS,
    SURFACE,
    TEXT,
    headed,
    legend,
    panel_grid,
    single_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Votes = tuple[Sequence[float], Sequence[float]]

_SHORT = {"local": "local", "intermediate": "inter.", "global": "global"}
#: Profile: heading, and whether a value belongs to the gap between two layers rather than to a block.
_PROFILES = {
    ("attention", "distance"): "Attention distance / uniform",
    ("attention", "entropy"): "Attention entropy / uniform",
    ("attention", "sink_share"): "Weight on the first token",
    ("information", "mi"): "Information with next layer, nats",
}


def check_boundaries(n_layers: int, boundaries: tuple[int, int]) -> None:
    """Refuse boundaries that leave a scale without layers.

    Args:
        n_layers: Layer entries.
        boundaries: First layer of the intermediate and of the global scale.

    Raises:
        ShapeError: When they are not in order within the layers.
    """
    first, second = boundaries
    if not 0 < first < second < n_layers:
        raise ShapeError(
            f"boundaries {first} and {second} came for {n_layers} layer entries; "
            f"expected two layers in order between 1 and {n_layers - 1}"
        )


def scale_edges(n_layers: int, boundaries: tuple[int, int]) -> list[tuple[str, float, float]]:
    """Place the scales on an axis where layer ``l`` covers ``l`` plus and minus a half.

    Args:
        n_layers: Layer entries.
        boundaries: First layer of the intermediate and of the global scale.

    Returns:
        Each scale with its lower and upper edge.

    Examples:
        >>> scale_edges(7, (3, 5))
        [('local', -0.5, 2.5), ('intermediate', 2.5, 4.5), ('global', 4.5, 6.5)]
    """
    edges = (0, *boundaries, n_layers)
    return [(scale, a - 0.5, b - 0.5) for scale, (a, b) in zip(SCALES, pairwise(edges), strict=True)]


def _depth_axis(ax: "Axes", n_layers: int, *, width: float, label: str = "layer (0 = embeddings)") -> None:
    step = max(1, ceil(n_layers / (4.5 * width)))
    ax.set_xlim(-0.6, n_layers - 0.4)
    ax.set_xticks(range(0, n_layers, step))
    ax.set_xlabel(label)


def plot_bands(
    n_layers: int,
    boundaries: tuple[int, int],
    *,
    votes: Mapping[str, Votes] | None = None,
    published: tuple[int, int] | None = None,
    ax: "Axes | None" = None,
    width: float = PAGE,
) -> "Axes":
    """Draw the three scales as bands over the layers, with the votes of each signal below.

    Args:
        n_layers: Layer entries, the embedding output included.
        boundaries: First layer of the intermediate and of the global scale.
        votes: For each signal, the share of votes for each layer as first of the intermediate scale (plain
            bars) and of the global scale (hatched bars).
        published: Boundaries printed in the paper for the same architecture.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes.

    Raises:
        ShapeError: When boundaries do not fit the layers, or votes have another length.

    Examples:
        >>> axes = plot_bands(13, (3, 9), published=(3, 9))
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['this study', 'published']
    """
    rows: list[tuple[str, tuple[int, int], Votes | None]] = [("this study", boundaries, None)]
    if published is not None:
        rows.append(("published", published, None))
    for name, ballots in (votes or {}).items():
        if [len(shares) for shares in ballots] != [n_layers, n_layers]:
            raise ShapeError(
                f"votes of '{name}' came for {[len(s) for s in ballots]} layers; expected 2 rows of {n_layers}"
            )
        rows.append((name, boundaries, ballots))
    heights = [0.62 if pair is not None else 0.4 for *_, pair in rows]
    ax = single_axes(ax, width=width, height=0.62 + sum(heights) + 0.1 * len(rows) + (0.35 if votes else 0.0))
    base = 0.0
    middles = []
    for (_, split, pair), height in zip(rows, heights, strict=True):
        check_boundaries(n_layers, split)
        base -= height + 0.1
        middles.append(base + height / 2)
        if pair is None:
            _draw_band(ax, n_layers, split, base=base, height=height, inches=(width - 1.1) / n_layers)
        else:
            _draw_votes(ax, pair, base=base, height=height)
    for boundary in boundaries:
        ax.plot([boundary - 0.5] * 2, [base, -0.1], color=INK, linewidth=1.0, linestyle=(0, (3, 2)), zorder=3)
    ax.set_ylim(base - 0.06, 0.0)
    ax.set_yticks(middles, [name for name, *_ in rows])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    _depth_axis(ax, n_layers, width=width)
    if votes:
        _draw_vote_key(ax, is_wide=width > 5, below=0.45 / sum(heights))
    return ax


def _draw_vote_key(ax: "Axes", *, is_wide: bool, below: float) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=SCALE_COLOURS["intermediate"], edgecolor=SCALE_COLOURS["intermediate"]),
        Patch(facecolor=SURFACE, edgecolor=SCALE_COLOURS["global"], hatch="//////"),
    ]
    labels = ["votes for the first intermediate layer", "votes for the first global layer"]
    columns = 2 if is_wide else 1
    legend(
        ax, handles=handles, labels=labels, loc="upper center", bbox_to_anchor=(0.5, -below), ncols=columns
    )


def _draw_band(
    ax: "Axes", n_layers: int, boundaries: tuple[int, int], *, base: float, height: float, inches: float
) -> None:
    for scale, low, high in scale_edges(n_layers, boundaries):
        colour = SCALE_COLOURS[scale]
        ax.bar(
            low + 0.04, height, width=high - low - 0.08, bottom=base, align="edge", color=colour, alpha=0.22
        )
        ax.bar(low + 0.04, 0.06, width=high - low - 0.08, bottom=base, align="edge", color=colour)
        room = (high - low) * inches
        name = next((n for n in (scale, _SHORT[scale], scale[0].upper()) if 0.085 * len(n) <= room), "")
        ax.text(
            (low + high) / 2,
            base + height / 2 + 0.02,
            name,
            ha="center",
            va="center",
            fontsize=TEXT,
            color=INK,
        )


def _draw_votes(ax: "Axes", votes: Votes, *, base: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    for scale, shares, side, hatch in zip(SCALES[1:], votes, (-0.34, 0.0), (None, "//////"), strict=True):
        colour = SCALE_COLOURS[scale]
        for layer, share in enumerate(shares):
            if share < 0.005:
                continue
            # A vote for layer l puts the boundary on the edge before l; the second's bars stand right of it.
            corner = (layer - 0.5 + side, base)
            bar = Rectangle(
                corner,
                0.34,
                share * height * 0.8,
                facecolor=SURFACE if hatch else colour,
                edgecolor=colour,
                hatch=hatch,
                linewidth=0.8,
            )
            ax.add_patch(bar)
        top = int(np.argmax(shares))
        ax.text(
            top - 0.5 + (0.05 if hatch else -0.05),
            base + shares[top] * height * 0.8 + 0.01,
            f"{shares[top]:.0%}",
            ha="left" if hatch else "right",
            va="bottom",
            fontsize=TEXT,
            color=INK,
        )
    ax.axhline(base, color=GRID, linewidth=0.8, zorder=0)


def plot_signals(
    profiles: Mapping[str, Mapping[str, Any]],
    *,
    n_layers: int,
    boundaries: tuple[int, int] | None = None,
    ax: "Axes | None" = None,
    width: float = PAGE,
) -> "Axes":
    """Draw what the attention and information signals read at each depth.

    Args:
        profiles: By signal: "attention" with ``distance``, ``distance_raw``, ``entropy``, ``sink_share`` for
            blocks 1 to N, and "information" with ``mi`` for the gaps between neighbouring layers.
        n_layers: Layer entries.
        boundaries: First layer of the intermediate and of the global scale.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; each profile is a panel within them.

    Raises:
        ShapeError: When there is nothing to draw, or a profile has another length.

    Examples:
        >>> axes = plot_signals({"information": {"mi": [3.0, 2.0, 3.0]}}, n_layers=4)
        >>> len(axes.child_axes)
        1
    """
    shown = [(key, head) for key, head in _PROFILES.items() if profiles.get(key[0], {}).get(key[1])]
    if not shown:
        raise ShapeError("profiles without attention or information came; expected at least one of them")
    columns = 2 if width > 5 else 1
    ax, panels = panel_grid(ax, len(shown), width=width, height=1.15, columns=columns, bottom=0.48)
    for panel, ((signal, name), head) in zip(panels, shown, strict=True):
        values = np.asarray(profiles[signal][name], dtype=np.float64)
        if len(values) != n_layers - 1:
            raise ShapeError(
                f"profile '{name}' came with {len(values)} values; expected {n_layers - 1} for "
                f"{n_layers} layer entries"
            )
        x = np.arange(1, n_layers) - (0.5 if signal == "information" else 0.0)
        panel.plot(
            x, values, color=INK, marker="o", markersize=3.2, linewidth=1.2, label="without first token"
        )
        if name == "distance" and "distance_raw" in profiles[signal]:
            raw = profiles[signal]["distance_raw"]
            panel.plot(x, raw, color=MUTED, linestyle="--", linewidth=1.0, label="all tokens")
            legend(panel, loc="best")
        _shade(panel, n_layers, boundaries)
        panel.grid(axis="y", color=GRID, linewidth=0.6)
        panel.margins(y=0.15)
        _depth_axis(panel, n_layers, width=width / columns, label="layer")
        headed(panel, head)
    return ax


def _shade(panel: "Axes", n_layers: int, boundaries: tuple[int, int] | None) -> None:
    if boundaries is None:
        return
    check_boundaries(n_layers, boundaries)
    panel.spines["bottom"].set_visible(False)
    for scale, low, high in scale_edges(n_layers, boundaries):
        panel.axvspan(low, high, color=SCALE_COLOURS[scale], alpha=0.1, linewidth=0)
        panel.plot(
            [low + 0.06, high - 0.06],
            [0.0, 0.0],
            color=SCALE_COLOURS[scale],
            linewidth=3,
            solid_capstyle="butt",
            transform=panel.get_xaxis_transform(),
            clip_on=False,
        )
