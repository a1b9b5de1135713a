"""Canonical correlation analysis and its two relatives for neural representations."""

from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from msma.errors import ConfigError, ShapeError
from msma.measures._inputs import PairedSource, PairedTarget, Scalar, answer, centre, check_varies, to_pairs
from msma.measures.gaussian import whiten

__all__ = ["canonical_correlations", "pwcca", "svcca"]

Correlations: TypeAlias = Float[np.ndarray, " k"] | Float[Tensor, " k"]


def canonical_correlations(source: PairedSource, target: PairedTarget) -> Correlations:
    r"""Compute all canonical correlations (Hotelling 1936).

    .. math:: \rho = \text{singular values of } S_X^{-1/2} S_{XY} S_Y^{-1/2}

    Sample canonical correlations are high where samples are few: for independent data their mean square is
    about max(d_source, d_target) / n. Read them against a shuffled null.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.

    Returns:
        As many as the smaller rank, descending, each 0 to 1; an array for arrays, a tensor for tensors.

    Raises:
        ShapeError: When rows do not pair, a column is constant, or the samples are not more than the ranks of
            both sides together (some correlations are then 1 whatever the data).

    Examples:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 9, 2))
        >>> canonical_correlations(x, x @ [[1.0, 2.0], [0.0, 1.0]]).round(9).tolist()
        [1.0, 1.0]
    """
    x, y = _centred_pairs(source, target)
    coherence = _coherence(x, y, whiten(x.T @ x), whiten(y.T @ y))
    found: Float[Tensor, " k"] = torch.linalg.svdvals(coherence).clamp_max(1.0)
    if isinstance(source, Tensor) or isinstance(target, Tensor):
        return found
    values: Float[np.ndarray, " k"] = found.numpy()
    return values


def svcca(source: PairedSource, target: PairedTarget, *, variance: float = 0.99) -> Scalar:
    """Compute singular vector canonical correlation analysis: mean correlation of leading components.

    Each side is cut to the principal components that hold ``variance`` of its variance, then the canonical
    correlations are averaged (Raghu et al. 2017, section 2).

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        variance: Share of the variance kept on each side.

    Returns:
        0 to 1; about the square root of the larger number of components over n for independent data.

    Raises:
        ConfigError: When ``variance`` is not above 0 and at most 1.
        ShapeError: When rows do not pair, a side does not vary, or the samples are not more than the
            components of both sides together.

    Examples:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 50, 3))
        >>> round(svcca(x, 2 * x[:, ::-1] + 1), 6)
        1.0
    """
    if not 0.0 < variance <= 1.0:
        raise ConfigError(f"variance={variance} came; expected a share above 0 and at most 1")
    x, y = _centred_pairs(source, target, columns=False)
    whitener_x, whitener_y = (_leading_whitener(part, variance=variance) for part in (x, y))
    found = torch.linalg.svdvals(_coherence(x, y, whitener_x, whitener_y)).clamp_max(1.0)
    return answer(found.mean(), source, target)


def pwcca(source: PairedSource, target: PairedTarget) -> Scalar:
    r"""Compute projection-weighted canonical correlation: correlations that carry the source count more.

    .. math:: \frac{\sum_i\alpha_i\rho_i}{\sum_i\alpha_i}, \qquad \alpha_i = \sum_j|\langle h_i, x_j\rangle|

    with h_i the source's canonical variates and x_j its columns (Morcos, Raghu and Bengio 2018, equations 2
    and 3). Not symmetric: the weights are the source's.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.

    Returns:
        0 to 1.

    Raises:
        ShapeError: As :func:`canonical_correlations`.

    Examples:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 50, 3))
        >>> round(pwcca(x, 2 * x[:, ::-1] + 1), 6)
        1.0
    """
    x, y = _centred_pairs(source, target)
    scatter = x.T @ x
    whitener = whiten(scatter)
    left, found, _ = torch.linalg.svd(_coherence(x, y, whitener, whiten(y.T @ y)), full_matrices=False)
    weights = (left.T @ whitener.T @ scatter).abs().sum(dim=1)
    return answer((weights * found.clamp_max(1.0)).sum() / weights.sum(), source, target)


def _centred_pairs(
    source: PairedSource, target: PairedTarget, *, columns: bool = True
) -> tuple[Float[Tensor, "samples d_source"], Float[Tensor, "samples d_target"]]:
    x, y = to_pairs(source, target, min_samples=3)
    centred = centre(x, name="source"), centre(y, name="target")
    if columns:
        check_varies(centred[0].square().mean(dim=0), x.mean(dim=0), name="source")
        check_varies(centred[1].square().mean(dim=0), y.mean(dim=0), name="target")
    return centred


def _coherence(
    x: Float[Tensor, "samples d_source"],
    y: Float[Tensor, "samples d_target"],
    whitener_x: Float[Tensor, "d_source rank_source"],
    whitener_y: Float[Tensor, "d_target rank_target"],
) -> Float[Tensor, "rank_source rank_target"]:
    n, rank_x, rank_y = len(x), whitener_x.shape[1], whitener_y.shape[1]
    if n <= rank_x + rank_y:
        raise ShapeError(
            f"{n} samples came for {rank_x} + {rank_y} dimensions; canonical correlations need more samples "
            "than dimensions of both sides together: give more samples, or keep fewer components"
        )
    return whitener_x.T @ (x.T @ y) @ whitener_y


def _leading_whitener(centred: Float[Tensor, "samples d"], *, variance: float) -> Float[Tensor, "d k"]:
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    values, vectors = values.flip(0), vectors.flip(1)
    shares = values.detach().clamp_min(0.0).cumsum(0) / values.detach().clamp_min(0.0).sum()
    # Rounding may leave the last share a hair below 1; directions without variance are never kept.
    k = int((shares < variance - 1e-12).sum()) + 1
    k = min(k, int((values.detach() > values.detach()[0] * len(values) * 1e-15).sum()))
    whitener: Float[Tensor, "d k"] = vectors[:, :k] / values[:k].sqrt()
    return whitener
