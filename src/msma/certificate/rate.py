r"""What no map can beat: the error that a limited mutual information must leave.

A map's output holds no more of the target than its input does, I(f(X); Y) <= I(X; Y), and a copy that shares I
nats with Y is at least D(I) away from it, the distortion-rate function (Cover and Thomas 2006, section 10.4).
D is taken of a Gaussian with the target's covariance: a surrogate, exact for Gaussian targets only. Of all laws
with one covariance the Gaussian is the hardest to copy, so for other laws the true D may be lower.
"""

import numpy as np
from jaxtyping import Float

from msma.errors import ShapeError


def distortion_rate(spectrum: Float[np.ndarray, " d"], rate: float) -> float:
    r"""Compute the least mean squared error of a Gaussian vector known through ``rate`` nats.

    .. math:: D(R) = \sum_i \min(\lambda_i, \theta), \qquad \tfrac12\sum_i \log^+(\lambda_i/\theta) = R

    Reverse water-filling (Cover and Thomas 2006, theorem 10.3.3), solved exactly. D is concave in the covariance
    (its dual is a perspective of the concave min(u, 1) + log+ u, maximised over theta), so with a sample
    spectrum it is biased downward, the safe side of a lower bound. It is convex in R: noise in an estimated
    rate biases it upward, so a valid bound takes the upper limit of the rate.

    Args:
        spectrum: Eigenvalues of the target's covariance; zeros are known without any information.
        rate: Nats; a negative estimate counts as 0.

    Returns:
        Squared units of the target, from 0 to the sum of the spectrum.

    Raises:
        ShapeError: When the spectrum is empty, negative or not finite.

    Examples:
        >>> distortion_rate(np.array([4.0, 1.0]), 0.0)
        5.0
        >>> round(distortion_rate(np.array([4.0, 1.0]), np.log(2)), 12)  # all of it spent on the first
        2.0
        >>> round(distortion_rate(np.array([1.0, 1.0, 1.0]), 3.0), 4)  # 3 exp(-2)
        0.406
    """
    values = np.sort(np.asarray(spectrum, dtype=np.float64))[::-1]
    if len(values) == 0 or not np.isfinite(values).all() or values[-1] < 0:
        raise ShapeError(
            f"a spectrum of {len(values)} values came; expected at least one, all finite and 0 or more"
        )
    positive = values[values > 0]
    if rate <= 0 or len(positive) == 0:
        return float(values.sum())
    # With the k largest above the water, log(theta) = mean(log lambda) - 2 R / k; k is the largest that fits.
    counts = np.arange(1, len(positive) + 1)
    levels = np.cumsum(np.log(positive)) / counts - 2 * rate / counts
    count = int(counts[levels < np.log(positive)][-1])
    return float(count * np.exp(levels[count - 1]) + positive[count:].sum())


def shannon_lower_bound(spectrum: Float[np.ndarray, " d"], rate: float) -> float:
    r"""Compute Shannon's lower bound on the distortion of a Gaussian vector.

    .. math:: D(R) \ge \frac{d}{2\pi e}e^{2(h(Y) - R)/d} = d\,|\Sigma|^{1/d}e^{-2R/d}

    (Shannon 1959.) Equal to :func:`distortion_rate` once every direction is above the water, below it before.

    Args:
        spectrum: Eigenvalues of the target's covariance, all above 0.
        rate: Nats; a negative estimate counts as 0.

    Returns:
        Squared units of the target.

    Raises:
        ShapeError: When an eigenvalue is not above 0, so that there is no density.

    Examples:
        >>> round(shannon_lower_bound(np.array([4.0, 1.0]), 0.0), 12)  # the truth is 5
        4.0
    """
    values = np.asarray(spectrum, dtype=np.float64)
    if len(values) == 0 or not (values > 0).all():
        raise ShapeError(
            f"a spectrum of {len(values)} values, {int((values <= 0).sum())} of them not above 0, came; "
            "expected a law with a density: leave such directions out"
        )
    return float(len(values) * np.exp(np.log(values).mean() - 2 * max(rate, 0.0) / len(values)))
