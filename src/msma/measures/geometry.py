"""The shape of one cloud of states: spread, dimension, isotropy, norm, curvature."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from msma.errors import ShapeError
from msma.measures._inputs import Scalar, States, answer, centre, to_tensor
from msma.measures.curvature import Curvature, curvature
from msma.measures.dimension import dimension_profile, mle_dimension, twonn_dimension
from msma.measures.similarity import hsic

__all__ = [
    "Curvature",
    "covariance_spectrum",
    "curvature",
    "dimension_profile",
    "isotropy",
    "mean_norm",
    "mle_dimension",
    "participation_ratio",
    "twonn_dimension",
]


def covariance_spectrum(states: States) -> Float[np.ndarray, " d"] | Float[Tensor, " d"]:
    """Compute the eigenvalues of the unbiased covariance.

    Large ones are overstated and small ones understated where samples are not many times the width.

    Args:
        states: Samples in rows.

    Returns:
        ``d`` variances, descending, in squared units of the states; an array for arrays, a tensor for tensors.

    Raises:
        ShapeError: When there are fewer than two samples.

    Examples:
        >>> covariance_spectrum(np.array([[0.0, 2.0], [0.0, -2.0]])).round(12).tolist()
        [8.0, 0.0]
    """
    samples = to_tensor(states, name="states", min_samples=2)
    centred = samples - samples.mean(dim=0)
    found: Float[Tensor, " d"] = torch.linalg.eigvalsh(centred.T @ centred / (len(samples) - 1)).flip(0)
    found = found.clamp_min(0.0)
    if isinstance(states, Tensor):
        return found
    values: Float[np.ndarray, " d"] = found.numpy()
    return values


def participation_ratio(states: States, *, corrected: bool = True) -> Scalar:
    r"""Compute how many dimensions the variance is effectively spread over.

    .. math:: PR = \frac{(\sum_i\lambda_i)^2}{\sum_i\lambda_i^2} = \frac{(\operatorname{tr}\Sigma)^2}
              {\operatorname{tr}\Sigma^2}

    (Gao et al. 2017, equation 5.) The sample value is too low by about PR^2 / n; ``corrected`` puts unbiased
    estimates of the traces in place of sample traces, whatever the law: the one below is
    :func:`~msma.measures.similarity.hsic` of the states with themselves, the one above loses the variance of
    tr S.

    Args:
        states: Samples in rows.
        corrected: Take out the bias; False gives the ratio of sample traces.

    Returns:
        Dimensions, 1 (a line) to ``d`` (a ball), with ``corrected`` up to noise.

    Raises:
        ShapeError: When there are fewer than 4 samples, they are all equal, or too few to tell the variance.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(200, 100))  # truth 100
        >>> round(participation_ratio(x), -1), round(participation_ratio(x, corrected=False), -1)
        (100.0, 70.0)
    """
    x = centre(to_tensor(states, name="states", min_samples=4), name="states")
    n, norms = len(x), x.square().sum(dim=1)
    above = (norms.sum() / (n - 1)).square()
    if not corrected:
        return answer(above / (hsic(x, x, debiased=False) * (n / (n - 1)) ** 2), states)
    below = hsic(x, x, debiased=True)
    if float(below.detach()) <= 0.0:
        raise ShapeError(
            f"the unbiased trace of the squared covariance of {n} samples is {float(below.detach()):.3g}: too "
            "few samples to tell their spread; give more, or corrected=False"
        )
    return answer((above - norms.var() / n) / below, states)


def isotropy(states: States, *, corrected: bool = True) -> Scalar:
    r"""Compute how evenly the variance is spread over all directions.

    .. math:: \frac{PR - 1}{d - 1}

    This is IsoScore (Rudman et al. 2022, algorithm 1), whose steps reduce to the participation ratio PR
    exactly. Unlike the mean cosine between states, it does not change with the mean, nor with rotation or
    scale.

    Args:
        states: Samples in rows.
        corrected: Take out the bias of few samples, see :func:`participation_ratio`; False is IsoScore as
            published.

    Returns:
        0 (all variance along one direction) to 1 (the same along every one), with ``corrected`` up to noise.

    Raises:
        ShapeError: When there is one column only, or as :func:`participation_ratio`.

    Examples:
        >>> cross = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> isotropy(cross, corrected=False), isotropy(cross * [1.0, 0.0], corrected=False)
        (1.0, 0.0)
    """
    d = to_tensor(states, name="states", min_samples=4).shape[1]
    if d < 2:
        raise ShapeError("states came 1 wide; isotropy compares directions, of which 2 are needed at least")
    ratio = participation_ratio(states, corrected=corrected)
    return answer((torch.as_tensor(ratio, dtype=torch.float64) - 1.0) / (d - 1), states)


def mean_norm(states: States) -> Scalar:
    """Compute the mean Euclidean length of the states, not centred.

    Args:
        states: Samples in rows.

    Returns:
        A length in the units of the states.

    Examples:
        >>> mean_norm(np.array([[3.0, 4.0], [0.0, 1.0]]))
        3.0
    """
    return answer(torch.linalg.vector_norm(to_tensor(states, name="states"), dim=1).mean(), states)
