"""Mutual information between paired states, in nats."""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.special import digamma, ndtri
from scipy.stats import rankdata
from torch import Tensor

from msma.errors import ConfigError, ShapeError
from msma.linalg import check_pairs, check_samples
from msma.measures._inputs import PairedSource, PairedTarget, Scalar, answer, check_varies, to_pairs
from msma.measures.gaussian import check_enough, log_determinant_bias, whiten
from msma.measures.projection import leading_projection
from msma.moments import CrossMoments

__all__ = [
    "copula_mi",
    "copula_transform",
    "gaussian_mi",
    "gaussian_mi_from_moments",
    "histogram_mi",
    "ksg_mi",
]

#: Columns of both sides up to which a tree finds neighbours faster than all distances do; and rows at a time.
_WIDEST_TREE, _BLOCK_ROWS = 8, 256

#: A squared canonical correlation this near 1 is exact dependence up to rounding.
_DETERMINED = 1e-12


def gaussian_mi(source: PairedSource, target: PairedTarget, *, corrected: bool = True) -> Scalar:
    r"""Estimate mutual information from the Gaussian closed form.

    .. math:: \hat I = \tfrac12\log\frac{|S_X||S_Y|}{|S_{XY}|} - \tfrac12(b_X + b_Y - b_{XY})
              = -\tfrac12\sum_i\log(1-\rho_i^2) - \tfrac12(b_X + b_Y - b_{XY})

    with b from :func:`~msma.measures.gaussian.log_determinant_bias` and rho the canonical correlations. The
    correction makes it exactly unbiased for Gaussian pairs, with the smallest spread an unbiased estimate can
    have; at d = 768 + 768 and n = 5,000 independent pairs read 70 nats without it and 0 with it, give or take
    0.13. Where a side lies in fewer dimensions than it has columns (the output of a low-rank map), it is
    measured within them.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        corrected: Take out the bias; False gives the plug-in.

    Returns:
        Nats; the truth is 0 or more, an unbiased estimate of a small one may be below and is not clipped.

    Raises:
        ShapeError: When rows do not pair, there are not more than d_source + d_target + 1 of them, a column is
            constant, or one side determines the other (infinite information).

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x, noise = rng.normal(size=(2, 5000, 3))
        >>> abs(gaussian_mi(x, noise)) < 0.01, round(gaussian_mi(x, x + noise), 1)  # truth 0 and 3 log(2) / 2
        (True, 1.0)
    """
    x, y = to_pairs(source, target, min_samples=2)
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    x, y = x - x_mean, y - y_mean
    value = _mi(len(x), (x_mean, y_mean), (x.T @ x, x.T @ y, y.T @ y), corrected=corrected)
    return answer(value, source, target)


def gaussian_mi_from_moments(cross: CrossMoments, *, corrected: bool = True) -> float:
    """Estimate mutual information from streamed moments of pairs, as :func:`gaussian_mi`.

    Args:
        cross: Moments of the pairs.
        corrected: Take out the bias.

    Returns:
        Nats.

    Raises:
        ShapeError: As :func:`gaussian_mi`.

    Examples:
        >>> square = CrossMoments.from_batch([[0.0], [0.0], [1.0], [1.0]], [[0.0], [1.0], [0.0], [1.0]])
        >>> round(gaussian_mi_from_moments(square, corrected=False), 12) + 0.0
        0.0
    """
    means = torch.tensor(cross.mean_source), torch.tensor(cross.mean_target)
    scatters = (cross.scatter_source, cross.scatter_cross, cross.scatter_target)
    first, second, third = (torch.tensor(part, dtype=torch.float64) for part in scatters)
    return float(_mi(cross.n, means, (first, second, third), corrected=corrected))


def copula_transform(states: Float[np.ndarray, "samples d"]) -> Float[np.ndarray, "samples d"]:
    r"""Replace each column by its normal scores, which keeps the dependence and makes the margins Gaussian.

    .. math:: x_{ij} \mapsto \Phi^{-1}\!\left(\frac{r_{ij}}{n+1}\right)

    with r the rank of the value within its column, ties sharing their average rank (van der Waerden scores).
    Mutual information does not change under such maps.

    Args:
        states: Samples in rows.

    Returns:
        Scores of the same shape; not differentiable.

    Raises:
        ShapeError: When a column is constant.

    Examples:
        >>> copula_transform(np.array([[1.0], [100.0], [10.0]])).round(3).ravel().tolist()
        [-0.674, 0.674, 0.0]
    """
    values = check_samples(states, name="states", min_samples=2)
    ranks = rankdata(values, method="average", axis=0)
    constant = np.flatnonzero(np.ptp(ranks, axis=0) == 0)
    if len(constant):
        raise ShapeError(
            f"states are constant in column {constant[0]} ({len(constant)} of {values.shape[1]} columns); "
            "ranks need variation: leave such columns out"
        )
    scores: Float[np.ndarray, "samples d"] = ndtri(ranks / (len(values) + 1))
    return scores


