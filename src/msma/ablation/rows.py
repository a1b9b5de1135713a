"""From readings of every arm and seed to rows: means, differences from the full objective, corrected tests."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from msma._types import Pair
from msma.comparison import Contrast, cliffs_delta, contrast_documents, contrast_seeds, holm
from msma.readings import BETTER, UNITS, Reading
from msma.results import Result, Row

_LEVEL = 0.05


class Cell(NamedTuple):
    """One arm trained with one seed on one pair of scales.

    Args:
        arm: Name of the arm.
        seed: Seed of training.
        pair: Pair of scales.
        readings: What it reaches on the test split.
    """

    arm: str
    seed: int
    pair: Pair
    readings: Mapping[str, Reading]


class _Group(NamedTuple):
    """One metric of one arm on one pair, over seeds."""

    values: Float[np.ndarray, " seeds"]
    left_out: Float[np.ndarray, "seeds groups"]
    seeds: tuple[int, ...]
    null: float | None
    note: str | None


def ablation_rows(
    cells: Sequence[Cell],
    references: Mapping[tuple[Pair, str], Mapping[str, float]],
    *,
    n: Mapping[Pair, int],
) -> list[Row]:
    """Average over seeds, compare every arm with "full", and correct for the number of tests.

    Args:
        cells: Readings of every arm, seed and pair.
        references: Floor or ceiling of each pair and metric.
        n: Test samples of each pair.

    Returns:
        The rows described in :func:`msma.ablation.ablate`.
    """
    keys = list(dict.fromkeys((c.pair, m, c.arm) for c in cells for m in c.readings))
    groups = {key: _gather(cells, *key) for key in keys}
    rows = []
    for (pair, metric, arm), group in groups.items():
        columns: dict[str, Any] = {
            "source": pair[0],
            "target": pair[1],
            "split": "test",
            "map": arm,
            "n": n[pair],
        }
        columns |= {"units": UNITS[metric], "better": BETTER[metric]}
        rows += _rows_of_values(metric, group, {**columns, **references.get((pair, metric), {})}, columns)
    rows += _rows_of_differences(groups, n)
    return sorted(rows, key=lambda row: list(dict.fromkeys(r.metric for r in rows)).index(row.metric))


def _gather(cells: Sequence[Cell], pair: Pair, metric: str, arm: str) -> _Group:
    found = [c for c in cells if (c.pair, c.arm) == (pair, arm) and metric in c.readings]
    known = [c for c in found if c.readings[metric].value is not None]
    readings = [c.readings[metric] for c in known]
    nulls = [r.null for r in readings if r.null is not None]
    return _Group(
        values=np.array([r.value for r in readings], dtype=np.float64),
        left_out=np.array([r.left_out for r in readings], dtype=np.float64),
        seeds=tuple(c.seed for c in known),
        null=float(np.mean(nulls)) if nulls else None,
        note=next((c.readings[metric].note for c in found if c.readings[metric].note), None),
    )


def _rows_of_values(
    metric: str, group: _Group, columns: Mapping[str, Any], plain: Mapping[str, Any]
) -> list[Row]:
    if not len(group.values):
        return [Row(metric=metric, value=None, note=group.note, **columns)]
    contrast = contrast_documents(float(group.values.mean()), group.left_out.mean(axis=0))
    count = len(group.values)
    spread = f", standard deviation {group.values.std(ddof=1):.2g}" if count > 1 else ""
    note = "; ".join(part for part in (f"{count} seed{'s' * (count > 1)}{spread}", group.note) if part)
    mean = Row(
        metric=metric,
        value=contrast.value,
        low=contrast.low,
        high=contrast.high,
        null=group.null,
        interval="jackknife",
        note=note,
        **columns,
    )
    by_seed = [
        Row(metric=f"{metric}_by_seed", value=float(value), note=f"seed {seed}", **plain)
        for seed, value in zip(group.seeds, group.values, strict=True)
    ]
    return [mean, *by_seed]


def _rows_of_differences(groups: Mapping[tuple[Pair, str, str], _Group], n: Mapping[Pair, int]) -> list[Row]:
    tested: dict[tuple[Pair, str, str], tuple[Contrast, Contrast, float]] = {}
    for (pair, metric, arm), group in groups.items():
        full = groups[pair, metric, "full"]
        if arm == "full" or not len(group.values) or not len(full.values):
            continue
        over_documents = contrast_documents(
            float(group.values.mean() - full.values.mean()),
            group.left_out.mean(axis=0) - full.left_out.mean(axis=0),
        )
        over_seeds = contrast_seeds(_paired_by_seed(group, full))
        tested[pair, metric, arm] = over_documents, over_seeds, cliffs_delta(group.values, full.values)
    keys = list(tested)
    by_documents = holm([tested[key][0].p or 0.0 for key in keys])
    with_seeds = [key for key in keys if tested[key][1].p is not None]
    by_seeds = dict(zip(with_seeds, holm([tested[key][1].p or 0.0 for key in with_seeds]), strict=True))
    rows = []
    for key, p in zip(keys, by_documents, strict=True):
        rows += _rows_of_test(key, *tested[key], p_documents=p, p_seeds=by_seeds.get(key), n=n[key[0]])
    return rows


def _paired_by_seed(group: _Group, full: _Group) -> Float[np.ndarray, " seeds"]:
    # A closed form is fitted once and stands beside every seed.
    if len(group.seeds) == 1:
        return group.values[0] - full.values
    shared = [seed for seed in group.seeds if seed in full.seeds]
    mine, its = (dict(zip(g.seeds, g.values, strict=True)) for g in (group, full))
    return np.array([mine[seed] - its[seed] for seed in shared])


def _rows_of_test(
    key: tuple[Pair, str, str],
    documents: Contrast,
    seeds: Contrast,
    delta: float,
    *,
    p_documents: float,
    p_seeds: float | None,
    n: int,
) -> list[Row]:
    pair, metric, arm = key
    columns: dict[str, Any] = {"source": pair[0], "target": pair[1], "split": "test", "map": arm, "n": n}
    holds = p_documents < _LEVEL and (p_seeds is None or p_seeds < _LEVEL)
    over_seeds = "one seed" if seeds.low is None else f"over seeds {seeds.low:.4g} to {seeds.high:.4g}"
    difference = Row(
        metric=f"{metric}_minus_full",
        value=documents.value,
        low=documents.low,
        high=documents.high,
        null=0.0,
        units=UNITS[metric],
        better=BETTER[metric],
        interval="jackknife",
        note=f"{'differs' if holds else 'no difference shown'}; {over_seeds}; Cliff's delta {delta:+.2f}",
        **columns,
    )
    rows = [difference]
    for name, p, raw in (("documents", p_documents, documents.p), ("seeds", p_seeds, seeds.p)):
        if p is not None and raw is not None:
            note = f"Holm over the family; {raw:.3g} alone"
            rows.append(Row(metric=f"{metric}_p_{name}", value=p, units="probability", note=note, **columns))
    return rows


def tell_ablation(result: Result) -> list[str]:
    """Say in plain sentences what leaving each term out does.

    Args:
        result: Rows of an ablation.

    Returns:
        A sentence for each arm and pair that was compared, the R2 and whatever else differs in it.
    """
    sentences = []
    rows = [row for row in result if row.metric.endswith("_minus_full") and row.value is not None]
    for arm, source, target in dict.fromkeys((row.map, row.source, row.target) for row in rows):
        mine = [row for row in rows if (row.map, row.source, row.target) == (arm, source, target)]
        found = [row for row in mine if (row.note or "").startswith("differs")]
        told = ", ".join(f"{row.metric.removesuffix('_minus_full')} {row.value:+.4g}" for row in found)
        what = f"against full: {told}" if told else "shows no difference from full in any metric"
        sentences.append(f"{arm}, {source} to {target}: {what}.")
    return sentences
