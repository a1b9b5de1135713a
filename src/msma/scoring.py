"""One mapped pair of scales on held-out texts, and how each measure of it gets its interval and its null.

Divergences compare two laws, but their samples here are pairs: a mapped text and its own target are anything
but independent. The unbiased formula for independent samples would subtract a bias that is not there (59 nats
for a perfect map at d = 768, n = 5,000), so the headline uses the one for pairs. The floor compares two halves
of the target, which are independent.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma._types import Pair
from msma.errors import ShapeError
from msma.measures import MEASURES, Measure
from msma.measures.density_ratio import classifier_kl_bound, classifier_scores
from msma.measures.divergence import gaussian_kl, gaussian_kl_from_cross_moments
from msma.measures.hybrid import hybrid_mi
from msma.measures.information import copula_transform, gaussian_mi_from_moments, ksg_mi
from msma.measures.projection import projection_width
from msma.moments import CrossMoments
from msma.resampling import Interval, bootstrap_interval, jackknife_interval
from msma.results import Row
from msma.scales import Basis

Samples = Float[np.ndarray, "samples d"]
Rows = Int[np.ndarray, " kept"]

_N_HALVINGS = 5
#: KSG counts neighbours; beyond a handful of dimensions it reads zero whatever there is.
_KSG_WIDTH = 5
_CANONICAL = ("svcca", "pwcca")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A pair of scales under one map, on held-out samples.

    Args:
        pair: Source and target scale.
        map: Name of the map; "none" before mapping.
        source: The source representation.
        mapped: What is compared with the target.
        fitted: Output of the fitted map, also before mapping.
        target: The target representation.
        null_mapped: Output of the twin fitted on shuffled pairs; ``None`` before mapping.
        bases: Leading directions of source and target from the training states.
        documents: The document of each sample.
        groups: The jackknife group of each sample.
        shuffles: Permutations that pair no sample with its own document.
        split: Part of the texts.
        seed: Fixes halvings and draws.
    """

    pair: Pair
    map: str
    source: Samples
    mapped: Samples
    fitted: Samples
    target: Samples
    null_mapped: Samples | None
    bases: tuple[Basis, Basis]
    documents: Int[np.ndarray, " samples"]
    groups: Int[np.ndarray, " samples"]
    shuffles: Sequence[Int[np.ndarray, " samples"]]
    split: str
    seed: int

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.target)

    def row(self, metric: str, interval: Interval | None, **columns: object) -> Row:
        """Build a row of this case; what is not finite becomes ``None`` with a note.

        Args:
            metric: Name of the quantity.
            interval: Value with its interval; ``None`` where it could not be computed.
            **columns: Further columns of the row.

        Returns:
            The row.
        """
        numbers = {} if interval is None else interval._asdict()
        method = numbers.pop("method", None)
        for name in ("null", "floor", "ceiling"):
            if columns.get(name) is not None:
                numbers[name] = columns.pop(name)
        finite = {name: number for name, number in numbers.items() if isfinite(float(number))}
        note = columns.pop("note", None)
        if len(finite) < len(numbers):
            lost = ", ".join(name for name in numbers if name not in finite)
            note = "; ".join(str(part) for part in (note, f"not finite: {lost}") if part)
        base = Row(
            metric=metric,
            value=finite.pop("value", None),
            source=self.pair[0],
            target=self.pair[1],
            split=self.split,
            map=self.map,
            n=self.n,
            interval=method,
            note=str(note) if note else None,
        )
        return replace(base, **finite, **columns)  # type: ignore[arg-type]


def score_case(case: Case, name: str) -> list[Row]:
    """Compute one measure of one case.

    Args:
        case: The mapped pair.
        name: A key of :data:`METRICS`.

    Returns:
        One row, or two where a measure brings a companion (retention beside mutual information).
    """
    return METRICS[name](case)


