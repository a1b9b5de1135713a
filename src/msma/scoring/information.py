"""What mapped states and target tell of each other, and how much of it a map keeps."""

from typing import Any

import numpy as np

from msma.errors import ShapeError
from msma.measures.hybrid import hybrid_mi
from msma.measures.information import copula_transform
from msma.resampling import Interval, jackknife_interval
from msma.results import Row
from msma.scoring.case import Case, Samples, carried_width
from msma.scoring.groups import GroupPairs


def score_information(case: Case) -> list[Row]:
    """Score bias-corrected Gaussian-copula mutual information and, after mapping, its retention.

    Args:
        case: The mapped pair.

    Returns:
        A row ``mi`` in nats; after mapping a row ``retention`` too.
    """
    d = case.target.shape[1]
    width = carried_width(case)
    note = f"on the {width} leading of {d} directions" if width < d else None
    columns: dict[str, Any] = {"units": "nats", "better": "higher", "note": note}
    try:
        whole, output, target = (copula_transform(side) for side in _information_sides(case, width))
        before = GroupPairs(whole, target, case.groups)
        if case.map == "none":
            interval = jackknife_interval(before.information, case.groups)
            return [case.row("mi", interval, null=_mean_null(whole, target, case), **columns)]
        after = GroupPairs(output, target, case.groups)
        interval = jackknife_interval(after.information, case.groups)
        ceiling = before.information(np.arange(case.n))
        kept = jackknife_interval(
            lambda rows: after.information(rows) / before.information(rows), case.groups
        )
    except ShapeError as error:
        return [case.row("mi", None, units="nats", better="higher", note=str(error))]
    null = _mean_null(output, target, case)
    excess = "a map cannot add information: above 1 is estimation error"
    return [
        case.row("mi", interval, null=null, ceiling=ceiling, **columns),
        case.row(
            "retention",
            kept,
            null=null / ceiling if ceiling > 0 else None,
            ceiling=1.0,
            units="share of nats",
            better="higher",
            note=excess if kept.value > 1 else note,
        ),
    ]


def _information_sides(case: Case, width: int) -> tuple[Samples, Samples, Samples]:
    """Give what the source holds, what the map makes of it, and the target, on the directions samples can carry.

    Leading directions of the source need not be those that tell of the target. What the source holds is at least
    what they and the map's output hold together, and no map can keep more than that.
    """
    target = case.bases[1].project(case.target, width)
    source, output = case.bases[0].project(case.source, width), case.bases[1].project(case.fitted, width)
    return (source if width == case.target.shape[1] else _merge(source, output)), output, target


def score_hybrid(case: Case) -> list[Row]:
    """Score mutual information with what the Gaussian copula does not see, on the same directions as ``mi``.

    Critics cost seconds, so the null is one shuffle, looked at by fewer of them.

    Args:
        case: The mapped pair.

    Returns:
        A row ``mi_hybrid`` in nats.
    """
    d = case.target.shape[1]
    width = carried_width(case)
    columns: dict[str, Any] = {"units": "nats", "better": "higher"}
    try:
        whole, output, target = _information_sides(case, width)
        source = whole if case.map == "none" else output
        found = hybrid_mi(source, target, groups=case.documents, seed=case.seed)
        order = case.shuffles[0]
        nothing = hybrid_mi(
            source[order], target, groups=case.documents, n_folds=2, n_seeds=1, seed=case.seed
        )
    except ShapeError as error:
        return [case.row("mi_hybrid", None, note=str(error), **columns)]
    where = f"on the {width} leading of {d} directions" if width < d else ""
    note = "; ".join(part for part in (where, found.method, found.note) if part)
    interval = Interval(found.value, found.low, found.high, "jackknife")
    return [case.row("mi_hybrid", interval, null=nothing.value, note=note, **columns)]


def _mean_null(source: Samples, target: Samples, case: Case) -> float:
    everything = np.arange(case.n)
    values = [GroupPairs(source[o], target, case.groups).information(everything) for o in case.shuffles]
    return float(np.mean(values))


def _merge(first: Samples, second: Samples) -> Samples:
    """Give uncorrelated coordinates of the span of both, without the directions they share."""
    both = np.hstack([first / first.std(axis=0), second / second.std(axis=0).clip(np.finfo(float).tiny)])
    left, values, _ = np.linalg.svd(both - both.mean(axis=0), full_matrices=False)
    return left[:, values > 1e-6 * values[0]] * len(both) ** 0.5
