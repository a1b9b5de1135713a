"""Means and scatter matrices of one or two sets of states: streamed, merged, removed.

All that a closed-form map or a Gaussian measure needs, in memory that does not grow with the samples. Two
batches are merged by the pairwise update of Chan, Golub & LeVeque (1983, "Algorithms for computing the sample
variance", Am. Stat. 37), which never subtracts large raw second moments:

    scatter = scatter_a + scatter_b + (n_a n_b / n) (mean_b - mean_a)(mean_b - mean_a)^T
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from msma.errors import ShapeError
from msma.linalg import check_pairs, check_samples

__all__ = ["CrossMoments", "Moments"]

_NO_SAMPLE = "a stream of batches came without one sample; check that it is not used up already"


def _merge_weights(n_first: int, n_second: int) -> tuple[int, float, float]:
    """Total, share of the second in the mean, and weight of the outer product of the mean difference."""
    n = n_first + n_second
    return n, n_second / n, n_first * n_second / n


def _removal_weights(n_total: int, n_part: int) -> tuple[int, float, float]:
    """What is left, weight of (mean_total - mean_part) in its mean, and weight of the outer product."""
    n = n_total - n_part
    if n < 1:
        raise ShapeError(f"{n_part} samples were to be removed from {n_total}; leave at least one")
    # with d = mean_total - mean_part, mean_left - mean_part = d n_total / n
    return n, n_part / n, n_part * n_total / n


@dataclass(frozen=True, eq=False)
class Moments:
    """Number, mean and scatter of one set of samples.

    Args:
        n: Samples seen.
        mean: Their mean.
        scatter: Sum over samples of (x - mean)(x - mean)^T.

    Raises:
        ShapeError: When the parts do not belong together.

    Examples:
        >>> first, second = Moments.from_batch([[0.0], [2.0]]), Moments.from_batch([[4.0]])
        >>> (first + second).mean.tolist(), (first + second).covariance().tolist()
        ([2.0], [[4.0]])
        >>> (first + second - second).covariance().tolist()
        [[2.0]]
    """

    n: int
    mean: Float[np.ndarray, " d"]
    scatter: Float[np.ndarray, "d d"]

    def __post_init__(self) -> None:
        d = self.mean.size
        if self.n < 1 or self.mean.shape != (d,) or self.scatter.shape != (d, d):
            raise ShapeError(
                f"moments of {self.n} samples came with shapes {self.mean.shape} and {self.scatter.shape}; "
                "expected n >= 1, (d,) and (d, d): build them with Moments.from_batch"
            )

    @classmethod
    def from_batch(cls, states: Any) -> Self:
        """Compute the moments of samples held in memory.

        Args:
            states: Samples in rows, numpy or torch.

        Returns:
            Their moments, in float64.
        """
        states = check_samples(states, name="states")
        mean = states.mean(axis=0)
        centred = states - mean
        return cls(n=len(states), mean=mean, scatter=centred.T @ centred)

    @classmethod
    def from_stream(cls, batches: Iterable[Any]) -> Self:
        """Compute the moments of samples that come in batches.

        Args:
            batches: Sample matrices of one width; empty ones are skipped.

        Returns:
            The moments of all samples together.

        Raises:
            ShapeError: When no batch holds a sample.
        """
        total: Self | None = None
        for batch in batches:
            if len(batch):
                part = cls.from_batch(batch)
                total = part if total is None else total + part
        if total is None:
            raise ShapeError(_NO_SAMPLE)
        return total

    @property
    def d(self) -> int:
        """Number of dimensions."""
        return self.mean.size

    def covariance(self, *, ddof: int = 1) -> Float[np.ndarray, "d d"]:
        """Give the covariance matrix.

        Args:
            ddof: The scatter is divided by n - ddof; 1 makes it unbiased.

        Returns:
            A symmetric positive semi-definite matrix, in squared units of the states.

        Raises:
            ShapeError: When there are not more samples than ``ddof``.
        """
        if self.n <= ddof:
            raise ShapeError(
                f"a covariance of {self.n} samples with ddof={ddof} was asked for; expected n > ddof: "
                "give more samples"
            )
        return self.scatter / (self.n - ddof)

    def __add__(self, other: "Moments") -> Self:
        return self._combine(other, *_merge_weights(self.n, other.n), sign=1)

    def __sub__(self, other: "Moments") -> Self:
        return self._combine(other, *_removal_weights(self.n, other.n), sign=-1)

    def _combine(self, other: "Moments", n: int, share: float, weight: float, *, sign: int) -> Self:
        if self.d != other.d:
            raise ShapeError(
                f"moments {self.d} and {other.d} wide cannot be combined; use states of one layer or scale"
            )
        delta = other.mean - self.mean
        return type(self)(
            n=n,
            mean=self.mean + sign * share * delta,
            scatter=self.scatter + sign * (other.scatter + weight * np.outer(delta, delta)),
        )


@dataclass(frozen=True, eq=False)
class CrossMoments:
    """Number, means, scatters and cross-scatter of paired samples: all that a linear map needs to be fitted.

    Args:
        n: Pairs seen.
        mean_source: Mean of the source.
        mean_target: Mean of the target.
        scatter_source: Sum over pairs of the outer product of the centred source with itself.
        scatter_cross: Sum over pairs of the centred source times the centred target.
        scatter_target: Sum over pairs of the outer product of the centred target with itself.

    Raises:
        ShapeError: When the parts do not belong together.

    Examples:
        >>> pairs = CrossMoments.from_stream([([[0.0]], [[1.0, 0.0]]), ([[2.0]], [[5.0, 0.0]])])
        >>> pairs.n, pairs.scatter_cross.tolist(), pairs.joint.mean.tolist()
        (2, [[4.0, 0.0]], [1.0, 3.0, 0.0])
    """

    n: int
    mean_source: Float[np.ndarray, " d_source"]
    mean_target: Float[np.ndarray, " d_target"]
    scatter_source: Float[np.ndarray, "d_source d_source"]
    scatter_cross: Float[np.ndarray, "d_source d_target"]
    scatter_target: Float[np.ndarray, "d_target d_target"]

    def __post_init__(self) -> None:
        p, q = self.mean_source.size, self.mean_target.size
        came = [getattr(self, field.name).shape for field in fields(self)[1:]]
        expected = [(p,), (q,), (p, p), (p, q), (q, q)]
        if self.n < 1 or came != expected:
            raise ShapeError(
                f"moments of {self.n} pairs came with shapes {came}; expected n >= 1 and {expected}: "
                "build them with CrossMoments.from_batch"
            )

    @classmethod
    def from_batch(cls, source: Any, target: Any) -> Self:
        """Compute the moments of paired samples held in memory.

        Args:
            source: Samples in rows, numpy or torch.
            target: Row i belongs to row i of the source.

        Returns:
            Their moments, in float64.
        """
        source, target = check_pairs(source, target)
        mean_source, mean_target = source.mean(axis=0), target.mean(axis=0)
        source, target = source - mean_source, target - mean_target
        return cls(
            n=len(source),
            mean_source=mean_source,
            mean_target=mean_target,
            scatter_source=source.T @ source,
            scatter_cross=source.T @ target,
            scatter_target=target.T @ target,
        )

    @classmethod
    def from_stream(cls, batches: Iterable[tuple[Any, Any]]) -> Self:
        """Compute the moments of pairs that come in batches.

        Args:
            batches: Pairs (source, target) of matrices with as many rows; empty ones are skipped.

        Returns:
            The moments of all pairs together.

        Raises:
            ShapeError: When no batch holds a pair.
        """
        total: Self | None = None
        for source, target in batches:
            if len(source) or len(target):
                part = cls.from_batch(source, target)
                total = part if total is None else total + part
        if total is None:
            raise ShapeError(_NO_SAMPLE)
        return total

    @property
    def d_source(self) -> int:
        """Width of the source."""
        return self.mean_source.size

    @property
    def d_target(self) -> int:
        """Width of the target."""
        return self.mean_target.size

    @property
    def source(self) -> Moments:
        """Moments of the source alone."""
        return Moments(n=self.n, mean=self.mean_source, scatter=self.scatter_source)

    @property
    def target(self) -> Moments:
        """Moments of the target alone."""
        return Moments(n=self.n, mean=self.mean_target, scatter=self.scatter_target)

    @property
    def joint(self) -> Moments:
        """Moments of source and target side by side, d_source + d_target wide."""
        scatter = np.block(
            [[self.scatter_source, self.scatter_cross], [self.scatter_cross.T, self.scatter_target]]
        )
        return Moments(n=self.n, mean=np.concatenate([self.mean_source, self.mean_target]), scatter=scatter)

    @property
    def reversed(self) -> Self:
        """The same pairs with source and target exchanged."""
        return type(self)(
            n=self.n,
            mean_source=self.mean_target,
            mean_target=self.mean_source,
            scatter_source=self.scatter_target,
            scatter_cross=self.scatter_cross.T,
            scatter_target=self.scatter_source,
        )

    def __add__(self, other: "CrossMoments") -> Self:
        return self._combine(other, *_merge_weights(self.n, other.n), sign=1)

    def __sub__(self, other: "CrossMoments") -> Self:
        return self._combine(other, *_removal_weights(self.n, other.n), sign=-1)

    def _combine(self, other: "CrossMoments", n: int, share: float, weight: float, *, sign: int) -> Self:
        if (self.d_source, self.d_target) != (other.d_source, other.d_target):
            raise ShapeError(
                f"moments {self.d_source} -> {self.d_target} and {other.d_source} -> {other.d_target} wide "
                "cannot be combined; use pairs of the same scales"
            )
        of_source = other.mean_source - self.mean_source
        of_target = other.mean_target - self.mean_target
        return type(self)(
            n=n,
            mean_source=self.mean_source + sign * share * of_source,
            mean_target=self.mean_target + sign * share * of_target,
            scatter_source=self.scatter_source
            + sign * (other.scatter_source + weight * np.outer(of_source, of_source)),
            scatter_cross=self.scatter_cross
            + sign * (other.scatter_cross + weight * np.outer(of_source, of_target)),
            scatter_target=self.scatter_target
            + sign * (other.scatter_target + weight * np.outer(of_target, of_target)),
        )
