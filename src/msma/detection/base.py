"""What every detector can do: scikit-learn's contract for outliers, and conformal p-values."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from msma._types import Split
from msma.corpora import split_documents
from msma.detection.calibration import ConformalCalibration, check_level, number_groups
from msma.errors import ShapeError
from msma.linalg import as_numpy, check_finite

#: Shares of the documents: for maps (baselines fit on these and the next), for covariances, for calibration.
FRACTIONS = (0.5, 0.25, 0.25)


class BaseDetector(OutlierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """Score samples, higher is more normal, and flag those whose conformal p-value is at most ``alpha``.

    ``fit`` deals documents into three parts by a hash of the seed, so that detectors with one seed calibrate on the
    same samples. Subclasses store keyword-only parameters, among them ``alpha``, ``fractions`` and ``seed``, and write
    ``_fit_parts`` and ``_score``.

    Fitted attributes: ``calibration_``; ``offset_``, the score below which a sample is flagged; ``n_features_in_``.
    """

    alpha: float
    fractions: tuple[float, float, float]
    seed: int
    offset_: float
    calibration_: ConformalCalibration

    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Fit on clean samples, and calibrate on some of them that nothing else is fitted on.

        Args:
            X: Clean samples in rows.
            y: Ignored.
            groups: The document of each sample; every one its own when left out. Samples of one document never part.

        Returns:
            Itself.

        Raises:
            ShapeError: When the samples are not a finite matrix, or groups do not match.
            ConfigError: When too few samples are left for calibration at this ``alpha``.
            CorpusError: When there are fewer than three documents.
        """
        del y
        rows = self._read(X, is_fitting=True)
        documents = number_groups(groups, n_samples=len(rows))
        parts = split_documents(documents.tolist(), seed=self.seed, fractions=self.fractions)
        held = parts["test"]
        check_level(self.alpha, n_documents=len(np.unique(documents[held])))
        self._fit_parts(rows, documents, parts)
        scores = self._score(self._take(rows, held))
        self.calibration_ = ConformalCalibration.from_scores(scores, documents[held])
        self.offset_ = self.calibration_.threshold(self.alpha)
        return self

    def score_samples(self, X: Any) -> Float[np.ndarray, " samples"]:
        """Score samples.

        Args:
            X: Samples in rows.

        Returns:
            Higher is more normal.
        """
        check_is_fitted(self)
        return self._score(self._read(X, is_fitting=False))

    def decision_function(self, X: Any) -> Float[np.ndarray, " samples"]:
        """Score samples against the threshold.

        Args:
            X: Samples in rows.

        Returns:
            ``score_samples(X) - offset_``: below 0 where the sample is flagged.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Int[np.ndarray, " samples"]:
        """Flag samples whose p-value is at most ``alpha``.

        Args:
            X: Samples in rows.

        Returns:
            -1 for anomalies, 1 for the rest; of clean samples at most a share ``alpha`` is flagged, on average.
        """
        return np.where(self.decision_function(X) < 0.0, -1, 1)

    def p_values(self, X: Any) -> Float[np.ndarray, " samples"]:
        """Compute conformal p-values; see :class:`msma.detection.calibration.ConformalCalibration`.

        Args:
            X: Samples in rows.

        Returns:
            In (0, 1]; P(p <= alpha) <= alpha for clean samples exchangeable with those fitted on.
        """
        scores = self.score_samples(X)
        return self.calibration_.p_values(scores)

    def _read(self, X: Any, *, is_fitting: bool) -> Any:
        """Give samples as a finite float64 matrix, as wide as those fitted on."""
        X = as_numpy(X) if hasattr(X, "detach") else X
        options: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": False}
        if is_fitting:
            options["ensure_min_samples"] = 2
        try:
            rows = validate_data(self, X, reset=is_fitting, **options)
        except ValueError as error:
            raise ShapeError(" ".join(str(error).split())) from error
        check_finite(rows, name="X")
        return rows

    def _take(self, rows: Any, index: Int[np.ndarray, " k"]) -> Any:
        return rows[index]

    @abstractmethod
    def _fit_parts(
        self,
        rows: Any,
        documents: Int[np.ndarray, " samples"],
        parts: Mapping[Split, Int[np.ndarray, " k"]],
    ) -> None:
        """Fit everything but the calibration, without looking at ``parts["test"]``."""

    @abstractmethod
    def _score(self, rows: Any) -> Float[np.ndarray, " samples"]:
        """Score samples that were read."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "offset_")


def fitting_part(parts: Mapping[Split, Int[np.ndarray, " k"]]) -> Int[np.ndarray, " n"]:
    """Give all that a detector without maps is fitted on.

    Args:
        parts: Positions by part.

    Returns:
        Positions of the first two parts, ascending.
    """
    return np.sort(np.concatenate([parts["train"], parts["validation"]]))
