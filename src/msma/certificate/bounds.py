r"""Upper bounds on the divergence of two smoothed laws, from how far one must be carried to become the other.

For any coupling of X' = f(X) and Y, and N the law N(0, s^2 I),

.. math:: KL(P_{X'} * N \,\|\, P_Y * N) \le E_{(x,y)} KL(N(x, s^2 I) \,\|\, N(y, s^2 I))
          = \frac{E\|X' - Y\|^2}{2 s^2}

because both smoothed laws are averages of the two normals over the coupling, and KL is jointly convex (Cover
and Thomas 2006, theorem 2.7.2). The pairs at hand are one coupling; the best one gives W2^2.
"""

import numpy as np
from jaxtyping import Float

from msma.errors import ConfigError, ShapeError
from msma.linalg import check_pairs, psd_inverse_sqrt, psd_sqrt, symmetrise

Samples = Float[np.ndarray, "samples d"]


def check_sigma(sigma: float) -> None:
    """Refuse a blur that is none.

    Args:
        sigma: Standard deviation of the smoothing.

    Raises:
        ConfigError: When it is not a finite number above 0.
    """
    if not (np.isfinite(sigma) and sigma > 0):
        raise ConfigError(
            f"sigma={sigma} came; expected a number above 0: without smoothing no finite bound exists"
        )


def kl_upper_bound(error: float, sigma: float) -> float:
    r"""Bound the KL between two laws smoothed with N(0, sigma^2 I), by joint convexity.

    .. math:: U(\sigma) = \frac{E\|f(X) - Y\|^2}{2\sigma^2}

    Args:
        error: Mean squared distance of any coupling, in squared units of the states.
        sigma: Standard deviation of the smoothing, in units of the states.

    Returns:
        Nats, 0 or more; it bounds both directions of the divergence.

    Raises:
        ConfigError: When ``sigma`` is not above 0.

    Examples:
        >>> kl_upper_bound(8.0, 2.0)
        1.0
    """
    check_sigma(sigma)
    return error / (2 * sigma**2)


def resolution(error: float, *, nats: float = 1.0) -> float:
    r"""Find the smallest blur through which two laws are within ``nats`` of each other.

    .. math:: \sigma^* = \sqrt{E\|f(X) - Y\|^2 / (2\,\text{nats})}

    Args:
        error: Mean squared distance, in squared units of the states.
        nats: The divergence allowed.

    Returns:
        A length in units of the states.

    Raises:
        ConfigError: When ``nats`` is not above 0.

    Examples:
        >>> resolution(8.0)
        2.0
    """
    if not nats > 0:
        raise ConfigError(f"nats={nats} came; expected a divergence above 0")
    return float(np.sqrt(max(error, 0.0) / (2 * nats)))


def wasserstein2_scores(source: Samples, target: Samples) -> Float[np.ndarray, " samples"]:
    r"""Give one number a pair whose mean is the squared 2-Wasserstein distance of the Gaussian fits.

    With A the optimal map from the source's fit to the target's and B the one back (Olkin and Pukelsheim
    1982), x and y centred and :math:`\delta` the difference of the means,

    .. math:: s_i = \tfrac{n}{n-1}[x_i^T(I - A)x_i + y_i^T(I - B)y_i] + 2\delta^T(x_i - y_i) + \|\delta\|^2

    The brackets are the dual potentials, so the scores are also the influence of each pair on the distance,
    and limits of their mean are limits of the distance to first order (delta method).

    The plug-in is biased upward, whatever the laws and however the samples depend on each other: the squared
    distance is the least of tr S1 + tr S2 - 2 tr C over C that make (S1, S2, C) positive, hence jointly convex
    in the two covariances, so Jensen's inequality puts the mean of the estimate above the truth.

    Args:
        source: Mapped samples.
        target: Row i belongs to row i of the source; of the same width.

    Returns:
        Squared units of the states; single scores may be negative, their mean is 0 or more.

    Raises:
        ShapeError: When shapes differ or there are fewer than two samples.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> round(float(wasserstein2_scores(x, x + [3.0, 4.0, 0.0]).mean()), 6)
        25.0
    """
    source, target = check_pairs(source, target, min_samples=2)
    if source.shape != target.shape:
        raise ShapeError(
            f"source {source.shape} and target {target.shape} came; expected one shape: map the source first"
        )
    n = len(source)
    shift = source.mean(axis=0) - target.mean(axis=0)
    x, y = source - source.mean(axis=0), target - target.mean(axis=0)
    forth, back = _transport_pair(x.T @ x / (n - 1), y.T @ y / (n - 1), most=n - 1)
    potential = (x * (x - x @ forth)).sum(axis=1) + (y * (y - y @ back)).sum(axis=1)
    scores: Float[np.ndarray, " samples"] = potential * n / (n - 1) + 2 * (x - y) @ shift + shift @ shift
    return scores


def _transport_pair(
    first: Float[np.ndarray, "d d"], second: Float[np.ndarray, "d d"], *, most: int
) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, "d d"]]:
    """Give the optimal linear maps between two Gaussians, there and back, pseudo-inverted where singular."""
    # With U S V^T = second^(1/2) first^(1/2), the inner root of the way there is V S V^T.
    left, values, right = np.linalg.svd(psd_sqrt(second, max_rank=most) @ psd_sqrt(first, max_rank=most))
    white_first = psd_inverse_sqrt(first, max_rank=most)
    white_second = psd_inverse_sqrt(second, max_rank=most)
    forth = symmetrise(white_first @ (right.T * values) @ right @ white_first)
    back = symmetrise(white_second @ (left * values) @ left.T @ white_second)
    return forth, back


def compose_errors(first: float, second: float, *, lipschitz: float, bends: float = 0.0) -> float:
    r"""Bound the error of two maps one after the other from their own errors (Minkowski in L2).

    .. math:: e_{GL} \le \left(L\sqrt{e_{GI}} + \tfrac12 M\sqrt{E\|f_{GI} - z_I\|^4} + \sqrt{e_{IL}}\right)^2

    Args:
        first: Mean squared error of the first map.
        second: Mean squared error of the second map.
        lipschitz: L, the Lipschitz constant of the second map.
        bends: The middle term, for a second map that is curved; 0 for an affine one.

    Returns:
        Squared units of the last scale.

    Examples:
        >>> compose_errors(4.0, 1.0, lipschitz=2.0)  # (2 x 2 + 1)^2
        25.0
    """
    length = lipschitz * np.sqrt(max(first, 0.0)) + bends + np.sqrt(max(second, 0.0))
    return float(length**2)
