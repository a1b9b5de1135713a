"""What accuracy is left when a classifier may stay silent: coverage against accuracy, and the area under the risk."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma.errors import ConfigError, ShapeError
from msma.linalg import as_numpy
from msma.resampling import Interval, bootstrap_interval
from msma.robust_probes.labelled import number_documents


@dataclass(frozen=True, eq=False, kw_only=True)
class AbstentionCurve:
    """Accuracy on the samples kept, for every share of samples kept.

    Args:
        risks: Share of errors among the 1, 2, ... n samples with the highest scores.
        coverages: Shares kept at which the band was made, from 1 down.
        accuracies: Accuracy on the samples kept, at each of them.
        low: Lower end of the pointwise 95 % band over documents.
        high: Upper end.
        aurc: Area under risk against coverage, with its interval; lower is better.
        optimal: The area that this many errors leave where every error has a lower score than every hit.
        n: Number of samples.
    """

    risks: Float[np.ndarray, " samples"]
    coverages: Float[np.ndarray, " points"]
    accuracies: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    aurc: Interval
    optimal: float
    n: int

    @property
    def error_rate(self) -> float:
        """Share of errors among all samples: also the expected area of a gate that knows nothing."""
        return float(self.risks[-1])

    def risk_at(self, coverage: float) -> float:
        """Give the selective risk: the share of errors among the samples kept.

        Args:
            coverage: Share kept, above 0 and at most 1.

        Returns:
            From 0 to 1, on the smallest number of samples that reaches the coverage.

        Raises:
            ConfigError: When the coverage is not a share.
        """
        return float(self.risks[_kept(coverage, self.n) - 1])

    def accuracy_at(self, coverage: float) -> float:
        """Give the accuracy on the samples kept.

        Args:
            coverage: Share kept, above 0 and at most 1.

        Returns:
            From 0 to 1.

        Raises:
            ConfigError: When the coverage is not a share.
        """
        return 1.0 - self.risk_at(coverage)


def selective_risks(
    is_correct: Any, scores: Any, *, counts: Int[np.ndarray, " samples"] | None = None
) -> Float[np.ndarray, " kept"]:
    r"""Compute the share of errors among the samples with the k highest scores, for every k.

    .. math:: r_k = \frac1k \sum_{i \le k} e_{(i)}

    Samples with equal scores are kept in random order; the expectation over that order is given, so that the result
    does not depend on the order in which samples came.

    Args:
        is_correct: Whether each sample was classified right.
        scores: Confidence, higher is kept longer.
        counts: How often each sample is there (draws of a bootstrap); once when left out.

    Returns:
        From 0 to 1, for k = 1 to the number of samples.

    Raises:
        ShapeError: When the arrays do not fit each other, are empty or not finite.

    Examples:
        >>> selective_risks([True, False, True, False], [4, 3, 2, 1]).round(3).tolist()
        [0.0, 0.5, 0.333, 0.5]
    """
    errors, values = _check(is_correct, scores)
    return _risks(errors, _blocks(values), np.ones(len(errors), dtype=np.int64) if counts is None else counts)


def area_under_risk(is_correct: Any, scores: Any) -> float:
    r"""Compute AURC, the mean selective risk over all coverages (Geifman, Uziel and El-Yaniv 2019).

    .. math:: AURC = \frac1n \sum_{k=1}^{n} r_k

    Args:
        is_correct: Whether each sample was classified right.
        scores: Confidence, higher is kept longer.

    Returns:
        From 0 to 1, lower is better; the error rate, on average, where the score knows nothing.

    Raises:
        ShapeError: When the arrays do not fit each other, are empty or not finite.

    Examples:
        >>> round(area_under_risk([True, False, True, False], [4, 3, 2, 1]), 4)  # (0 + 1/2 + 1/3 + 1/2) / 4
        0.3333
    """
    return float(selective_risks(is_correct, scores).mean())


def abstention_curve(
    is_correct: Any,
    scores: Any,
    documents: Any = None,
    *,
    coverages: Sequence[float] | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> AbstentionCurve:
    """Follow accuracy while the samples with the lowest scores are left out, with a band over documents.

    Args:
        is_correct: Whether each sample was classified right.
        scores: Confidence or normality, higher is kept longer.
        documents: The document of each sample; every one its own when left out.
        coverages: Shares of samples kept at which the band is made; 1, 0.95, ... 0.05 when left out.
        n_resamples: Draws of the document bootstrap.
        seed: Fixes the draws.

    Returns:
        The curve and the area under the risk.

    Raises:
        ShapeError: When the arrays do not fit each other, are empty or not finite, or hold one document.
        ConfigError: When a coverage is not a share.

    Examples:
        >>> curve = abstention_curve([True] * 8 + [False] * 2, range(10, 0, -1))
        >>> curve.accuracy_at(1.0), curve.accuracy_at(0.8), curve.aurc.value == curve.optimal
        (0.8, 1.0, True)
    """
    errors, values = _check(is_correct, scores)
    documents = number_documents(documents, n_samples=len(errors))
    codes = np.unique(documents, return_inverse=True)[1]
    blocks = _blocks(values)
    shares = np.linspace(1.0, 0.0, 20, endpoint=False) if coverages is None else np.asarray(coverages, float)
    band: list[Float[np.ndarray, " points"]] = []

    def areas(weights: Float[np.ndarray, "draws samples"]) -> Float[np.ndarray, " draws"]:
        found = []
        for row in weights.astype(np.int64):
            risks = _risks(errors, blocks, row)
            band.append(1.0 - risks[[_kept(c, len(risks)) - 1 for c in shares]])
            found.append(risks.mean())
        return np.array(found)

    aurc = bootstrap_interval(areas, codes, n_resamples=n_resamples, seed=seed)
    low, high = np.percentile(np.stack(band[1:]), [2.5, 97.5], axis=0)  # the first is all samples once
    return AbstentionCurve(
        risks=_risks(errors, blocks, np.ones(len(errors), dtype=np.int64)),
        coverages=shares,
        accuracies=band[0],
        low=low,
        high=high,
        aurc=aurc,
        optimal=area_under_risk(errors == 0, -errors),
        n=len(errors),
    )


def area_difference(
    is_correct: Any,
    first: Any,
    second: Any,
    documents: Any = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Compare two scores as gates of one classifier: the difference of their AURC, paired over documents.

    Args:
        is_correct: Whether each sample was classified right.
        first: Confidence of one gate.
        second: Confidence of the other.
        documents: The document of each sample; every one its own when left out.
        n_resamples: Draws of the document bootstrap, the same for both.
        seed: Fixes the draws.

    Returns:
        First minus second: below 0 where the first is the better gate.

    Raises:
        ShapeError: When the arrays do not fit each other, are empty or not finite, or hold one document.

    Examples:
        >>> right = [True] * 30 + [False] * 10
        >>> area_difference(right, right, range(40), seed=1).high < 0  # a gate that knows against one that errs
        True
    """
    errors, values = _check(is_correct, first)
    codes = np.unique(number_documents(documents, n_samples=len(errors)), return_inverse=True)[1]
    pair = (_blocks(values), _blocks(_check(is_correct, second)[1]))

    def differences(weights: Float[np.ndarray, "draws samples"]) -> Float[np.ndarray, " draws"]:
        return np.array(
            [
                _risks(errors, pair[0], row).mean() - _risks(errors, pair[1], row).mean()
                for row in weights.astype(np.int64)
            ]
        )

    return bootstrap_interval(differences, codes, n_resamples=n_resamples, seed=seed)