def score_r2(case: Case, *, weights: str = "variance") -> Row:
    r"""Score the share of the target's variance that the mapped states explain.

    ``variance`` weighs dimensions by variance: :math:`1 - \sum_i |y_i - f_i|^2 / \sum_i |y_i - \bar y|^2`;
    ``uniform`` averages the dimensions' own R2, so that small dimensions count as much as large ones.

    Args:
        case: The mapped pair.
        weights: "variance" or "uniform".

    Returns:
        A row ``r2`` or ``r2_uniform``, at most 1, negative where the target's mean would do better.
    """
    residual, square = (case.target - case.mapped) ** 2, case.target**2
    is_uniform = weights == "uniform"
    if not is_uniform:
        residual, square = residual.sum(axis=1, keepdims=True), square.sum(axis=1, keepdims=True)

    def statistic(weight: Float[np.ndarray, "draws samples"], residual: Samples = residual) -> Samples:
        mean_square = (weight @ case.target) ** 2 / weight.sum(axis=1, keepdims=True)
        if not is_uniform:
            mean_square = mean_square.sum(axis=1, keepdims=True)
        total = weight @ square - mean_square
        # Dimensions that do not vary have no share to explain.
        varies = total > 1e-12 * total.max(axis=1, keepdims=True)
        shares = 1 - np.divide(weight @ residual, total, out=np.ones_like(total), where=varies)
        return shares.sum(axis=1) / varies.sum(axis=1).clip(1)

    interval = bootstrap_interval(statistic, case.documents, seed=case.seed)
    ones = np.ones((1, case.n))
    nulls = []
    for order in case.shuffles:
        shuffled = (case.target - case.mapped[order]) ** 2
        nulls.append(statistic(ones, shuffled if is_uniform else shuffled.sum(axis=1, keepdims=True))[0])
    what = "dimensions count alike" if is_uniform else "dimensions weighted by their variance"
    return case.row(
        "r2_uniform" if is_uniform else "r2",
        interval,
        null=float(np.mean(nulls)),
        ceiling=1.0,
        units="share of variance",
        better="higher",
        note=what,
    )


def score_divergence(case: Case) -> Row:
    """Score the bias-corrected Gaussian KL from the mapped states' law to the target's.

    Args:
        case: The mapped pair.

    Returns:
        A row ``kl`` in nats: 0 for equal laws, with the floor of two halves of the target, and for a fitted
        map the value that a map fitted on shuffled pairs reaches.
    """
    d, n = case.target.shape[1], case.n
    width = _width(case)
    project = partial(case.bases[1].project, width=width)
    target = project(case.target)
    note = None if width == d else f"on the {width} leading of {d} directions, as {n} samples allow"
    try:
        pairs = _GroupPairs(project(case.mapped), target, case.groups)
        interval = jackknife_interval(pairs.divergence, case.groups)
        floor = _halves_divergence(target, case)
    except ShapeError as error:
        return case.row("kl", None, units="nats", better="lower", note=f"infinite or not estimable: {error}")
    null = None
    if case.null_mapped is not None:
        # A map that learned nothing may shrink to a point, whose divergence is infinite.
        with suppress(ShapeError):
            nothing = _GroupPairs(project(case.null_mapped), target, case.groups)
            null = nothing.divergence(np.arange(n))
        note = note if null is not None else "; ".join([*([note] if note else []), "null infinite"])
    return case.row("kl", interval, null=null, floor=floor, units="nats", better="lower", note=note)


def _width(case: Case) -> int:
    """Directions that the samples can carry, as many as the training states gave."""
    d = case.target.shape[1]
    width = projection_width(case.n, d)
    return width if width == d else min(width, *(basis.directions.shape[1] for basis in case.bases))


