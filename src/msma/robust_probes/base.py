"""What every probe of this package does: scikit-learn's contract for classifiers, and texts that choose."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from msma.errors import ConfigError, CorpusError, ShapeError
from msma.linalg import as_numpy, check_finite
from msma.robust_probes.heads import Heads, JointObjective, cross_entropies, pool
from msma.robust_probes.labelled import LabelledStates, check_labels, encode, number_classes, number_documents

#: Weights of half the squared norm, a sample: 1 / (n C) in scikit-learn's terms. From strong to weak.
PENALTIES = (1.0, 0.1, 0.01, 0.001)


class Part(NamedTuple):
    """Standardised states, classes and documents of some samples."""

    views: Float[np.ndarray, "scales samples d"]
    codes: Int[np.ndarray, " samples"]
    documents: np.ndarray


class Choice(NamedTuple):
    """Heads, the penalty that was chosen for them, and each held-out sample's loss with them."""

    heads: Heads
    penalty: float
    losses: Float[np.ndarray, " held"]


def _column(labels: np.ndarray) -> np.ndarray:
    """Flatten a single column, with the warning that scikit-learn gives."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return np.asarray(column_or_1d(labels, warn=True))
    return labels


def _check_kind(labels: np.ndarray) -> None:
    try:
        check_classification_targets(labels)
    except ValueError as error:
        raise CorpusError(" ".join(str(error).split())) from error


class BaseProbe(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """Learn classes from states of ``n_scales`` scales side by side; what chooses a setting does not train.

    Subclasses store keyword-only parameters, among them ``penalties``, ``patience``, ``held_share`` and ``seed``, and
    write ``_fit_parts`` and ``_log_probabilities``.
    """

    penalties: Sequence[float]
    patience: int | None
    held_share: float
    seed: int
    classes_: np.ndarray
    n_features_in_: int

    @property
    def _n_views(self) -> int:
        return int(getattr(self, "n_scales", 1))

    def _fit(
        self,
        X: Any,
        y: Any,
        groups: Any,
        held_out: LabelledStates | None,
        *,
        residuals: Any = None,
        unlabelled: Any = None,
    ) -> Self:
        self._check_settings()
        rows = self._read(X, is_fitting=True)
        if y is None:
            raise ShapeError(
                "requires y to be passed, but the target y is None: give a label for each sample"
            )
        labels = check_labels(_column(as_numpy(y)), n_samples=len(rows))
        _check_kind(labels)
        self.classes_, codes = number_classes(labels)
        documents = number_documents(groups, n_samples=len(rows))
        if held_out is None:
            is_held = self._deal(documents)
            train_rows, held_rows = rows[~is_held], rows[is_held]
            held_codes, held_documents = codes[is_held], documents[is_held]
            codes, documents = codes[~is_held], documents[~is_held]
            held_residuals = None if residuals is None else as_numpy(residuals)[is_held]
        else:
            train_rows, held_rows = rows, self._read(held_out.side_by_side, is_fitting=False)
            held_codes = encode(held_out.labels, self.classes_, name="validation texts")
            held_documents, held_residuals = held_out.documents, held_out.residuals
        self._standardise(train_rows)
        train = Part(self._views(train_rows), codes, documents)
        held = Part(self._views(held_rows), held_codes, held_documents)
        others = None if unlabelled is None else self._views(self._read(unlabelled, is_fitting=False))
        self._fit_parts(train, held, residuals=held_residuals, unlabelled=others)
        return self

    def predict_log_proba(self, X: Any) -> Float[np.ndarray, "samples classes"]:
        """Predict log-probabilities.

        Args:
            X: States side by side.

        Returns:
            In nats, one column a class in the order of ``classes_``.
        """
        check_is_fitted(self)
        return self._log_probabilities(self._views(self._read(X, is_fitting=False)))

    def predict_proba(self, X: Any) -> Float[np.ndarray, "samples classes"]:
        """Predict probabilities.

        Args:
            X: States side by side.

        Returns:
            From 0 to 1, one column a class in the order of ``classes_``; rows sum to one.
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """Predict classes.

        Args:
            X: States side by side.

        Returns:
            One of ``classes_`` a sample.
        """
        best = self.predict_log_proba(X).argmax(axis=1)
        return self.classes_[best]

    @abstractmethod
    def _fit_parts(self, train: Part, held: Part, *, residuals: Any, unlabelled: Any) -> None:
        """Fit the heads on one part and choose every setting on the other."""

    @abstractmethod
    def _log_probabilities(
        self, views: Float[np.ndarray, "scales samples d"]
    ) -> Float[np.ndarray, "samples classes"]:
        """Predict from standardised states."""

    def _choose(self, train: Part, held: Part, **options: Any) -> Choice:
        """Fit at every penalty; the lowest loss of the pooled prediction on held-out samples wins."""
        choices = []
        for penalty in sorted((float(p) for p in self.penalties), reverse=True):
            objective = JointObjective(
                views=train.views,
                codes=train.codes,
                n_classes=len(self.classes_),
                penalty=penalty,
                **options,
            )
            heads = objective.minimise(validation=(held.views, held.codes), patience=self.patience)
            losses = cross_entropies(pool(heads.log_probabilities(held.views)), held.codes)
            choices.append(Choice(heads, penalty, losses))
        return min(choices, key=lambda choice: float(choice.losses.mean()))

    def _deal(self, documents: np.ndarray) -> np.ndarray:
        names = np.unique(documents)
        if len(names) < 2:
            raise CorpusError(
                f"{len(names)} document came; some are held out to choose settings, so at least 2 are needed: give "
                "more documents, or held_out="
            )
        count = min(len(names) - 1, max(1, round(self.held_share * len(names))))
        held = np.random.default_rng([self.seed, 2]).permutation(names)[:count]
        return np.isin(documents, held)

    def _standardise(self, rows: Float[np.ndarray, "samples columns"]) -> None:
        self.mean_, spread = rows.mean(axis=0), rows.std(axis=0)
        # What does not vary in training tells nothing, and rounding in it must not be blown up.
        floor = 1e-9 * np.maximum(np.abs(self.mean_), 1e-30)
        self.spread_ = np.where(spread > floor, spread, np.inf)

    def _views(self, rows: Float[np.ndarray, "samples columns"]) -> Float[np.ndarray, "scales samples d"]:
        scaled = (rows - self.mean_) / self.spread_
        return np.ascontiguousarray(scaled.reshape(len(rows), self._n_views, -1).transpose(1, 0, 2))

    def _read(self, X: Any, *, is_fitting: bool) -> Float[np.ndarray, "samples columns"]:
        X = as_numpy(X) if hasattr(X, "detach") else X
        options: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": False}
        if is_fitting:
            options["ensure_min_samples"] = 2
        try:
            rows = validate_data(self, X, reset=is_fitting, **options)
        except ValueError as error:
            raise ShapeError(" ".join(str(error).split())) from error
        check_finite(rows, name="X")
        if rows.shape[1] % self._n_views:
            raise ShapeError(
                f"X came with {rows.shape[1]} columns for {self._n_views} scales; expected the scales side by side, "
                "all equally wide"
            )
        return np.asarray(rows)

    def _check_settings(self) -> None:
        if self._n_views < 1:
            raise ConfigError(f"n_scales {self._n_views} came; expected 1 or more")
        if not len(self.penalties) or min(self.penalties) <= 0:
            raise ConfigError(f"penalties {tuple(self.penalties)} came; expected at least one, all above 0")
        if not 0 < self.held_share < 1:
            raise ConfigError(f"held_share {self.held_share} came; expected a share between 0 and 1")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience {self.patience} came; expected 1 step or more, or None")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "penalty_")
