"""How well scores tell clean samples from anomalous ones, with intervals over documents."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from msma.errors import ConfigError, ShapeError
from msma.resampling import Interval

#: Documents of the clean and of the anomalous samples; one sequence where they are pairs.
Documents: TypeAlias = Sequence[Any] | tuple[Sequence[Any], Sequence[Any]] | None
_Weights: TypeAlias = Float[np.ndarray, "draws samples"]

#: Draws held in memory at once, as numbers.
_BLOCK = 2**22


class Counts(NamedTuple):
    """Anomalies found and false alarms at every threshold that tells samples apart, most anomalous first.

    Args:
        found: Weight of the anomalies at or below each threshold.
        alarms: Weight of the clean samples there.
    """

    found: Float[np.ndarray, "draws thresholds"]
    alarms: Float[np.ndarray, "draws thresholds"]


def auroc(
    clean: Any, anomalous: Any, *, documents: Documents = None, n_resamples: int = 1000, seed: int = 0
) -> Interval:
    r"""Compute the area under the receiver's curve: how often a clean sample scores above an anomalous one.

    .. math:: P(s_{\text{clean}} > s_{\text{anomalous}}) + \tfrac12 P(s_{\text{clean}} = s_{\text{anomalous}})

    The estimate is scikit-learn's ``roc_auc_score``; the interval is the 95 % percentile bootstrap over documents, in
    which the clean and the anomalous samples of a document are drawn together. Near 1 a bootstrap is too narrow: where
    no pair is in the wrong order it has no width at all.

    Args:
        clean: Scores of clean samples; higher is more normal.
        anomalous: Scores of anomalous ones.
        documents: One sequence, where sample i of both sides comes from document i of it; or a pair of sequences. Left
            out, sample i of both is one document where there are as many, else every sample is its own.
        n_resamples: Draws; 0 for the estimate alone, its ends equal to it.
        seed: Fixes the draws.

    Returns:
        In [0, 1]; 0.5 is chance.

    Examples:
        >>> auroc([3.0, 2.0], [1.0, 2.0], n_resamples=0).value  # above, above, equal, above
        0.875
    """
    return _interval(area_of, clean, anomalous, documents, n_resamples=n_resamples, seed=seed)


def aupr(
    clean: Any, anomalous: Any, *, documents: Documents = None, n_resamples: int = 1000, seed: int = 0
) -> Interval:
    r"""Compute the average precision with anomalies as what is sought.

    .. math:: \sum_i (R_i - R_{i-1}) P_i

    over thresholds from the most anomalous score on; scikit-learn's ``averageprecision_of_score``.

    Args:
        clean: Scores of clean samples; higher is more normal.
        anomalous: Scores of anomalous ones.
        documents: See :func:`auroc`.
        n_resamples: See :func:`auroc`.
        seed: Fixes the draws.

    Returns:
        In (0, 1]; chance is the share of anomalies.

    Examples:
        >>> aupr([3.0, 1.5], [1.0, 2.0], n_resamples=0).value.__round__(6)  # 1/2 x 1 + 1/2 x 2/3
        0.833333
    """
    return _interval(precision_of, clean, anomalous, documents, n_resamples=n_resamples, seed=seed)


def fpr_at_tpr(
    clean: Any,
    anomalous: Any,
    *,
    tpr: float = 0.95,
    documents: Documents = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Compute the share of clean samples flagged where a given share of the anomalies is found.

    Args:
        clean: Scores of clean samples; higher is more normal.
        anomalous: Scores of anomalous ones.
        tpr: Share of anomalies that must be found, in (0, 1].
        documents: See :func:`auroc`.
        n_resamples: See :func:`auroc`.
        seed: Fixes the draws.

    Returns:
        In [0, 1]; lower is better, chance is about ``tpr``. No interpolation between thresholds.

    Raises:
        ConfigError: When ``tpr`` is no share.

    Examples:
        >>> fpr_at_tpr([4.0, 3.0, 2.0, 0.0], [1.0, 2.5], n_resamples=0).value  # 2.0 and 0.0 lie below 2.5
        0.5
    """
    if not 0.0 < tpr <= 1.0:
        raise ConfigError(f"tpr={tpr!r} came; expected a share of anomalies above 0, such as 0.95")
    return _interval(
        lambda counts: alarms_at(counts, tpr),
        clean,
        anomalous,
        documents,
        n_resamples=n_resamples,
        seed=seed,
    )


def _interval(
    metric: Callable[[Counts], np.ndarray],
    clean: Any,
    anomalous: Any,
    documents: Documents,
    *,
    n_resamples: int,
    seed: int,
) -> Interval:
    sides = check_sides(clean, anomalous)
    codes = number_sides(documents, len(sides[0]), len(sides[1]))
    values = draw_metrics([metric], *sides, codes, n_resamples, seed)[0]
    low, high = interval_ends(values[1:] if n_resamples else values)
    return Interval(float(values[0]), low, high, "bootstrap")


