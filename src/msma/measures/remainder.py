r"""What the Gaussian copula does not see of a mutual information: looked for on pairs that were not trained on.

The remainder is I - I_G, with I_G the Gaussian-copula part. It is looked for only where it can be measured: in at most
32 directions a side whose Gaussian information leaves the mean of exp(log ratio) over shuffled pairs estimable,
:math:`e^{2I} \le 0.04\,n` (its variance is :math:`e^{2I} - 1` for Gaussian pairs), and only what stands three standard
errors away from 0 is reported. Three ways of finding it, in this order:

1. Student's t copula in place of the Gaussian one, where that raises the bound;
2. in up to three dimensions in all, nearest neighbours in the ranks (KSG);
3. in more, a critic that is added to the ratio of 1, cross-fitted over folds of documents.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Float, Int
from scipy.special import ndtr
from torch import Tensor

from msma.errors import ShapeError
from msma.measures.contrast import Pairs, fit_critic, score_pairs
from msma.measures.critics import MeanCritic, SeparableCritic
from msma.measures.expansion import Directions
from msma.measures.information import copula_transform, ksg_terms
from msma.measures.ratios import DensityRatio, fit_gaussian_ratio, fit_student_ratio, student_scores
from msma.measures.trained import choose_held, deal_folds, seeded
from msma.resampling import jackknife_interval

__all__ = ["Remainder", "find_remainder"]

#: Pairs below which nothing but the Gaussian part can be told.
FEWEST = 500
_MOST_DIRECTIONS = 32
_KSG_WIDTH = 3
_KSG_NEIGHBOURS = 5
#: Share of the pairs in a fold that exp(2 I) may reach in the directions looked at.
_REACH = 0.04
_N_COMPARED = 2500
#: A remainder counts where it is this many standard errors away from 0.
_ERRORS = 3.0


class Remainder(NamedTuple):
    """What was found beyond the Gaussian part, pair by pair.

    Args:
        terms: Nats whose mean is the remainder; zeros where nothing was found.
        found: What found it, in a few words.
        note: What was not looked at and why.
    """

    terms: Float[np.ndarray, " n"]
    found: str
    note: str


@dataclass(frozen=True, eq=False)
class _Base:
    """A closed-form ratio on some coordinates of the pairs."""

    source: Float[Tensor, "n a"]
    target: Float[Tensor, "n b"]
    ratio: DensityRatio

    def refit(self, rows: Int[np.ndarray, " train"]) -> DensityRatio:
        """Fit the same family on some pairs, weak correlations shrunk so that no critic gains by shrinking them."""
        both = torch.cat([self.source[rows], self.target[rows]], dim=1)
        d = self.source.shape[1]
        if math.isfinite(self.ratio.degrees):
            sizes = (both @ self.ratio.precision * both).sum(dim=1)
            nu = self.ratio.degrees
            both = both * ((nu + both.shape[1]) / (nu + sizes)).sqrt()[:, None]
        scale = both.T @ both / len(both)
        return DensityRatio.from_scale(_shrink(scale, d, len(rows)), d, degrees=self.ratio.degrees)


def find_remainder(
    source: Float[np.ndarray, "n d_source"],
    target: Float[np.ndarray, "n d_target"],
    *,
    groups: Any | None,
    parts: Int[np.ndarray, " n"],
    n_folds: int,
    n_seeds: int,
    seed: int,
) -> Remainder:
    """Look for what the Gaussian copula does not see.

    Args:
        source: Normal scores of the source.
        target: Normal scores of the target.
        groups: Document of each pair.
        parts: Groups of documents for standard errors.
        n_folds: Folds of the critics.
        n_seeds: Rounds of the critics.
        seed: Fixes everything.

    Returns:
        The remainder.
    """
    n = len(source)
    nothing = np.zeros(n)
    if n < FEWEST:
        return Remainder(nothing, "", f"{n} pairs: below {FEWEST} only the Gaussian part can be told")
    x, y, note = _within_reach(source, target, n // n_folds)
    if x.shape[1] == 0:
        return Remainder(nothing, "", note)
    gaussian, base, gain = _choose_base(x, y, parts, seed=seed)
    terms, found = nothing, []
    if base is not gaussian:
        terms, found = gain, [f"Student's t copula, {base.ratio.degrees:g} degrees of freedom"]
    rest = _beyond(x, y, base, groups=groups, n_folds=n_folds, n_seeds=n_seeds, seed=seed)
    if rest is not None and _is_told(rest.terms, parts):
        terms, found = terms + rest.terms, [*found, rest.found]
    return Remainder(np.asarray(terms), " and ".join(found), note)


def _is_told(terms: Float[np.ndarray, " n"], parts: Int[np.ndarray, " n"]) -> bool:
    mean = float(terms.mean())
    if -_REACH / 2.0 < mean <= 0.0:  # as much as the bound itself may lose
        return False
    found = jackknife_interval(lambda kept: float(terms[kept].mean()), parts, value=mean)
    # The interval is wide by Student's t; the bar is laid at standard errors.
    return abs(mean) > _ERRORS / 2.093 * (found.high - found.low) / 2.0


def _within_reach(
    source: Float[np.ndarray, "n d_source"], target: Float[np.ndarray, "n d_target"], n_fold: int
) -> tuple[Float[np.ndarray, "n a"], Float[np.ndarray, "n b"], str]:
    """Keep the columns, or the canonical directions in which a remainder can be measured."""
    n, widest = len(source), max(source.shape[1], target.shape[1])
    most = 0.5 * math.log(max(_REACH * n_fold, 1.0))
    few = max(1, n // 40)
    if widest <= min(_MOST_DIRECTIONS * 2, few):
        axes, correlations = _canonical(source, target)
        if -0.5 * float(np.log1p(-(correlations**2)).sum()) <= most:
            return source, target, ""
    else:
        # Canonical directions of many columns are mostly noise; leading components are not.
        source, target = (_leading(part, min(_MOST_DIRECTIONS, few)) for part in (source, target))
        axes, correlations = _canonical(source, target)
    each = -0.5 * np.log1p(-(np.minimum(correlations, 1 - 1e-12) ** 2))
    kept: list[int] = []
    for k in np.argsort(-each):
        if each[list(kept)].sum() + each[k] <= most and len(kept) < _MOST_DIRECTIONS:
            kept.append(int(k))
    x, y = source @ axes[0][:, kept], target @ axes[1][:, kept]
    strong = int((each > most).sum())
    note = f"the remainder was looked for in {len(kept)} of {widest} directions"
    if strong:
        note += f"; {strong} hold more than {most:.1f} nats each, beyond what {n} pairs can check"
    return (copula_transform(x), copula_transform(y), note) if kept else (x, y, note)


def _leading(scores: Float[np.ndarray, "n d"], k: int) -> Float[np.ndarray, "n k"]:
    d = scores.shape[1]
    if d <= k:
        return scores
    _, vectors = scipy.linalg.eigh(np.cov(scores.T), subset_by_index=(d - k, d - 1))
    return np.asarray(scores @ vectors)


def _canonical(
    source: Float[np.ndarray, "n a"], target: Float[np.ndarray, "n b"]
) -> tuple[tuple[Float[np.ndarray, "a k"], Float[np.ndarray, "b k"]], Float[np.ndarray, " k"]]:
    """Canonical directions of both sides, the strongest first, and their correlations."""
    whiteners = []
    for part in (source, target):
        values, vectors = scipy.linalg.eigh(np.atleast_2d(np.cov(part.T)))
        kept = values > 1e-10 * values[-1]
        whiteners.append(vectors[:, kept] / np.sqrt(values[kept]))
    first, second = source @ whiteners[0], target @ whiteners[1]
    left, correlations, right = scipy.linalg.svd(first.T @ second / len(source), full_matrices=False)
    return (whiteners[0] @ left, whiteners[1] @ right.T), np.minimum(correlations, 1 - 1e-12)


def _choose_base(
    x: Float[np.ndarray, "n a"], y: Float[np.ndarray, "n b"], parts: Int[np.ndarray, " n"], *, seed: int
) -> tuple[_Base, _Base, Float[np.ndarray, " n"]]:
    """Fit both copulas and take Student's where its bound is higher by more than three standard errors."""
    zx, zy = torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y))
    gaussian = _Base(zx, zy, fit_gaussian_ratio(zx, zy))
    ranks = ndtr(x), ndtr(y)
    ratio = fit_student_ratio(*ranks)
    student = _Base(student_scores(ranks[0], ratio.degrees), student_scores(ranks[1], ratio.degrees), ratio)
    rows = np.sort(np.random.default_rng(seed).permutation(len(x))[:_N_COMPARED])
    first, second = (_bound_terms(base, rows) for base in (gaussian, student))
    if not ((second - first).mean() > 0 and _is_told(second - first, parts[rows])):
        return gaussian, gaussian, np.zeros(len(x))
    gain = student.ratio.of_pairs(student.source, student.target) - gaussian.ratio.of_pairs(zx, zy)
    return gaussian, student, gain.numpy()


