"""How a bias travels: what of it the maps between scales carry, against what they carry of anything."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from msma._types import Scale
from msma.alignment import Alignment
from msma.bias.location import PairStates
from msma.errors import ShapeError
from msma.resampling import bootstrap_interval
from msma.results import Result, Row
from msma.states import HiddenStates

_RANDOM = 500
#: Pairs whose states differ by less than this share of their size have the same state up to rounding.
_ROUNDING = 1e-5

_Rows = Float[np.ndarray, "rows d"]


def carried_bias(alignment: Alignment, test: PairStates, reference: HiddenStates, *, seed: int = 0) -> Result:
    r"""Tell how much of the difference between the sides each map carries from scale to scale.

    With :math:`d^s_i, d^t_i` the differences of test pair i at source and target, and
    :math:`m_i = f(x_{i1}) - f(x_{i2})` what the map makes of the first:

    - ``carried_cosine``: :math:`\cos(\bar m, \bar d^t)`: whether the bias arrives where the target has its own;
      floor: what 95 % of differences between random texts stay below in size; null: a map fitted on shuffled pairs;
    - ``carried_variance``: :math:`1 - \sum_i \|d^t_i - m_i\|^2 / \sum_i \|d^t_i\|^2`, at most 1;
    - ``carried_gain``: :math:`\|\bar m\| / \|\bar d^s\|` over the root mean square of the same ratio for differences
      between random texts: above 1 the map passes this bias on more strongly than what texts differ in generally.

    Args:
        alignment: Fitted maps.
        test: Pairs that nothing was fitted on.
        reference: Held-out states of ordinary texts, for differences between random texts.
        seed: Fixes those and the intervals.

    Returns:
        Rows with source and target.

    Raises:
        OriginError: When the states are of another model than the maps.
        ShapeError: When all ordinary texts have the same state at a scale.
    """
    alignment.check_origin(test.states)
    rng = np.random.default_rng([seed, 6])
    ones, others = rng.integers(0, len(reference), size=(2, _RANDOM))
    pairs = _sides_of(alignment, test.states, len(test.pairs))
    ordinary = alignment.representation_.transform(reference)
    plain = alignment.transform_scales(ordinary)
    rows = []
    for (source, target), (mapped, shuffled) in pairs.mapped.items():
        before, wanted = pairs.at[source], pairs.at[target]
        strange, arrived = (rows[ones] - rows[others] for rows in (ordinary[source], plain[source, target]))
        sizes = (strange**2).sum(axis=1)
        # A text drawn twice, or standing in two documents, differs from itself in nothing.
        kept = sizes > _ROUNDING**2 * (ordinary[source] ** 2).sum(axis=1).mean()
        if not kept.any():
            raise ShapeError(
                f"{len(reference)} ordinary texts with the same state at the {source} scale came, so nothing tells how "
                "maps carry what texts differ in; give texts that differ"
            )
        shared: dict[str, Any] = {
            "source": source,
            "target": target,
            "map": alignment.map.kind,
            "split": "test",
            "n": len(before),
            "interval": "bootstrap",
        }
        goal = wanted.mean(axis=0)
        cosines = np.abs(_cosine(arrived[kept], goal[None]))
        gain = float(np.sqrt(((arrived[kept] ** 2).sum(axis=1) / sizes[kept]).mean()))
        documents = test.clusters
        rows += [
            _row("carried_cosine", _mean_cosine, (mapped, wanted), documents, seed=seed,
                 null=_mean_cosine(np.ones((1, len(before))), shuffled, wanted)[0],
                 floor=float(np.quantile(cosines, 0.95)), ceiling=1.0, better="none", **shared),
            _row("carried_variance", _explained, (mapped, wanted), documents, seed=seed,
                 null=_explained(np.ones((1, len(before))), shuffled, wanted)[0], ceiling=1.0,
                 better="none", **shared),
            _row("carried_gain", lambda w, m, b, gain=gain: _ratio(w, m, b) / gain, (mapped, before), documents,
                 seed=seed, null=1.0, better="none", note="null: differences between random texts", **shared),
        ]  # fmt: skip
    return Result("bias_carried", tuple(rows), {"concept": test.pairs.concept, "seed": seed})


class _Sides:
    """Differences of pairs at each scale, and what the maps make of them."""

    def __init__(
        self, at: Mapping[Scale, _Rows], mapped: Mapping[tuple[Scale, Scale], tuple[_Rows, _Rows]]
    ) -> None:
        self.at, self.mapped = at, mapped


def _sides_of(alignment: Alignment, states: HiddenStates, n: int) -> _Sides:
    scales = alignment.representation_.transform(states)
    true, null = alignment.transform_scales(scales), alignment.transform_scales(scales, is_null=True)
    at = {scale: _differences(rows, n) for scale, rows in scales.items()}
    mapped = {
        pair: tuple((rows[pair][:n] - rows[pair][n:]) * at[pair[0]].any() for rows in (true, null))
        for pair in true
    }
    return _Sides(at, mapped)


def _differences(rows: _Rows, n: int) -> _Rows:
    """Give the differences of pairs; exactly zero where all are rounding, so that none of it is measured."""
    differences = rows[:n] - rows[n:]
    largest, size = (differences**2).sum(axis=1).max(), (rows**2).sum(axis=1).mean()
    return differences if largest > _ROUNDING**2 * size else np.zeros_like(differences)


def _cosine(ones: _Rows, others: _Rows) -> Float[np.ndarray, " rows"]:
    sizes = np.linalg.norm(ones, axis=1) * np.linalg.norm(others, axis=1)
    return np.asarray((ones * others).sum(axis=1) / np.maximum(sizes, 1e-300))


def _mean_cosine(weights: _Rows, mapped: _Rows, wanted: _Rows) -> Float[np.ndarray, " draws"]:
    return _cosine(weights @ mapped, weights @ wanted)


def _explained(weights: _Rows, mapped: _Rows, wanted: _Rows) -> Float[np.ndarray, " draws"]:
    left, whole = ((wanted - mapped) ** 2).sum(axis=1), (wanted**2).sum(axis=1)
    return np.asarray(1 - weights @ left / np.maximum(weights @ whole, 1e-300))


def _ratio(weights: _Rows, mapped: _Rows, before: _Rows) -> Float[np.ndarray, " draws"]:
    size = np.linalg.norm(weights @ before, axis=1)
    return np.asarray(np.linalg.norm(weights @ mapped, axis=1) / np.maximum(size, 1e-300))


def _row(
    metric: str,
    statistic: Any,
    arrays: tuple[_Rows, _Rows],
    documents: Any,
    *,
    seed: int,
    **columns: Any,
) -> Row:
    if not all(np.abs(array).max() > 0 for array in arrays):
        note = "both sides have the same state at one of the scales, so there is nothing to carry"
        columns = {k: v for k, v in columns.items() if k not in ("null", "floor", "interval", "note")}
        return Row(metric=metric, value=None, note=note, **columns)
    found = bootstrap_interval(lambda weights: statistic(weights, *arrays), documents, seed=seed)
    return Row(metric=metric, value=found.value, low=found.low, high=found.high, **columns)
