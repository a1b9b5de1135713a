"""The figure of how alike all pairs of layers are."""

from collections.abc import Sequence
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from msma.errors import ShapeError
from msma.plotting.layers import check_boundaries, scale_edges
from msma.plotting.style import COLUMN, INK, MUTED, RAMP, SCALE_COLOURS, SURFACE, TEXT, single_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_similarity(
    similarity: Float[np.ndarray, "layers layers"] | Sequence[Sequence[float]],
    boundaries: tuple[int, int] | None = None,
    *,
    ax: "Axes | None" = None,
    width: float = COLUMN,
) -> "Axes":
    """Draw the similarity of all pairs of layers, the scales framed along the diagonal.

    Args:
        similarity: A symmetric matrix, 1 on the diagonal.
        boundaries: First layer of the intermediate and of the global scale.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes.

    Raises:
        ShapeError: When the matrix is not square.

    Examples:
        >>> axes = plot_similarity(np.eye(7), (3, 5))
        >>> axes.get_xlabel()
        'layer'
    """
    matrix = np.asarray(similarity, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise ShapeError(f"a similarity of shape {matrix.shape} came; expected a square matrix over layers")
    n_layers = len(matrix)
    ax = single_axes(ax, width=width, height=width * 1.08)
    low = float(np.floor(matrix.min() * 10) / 10)
    low = min(low, 0.9)
    level = np.clip(((matrix - low) / (1.0 - low) * len(RAMP)).astype(int), 0, len(RAMP) - 1)
    _draw_cells(ax, level)
    ax.set_aspect("equal")
    thick = 0.03 * n_layers  # of the bars that name the scales, in layers, so that their width stays the same
    ax.set_xlim(-0.6 - 1.6 * thick, n_layers - 0.4)
    ax.set_ylim(n_layers - 0.4, -0.6 - 1.6 * thick)
    if boundaries is not None:
        check_boundaries(n_layers, boundaries)
        for scale, start, end in scale_edges(n_layers, boundaries):
            _frame(ax, start, end, colour=SCALE_COLOURS[scale], thick=thick)
    step = max(1, ceil(n_layers / (4.0 * width)))
    ax.set_xticks(range(0, n_layers, step))
    ax.set_yticks(range(0, n_layers, step))
    ax.set_xlabel("layer")
    ax.set_ylabel("layer")
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    _draw_ramp(ax, low, width=width)
    return ax


def _draw_cells(ax: "Axes", level: Int[np.ndarray, "layers layers"]) -> None:
    from matplotlib.collections import PolyCollection

    shapes: dict[int, list[list[tuple[float, float]]]] = {}
    for row, line in enumerate(level.tolist()):
        column = 0
        # Neighbours of one colour become one rectangle: deep models would fill the page with paths.
        for value, run in groupby(line):
            count = len(list(run))
            left, right = column - 0.5, column + count - 0.5
            corners = [(left, row - 0.5), (right, row - 0.5), (right, row + 0.5), (left, row + 0.5)]
            shapes.setdefault(value, []).append(corners)
            column += count
    for value, rectangles in sorted(shapes.items()):
        cells = PolyCollection(rectangles, facecolors=RAMP[value], edgecolors=RAMP[value], linewidths=0.2)
        ax.add_collection(cells)


def _frame(ax: "Axes", start: float, end: float, *, colour: str, thick: float) -> None:
    from matplotlib.patches import Rectangle

    size = end - start
    ax.add_patch(Rectangle((start, start), size, size, fill=False, edgecolor=SURFACE, linewidth=2.4))
    ax.add_patch(Rectangle((start, start), size, size, fill=False, edgecolor=INK, linewidth=1.1))
    corner = -0.6 - 1.5 * thick
    ax.add_patch(Rectangle((start + 0.06, corner), size - 0.12, thick, color=colour, linewidth=0))
    ax.add_patch(Rectangle((corner, start + 0.06), thick, size - 0.12, color=colour, linewidth=0))


def _draw_ramp(ax: "Axes", low: float, *, width: float) -> None:
    bar = ax.inset_axes((0.0, -0.62 / (0.82 * width), 1.0, 0.035))
    edges = np.linspace(low, 1.0, len(RAMP) + 1)
    bar.bar(edges[:-1], 1.0, width=np.diff(edges), align="edge", color=RAMP, edgecolor=RAMP, linewidth=0.2)
    bar.set_xlim(low, 1.0)
    bar.set_yticks([])
    for spine in bar.spines.values():
        spine.set_visible(False)
    ticks = [low, (low + 1.0) / 2, 1.0]
    bar.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    bar.tick_params(labelsize=TEXT, labelcolor=INK, colors=MUTED, length=2.5, width=0.6)
    bar.set_xlabel("similarity (debiased CKA)", fontsize=TEXT, color=INK)
    bar.set_facecolor("none")
