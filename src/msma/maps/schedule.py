"""What a training goes through and ends with: pairs, the course of the learning rate, the best epoch."""

import math
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Pairs", "Schedule", "Trained"]

#: Share of the steps in which the learning rate rises to its full height.
_WARM_UP = 0.05


@dataclass(frozen=True, eq=False)
class Pairs:
    """Standardised pairs.

    Args:
        rows: Source samples, as the network sees them.
        base: What the base map makes of them.
        target: Their targets.
    """

    rows: Float[Tensor, "samples k"]
    base: Float[Tensor, "samples d"]
    target: Float[Tensor, "samples d"]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Int[Tensor, " n"]) -> "Pairs":
        """Give some of the pairs.

        Args:
            index: Row numbers.

        Returns:
            Those rows.
        """
        return Pairs(self.rows[index], self.base[index], self.target[index])


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast to train.

    Args:
        learning_rate: The highest.
        weight_decay: Decoupled (AdamW).
        batch_size: Pairs a step.
        max_epochs: Passes over the training pairs at most; the cosine ends there.
        patience: Epochs without a better one before stopping.
        seed: Fixes order, probes and noise.
    """

    learning_rate: float
    weight_decay: float
    batch_size: int
    max_epochs: int
    patience: int
    seed: int

    def rate(self, step: int, n_steps: int) -> float:
        """Give the learning rate of a step: a linear rise, then half a cosine down to zero.

        Args:
            step: From 0.
            n_steps: Steps in all.

        Returns:
            The rate.

        Examples:
            >>> schedule = Schedule(
            ...     learning_rate=1.0, weight_decay=0.0, batch_size=1, max_epochs=1, patience=1, seed=0
            ... )
            >>> [round(schedule.rate(step, 100), 3) for step in (0, 4, 5, 50, 99)]
            [0.2, 1.0, 1.0, 0.541, 0.0]
        """
        rising = max(1, round(_WARM_UP * n_steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        done = (step - rising) / max(1, n_steps - rising)
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training ends with.

    Args:
        weights: Of the network at the best epoch.
        best_epoch: 0 for the base map itself.
        n_epochs: Epochs gone through.
        history: One line an epoch, the base's first.
    """

    weights: dict[str, Tensor]
    best_epoch: int
    n_epochs: int
    history: list[dict[str, Any]]

    @property
    def gain(self) -> float:
        """By how much the best epoch's objective lies below the base's, on held-out rows."""
        return float(self.history[self.best_epoch]["gain"])
