"""A lower bound on the KL divergence from a classifier, which also sees what is not Gaussian."""

from typing import Any

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Bool, Float, Int

from msma.errors import ShapeError
from msma.linalg import as_numpy, check_samples
from msma.measures._inputs import Scalar, SourceLaw, TargetLaw, answer

_FOLDS = 5
_STRENGTHS = (1e-3, 1e-2, 1e-1)
#: Random cosines among the features (Rahimi and Recht 2007), for what single components do not show.
_COSINES = 32
#: Fewest samples of a side: four of every five are learned from, a fifth of those choose the strength.
_FEWEST = 25


def classifier_kl_bound(
    source: SourceLaw, target: TargetLaw, *, groups: Any | None = None, k: int = 32, seed: int = 0
) -> Scalar:
    r"""Estimate a lower bound on KL(source || target) from a classifier that tells source from target.

    .. math:: KL(P\|Q) \ge E_P[T] - E_Q[e^T] + 1

    for any T (Nguyen, Wainwright and Jordan 2010, equation 9 with T = 1 + log g), with equality for the log
    density ratio, which is what a classifier's logit estimates. The classifier is a logistic regression on
    the ``k`` leading components, turned to where the two covariances differ most: their values, squares and
    sizes, and random cosines of all together (so it sees shifts, variances, correlations and some of what is
    not Gaussian); its strength is chosen inside the training folds, its logit kept within the range seen
    there. Cross-fitted in five folds: nothing is scored by what was fitted on it, so on average the estimate
    is below the truth, unlike Donsker and Varadhan's form, whose logarithm of a mean is biased upward. Both
    sides of a pair stay in one fold: a classifier that has seen f(x) would otherwise misjudge the y beside it.

    Args:
        source: Samples of P.
        target: Samples of Q; taken as pairs where both have as many rows.
        groups: Document of each pair, kept in one fold together; for as many rows on both sides.
        k: Most components looked at; fewer where there are fewer than 20 samples for each.
        seed: Fixes the folds.

    Returns:
        Nats; not differentiable. Below 0 where the classifier learned nothing, and not clipped.

    Raises:
        ShapeError: When widths differ, samples are too few (25 a side) or all are constant.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.normal(size=(2, 1000, 2))
        >>> 1.3 < classifier_kl_bound(x + [2.0, 0.0], y) < 2.1  # truth 2
        True
    """
    gain, price = classifier_scores(source, target, groups=groups, k=k, seed=seed)
    return answer(torch.tensor(gain.mean() - price.mean() + 1.0, dtype=torch.float64), source, target)


def classifier_scores(
    source: SourceLaw, target: TargetLaw, *, groups: Any | None = None, k: int = 32, seed: int = 0
) -> tuple[Float[np.ndarray, " n_source"], Float[np.ndarray, " n_target"]]:
    """Give the two sets of held-out scores whose means make :func:`classifier_kl_bound`.

    The bound is the mean of the first minus the mean of the second plus 1, so an interval over documents needs
    no classifier fitted again.

    Args:
        source: Samples of P.
        target: Samples of Q; taken as pairs where both have as many rows.
        groups: Document of each pair, kept in one fold together; for as many rows on both sides.
        k: Most components looked at.
        seed: Fixes the folds.

    Returns:
        T at each source sample, and exp(T) at each target sample, each by a classifier that did not see it.

    Raises:
        ShapeError: As :func:`classifier_kl_bound`.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> [len(scores) for scores in classifier_scores(x, x)]
        [100, 100]
    """
    p = check_samples(source, name="source", min_samples=_FEWEST)
    q = check_samples(target, name="target", min_samples=_FEWEST)
    if p.shape[1] != q.shape[1]:
        raise ShapeError(
            f"source is {p.shape[1]} wide and target {q.shape[1]}; this measure compares them in one space: "
            "map the source into the target's space first"
        )
    folds_p, folds_q = _deal_folds(len(p), len(q), groups, seed=seed)
    gain, price = np.empty(len(p)), np.empty(len(q))
    for fold in range(_FOLDS):
        out_p, out_q = folds_p == fold, folds_q == fold
        critic = _Critic(p[~out_p], q[~out_q], k=k, inner=(folds_p[~out_p], folds_q[~out_q]))
        gain[out_p], price[out_q] = critic(p[out_p]), np.exp(critic(q[out_q]))
    return gain, price