def copula_mi(source: PairedSource, target: PairedTarget, *, corrected: bool = True) -> Scalar:
    """Estimate mutual information of the Gaussian copula: :func:`gaussian_mi` of the normal scores.

    Insensitive to heavy tails and to any increasing map of single columns; blind to dependence that the
    copula's correlations do not carry.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        corrected: Take out the bias.

    Returns:
        Nats, not clipped; not differentiable.

    Raises:
        ShapeError: As :func:`gaussian_mi`.

    Examples:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 5000, 1))
        >>> round(copula_mi(np.exp(3 * x), (x + noise) ** 3), 2)  # truth log(2) / 2
        0.35
    """
    x, y = check_pairs(source, target, min_samples=2)
    value = gaussian_mi(copula_transform(x), copula_transform(y), corrected=corrected)
    return answer(torch.tensor(value, dtype=torch.float64), source, target)


def ksg_mi(
    source: PairedSource,
    target: PairedTarget,
    *,
    k: int = 5,
    components: int | None = None,
    queries: int | None = None,
    seed: int = 0,
) -> Scalar:
    r"""Estimate mutual information from nearest neighbours, without assuming any law.

    .. math:: \hat I = \psi(k) + \psi(n) - \langle\psi(n_x + 1) + \psi(n_y + 1)\rangle

    (Kraskov, Stögbauer and Grassberger 2004, equation 8): n_x counts the samples strictly nearer in x than
    the k-th neighbour in the joint space, maximum norm throughout. Columns are scaled to unit variance first.
    Only for a few dimensions (some 10 in all): in hundreds it reads near 0 whatever the truth, so there ask
    for ``components``, which by data processing can only lose information.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        k: Neighbours.
        components: Keep this many leading principal components of each side's normal scores
            (:func:`copula_transform`) first; all columns as they are when left out.
        queries: Take the mean over so many samples, drawn at random, with neighbours among all: the same
            expectation, at a price that grows with n and not with its square; over all when left out.
        seed: Draws the queries.

    Returns:
        Nats, not clipped; not differentiable.

    Raises:
        ConfigError: When ``k``, ``components`` or ``queries`` is below 1.
        ShapeError: When rows do not pair, there are not more than ``k`` of them, a column is constant, or a
            pair occurs more than ``k`` times (an atom has infinite information; drop duplicates first).

    Examples:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 2000, 1))
        >>> abs(ksg_mi(x, x + noise) - 0.3466) < 0.03  # truth log(2) / 2
        True
    """
    if k < 1:
        raise ConfigError(f"k={k} came; expected 1 neighbour or more")
    if components is not None and components < 1:
        raise ConfigError(f"components={components} came; expected 1 or more, or None for all columns")
    x, y = check_pairs(source, target, min_samples=k + 1)
    if components is not None:
        x, y = (_leading_scores(part, components) for part in (x, y))
    if queries is not None and queries < 1:
        raise ConfigError(f"queries={queries} came; expected 1 or more, or None for all samples")
    x, y = _unit_variance(x), _unit_variance(y)
    rows = None
    if queries is not None and queries < len(x):
        rows = np.sort(np.random.default_rng(seed).choice(len(x), queries, replace=False))
    value = float(ksg_terms(x, y, k=k, rows=rows).mean())
    return answer(torch.tensor(value, dtype=torch.float64), source, target)


def ksg_terms(
    source: Float[np.ndarray, "samples d_source"],
    target: Float[np.ndarray, "samples d_target"],
    *,
    k: int,
    rows: Int[np.ndarray, " queries"] | None = None,
) -> Float[np.ndarray, " queries"]:
    """Give each pair's term of :func:`ksg_mi`, on the columns as they come.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        k: Neighbours.
        rows: Pairs whose terms are wanted, their neighbours sought among all; all of them when left out.

    Returns:
        Terms in nats whose mean is the estimate.

    Raises:
        ShapeError: When a pair occurs more than ``k`` times.

    Examples:
        >>> x = np.arange(8.0)[:, None]
        >>> round(float(ksg_terms(x, x, k=1).mean()), 3)
        2.593
    """
    n = len(source)
    rows = np.arange(n) if rows is None else rows
    count = _count_by_trees if source.shape[1] + target.shape[1] <= _WIDEST_TREE else _count_by_distances
    radius, counts = count(source, target, k, rows)
    if not (radius > 0).all():
        row = int(rows[np.argmin(radius)])
        raise ShapeError(
            f"the pair in row {row} occurs more than k={k} times; expected continuous values: drop "
            "duplicate pairs, or add a little noise"
        )
    terms = np.full(len(rows), float(digamma(k) + digamma(n)))
    for number in counts:
        terms -= digamma(number)
    return terms


def _count_by_trees(
    source: Float[np.ndarray, "samples d_source"],
    target: Float[np.ndarray, "samples d_target"],
    k: int,
    rows: Int[np.ndarray, " queries"],
) -> tuple[Float[np.ndarray, " queries"], list[np.ndarray]]:
    """Distance to the k-th neighbour, and the samples strictly nearer on each side, the sample itself included."""
    both = np.hstack([source, target])
    distance, _ = cKDTree(both).query(both[rows], k=[k + 1], p=np.inf)
    radius = distance[:, 0]
    inside = np.nextafter(radius, 0.0)
    counts = [
        cKDTree(part).query_ball_point(part[rows], inside, p=np.inf, return_length=True)
        for part in (source, target)
    ]
    return radius, counts


