"""Training rows that wait until there are enough of them: a product of matrices has its price, however few the rows."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int


class Rows(NamedTuple):
    """Rows that waited long enough.

    Args:
        scales: The three representations, float64.
        sources: Rows whose source representations are paired wrongly, for the null.
        targets: Rows they are paired with.
        halves: Both projections of every layer, where there are some.
    """

    scales: Float[np.ndarray, "3 samples d"]
    sources: Int[np.ndarray, " pairs"]
    targets: Int[np.ndarray, " pairs"]
    halves: list[np.ndarray] | None


class WaitingRows:
    """Hold training rows of several batches.

    Examples:
        >>> waiting = WaitingRows()
        >>> for _ in range(2):
        ...     waiting.put(np.zeros((3, 2, 1), dtype=np.float32), np.array([0, 1]), np.array([1, 0]), None)
        >>> waiting.n, waiting.take().targets.tolist(), waiting.n
        (4, [1, 0, 3, 2], 0)
    """

    def __init__(self) -> None:
        self.n = 0
        self._scales: list[np.ndarray] = []
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self._halves: list[Any] = []

    @property
    def has_projections(self) -> bool:
        """Whether projections wait too."""
        return bool(self._halves)

    def put(
        self,
        scales: Float32[np.ndarray, "3 samples d"],
        sources: Int[np.ndarray, " pairs"],
        targets: Int[np.ndarray, " pairs"],
        halves: Any,
    ) -> None:
        """Add the rows of a batch.

        Args:
            scales: The three representations.
            sources: Rows of the batch whose source representations are paired wrongly.
            targets: Rows of the batch that they are paired with.
            halves: Both projections of every layer, or ``None``.
        """
        self._pairs.append((sources + self.n, targets + self.n))
        self._scales.append(scales)
        self.n += scales.shape[1]
        if halves is not None:
            self._halves.append(halves)

    def take(self) -> Rows:
        """Give all rows that wait, and wait for others.

        Returns:
            The rows.
        """
        scales = np.concatenate(self._scales, axis=1).astype(np.float64)
        sources, targets = (np.concatenate(side) for side in zip(*self._pairs, strict=True))
        halves = [np.concatenate(side, axis=1) for side in zip(*self._halves, strict=True)]
        self.n, self._scales, self._pairs, self._halves = 0, [], [], []
        return Rows(scales, sources, targets, halves or None)
