"""What every map between two scales can do: the scikit-learn contract, numpy or torch, disk and Hub."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from msma.errors import OriginError, ShapeError
from msma.linalg import as_numpy, check_samples
from msma.maps.inputs import (
    check_rows,
    check_tensor,
    check_training,
    is_tensor,
    precise,
    restore_dtype,
    restore_tensor,
)
from msma.maps.persistence import PersistentMixin

#: Parts of an origin in which two sets of states must agree for one map to serve both.
BINDING = (
    *("stack", "unit", "n_layers", "d_model"),
    *("scales", "source", "target", "layers", "source_layers", "target_layers", "reduction"),
)


class BaseMap(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
    PersistentMixin,
    ABC,
):
    """A fitted function from the states of one scale to those of another.

    Subclasses set ``kind`` (their name in :data:`msma.maps.MAPS` and on disk), take keyword-only parameters
    in an ``__init__`` that only stores them, and write ``_fit_rows``, ``_forward`` and ``_backward`` on
    float64 arrays. Fitted attributes end in an underscore; arrays and plain values among them are saved.
    ``origin_`` says what a map was fitted on (model, revision, layers, texts, version), ``None`` where
    unknown.
    """

    def __init__(self) -> None: ...

    def fit(self, X: Any, y: Any) -> Self:
        """Fit on paired samples.

        Args:
            X: Source samples in rows, (samples, d_source): numpy, torch, data frame or nested sequence.
            y: Target samples, (samples, d_target); row i belongs to row i of X.

        Returns:
            Itself.
        """
        rows, targets = check_training(self, X, y)
        self.__dict__.pop("origin_", None)
        self._fit_rows(rows, targets)
        return self

    def transform(self, X: Any) -> Any:
        """Map samples from the source scale to the target scale.

        Args:
            X: Source samples, (samples, d_source). Tensors are mapped on their device, and differentiably
                where the map is a closed form.

        Returns:
            (samples, d_target), numpy for numpy, torch for torch, in the floating precision that came. The
            arithmetic is float64 (float32 on devices without it).
        """
        check_is_fitted(self)
        if is_tensor(X):
            check_tensor(X, width=self.n_features_in_, name="X")
            return restore_tensor(self._forward_tensor(precise(X)), X)
        return restore_dtype(self._forward(check_rows(self, X)), X)

    def inverse_transform(self, X: Any) -> Any:
        """Map samples of the target scale back to the source scale.

        Args:
            X: Target samples, (samples, d_target), numpy or torch.

        Returns:
            (samples, d_source), of the kind and precision that came. Exact where the map can be inverted,
            else the nearest pre-image as documented by the map.

        Raises:
            ShapeError: When the samples are not as wide as the targets fitted on.
        """
        check_is_fitted(self)
        if is_tensor(X):
            check_tensor(X, width=self._n_features_out, name="X")
            return restore_tensor(self._backward_tensor(precise(X)), X)
        rows = check_samples(X, name="X")
        if rows.shape[1] != self._n_features_out:
            raise ShapeError(
                f"X came with {rows.shape[1]} columns; expected {self._n_features_out}, the target's width"
            )
        return restore_dtype(self._backward(rows), X)

    def score(self, X: Any, y: Any) -> float:
        """Share of the target's variance that the mapped source explains; higher is better, 1 is perfect.

        R2 = 1 - sum ||y - f(x)||^2 / sum ||y - mean(y)||^2, the sums running over samples and dimensions:
        each dimension counts by its variance. (scikit-learn's regressors weigh all dimensions alike, so that
        noise in a nearly constant one can rule the score; ``r2_score(..., multioutput="variance_weighted")``
        is this one.)

        Args:
            X: Held-out source samples.
            y: Their targets.

        Returns:
            R2, in (-inf, 1].

        Raises:
            ShapeError: When the targets do not fit, or do not vary, so that there is nothing to explain.
        """
        mapped = as_numpy(self.transform(X)).astype(np.float64, copy=False)
        target = as_numpy(y).astype(np.float64, copy=False)
        target = check_samples(target[:, None] if target.ndim == 1 else target, name="y", min_samples=2)
        if target.shape != mapped.shape:
            raise ShapeError(f"y came with shape {target.shape}; expected {mapped.shape}, as X is mapped to")
        total = float(((target - target.mean(axis=0)) ** 2).sum())
        if total == 0.0:
            raise ShapeError(f"all {len(target)} samples of y are equal; R2 needs targets that vary")
        return 1.0 - float(((target - mapped) ** 2).sum()) / total

    def check_origin(self, origin: Mapping[str, Any]) -> None:
        """Refuse states of another model, other layers or other scales than this map was fitted on.

        Models are told apart by the fingerprint of their weights where both sides know it, else by name and
        revision. What either side does not know is not compared.

        Args:
            origin: Where the states about to be mapped come from.

        Raises:
            OriginError: When the two disagree.
        """
        mine = _plain(self.origin_ or {})
        theirs = _plain(origin)
        has_prints = all(side.get("model_fingerprint") for side in (mine, theirs))
        model = ("model_fingerprint",) if has_prints else ("model", "revision")
        for key in model + BINDING:
            fitted, came = mine.get(key), theirs.get(key)
            if fitted is not None and came is not None and fitted != came:
                raise OriginError(
                    f"states with {key} {came!r} came for a map fitted on {key} {fitted!r}; "
                    "fit a map on these states, or load states of that origin"
                )

    @property
    @abstractmethod
    def _n_features_out(self) -> int:
        """Width of the target."""

    @abstractmethod
    def _fit_rows(
        self, X: Float[np.ndarray, "samples d_source"], y: Float[np.ndarray, "samples d_target"]
    ) -> None: ...

    @abstractmethod
    def _forward(self, X: Float[np.ndarray, "samples d_source"]) -> Float[np.ndarray, "samples d_target"]: ...

    @abstractmethod
    def _backward(
        self, X: Float[np.ndarray, "samples d_target"]
    ) -> Float[np.ndarray, "samples d_source"]: ...

    def _forward_tensor(self, X: Any) -> Any:
        return X.new_tensor(self._forward(as_numpy(X)))

    def _backward_tensor(self, X: Any) -> Any:
        return X.new_tensor(self._backward(as_numpy(X)))

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self._fitted_state()[0])  # more than what a failed fit leaves behind

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def fit_map(map_: BaseMap, source: Any, target: Any, documents: Any) -> BaseMap:
    """Fit a fresh copy of a map; one that holds samples out for itself is told which belong together.

    Args:
        map_: The kind of map and its parameters.
        source: Training source samples.
        target: Their targets.
        documents: The document of each pair.

    Returns:
        The fitted copy.

    Examples:
        >>> from msma.maps import MeanShiftMap
        >>> fit_map(MeanShiftMap(), [[0.0], [2.0]], [[1.0], [3.0]], [0, 1]).intercept_.tolist()
        [1.0]
    """
    fresh: BaseMap = clone(map_)
    if "groups" in inspect.signature(fresh.fit).parameters:
        options: dict[str, Any] = {"groups": documents}
        return fresh.fit(source, target, **options)
    return fresh.fit(source, target)


def _plain(value: Any) -> Any:
    """Bring an origin to the form JSON gives back, so that a tuple equals the list it was saved as."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(part) for part in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value
