"""Erase a concept from representations: LEACE in closed form, and the plain projection it is held against."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from msma.errors import ShapeError
from msma.interventions import AffineProjection
from msma.linalg import check_samples, psd_eigh

#: Singular values of the (whitened) cross-covariance at or below this share of the largest are rounding.
_RTOL = 1e-9


class BaseEraser(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""Take a concept out of samples by an affine map: :math:`r(x) = x - L R (x - \mu)`.

    Fitted attributes: ``mean_`` (:math:`\mu`), ``left_`` (L, (d, k)), ``right_`` (R, (k, d)), with k the rank of
    the concept.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn what to take out.

        Args:
            X: Samples in rows, (samples, d).
            y: The concept: one label a sample (numbers or strings, two values or more), or a matrix of numbers,
                (samples, concepts).
            sample_weight: Weight of each sample, 0 or more; all alike when left out.

        Returns:
            Itself.

        Raises:
            ShapeError: When the concept does not fit the samples, does not vary, or weights are impossible.
        """
        rows = check_samples(X, name="X", min_samples=2)
        concept = concept_columns(y, n=len(rows))
        weights = _check_weights(sample_weight, n=len(rows))
        mean = weights @ rows
        centred, apart = rows - mean, concept - weights @ concept
        weighted = weights[:, None] * centred
        return self.fit_moments(mean, weighted.T @ centred, weighted.T @ apart)

    def fit_moments(
        self,
        mean: Float[np.ndarray, " d"],
        covariance: Float[np.ndarray, "d d"],
        cross: Float[np.ndarray, "d concepts"],
    ) -> Self:
        """Learn what to take out from moments alone, as they come from a stream.

        Args:
            mean: Mean of the samples.
            covariance: Their covariance.
            cross: Their cross-covariance with the concept.

        Returns:
            Itself.

        Raises:
            ShapeError: When the concept has no linear trace in the samples, so that there is nothing to take out.
        """
        if not np.abs(cross).max() > 1e-12 * np.sqrt(max(float(np.trace(covariance)), 0.0)):
            raise ShapeError(
                "samples whose means do not differ between the values of the concept came, so there is nothing to "
                "erase; give other texts, or leave this layer as it is"
            )
        self.mean_ = np.asarray(mean, dtype=np.float64)
        self.left_, self.right_ = self._project(covariance, cross)
        self.n_features_in_ = len(self.mean_)
        return self

    @abstractmethod
    def _project(
        self, covariance: Float[np.ndarray, "d d"], cross: Float[np.ndarray, "d concepts"]
    ) -> tuple[Float[np.ndarray, "d k"], Float[np.ndarray, "k d"]]: ...

    def transform(self, X: Any, *, strength: float = 1.0) -> Float[np.ndarray, "samples d"]:
        """Take the concept out of samples.

        Args:
            X: Samples, (samples, d).
            strength: Share that is taken out.

        Returns:
            Samples without it, float64.

        Raises:
            ShapeError: When they are not as wide as those fitted on.
        """
        check_is_fitted(self)
        rows = check_samples(X, name="X")
        if rows.shape[1] != self.n_features_in_:
            raise ShapeError(
                f"X came with {rows.shape[1]} columns; this eraser was fitted on {self.n_features_in_}"
            )
        return rows - strength * ((rows - self.mean_) @ self.right_.T) @ self.left_.T

    @property
    def rank(self) -> int:
        """Dimensions that are taken out."""
        check_is_fitted(self)
        return int(self.left_.shape[1])

    @property
    def projection(self) -> AffineProjection:
        """What :class:`msma.interventions.Erasure` needs at one layer."""
        check_is_fitted(self)
        return AffineProjection(self.mean_, self.left_, self.right_)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "left_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags


