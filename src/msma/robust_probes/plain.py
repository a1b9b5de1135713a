"""The baseline: one multinomial logistic regression on all the columns it is given."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from msma.robust_probes.base import PENALTIES, BaseProbe, Part
from msma.robust_probes.labelled import LabelledStates


class PlainProbe(BaseProbe):
    """Multinomial logistic regression on standardised states, its penalty chosen on held-out documents.

    Fitted attributes: ``classes_``; ``penalty_``; ``heads_``; ``validation_loss_``, in nats.

    Args:
        penalties: Weights of half the squared norm to choose from, 1 / (n C) in scikit-learn's terms.
        patience: Steps without a lower held-out loss after which to stop; ``None`` goes to the minimum.
        held_share: Share of the documents that choose, where none are given.
        seed: Fixes which documents those are.

    Examples:
        >>> X = np.repeat([[1.0], [-1.0]], 20, axis=0)
        >>> PlainProbe().fit(X, np.repeat(["up", "down"], 20)).predict([[2.0], [-2.0]]).tolist()
        ['up', 'down']
    """

    def __init__(
        self,
        *,
        penalties: Sequence[float] = PENALTIES,
        patience: int | None = 10,
        held_share: float = 0.25,
        seed: int = 0,
    ) -> None:
        self.penalties = penalties
        self.patience = patience
        self.held_share = held_share
        self.seed = seed

    def fit(self, X: Any, y: Any, groups: Any = None, *, held_out: LabelledStates | None = None) -> Self:
        """Fit the probe.

        Args:
            X: States in rows, of one scale or of several side by side.
            y: A label a sample.
            groups: The document of each sample; every one its own when left out.
            held_out: Texts that choose the penalty; some of the documents when left out, which then do not train.

        Returns:
            Itself.

        Raises:
            ShapeError: When the states are not a finite matrix, or labels or documents do not match.
            CorpusError: When labels are missing or of one class, or there is only one document.
            ConfigError: When a setting is impossible.
        """
        return self._fit(X, y, groups, held_out)

    def _fit_parts(self, train: Part, held: Part, *, residuals: Any, unlabelled: Any) -> None:
        choice = self._choose(train, held)
        self.heads_, self.penalty_ = choice.heads, choice.penalty
        self.validation_loss_ = float(choice.losses.mean())

    def _log_probabilities(
        self, views: Float[np.ndarray, "scales samples d"]
    ) -> Float[np.ndarray, "samples classes"]:
        return np.asarray(self.heads_.log_probabilities(views)[0])