def draw_metrics(
    metrics: Sequence[Callable[[Counts], np.ndarray]],
    clean: Float[np.ndarray, " n_clean"],
    anomalous: Float[np.ndarray, " n_anomalous"],
    codes: Int[np.ndarray, " samples"],
    n_resamples: int,
    seed: int,
) -> Float[np.ndarray, "metrics draws"]:
    """Compute metrics on the samples as they are (first) and on draws of their documents.

    Args:
        metrics: Functions of the counts.
        clean: Scores of clean samples.
        anomalous: Scores of anomalous ones.
        codes: The document of each clean and then of each anomalous sample, numbered from 0.
        n_resamples: Draws.
        seed: Fixes them.

    Returns:
        One row a metric, one column a draw.
    """
    is_clean = np.arange(len(codes)) < len(clean)
    scores = np.concatenate([clean, anomalous])
    order = np.argsort(scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    weights = _document_weights(codes, is_clean, n_resamples, seed)
    blocks = np.array_split(weights, max(1, weights.shape[0] * len(scores) // _BLOCK))
    found = []
    for block in blocks:
        drawn = block[:, codes[order]].astype(np.float64)
        counts = Counts(
            np.cumsum(drawn * ~is_clean[order], axis=1)[:, ends],
            np.cumsum(drawn * is_clean[order], axis=1)[:, ends],
        )
        found.append(np.stack([metric(counts) for metric in metrics]))
    return np.concatenate(found, axis=1)


def _document_weights(
    codes: Int[np.ndarray, " samples"], is_clean: np.ndarray, n_resamples: int, seed: int
) -> Int[np.ndarray, "draws documents"]:
    """Draw documents within those of clean samples, of anomalous ones and of both, so that no side is ever empty."""
    n = int(codes.max()) + 1
    kinds = np.isin(np.arange(n), codes[is_clean]) + 2 * np.isin(np.arange(n), codes[~is_clean])
    rng = np.random.default_rng(seed)
    weights = np.ones((n_resamples + 1, n), dtype=np.int64)
    for kind in np.unique(kinds):
        members = np.flatnonzero(kinds == kind)
        shares = np.full(len(members), 1.0 / len(members))
        weights[1:, members] = rng.multinomial(len(members), shares, size=n_resamples)
    return weights


def area_of(counts: Counts) -> Float[np.ndarray, " draws"]:
    """Compute the area under the receiver's curve; see :func:`auroc`.

    Args:
        counts: Anomalies found and false alarms.

    Returns:
        One a draw.
    """
    start = np.zeros((len(counts.found), 1))
    found, alarms = np.hstack([start, counts.found]), np.hstack([start, counts.alarms])
    trapezoids = np.diff(alarms, axis=1) * (found[:, 1:] + found[:, :-1]) / 2.0
    return np.asarray(trapezoids.sum(axis=1) / (found[:, -1] * alarms[:, -1]))


def precision_of(counts: Counts) -> Float[np.ndarray, " draws"]:
    """Compute the average precision; see :func:`aupr`.

    Args:
        counts: Anomalies found and false alarms.

    Returns:
        One a draw.
    """
    flagged = counts.found + counts.alarms
    precision = np.divide(counts.found, flagged, out=np.zeros_like(flagged), where=flagged > 0)
    gained = np.diff(counts.found, axis=1, prepend=0.0)
    return np.asarray((gained * precision).sum(axis=1) / counts.found[:, -1])


def alarms_at(counts: Counts, tpr: float) -> Float[np.ndarray, " draws"]:
    """Compute the share of false alarms at a share of anomalies found; see :func:`fpr_at_tpr`.

    Args:
        counts: Anomalies found and false alarms.
        tpr: Share of anomalies that must be found.

    Returns:
        One a draw.
    """
    is_enough = counts.found >= (tpr - 1e-12) * counts.found[:, -1:]
    first = is_enough.argmax(axis=1)
    return np.asarray(counts.alarms[np.arange(len(first)), first] / counts.alarms[:, -1])


def interval_ends(values: Float[np.ndarray, " draws"]) -> tuple[float, float]:
    """Give the ends of a 95 % percentile interval.

    Args:
        values: One a draw.

    Returns:
        Low and high.
    """
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def check_sides(
    clean: Any, anomalous: Any
) -> tuple[Float[np.ndarray, " n_clean"], Float[np.ndarray, " n_anomalous"]]:
    """Refuse scores that are no finite numbers, or none.

    Args:
        clean: Scores of clean samples.
        anomalous: Scores of anomalous ones.

    Returns:
        Both, float64.

    Raises:
        ShapeError: When either side is empty or holds what is not finite.
    """
    sides = []
    for name, side in (("clean", clean), ("anomalous", anomalous)):
        values = np.asarray(side, dtype=np.float64)
        if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
            raise ShapeError(
                f"{name} scores of shape {values.shape} came; give one finite number for each of 1 or more samples"
            )
        sides.append(values)
    return sides[0], sides[1]


def number_sides(documents: Documents, n_clean: int, n_anomalous: int) -> Int[np.ndarray, " samples"]:
    """Number the documents of the clean samples and, after them, of the anomalous ones.

    Args:
        documents: See :func:`auroc`.
        n_clean: Clean samples.
        n_anomalous: Anomalous ones.

    Returns:
        One number a sample, from 0.

    Raises:
        ShapeError: When there is not one document a sample.
    """
    if documents is None:
        shared = n_clean == n_anomalous
        labels = [*range(n_clean), *(range(n_anomalous) if shared else range(n_clean, n_clean + n_anomalous))]
        return np.asarray(labels)
    is_two = isinstance(documents, tuple) and len(documents) == 2 and not isinstance(documents[0], (str, int))
    of_clean, of_anomalous = documents if is_two else (documents, documents)
    if (len(of_clean), len(of_anomalous)) != (n_clean, n_anomalous):
        raise ShapeError(
            f"{len(of_clean)} and {len(of_anomalous)} documents came for {n_clean} clean and {n_anomalous} anomalous "
            "samples; give the document of each, on both sides where the numbers differ"
        )
    return np.unique([str(label) for label in [*of_clean, *of_anomalous]], return_inverse=True)[1]
