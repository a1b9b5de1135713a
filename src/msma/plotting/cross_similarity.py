"""The figure of how alike the layers of two models are."""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from msma.errors import ShapeError
from msma.plotting.layers import check_boundaries, scale_edges
from msma.plotting.scale_bands import SCALE_HEADS
from msma.plotting.similarity import _draw_cells, _draw_ramp
from msma.plotting.style import COLUMN, INK, MUTED, RAMP, SCALE_COLOURS, SURFACE, TEXT, single_axes
from msma.plotting.widths import fit, inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
#: How far the bars that name the scales stand from the cells, and how thick they are, as shares of the side.
_GAP, _THICK = 0.012, 0.026


def plot_cross_similarity(
    similarity: Float[np.ndarray, "layers_first layers_second"] | Sequence[Sequence[float]],
    boundaries: tuple[tuple[int, int], tuple[int, int]],
    *,
    names: tuple[str, str] = ("first", "second"),
    ax: "Axes | None" = None,
    width: float = COLUMN,
) -> "Axes":
    """Draw the similarity of every layer of one model to every layer of another.

    Scales of the same name are framed; the coloured bars are the scales of either model; a dot marks the best match
    of each layer of the first. Both sides are as long whatever the numbers of layers, so that equal depths lie on
    the diagonal.

    Args:
        similarity: One row a layer of the first, one column a layer of the second; not a number where unknown.
        boundaries: First layer of the intermediate and of the global scale, of either model.
        names: What the two are called.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes.

    Raises:
        ShapeError: When the similarity is not a matrix, or boundaries do not lie within its layers.

    Examples:
        >>> axes = plot_cross_similarity(np.eye(7), ((3, 5), (2, 4)), names=("a", "b"))
        >>> axes.get_xlabel(), axes.get_ylabel()
        ('layer of b', 'layer of a')
    """
    matrix = np.asarray(similarity, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ShapeError(
            f"a similarity of shape {matrix.shape} came; expected layers of one model x layers of another"
        )
    for n_layers, pair in zip(matrix.shape, boundaries, strict=True):
        check_boundaries(n_layers, pair)
    ax = single_axes(ax, width=width, height=width + 1.05)
    known = matrix[np.isfinite(matrix)]
    low = min(float(np.floor(known.min() * 10) / 10), 0.9) if known.size else 0.9
    share = (np.nan_to_num(matrix, nan=low) - low) / (1.0 - low)
    level = np.clip((share * len(RAMP)).astype(int), 0, len(RAMP) - 1)
    _draw_cells(ax, level)
    _leave_unknown(ax, matrix)
    _draw_scales(ax, matrix.shape, boundaries)
    _name_scales(ax, matrix.shape[1], boundaries[1], width=width)
    _mark_best(ax, matrix, dark=level >= len(RAMP) // 2, width=width)
    ax.set_box_aspect(1)
    _label(ax, matrix.shape, names=names, width=width)
    _draw_ramp(ax, low, width=width)
    return ax


def _leave_unknown(ax: "Axes", matrix: Float[np.ndarray, "layers_first layers_second"]) -> None:
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(~np.isfinite(matrix)).tolist():
        ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1.0, 1.0, color=SURFACE, linewidth=0))


def _draw_scales(
    ax: "Axes", shape: tuple[int, ...], boundaries: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    from matplotlib.patches import Rectangle

    n_first, n_second = shape
    edges = [scale_edges(n, pair) for n, pair in zip(shape, boundaries, strict=True)]
    outer = _GAP + _THICK
    for (scale, top, bottom), (_, left, right) in zip(*edges, strict=True):
        for colour, line in ((SURFACE, 2.4), (INK, 1.1)):
            frame = Rectangle(
                (left, top), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=line
            )
            ax.add_patch(frame)
        shade: dict[str, Any] = {"color": SCALE_COLOURS[scale], "linewidth": 0}
        # Bars are a little shorter than their scale, so that neighbours do not touch.
        across, down = 0.006 * n_second, 0.006 * n_first
        ax.add_patch(
            Rectangle(
                (left + across, -0.5 - outer * n_first),
                right - left - 2 * across,
                _THICK * n_first,
                **shade,
            )
        )
        ax.add_patch(
            Rectangle(
                (-0.5 - outer * n_second, top + down), _THICK * n_second, bottom - top - 2 * down, **shade
            )
        )
    ax.set_xlim(-0.5 - (outer + 0.01) * n_second, n_second - 0.5 + 0.01 * n_second)
    ax.set_ylim(n_first - 0.5 + 0.01 * n_first, -0.5 - (outer + 0.01) * n_first)


def _name_scales(ax: "Axes", n_layers: int, boundaries: tuple[int, int], *, width: float) -> None:
    """Write the names of the scales above the bars of the second model, as long as there is room."""
    for scale, left, right in scale_edges(n_layers, boundaries):
        room = (right - left) / n_layers * 0.82 * width
        heads = SCALE_HEADS[scale]
        ax.annotate(
            next((name for name in heads if inches(name) + 0.06 <= room), heads[-1]),
            xy=((left + right) / 2, 1.0),
            xycoords=ax.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=TEXT,
            color=INK,
            annotation_clip=False,
        )


def _mark_best(
    ax: "Axes",
    matrix: Float[np.ndarray, "layers_first layers_second"],
    *,
    dark: Bool[np.ndarray, "layers_first layers_second"],
    width: float,
) -> None:
    size = min(4.0, max(1.8, 40.0 * width / max(matrix.shape) / 3.5))
    for row, line in enumerate(matrix):
        if not np.isfinite(line).any():
            continue
        best = int(np.nanargmax(line))
        colour = SURFACE if dark[row, best] else INK
        ax.plot([best], [row], marker="o", markersize=size, color=colour, linestyle="none", markeredgewidth=0)


def _label(ax: "Axes", shape: tuple[int, ...], *, names: tuple[str, str], width: float) -> None:
    for axis, n_layers in ((ax.yaxis, shape[0]), (ax.xaxis, shape[1])):
        axis.set_ticks(range(0, n_layers, max(1, ceil(n_layers / (4.0 * width)))))
    room = 0.7 * width
    ax.set_xlabel(fit(f"layer of {names[1]}", room))
    ax.set_ylabel(fit(f"layer of {names[0]}", room))
    ax.annotate(
        fit(f"dot: best match of each layer of {names[0]}", 0.8 * width),
        xy=(0.0, 1.0),
        xytext=(0, 17),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=TEXT,
        color=MUTED,
        annotation_clip=False,
    )
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
