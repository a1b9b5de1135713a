"""The strength of a ridge penalty: documents or rows left out, or generalised cross-validation from moments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from jaxtyping import Float

from msma.linalg import check_pairs, psd_eigh
from msma.moments import CrossMoments

_CHUNK = 8192


@dataclass(frozen=True, eq=False)
class RidgeProblem:
    """Ridge regression in the eigenbasis of the source's scatter, where every strength costs next to nothing.

    Args:
        cross: The moments it was made from.
        values: Eigenvalues of the source's scatter above rounding, from the largest down.
        vectors: Their eigenvectors in columns.
        loads: Cross-scatter in that basis, vectors^T scatter_cross.
    """

    cross: CrossMoments
    values: Float[np.ndarray, " rank"]
    vectors: Float[np.ndarray, "d_source rank"]
    loads: Float[np.ndarray, "rank d_target"]

    @classmethod
    def from_moments(cls, cross: CrossMoments) -> "RidgeProblem":
        """Diagonalise; directions without variance take no part, so that strength 0 is the pseudo-inverse.

        Args:
            cross: Moments of the training pairs.

        Returns:
            The problem.
        """
        values, vectors, rank = psd_eigh(cross.scatter_source, max_rank=cross.n - 1)
        vectors = vectors[:, :rank]
        return cls(cross, values[:rank], vectors, vectors.T @ cross.scatter_cross)

    def coefficients(self, alpha: float) -> Float[np.ndarray, "d_source d_target"]:
        """Solve for one strength: (scatter_source + alpha I)^(-1) scatter_cross.

        Args:
            alpha: Strength, in units of the scatter (squared states times samples).

        Returns:
            The coefficients.
        """
        return np.asarray((self.vectors / (self.values + alpha)) @ self.loads)

    def degrees_of_freedom(self, alpha: float) -> float:
        """Count the parameters each target dimension takes up: the trace of the hat matrix without its mean.

        Args:
            alpha: Strength.

        Returns:
            sum_j s_j / (s_j + alpha), from 0 to the rank.
        """
        return float((self.values / (self.values + alpha)).sum())

    def choose(self, error: Callable[[Float[np.ndarray, " k"]], Float[np.ndarray, " k"]]) -> float:
        """Minimise an error over a logarithmic grid laid over the spectrum.

        From a hundredth of the smallest eigenvalue (but at least 1e-10 of the largest) to ten times the
        largest: first once a decade, then eight steps around the best. Among equals the strongest wins.

        Args:
            error: Gives the error of each strength.

        Returns:
            The best strength.
        """
        largest, smallest = float(self.values[0]), float(self.values[-1])
        low, high = max(1e-2 * smallest, 1e-10 * largest), 10.0 * largest
        coarse = np.geomspace(high, low, int(np.ceil(np.log10(high / low))) + 1)
        best = int(np.argmin(error(coarse)))
        above, below = coarse[max(best - 1, 0)], coarse[min(best + 1, len(coarse) - 1)]
        fine = np.geomspace(above, below, 9)
        return float(fine[int(np.argmin(error(fine)))])


def gcv_errors(problem: RidgeProblem, alphas: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Compute the generalised cross-validation error of ridge strengths from moments alone.

    GCV(a) = (RSS(a) / n) / (1 - tr H(a) / n)^2 with tr H(a) = 1 + sum_j s_j / (s_j + a): leave-one-out made
    invariant to rotations of the samples, as if every sample had the mean leverage (Golub, Heath & Wahba
    1979, Technometrics 21, eq. 1.4).

    Args:
        problem: The training pairs.
        alphas: Strengths, above 0.

    Returns:
        Estimated squared error per sample, summed over the target's dimensions.

    Examples:
        >>> x = np.array([[-1.0], [0.0], [1.0]])
        >>> problem = RidgeProblem.from_moments(CrossMoments.from_batch(x, 2 * x))
        >>> gcv_errors(problem, np.array([2.0])).round(6).tolist()  # RSS 2, tr H 1.5
        [2.666667]
    """
    n, values = problem.cross.n, problem.values
    explained = (problem.loads**2).sum(axis=1)
    total = float(np.trace(problem.cross.scatter_target))
    errors = np.empty(len(alphas))
    for i, alpha in enumerate(alphas):
        residual = total - float((explained * (values + 2 * alpha) / (values + alpha) ** 2).sum())
        left = 1.0 - (1.0 + problem.degrees_of_freedom(alpha)) / n
        errors[i] = max(residual, np.finfo(np.float64).eps * total) / n / max(left, 1e-12) ** 2
    return errors


