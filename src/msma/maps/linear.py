"""Affine maps in closed form: identity, mean shift, orthogonal Procrustes, Gaussian optimal transport."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import scipy.linalg
from jaxtyping import Float

from msma.errors import ShapeError
from msma.linalg import polar_rotation, psd_inverse_sqrt, psd_sqrt, symmetrise
from msma.maps.base import BaseMap
from msma.moments import CrossMoments, Moments

#: Paired batches (source, target), samples in rows.
Batches: TypeAlias = Iterable[tuple[Any, Any]]

#: Directions a map shrinks below this share of its strongest one are not inverted, but filled with the mean.
INVERSE_RTOL = 1e-10


class LinearMap(BaseMap):
    """An affine map f(x) = x coef_ + intercept_, fitted from moments alone.

    ``fit``, ``fit_stream`` and ``fit_moments`` are one computation on :class:`msma.moments.CrossMoments`: how
    the samples were divided into batches changes nothing but rounding.

    Fitted attributes: ``coef_`` (d_source, d_target), ``intercept_`` (d_target,), ``mean_source_``,
    ``n_features_in_``.
    """

    needs_equal_widths: ClassVar[bool] = False

    coef_: Float[np.ndarray, "d_source d_target"]
    intercept_: Float[np.ndarray, " d_target"]

    def fit_stream(self, batches: Batches) -> Self:
        """Fit on pairs that come in batches, so that they never have to be in memory together.

        Args:
            batches: Pairs (source, target) of matrices with as many rows.

        Returns:
            Itself.
        """
        self._forget()
        self._fit_batches(batches)
        return self

    def fit_moments(self, moments: CrossMoments) -> Self:
        """Fit from moments gathered elsewhere.

        Args:
            moments: Moments of the training pairs.

        Returns:
            Itself.
        """
        self._forget()
        self._fit_cross(moments, batches=None)
        return self

    def _forget(self) -> None:
        """Drop what belongs to an earlier fit on other samples."""
        for name in ("origin_", "feature_names_in_"):
            self.__dict__.pop(name, None)

    def _fit_rows(
        self, X: Float[np.ndarray, "samples d_source"], y: Float[np.ndarray, "samples d_target"]
    ) -> None:
        self._fit_batches([(X, y)])

    def _fit_batches(self, batches: Batches) -> None:
        self._fit_cross(CrossMoments.from_stream(batches), batches=batches)

    def _fit_cross(self, cross: CrossMoments, *, batches: Batches | None) -> None:
        self._check_moments(cross)
        self.__dict__.pop("_inverse", None)
        self.n_features_in_ = cross.d_source
        self.mean_source_ = cross.mean_source
        self.coef_ = np.ascontiguousarray(self._solve(cross, batches))
        self.intercept_ = cross.mean_target - cross.mean_source @ self.coef_

    def _check_moments(self, cross: CrossMoments) -> None:
        name = type(self).__name__
        if cross.n < 2:
            raise ShapeError(f"1 sample came; {name} needs at least 2 pairs to be fitted: give more")
        if self.needs_equal_widths and cross.d_source != cross.d_target:
            raise ShapeError(
                f"widths {cross.d_source} -> {cross.d_target} came; {name} needs equal widths: "
                "use ProcrustesMap, RidgeMap or ReducedRankMap"
            )
        for side, moments in (("source", cross.source), ("target", cross.target)):
            if _is_constant(moments):
                raise ShapeError(
                    f"all {cross.n} samples of the {side} are equal; {name} needs states that vary: "
                    "check that they come from different texts"
                )

    @abstractmethod
    def _solve(self, cross: CrossMoments, batches: Batches | None) -> Float[np.ndarray, "d_source d_target"]:
        """Compute the coefficients; ``batches`` are the rows again, where the caller has them."""

    def _invert(self) -> Float[np.ndarray, "d_target d_source"]:
        """Compute the coefficients of the way back: the pseudo-inverse unless a map knows better."""
        return np.asarray(scipy.linalg.pinv(self.coef_, rtol=INVERSE_RTOL, check_finite=False))

    @property
    def _way_back(
        self,
    ) -> tuple[Float[np.ndarray, "d_target d_source"], Float[np.ndarray, " d_source"]]:
        if "_inverse" not in self.__dict__:
            coef = self._invert()
            centre = self.mean_source_ @ self.coef_ + self.intercept_
            # directions that cannot be inverted come back as the source mean
            self._inverse = coef, self.mean_source_ - centre @ coef
        return self._inverse

    def _forward(self, X: Float[np.ndarray, "samples d_source"]) -> Float[np.ndarray, "samples d_target"]:
        return np.asarray(X @ self.coef_ + self.intercept_)

    def _backward(self, X: Float[np.ndarray, "samples d_target"]) -> Float[np.ndarray, "samples d_source"]:
        coef, intercept = self._way_back
        return np.asarray(X @ coef + intercept)

    def _forward_tensor(self, X: Any) -> Any:
        return X @ X.new_tensor(self.coef_) + X.new_tensor(self.intercept_)

    def _backward_tensor(self, X: Any) -> Any:
        coef, intercept = self._way_back
        return X @ X.new_tensor(coef) + X.new_tensor(intercept)

    @property
    def _n_features_out(self) -> int:
        return int(self.coef_.shape[1])


def _is_constant(moments: Moments) -> bool:
    """Tell whether the scatter is no more than the rounding of a mean."""
    rounding = 8 * np.finfo(np.float64).eps * float(np.linalg.norm(moments.mean))
    return bool(np.trace(moments.scatter) <= moments.n * rounding**2)


class IdentityMap(LinearMap):
    """Leave states as they are: what every other map is to beat.

    Examples:
        >>> IdentityMap().fit([[0.0], [2.0]], [[1.0], [3.0]]).transform([[5.0]]).tolist()
        [[5.0]]
    """

    kind = "identity"
    needs_equal_widths = True

    def _fit_cross(self, cross: CrossMoments, *, batches: Batches | None) -> None:
        super()._fit_cross(cross, batches=batches)
        self.intercept_ = np.zeros(cross.d_target)

    def _solve(self, cross: CrossMoments, batches: Batches | None) -> Float[np.ndarray, "d d"]:
        return np.eye(cross.d_source)

    def _invert(self) -> Float[np.ndarray, "d d"]:
        return self.coef_


class MeanShiftMap(LinearMap):
    """Add the difference of the means: f(x) = x + mean(y) - mean(x).

    Examples:
        >>> MeanShiftMap().fit([[0.0], [2.0]], [[1.0], [3.0]]).transform([[5.0]]).tolist()
        [[6.0]]
    """

    kind = "mean_shift"
    needs_equal_widths = True

    def _solve(self, cross: CrossMoments, batches: Batches | None) -> Float[np.ndarray, "d d"]:
        return np.eye(cross.d_source)

    def _invert(self) -> Float[np.ndarray, "d d"]:
        return self.coef_


class ProcrustesMap(LinearMap):
    """Rotate (and reflect, and scale) the centred states onto the target: f(x) = s (x - mean(x)) R + mean(y).

    R = U V^T from the singular value decomposition U S V^T of the cross-scatter minimises
    sum ||y - f(x)||^2 over all orthogonal R (Schoenemann 1966, Psychometrika 31), and
    s = tr(S) / tr(scatter_x) over all scales (Schoenemann & Carroll 1970, Psychometrika 35). Widths may
    differ: towards a wider target R has orthonormal rows and is optimal too; towards a narrower one it has
    orthonormal columns and is the visible part of the optimal rotation onto the target padded with zeros,
    with the best s for that R. ``inverse_transform`` turns back by R^T / s, exactly unless the target is
    narrower.

    Args:
        scaling: Whether to fit s, or keep lengths (s = 1).

    Fitted attributes: ``rotation_`` (d_source, d_target), ``scale_``.

    Examples:
        >>> X = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
        >>> fitted = ProcrustesMap().fit(X, X @ np.array([[0.0, 2.0], [-2.0, 0.0]]) + 1.0)
        >>> (fitted.coef_.round(6) + 0.0).tolist(), round(fitted.scale_, 6)
        ([[0.0, 2.0], [-2.0, 0.0]], 2.0)
    """

    kind = "procrustes"

    def __init__(self, *, scaling: bool = True) -> None:
        self.scaling = scaling

    def _solve(self, cross: CrossMoments, batches: Batches | None) -> Float[np.ndarray, "d_source d_target"]:
        self.rotation_ = polar_rotation(cross.scatter_cross)
        self.scale_ = 1.0
        if self.scaling:
            aligned = float(np.vdot(self.rotation_, cross.scatter_cross))
            length = float(np.vdot(self.rotation_, cross.scatter_source @ self.rotation_))
            self.scale_ = aligned / length if length > 0.0 else 0.0
        return self.scale_ * self.rotation_

    def _invert(self) -> Float[np.ndarray, "d_target d_source"]:
        return np.asarray(self.rotation_.T * (1.0 / self.scale_ if self.scale_ > 0.0 else 0.0))


class TransportMap(LinearMap):
    """Carry one Gaussian onto another at the least squared effort: f(x) = mean(y) + (x - mean(x)) A.

    A = C1^(-1/2) (C1^(1/2) C2 C1^(1/2))^(1/2) C1^(-1/2) is the one symmetric positive semi-definite matrix
    with A C1 A = C2 (Olkin & Pukelsheim 1982, Linear Algebra Appl. 48; Peyre & Cuturi 2019, "Computational
    Optimal Transport", remark 2.31). Only the two marginal laws count, not the pairing. Where C1 is singular
    (fewer samples than dimensions), roots are pseudo-inverted and A is the mean of the optimal plan given x,
    on the range of C1. ``inverse_transform`` is the optimal map from C2 to C1, the exact inverse where both
    have full rank.

    Fitted attributes: ``inverse_coef_`` (d, d).

    Examples:
        >>> X = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> TransportMap().fit(X, X * np.array([2.0, 3.0])).coef_.round(6).tolist()
        [[2.0, 0.0], [0.0, 3.0]]
    """

    kind = "transport"
    needs_equal_widths = True

    def _solve(self, cross: CrossMoments, batches: Batches | None) -> Float[np.ndarray, "d d"]:
        # With U S V^T = C2^(1/2) C1^(1/2), the inner root is V S V^T. The product under that root is never
        # formed: its rounding would swallow directions below 1e-8 of the largest.
        source, target, most = cross.source.covariance(), cross.target.covariance(), cross.n - 1
        roots = psd_sqrt(target, max_rank=most) @ psd_sqrt(source, max_rank=most)
        left, values, right = scipy.linalg.svd(roots, check_finite=False)
        whiten_source = psd_inverse_sqrt(source, max_rank=most)
        whiten_target = psd_inverse_sqrt(target, max_rank=most)
        self.inverse_coef_ = symmetrise(whiten_target @ (left * values) @ left.T @ whiten_target)
        return symmetrise(whiten_source @ (right.T * values) @ right @ whiten_source)

    def _invert(self) -> Float[np.ndarray, "d d"]:
        return self.inverse_coef_
