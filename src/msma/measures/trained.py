r"""Mutual information from trained critics: fitted on some pairs, stopped early on others, scored on yet others.

A critic that is scored on its own training pairs reads high without limit. Here every pair is scored by a critic of
which it was no part (cross-fitting over folds of documents), so the lower bounds stay lower bounds on average, and
their interval runs over documents.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from msma.errors import ConfigError, ShapeError
from msma.linalg import as_numpy, check_pairs
from msma.measures._inputs import PairedSource, PairedTarget
from msma.measures.bounds import Bound, find_bound
from msma.measures.contrast import Pairs, fit_critic, score_pairs
from msma.measures.critics import SeparableCritic, perceptron, zero_last
from msma.measures.estimate import Estimate
from msma.measures.information import copula_transform
from msma.resampling import group_documents, jackknife_interval

__all__ = ["FEWEST", "choose_held", "club_mi", "critic_mi", "cross_fit", "deal_folds", "seeded"]

#: Fewest pairs that can be divided into training, stopping and scoring.
FEWEST = 100
_BATCH = 500
_EPOCHS = 40
_PATIENCE = 10
_LEARNING_RATE = 3e-3
_GROUPS = 20


def deal_folds(groups: Any | None, n: int, *, n_folds: int, seed: int) -> Int[np.ndarray, " n"]:
    """Deal pairs into folds, whole documents at a time.

    Args:
        groups: Document of each pair; every pair its own when left out.
        n: Number of pairs.
        n_folds: Number of folds.
        seed: Fixes the deal.

    Returns:
        The fold of each pair.

    Raises:
        ShapeError: When there are not as many labels as pairs, or fewer documents than folds.

    Examples:
        >>> np.bincount(deal_folds(None, 10, n_folds=5, seed=0)).tolist()
        [2, 2, 2, 2, 2]
    """
    names = np.arange(n) if groups is None else as_numpy(groups)
    if names.shape != (n,):
        raise ShapeError(f"groups came with shape {names.shape}; expected one label for each of {n} pairs")
    if len(np.unique(names)) < n_folds:
        raise ShapeError(
            f"groups name {len(np.unique(names))} documents; {n_folds} folds need at least as many: give more"
        )
    return group_documents(np.unique(names, return_inverse=True)[1], n_groups=n_folds, seed=seed)


def critic_mi(
    source: PairedSource,
    target: PairedTarget,
    *,
    bound: Bound = "infonce",
    groups: Any | None = None,
    n_folds: int = 5,
    n_seeds: int = 2,
    seed: int = 0,
) -> Estimate:
    r"""Estimate a variational bound on the mutual information with critics scored on pairs they never saw.

    Columns become normal scores first, which keeps the information and tames tails. In each of ``n_folds`` folds
    of documents a :class:`~msma.measures.critics.SeparableCritic` is trained on the other folds, a tenth of which
    decides when to stop; ``n_seeds`` rounds deal anew. See :mod:`msma.measures.bounds` for the bounds.

    Where the truth is above the logarithm of the pairs in a fold, or there are hundreds of columns, all of these
    read far too low: use :func:`~msma.measures.hybrid.hybrid_mi`.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        bound: "infonce", "nwj", "smile" or "mine".
        groups: Document of each pair, kept in one fold together.
        n_folds: Folds.
        n_seeds: Rounds, each with other folds and other initial weights.
        seed: Fixes everything.

    Returns:
        Nats, with a jackknife interval over documents that includes the spread between rounds.

    Raises:
        ConfigError: When the bound is unknown, or folds or rounds are too few.
        ShapeError: When rows do not pair, there are fewer than 100, or a column is constant.

    Examples:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 600, 1))
        >>> 0.2 < critic_mi(x, x + noise, n_folds=2, n_seeds=1).value < 0.45  # truth log(2) / 2
        True
    """
    find_bound(bound)
    x, y = (torch.from_numpy(part).float() for part in _scores(source, target, n_folds, n_seeds))

    def make(rows: Any) -> Pairs:
        return Pairs(x[rows], y[rows])

    def rate(train: Any, test: Any, seed: int) -> Float[np.ndarray, " test"]:
        critic = seeded(lambda: SeparableCritic(x.shape[1], y.shape[1]), seed)
        fit_critic(critic, make(train), bound=bound, held=choose_held(groups, train, seed=seed), seed=seed)
        own, taken = score_pairs(critic, make(test), bound=bound, seed=seed)
        return own - taken

    return cross_fit(rate, len(x), groups, n_folds=n_folds, n_seeds=n_seeds, seed=seed, method=bound)


def club_mi(
    source: PairedSource,
    target: PairedTarget,
    *,
    groups: Any | None = None,
    n_folds: int = 5,
    n_seeds: int = 2,
    seed: int = 0,
) -> Estimate:
    r"""Estimate the upper bound CLUB (Cheng et al. 2020) with a Gaussian model of the conditional law.

    .. math:: E_{p(x,y)}\log q(y|x) - E_{p(x)p(y)}\log q(y|x), \qquad q(y|x) = N(\mu(x), \mathrm{diag}\,\sigma^2(x))

    An upper bound where q is the true conditional law; else it may be on either side. Columns become normal scores
    first. Cross-fitted as :func:`critic_mi`.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        groups: Document of each pair, kept in one fold together.
        n_folds: Folds.
        n_seeds: Rounds.
        seed: Fixes everything.

    Returns:
        Nats, with an interval as in :func:`critic_mi`.

    Raises:
        ConfigError: When folds or rounds are too few.
        ShapeError: When rows do not pair, there are fewer than 100, or a column is constant.

    Examples:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 600, 1))
        >>> 0.7 < club_mi(x, x + noise, n_folds=2, n_seeds=1).value < 1.3  # truth 0.35; CLUB of this law 1
        True
    """
    x, y = (torch.from_numpy(part).float() for part in _scores(source, target, n_folds, n_seeds))

    def rate(train: Any, test: Any, seed: int) -> Float[np.ndarray, " test"]:
        model = seeded(lambda: _Conditional(x.shape[1], y.shape[1]), seed)
        model.fit(x[train], y[train], held=choose_held(groups, train, seed=seed), seed=seed)
        with torch.no_grad():
            own = model.log_likelihood(x[test], y[test])
            mean, spread = y[test].mean(dim=0), y[test].var(dim=0, correction=0)
            # The mean of log q(y_j | x_i) over j needs no more than the two moments of y.
            apart = model.log_likelihood(x[test], mean[None], spread=spread)
        return np.asarray((own - apart).double().numpy())

    return cross_fit(rate, len(x), groups, n_folds=n_folds, n_seeds=n_seeds, seed=seed, method="club")


class _Conditional(nn.Module):
    """q(y | x): a Gaussian whose mean and variances are a linear map plus a perceptron of x."""

    def __init__(self, d_source: int, d_target: int) -> None:
        super().__init__()
        self.straight = nn.Linear(d_source, d_target)
        self.bent = perceptron(d_source, 2 * d_target, width=128)
        zero_last(self.bent)

    def log_likelihood(self, x: Tensor, y: Tensor, *, spread: Tensor | float = 0.0) -> Tensor:
        mean, log_variance = self.bent(x).chunk(2, dim=1)
        log_variance = log_variance.clamp(-12.0, 6.0)
        square = (y - mean - self.straight(x)).square() + spread
        return -0.5 * (log_variance + square / log_variance.exp()).sum(dim=1)

    def fit(self, x: Tensor, y: Tensor, *, held: Any, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rest = np.setdiff1d(np.arange(len(x)), held)
        optimiser = torch.optim.AdamW(self.parameters(), lr=_LEARNING_RATE, weight_decay=1e-3)
        best, weights, waited = -math.inf, copy.deepcopy(self.state_dict()), 0
        for _ in range(_EPOCHS):
            for rows in np.array_split(rng.permutation(rest), max(1, len(rest) // _BATCH)):
                optimiser.zero_grad()
                loss = -self.log_likelihood(x[rows], y[rows]).mean()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(self.parameters(), 1.0)
                optimiser.step()
            with torch.no_grad():
                now = float(self.log_likelihood(x[held], y[held]).mean())
            waited += 1
            if now > best + 1e-4:
                best, weights, waited = now, copy.deepcopy(self.state_dict()), 0
            if waited >= _PATIENCE:
                break
        self.load_state_dict(weights)


def seeded(make: Callable[[], Any], seed: int) -> Any:
    """Build a module from a seed of its own, leaving torch's global one as it was.

    Args:
        make: Builds it.
        seed: Fixes its initial weights.

    Returns:
        The module.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def choose_held(
    groups: Any | None, train: Int[np.ndarray, " train"], *, seed: int
) -> Int[np.ndarray, " held"]:
    """Set aside a tenth of the training pairs, whole documents, to decide when to stop.

    Args:
        groups: Document of each of all pairs.
        train: Positions of the training pairs.
        seed: Fixes the choice.

    Returns:
        Positions within the training pairs.
    """
    names = train if groups is None else as_numpy(groups)[train]
    codes = np.unique(names, return_inverse=True)[1]
    return np.flatnonzero(group_documents(codes, n_groups=10, seed=seed) == 0)