def _deal_folds(
    n_source: int, n_target: int, groups: Any | None, *, seed: int
) -> tuple[Int[np.ndarray, " n_source"], Int[np.ndarray, " n_target"]]:
    rng = np.random.default_rng(seed)
    if n_source != n_target:
        if groups is not None:
            raise ShapeError(
                f"groups came with {n_source} source and {n_target} target samples; expected pairs"
            )
        return rng.permutation(n_source) % _FOLDS, rng.permutation(n_target) % _FOLDS
    names = np.arange(n_source) if groups is None else as_numpy(groups)
    found, codes = np.unique(names, return_inverse=True)
    if names.shape != (n_source,) or len(found) < 2 * _FOLDS:
        raise ShapeError(
            f"groups came with shape {names.shape} and {len(found)} different; expected one label for each of "
            f"{n_source} rows and at least {2 * _FOLDS} groups"
        )
    folds = (rng.permutation(len(found)) % _FOLDS)[codes]
    return folds, folds


class _Critic:
    """T: the logit of a logistic regression on functions of the leading components."""

    def __init__(
        self,
        source: Float[np.ndarray, "n_source d"],
        target: Float[np.ndarray, "n_target d"],
        *,
        k: int,
        inner: tuple[Int[np.ndarray, " n_source"], Int[np.ndarray, " n_target"]],
    ) -> None:
        k = max(1, min(k, source.shape[1], min(len(source), len(target)) // 20))
        self.mean, self.basis = _contrasts(source, target, k=k)
        rng = np.random.default_rng(0)
        k = self.basis.shape[1]  # fewer where the samples fill fewer directions
        self.frequencies = 2.0 * rng.normal(size=(k, _COSINES)) / np.sqrt(k)
        self.phases = rng.uniform(0.0, 2.0 * np.pi, size=_COSINES)
        p, q = self._features(source), self._features(target)
        held_p, held_q = inner[0] == inner[0].max(), inner[1] == inner[1].max()
        scores = []
        for strength in _STRENGTHS:
            self._fit(p[~held_p], q[~held_q], strength=strength)
            scores.append(self._logit(p[held_p]).mean() - np.exp(self._logit(q[held_q])).mean())
        self._fit(p, q, strength=_STRENGTHS[int(np.argmax(scores))])

    def __call__(self, states: Float[np.ndarray, "samples d"]) -> Float[np.ndarray, " samples"]:
        return self._logit(self._features(states))

    def _features(self, states: Float[np.ndarray, "samples d"]) -> Float[np.ndarray, "samples features"]:
        components = (states - self.mean) @ self.basis
        waves = np.cos(components @ self.frequencies + self.phases)
        return np.hstack([components, components**2 - 1.0, np.abs(components), waves])

    def _fit(
        self,
        p: Float[np.ndarray, "n_source features"],
        q: Float[np.ndarray, "n_target features"],
        *,
        strength: float,
    ) -> None:
        from sklearn.linear_model import LogisticRegression

        features = np.vstack([p, q])
        is_source: Bool[np.ndarray, " samples"] = np.arange(len(features)) < len(p)
        self.model = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=100)
        self.model.fit(features, is_source)
        self.prior = float(np.log(len(p) / len(q)))
        seen = self.model.decision_function(features) - self.prior
        self.range = float(seen.min()), float(seen.max())

    def _logit(self, features: Float[np.ndarray, "samples features"]) -> Float[np.ndarray, " samples"]:
        return np.asarray(np.clip(self.model.decision_function(features) - self.prior, *self.range))


def _contrasts(
    source: Float[np.ndarray, "n_source d"], target: Float[np.ndarray, "n_target d"], *, k: int
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d k"]]:
    """Find the leading components of both sides together, of unit variance, uncorrelated on each side."""
    both = np.vstack([source, target])
    mean, d = both.mean(axis=0), both.shape[1]
    covariance = (both - mean).T @ (both - mean) / (len(both) - 1)
    values, vectors = scipy.linalg.eigh(covariance, subset_by_index=(d - k, d - 1), check_finite=False)
    if values[-1] <= (1e-12 * np.abs(mean).max()) ** 2:
        raise ShapeError("source and target are constant and equal; no law can be told: check the states")
    kept = values > values[-1] * 1e-12
    basis = vectors[:, kept] / np.sqrt(values[kept])
    components = (source - source.mean(axis=0)) @ basis
    _, turn = scipy.linalg.eigh(components.T @ components, check_finite=False)
    return mean, basis @ turn
