"""Compare two studies: scales, maps, measures and texts of two models or two checkpoints."""

import os
from collections.abc import Callable

import numpy as np

from msma._types import SCALES, Scale
from msma._version import __version__
from msma.model_comparison.matching import Common, match_sides
from msma.model_comparison.paired import compare_mapped, describe_texts
from msma.model_comparison.prediction import predict_scales
from msma.model_comparison.published import compare_boundaries, compare_tables
from msma.model_comparison.record import StudyComparison
from msma.model_comparison.sides import Side, read_sides
from msma.model_comparison.similarity import Scaled, compare_layers, compare_scales
from msma.resampling import group_documents, shuffle_documents
from msma.results import Result
from msma.states import HiddenStates

_GROUPS, _SHUFFLES = 20, 3
#: Measures that are computed anew on the common texts, so that their difference is a paired one.
_PAIRED = ("r2",)


def compare_studies(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    *,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> StudyComparison:
    """Compare two models, or two checkpoints of one, on the same texts.

    Both are folders that 'msma analyze' filled, over the same texts and unit. What is computed here is computed on
    samples that both studies held out; what each study published of itself is put side by side.

    Args:
        first: One study.
        second: The other; differences are second less first.
        seed: Fixes groups, shuffles and random signs.
        say: Told in a line each what is being done.

    Returns:
        Scales, layers, maps, measures and texts beside each other.

    Raises:
        CorpusError: When too few samples are common to both.
        OriginError: When units differ, or tokens of different tokenizers came.
        StorageError: When a folder holds no whole study.
    """
    say = say or (lambda words: None)
    say("reading both studies")
    sides = read_sides(first, second)
    common = match_sides(*sides, seed=seed)
    names = sides[0].name, sides[1].name
    documents = common.documents
    groups = group_documents(documents, n_groups=_GROUPS, seed=seed)
    orders = [shuffle_documents(documents, seed=seed + i) for i in range(_SHUFFLES)]
    partitions = sides[0].record.partition, sides[1].record.partition
    say(f"layers, on {len(documents)} samples that both held out")
    layers = compare_layers(common.test, partitions, names=names, groups=groups, orders=orders)
    say("scales, and what predicts what")
    train, test = (_represent(sides, part) for part in (common.train, common.test))
    similar, overlaps = compare_scales(test, names=names, groups=groups, orders=orders)
    predicted = predict_scales(
        train,
        test,
        train_documents=common.train[0].documents,
        names=names,
        groups=groups,
        orders=orders,
    )
    say("maps, measures and texts")
    mapped = compare_mapped(sides, test, documents=documents, groups=groups, orders=orders, seed=seed)
    records = sides[0].record, sides[1].record
    evaluations = records[0].evaluation, records[1].evaluation
    rows = [
        *compare_boundaries(sides),
        *similar,
        *layers.rows,
        *predicted,
        *mapped.rows,
        *compare_tables(sides, evaluations, without=_PAIRED),
        *compare_tables(sides, (records[0].probes, records[1].probes)),
    ]
    provenance = _provenance(sides, common, seed=seed)
    return StudyComparison(
        names=names,
        table=Result("comparison", tuple(rows), provenance),
        texts=describe_texts(common, mapped.errors, overlaps),
        similarity=tuple(tuple(None if np.isnan(v) else float(v) for v in line) for line in layers.matrix),
        boundaries=(partitions[0].boundaries, partitions[1].boundaries),
        provenance=provenance,
    )


def _represent(sides: tuple[Side, Side], states: tuple[HiddenStates, HiddenStates]) -> tuple[Scaled, Scaled]:
    one, other = (
        side.alignment.representation_.transform(part) for side, part in zip(sides, states, strict=True)
    )
    return one, other


def _provenance(sides: tuple[Side, Side], common: Common, *, seed: int) -> dict[str, object]:
    facts = [side.facts() for side in sides]
    return {
        "first": facts[0],
        "second": facts[1],
        "names": [side.name for side in sides],
        "same_weights": facts[0]["model_fingerprint"] == facts[1]["model_fingerprint"],
        "unit": sides[0].states.origin.unit,
        "texts": sides[0].record.config["texts"],
        "common_texts_fingerprint": common.test[0].fingerprint,
        "n_test": len(common.test[0]),
        "n_test_found": common.n_found,
        "n_train": len(common.train[0]),
        "n_documents": len(np.unique(common.documents)),
        "scales": {side.name: {s: _span(side, s) for s in SCALES} for side in sides},
        "seed": seed,
        "version": __version__,
    }


def _span(side: Side, scale: Scale) -> list[int]:
    layers = side.record.partition.ranges[scale]
    return [layers[0], layers[-1]]
