"""How strongly a cloud of states bends: a local quadratic fit over the tangent plane."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from msma.errors import ConfigError, ShapeError
from msma.measures._inputs import States, to_tensor
from msma.measures.dimension import twonn_dimension
from msma.measures.neighbours import neighbour_distances

#: Neighbourhoods looked at; more only cost time, since they overlap.
_MOST_ANCHORS = 96
#: Highest tangent dimension looked at: 10 have 66 coefficients to fit from each neighbourhood.
_MOST_DIMENSIONS = 10


class Curvature(NamedTuple):
    """A curvature with its standard error.

    Args:
        value: Root mean square normal curvature, 1 / length; below 0 where the cloud bends less than noise.
        standard_error: Of the value, over neighbourhoods that do not overlap.
        dimension: Dimension of the tangent planes.
        k: Neighbours in each fit.
        radius: Root mean square distance of those neighbours; the fit is local where value x radius is small.
    """

    value: float
    standard_error: float
    dimension: int
    k: int
    radius: float

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % interval from the standard error."""
        half = 1.96 * self.standard_error
        return self.value - half, self.value + half


def curvature(
    states: States, *, k: int | None = None, dimension: int | None = None, seed: int = 0
) -> Curvature:
    r"""Estimate the curvature of the manifold the states lie on.

    Around each of up to 96 samples: tangent coordinates u from the leading components of the ``k`` nearest
    neighbours, the other components v fitted as :math:`v = a + Bu + \tfrac12 H[u, u]` by least squares. H is
    the second fundamental form (do Carmo 1992, chapter 6), and the value is

    .. math:: \kappa = \sqrt{\frac{1}{m}\left\langle \|H\|_F^2 - \hat\sigma^2\operatorname{tr}C\right\rangle}

    with m the dimension, C the covariance of the fitted entries of H in units of the residual variance: what
    noise alone would add to the square is taken out, so the mean square may come out below 0, in which case
    the value is minus the root of its size. 1 / r for a sphere of radius r in any dimension; 0 for a plane.

    Bias: over neighbourhoods that are not small against the radius of curvature the value reads high (on a
    sphere of dimension 2 by about (radius / r)^2 / 2), and what repeats at a smaller scale than the
    neighbourhood is averaged out. In more than about five dimensions neighbourhoods of a few hundred samples
    are never small: read the value as bending at the scale ``radius``.

    Args:
        states: Samples in rows.
        k: Neighbours in each fit; twice the number of coefficients when left out.
        dimension: Dimension of the manifold; when left out the rounded estimate of
            :func:`~msma.measures.dimension.twonn_dimension`, at most 10.
        seed: Fixes which samples are looked at when there are many.

    Returns:
        The value with its standard error, in 1 / units of the states; not differentiable.

    Raises:
        ConfigError: When ``k`` or ``dimension`` is too small, or ``dimension`` not below the width.
        ShapeError: When there are not more than ``k`` + 1 different samples, or they do not spread over
            ``dimension`` directions.

    Examples:
        >>> points = np.random.default_rng(0).normal(size=(3000, 3))
        >>> sphere = 2.0 * points / np.linalg.norm(points, axis=1, keepdims=True)
        >>> round(curvature(sphere, dimension=2).value, 2)  # 1 / 2
        0.5
    """
    samples = to_tensor(states, name="states", min_samples=4).detach()
    width = samples.shape[1]
    if dimension is None:
        dimension = _estimate_dimension(samples)
    if not 1 <= dimension < width:
        raise ConfigError(
            f"dimension={dimension} came for states {width} wide; expected 1 to {width - 1}: a cloud that fills "
            "its space has no normal directions to bend into"
        )
    terms = 1 + dimension + dimension * (dimension + 1) // 2
    if k is None:
        k = 2 * terms
    if k <= terms:
        raise ConfigError(
            f"k={k} came; a quadratic in {dimension} dimensions needs more than {terms} neighbours"
        )
    distances, near, kept = neighbour_distances(samples, k=k)
    points = samples[kept]
    anchors = np.random.default_rng(seed).permutation(len(points))[:_MOST_ANCHORS]
    squares = np.array([_bending(points[near[i]] - points[i], dimension=dimension) for i in anchors.tolist()])
    # Neighbourhoods share samples: only about n / k of them are independent.
    independent = max(1.0, min(float(len(anchors)), len(points) / k))
    mean, error = float(squares.mean()), float(squares.std(ddof=1)) / independent**0.5
    return Curvature(
        value=_signed_root(mean),
        standard_error=(_signed_root(mean + error) - _signed_root(mean - error)) / 2.0,
        dimension=dimension,
        k=k,
        radius=float(distances[torch.from_numpy(anchors)].square().mean().sqrt()),
    )


def _estimate_dimension(samples: Float[Tensor, "samples d"]) -> int:
    return max(1, min(_MOST_DIMENSIONS, samples.shape[1] - 1, round(float(twonn_dimension(samples)))))


def _signed_root(square: float) -> float:
    return float(np.sign(square) * np.sqrt(abs(square)))


def _bending(offsets: Float[Tensor, "k d"], *, dimension: int) -> float:
    """Squared norm of the second fundamental form over the dimension, without what noise adds."""
    k = len(offsets)
    # Coordinates within the span of the neighbours first: k numbers each instead of d.
    spanned = torch.linalg.qr((offsets - offsets.mean(dim=0)).T).R.T
    left, sizes, _ = torch.linalg.svd(spanned, full_matrices=False)
    if float(sizes[dimension - 1]) <= float(sizes[0]) * 1e-9:
        raise ShapeError(
            f"a neighbourhood of {k} samples spreads over fewer than dimension={dimension} directions; ask for "
            "a lower dimension"
        )
    components = left * sizes
    tangent, normal = components[:, :dimension], components[:, dimension:]
    design, double = _quadratic_design(tangent)
    # Columns of one size keep the least squares well conditioned whatever the units.
    scale = torch.linalg.vector_norm(design, dim=0)
    q, r = torch.linalg.qr(design / scale)
    coefficients = torch.linalg.solve_triangular(r, q.T @ normal, upper=True) / scale[:, None]
    residual = (normal - design @ coefficients).square().sum() / (k - design.shape[1])
    inverse = torch.linalg.solve_triangular(r, torch.eye(len(r), dtype=r.dtype), upper=True)
    spread = inverse.square().sum(dim=1) / scale**2
    # H_ab with a < b stands twice in the square; its own coefficient multiplies u_a u_b.
    weight = torch.where(double, 2.0, 1.0)
    first = design.shape[1] - len(double)
    square = (weight[:, None] * coefficients[first:].square()).sum()
    noise = residual * (weight * spread[first:]).sum()
    return float((square - noise) / dimension)


def _quadratic_design(
    tangent: Float[Tensor, "k m"],
) -> tuple[Float[Tensor, "k terms"], Bool[Tensor, " quadratic"]]:
    m = tangent.shape[1]
    rows, columns = torch.triu_indices(m, m)
    double = rows != columns
    products = tangent[:, rows] * tangent[:, columns] * torch.where(double, 1.0, 0.5)
    return torch.cat([torch.ones(len(tangent), 1, dtype=tangent.dtype), tangent, products], dim=1), double
