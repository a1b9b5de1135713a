"""Certify an alignment on texts it never saw."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from msma._types import Pair
from msma._version import __version__
from msma.alignment import Alignment
from msma.certificate.bounds import check_sigma
from msma.certificate.case import Case
from msma.certificate.floor import Information
from msma.certificate.limits import check_confidence, mean_limits
from msma.certificate.lipschitz import Stretch, measure_stretch
from msma.certificate.record import Certificate, CurvePoint
from msma.certificate.terms import composed_rows, make_rows, stretch_rows
from msma.errors import CorpusError
from msma.progress import progress
from msma.resampling import group_documents, shuffle_documents
from msma.results import Result, Row
from msma.states import HiddenStates

#: Blurs of the curve, over the target's rms spread a dimension.
SHARES: tuple[float, ...] = tuple(float(10 ** (power / 4)) for power in range(-4, 7))
#: As much noise as signal: the blur's total variance is the target's.
CHOSEN = 1.0
#: Above this many samples a seeded part of them is scored, the same as in an evaluation.
_MOST_SAMPLES = 5000
_FEWEST_SAMPLES = 20
_FEWEST_DOCUMENTS = 8


def certify(
    alignment: Alignment,
    held_out: HiddenStates,
    *,
    sigmas: Sequence[float] | None = None,
    sigma: float = CHOSEN,
    confidence: float = 0.95,
    information: Information | None = None,
    n_groups: int = 20,
    seed: int = 0,
) -> Certificate:
    r"""Bound from both sides how far the law of each mapped scale is from the target's, on held-out texts.

    Seen through a blur of N(0, sigma^2 I), the two laws differ by at most

    .. math:: KL(P_{f(X)} * N \,\|\, P_Y * N) \le \frac{E\|f(X) - Y\|^2}{2\sigma^2}

    nats (joint convexity; docs/certificate.md has the proof). What is certified is the upper confidence limit of
    the right side. Beside it stand the tighter bound of Gaussian fits, an estimate of the divergence itself, a
    lower bound from a classifier, the least error that any map could reach, and for the composition of two maps
    what the parts guarantee. Every number has its null: a map fitted on shuffled pairs.

    Args:
        alignment: A fitted alignment.
        held_out: States of texts that took no part in fitting.
        sigmas: Blurs of the curve, over the target's rms spread a dimension; 0.1 to 32 when left out.
        sigma: The blur the rows are for, in the same units; 1 is as much noise as signal.
        confidence: Coverage of every certified limit, each for itself.
        information: Takes source and target samples and returns their mutual information in nats; the
            bias-corrected Gaussian copula's when left out.
        n_groups: Groups of documents the jackknife leaves out one at a time.
        seed: Fixes groups, noise and draws.

    Returns:
        Rows, the curve over the blur, and both in sentences.

    Raises:
        ConfigError: When a blur is not above 0 or ``confidence`` is not between 0 and 1.
        CorpusError: When texts were fitted on, or are too few.
        OriginError: When the states come from another model.

    Examples:
        >>> from msma.scales import ScalePartition
        >>> rng = np.random.default_rng(0)
        >>> z, noise = rng.normal(size=(2, 500, 3))
        >>> states = HiddenStates.from_arrays(np.stack([z, z + noise, z]))
        >>> train, _, test = states.split()
        >>> alignment = Alignment().fit(train, ScalePartition.thirds(3))
        >>> certificate = certify(alignment, test, sigmas=[1.0])
        >>> error = certificate.row("error", source="global", target="intermediate")
        >>> error.low < 3 < error.high  # what the noise leaves
        True
    """
    shares = sorted({*(SHARES if sigmas is None else (float(s) for s in sigmas)), float(sigma)})
    for share in shares:
        check_sigma(share)
    check_confidence(confidence)
    alignment.check_origin(held_out)
    _check_texts(alignment, held_out)
    if held_out.n_samples > _MOST_SAMPLES:
        kept = np.random.default_rng(seed).choice(held_out.n_samples, _MOST_SAMPLES, replace=False)
        held_out = held_out.subset(np.sort(kept), part=held_out.part)
    cases = _make_cases(
        alignment, held_out, confidence=confidence, information=information, n_groups=n_groups, seed=seed
    )
    rows: list[Row] = []
    curve: list[CurvePoint] = []
    for pair, case in progress(list(cases.items()), label="certificate"):
        points = [case.point(share, is_chosen=share == sigma) for share in shares]
        chosen = next(point for point in points if point.is_chosen)
        columns = _columns(alignment, held_out, pair)
        rows += make_rows(case, chosen, columns=columns)
        rows += _map_rows(alignment, cases, pair, chosen, columns)
        curve += points
    provenance = _provenance(alignment, held_out, confidence=confidence, seed=seed)
    return Certificate(Result("certificate", tuple(rows), provenance), tuple(curve), confidence)


def _check_texts(alignment: Alignment, held_out: HiddenStates) -> None:
    seen = alignment.count_seen(held_out)
    if seen:
        raise CorpusError(
            f"{seen} of {held_out.n_samples} samples to be certified on were fitted on; "
            "give held-out states, such as states.split().test"
        )
    n_documents = len(np.unique(held_out.documents))
    if held_out.n_samples < _FEWEST_SAMPLES or n_documents < _FEWEST_DOCUMENTS:
        raise CorpusError(
            f"{held_out.n_samples} held-out samples of {n_documents} documents came; a certificate needs at "
            f"least {_FEWEST_SAMPLES} of {_FEWEST_DOCUMENTS}: give more texts or a larger test share"
        )


def _make_cases(
    alignment: Alignment,
    held_out: HiddenStates,
    *,
    confidence: float,
    information: Information | None,
    n_groups: int,
    seed: int,
) -> dict[Pair, Case]:
    scales = alignment.representation_.transform(held_out)
    mapped = alignment.transform_scales(scales)
    nulls = alignment.transform_scales(scales, is_null=True)
    groups = group_documents(held_out.documents, n_groups=n_groups, seed=seed)
    shuffle = shuffle_documents(held_out.documents, seed=seed)
    return {
        pair: Case(
            pair=pair,
            source=scales[pair[0]],
            mapped=mapped[pair],
            null_mapped=nulls[pair],
            target=scales[pair[1]],
            bases=(alignment.bases_[pair[0]], alignment.bases_[pair[1]]),
            documents=held_out.documents,
            groups=groups,
            shuffle=shuffle,
            confidence=confidence,
            seed=seed,
            information=information,
        )
        for pair in alignment.chains
    }


def _map_rows(
    alignment: Alignment, cases: dict[Pair, Case], pair: Pair, point: CurvePoint, columns: dict[str, Any]
) -> list[Row]:
    """Write the stretch of a fitted map, or what two fitted maps guarantee together."""
    steps = alignment.chains[pair]
    if len(steps) == 1:
        before = next((s[0] for s in alignment.chains.values() if len(s) > 1 and s[1] == pair), None)
        found = [_stretch(alignment, cases, pair, before, is_null=is_null) for is_null in (False, True)]
        return stretch_rows(*found, n=cases[pair].n, is_second=before is not None, columns=columns)
    first, second = (cases[step] for step in steps)
    # Two limits that are to hold together share the risk (Bonferroni).
    shared = 1 - (1 - cases[pair].confidence) / 2
    options: dict[str, Any] = {"confidence": shared, "seed": first.seed}
    carried = ((cases[pair].mapped - second.mapped) ** 2).sum(axis=1)
    return composed_rows(
        (
            mean_limits(first.errors, first.documents, **options),
            mean_limits(second.errors, first.documents, **options),
        ),
        mean_limits(carried, first.documents, **options),
        float((first.errors**2).mean()),
        _stretch(alignment, cases, steps[1], steps[0], is_null=False),
        point=point,
        confidence=cases[pair].confidence,
        columns=columns,
    )


def _stretch(
    alignment: Alignment, cases: dict[Pair, Case], pair: Pair, before: Pair | None, *, is_null: bool
) -> Stretch | None:
    """Measure how much the map of a pair stretches the errors of the map that leads to it."""
    case = cases[pair]
    # Where no map leads to its source, the map is looked at around its own inputs only.
    moved = case.source if before is None else cases[before].mapped
    maps = alignment.null_maps_ if is_null else alignment.maps_
    return measure_stretch(maps[pair], case.source, moved, seed=case.seed)


def _columns(alignment: Alignment, held_out: HiddenStates, pair: Pair) -> dict[str, Any]:
    return {
        "source": pair[0],
        "target": pair[1],
        "map": alignment.map.kind,
        "split": held_out.part or "test",
        "n": held_out.n_samples,
    }


def _provenance(
    alignment: Alignment, held_out: HiddenStates, *, confidence: float, seed: int
) -> dict[str, object]:
    return {
        "model": held_out.origin.model,
        "revision": held_out.origin.revision,
        "texts": held_out.fingerprint,
        "fitted_on_texts": alignment.origin_["texts"],
        "held_out": alignment.leak_check,
        "map": repr(alignment.map),
        "scales": str(alignment.partition_),
        "reduction": alignment.reduction,
        "is_standardised": alignment.is_standardised,
        "confidence": confidence,
        "seed": seed,
        "version": __version__,
    }
