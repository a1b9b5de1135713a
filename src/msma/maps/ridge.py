"""Ridge regression from one scale to another, at full or reduced rank."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from msma.errors import ConfigError, ShapeError
from msma.linalg import as_numpy, psd_eigh
from msma.maps.inputs import check_training
from msma.maps.linear import Batches, LinearMap
from msma.maps.penalty import FoldedProblem, RidgeProblem, gcv_errors, loo_errors
from msma.moments import CrossMoments
from msma.resampling import group_documents

LEAVE_ONE_OUT, GENERALISED, GIVEN = "leave-one-out", "generalised cross-validation", "given"
DOCUMENTS_OUT = "documents left out"
_FOLDS = 10


class RidgeMap(LinearMap):
    """Predict the target by least squares with a penalty on the coefficients.

    f(x) = mean(y) + (x - mean(x)) W, W = (scatter_x + alpha I)^(-1) scatter_xy, the minimiser of
    sum ||y - f(x)||^2 + alpha ||W||_F^2 (Hoerl & Kennard 1970, Technometrics 12); equal to
    ``sklearn.linear_model.Ridge(alpha)``. With alpha = 0 the solution of least norm.

    With ``alpha=None`` the strength is chosen by leaving out whole documents, in ten folds, where ``fit`` is told
    them (``groups``); by exact leave-one-out in closed form where only the rows are at hand (``fit``;
    ``fit_stream``, which then walks over the batches three times); and by generalised cross-validation, its
    rotation-invariant form, where only moments are (``fit_moments``). See :mod:`msma.maps.penalty`. The last two
    treat samples as independent, and are too weak where sentences or tokens of one document are samples.
    ``inverse_transform`` is the pseudo-inverse; directions shrunk below 1e-10 of the strongest come back as
    the source mean.

    Args:
        alpha: Strength, in units of the scatter (squared states times samples); chosen when left out.

    Fitted attributes: ``alpha_``; ``alpha_rule_``: "given", "documents left out", "leave-one-out" or
    "generalised cross-validation".

    Examples:
        >>> X = np.array([[-1.0], [0.0], [1.0]])
        >>> RidgeMap(alpha=2.0).fit(X, 4 * X + 1).coef_.round(6).tolist()  # 8 / (2 + 2)
        [[2.0]]
    """

    kind = "ridge"

    def __init__(self, *, alpha: float | None = None) -> None:
        self.alpha = alpha

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Fit on paired samples.

        Args:
            X: Source samples in rows, (samples, d_source): numpy, torch, data frame or nested sequence.
            y: Target samples, (samples, d_target); row i belongs to row i of X.
            groups: The document of each row, to choose the strength by; every row its own when left out.

        Returns:
            Itself.

        Raises:
            ShapeError: When there is not one label for each row.
        """
        if groups is None or self.alpha is not None:
            return super().fit(X, y)
        rows, targets = check_training(self, X, y)
        labels = np.unique(as_numpy(groups), return_inverse=True)[1]
        if labels.shape != (len(rows),):
            raise ShapeError(
                f"groups came with {labels.size} labels; expected one for each of {len(rows)} rows"
            )
        if labels.max() < 1:
            return super().fit(X, y)  # one document: nothing whole can be left out
        folds = group_documents(labels, n_groups=_FOLDS)
        parts = [CrossMoments.from_batch(rows[folds == f], targets[folds == f]) for f in np.unique(folds)]
        folded = FoldedProblem(parts)
        self._check_moments(folded.total)
        problem = RidgeProblem.from_moments(folded.total)
        self._forget()
        self._chosen = problem.choose(folded.errors), DOCUMENTS_OUT
        try:
            self._fit_cross(folded.total, batches=None)
        finally:
            del self._chosen
        check_training(self, X, y)  # names of columns, which fitting from moments forgets
        return self

    def fit_stream(self, batches: Batches) -> Self:
        """Fit on pairs that come in batches, so that they never have to be in memory together.

        Args:
            batches: Pairs (source, target) of matrices with as many rows. With ``alpha=None`` they are walked
                over three times (moments, leave-one-out twice), so a list or a re-iterable object is needed.

        Returns:
            Itself.

        Raises:
            ConfigError: When the strength is to be chosen and the batches can be walked over only once.
        """
        if self.alpha is None and isinstance(batches, Iterator):
            raise ConfigError(
                "batches that can be walked over only once came with alpha=None; leave-one-out needs them "
                "again: give a list, or alpha, or use fit_moments(CrossMoments.from_stream(batches))"
            )
        return super().fit_stream(batches)

    def _choose_alpha(self, problem: RidgeProblem, batches: Batches | None) -> tuple[float, str]:
        if "_chosen" in self.__dict__:
            return self._chosen
        if self.alpha is not None:
            if not (np.isreal(self.alpha) and 0.0 <= self.alpha < np.inf):
                raise ConfigError(f"alpha={self.alpha!r} came; expected a finite number from 0, or None")
            return float(self.alpha), GIVEN
        if batches is None:
            return problem.choose(lambda alphas: gcv_errors(problem, alphas)), GENERALISED
        return problem.choose(lambda alphas: loo_errors(problem, batches, alphas)), LEAVE_ONE_OUT

    def _solve(self, cross: CrossMoments, batches: Batches | None) -> Float[np.ndarray, "d_source d_target"]:
        problem = RidgeProblem.from_moments(cross)
        self.alpha_, self.alpha_rule_ = self._choose_alpha(problem, batches)
        return problem.coefficients(self.alpha_)


