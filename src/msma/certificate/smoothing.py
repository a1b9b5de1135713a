r"""The divergence itself between two smoothed laws: a Gaussian estimate, and a lower bound from a classifier.

Smoothing with N(0, s^2 I) adds s^2 I to both covariances. The exact corrections for sample size hold for sample
covariances, not for one with a known matrix added, so noise is added to the samples instead. Source and target
of a pair get the *same* draw: each smoothed law is the right one, the pair stays jointly Gaussian, so the
estimate for pairs stays exactly unbiased, and most of the noise of the draws cancels.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma.certificate.bounds import check_sigma
from msma.linalg import check_pairs
from msma.measures.density_ratio import classifier_scores
from msma.measures.divergence import gaussian_kl_from_cross_moments
from msma.moments import CrossMoments
from msma.resampling import Interval, bootstrap_interval, jackknife_interval

_DRAWS = 4
#: Keeps the noise apart from whatever else, samples included, was drawn with the same seed.
_STREAM = 6
#: Noisy copies of every pair that the classifier learns from and is scored on.
_COPIES = 2


def smoothed_gaussian_kl(
    source: Float[np.ndarray, "samples d"],
    target: Float[np.ndarray, "samples d"],
    groups: Int[np.ndarray, " samples"],
    *,
    sigma: float,
    n_draws: int = _DRAWS,
    seed: int = 0,
) -> Interval:
    r"""Estimate KL(law(source) * N(0, sigma^2 I) || law(target) * N(0, sigma^2 I)) between Gaussian fits.

    .. math:: KL(N(\mu_P, \Sigma_P + \sigma^2 I) \,\|\, N(\mu_Q, \Sigma_Q + \sigma^2 I))

    Averaged over draws of noise; exactly unbiased for jointly Gaussian pairs at any number of draws
    (:func:`msma.measures.divergence.gaussian_kl_from_cross_moments`).

    Args:
        source: Mapped samples.
        target: Row i belongs to row i of the source.
        groups: Jackknife group of each pair, from :func:`msma.resampling.group_documents`.
        sigma: Standard deviation of the smoothing, in units of the states.
        n_draws: Draws of noise.
        seed: Fixes the draws.

    Returns:
        Nats with a 95 % jackknife interval over the groups; a small truth may read below 0, not clipped.

    Raises:
        ConfigError: When ``sigma`` is not above 0.
        ShapeError: When pairs are too few for their width (n > d + 2 without any one group).

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(2000, 2))
        >>> found = smoothed_gaussian_kl(x + [2.0, 0.0], x, np.arange(2000) % 10, sigma=1.0)
        >>> round(found.value, 1)  # 4 / (2 (1 + 1))
        1.0
    """
    check_sigma(sigma)
    source, target = check_pairs(source, target)
    rng = np.random.default_rng((seed, _STREAM))
    names = np.unique(groups)
    wholes, parts = [], []
    for _ in range(n_draws):
        noise = sigma * rng.normal(size=source.shape)
        noisy = source + noise, target + noise
        parts.append({int(g): CrossMoments.from_batch(*(side[groups == g] for side in noisy)) for g in names})
        wholes.append(CrossMoments.from_batch(*noisy))

    def statistic(kept: Int[np.ndarray, " kept"]) -> float:
        left_out = [int(g) for g in np.setdiff1d(names, groups[kept])]
        values = []
        for whole, part in zip(wholes, parts, strict=True):
            for group in left_out:
                whole = whole - part[group]
            values.append(gaussian_kl_from_cross_moments(whole))
        return float(np.mean(values))

    return jackknife_interval(statistic, groups)


def smoothed_kl_lower_bound(
    source: Float[np.ndarray, "samples d"],
    target: Float[np.ndarray, "samples d"],
    documents: Int[np.ndarray, " samples"],
    *,
    sigma: float,
    seed: int = 0,
) -> Interval:
    """Estimate a lower bound on the KL of the smoothed laws from a classifier, scored on texts it never saw.

    :func:`msma.measures.density_ratio.classifier_scores` on two noisy copies of every pair, all copies of a
    document in one fold. Below the truth on average, whatever the laws; how far below depends on what the
    classifier learned.

    Args:
        source: Mapped samples.
        target: Row i belongs to row i of the source.
        documents: The document of each pair.
        sigma: Standard deviation of the smoothing, in units of the states.
        seed: Fixes noise and folds.

    Returns:
        Nats with a 95 % bootstrap interval over documents; below 0 where nothing was learned, not clipped.

    Raises:
        ConfigError: When ``sigma`` is not above 0.
        ShapeError: When there are fewer than 25 pairs or 10 documents.

    Examples:
        >>> x, y = np.random.default_rng(0).normal(size=(2, 1000, 2))
        >>> found = smoothed_kl_lower_bound(x + [2.0, 0.0], y, np.arange(1000), sigma=1.0)
        >>> 0.6 < found.value < 1.1  # truth 1
        True
    """
    check_sigma(sigma)
    source, target = check_pairs(source, target)
    rng = np.random.default_rng((seed, _STREAM))
    noise = sigma * rng.normal(size=(_COPIES * len(source), source.shape[1]))
    owners = np.tile(documents, _COPIES)
    copies: list[Any] = [np.tile(side, (_COPIES, 1)) + noise for side in (source, target)]
    gain, price = classifier_scores(*copies, groups=owners, seed=seed)
    return bootstrap_interval(
        lambda weights: weights @ (gain - price) / weights.sum(axis=1) + 1.0, owners, seed=seed
    )
