"""Score an alignment on texts it never saw: every measure with its interval, null, floor and ceiling."""

from collections.abc import Sequence

import numpy as np

from msma._types import PAIRS, Pair
from msma._version import __version__
from msma.alignment import Alignment
from msma.errors import ConfigError, CorpusError
from msma.maps import MAPS
from msma.progress import progress
from msma.resampling import group_documents, shuffle_documents
from msma.results import Result, Row
from msma.scales import Reduction, ScalePartition
from msma.scoring import METRICS, Case, score_case, score_divergence, score_r2
from msma.states import HiddenStates, Splits

#: Above this many samples a seeded part of them is scored: pairwise measures grow with the square.
_MOST_SAMPLES = 5000
_FEWEST_SAMPLES = 20
_FEWEST_DOCUMENTS = 8


def evaluate(
    alignment: Alignment,
    held_out: HiddenStates,
    *,
    metrics: Sequence[str] | None = None,
    n_groups: int = 20,
    n_shuffles: int = 3,
    seed: int = 0,
) -> Result:
    """Measure how well each scale maps onto the next on held-out texts.

    Every measure is taken before mapping (map "none": the source representation as it is) and after, for the
    fitted pairs and their composition. Beside each value stand a 95 % interval over documents, the null
    (pairs shuffled between documents; for divergences, which cannot see pairs, a map fitted on shuffled
    pairs), the noise floor of divergences (two halves of the target) and the ceiling of similarities.

    Args:
        alignment: A fitted alignment.
        held_out: States of texts that took no part in fitting.
        metrics: Names of the measures; all when left out.
        n_groups: Groups of documents the jackknife leaves out one at a time.
        n_shuffles: Shuffles averaged into a null.
        seed: Fixes groups, halves, shuffles and draws.

    Returns:
        Tidy rows; see :class:`msma.results.Row`.

    Raises:
        ConfigError: When a metric is unknown.
        CorpusError: When texts were fitted on, or are too few.
        OriginError: When the states come from another model.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=(300, 3))
        >>> states = HiddenStates.from_arrays(np.stack([z, z + 1, 2 * z]))
        >>> train, _, test = states.split()
        >>> alignment = Alignment().fit(train, ScalePartition.thirds(3))
        >>> scores = evaluate(alignment, test, metrics=["r2"])
        >>> round(scores.value("r2", source="global", target="local", map="ridge"), 3)
        1.0
    """
    chosen = tuple(METRICS) if metrics is None else tuple(metrics)
    for name in chosen:
        if name not in METRICS:
            raise ConfigError(f"metric '{name}' came; expected one of {', '.join(METRICS)}")
    alignment.check_origin(held_out)
    _check_unseen(alignment, held_out)
    _check_enough(held_out)
    if held_out.n_samples > _MOST_SAMPLES:
        kept = np.random.default_rng(seed).choice(held_out.n_samples, _MOST_SAMPLES, replace=False)
        held_out = held_out.subset(np.sort(kept), part=held_out.part)
    cases = _make_cases(alignment, held_out, n_groups=n_groups, n_shuffles=n_shuffles, seed=seed)
    work = [(case, name) for case in cases for name in chosen]
    rows: list[Row] = []
    for case, name in progress(work, label="measures"):
        rows += score_case(case, name)
    return Result("evaluation", tuple(rows), _provenance(alignment, held_out, seed))


def _check_unseen(alignment: Alignment, held_out: HiddenStates) -> None:
    seen = alignment.count_seen(held_out)
    if seen:
        raise CorpusError(
            f"{seen} of {held_out.n_samples} samples to be scored were fitted on; "
            "give held-out states, such as states.split().test"
        )


def _check_enough(held_out: HiddenStates) -> None:
    n_documents = len(np.unique(held_out.documents))
    if held_out.n_samples < _FEWEST_SAMPLES or n_documents < _FEWEST_DOCUMENTS:
        raise CorpusError(
            f"{held_out.n_samples} held-out samples of {n_documents} documents came; scoring needs at least "
            f"{_FEWEST_SAMPLES} of {_FEWEST_DOCUMENTS}: give more texts or a larger test share"
        )


def _make_cases(
    alignment: Alignment, held_out: HiddenStates, *, n_groups: int, n_shuffles: int, seed: int
) -> list[Case]:
    scales = alignment.representation_.transform(held_out)
    mapped = alignment.transform_scales(scales)
    nulls = alignment.transform_scales(scales, is_null=True)
    groups = group_documents(held_out.documents, n_groups=n_groups, seed=seed)
    shuffles = tuple(shuffle_documents(held_out.documents, seed=seed + i) for i in range(n_shuffles))
    name = alignment.map.kind
    cases = []
    for pair in alignment.chains:
        for map_name, output, null in (("none", scales[pair[0]], None), (name, mapped[pair], nulls[pair])):
            cases.append(
                Case(
                    pair=pair,
                    map=map_name,
                    source=scales[pair[0]],
                    mapped=output,
                    fitted=mapped[pair],
                    target=scales[pair[1]],
                    null_mapped=null,
                    bases=(alignment.bases_[pair[0]], alignment.bases_[pair[1]]),
                    documents=held_out.documents,
                    groups=groups,
                    shuffles=shuffles,
                    split=held_out.part or "test",
                    seed=seed,
                )
            )
    return cases


def _provenance(alignment: Alignment, held_out: HiddenStates, seed: int) -> dict[str, object]:
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
        "seed": seed,
        "version": __version__,
    }


def compare_maps(
    splits: Splits,
    scales: ScalePartition,
    *,
    names: Sequence[str],
    pairs: Sequence[Pair] = PAIRS,
    reduction: Reduction = "mean",
    is_standardised: bool = False,
    seed: int = 0,
) -> Result:
    """Fit every named map on the training split and score it on validation and test.

    Args:
        splits: States divided by document.
        scales: Which layers belong to which scale.
        names: Names of maps, as in ``msma.maps.MAPS``.
        pairs: Pairs of scales, source first.
        reduction: "mean" of a scale's layers, or its "last" layer.
        is_standardised: Whether layers are brought to equal spread first.
        seed: Fixes shuffles, halves and draws.

    Returns:
        Rows ``r2`` and ``kl`` for each map, pair and split; the validation rows are for choosing, the test
        rows for showing.

    Raises:
        ConfigError: When a name is unknown.
        CorpusError: When a part is too small to be scored.
    """
    for name in names:
        if name not in MAPS:
            raise ConfigError(f"map '{name}' came; expected one of {', '.join(MAPS)}")
    _check_enough(splits.validation)
    _check_enough(splits.test)
    rows: list[Row] = []
    for name in progress(names, label="maps"):
        alignment = Alignment(
            MAPS[name](), pairs=pairs, reduction=reduction, is_standardised=is_standardised, seed=seed
        ).fit(splits.train, scales)
        for part in (splits.validation, splits.test):
            for case in _make_cases(alignment, part, n_groups=10, n_shuffles=1, seed=seed):
                if case.map != "none":
                    rows += [score_r2(case), score_divergence(case)]
    return Result("maps", tuple(rows), {"model": splits.train.origin.model, "seed": seed})
