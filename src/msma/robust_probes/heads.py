"""One linear head a scale, trained together: the objective, its gradient and its minimum."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import log_softmax

from msma.robust_probes.consistency import Divergence, disagreement

#: Iterations at most, and the relative decrease from which the descent counts as done.
_MOST_STEPS = 2000
_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class Heads:
    """Linear heads, one a scale.

    Args:
        weights: (scales, d, classes).
        offsets: (scales, classes).
        n_steps: Steps of the descent that found them.

    Examples:
        >>> heads = Heads(np.zeros((3, 2, 4)), np.zeros((3, 4)), 0)
        >>> np.exp(heads.log_probabilities(np.ones((3, 5, 2)))).max()
        np.float64(0.25)
    """

    weights: Float[np.ndarray, "scales d classes"]
    offsets: Float[np.ndarray, "scales classes"]
    n_steps: int

    def log_probabilities(
        self, views: Float[np.ndarray, "scales samples d"]
    ) -> Float[np.ndarray, "scales samples classes"]:
        """Predict with every head.

        Args:
            views: Standardised states, one slice a scale.

        Returns:
            Log-probabilities in nats.
        """
        return np.asarray(log_softmax(views @ self.weights + self.offsets[:, None, :], axis=2))


def pool(
    logs: Float[np.ndarray, "scales samples classes"],
    weights: Float[np.ndarray, " scales"] | Float[np.ndarray, "samples scales"] | None = None,
) -> Float[np.ndarray, "samples classes"]:
    r"""Pool the heads' distributions by a weighted geometric mean (Genest and Zidek 1986, logarithmic pool).

    .. math:: \log p(k) = \sum_s w_s \log p_s(k) - \log \sum_j \exp \sum_s w_s \log p_s(j)

    Args:
        logs: Log-probabilities of each head.
        weights: One a scale, or one a sample and scale, adding up to 1; equal ones when left out.

    Returns:
        Log-probabilities in nats that sum to one.

    Examples:
        >>> logs = np.log([[[0.9, 0.1]], [[0.1, 0.9]]])
        >>> np.exp(pool(logs)).round(12).tolist(), np.exp(pool(logs, np.array([1.0, 0.0]))).round(12).tolist()
        ([[0.5, 0.5]], [[0.9, 0.1]])
    """
    if weights is None:
        weights = np.full(len(logs), 1.0 / len(logs))
    axes = "s,snk->nk" if np.ndim(weights) == 1 else "ns,snk->nk"
    return np.asarray(log_softmax(np.einsum(axes, weights, logs), axis=1))


def cross_entropies(
    logs: Float[np.ndarray, "samples classes"], codes: Int[np.ndarray, " samples"]
) -> Float[np.ndarray, " samples"]:
    """Give each sample's loss.

    Args:
        logs: Log-probabilities.
        codes: The right class of each sample.

    Returns:
        Minus the log-probability of the right class, in nats.

    Examples:
        >>> cross_entropies(np.log([[0.5, 0.5]]), np.array([0])).round(4).tolist()
        [0.6931]
    """
    return -logs[np.arange(len(codes)), codes]


@dataclass(frozen=True, eq=False, kw_only=True)
class JointObjective:
    r"""Cross-entropy of every head, a penalty on its weights, and their disagreement.

    .. math:: L = \sum_s \Big[ \tfrac1n \sum_i -\log p_{si}(y_i) + \tfrac{\alpha}{2} \|W_s\|^2 \Big] + \lambda C

    with C from :func:`msma.robust_probes.consistency.disagreement` over the labelled and the unlabelled samples
    together. With :math:`\lambda = 0` the heads are multinomial logistic regressions that know nothing of each
    other; :math:`\alpha = 1 / (n\,C_{sklearn})`.

    Args:
        views: Standardised labelled states, (scales, samples, d).
        codes: The class of each sample.
        n_classes: Number of classes.
        penalty: alpha, above 0.
        strength: lambda, 0 or more.
        divergence: "kl" or "js".
        unlabelled: Standardised states on which only the disagreement counts.
    """

    views: Float[np.ndarray, "scales samples d"]
    codes: Int[np.ndarray, " samples"]
    n_classes: int
    penalty: float
    strength: float = 0.0
    divergence: Divergence = "kl"
    unlabelled: Float[np.ndarray, "scales others d"] | None = None

    @property
    def n_parameters(self) -> int:
        """Number of weights and offsets."""
        return self.views.shape[0] * (self.views.shape[2] + 1) * self.n_classes

    def unpack(self, flat: Float[np.ndarray, " parameters"], *, n_steps: int = 0) -> Heads:
        """Give heads from one vector of parameters.

        Args:
            flat: Per scale and column the classes' weights, the offsets as a last column.
            n_steps: Steps taken so far.

        Returns:
            The heads.
        """
        block = flat.reshape(self.views.shape[0], self.views.shape[2] + 1, self.n_classes)
        return Heads(block[:, :-1].copy(), block[:, -1].copy(), n_steps)

    def evaluate(
        self, flat: Float[np.ndarray, " parameters"]
    ) -> tuple[float, Float[np.ndarray, " parameters"]]:
        """Compute the objective and its gradient.

        Args:
            flat: See :meth:`unpack`.

        Returns:
            L in nats, and its derivative with respect to every parameter.
        """
        heads = self.unpack(flat)
        n_samples = len(self.codes)
        logits = self.views @ heads.weights + heads.offsets[:, None, :]
        logs = log_softmax(logits, axis=2)
        rows = np.arange(n_samples)
        value = -float(np.sum(logs[:, rows, self.codes])) / n_samples
        slope = np.exp(logs)
        slope[:, rows, self.codes] -= 1.0
        slope /= n_samples
        value += 0.5 * self.penalty * float(np.sum(heads.weights**2))
        states = self.views
        if self.strength:
            if self.unlabelled is not None:
                others = self.unlabelled @ heads.weights + heads.offsets[:, None, :]
                logits = np.concatenate([logits, others], axis=1)
                slope = np.concatenate([slope, np.zeros_like(others)], axis=1)
                states = np.concatenate([states, self.unlabelled], axis=1)
            between, pull = disagreement(logits, divergence=self.divergence)
            value += self.strength * between
            slope = slope + self.strength * pull
        of_weights = states.transpose(0, 2, 1) @ slope + self.penalty * heads.weights
        gradient = np.concatenate([of_weights, slope.sum(axis=1)[:, None, :]], axis=1)
        return value, gradient.ravel()

    def minimise(
        self,
        *,
        validation: tuple[Float[np.ndarray, "scales held d"], Int[np.ndarray, " held"]] | None = None,
        patience: int | None = None,
    ) -> Heads:
        """Descend from zero weights by L-BFGS on all samples at once; nothing is drawn.

        Args:
            validation: Standardised states and classes of held-out samples.
            patience: Steps without a lower loss of the pooled prediction on them after which to stop, and go back
                to the best; go on to the minimum when ``None``.

        Returns:
            The heads.
        """
        best: tuple[float, Heads] = (np.inf, self.unpack(np.zeros(self.n_parameters)))
        steps = 0

        def look(flat: Float[np.ndarray, " parameters"]) -> None:
            nonlocal best, steps
            steps += 1
            if validation is None or patience is None:
                return
            heads = self.unpack(flat, n_steps=steps)
            loss = float(cross_entropies(pool(heads.log_probabilities(validation[0])), validation[1]).mean())
            if loss < best[0]:
                best = (loss, heads)
            elif steps - best[1].n_steps >= patience:
                raise StopIteration

        found = minimize(
            self.evaluate,
            np.zeros(self.n_parameters),
            jac=True,
            method="L-BFGS-B",
            callback=look,
            options={"maxiter": _MOST_STEPS, "ftol": _TOLERANCE, "gtol": 1e-7, "maxfun": 10 * _MOST_STEPS},
        )
        if validation is None or patience is None or not np.isfinite(best[0]):
            return self.unpack(found.x, n_steps=steps)
        return best[1]
