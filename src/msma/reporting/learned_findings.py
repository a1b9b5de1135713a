"""What the data say about the learned map and the certificate, in sentences chosen by rules."""

from collections.abc import Sequence
from typing import Any

from msma.certificate import Certificate
from msma.plotting.words import map_name, pair_name, wording
from msma.reporting.map_findings import find_row
from msma.reporting.numbers import NOTHING, begin, show, show_interval
from msma.results import Result, Row
from msma.tuning import Tuning


def describe_gain(gain: Result | None) -> str:
    """Say whether the learned map is kept and why.

    Args:
        gain: The table of the gain, where a learned map was asked for.

    Returns:
        One sentence; empty where none was asked for.
    """
    return "" if gain is None else str(gain.provenance["sentence"])


def gain_table(gain: Result | None) -> list[dict[str, str]]:
    """Lay out the gain: a line for each pair and for their mean.

    Args:
        gain: The table of the gain.

    Returns:
        Lines with what, on which split, the gain with its interval, and the R2 of both maps.
    """
    if gain is None:
        return []
    lines = []
    for row in gain:
        if row.metric not in ("r2_gain", "error_removed"):
            continue
        where = {"source": row.source, "target": row.target, "split": row.split}
        both = [r for r in gain if r.metric == "r2" and all(getattr(r, k) == v for k, v in where.items())]
        lines.append(
            {
                "what": "Gain in R²" if row.metric == "r2_gain" else "Share of the error removed",
                "pair": "mean over pairs" if row.source is None else pair_name(row.source, row.target),
                "split": row.split or "",
                "value": show_interval(row),
                "null": show(row.null),
                "maps": ", ".join(f"{map_name(r.map or '')} {show(r.value)}" for r in both) or NOTHING,
            }
        )
    return lines


def certificate_sections(certificate: Certificate | None) -> list[dict[str, Any]]:
    """Lay out a certificate: for each pair its sentences and a line a term.

    Args:
        certificate: The certificate.

    Returns:
        One section a pair.
    """
    if certificate is None:
        return []
    told = certificate.describe().split("\n\n")
    sections = []
    for (source, target), sentences in zip(certificate.pairs, told, strict=True):
        rows = certificate.table.where(source=source, target=target).rows
        sections.append(
            {"pair": pair_name(source, target), "sentences": sentences, "lines": [_term(row) for row in rows]}
        )
    return sections


def _term(row: Row) -> dict[str, str]:
    return {
        "term": wording(row.metric).title,
        "value": show_interval(row),
        "units": "" if row.units == "1" else row.units,
        "null": show(row.null),
        "floor": show(row.floor),
        "note": begin(row.note or ""),
    }


def title_certificate(certificate: Certificate) -> str:
    """Say in how many pairs the bracket at the chosen blur is narrow.

    Args:
        certificate: The certificate.

    Returns:
        A title.
    """
    chosen = [point for point in certificate.curve if point.is_chosen]
    worst = max(chosen, key=lambda point: point.certified)
    share = "" if worst.share == 1 else f" {show(worst.share)} times"
    return (
        f"At a blur{share} as wide as the target's spread, every mapped scale is certified to be within "
        f"{show(worst.certified)} nats of its target"
    )


def title_pareto(tuning: Tuning) -> str:
    """Say how many trials nothing beats in everything.

    Args:
        tuning: The search.

    Returns:
        A title.
    """
    closed = sum(trial.is_closed for trial in tuning.front)
    kinds = f"{len(tuning.front)} of {len(tuning.complete)} finished trials are beaten by none in everything"
    return kinds + (", the closed form among them" if closed else "")


def title_ablation(ablation: Result) -> str:
    """Say how many differences from the full objective hold.

    Args:
        ablation: The ablation.

    Returns:
        A title.
    """
    rows = [row for row in ablation if row.metric.endswith("_minus_full") and row.value is not None]
    found = sum((row.note or "").startswith("differs") for row in rows)
    return f"{found} of {len(rows)} differences from the full objective hold over documents and seeds"


def ablation_table(ablation: Result | None) -> list[dict[str, str]]:
    """Lay out an ablation: a line for each pair, arm and metric.

    Args:
        ablation: The ablation.

    Returns:
        Lines with the value, the paired difference from full with its interval, and Holm's p.
    """
    if ablation is None:
        return []
    lines = []
    ends = ("_minus_full", "_p_documents", "_p_seeds", "_by_seed")
    for row in ablation:
        if row.metric.endswith(ends):
            continue
        where = {"source": row.source, "target": row.target, "map": row.map}
        beside = {end: find_row(ablation, row.metric + end, **where) for end in ends}
        difference = beside["_minus_full"]
        probabilities = [beside[end] for end in ("_p_documents", "_p_seeds")]
        lines.append(
            {
                "pair": pair_name(row.source, row.target),
                "arm": (row.map or "").replace("_", " "),
                "metric": row.metric,
                "value": show(row.value),
                "difference": NOTHING if difference is None else show_interval(difference),
                "p": " · ".join(NOTHING if p is None else show(p.value) for p in probabilities),
            }
        )
    return lines


def search_table(tuning: Tuning | None) -> list[dict[str, Any]]:
    """Lay out the Pareto front of a search.

    Args:
        tuning: The search.

    Returns:
        A line a trial on the front: number, objectives, settings.
    """
    if tuning is None:
        return []
    return [
        {
            "number": str(trial.number),
            "values": [show(trial.values.get(name)) for name in tuning.objectives],
            "settings": "closed form"
            if trial.is_closed
            else ", ".join(f"{name} {_plain(value)}" for name, value in trial.params.items()),
        }
        for trial in tuning.front
    ]


def _plain(value: Any) -> str:
    return show(value) if isinstance(value, float) else str(value)


def confirm_sentences(rows: Sequence[Row]) -> list[str]:
    """Say what the recommended configuration reaches on the test split.

    Args:
        rows: Rows of the search's confirmation.

    Returns:
        Sentences; none where nothing was confirmed.
    """
    return [
        f"On the test split the gain in R² over the closed form is {show_interval(row)} "
        f"({(row.note or '').split('; ')[-1]})."
        for row in rows
        if row.metric == "r2_gain" and row.source is None and row.value is not None
    ]