def _bound_terms(base: _Base, rows: Int[np.ndarray, " kept"]) -> Float[np.ndarray, " kept"]:
    scores = base.ratio.of_all(base.source[rows], base.target[rows])
    return (scores.diagonal() - torch.logsumexp(scores, dim=1) + math.log(len(rows))).numpy()


def _beyond(
    x: Float[np.ndarray, "n a"],
    y: Float[np.ndarray, "n b"],
    base: _Base,
    *,
    groups: Any | None,
    n_folds: int,
    n_seeds: int,
    seed: int,
) -> Remainder | None:
    """Look beyond the closed-form ratio: neighbours in few dimensions, a critic in more."""
    if x.shape[1] + y.shape[1] <= _KSG_WIDTH:
        ratio = base.ratio.of_pairs(base.source, base.target).numpy()
        try:
            terms = ksg_terms(ndtr(x), ndtr(y), k=_KSG_NEIGHBOURS) - ratio
        except ShapeError:  # ties: values that are not continuous have no density
            return None
        # Neighbours read a strong dependence low, never high: only what they find on top counts.
        return Remainder(terms, "nearest neighbours", "") if terms.mean() > 0 else None
    terms, gains = np.zeros(len(x)), []
    folds = deal_folds(groups, len(x), n_folds=n_folds, seed=seed)
    for fold in range(n_folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        seeds = range(seed + 1000 * fold, seed + 1000 * fold + n_seeds)
        terms[test], gain = _critic_terms(x, y, base, groups, train, test, seeds=seeds)
        gains.append(gain)
        if fold == 1 and max(gains) <= 0.0:  # two folds in which no critic learned anything
            return None
    return Remainder(terms, "critics on held-out pairs", "")


def _critic_terms(
    x: Float[np.ndarray, "n a"],
    y: Float[np.ndarray, "n b"],
    base: _Base,
    groups: Any | None,
    train: Int[np.ndarray, " train"],
    test: Int[np.ndarray, " test"],
    *,
    seeds: range,
) -> tuple[Float[np.ndarray, " test"], float]:
    """Train critics on top of the ratio on some pairs; score what their mean adds on others.

    The mean of critics that started apart is nearer to the truth than one of them: their errors partly cancel.
    """
    critics, gains = [], []
    # One set of pairs decides when to stop for all of them: whatever those pairs took part in, the choice of
    # directions included, would look better on them than it is.
    held = choose_held(groups, train, seed=seeds[0])
    rest = np.delete(train, held)
    directions = Directions(x[rest], y[rest])
    inputs = torch.from_numpy(directions.source(x)).float(), torch.from_numpy(directions.target(y)).float()
    pairs = Pairs(inputs[0], inputs[1], base.refit(rest), base.source, base.target)
    widths = pairs.source.shape[1], pairs.target.shape[1]
    for seed in seeds:
        critics.append(seeded(partial(SeparableCritic, *widths, width=64, embedding=16), seed))
        gains.append(fit_critic(critics[-1], pairs.take(train), held=held, seed=seed))
    own, taken = score_pairs(MeanCritic(critics), pairs.take(test), seed=seeds[0])
    ratio = pairs.ratio.of_pairs(base.source[test], base.target[test]) if pairs.ratio is not None else 0.0
    return own - taken - np.asarray(ratio), max(gains)


def _shrink(scale: Float[Tensor, "d d"], d_source: int, n: int) -> Float[Tensor, "d d"]:
    """Shrink canonical correlations by what noise adds to their squares on average, (p + q) / n."""
    source, target = scale[:d_source, :d_source], scale[d_source:, d_source:]
    first, second = torch.linalg.cholesky(source), torch.linalg.cholesky(target)
    coherence = torch.linalg.solve_triangular(first, scale[:d_source, d_source:], upper=False)
    coherence = torch.linalg.solve_triangular(second, coherence.T, upper=False).T
    left, values, right = torch.linalg.svd(coherence, full_matrices=False)
    noise = min(1.0, len(scale) / n)
    squares = (
        ((values.square() - noise) / (1.0 - noise)).clamp(0.0, 1.0 - 1e-9) if noise < 1 else 0.0 * values
    )
    cross = first @ (left * squares.sqrt()) @ right @ second.T
    return torch.cat([torch.cat([source, cross], dim=1), torch.cat([cross.T, target], dim=1)])