def _kept(coverage: float, n: int) -> int:
    if not 0.0 < coverage <= 1.0:
        raise ConfigError(f"coverage {coverage} came; expected a share above 0 and at most 1")
    return max(1, math.ceil(coverage * n - 1e-9))


def _blocks(scores: Float[np.ndarray, " samples"]) -> Int[np.ndarray, " samples"]:
    """Number each sample's score from the highest, equal scores alike."""
    return np.unique(-scores, return_inverse=True)[1]


def _risks(
    errors: Float[np.ndarray, " samples"],
    blocks: Int[np.ndarray, " samples"],
    counts: Int[np.ndarray, " samples"],
) -> Float[np.ndarray, " kept"]:
    sizes = np.bincount(blocks, weights=counts).astype(np.int64)
    wrong = np.bincount(blocks, weights=counts * errors)
    shares = np.divide(wrong, sizes, out=np.zeros(len(sizes)), where=sizes > 0)
    expected = np.cumsum(np.repeat(shares, sizes))
    return np.asarray(expected / np.arange(1, len(expected) + 1))


def _check(
    is_correct: Any, scores: Any
) -> tuple[Float[np.ndarray, " samples"], Float[np.ndarray, " samples"]]:
    right, values = as_numpy(is_correct), as_numpy(scores)
    if right.ndim != 1 or values.shape != right.shape or len(right) == 0:
        raise ShapeError(
            f"correctness came with shape {right.shape} and scores with {values.shape}; expected one each a sample, "
            "and at least one sample"
        )
    if not np.isin(right, (0, 1)).all():
        raise ShapeError(
            "correctness came with values other than true and false; compare predictions with labels"
        )
    if not np.isfinite(values.astype(np.float64)).all():
        count = int((~np.isfinite(values.astype(np.float64))).sum())
        raise ShapeError(
            f"scores came with {count} of {len(values)} not finite; remove or repair such samples"
        )
    return 1.0 - right.astype(np.float64), values.astype(np.float64)
