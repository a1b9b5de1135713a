"""Whether differences of pairs go the same way: an unbiased measure of it, with interval and p."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from msma.resampling import bootstrap_interval

_DRAWS = 9_999


class Agreement(NamedTuple):
    """How much pairs agree on one direction.

    Args:
        value: 0 when they differ in unrelated directions, 1 when all in the same one; may fall below 0 by chance.
        low: Lower end of the 95 % interval over clusters.
        high: Upper end.
        p: One-sided, from signs flipped cluster by cluster.
    """

    value: float
    low: float
    high: float
    p: float


def pair_agreement(
    differences: Float[np.ndarray, "pairs d"],
    documents: Int[np.ndarray, " pairs"],
    clusters: Int[np.ndarray, " pairs"],
    *,
    seed: int = 0,
) -> Agreement:
    r"""Measure how much the differences of pairs go the same way.

    .. math:: \frac{\overline{d_i \cdot d_j}}{\overline{\|d_i\|^2}}

    the upper mean over pairs i, j that share neither document nor cluster: one pair's own difference, or the same
    people twice, is no agreement. The test takes what is said as it is: where documents add something of their own to
    all their pairs, it is too lenient (few documents, effects as large as the pairs' own: 0.3 at the 0.05 level), and
    the interval, over clusters, too narrow. Where each cluster's differences may as well have the other sign, nothing
    is shared; p is the share of such flips under which pairs agree as much.

    Args:
        differences: First text minus second.
        documents: What each pair says.
        clusters: Pairs that cannot count as two, such as those of the same people.
        seed: Fixes flips and interval.

    Returns:
        The measure.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> shared = np.array([3.0, 0.0, 0.0]) + rng.normal(size=(200, 3))
        >>> found = pair_agreement(shared, np.arange(200), np.arange(200))
        >>> round(found.value, 2), found.p
        (0.74, 0.0001)
    """
    apart = _apart(documents, clusters)
    gram = differences @ differences.T
    value, low, high = _products(gram, apart, np.diag(gram), clusters, seed=seed)
    return Agreement(value, low, high, _flip_p(gram * apart, clusters, seed=seed))


def share_between(
    differences: Float[np.ndarray, "pairs d"],
    variance: float,
    documents: Int[np.ndarray, " pairs"],
    clusters: Int[np.ndarray, " pairs"],
    *,
    seed: int = 0,
) -> tuple[float, float, float]:
    r"""Measure which share of the states' variance lies between the two sides.

    .. math:: \frac{\overline{d_i \cdot d_j}}{4 \, \mathrm{tr} \, \Sigma}

    over the same i, j as :func:`pair_agreement`: half the way between two means, squared, without the bias of a mean of
    few pairs.

    Args:
        differences: First text minus second.
        variance: Total variance of the states of both sides.
        documents: What each pair says.
        clusters: Pairs that cannot count as two.
        seed: Fixes the interval.

    Returns:
        Share and the ends of its 95 % interval.

    Examples:
        >>> ones = np.tile([2.0, 0.0], (20, 1))
        >>> share_between(ones, 2.0, np.arange(20), np.arange(20))[0]
        0.5
    """
    apart = _apart(documents, clusters)
    spread = np.full(len(differences), 4.0 * variance)
    return _products(differences @ differences.T, apart, spread, clusters, seed=seed)


def _apart(
    documents: Int[np.ndarray, " pairs"], clusters: Int[np.ndarray, " pairs"]
) -> Bool[np.ndarray, "pairs pairs"]:
    return np.asarray((documents[:, None] != documents[None]) & (clusters[:, None] != clusters[None]))


def _products(
    gram: Float[np.ndarray, "pairs pairs"],
    apart: Bool[np.ndarray, "pairs pairs"],
    against: Float[np.ndarray, " pairs"],
    clusters: Int[np.ndarray, " pairs"],
    *,
    seed: int,
) -> tuple[float, float, float]:
    """Mean product of two pairs that are apart, over the mean of something else, with its interval."""
    counted, products = apart.astype(np.float64), np.where(apart, gram, 0.0)

    def statistic(weights: Float[np.ndarray, "draws pairs"]) -> Float[np.ndarray, " draws"]:
        total = ((weights @ products) * weights).sum(axis=1)
        count = ((weights @ counted) * weights).sum(axis=1)
        mean = weights @ against / weights.sum(axis=1)
        return np.asarray(total / np.maximum(count, 1.0) / np.maximum(mean, 1e-300))

    found = bootstrap_interval(statistic, clusters, seed=seed)
    return found.value, found.low, found.high


def _flip_p(
    products: Float[np.ndarray, "pairs pairs"], clusters: Int[np.ndarray, " pairs"], *, seed: int
) -> float:
    """Share of sign patterns, one sign a cluster, under which pairs agree as much as they do."""
    names, codes = np.unique(clusters, return_inverse=True)
    member = np.eye(len(names))[codes]
    blocks = member.T @ products @ member
    rng = np.random.default_rng([seed, 3])
    signs = rng.choice([-1.0, 1.0], size=(_DRAWS, len(names)))
    drawn = np.einsum("bi,bi->b", signs @ blocks, signs)
    own = float(blocks.sum())
    return float((1 + (drawn >= own - 1e-12 * abs(own)).sum()) / (1 + _DRAWS))


def top_direction(differences: Float[np.ndarray, "pairs d"]) -> float:
    """Give the share of the squared differences that lies along their first principal direction, uncentred.

    Args:
        differences: First text minus second.

    Returns:
        From 1 / d to 1; 0 where there is no difference.

    Examples:
        >>> top_direction(np.array([[1.0, 0.0], [3.0, 0.0]]))
        1.0
    """
    squares = np.linalg.svd(differences, compute_uv=False) ** 2
    return float(squares[0] / squares.sum()) if squares.sum() > 0 else 0.0


def differences_within(
    first: Float[np.ndarray, "pairs d"],
    second: Float[np.ndarray, "pairs d"],
    documents: Int[np.ndarray, " pairs"],
    *,
    seed: int,
) -> Float[np.ndarray, "pairs d"]:
    """Take differences of texts of one side that say the same of other people: all that varies but the side.

    Args:
        first: States of one side.
        second: States of the other.
        documents: What each pair says.
        seed: Fixes who is compared with whom.

    Returns:
        One row a comparison.
    """
    rng = np.random.default_rng([seed, 4])
    rows = []
    for document in np.unique(documents):
        index = np.flatnonzero(documents == document)
        for side in (first, second):
            order = rng.permutation(index)
            rows += [side[a] - side[b] for a, b in zip(order[::2], order[1::2], strict=False)]
    if not rows:  # one pair a document: texts of different documents
        order = rng.permutation(len(first))
        rows = [
            side[a] - side[b]
            for side in (first, second)
            for a, b in zip(order[::2], order[1::2], strict=False)
        ]
    return np.asarray(rows)