class ReducedRankMap(RidgeMap):
    """Ridge regression through a bottleneck: the best coefficients of a given rank.

    W_k = W V_k V_k^T with W the ridge solution and V_k the leading eigenvectors of
    scatter_xy^T (scatter_x + alpha I)^(-1) scatter_xy minimises sum ||y - f(x)||^2 + alpha ||W||_F^2 among
    coefficients of rank k (Izenman 1975, J. Multivariate Anal. 5, for alpha = 0; Mukherjee & Zhu 2011, Stat.
    Anal. Data Min. 4).

    With ``rank=None`` the rank minimises generalised cross-validation at the strength found for the full rank
    (as Yuan et al. 2007, J. R. Stat. Soc. B 69, choose theirs):

        GCV(k) = RSS(k) / (n q - q - df(k))^2,  df(k) = k (r + q - k) m,  m = (1/r) sum_j s_j / (s_j + alpha)

    with q target dimensions, r directions s_j in which the source varies, and the parameters of a matrix of rank
    k counted by their mean shrinkage m. It needs moments only, so for a given ``alpha`` ``fit`` and
    ``fit_moments`` agree on it.

    Args:
        rank: Dimensions of the bottleneck, from 1 to the smaller width; chosen when left out.
        alpha: Strength of the ridge penalty, chosen as in :class:`RidgeMap` when left out.

    Fitted attributes: those of :class:`RidgeMap`, and ``rank_``, ``rank_rule_``.

    Examples:
        >>> X = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> ReducedRankMap(rank=1, alpha=0.0).fit(X, X * np.array([2.0, 3.0])).coef_.round(6).tolist()
        [[0.0, 0.0], [0.0, 3.0]]
    """

    kind = "reduced_rank"

    def __init__(self, *, rank: int | None = None, alpha: float | None = None) -> None:
        self.rank = rank
        self.alpha = alpha

    def _solve(self, cross: CrossMoments, batches: Batches | None) -> Float[np.ndarray, "d_source d_target"]:
        widest = min(cross.d_source, cross.d_target)
        if self.rank is not None and not (self.rank == int(self.rank) and 1 <= self.rank <= widest):
            raise ConfigError(
                f"rank={self.rank!r} came for widths {cross.d_source} -> {cross.d_target}; "
                f"expected a whole number from 1 to {widest}, or None"
            )
        problem = RidgeProblem.from_moments(cross)
        self.alpha_, self.alpha_rule_ = self._choose_alpha(problem, batches)
        full = problem.coefficients(self.alpha_)
        fitted, axes, _ = psd_eigh(cross.scatter_cross.T @ full)
        if self.rank is None:
            penalised = self.alpha_ * ((full @ axes) ** 2).sum(axis=0)
            self.rank_ = self._choose_rank(problem, fitted[:widest] + penalised[:widest])
        else:
            self.rank_ = int(self.rank)
        self.rank_rule_ = GENERALISED if self.rank is None else GIVEN
        kept = axes[:, : self.rank_]
        return np.asarray(full @ kept @ kept.T)

    def _choose_rank(self, problem: RidgeProblem, explained: Float[np.ndarray, " k"]) -> int:
        """Minimise generalised cross-validation, given how much each axis takes off the residual."""
        cross = problem.cross
        width, directions = cross.d_target, len(problem.values)
        ranks = np.arange(1, min(len(explained), directions) + 1)
        total = float(np.trace(cross.scatter_target))
        residuals = np.maximum(total - np.cumsum(explained)[: len(ranks)], np.finfo(np.float64).eps * total)
        shrinkage = problem.degrees_of_freedom(self.alpha_) / directions
        parameters = ranks * (directions + width - ranks) * shrinkage
        left = np.maximum(cross.n * width - width - parameters, 1e-12 * cross.n * width)
        return int(ranks[int(np.argmin(residuals / left**2))])
