"""How far one representation is predicted by another: R2 and cosine, of all samples and without each group."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES
from msma.maps import RidgeMap
from msma.model_comparison.rows import parts_row
from msma.model_comparison.similarity import Orders, Scaled
from msma.results import Row


def r2_parts(
    mapped: Float[np.ndarray, "samples d"],
    target: Float[np.ndarray, "samples d"],
    groups: Int[np.ndarray, " samples"],
) -> Float[np.ndarray, " parts"]:
    """Compute the share of the target's variance that is predicted, as :func:`msma.measures.similarity.r2` does.

    Args:
        mapped: The prediction.
        target: What was to be predicted.
        groups: The group of each sample.

    Returns:
        One value a group left out, then the value on all samples; not a number where the target does not vary.

    Examples:
        >>> target = np.array([[1.0], [2.0], [6.0]])
        >>> r2_parts(np.array([[1.0], [2.0], [3.0]]), target, np.arange(3)).round(6).tolist()  # 1 - 9 / 14
        [-0.125, 0.28, 1.0, 0.357143]
    """
    centred = target - target.mean(axis=0)
    keeps = kept_samples(groups)
    sums, squares = keeps @ centred, keeps @ (centred**2).sum(axis=1)
    total = squares - (sums**2).sum(axis=1) / keeps.sum(axis=1)
    error = keeps @ ((target - mapped) ** 2).sum(axis=1)
    varies = total > 1e-12 * squares[-1]
    return np.where(varies, 1.0 - error / np.where(varies, total, 1.0), np.nan)


def mean_parts(
    values: Float[np.ndarray, " samples"], groups: Int[np.ndarray, " samples"]
) -> Float[np.ndarray, " parts"]:
    """Average values without each group of documents, and all of them.

    Args:
        values: One a sample.
        groups: The group of each.

    Returns:
        One mean a group left out, then that of all samples.

    Examples:
        >>> mean_parts(np.array([1.0, 2.0, 6.0]), np.arange(3)).tolist()
        [4.0, 3.5, 1.5, 3.0]
    """
    keeps = kept_samples(groups)
    return np.asarray(keeps @ values / keeps.sum(axis=1))


def kept_samples(groups: Int[np.ndarray, " samples"]) -> Float[np.ndarray, "parts samples"]:
    """Mark the samples that are kept in each part of a jackknife.

    Args:
        groups: The group of each sample.

    Returns:
        1 where a sample is kept: one row a group left out, then a row of ones.

    Examples:
        >>> kept_samples(np.array([0, 0, 1])).tolist()
        [[0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    """
    without = np.unique(groups)[:, None] != groups[None, :]
    return np.vstack([without, np.ones((1, len(groups)), dtype=bool)]).astype(np.float64)


def cosines(
    mapped: Float[np.ndarray, "samples d"],
    target: Float[np.ndarray, "samples d"],
    centre: Float[np.ndarray, " d"],
) -> Float[np.ndarray, " samples"]:
    """Compute the cosine between each mapped state and its target, both seen from a centre.

    Args:
        mapped: Mapped states.
        target: Their targets.
        centre: The point they are seen from: the mean of the training states, which all states share.

    Returns:
        -1 to 1 a sample; 0 where either lies at the centre.

    Examples:
        >>> cosines(np.array([[2.0, 1.0]]), np.array([[3.0, 1.0]]), np.array([1.0, 1.0])).tolist()
        [1.0]
    """
    one, other = mapped - centre, target - centre
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.divide((one * other).sum(axis=1), norms, out=np.zeros_like(norms), where=norms > 0)


def mean_null(
    mapped: Float[np.ndarray, "samples d"],
    target: Float[np.ndarray, "samples d"],
    orders: Sequence[Int[np.ndarray, " samples"]],
) -> float:
    """Compute R2 of predictions that belong to other documents.

    Args:
        mapped: The prediction.
        target: What was to be predicted.
        orders: Permutations that pair no sample with its own document.

    Returns:
        The mean over the permutations; not a number where the target does not vary.

    Examples:
        >>> target = np.array([[0.0], [1.0]])
        >>> mean_null(target, target, [np.array([1, 0])])
        -3.0
    """
    total = float(((target - target.mean(axis=0)) ** 2).sum())
    errors = [float(((target - mapped[order]) ** 2).sum()) for order in orders]
    return 1.0 - float(np.mean(errors)) / total if total > 0 else float("nan")


def predict_scales(
    train: tuple[Scaled, Scaled],
    test: tuple[Scaled, Scaled],
    *,
    train_documents: Int[np.ndarray, " train_samples"],
    names: tuple[str, str],
    groups: Int[np.ndarray, " samples"],
    orders: Orders,
) -> list[Row]:
    """Predict each scale of one model from the same scale of the other by ridge regression, and back.

    Args:
        train: Representations of the scales of the samples that both trained on.
        test: Those of the samples that both held out.
        train_documents: The document of each training sample.
        names: What the two are called.
        groups: The jackknife group of each test sample.
        orders: Permutations that pair no test sample with its own document.

    Returns:
        Rows ``cross_r2``: the first predicts the second, and the second the first.
    """
    rows = []
    for side, name in enumerate(names):
        other = 1 - side
        for scale in SCALES:
            map_ = RidgeMap().fit(train[side][scale], train[other][scale], groups=train_documents)
            mapped, target = map_.transform(test[side][scale]), test[other][scale]
            rows.append(
                parts_row(
                    "cross_r2",
                    r2_parts(mapped, target, groups),
                    null=mean_null(mapped, target, orders),
                    ceiling=1.0,
                    units="share of variance",
                    better="higher",
                    source=scale,
                    target=scale,
                    map=f"{name} → {names[other]}",
                    n=len(groups),
                    note=f"ridge, fitted on {len(train_documents)} samples that both trained on",
                )
            )
    return rows
