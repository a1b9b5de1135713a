"""Limits of a mean over documents, for errors that are skewed to the right.

A certificate is only as good as its upper limit. Squared errors are skewed: where the sample has missed the
tail, its mean is too low and its spread too small at once, and Student's limit covers too rarely. The
bootstrap-t, which learns the skewness of (mean - truth) / error from the sample, covers better at every size
measured (docs/certificate.md); the wider of the two is taken. No rule covers every law: without a bound on the
errors no limit of a mean can (Bahadur and Savage 1956).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from msma.errors import ConfigError, ShapeError

#: Draws of the bootstrap: the 5 % quantile of t* is then known to 1 % of coverage.
_N_RESAMPLES = 2000
#: Coverage of ``low`` to ``high``, as of every interval of this package.
_TWO_SIDED = 0.95
#: A standard error below this share of the mean is rounding.
_ROUNDING = 1e-13
#: Keeps the draws apart from whatever else, samples included, was drawn with the same seed.
_STREAM = 7


class Limits(NamedTuple):
    """A mean with its interval and its one-sided upper limit.

    Args:
        value: The mean over samples.
        low: Lower end of the two-sided 95 % interval.
        high: Upper end of it.
        limit: One-sided upper limit at the confidence asked for.
    """

    value: float
    low: float
    high: float
    limit: float

    def scaled(self, factor: float) -> "Limits":
        """Give the limits of the mean times a positive number.

        Args:
            factor: The number.

        Returns:
            All four numbers times it.

        Examples:
            >>> Limits(1.0, 0.5, 2.0, 1.5).scaled(2.0)
            Limits(value=2.0, low=1.0, high=4.0, limit=3.0)
        """
        return Limits(*(number * factor for number in self))


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that is none.

    Args:
        confidence: Coverage asked of a one-sided limit.

    Raises:
        ConfigError: When it is not strictly between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence={confidence} came; expected a share between 0 and 1, such as 0.95")


def mean_limits(
    values: Float[np.ndarray, " samples"],
    documents: Int[np.ndarray, " samples"],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Limits:
    r"""Estimate limits of a mean over samples when documents are what is independent.

    With :math:`T_j` the sum over document j, :math:`n_j` its samples and m documents, the mean is
    :math:`R = \sum T_j / \sum n_j` and its error :math:`s^2 = \sum_j (T_j - R n_j)^2 / (\bar n^2 m (m - 1))`
    (Cochran 1977, *Sampling Techniques*, equation 6.13). The upper limit is R plus s times the larger of
    Student's quantile and minus the lower quantile of :math:`t^* = (R^* - R) / s^*` over documents drawn with
    replacement (Efron and Tibshirani 1993, section 12.5).

    Args:
        values: One number a sample.
        documents: The document of each sample.
        confidence: Coverage of the one-sided upper limit.
        seed: Fixes the draws.

    Returns:
        The mean with limits, in the units of the values.

    Raises:
        ConfigError: When ``confidence`` is not between 0 and 1.
        ShapeError: When there are fewer than two documents.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=400)
        >>> found = mean_limits(x, np.arange(400))
        >>> found.low < 0 < found.high, 1.5 < (found.limit - found.value) * 20 < 1.8  # 1.65 standard errors
        (True, True)
    """
    from scipy.stats import t

    check_confidence(confidence)
    names, codes = np.unique(documents, return_inverse=True)
    count = len(names)
    if count < 2:
        raise ShapeError(f"{count} document came; a limit over documents needs at least 2")
    totals = np.bincount(codes, weights=values)
    sizes = np.bincount(codes).astype(np.float64)
    mean = float(totals.sum() / sizes.sum())
    error = float(_ratio_errors(np.ones((1, count)), totals - mean * sizes, sizes)[1][0])
    if error <= _ROUNDING * abs(mean):
        return Limits(mean, mean, mean, mean)
    rng = np.random.default_rng((seed, _STREAM))
    draws = rng.multinomial(count, np.full(count, 1 / count), size=_N_RESAMPLES).astype(np.float64)
    shifts, errors = _ratio_errors(draws, totals - mean * sizes, sizes)
    drawn = errors > 1e-9 * error  # one document drawn every time tells nothing of the error
    studentised = shifts[drawn] / errors[drawn]
    tail = (1 - _TWO_SIDED) / 2

    def reach(level: float, side: int) -> float:
        """Give the larger quantile of the two, in standard errors."""
        quantile = float(np.quantile(studentised, level if side > 0 else 1 - level))
        return side * max(float(t.ppf(1 - level, count - 1)), -side * quantile)

    return Limits(
        mean,
        mean + reach(tail, -1) * error,
        mean + reach(tail, 1) * error,
        mean + reach(1 - confidence, 1) * error,
    )


def _ratio_errors(
    weights: Float[np.ndarray, "draws documents"],
    residuals: Float[np.ndarray, " documents"],
    sizes: Float[np.ndarray, " documents"],
) -> tuple[Float[np.ndarray, " draws"], Float[np.ndarray, " draws"]]:
    """Give how far each draw's ratio is from the sample's, and its standard error.

    From residuals, T_j - R n_j, so that nothing cancels where the spread is small beside the mean.
    """
    count = len(residuals)
    mass = weights @ sizes
    shift = weights @ residuals / mass
    scatter = weights @ residuals**2 - 2 * shift * (weights @ (residuals * sizes))
    scatter += shift**2 * (weights @ sizes**2)
    # The textbook's mean size is that of the drawn documents.
    return shift, np.sqrt(scatter.clip(0.0) * count / (count - 1)) / mass
