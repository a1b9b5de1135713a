r"""The estimate of mutual information to use by default: a Gaussian part in closed form, and the remainder.

.. math:: \hat I = \hat I_G + \hat R

:math:`\hat I_G` is the Gaussian-copula information with its bias taken out: exact for Gaussian copulas of any margins
in any dimension, up to what normal scores cost: a direction whose two sides nearly coincide reads low, by about
:math:`\tfrac12\log(1 + \tfrac4n\tfrac{\rho^2}{1-\rho^2})` where it mixes many columns, so none reads above
:math:`\tfrac12\log\tfrac n4`. :math:`\hat R` is what that does not see (:mod:`msma.measures.remainder`). A critic alone
would have to learn the Gaussian part as well, and could not read more than the logarithm of the number of pairs in all.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from msma.errors import ConfigError, ShapeError
from msma.linalg import check_pairs
from msma.measures._inputs import PairedSource, PairedTarget
from msma.measures.estimate import Estimate
from msma.measures.information import copula_transform, gaussian_mi_from_moments
from msma.measures.remainder import FEWEST, find_remainder
from msma.measures.trained import deal_folds
from msma.moments import CrossMoments
from msma.resampling import jackknife_interval

__all__ = ["Recommendation", "hybrid_mi", "recommend"]

_GROUPS = 20


class Recommendation(NamedTuple):
    """Which estimate of mutual information suits a sample.

    Args:
        estimator: Name of a function of :mod:`msma.measures`.
        reason: Why, in a sentence.
    """

    estimator: str
    reason: str


def recommend(n: int, d_source: int, d_target: int) -> Recommendation:
    """Recommend an estimate of mutual information by the numbers of pairs and of columns.

    Args:
        n: Number of pairs.
        d_source: Columns of the source.
        d_target: Columns of the target.

    Returns:
        The name of the function and the reason.

    Raises:
        ConfigError: When a number is below 1.

    Examples:
        >>> recommend(10_000, 3, 3).estimator, recommend(1000, 768, 768).estimator
        ('hybrid_mi', 'leading_projection')
    """
    if min(n, d_source, d_target) < 1:
        raise ConfigError(f"n={n}, widths {d_source} and {d_target} came; expected whole numbers from 1")
    needed = d_source + d_target + 2
    if n < needed:
        return Recommendation(
            "leading_projection",
            f"{n} pairs cannot carry a joint covariance {d_source} + {d_target} wide: {needed} are the fewest; "
            "project both sides on the training states' leading components first",
        )
    if n < FEWEST:
        return Recommendation(
            "copula_mi",
            f"{n} pairs tell no more than the Gaussian copula; a critic needs {FEWEST} and more",
        )
    if d_source + d_target <= 3:
        return Recommendation(
            "hybrid_mi",
            "so few dimensions that nearest neighbours find what the Gaussian copula does not see",
        )
    if n < 6 * max(d_source, d_target):
        return Recommendation(
            "hybrid_mi",
            f"{n} pairs for {max(d_source, d_target)} columns: the Gaussian part is unbiased but spreads; the "
            "remainder is looked for in the leading directions only",
        )
    return Recommendation(
        "hybrid_mi",
        "the Gaussian part has no ceiling on the whole in closed form, and critics look for the remainder only",
    )


def hybrid_mi(
    source: PairedSource,
    target: PairedTarget,
    *,
    groups: Any | None = None,
    n_folds: int = 5,
    n_seeds: int = 2,
    seed: int = 0,
) -> Estimate:
    r"""Estimate mutual information by a Gaussian part in closed form plus what it does not see.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        groups: Document of each pair: folds and the interval keep a document together.
        n_folds: Folds of the critics.
        n_seeds: Critics averaged in each fold, with other initial weights and other pairs to stop by.
        seed: Fixes everything.

    Returns:
        Nats, not clipped at 0, with a jackknife interval over documents; ``method`` says what found the
        remainder, ``note`` what was not looked at. Below 500 pairs it is the Gaussian part alone.

    Raises:
        ConfigError: When folds or rounds are too few.
        ShapeError: When rows do not pair, there are not more than d_source + d_target + 1, a column is constant,
            or one side determines the other.

    Examples:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 2000, 1))
        >>> round(hybrid_mi(np.exp(x), x + noise).value, 1)  # truth log(2) / 2
        0.3
        >>> u = np.random.default_rng(1).uniform(-1, 1, size=(2000, 1))
        >>> "nearest neighbours" in hybrid_mi(u, u**2 + 0.1 * noise).method  # uncorrelated
        True
    """
    if n_folds < 2 or n_seeds < 1:
        raise ConfigError(
            f"n_folds={n_folds} and n_seeds={n_seeds} came; expected 2 folds and 1 round or more"
        )
    first, second = check_pairs(source, target, min_samples=2)
    x, y = copula_transform(first), copula_transform(second)
    n = len(x)
    n_parts = min(_GROUPS, n if groups is None else len(np.unique(np.asarray(groups))))
    parts = deal_folds(groups, n, n_folds=n_parts, seed=seed)
    moments = [CrossMoments.from_batch(x[parts == g], y[parts == g]) for g in range(n_parts)]
    rest = find_remainder(x, y, groups=groups, parts=parts, n_folds=n_folds, n_seeds=n_seeds, seed=seed)

    def information(kept: Any) -> float:
        there = np.unique(parts[kept])
        union = moments[int(there[0])]
        for g in there[1:]:
            union = union + moments[int(g)]
        return float(gaussian_mi_from_moments(union)) + float(rest.terms[kept].mean())

    value = information(np.arange(n))
    try:
        found = jackknife_interval(information, parts, value=value)
        low, high, note = found.low, found.high, rest.note
    except ShapeError:
        # Without one group too few pairs are left for the joint covariance: the whole is one pair too few from that.
        low, high = -math.inf, math.inf
        note = "; ".join(part for part in (rest.note, f"{n} pairs are too few for an interval") if part)
    method = "gaussian copula" + (f" and {rest.found}" if rest.found else "")
    return Estimate(value, low, high, n=n, method=method, note=note)
