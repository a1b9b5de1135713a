"""How far the heads of several scales disagree, and the gradient of that."""

from itertools import combinations
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.special import log_softmax

Divergence = Literal["kl", "js"]


def disagreement(
    logits: Float[np.ndarray, "scales samples classes"], *, divergence: Divergence = "kl"
) -> tuple[float, Float[np.ndarray, "scales samples classes"]]:
    r"""Compute the mean divergence between the distributions that pairs of heads predict, and its gradient.

    .. math:: C = \frac{1}{n \binom{S}{2}} \sum_i \sum_{s<t} D(p_{si}, p_{ti}), \quad
        D_{KL}(p, q) = \tfrac12 KL(p \| q) + \tfrac12 KL(q \| p) = \tfrac12 \sum_k (p_k - q_k) \log \frac{p_k}{q_k}

    or the Jensen-Shannon divergence (Lin 1991, equation 3.1)
    :math:`D_{JS} = \frac12 KL(p \| m) + \frac12 KL(q \| m)`, :math:`m = (p + q) / 2`, which is at most log 2, so
    that no single sample can dominate. Agreement of several views' predictions as a regulariser is from Sindhwani,
    Niyogi and Belkin (2005), "A co-regularization approach to semi-supervised learning with multiple views".

    Args:
        logits: What each head gives each class, before the softmax.
        divergence: "kl" (symmetrised) or "js".

    Returns:
        C in nats, 0 or more (0 for a single head), and its derivative with respect to every logit.

    Examples:
        >>> p, q = np.log([[0.5, 0.5]]), np.log([[0.8, 0.2]])
        >>> round(disagreement(np.stack([p, q]))[0], 4)  # 0.5 x (0.3 x log 1.6 + 0.3 x log 2.5)
        0.2079
    """
    n_scales, n_samples, _ = logits.shape
    gradient = np.zeros_like(logits)
    pairs = list(combinations(range(n_scales), 2))
    if not pairs or not n_samples:
        return 0.0, gradient
    logs = log_softmax(logits, axis=2)
    weight = 1.0 / (n_samples * len(pairs))
    total = 0.0
    for s, t in pairs:
        if divergence == "kl":
            ratio = logs[s] - logs[t]
            excess = np.exp(logs[s]) - np.exp(logs[t])
            total += 0.5 * float(np.sum(excess * ratio))
            gradient[s] += 0.5 * (_through_softmax(logs[s], ratio) + excess)
            gradient[t] -= 0.5 * (_through_softmax(logs[t], ratio) + excess)
        else:
            middle = np.logaddexp(logs[s], logs[t]) - np.log(2.0)
            for head in (s, t):
                ratio = logs[head] - middle
                total += 0.5 * float(np.sum(np.exp(logs[head]) * ratio))
                # The middle moves too, but what it adds cancels between the two halves.
                gradient[head] += 0.5 * _through_softmax(logs[head], ratio)
    return total * weight, gradient * weight


def _through_softmax(
    logs: Float[np.ndarray, "samples classes"], slope: Float[np.ndarray, "samples classes"]
) -> Float[np.ndarray, "samples classes"]:
    """Carry a derivative with respect to probabilities back to the logits: p (g - sum p g)."""
    probabilities = np.exp(logs)
    return probabilities * (slope - np.sum(probabilities * slope, axis=1, keepdims=True))
