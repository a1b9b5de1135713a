"""What a reader must know before believing a number: cut texts, projections, disagreement."""

from msma.plotting.words import pair_name, wording
from msma.reporting.numbers import begin, join_words, show
from msma.reporting.reading import StudyRecord
from msma.reporting.scale_findings import firmness
from msma.results import Row

#: What makes a row's note more than a description of the measure.
_WEIGHTY = ("leading", "infinite", "not finite", "not estimable")


def list_cautions(record: StudyRecord) -> list[str]:
    """Collect what limits this study, most weighty first.

    Args:
        record: A study.

    Returns:
        Sentences; empty where nothing stands out.
    """
    return [*_about_scales(record), *_about_reading(record), *_about_estimates(record)]


def _about_scales(record: StudyRecord) -> list[str]:
    partition = record.partition
    found = []
    unsure = [
        f"before layer {boundary}"
        for number, boundary in enumerate(partition.boundaries)
        if firmness(partition, number) == "uncertain"
    ]
    if unsure:
        found.append(
            f"The boundary {join_words(unsure)} is uncertain: fewer than three in four votes fall within a "
            "layer of it. Whatever is said about a scale depends on it."
        )
    if partition.disagreement is not None and partition.disagreement >= 1.0:
        found.append(
            f"The signals disagree: their boundaries lie {show(partition.disagreement)} layers apart on average."
        )
    if partition.signals and "attention" not in partition.signals and partition.method == "fused":
        found.append("No attention statistics were available, so attention had no vote on the boundaries.")
    return found


def _about_reading(record: StudyRecord) -> list[str]:
    known = record.provenance
    found = []
    n_cut, counts = known.get("n_truncated") or 0, known.get("n_samples") or {}
    total = sum(counts.values()) if isinstance(counts, dict) else 0
    if n_cut:
        out_of = f" of {total:,}" if total else ""
        found.append(
            f"{n_cut:,}{out_of} samples come from texts longer than the model reads at once and were cut there; "
            "what stood behind the cut is not in any number."
            if known.get("long") != "windows"
            else f"{n_cut:,}{out_of} samples come from texts that were read in windows."
        )
    if known.get("reading_note"):
        found.append(_sentence(f"About the layers: {known['reading_note']}"))
    return found


def _about_estimates(record: StudyRecord) -> list[str]:
    found = []
    excess = [
        pair_name(row.source, row.target)
        for row in record.evaluation
        if row.metric == "retention" and row.value is not None and row.value > 1.0
    ]
    if excess:
        found.append(
            f"Information kept reads above 1 for {join_words(excess)}. A map cannot add information: take it "
            "as error of the estimator, or of the projection it works on."
        )
    below = [row for row in record.evaluation if row.metric == "kl" and (row.value or 0.0) < 0.0]
    if below:
        found.append(
            "A divergence below zero is possible here: the estimate is unbiased and scatters around the truth, "
            "so it is not cut off at zero."
        )
    notes: dict[str, list[str]] = {}
    for row in record.evaluation:
        if row.note is not None and is_weighty(row):
            titles = notes.setdefault(row.note, [])
            titles += [] if wording(row.metric).title in titles else [wording(row.metric).title]
    found += [_sentence(f"{begin(join_words(_running(titles)))}: {note}") for note, titles in notes.items()]
    return found


def _running(titles: list[str]) -> list[str]:
    """Write titles as within a sentence: "Mutual information" loses its capital, "CKA" does not."""
    return [title[0].lower() + title[1:] if title[1:2].islower() else title for title in titles]


def is_weighty(row: Row) -> bool:
    """Tell whether a row's note changes how its number must be read.

    Args:
        row: A row of results.

    Returns:
        Whether it has such a note.
    """
    return row.note is not None and (row.value is None or any(sign in row.note for sign in _WEIGHTY))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
