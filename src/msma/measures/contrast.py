"""Critics in use: paired inputs, training with early stopping, scores of pairs that were not trained on."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from msma.measures.bounds import Bound, find_bound, jensen_shannon_bound, mine_surrogate
from msma.measures.ratios import DensityRatio

__all__ = ["Pairs", "fit_critic", "score_pairs"]

_BATCH = 500
_EPOCHS = 40
_MOST_STEPS = 3000
_PATIENCE = 10
_LEARNING_RATE = 3e-3
#: Shuffled partners that a pair is compared with when it is scored, at most.
_MOST_PARTNERS = 4000
#: The score at which each bound reads 0: where an untrained critic is to stand.
_START = {"infonce": 0.0, "nwj": 1.0, "smile": 0.0, "mine": 0.0}


@dataclass(frozen=True, eq=False)
class Pairs:
    """Paired inputs of a critic, with the ratio that it is added to where there is one.

    Args:
        source: Inputs of the source side, float32.
        target: Inputs of the target side; row i belongs to row i.
        ratio: A log density ratio known before; ``None`` for 0.
        ratio_source: Coordinates of the source for that ratio.
        ratio_target: Coordinates of the target for that ratio.
    """

    source: Float[Tensor, "n d_source"]
    target: Float[Tensor, "n d_target"]
    ratio: DensityRatio | None = None
    ratio_source: Float[Tensor, "n a"] | None = None
    ratio_target: Float[Tensor, "n b"] | None = None

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: Any, *, partners: Any | None = None) -> "Pairs":
        """Take some rows; the target's may be others.

        Args:
            rows: Positions.
            partners: Positions on the target's side, where they differ.

        Returns:
            Those pairs.
        """
        others = rows if partners is None else partners
        return Pairs(
            self.source[rows],
            self.target[others],
            self.ratio,
            None if self.ratio_source is None else self.ratio_source[rows],
            None if self.ratio_target is None else self.ratio_target[others],
        )

    def score(self, critic: nn.Module) -> Float[Tensor, "n m"]:
        """Score every source sample beside every target sample.

        Args:
            critic: What is added to the ratio.

        Returns:
            Scores, float32.
        """
        scores: Tensor = critic(self.source, self.target)
        if self.ratio is not None and self.ratio_source is not None and self.ratio_target is not None:
            scores = scores + self.ratio.of_all(self.ratio_source, self.ratio_target).float()
        return scores


def fit_critic(
    critic: nn.Module,
    pairs: Pairs,
    *,
    bound: Bound = "infonce",
    held: Int[np.ndarray, " held"],
    epochs: int = _EPOCHS,
    seed: int = 0,
) -> float:
    """Train a critic by a bound and stop where the bound on held pairs is best, the untrained critic included.

    AdamW under one cycle of the learning rate, gradients clipped; MINE by its corrected gradient.

    Args:
        critic: Trained in place.
        pairs: Training pairs.
        bound: Name of the bound to ascend.
        held: Positions of the pairs that decide when to stop; they give no gradient.
        epochs: Passes at most.
        seed: Fixes the batches.

    Returns:
        How much training raised the bound on the held pairs, in nats; 0 where the untrained critic was best.

    Raises:
        ConfigError: When the bound is unknown.
    """
    objective = find_bound(bound)
    rng = np.random.default_rng(seed)
    rest = np.setdiff1d(np.arange(len(pairs)), held)
    batch = min(_BATCH, len(rest))
    steps = max(1, len(rest) // batch)
    epochs = max(4, min(epochs, _MOST_STEPS // steps))
    optimiser = torch.optim.AdamW(
        critic.parameters(), lr=_LEARNING_RATE, weight_decay=1e-3, betas=(0.9, 0.99)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _LEARNING_RATE, total_steps=epochs * steps, pct_start=0.1
    )
    watched = pairs.take(held[: _MOST_PARTNERS // 2])
    # SMILE's value is no bound, so that the best value need not be the best critic.
    watch = jensen_shannon_bound if bound == "smile" else objective
    first = best = _value(watch, watched, critic, _START[bound])
    weights, waited, average = copy.deepcopy(critic.state_dict()), 0, None
    for _ in range(epochs):
        order = rng.permutation(rest)
        for step in range(steps):
            scores = pairs.take(order[step * batch : (step + 1) * batch]).score(critic) + _START[bound]
            if bound == "mine":
                value, average = mine_surrogate(scores, average)
            else:
                value = objective(scores)
            optimiser.zero_grad()
            (-value).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(critic.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        now = _value(watch, watched, critic, _START[bound])
        waited += 1
        if now > best + 1e-4:
            best, weights, waited = now, copy.deepcopy(critic.state_dict()), 0
        if waited >= _PATIENCE or not math.isfinite(now):
            break
    critic.load_state_dict(weights)
    return best - first


def _value(bound: Callable[[Tensor], Tensor], pairs: Pairs, critic: nn.Module, start: float) -> float:
    with torch.no_grad():
        return float(bound(pairs.score(critic) + start))


def score_pairs(
    critic: nn.Module, pairs: Pairs, *, bound: Bound = "infonce", seed: int = 0
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Score pairs that a critic never saw, one by one.

    Args:
        critic: A trained critic.
        pairs: Other pairs.
        bound: How the shuffled pairs are weighed.
        seed: Fixes which shuffled partners are looked at where there are many.

    Returns:
        T at each pair, and what the shuffled pairs take off it: the mean difference is the bound, in nats.
    """
    n = len(pairs)
    partners = np.arange(n)
    if n > _MOST_PARTNERS:
        partners = np.sort(np.random.default_rng(seed).choice(n, _MOST_PARTNERS, replace=False))
    own, taken = np.empty(n), np.empty(n)
    with torch.no_grad():
        for start in range(0, n, 512):
            rows = np.arange(start, min(start + 512, n))
            scores = pairs.take(rows, partners=partners).score(critic).double() + _START[bound]
            place = np.searchsorted(partners, rows).clip(max=len(partners) - 1)
            is_there = partners[place] == rows
            own[rows] = _own_scores(critic, pairs, rows, scores, place, is_there, start=_START[bound])
            taken[rows] = _price(scores, place, is_there, bound)
    if bound in ("mine", "smile"):
        # Their partition function is one for all pairs.
        taken[:] = np.log(np.mean(np.exp(taken - taken.max()))) + taken.max()
    return own, taken


