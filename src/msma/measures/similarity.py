"""How alike two representations of the same samples are: kernels, distances, rotations, neighbours."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from msma.errors import ConfigError, ShapeError
from msma.measures._inputs import PairedSource, PairedTarget, Scalar, answer, centre, check_varies, to_pairs
from msma.measures.canonical import canonical_correlations, pwcca, svcca
from msma.measures.neighbours import nearest_neighbours

__all__ = [
    "canonical_correlations",
    "cka",
    "distance_correlation",
    "hsic",
    "mutual_knn_overlap",
    "procrustes_distance",
    "pwcca",
    "r2",
    "svcca",
]

#: Rows of a distance matrix held at a time: 40 MB a side at n = 5,000.
_BLOCK = 1024


def cka(source: PairedSource, target: PairedTarget, *, debiased: bool = True) -> Scalar:
    r"""Compute linear centred kernel alignment.

    .. math:: \frac{HSIC(X, Y)}{\sqrt{HSIC(X, X)\,HSIC(Y, Y)}}

    (Kornblith et al. 2019, equation 4) with the unbiased HSIC of Song et al. (2012, equation 5) or, with
    ``debiased=False``, the usual ||X^T Y||_F^2 of centred samples, which reads high when columns outnumber
    samples. No samples x samples matrix is built unless it is the smaller one.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        debiased: Use the unbiased HSIC.

    Returns:
        1 for representations equal up to rotation, shift and scale; about 0 for unrelated ones (the debiased
        one may be below and is not clipped).

    Raises:
        ShapeError: When rows do not pair, there are fewer than 4, or a side does not vary.

    Examples:
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).normal(size=(2, 500, 20))
        >>> round(cka(x, 3 * x[:, ::-1] + 1), 6), abs(cka(x, y)) < 0.02, round(cka(x, y, debiased=False), 1)
        (1.0, True, 0.0)
    """
    x, y = _centred_pairs(source, target, min_samples=4)
    own_x, own_y = hsic(x, x, debiased=debiased), hsic(y, y, debiased=debiased)
    for own, name in ((own_x, "source"), (own_y, "target")):
        if float(own.detach()) <= 0.0:
            raise ShapeError(
                f"the {name}'s unbiased spread is {float(own.detach()):.3g}: its {len(x)} samples tell no "
                "direction apart from noise; give more samples, or debiased=False"
            )
    return answer(hsic(x, y, debiased=debiased) / (own_x * own_y).sqrt(), source, target)


def hsic(
    x: Float[Tensor, "samples d_source"], y: Float[Tensor, "samples d_target"], *, debiased: bool
) -> Float[Tensor, ""]:
    """Compute the Hilbert-Schmidt independence criterion of centred samples under the linear kernel.

    The diagonal of the kernel matrices, which the unbiased form leaves out, and their row sums follow from the
    squared norms alone, because centred kernels have zero row sums.

    Args:
        x: Centred samples, at least 4.
        y: Centred samples.
        debiased: Unbiased (Song et al. 2012, equation 5): the squared Frobenius norm of the cross-covariance,
            without bias whatever the law.

    Returns:
        The criterion; for ``y = x`` and ``debiased`` an unbiased estimate of the trace of Sigma squared.

    Examples:
        >>> x = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]).double()
        >>> float(hsic(x, x, debiased=False))
        1.0
    """
    n = len(x)
    is_wide = n < min(x.shape[1], y.shape[1])
    inner = ((x @ x.T) * (y @ y.T)).sum() if is_wide else (x.T @ y).square().sum()
    if not debiased:
        return inner / n**2
    norms_x, norms_y = x.square().sum(dim=1), y.square().sum(dim=1)
    shared = (norms_x * norms_y).sum()
    totals = norms_x.sum() * norms_y.sum() / ((n - 1) * (n - 2))
    value: Float[Tensor, ""] = (inner - shared + totals - 2.0 * shared / (n - 2)) / (n * (n - 3))
    return value


def distance_correlation(source: PairedSource, target: PairedTarget, *, debiased: bool = True) -> Scalar:
    r"""Compute distance correlation, which is zero in the population only under independence.

    ``debiased=True``: the bias-corrected *squared* distance correlation (Székely and Rizzo 2013), equal to
    ``dcor.u_distance_correlation_sqr``. ``debiased=False``: the plain sample distance correlation (Székely,
    Rizzo and Bakirov 2007), not squared, equal to ``dcor.distance_correlation`` and what the paper reports; it
    tends to 1 for independent data when dimensions outnumber samples. Both are exact and hold only blocks of
    the distance matrices: their inner product needs no more than

    .. math:: \sum_{ij} a_{ij}b_{ij}, \quad \sum_i a_{i\cdot}b_{i\cdot}, \quad a_{\cdot\cdot}b_{\cdot\cdot}

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        debiased: Which of the two.

    Returns:
        At most 1, which is reached by representations equal up to rotation, shift and scale; about 0 (debiased,
        possibly below, not clipped) for independent ones.

    Raises:
        ShapeError: When rows do not pair, there are fewer than 4, or a side does not vary.

    Examples:
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).normal(size=(2, 400, 3))
        >>> round(distance_correlation(x, 2 * x + 1), 6), abs(distance_correlation(x, y)) < 0.02
        (1.0, True)
    """
    x, y = _centred_pairs(source, target, min_samples=4)
    sums = _distance_sums(x, y)
    covariance, own_x, own_y = (
        _distance_covariance(sums, i, j, debiased=debiased) for i, j in ((0, 1), (0, 0), (1, 1))
    )
    if float(own_x.detach()) <= 0.0 or float(own_y.detach()) <= 0.0:
        raise ShapeError(
            f"the distance variance of one side of the {len(x)} pairs is not above 0: give more, or more "
            "varied, samples"
        )
    ratio = covariance / (own_x * own_y).sqrt()
    # The plain one is a root of a sum of squares: below 0 only by rounding.
    return answer(ratio if debiased else ratio.clamp_min(0.0).sqrt(), source, target)


def procrustes_distance(source: PairedSource, target: PairedTarget) -> Scalar:
    r"""Compute how far two representations are after the best rotation, shift and scale.

    .. math:: 1 - \frac{\|X^T Y\|_*^2}{\|X\|_F^2\,\|Y\|_F^2}

    of centred samples, with the nuclear norm above: the squared full Procrustes distance (Dryden and Mardia
    2016, section 4.2.2), and ``scipy.spatial.procrustes``'s disparity. Widths may differ (the narrower side
    counts as padded with zeros); reflections are allowed.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.

    Returns:
        0 (equal up to rotation, shift and scale) to 1.

    Raises:
        ShapeError: When rows do not pair, there are fewer than 2, or a side does not vary.

    Examples:
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).normal(size=(2, 9, 2))
        >>> abs(procrustes_distance(x, 5 - 2 * x[:, ::-1])) < 1e-12
        True
    """
    x, y = _centred_pairs(source, target, min_samples=2)
    nuclear = torch.linalg.svdvals(x.T @ y).sum()
    return answer(1.0 - nuclear.square() / (x.square().sum() * y.square().sum()), source, target)


def r2(
    prediction: PairedSource,
    target: PairedTarget,
    *,
    weights: Literal["variance", "uniform"] = "variance",
) -> Scalar:
    r"""Compute the share of the target's variance that a prediction explains.

    .. math:: R^2 = 1 - \frac{\sum_{ij}(y_{ij}-\hat y_{ij})^2}{\sum_{ij}(y_{ij}-\bar y_j)^2}

    ``variance`` weighs each column by its variance, as above; ``uniform`` averages the columns' own values.
    Equal to ``sklearn.metrics.r2_score`` with ``variance_weighted`` and ``uniform_average``.

    Args:
        prediction: One row for each row of the target, of the same width.
        target: What was to be predicted.
        weights: How columns count.

    Returns:
        At most 1; 0 for a constant prediction of the mean; below 0 for worse.

    Raises:
        ConfigError: When ``weights`` is unknown.
        ShapeError: When shapes differ or the target does not vary (for ``uniform``: in any one column).

    Examples:
        >>> import numpy as np
        >>> round(r2(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [6.0]])), 6)  # 1 - 9 / 14
        0.357143
    """
    if weights not in ("variance", "uniform"):
        raise ConfigError(f"weights '{weights}' came; expected 'variance' or 'uniform'")
    guess, truth = to_pairs(prediction, target, min_samples=2)
    if guess.shape != truth.shape:
        raise ShapeError(
            f"prediction came with shape {tuple(guess.shape)} and target with {tuple(truth.shape)}; expected "
            "equal shapes"
        )
    mean = truth.mean(dim=0)
    error, spread = (truth - guess).square().sum(dim=0), (truth - mean).square().sum(dim=0)
    if weights == "variance":
        centre(truth, name="target")
        return answer(1.0 - error.sum() / spread.sum(), prediction, target)
    check_varies(spread / len(truth), mean, name="target")
    return answer((1.0 - error / spread).mean(), prediction, target)


def mutual_knn_overlap(source: PairedSource, target: PairedTarget, *, k: int = 10) -> Scalar:
    r"""Compute the mean share of nearest neighbours that two representations have in common.

    .. math:: \frac{1}{n}\sum_i \frac{|N_k(x_i) \cap N_k(y_i)|}{k}

    (Huh et al. 2024, section 2, with Euclidean neighbours.) Unrelated representations share k / (n - 1).

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        k: Neighbours, the sample itself left out; among equally near ones an arbitrary choice.

    Returns:
        0 to 1; not differentiable.

    Raises:
        ShapeError: When rows do not pair or there are not more than ``k`` + 1.

    Examples:
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).normal(size=(2, 1001, 3))
        >>> mutual_knn_overlap(x, 2 * x + 1), mutual_knn_overlap(x, y) < 0.03  # chance is 0.01
        (1.0, True)
    """
    x, y = to_pairs(source, target, min_samples=k + 2)
    near_x, near_y = nearest_neighbours(x, k=k), nearest_neighbours(y, k=k)
    shared = 0
    for part_x, part_y in zip(torch.split(near_x, _BLOCK), torch.split(near_y, _BLOCK), strict=True):
        marked = torch.zeros(len(part_x), len(x), dtype=torch.bool, device=x.device)
        shared += int(marked.scatter_(1, part_x, True).gather(1, part_y).sum())
    return answer(torch.tensor(shared / (k * len(x)), dtype=torch.float64), source, target)


def _centred_pairs(
    source: PairedSource, target: PairedTarget, *, min_samples: int
) -> tuple[Float[Tensor, "samples d_source"], Float[Tensor, "samples d_target"]]:
    x, y = to_pairs(source, target, min_samples=min_samples)
    return centre(x, name="source"), centre(y, name="target")


class _DistanceSums(NamedTuple):
    n: int
    inner: dict[tuple[int, int], Float[Tensor, ""]]
    rows: tuple[Float[Tensor, " samples"], Float[Tensor, " samples"]]


def _distance_sums(
    x: Float[Tensor, "samples d_source"], y: Float[Tensor, "samples d_target"]
) -> _DistanceSums:
    """Add up what the inner products of two distance matrices need, over blocks of their upper triangles."""
    n = len(x)
    pairs = ((0, 1), (0, 0), (1, 1))
    inner = {pair: x.new_zeros(()) for pair in pairs}
    rows = (x.new_zeros(n), x.new_zeros(n))
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        block = [_distances(part, start, stop) for part in (x, y)]
        size = stop - start
        for side in (0, 1):
            rows[side][start:stop] += block[side].sum(dim=1)
            rows[side][stop:] += block[side][:, size:].sum(dim=0)
        for i, j in pairs:
            # Entries right of the diagonal block stand for their mirror images too.
            both = torch.dot(block[i].flatten(), block[j].flatten())
            within = (block[i][:, :size] * block[j][:, :size]).sum()
            inner[i, j] = inner[i, j] + 2.0 * both - within
    return _DistanceSums(n, inner, rows)


def _distances(points: Float[Tensor, "samples d"], start: int, stop: int) -> Float[Tensor, "block rest"]:
    """Euclidean distances of rows start..stop to rows start.. on; 0 on the diagonal."""
    norms = points.square().sum(dim=1)
    squared = norms[start:stop, None] + norms[None, start:] - 2.0 * points[start:stop] @ points[start:].T
    squared[:, : stop - start].fill_diagonal_(0.0)
    # The root of an exact 0 has no gradient; below this floor none is asked for, and 1e-150 is 0 in any sum.
    return squared.clamp_min(1e-300).sqrt()


def _distance_covariance(sums: _DistanceSums, i: int, j: int, *, debiased: bool) -> Float[Tensor, ""]:
    n, cross = sums.n, (sums.rows[i] * sums.rows[j]).sum()
    totals = sums.rows[i].sum() * sums.rows[j].sum()
    if debiased:
        value = sums.inner[i, j] - 2.0 * cross / (n - 2) + totals / ((n - 1) * (n - 2))
        return value / (n * (n - 3))
    return sums.inner[i, j] / n**2 - 2.0 * cross / n**3 + totals / n**4