class LeaceEraser(BaseEraser):
    r"""Least-squares concept erasure (Belrose et al. 2023, theorem 4.3).

    .. math:: r(x) = x - W^+ P_{W \Sigma_{xz}} W (x - \mu), \quad W = (\Sigma_{xx}^{1/2})^+

    with :math:`P_{W \Sigma_{xz}}` the orthogonal projection onto the columns of the whitened cross-covariance. After
    it :math:`\Sigma_{r(x) z} = 0`, so that no linear classifier can do better than one that sees no sample at all, on
    the moments fitted on; among affine maps with that property it changes the samples least,
    :math:`E \|r(x) - x\|^2`, in any quadratic norm.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> z = np.repeat([0, 1], 50)
        >>> x = rng.normal(size=(100, 3)) + 2.0 * z[:, None] * np.array([1.0, 1.0, 0.0])
        >>> cleaned = LeaceEraser().fit(x, z).transform(x)
        >>> bool(np.allclose(cleaned[z == 0].mean(axis=0), cleaned[z == 1].mean(axis=0)))
        True
    """

    def _project(
        self, covariance: Float[np.ndarray, "d d"], cross: Float[np.ndarray, "d concepts"]
    ) -> tuple[Float[np.ndarray, "d k"], Float[np.ndarray, "k d"]]:
        values, vectors, rank = psd_eigh(covariance)
        kept, roots = vectors[:, :rank], np.sqrt(values[:rank])
        # In the eigenbasis of the covariance, where whitening is a division; the projection is the same.
        basis = _column_space((kept.T @ cross) / roots[:, None])
        return kept @ (roots[:, None] * basis), (basis / roots[:, None]).T @ kept.T


class MeanProjectionEraser(BaseEraser):
    r"""Project out the differences of the means: the baseline (Bolukbasi et al. 2016, without their equalising).

    .. math:: r(x) = x - U U^\top (x - \mu), \quad U \text{ an orthonormal basis of } \Sigma_{xz}

    It leaves nothing for a linear classifier either, on the moments fitted on, but changes the samples more than
    :class:`LeaceEraser` where they vary along those differences for other reasons.

    Examples:
        >>> eraser = MeanProjectionEraser().fit([[0.0, 1.0], [0.0, 3.0], [2.0, 1.0], [2.0, 3.0]], [0, 0, 1, 1])
        >>> eraser.transform([[5.0, 7.0]]).round(9).tolist()
        [[1.0, 7.0]]
    """

    def _project(
        self, covariance: Float[np.ndarray, "d d"], cross: Float[np.ndarray, "d concepts"]
    ) -> tuple[Float[np.ndarray, "d k"], Float[np.ndarray, "k d"]]:
        del covariance
        basis = _column_space(cross)
        return basis, basis.T


#: Erasers by name, as the command line and saved files name them.
ERASERS: dict[str, type[BaseEraser]] = {"leace": LeaceEraser, "projection": MeanProjectionEraser}


def concept_columns(concept: Any, *, n: int) -> Float[np.ndarray, "samples concepts"]:
    """Write a concept in columns of numbers: one a value for labels, as they are for numbers in a matrix.

    Args:
        concept: One label a sample, or (samples, concepts).
        n: Samples there are.

    Returns:
        One row a sample.

    Raises:
        ShapeError: When the concept does not fit the samples, is not finite or does not vary.

    Examples:
        >>> concept_columns(["he", "she", "he"], n=3).tolist()
        [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    array = np.asarray(concept)
    if array.shape[:1] != (n,) or array.ndim > 2:
        raise ShapeError(f"a concept of shape {array.shape} came for {n} samples; give one value a sample")
    if array.ndim == 1:
        names, codes = np.unique(array, return_inverse=True)
        if len(names) < 2:
            raise ShapeError(
                f"all {n} samples have the same value of the concept; give samples of two or more"
            )
        if len(names) > n // 2 and len(names) > 2:
            raise ShapeError(
                f"{len(names)} different labels came for {n} samples; give labels that samples share, or a matrix "
                "of numbers, (samples, concepts)"
            )
        return np.eye(len(names))[codes]
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ShapeError("a concept with entries that are not finite came; give real numbers")
    if not np.ptp(array, axis=0).any():
        raise ShapeError(f"all {n} samples have the same value of the concept; give samples of two or more")
    return array


def _check_weights(weights: Any, *, n: int) -> Float[np.ndarray, " samples"]:
    if weights is None:
        return np.full(n, 1.0 / n)
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (n,) or not np.isfinite(array).all() or array.min() < 0 or array.sum() <= 0:
        raise ShapeError(f"weights of shape {array.shape} came; expected {n} finite numbers, 0 or more")
    return np.asarray(array / array.sum())


def _column_space(matrix: Float[np.ndarray, "d columns"]) -> Float[np.ndarray, "d k"]:
    left, sizes, _ = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left[:, sizes > _RTOL * sizes[0]])
