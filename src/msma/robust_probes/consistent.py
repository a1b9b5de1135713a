"""The scale-consistent probe: a head for each scale, held to one answer."""

from collections.abc import Sequence
from typing import Any, Self, get_args

import numpy as np
from jaxtyping import Float

from msma.errors import ConfigError
from msma.robust_probes.base import PENALTIES, BaseProbe, Part
from msma.robust_probes.consistency import Divergence
from msma.robust_probes.heads import pool
from msma.robust_probes.labelled import LabelledStates

#: Strengths of the consistency term to choose from; with 0 the heads know nothing of each other.
LAMBDAS = (0.0, 0.1, 1.0, 10.0)


class ConsistentProbe(BaseProbe):
    r"""One linear head a scale, trained on cross-entropy and on agreement; the answer is their geometric mean.

    .. math:: L = \sum_s \Big[ CE_s + \tfrac{\alpha}{2}\|W_s\|^2 \Big] + \lambda\, C, \quad
        \log p(k) = \tfrac1S \sum_s \log p_s(k) + \text{const}

    with C the mean divergence between the predictions of two heads, see
    :func:`msma.robust_probes.consistency.disagreement`. ``unlabelled`` states, such as those of perturbed texts,
    enter C only. :math:`\lambda` is chosen on held-out documents by the loss of the pooled prediction, and a
    :math:`\lambda` above the smallest one is taken only where it lowers that loss by more than one standard error of
    the paired difference over documents: otherwise consistency did not help and is left out. Agreement evens out the
    heads; it cannot tell which scale a perturbation broke.

    Fitted attributes: ``classes_``; ``lambda_``; ``penalty_``; ``heads_``; ``validation_losses_``, one for each
    lambda, in nats.

    Args:
        n_scales: Scales side by side in X.
        lambdas: Strengths of the consistency term to choose from.
        divergence: "kl" (symmetrised) or "js" (Jensen-Shannon).
        penalties: Weights of half the squared norm to choose from, 1 / (n C) in scikit-learn's terms.
        patience: Steps without a lower held-out loss after which to stop; ``None`` goes to the minimum.
        held_share: Share of the documents that choose, where none are given.
        seed: Fixes which documents those are.

    Examples:
        >>> X = np.repeat([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]], 20, axis=0)
        >>> probe = ConsistentProbe().fit(X, np.repeat(["up", "down"], 20))
        >>> probe.predict([[2.0, 2.0, -1.0]]).tolist(), probe.lambda_  # all heads agree without being told to
        (['up'], 0.0)
    """

    def __init__(
        self,
        *,
        n_scales: int = 3,
        lambdas: Sequence[float] = LAMBDAS,
        divergence: Divergence = "kl",
        penalties: Sequence[float] = PENALTIES,
        patience: int | None = 10,
        held_share: float = 0.25,
        seed: int = 0,
    ) -> None:
        self.n_scales = n_scales
        self.lambdas = lambdas
        self.divergence = divergence
        self.penalties = penalties
        self.patience = patience
        self.held_share = held_share
        self.seed = seed

    def fit(
        self,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        held_out: LabelledStates | None = None,
        unlabelled: Any = None,
    ) -> Self:
        """Fit the probe.

        Args:
            X: States of the scales side by side, (samples, n_scales x d).
            y: A label a sample.
            groups: The document of each sample; every one its own when left out.
            held_out: Texts that choose penalty and lambda; some of the documents when left out.
            unlabelled: States side by side without labels; only their consistency counts.

        Returns:
            Itself.

        Raises:
            ShapeError: When the states are not a finite matrix, or labels or documents do not match.
            CorpusError: When labels are missing or of one class, or there is only one document.
            ConfigError: When a setting is impossible.
        """
        return self._fit(X, y, groups, held_out, unlabelled=unlabelled)

    def scale_log_probabilities(self, X: Any) -> Float[np.ndarray, "scales samples classes"]:
        """Predict with each head alone.

        Args:
            X: States side by side.

        Returns:
            Log-probabilities in nats, one slice a scale.
        """
        return self.heads_.log_probabilities(self._views(self._read(X, is_fitting=False)))

    def _fit_parts(self, train: Part, held: Part, *, residuals: Any, unlabelled: Any) -> None:
        options = {"divergence": self.divergence, "unlabelled": unlabelled}
        choices = {
            float(strength): self._choose(train, held, strength=float(strength), **options)
            for strength in sorted(set(self.lambdas))
        }
        self.validation_losses_ = {
            strength: float(choice.losses.mean()) for strength, choice in choices.items()
        }
        weakest = min(choices)
        best = min(choices, key=lambda strength: self.validation_losses_[strength])
        gain, error = document_mean(choices[weakest].losses - choices[best].losses, held.documents)
        self.lambda_ = best if gain > error else weakest
        self.heads_, self.penalty_ = choices[self.lambda_].heads, choices[self.lambda_].penalty

    def _log_probabilities(
        self, views: Float[np.ndarray, "scales samples d"]
    ) -> Float[np.ndarray, "samples classes"]:
        return pool(self.heads_.log_probabilities(views))

    def _check_settings(self) -> None:
        super()._check_settings()
        if not len(self.lambdas) or min(self.lambdas) < 0:
            raise ConfigError(f"lambdas {tuple(self.lambdas)} came; expected at least one, none below 0")
        if self.divergence not in get_args(Divergence):
            raise ConfigError(f"divergence '{self.divergence}' came; expected 'kl' or 'js'")


def document_mean(values: Float[np.ndarray, " samples"], documents: np.ndarray) -> tuple[float, float]:
    r"""Average over samples, with a standard error that knows that samples of one document go together.

    .. math:: s = \frac1n \sqrt{\frac{G}{G-1} \sum_g \Big(\sum_{i \in g} (x_i - \bar x)\Big)^2}

    Args:
        values: One a sample.
        documents: The document of each sample.

    Returns:
        The mean and its standard error (the linearised cluster estimate; Cochran 1977, section 9A); infinite where
        there is one document.

    Examples:
        >>> document_mean(np.array([0.0, 2.0]), np.array([0, 1]))
        (1.0, 1.0)
    """
    mean = float(values.mean())
    codes = np.unique(documents, return_inverse=True)[1]
    sums = np.bincount(codes, weights=values - mean)
    if len(sums) < 2:
        return mean, float("inf")
    return mean, float(np.sqrt(len(sums) / (len(sums) - 1) * np.sum(sums**2)) / len(values))
