"""Conformal p-values: how unusual a score is among scores of clean samples, with a guarantee at any sample size."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from msma.errors import ConfigError, ShapeError
from msma.linalg import as_numpy

#: Sums of shares of documents are equal to a level within this.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class ConformalCalibration:
    r"""Turn scores into p-values by their place among the scores of clean samples that nothing was fitted on.

    .. math:: p(s) = \frac{1 + \sum_{k=1}^K \frac{1}{n_k} \sum_{i=1}^{n_k} 1\{s_{ki} \le s\}}{K + 1}

    with :math:`s_{ki}` the score (higher is more normal) of sample i of document k. Where every sample is a document
    of its own this is :math:`(1 + \#\{s_i \le s\}) / (n + 1)` (Vovk et al. 2005; Bates et al. 2023, Ann. Statist. 51,
    equation 1). In both cases :math:`P(p \le \alpha) \le \alpha` for a clean sample: of exchangeable samples, or of a
    new document among exchangeable documents (Lee, Barber and Willett 2023, "Distribution-free inference with
    hierarchical data", theorem 1). Counting sentences of few documents as if each came alone has no such guarantee.

    Args:
        scores: Scores of the clean samples, ascending.
        cumulative: Sum of the weights 1 / n_k of the samples up to and with each.
        n_documents: K.

    Examples:
        >>> calibration = ConformalCalibration.from_scores(np.arange(9.0))
        >>> calibration.p_values(np.array([-1.0, 4.0, 99.0])).tolist()
        [0.1, 0.6, 1.0]
        >>> calibration.threshold(0.2)  # a score below it has p <= 0.2
        1.0
    """

    scores: Float[np.ndarray, " samples"]
    cumulative: Float[np.ndarray, " samples"]
    n_documents: int

    @classmethod
    def from_scores(cls, scores: Float[np.ndarray, " samples"], documents: Any = None) -> Self:
        """Take the scores of clean samples.

        Args:
            scores: One a sample, higher is more normal.
            documents: The document of each sample; every one its own when left out.

        Returns:
            The calibration.

        Raises:
            ShapeError: When there is no score, one is not finite, or documents do not match.
        """
        values = np.asarray(scores, dtype=np.float64)
        if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
            raise ShapeError(
                f"calibration scores of shape {values.shape} came; give one finite number for each of 1 or more samples"
            )
        codes, sizes = np.unique(
            number_groups(documents, n_samples=len(values)), return_inverse=True, return_counts=True
        )[1:]
        order = np.argsort(values, kind="stable")
        return cls(values[order], np.cumsum(1.0 / sizes[codes[order]]), len(sizes))

    def p_values(self, scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Compute the p-value of each score.

        Args:
            scores: Higher is more normal.

        Returns:
            From 1 / (K + 1) to 1; small is anomalous.
        """
        below = np.searchsorted(self.scores, scores, side="right")
        weights = np.concatenate([[0.0], self.cumulative])[below]
        return np.minimum((1.0 + weights) / (self.n_documents + 1), 1.0)

    def threshold(self, alpha: float) -> float:
        """Find the score below which p is at most ``alpha``.

        Args:
            alpha: Level, in (0, 1).

        Returns:
            One of the calibration scores.

        Raises:
            ConfigError: When the level is impossible, or no p-value can be that small.
        """
        check_level(alpha, n_documents=self.n_documents)
        allowed = alpha * (self.n_documents + 1) - 1.0 + _ROUNDING
        return float(self.scores[int(np.searchsorted(self.cumulative, allowed, side="right"))])


def check_level(alpha: float, *, n_documents: int) -> None:
    """Refuse a level that conformal p-values of so many documents cannot reach.

    Args:
        alpha: Level.
        n_documents: Documents in the calibration part.

    Raises:
        ConfigError: When it is not in (0, 1), or 1 / (n_documents + 1) exceeds it.
    """
    if not 0.0 < alpha < 1.0:
        raise ConfigError(
            f"alpha={alpha!r} came; expected a share of false alarms between 0 and 1, such as 0.05"
        )
    needed = math.ceil(1.0 / alpha - 1.0 - _ROUNDING)
    if n_documents < needed:
        raise ConfigError(
            f"{n_documents} samples (documents, where several samples share one) are left for calibration and "
            f"alpha={alpha:g} needs {needed}, since no p-value is below 1/({n_documents} + 1); give more samples, "
            "a larger share of them to calibration (fractions), or a larger alpha"
        )


def number_groups(groups: Any, *, n_samples: int) -> np.ndarray:
    """Give each sample the number of its document.

    Args:
        groups: The document of each sample, of any kind; every sample its own when left out.
        n_samples: Samples there are.

    Returns:
        Whole numbers from 0.

    Raises:
        ShapeError: When there is not one document a sample.

    Examples:
        >>> number_groups(["b", "a", "b"], n_samples=3).tolist()
        [1, 0, 1]
    """
    if groups is None:
        return np.arange(n_samples)
    labels = as_numpy(groups)
    if (
        labels.dtype.kind not in "iu"
    ):  # whole numbers keep their order, so that numbering twice changes nothing
        labels = np.array([str(label) for label in labels.tolist()], dtype=str)
    if labels.shape != (n_samples,):
        raise ShapeError(
            f"{labels.size} groups came for {n_samples} samples; give the document of each sample"
        )
    return np.unique(labels, return_inverse=True)[1]
