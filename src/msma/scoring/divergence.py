"""How far the law of mapped states is from the target's: in closed form and by a classifier."""

from contextlib import suppress
from functools import partial

import numpy as np

from msma.errors import ShapeError
from msma.measures import MEASURES, Measure
from msma.measures.density_ratio import classifier_kl_bound, classifier_scores
from msma.measures.divergence import gaussian_kl
from msma.resampling import bootstrap_interval, jackknife_interval
from msma.results import Row
from msma.scoring.case import Case, Samples, carried_width
from msma.scoring.groups import GroupPairs

_N_HALVINGS = 5


def score_divergence(case: Case) -> Row:
    """Score the bias-corrected Gaussian KL from the mapped states' law to the target's.

    Args:
        case: The mapped pair.

    Returns:
        A row ``kl`` in nats: 0 for equal laws, with the floor of two halves of the target, and for a fitted
        map the value that a map fitted on shuffled pairs reaches.
    """
    d, n = case.target.shape[1], case.n
    width = carried_width(case)
    project = partial(case.bases[1].project, width=width)
    target = project(case.target)
    note = None if width == d else f"on the {width} leading of {d} directions, as {n} samples allow"
    try:
        pairs = GroupPairs(project(case.mapped), target, case.groups)
        interval = jackknife_interval(pairs.divergence, case.groups)
        floor = _halves_divergence(target, case)
    except ShapeError as error:
        return case.row("kl", None, units="nats", better="lower", note=f"infinite or not estimable: {error}")
    null = None
    if case.null_mapped is not None:
        # A map that learned nothing may shrink to a point, whose divergence is infinite.
        with suppress(ShapeError):
            nothing = GroupPairs(project(case.null_mapped), target, case.groups)
            null = nothing.divergence(np.arange(n))
        note = note if null is not None else "; ".join([*([note] if note else []), "null infinite"])
    return case.row("kl", interval, null=null, floor=floor, units="nats", better="lower", note=note)


def _halves_divergence(target: Samples, case: Case) -> float:
    """Average the divergence between two halves of the target's documents over several halvings."""
    names = np.unique(case.groups)
    rng = np.random.default_rng(case.seed)
    values = []
    for _ in range(_N_HALVINGS):
        first = np.isin(case.groups, rng.permutation(names)[: len(names) // 2])
        values.append(float(gaussian_kl(target[first], target[~first])))
    return float(np.mean(values))


def score_classifier(case: Case) -> list[Row]:
    """Score the classifier bound: fitted once, its held-out scores drawn by document.

    Args:
        case: The mapped pair.

    Returns:
        A row ``kl_classifier`` in nats.
    """
    columns = {"units": "nats", "better": "lower"}
    try:
        gain, price = classifier_scores(case.mapped, case.target, groups=case.documents, seed=case.seed)
        null = None
        if case.null_mapped is not None:
            null = float(
                classifier_kl_bound(case.null_mapped, case.target, groups=case.documents, seed=case.seed)
            )
        floor = halves_floor(case, MEASURES["kl_classifier"])
    except ShapeError as error:
        return [case.row("kl_classifier", None, note=str(error), **columns)]
    interval = bootstrap_interval(
        lambda weights: weights @ (gain - price) / weights.sum(axis=1) + 1.0,
        case.documents,
        seed=case.seed,
    )
    return [case.row("kl_classifier", interval, null=null, floor=floor, **columns)]


def halves_floor(case: Case, measure: Measure) -> float:
    """Compute a divergence between two halves of the target's documents.

    Args:
        case: The mapped pair.
        measure: The divergence.

    Returns:
        What it reads where there is no difference.
    """
    names = np.unique(case.groups)
    first = np.isin(case.groups, np.random.default_rng(case.seed).permutation(names)[: len(names) // 2])
    compare = measure.floor if measure.floor is not None else measure.function
    return float(compare(case.target[first], case.target[~first]))
