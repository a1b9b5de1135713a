"""How often a model finds the first sentence of a pair the likelier one, as rows of a result."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from msma.comparison import holm
from msma.errors import CorpusError, ShapeError
from msma.resampling import bootstrap_interval
from msma.results import Row


def check_pairs(
    pairs: Sequence[Any], first: Float[np.ndarray, " pairs"], second: Float[np.ndarray, " pairs"]
) -> None:
    """Refuse pairs that have not one log-likelihood a sentence.

    Args:
        pairs: The pairs.
        first: Log-likelihoods of their first sentences.
        second: Those of the others.

    Raises:
        ShapeError: When there is not one log-likelihood a sentence.
        CorpusError: When there is no pair.
    """
    if not pairs:
        raise CorpusError("0 pairs came; give at least one")
    if not len(pairs) == len(first) == len(second):
        raise ShapeError(
            f"{len(pairs)} pairs with {len(first)} and {len(second)} log-likelihoods came; give one for each sentence"
        )


def group_by(names: Sequence[str]) -> dict[str, Int[np.ndarray, " some"]]:
    """Find the positions of each name.

    Args:
        names: Names, repeated.

    Returns:
        Positions of each, in order of name.

    Examples:
        >>> {name: index.tolist() for name, index in group_by(["b", "a", "b"]).items()}
        {'a': [1], 'b': [0, 2]}
    """
    array = np.array(names)
    return {str(name): np.flatnonzero(array == name) for name in np.unique(array)}


def preference_rows(
    metric: str,
    first: Sequence[float],
    second: Sequence[float],
    *,
    groups: Mapping[str, Int[np.ndarray, " some"]],
    clusters: Int[np.ndarray, " pairs"],
    what: str,
    n_resamples: int = 1000,
    seed: int = 0,
) -> list[Row]:
    """Make rows of how often the first of a pair is likelier than the second.

    The p-values are those of the exact two-sided sign test against 50 %, equal pairs left out; Holm's correction is
    over the groups.

    Args:
        metric: Name of the overall row; groups get "_<group>" behind it, the mean difference "_nats".
        first: Log-likelihoods in nats.
        second: Those of the others.
        groups: Pairs of each group.
        clusters: What is drawn together for the intervals.
        what: What is counted, for the notes.
        n_resamples: Draws.
        seed: Fixes them.

    Returns:
        The overall row, one a group, and the mean difference.
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    parts = {metric: np.arange(len(difference)), **{f"{metric}_{k}": index for k, index in groups.items()}}
    tested = {
        name: _sign_test(difference[index] > 0, difference[index] == 0) for name, index in parts.items()
    }
    corrected = dict(zip(groups, holm([tested[f"{metric}_{k}"] for k in groups]), strict=True))
    rows = []
    for name, index in parts.items():
        percent = 100.0 * (difference[index] > 0)
        n_equal = int((difference[index] == 0).sum())
        note = f"share of pairs where {what}; 50 is no preference; exact binomial p = {tested[name]:.2g}"
        if name != metric:
            note += f", {corrected[name.removeprefix(f'{metric}_')]:.2g} after Holm over {len(groups)} groups"
        if len(np.unique(clusters)) < len(clusters):
            note += "; p takes pairs as independent, the interval draws together those about the same"
        if n_equal:
            note += f"; {n_equal} pairs are equal, counted below, left out of the test"
        rows.append(
            _mean_row(
                name, percent, clusters[index], units="%", null=50.0, note=note, draws=n_resamples, seed=seed
            )
        )
    note = "mean difference of log-likelihoods in a pair; positive where " + what
    rows.append(
        _mean_row(
            f"{metric}_nats",
            difference,
            clusters,
            units="nats",
            null=0.0,
            note=note,
            draws=n_resamples,
            seed=seed,
        )
    )
    return rows


def _sign_test(is_above: Bool[np.ndarray, " pairs"], is_equal: Bool[np.ndarray, " pairs"]) -> float:
    from scipy.stats import binomtest

    n = int((~is_equal).sum())
    return float(binomtest(int(is_above.sum()), n, 0.5).pvalue) if n else 1.0


def _mean_row(
    name: str,
    values: Float[np.ndarray, " pairs"],
    clusters: Int[np.ndarray, " pairs"],
    *,
    units: str,
    null: float,
    note: str,
    draws: int,
    seed: int,
) -> Row:
    if len(np.unique(clusters)) < 2:
        return Row(
            metric=name,
            value=float(values.mean()),
            null=null,
            units=units,
            n=len(values),
            note=note + "; too few pairs for an interval",
        )
    found = bootstrap_interval(
        lambda weights: weights @ values / weights.sum(axis=1), clusters, n_resamples=draws, seed=seed
    )
    return Row(
        metric=name,
        value=found.value,
        low=found.low,
        high=found.high,
        null=null,
        units=units,
        n=len(values),
        interval=found.method,
        note=note,
    )