def _own_scores(
    critic: nn.Module,
    pairs: Pairs,
    rows: Int[np.ndarray, " b"],
    scores: Tensor,
    place: Int[np.ndarray, " b"],
    is_there: np.ndarray,
    *,
    start: float,
) -> Float[np.ndarray, " b"]:
    values = scores[torch.arange(len(rows)), torch.from_numpy(place)].numpy().copy()
    for i in np.flatnonzero(~is_there):
        values[i] = float(pairs.take(rows[i : i + 1]).score(critic)) + start
    return np.asarray(values)


def _price(
    scores: Float[Tensor, "b m"], place: Int[np.ndarray, " b"], is_there: np.ndarray, bound: Bound
) -> Float[np.ndarray, " b"]:
    m = scores.shape[1]
    if bound == "infonce":
        return np.asarray((torch.logsumexp(scores, dim=1) - math.log(m)).numpy())
    if bound == "smile":
        scores = scores.clamp(-5.0, 5.0)
    apart = scores.clone()
    apart[torch.from_numpy(np.flatnonzero(is_there)), torch.from_numpy(place[is_there])] = -math.inf
    logs = (torch.logsumexp(apart, dim=1) - torch.log(torch.tensor(m - is_there.astype(float)))).numpy()
    return np.exp(logs - 1.0) if bound == "nwj" else np.asarray(logs)
