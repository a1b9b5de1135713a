"""Every measure of an evaluation by name."""

from collections.abc import Callable
from functools import partial

from msma.measures import MEASURES
from msma.results import Row
from msma.scoring.case import Case
from msma.scoring.divergence import score_classifier, score_divergence
from msma.scoring.information import score_hybrid, score_information
from msma.scoring.tabulated import score_tabulated
from msma.scoring.variance import score_r2

_SPECIAL: dict[str, Callable[[Case], list[Row]]] = {
    "kl": lambda case: [score_divergence(case)],
    "kl_classifier": score_classifier,
    "mi": score_information,
    "mi_hybrid": score_hybrid,
    "r2": lambda case: [score_r2(case), score_r2(case, weights="uniform")],
}

#: Every measure of an evaluation by name, in the order shown.
METRICS: dict[str, Callable[[Case], list[Row]]] = {
    name: _SPECIAL.get(name, partial(score_tabulated, measure=measure)) for name, measure in MEASURES.items()
}


def score_case(case: Case, name: str) -> list[Row]:
    """Compute one measure of one case.

    Args:
        case: The mapped pair.
        name: A key of :data:`METRICS`.

    Returns:
        One row, or two where a measure brings a companion (retention beside mutual information).
    """
    return METRICS[name](case)