def _halves_divergence(target: Samples, case: Case) -> float:
    """Average the divergence between two halves of the target's documents over several halvings."""
    names = np.unique(case.groups)
    rng = np.random.default_rng(case.seed)
    values = []
    for _ in range(_N_HALVINGS):
        first = np.isin(case.groups, rng.permutation(names)[: len(names) // 2])
        values.append(float(gaussian_kl(target[first], target[~first])))
    return float(np.mean(values))


def _score_information(case: Case) -> list[Row]:
    """Score bias-corrected Gaussian-copula mutual information and, after mapping, its retention."""
    d = case.target.shape[1]
    width = _width(case)
    note = f"on the {width} leading of {d} directions" if width < d else None
    columns: dict[str, Any] = {"units": "nats", "better": "higher", "note": note}
    try:
        whole, output, target = (copula_transform(side) for side in _information_sides(case, width))
        before = _GroupPairs(whole, target, case.groups)
        if case.map == "none":
            interval = jackknife_interval(before.information, case.groups)
            return [case.row("mi", interval, null=_mean_null(whole, target, case), **columns)]
        after = _GroupPairs(output, target, case.groups)
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


def _score_hybrid(case: Case) -> list[Row]:
    """Score mutual information with what the Gaussian copula does not see, on the same directions as ``mi``.

    Critics cost seconds, so the null is one shuffle, looked at by fewer of them.
    """
    d = case.target.shape[1]
    width = _width(case)
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


def _merge(first: Samples, second: Samples) -> Samples:
    """Give uncorrelated coordinates of the span of both, without the directions they share."""
    both = np.hstack([first / first.std(axis=0), second / second.std(axis=0).clip(np.finfo(float).tiny)])
    left, values, _ = np.linalg.svd(both - both.mean(axis=0), full_matrices=False)
    return left[:, values > 1e-6 * values[0]] * len(both) ** 0.5


class _GroupPairs:
    """Cross-moments of each jackknife group of pairs, so that any union of groups costs a few additions."""

    def __init__(self, source: Samples, target: Samples, groups: Int[np.ndarray, " samples"]) -> None:
        self.groups = groups
        self.parts = {
            int(g): CrossMoments.from_batch(source[groups == g], target[groups == g])
            for g in np.unique(groups)
        }

    def union(self, kept: Rows) -> CrossMoments:
        first, *rest = (self.parts[int(g)] for g in np.unique(self.groups[kept]))
        for part in rest:
            first = first + part
        return first

    def information(self, kept: Rows) -> float:
        return float(gaussian_mi_from_moments(self.union(kept)))

    def divergence(self, kept: Rows) -> float:
        return gaussian_kl_from_cross_moments(self.union(kept))


def _mean_null(source: Samples, target: Samples, case: Case) -> float:
    everything = np.arange(case.n)
    values = [_GroupPairs(source[o], target, case.groups).information(everything) for o in case.shuffles]
    return float(np.mean(values))


def _score_generic(case: Case, *, measure: Measure) -> list[Row]:
    """Score a measure of the table: jackknife interval, shuffled null or halves floor, known ceiling."""
    mapped, target = case.mapped, case.target
    note = "as published (arXiv 2505.20333), not to be trusted" if measure.is_paper else None
    width = _width(case)
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
            floor = _halves_floor(case, measure)
            if case.null_mapped is not None:
                null = float(measure.function(case.null_mapped, target))
    except ShapeError as error:
        return [case.row(measure.name, None, units=measure.units, better=measure.better, note=str(error))]
    ceiling = _ceiling(measure)
    columns = {"units": measure.units, "better": measure.better, "note": note}
    return [case.row(measure.name, interval, null=null, floor=floor, ceiling=ceiling, **columns)]


def _score_classifier(case: Case) -> list[Row]:
    """Score the classifier bound: fitted once, its held-out scores drawn by document."""
    columns = {"units": "nats", "better": "lower"}
    try:
        gain, price = classifier_scores(case.mapped, case.target, groups=case.documents, seed=case.seed)
        null = None
        if case.null_mapped is not None:
            null = float(
                classifier_kl_bound(case.null_mapped, case.target, groups=case.documents, seed=case.seed)
            )
        floor = _halves_floor(case, MEASURES["kl_classifier"])
    except ShapeError as error:
        return [case.row("kl_classifier", None, note=str(error), **columns)]
    interval = bootstrap_interval(
        lambda weights: weights @ (gain - price) / weights.sum(axis=1) + 1.0,
        case.documents,
        seed=case.seed,
    )
    return [case.row("kl_classifier", interval, null=null, floor=floor, **columns)]


def _ceiling(measure: Measure) -> float | None:
    is_bounded = measure.better == "higher" and measure.high is not None and isfinite(measure.high)
    return measure.high if is_bounded else None


def _halves_floor(case: Case, measure: Measure) -> float:
    """Compute a divergence between two halves of the target's documents."""
    names = np.unique(case.groups)
    first = np.isin(case.groups, np.random.default_rng(case.seed).permutation(names)[: len(names) // 2])
    compare = measure.floor if measure.floor is not None else measure.function
    return float(compare(case.target[first], case.target[~first]))


_SPECIAL: dict[str, Callable[[Case], list[Row]]] = {
    "kl": lambda case: [score_divergence(case)],
    "kl_classifier": _score_classifier,
    "mi": _score_information,
    "mi_hybrid": _score_hybrid,
    "r2": lambda case: [score_r2(case), score_r2(case, weights="uniform")],
}

#: Every measure of an evaluation by name, in the order shown.
METRICS: dict[str, Callable[[Case], list[Row]]] = {
    name: _SPECIAL.get(name, partial(_score_generic, measure=measure)) for name, measure in MEASURES.items()
}
