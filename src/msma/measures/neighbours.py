"""Exact nearest neighbours by blocked matrix products."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msma.errors import ShapeError

_BLOCK = 512
#: Coordinates of neighbours gathered at a time, 32 MB.
_GATHERED = 4_000_000
#: Samples nearer than this share of the root mean square radius are one sample computed twice.
_SAME = 1e-5


def nearest_neighbours(points: Float[Tensor, "samples d"], *, k: int) -> Int[Tensor, "samples k"]:
    """Find the nearest neighbours of each sample, itself left out, by Euclidean distance.

    Args:
        points: Samples in rows.
        k: Neighbours.

    Returns:
        Positions of the neighbours, nearest first.

    Raises:
        ShapeError: When ``k`` is not between 1 and the number of samples less one.

    Examples:
        >>> nearest_neighbours(torch.tensor([[0.0], [1.0], [3.0]]).double(), k=1).flatten().tolist()
        [1, 0, 1]
    """
    n = len(points)
    if not 1 <= k < n:
        raise ShapeError(f"k={k} neighbours were asked of {n} samples; expected 1 to {n - 1}")
    centred = (points - points.mean(dim=0)).detach()
    norms = centred.square().sum(dim=1)
    found = torch.empty(n, k, dtype=torch.long, device=points.device)
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        # |x - y|^2 less the row's own norm, which changes no order.
        gaps = norms[None, :] - 2.0 * centred[start:stop] @ centred.T
        gaps[torch.arange(stop - start), torch.arange(start, stop)] = torch.inf
        found[start:stop] = gaps.topk(k, dim=1, largest=False).indices
    return found


def neighbour_distances(
    points: Float[Tensor, "samples d"], *, k: int
) -> tuple[Float[Tensor, "kept k"], Int[Tensor, "kept k"], Int[Tensor, " kept"]]:
    """Measure the distances to the nearest neighbours, after dropping samples that repeat another.

    Texts repeat, and a distance of zero says nothing about dimension; of samples nearer to each other than
    1e-5 of the cloud's radius one is kept. Distances are taken from differences of coordinates, so that small
    ones keep their digits, and are differentiable.

    Args:
        points: Samples in rows.
        k: Neighbours.

    Returns:
        Distances, nearest first; the neighbours' positions among the samples kept; which samples were kept.

    Raises:
        ShapeError: When fewer than ``k`` + 2 different samples remain.

    Examples:
        >>> distances, _, kept = neighbour_distances(torch.tensor([[0.0], [1.0], [3.0], [3.0]]).double(), k=1)
        >>> distances.flatten().tolist(), kept.tolist()
        ([1.0, 1.0, 2.0], [0, 1, 2])
    """
    kept = torch.arange(len(points), device=points.device)
    radius = (points - points.mean(dim=0)).square().sum(dim=1).mean().sqrt().detach()
    while True:
        part = points[kept]
        if len(part) < k + 2:
            raise ShapeError(
                f"{len(points)} samples came, fewer than {k + 2} of them different; {k} neighbours of each "
                "need that many: give more samples or ask for fewer neighbours"
            )
        near = nearest_neighbours(part, k=k)
        distances, near = _measure(part, near)
        own = torch.arange(len(part), device=points.device)[:, None]
        repeats = ((distances <= _SAME * radius) & (near < own)).any(dim=1)
        if not bool(repeats.any()):
            return distances, near, kept
        kept = kept[~repeats]


def _measure(
    points: Float[Tensor, "samples d"], near: Int[Tensor, "samples k"]
) -> tuple[Float[Tensor, "samples k"], Int[Tensor, "samples k"]]:
    size = max(1, _GATHERED // (near.shape[1] * points.shape[1]))
    parts = []
    for start in range(0, len(points), size):
        block = near[start : start + size]
        gaps = points[start : start + size, None, :] - points[block]
        parts.append(torch.linalg.vector_norm(gaps, dim=2))
    # Selection rounds differently from measurement; the order must be that of the measured distances.
    distances, order = torch.cat(parts).sort(dim=1)
    return distances, near.gather(1, order)
