"""Means, scatters and cross-scatters of three scales, summed in place."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma._types import PAIRS, SCALES
from msma.errors import ShapeError

#: Where source and target of each fitted pair stand among the scales.
PLACES = tuple((SCALES.index(source), SCALES.index(target)) for source, target in PAIRS)
_ARRAYS = ("means", "scatters", "crosses", "shuffled_means", "shuffled_crosses")


class ScaleSums:
    """Numbers of samples and of shuffled pairs, with means and scatters of both; see :class:`ScaleMoments`.

    Merged by the pairwise update of Chan, Golub and LeVeque (1983), as in :mod:`msma.moments`, but in place, since
    seven d x d matrices of a large model are gigabytes.

    Args:
        d_model: Width of one state.

    Examples:
        >>> sums = ScaleSums(1)
        >>> rows = np.array([[[0.0], [2.0]], [[1.0], [5.0]], [[0.0], [3.0]]])
        >>> sums.add(rows, np.array([0, 1]), np.array([1, 0]))
        >>> sums.n, sums.means.ravel().tolist(), sums.crosses.ravel().tolist()
        (2, [1.0, 3.0, 1.5], [6.0, 4.0])
        >>> sums.shuffled_crosses.ravel().tolist()
        [-6.0, -4.0]
    """

    def __init__(self, d_model: int) -> None:
        self.n = 0
        self.n_shuffled = 0
        self.means = np.zeros((3, d_model))
        self.scatters = np.zeros((3, d_model, d_model))
        self.crosses = np.zeros((2, d_model, d_model))
        self.shuffled_means = np.zeros((2, 2, d_model))
        self.shuffled_crosses = np.zeros((2, d_model, d_model))

    @classmethod
    def from_parts(cls, n: int, n_shuffled: int, arrays: Any) -> "ScaleSums":
        """Take over numbers and arrays.

        Args:
            n: Samples.
            n_shuffled: Shuffled pairs.
            arrays: The arrays by name; not copied.

        Returns:
            The sums.

        Raises:
            ShapeError: When their shapes do not belong together.
        """
        sums = cls(0)
        sums.n, sums.n_shuffled = n, n_shuffled
        for name in _ARRAYS:
            setattr(sums, name, arrays[name])
        d = sums.means.shape[-1]
        came = [getattr(sums, name).shape for name in _ARRAYS]
        expected = [(3, d), (3, d, d), (2, d, d), (2, 2, d), (2, d, d)]
        if came != expected:
            raise ShapeError(f"moments came with shapes {came}; expected {expected}: build them again")
        return sums

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name.

        Returns:
            One entry an array; not copied.
        """
        return {name: getattr(self, name) for name in _ARRAYS}

    def copy(self) -> "ScaleSums":
        """Give sums of their own with the same numbers.

        Returns:
            The copy.
        """
        arrays = {name: np.array(array) for name, array in self.to_arrays().items()}
        return ScaleSums.from_parts(self.n, self.n_shuffled, arrays)

    def add(
        self,
        rows: Float[np.ndarray, "3 samples d"],
        sources: Int[np.ndarray, " pairs"],
        targets: Int[np.ndarray, " pairs"],
    ) -> None:
        """Add samples.

        Args:
            rows: The three representations, float64.
            sources: Rows whose source representations are paired wrongly, for the null.
            targets: Rows they are paired with.
        """
        n = self.n + rows.shape[1]
        sides = [_centre(rows[i], self.means[i], self.n, n) for i in range(3)]
        for i, side in enumerate(sides):
            self.scatters[i] += side.T @ side
        for pair, (source, target) in enumerate(PLACES):
            self.crosses[pair] += sides[source].T @ sides[target]
        self.n = n
        del sides  # as large as the rows
        if not len(sources):
            return
        n = self.n_shuffled + len(sources)
        for pair, (source, target) in enumerate(PLACES):
            means = self.shuffled_means[pair]
            first = _centre(rows[source][sources], means[0], self.n_shuffled, n)
            second = _centre(rows[target][targets], means[1], self.n_shuffled, n)
            self.shuffled_crosses[pair] += first.T @ second
        self.n_shuffled = n

    def absorb(self, other: "ScaleSums") -> None:
        """Add the sums of other samples.

        Args:
            other: Their sums.
        """
        if other.n:
            share, weight = other.n / (self.n + other.n), self.n * other.n / (self.n + other.n)
            delta = other.means - self.means
            for i in range(3):
                self.scatters[i] += other.scatters[i]
                self.scatters[i] += np.outer(weight * delta[i], delta[i])
            for pair, (source, target) in enumerate(PLACES):
                self.crosses[pair] += other.crosses[pair]
                self.crosses[pair] += np.outer(weight * delta[source], delta[target])
            self.means += share * delta
            self.n += other.n
        if other.n_shuffled:
            total = self.n_shuffled + other.n_shuffled
            share, weight = other.n_shuffled / total, self.n_shuffled * other.n_shuffled / total
            delta = other.shuffled_means - self.shuffled_means
            for pair in range(2):
                self.shuffled_crosses[pair] += other.shuffled_crosses[pair]
                self.shuffled_crosses[pair] += np.outer(weight * delta[pair, 0], delta[pair, 1])
            self.shuffled_means += share * delta
            self.n_shuffled = total


def _centre(
    rows: Float[np.ndarray, "samples d"], mean: Float[np.ndarray, " d"], before: int, after: int
) -> Float[np.ndarray, "more d"]:
    """Centre new rows, with one more that stands for the distance of their mean from the one so far.

    The outer products of what comes back are all that merging adds to a scatter; ``mean`` is moved to that of all.
    """
    n = len(rows)
    own = rows.mean(axis=0)
    delta = own - mean
    mean += n / after * delta
    return np.vstack([rows - own, np.sqrt(before * n / after) * delta])