def loo_errors(
    problem: RidgeProblem, batches: Any, alphas: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Compute the exact leave-one-out error of ridge strengths in one pass over the rows.

    Leaving sample i out of a ridge fit with free mean changes its residual e_i to e_i / (1 - h_i), with the
    leverage h_i = 1/n + sum_j z_ij^2 / (s_j + a) (Allen 1974, Technometrics 16: PRESS; Hastie et al. 2009,
    "The Elements of Statistical Learning", eq. 7.64).

    Args:
        problem: The moments of the very rows that follow.
        batches: Pairs (source, target) that can be walked over, samples in rows.
        alphas: Strengths, above 0.

    Returns:
        Mean over samples of the squared norm of the left-out residual.

    Examples:
        >>> x = np.array([[-1.0], [0.0], [1.0]])
        >>> problem = RidgeProblem.from_moments(CrossMoments.from_batch(x, 2 * x))
        >>> loo_errors(problem, [(x, 2 * x)], np.array([2.0])).round(6).tolist()  # 1 / (5/12), twice
        [3.84]
    """
    cross = problem.cross
    totals = np.zeros(len(alphas))
    for source, target in batches:
        for start in range(0, len(source), _CHUNK):
            rows = slice(start, start + _CHUNK)
            x, y = check_pairs(source[rows], target[rows])
            scores, y = (x - cross.mean_source) @ problem.vectors, y - cross.mean_target
            for i, alpha in enumerate(alphas):
                weights = 1.0 / (problem.values + alpha)
                residuals = y - (scores * weights) @ problem.loads
                left = 1.0 - 1.0 / cross.n - scores**2 @ weights
                totals[i] += ((residuals**2).sum(axis=1) / np.maximum(left, 1e-12) ** 2).sum()
    return totals / cross.n


class FoldedProblem:
    """Ridge regression with whole documents left out, from the moments of the folds alone.

    Where rows of one document resemble each other, leaving out single rows asks too little of a strength, and so
    does its form from moments (:func:`gcv_errors`): what is left out is then still there in its neighbours.

    Args:
        folds: Moments of each fold; two or more.
    """

    def __init__(self, folds: Sequence[CrossMoments]) -> None:
        self.total = reduce(add, folds)
        self.parts = [_HeldOut.of(self.total - fold, fold) for fold in folds]

    def errors(self, alphas: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        r"""Compute the error of ridge strengths on the folds left out.

        With V and s the eigenvectors and eigenvalues of the other folds' scatter, the residual of a fold is
        :math:`\operatorname{tr}S_{yy} - 2\operatorname{tr}W^TS_{xy} + \operatorname{tr}W^TS_{xx}W`,
        :math:`W = V(s + a)^{-1}V^TS_{xy}^{rest}`, its own scatters taken about the others' means. A strength keeps
        its weight beside each row.

        Args:
            alphas: Strengths for all rows together, above 0.

        Returns:
            Mean over samples of the squared norm of the residual.

        Examples:
            >>> first, second = (CrossMoments.from_batch([[-k], [k]], [[-2 * k], [2 * k]]) for k in (1.0, 3.0))
            >>> FoldedProblem([first, second]).errors(np.array([1e-9])).round(6).tolist()
            [0.0]
        """
        totals = np.zeros(len(alphas))
        for part in self.parts:
            scaled = alphas * part.problem.cross.n / self.total.n
            totals += [part.error(float(alpha)) for alpha in scaled]
        return totals / self.total.n


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """One fold beside the ridge problem of the others, in the others' eigenbasis."""

    problem: RidgeProblem
    source: Float[np.ndarray, "rank rank"]
    cross: Float[np.ndarray, "rank d_target"]
    target: float

    @classmethod
    def of(cls, rest: CrossMoments, fold: CrossMoments) -> "_HeldOut":
        problem = RidgeProblem.from_moments(rest)
        of_source, of_target = fold.mean_source - rest.mean_source, fold.mean_target - rest.mean_target
        source = fold.scatter_source + fold.n * np.outer(of_source, of_source)
        cross = fold.scatter_cross + fold.n * np.outer(of_source, of_target)
        target = float(np.trace(fold.scatter_target) + fold.n * of_target @ of_target)
        vectors = problem.vectors
        return cls(problem, vectors.T @ source @ vectors, vectors.T @ cross, target)

    def error(self, alpha: float) -> float:
        weights = self.problem.loads / (self.problem.values + alpha)[:, None]
        return (
            self.target
            - 2.0 * float(np.vdot(weights, self.cross))
            + float(np.vdot(weights, self.source @ weights))
        )