def cross_fit(
    rate: Callable[[Any, Any, int], Float[np.ndarray, " test"]],
    n: int,
    groups: Any | None,
    *,
    n_folds: int,
    n_seeds: int,
    seed: int,
    method: str,
) -> Estimate:
    """Score every pair by what was trained without it, in several rounds.

    Args:
        rate: Takes positions to train on, positions to score and a seed; gives one score a pair.
        n: Number of pairs.
        groups: Document of each pair.
        n_folds: Folds.
        n_seeds: Rounds.
        seed: Fixes the folds.
        method: Name of the estimate.

    Returns:
        The mean score with its interval.
    """
    rounds = np.empty((n_seeds, n))
    for k in range(n_seeds):
        folds = deal_folds(groups, n, n_folds=n_folds, seed=seed + k)
        for fold in range(n_folds):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            rounds[k, test] = rate(train, test, seed + 1000 * k + fold)
    scores = rounds.mean(axis=0)
    parts = deal_folds(groups, n, n_folds=min(_GROUPS, _count(groups, n)), seed=seed)
    found = jackknife_interval(lambda kept: float(scores[kept].mean()), parts)
    between = float(rounds.mean(axis=1).var(ddof=1)) / n_seeds if n_seeds > 1 else 0.0
    half = math.hypot((found.high - found.low) / 2.0, 1.96 * math.sqrt(between))
    note = f"{n_folds} folds, {n_seeds} rounds; scored on pairs that were not trained on"
    return Estimate(found.value, found.value - half, found.value + half, n=n, method=method, note=note)


def _count(groups: Any | None, n: int) -> int:
    return n if groups is None else len(np.unique(as_numpy(groups)))


def _scores(source: Any, target: Any, n_folds: int, n_seeds: int) -> tuple[np.ndarray, np.ndarray]:
    if n_folds < 2 or n_seeds < 1:
        raise ConfigError(
            f"n_folds={n_folds} and n_seeds={n_seeds} came; expected 2 folds and 1 round or more"
        )
    x, y = check_pairs(source, target, min_samples=FEWEST)
    return copula_transform(x), copula_transform(y)
