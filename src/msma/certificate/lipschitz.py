"""How much a map can stretch a distance, which is what an error grows by when a second map follows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from msma.linalg import check_pairs
from msma.maps import BaseMap
from msma.maps.linear import LinearMap
from msma.measures.bending import second_derivative

_STEPS = 20
#: Samples where the power iteration found most, whose derivative is then decomposed exactly.
_FINALISTS = 8
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)

Rowwise = Callable[[Tensor], Tensor]


class Stretch(NamedTuple):
    """What bounds ||f(a) - f(b)|| by L ||a - b|| + M ||a - b||^2 / 2.

    Args:
        lipschitz: L, the largest spectral norm of the derivative at b.
        bend: M, the largest second derivative along a - b; 0 for an affine map.
        is_exact: Whether L and M hold for all points, or are the largest seen on the samples.
    """

    lipschitz: float
    bend: float
    is_exact: bool


def measure_stretch(
    map_: BaseMap,
    base: Float[np.ndarray, "samples d_source"],
    moved: Float[np.ndarray, "samples d_source"],
    *,
    seed: int = 0,
) -> Stretch | None:
    r"""Measure how much a map stretches distances around samples.

    .. math:: \|f(a) - f(b)\| \le \|J(b)\|\,\|a - b\| + \tfrac12 M\,\|a - b\|^2, \qquad
              M = \sup_{t \in [0, 1]} \frac{\|D^2f(b + t(a - b))[a - b, a - b]\|}{\|a - b\|^2}

    (Taylor's theorem with the integral remainder.) For an affine map L is the spectral norm of its
    coefficients and M = 0, exactly and everywhere. For other maps L is the largest spectral norm of J at the
    samples: power iteration on all of them, the full derivative at the eight steepest; and M the largest
    second derivative along a - b at five points of each segment. Those are the largest *seen*.

    Args:
        map_: A fitted map.
        base: The points b: the map's true inputs.
        moved: The points a: what a first map gives in their place; row i belongs to row i.
        seed: Fixes the starts of the power iteration.

    Returns:
        L and M; ``None`` where the map cannot be differentiated.

    Examples:
        >>> from msma.maps import ProcrustesMap
        >>> x = np.random.default_rng(0).normal(size=(20, 2))
        >>> stretch = measure_stretch(ProcrustesMap().fit(x, 3 * x), x, x + 1)
        >>> round(stretch.lipschitz, 6), stretch.bend, stretch.is_exact
        (3.0, 0.0, True)
    """
    if isinstance(map_, LinearMap):
        return Stretch(float(np.linalg.norm(map_.coef_, 2)), 0.0, True)
    base, moved = check_pairs(base, moved)
    points = torch.tensor(base, dtype=torch.float64)
    steps = torch.tensor(moved, dtype=torch.float64) - points
    try:
        bend = _bend(map_.transform, points, steps)
        return Stretch(_steepest(map_.transform, points, seed=seed), bend, False)
    except (RuntimeError, TypeError):  # what torch raises when a transform leaves the graph
        return None


def _steepest(function: Rowwise, points: Float[Tensor, "samples d"], *, seed: int) -> float:
    """Find the largest spectral norm of the derivative over the points."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(points.shape, generator=generator, dtype=points.dtype)
    norms = torch.zeros(len(points), dtype=points.dtype)
    for _ in range(_STEPS):
        vectors = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(torch.finfo(points.dtype).tiny)
        # Rows do not mix, so one product with the derivative serves all points at once.
        pushed = _push(function, points, vectors)
        norms = pushed.norm(dim=1)
        pull: Any = torch.func.vjp(function, points)[1]
        (vectors,) = pull(pushed)
    largest = float(norms.max())
    eye = torch.eye(points.shape[1], dtype=points.dtype)
    for row in norms.topk(min(_FINALISTS, len(points))).indices.tolist():
        repeated = points[row].expand_as(eye).contiguous()
        derivative = _push(function, repeated, eye)
        largest = max(largest, float(torch.linalg.matrix_norm(derivative, 2)))
    return largest


def _push(
    function: Rowwise, points: Float[Tensor, "samples d"], vectors: Float[Tensor, "samples d"]
) -> Float[Tensor, "samples d_target"]:
    """Multiply the derivative at each point with a vector; ``strict`` refuses a map that leaves the graph."""
    pushed: Tensor = torch.func.jvp(function, (points,), (vectors,), strict=True)[1]
    return pushed


def _bend(function: Rowwise, points: Float[Tensor, "samples d"], steps: Float[Tensor, "samples d"]) -> float:
    """Find the largest second derivative along the steps, relative to their squared length."""
    lengths = steps.square().sum(dim=1)
    moving = lengths > 0
    if not bool(moving.any()):
        return 0.0
    points, steps, lengths = points[moving], steps[moving], lengths[moving]

    largest = 0.0
    for share in _PLACES:
        second = second_derivative(function, points + share * steps, steps, steps)
        largest = max(largest, float((second.norm(dim=1) / lengths).max()))
    return largest
