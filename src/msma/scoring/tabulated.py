"""Any measure of the table, as the table describes it."""

from math import isfinite

import numpy as np

from msma.errors import ShapeError
from msma.measures import Measure
from msma.measures.information import ksg_mi
from msma.resampling import jackknife_interval
from msma.results import Row
from msma.scoring.case import Case, Rows, carried_width
from msma.scoring.divergence import halves_floor

#: KSG counts neighbours; beyond a handful of dimensions it reads zero whatever there is.
_KSG_WIDTH = 5
_CANONICAL = ("svcca", "pwcca")


def score_tabulated(case: Case, *, measure: Measure) -> list[Row]:
    """Score a measure of the table: jackknife interval, shuffled null or halves floor, known ceiling.

    Args:
        case: The mapped pair.
        measure: The measure.

    Returns:
        One row, named as the measure.
    """
    mapped, target = case.mapped, case.target
    note = "as published (arXiv 2505.20333), not to be trusted" if measure.is_paper else None
    width = carried_width(case)
    if measure.name in _CANONICAL and width < target.shape[1]:
        # With fewer samples than dimensions, canonical correlations are 1 whatever there is.
        origin = case.bases[0] if case.map == "none" else case.bases[1]
        note = f"on the {width} leading of {target.shape[1]} directions"
        mapped, target = origin.project(mapped, width), case.bases[1].project(target, width)

    function = measure.function
    if measure.name == "mi_ksg":
        # Directions from the training states, found once, rather than anew on every part of the test states.
        origin = case.bases[0] if case.map == "none" else case.bases[1]
        mapped, target = origin.project(mapped, _KSG_WIDTH), case.bases[1].project(target, _KSG_WIDTH)
        note, function = f"on the {min(_KSG_WIDTH, target.shape[1])} leading directions", ksg_mi

    def value(rows: Rows, other: Rows | None = None) -> float:
        return float(function(mapped[rows if other is None else other], target[rows]))

    try:
        interval = jackknife_interval(value, case.groups)
        everything = np.arange(case.n)
        null = floor = None
        if measure.paired:
            null = float(np.mean([value(everything, order) for order in case.shuffles]))
        else:
            floor = halves_floor(case, measure)
            if case.null_mapped is not None:
                null = float(measure.function(case.null_mapped, target))
    except ShapeError as error:
        return [case.row(measure.name, None, units=measure.units, better=measure.better, note=str(error))]
    ceiling = _ceiling(measure)
    columns = {"units": measure.units, "better": measure.better, "note": note}
    return [case.row(measure.name, interval, null=null, floor=floor, ceiling=ceiling, **columns)]


def _ceiling(measure: Measure) -> float | None:
    is_bounded = measure.better == "higher" and measure.high is not None and isfinite(measure.high)
    return measure.high if is_bounded else None
