"""A probe for each scale, pooled with chosen weights, and a gate that listens less to a scale that looks odd."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize

from msma.errors import ConfigError, ShapeError
from msma.robust_probes.base import PENALTIES, BaseProbe, Part
from msma.robust_probes.heads import Heads, cross_entropies, pool
from msma.robust_probes.labelled import LabelledStates, check_residuals


class ScaleEnsemble(BaseProbe):
    r"""Separate probes of the scales, pooled by a weighted geometric mean whose weights held-out texts choose.

    .. math:: \log p(k) = \sum_s w_s \log p_s(k) + \text{const}, \quad w_s \ge 0, \; \sum_s w_s = 1

    The held-out loss is convex in w, so the weights are the best there are on such texts; they may rest on a scale that
    perturbation breaks. Where residual scores are given, a gate takes weight from scales that look odd and hands it to
    the others, also to those that clean texts gave none:

    .. math:: w_{is} = w_s g_{is} + \Big(1 - \sum_t w_t g_{it}\Big) \frac{g_{is}}{\sum_t g_{it}}, \quad
        g_{is} = \min(1, q_{is} / \tau), \quad q_{is} = \frac{1 + \#\{j : r_{js} \ge r_{is}\}}{m + 1}

    over the m held-out residuals :math:`r_{js}` of that scale: q is the conformal p-value (Vovk, Gammerman and
    Shafer 2005) of the sample looking as clean texts do, and only samples stranger than a share :math:`1 - \tau` of
    clean texts are touched. Nothing in the gate was tuned on perturbed texts.

    Fitted attributes: ``classes_``; ``weights_``, one a scale; ``penalty_``, one a scale; ``heads_``.

    Args:
        n_scales: Scales side by side in X.
        gate_level: tau, in (0, 1].
        penalties: Weights of half the squared norm to choose from, 1 / (n C) in scikit-learn's terms.
        patience: Steps without a lower held-out loss after which to stop; ``None`` goes to the minimum.
        held_share: Share of the documents that choose, where none are given.
        seed: Fixes which documents those are.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> label = np.repeat([1.0, -1.0], 40)
        >>> X = np.column_stack([rng.normal(size=80), label + 0.5 * rng.normal(size=80)])  # noise beside a signal
        >>> ScaleEnsemble(n_scales=2).fit(X, label).weights_.round(1).tolist()
        [0.0, 1.0]
    """

    def __init__(
        self,
        *,
        n_scales: int = 3,
        gate_level: float = 0.1,
        penalties: Sequence[float] = PENALTIES,
        patience: int | None = 10,
        held_share: float = 0.25,
        seed: int = 0,
    ) -> None:
        self.n_scales = n_scales
        self.gate_level = gate_level
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
        residuals: Any = None,
    ) -> Self:
        """Fit the probes, then weights and gate on held-out texts.

        Args:
            X: States of the scales side by side, (samples, n_scales x d).
            y: A label a sample.
            groups: The document of each sample; every one its own when left out.
            held_out: Texts that choose, with residuals where the gate is wanted; some of the documents when left out.
            residuals: Residual scores of the samples in X, where ``held_out`` is left out.

        Returns:
            Itself.

        Raises:
            ShapeError: When the states are not a finite matrix, or labels, documents or residuals do not match.
            CorpusError: When labels are missing or of one class, or there is only one document.
            ConfigError: When a setting is impossible.
        """
        if residuals is not None:
            if held_out is not None:
                raise ConfigError("residuals= and held_out= came; give the residuals with the held-out texts")
            residuals = check_residuals(residuals, shape=(len(X), self.n_scales))
        return self._fit(X, y, groups, held_out, residuals=residuals)

    def predict_log_proba(self, X: Any, *, residuals: Any = None) -> Float[np.ndarray, "samples classes"]:
        """Predict log-probabilities.

        Args:
            X: States side by side.
            residuals: Residual scores of these samples; the gate stays open when left out.

        Returns:
            In nats, one column a class in the order of ``classes_``.

        Raises:
            ShapeError: When residuals do not match, or came where none were given to ``fit``.
        """
        if residuals is None:
            return super().predict_log_proba(X)
        rows = self._read(X, is_fitting=False)
        weights = self.gated_weights(check_residuals(residuals, shape=(len(rows), self.n_scales)))
        return pool(self.heads_.log_probabilities(self._views(rows)), weights)

    def predict_proba(self, X: Any, *, residuals: Any = None) -> Float[np.ndarray, "samples classes"]:
        """Predict probabilities; see :meth:`predict_log_proba`.

        Args:
            X: States side by side.
            residuals: Residual scores of these samples.

        Returns:
            From 0 to 1; rows sum to one.
        """
        return np.exp(self.predict_log_proba(X, residuals=residuals))

    def predict(self, X: Any, *, residuals: Any = None) -> np.ndarray:
        """Predict classes; see :meth:`predict_log_proba`.

        Args:
            X: States side by side.
            residuals: Residual scores of these samples.

        Returns:
            One of ``classes_`` a sample.
        """
        best = self.predict_log_proba(X, residuals=residuals).argmax(axis=1)
        return self.classes_[best]

    def gated_weights(
        self, residuals: Float[np.ndarray, "samples scales"]
    ) -> Float[np.ndarray, "samples scales"]:
        """Weigh the scales for each sample.

        Args:
            residuals: Residual scores.

        Returns:
            Weights from 0 to 1; rows sum to one.

        Raises:
            ShapeError: When ``fit`` saw no residuals to compare with.
        """
        if self.clean_residuals_ is None:
            raise ShapeError(
                "residuals came for a gate that saw none when fitted; give residuals of the held-out texts to fit"
            )
        columns = []
        for clean, given in zip(self.clean_residuals_.T, residuals.T, strict=True):
            at_least = len(clean) - np.searchsorted(clean, given, side="left")
            columns.append((1.0 + at_least) / (len(clean) + 1.0))
        gate = np.minimum(1.0, np.column_stack(columns) / self.gate_level)
        kept = self.weights_ * gate
        freed = 1.0 - kept.sum(axis=1, keepdims=True)
        return np.asarray(kept + freed * gate / gate.sum(axis=1, keepdims=True))

    def _fit_parts(self, train: Part, held: Part, *, residuals: Any, unlabelled: Any) -> None:
        single = [
            self._choose(
                Part(train.views[s : s + 1], train.codes, train.documents),
                Part(held.views[s : s + 1], held.codes, held.documents),
            )
            for s in range(self.n_scales)
        ]
        self.heads_ = Heads(
            np.concatenate([choice.heads.weights for choice in single]),
            np.concatenate([choice.heads.offsets for choice in single]),
            max(choice.heads.n_steps for choice in single),
        )
        self.penalty_ = tuple(choice.penalty for choice in single)
        self.weights_ = choose_weights(self.heads_.log_probabilities(held.views), held.codes)
        self.clean_residuals_ = None if residuals is None else np.sort(residuals, axis=0)

    def _log_probabilities(
        self, views: Float[np.ndarray, "scales samples d"]
    ) -> Float[np.ndarray, "samples classes"]:
        return pool(self.heads_.log_probabilities(views), self.weights_)

    def _check_settings(self) -> None:
        super()._check_settings()
        if not 0 < self.gate_level <= 1:
            raise ConfigError(f"gate_level {self.gate_level} came; expected a share above 0 and at most 1")


def choose_weights(
    logs: Float[np.ndarray, "scales samples classes"], codes: Int[np.ndarray, " samples"]
) -> Float[np.ndarray, " scales"]:
    """Find the weights of a logarithmic pool with the lowest cross-entropy.

    Args:
        logs: Log-probabilities of each head on held-out samples.
        codes: Their classes.

    Returns:
        One weight a scale, from 0 to 1, adding up to 1.

    Examples:
        >>> right, wrong = np.log([[0.9, 0.1]]), np.log([[0.1, 0.9]])
        >>> choose_weights(np.stack([right, wrong]), np.array([0])).round(6).tolist()
        [1.0, 0.0]
    """
    n_scales = len(logs)
    of_truth = logs[:, np.arange(len(codes)), codes]

    def loss(weights: Float[np.ndarray, " scales"]) -> tuple[float, Float[np.ndarray, " scales"]]:
        pooled = pool(logs, weights)
        expected = np.einsum("nk,snk->sn", np.exp(pooled), logs)
        return float(cross_entropies(pooled, codes).mean()), (expected - of_truth).mean(axis=1)

    found = minimize(
        loss,
        np.full(n_scales, 1.0 / n_scales),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * n_scales,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    weights = np.clip(found.x, 0.0, None)
    return np.asarray(weights / weights.sum())