def _count_by_distances(
    source: Float[np.ndarray, "samples d_source"],
    target: Float[np.ndarray, "samples d_target"],
    k: int,
    rows: Int[np.ndarray, " queries"],
) -> tuple[Float[np.ndarray, " queries"], list[np.ndarray]]:
    """The same from all distances, a block of rows at a time: in many columns a tree looks at every sample too."""
    n = len(rows)
    radius, counts = np.empty(n), [np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)]
    for start in range(0, n, _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        sides = [cdist(part[rows[block]], part, "chebyshev") for part in (source, target)]
        radius[block] = np.partition(np.maximum(*sides), k, axis=1)[:, k]
        for number, distances in zip(counts, sides, strict=True):
            number[block] = (distances < radius[block, None]).sum(axis=1)
    return radius, counts


def histogram_mi(source: PairedSource, target: PairedTarget, *, bins: int = 64) -> Scalar:
    r"""Compute the published code's quantity: one histogram over all coordinates, flattened.

    .. math:: I = \sum_{ab} p_{ab}\log\frac{p_{ab}}{p_a p_b}

    with p the frequencies in ``bins`` by ``bins`` equal cells over (x_ij, y_ij) for all samples i and columns
    j. It is not the mutual information of the states: it treats columns as if they were samples. Kept for
    comparison with Zhang and Dong (arXiv 2505.20333) only.

    Args:
        source: Samples in rows.
        target: Of the same shape.
        bins: Cells along each axis.

    Returns:
        Nats, 0 to log(bins); not differentiable.

    Raises:
        ConfigError: When ``bins`` is below 2.
        ShapeError: When shapes differ.

    Examples:
        >>> x = np.arange(64.0).reshape(32, 2)
        >>> round(histogram_mi(x, x), 4)  # log(64)
        4.1589
    """
    if bins < 2:
        raise ConfigError(f"bins={bins} came; expected 2 or more")
    x, y = check_pairs(source, target)
    if x.shape != y.shape:
        raise ShapeError(f"shapes {x.shape} and {y.shape} came; flattened coordinates need equal shapes")
    counts, _, _ = np.histogram2d(x.ravel(), y.ravel(), bins=bins)
    joint = counts / counts.sum()
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    value = float((joint[seen] * np.log(joint[seen] / product[seen])).sum())
    return answer(torch.tensor(value, dtype=torch.float64), source, target)


def _mi(
    n: int, means: tuple[Tensor, Tensor], scatters: tuple[Tensor, Tensor, Tensor], *, corrected: bool
) -> Float[Tensor, ""]:
    scatter_x, scatter_cross, scatter_y = scatters
    check_varies(scatter_x.diagonal() / n, means[0], name="source")
    check_varies(scatter_y.diagonal() / n, means[1], name="target")
    white_x, white_y = whiten(scatter_x), whiten(scatter_y)
    d_x, d_y = white_x.shape[1], white_y.shape[1]
    check_enough(n, d_x + d_y + 2, name="the pairs", why=f"a joint covariance {d_x} + {d_y} wide")
    coherence = white_x.T @ scatter_cross @ white_y
    if d_x > d_y:
        coherence = coherence.T
    remainder = torch.eye(len(coherence), dtype=coherence.dtype, device=coherence.device)
    remainder = remainder - coherence @ coherence.T
    factor, failed = torch.linalg.cholesky_ex(remainder)
    if bool(failed) or float(factor.detach().diagonal().min()) ** 2 < _DETERMINED:
        raise ShapeError(
            f"a combination of the source's {d_x} dimensions determines one of the target's {d_y}: their "
            "mutual information is infinite; drop what both share exactly, or add noise to one side"
        )
    value: Float[Tensor, ""] = -factor.diagonal().log().sum()
    if corrected:
        bias = (
            log_determinant_bias(n, d_x) + log_determinant_bias(n, d_y) - log_determinant_bias(n, d_x + d_y)
        )
        value = value - 0.5 * bias
    return value


def _leading_scores(values: Float[np.ndarray, "samples d"], k: int) -> Float[np.ndarray, "samples k"]:
    scores = copula_transform(values)
    leading: Float[np.ndarray, "samples k"] = scores @ leading_projection(
        scores, k=min(k, scores.shape[1], len(scores) - 1)
    )
    return leading


def _unit_variance(values: Float[np.ndarray, "samples d"]) -> Float[np.ndarray, "samples d"]:
    tensor = torch.from_numpy(np.require(values, requirements=["C", "W"]))
    deviation = values.std(axis=0)
    check_varies(torch.from_numpy(deviation**2), tensor.mean(dim=0), name="one side of the pairs")
    return np.asarray((values - values.mean(axis=0)) / deviation)
