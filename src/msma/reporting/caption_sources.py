"""Where the numbers of each figure come from: rows, seed, what was drawn again, what the marks stand for."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from msma.plotting.words import pair_name
from msma.reporting.numbers import count_of, join_words
from msma.reporting.reading import StudyRecord
from msma.results import Row


class Source(NamedTuple):
    """Where the numbers of a figure come from.

    Args:
        rows: Those drawn.
        provenance: That of the table; its seed goes before the study's.
        over: What is left out or drawn again for the intervals.
        sample: What n counts; of the study's unit when empty.
        has_interval: Whether intervals are drawn; where they are not, that is said.
        marks: What null, floor and ceiling stand for, where they are drawn.
        note: Said about the intervals besides.
    """

    rows: tuple[Row, ...] = ()
    provenance: Mapping[str, Any] = {}
    over: str = "documents"
    sample: str = ""
    has_interval: bool = True
    marks: Mapping[str, str] = {}
    note: str = ""


def span(numbers: Iterable[int]) -> str:
    """Write one number, or the least and the most of several.

    Args:
        numbers: One or more.

    Returns:
        The text.

    Examples:
        >>> span({1224}), span({30, 8, 12})
        ('1,224', '8–30')
    """
    low, *rest = sorted(numbers)
    return f"{low:,}" if not rest else f"{low:,}–{rest[-1]:,}"


def name_split(split: str) -> str:
    """Write a split before what it holds.

    Args:
        split: Its name in results; empty for none.

    Returns:
        The word with a space after it.

    Examples:
        >>> name_split("train"), name_split("test"), name_split("")
        ('training ', 'test ', '')
    """
    return f"{'training' if split == 'train' else split} " if split else ""


_SHUFFLED = "the same number with pairs shuffled between documents"
_MAPS = {
    "null": f"{_SHUFFLED}, or of a map fitted on them",
    "floor": "the number between two halves of the target itself, the best so many samples can show",
    "ceiling": "the largest value the measure can take",
}
_PROBES = {
    "null": "a control probe of labels dealt out at random",
    "floor": "always answering with the most frequent class",
}


def list_sources(record: StudyRecord) -> dict[str, Source]:
    """List where the numbers of each figure come from.

    Args:
        record: A study.

    Returns:
        Figure: its source.
    """
    split = record.partition.provenance
    votes = split.get("n_votes")
    layers = Source(sample=_count_split(record, str(split.get("split") or "")), provenance=split)
    notes = [f"{name} {signal.note}" for name, signal in record.partition.signals.items() if signal.note]
    read = "; ".join(part for part in (layers.sample, *notes) if part)
    halves = f"shares of {votes} random halves of the documents, no intervals" if votes else ""
    shape = tuple(record.manifold)
    plain = Source(_without_ends(shape), record.manifold.provenance)
    sources = {
        "bands": layers,
        "votes": layers._replace(note=halves, sample=read),
        "similarity": layers,
        "signals": layers._replace(sample=read),
        "shapes": Source(shape, record.manifold.provenance),
        "spectra": plain,
        "dimensions": plain,
        "maps": Source(tuple(record.maps), record.maps.provenance, marks=_MAPS),
        "measures": Source(
            tuple(record.evaluation),
            record.evaluation.provenance,
            marks=_MAPS,
            note=_tell_excess(record.evaluation),
        ),
        "clouds": Source(sample=_count_cloud(record)),
    }
    if record.probes is not None:
        sources["probes"] = Source(tuple(record.probes), record.probes.provenance, marks=_PROBES)
    return {**sources, **_list_learned(record), **_list_audits(record)}


def _tell_excess(rows: Iterable[Row]) -> str:
    """Say what more information than there was means, where an estimate shows it."""
    excess = [
        pair_name(row.source, row.target)
        for row in rows
        if row.metric == "retention" and row.value is not None and row.value > 1.0
    ]
    if not excess:
        return ""
    return f"information kept above 1 ({join_words(excess)}) is error of the estimate, as no map adds any"


def _list_learned(record: StudyRecord) -> dict[str, Source]:
    sources = {}
    certificate, tuning, ablation = record.certificate, record.tuning, record.ablation
    if certificate is not None:
        shown = _rows_of(
            certificate.rows, lambda m: m.startswith(("kl_smoothed", "kl_upper", "kl_certified"))
        )
        marks = {"null": "what a map fitted on shuffled pairs is certified for"}
        note = f"certified limits hold with {certificate.confidence:.0%} confidence"
        sources["certificate"] = Source(shown, certificate.table.provenance, marks=marks, note=note)
    if tuning is not None:
        counted = f"{count_of(len(tuning.trials), 'trial')}, on validation texts"
        sources["pareto"] = Source(sample=counted, provenance=tuning.provenance)
    if ablation is not None:
        note = "of the paired difference from the full objective"
        marks = {"floor": _MAPS["floor"]}
        rows = _rows_of(ablation, lambda m: not m.endswith(("_by_seed", "_p_documents", "_p_seeds")))
        sources["ablation"] = Source(rows, ablation.provenance, marks=marks, note=note)
    return sources


def _list_audits(record: StudyRecord) -> dict[str, Source]:
    """List where the numbers of the experiment's and the audits' figures come from."""
    sources = {}
    experiment, bias, robustness = record.intervention, record.bias, record.robustness
    if experiment is not None:
        table = experiment.to_result()
        deltas = _rows_of(table, lambda m: m.endswith("_delta"))
        counted = f"n = {span({row.n for row in deltas if row.n is not None} or {0})} prompts"
        sources["dose"] = Source(deltas, experiment.provenance, "prompts", counted)
        sources["effects"] = sources["dose"]._replace(has_interval=False)
    if bias is not None and bias.associations is not None:
        tests = bias.associations.to_result()
        effects = tuple(row for row in tests if row.interval is not None)
        counted = f"{span({row.n for row in effects if row.n is not None} or {0})} words a test"
        sources["associations"] = Source(effects, tests.provenance, "words", counted, has_interval=False)
    if bias is not None and bias.location is not None:
        rows = tuple(row for row in bias.location if row.layer is not None)
        marks = {"null": "a probe of sides dealt out at random"}
        sources["bias_layers"] = Source(rows, bias.location.provenance, marks=marks)
    if bias is not None and bias.prices is not None:
        table = bias.prices.to_result()
        sources["prices"] = Source(tuple(table), table.provenance)
    if robustness is not None:
        found = {
            "displacement": (robustness.displacement, {}),
            "detection": (robustness.detection, {}),
            "robust_probes": (robustness.probes, _PROBES),
            "coverage": (robustness.gates, {"null": "accuracy on all texts", "ceiling": "a perfect gate"}),
        }
        for name, (result, marks) in found.items():
            if result is not None:
                sources[name] = Source(tuple(result), result.provenance, marks=marks)
        if "detection" in sources:
            sources["detection"] = sources["detection"]._replace(has_interval=False)
    return sources


def _rows_of(rows: Iterable[Row], is_shown: Callable[[str], bool]) -> tuple[Row, ...]:
    return tuple(row for row in rows if is_shown(row.metric))


def _without_ends(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Keep how many samples there were, without intervals that a figure does not have."""
    return tuple(Row(metric=row.metric, value=row.value, n=row.n, split=row.split) for row in rows)


def _count_split(record: StudyRecord, split: str) -> str:
    count = dict(record.provenance.get("n_samples") or {}).get(split)
    unit = str(record.provenance.get("unit") or "text")
    return f"n = {count:,} {name_split(split)}{unit}s" if isinstance(count, int) else ""


def _count_cloud(record: StudyRecord) -> str:
    unit = str(record.provenance.get("unit") or "text")
    return f"{count_of(len(record.clouds['texts']), f'test {unit}')} drawn"
