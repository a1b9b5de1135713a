"""What a robustness audit found as the lines of the report's tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msma._types import SCALES
from msma.plotting.coverage import gate_name
from msma.plotting.detection import best_detectors, detector_lines
from msma.reporting.numbers import NOTHING, begin, show, show_interval, show_share
from msma.results import Result, Row

#: The detector that the others are the baselines of.
OURS = "residuals"
_STEPS = ((SCALES[0], SCALES[1]), (SCALES[1], SCALES[2]), (SCALES[0], SCALES[2]))
_LONGEST = 220


def perturbation_lines(perturbations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Lay out what was done to the texts.

    Args:
        perturbations: What the audit keeps of each.

    Returns:
        A line each; what it does and the note are said once a name.
    """
    lines = []
    seen: set[str] = set()
    for one in perturbations:
        original, text = cut_alike(one["example"]["original"], one["example"]["text"])
        lines.append(
            {
                "name": one["name"],
                "strength": f"{one['strength']:g}",
                "does": "" if one["name"] in seen else one["does"],
                "keeps": "yes" if one["keeps_meaning"] else "no",
                "note": "" if one["name"] in seen else begin(one.get("note") or ""),
                "edits": show(float(one["edits_per_word"])),
                "n": f"{one['n']:,}",
                "skipped": f"{one['n_skipped']:,}",
                "unchanged": f"{one['n_unchanged']:,}",
                "original": original,
                "text": text,
            }
        )
        seen.add(one["name"])
    return lines


def cut_alike(original: str, text: str, *, longest: int = _LONGEST) -> tuple[str, str]:
    """Cut two long texts to where they first differ, so that the difference is seen.

    Args:
        original: The text.
        text: The same, perturbed.
        longest: Characters kept.

    Returns:
        Both, with an ellipsis where something is left out.

    Examples:
        >>> cut_alike("one two three four", "one two threw four", longest=12)
        ('…two three f…', '…two threw f…')
        >>> cut_alike("short", "shrot")
        ('short', 'shrot')
    """
    if max(len(original), len(text)) <= longest:
        return original, text
    same = next(
        (number for number, (a, b) in enumerate(zip(original, text, strict=False)) if a != b),
        min(len(original), len(text)),
    )
    start = max(0, same - longest * 2 // 3)
    # A cut within a word would look like an edit.
    start = 0 if start == 0 else original.rfind(" ", 0, start + 1) + 1
    before = "…" if start else ""
    shown = [f"{before}{one[start : start + longest]}" for one in (original, text)]
    return tuple(  # type: ignore[return-value]
        f"{part}…" if len(one) > start + longest else part
        for part, one in zip(shown, (original, text), strict=True)
    )


def displacement_lines(displacement: Result) -> list[dict[str, Any]]:
    """Lay out how far each perturbation moves the scales and what grows from scale to scale.

    Args:
        displacement: The rows.

    Returns:
        A line a perturbation and strength; amplification that an interval tells from 1 is marked.
    """
    whole = {(row.map, row.target): row for row in displacement if _is(row, "displacement")}
    grown = {(row.map, row.source, row.target): row for row in displacement if _is(row, "amplification")}
    names = dict.fromkeys([*(name for name, _ in whole), *(name for name, *_ in grown)])
    return [
        {
            "name": name,
            "moved": [_cell(whole.get((name, scale))) for scale in SCALES],
            "grown": [
                {"text": _cell(row), "is_told": _is_told(row, 1.0)}
                for row in (grown.get((name, *step)) for step in _STEPS)
            ],
        }
        for name in names
    ]


def _is(row: Row, metric: str) -> bool:
    return row.metric == metric and row.layer is None


def _is_told(row: Row | None, null: float) -> bool:
    return (
        row is not None and row.low is not None and row.high is not None and not row.low <= null <= row.high
    )


def _cell(row: Row | None) -> str:
    return NOTHING if row is None else show_interval(row)


def detector_name(name: str) -> str:
    """Name a detector in words.

    Args:
        name: Its name in results.

    Returns:
        The words.

    Examples:
        >>> detector_name("residuals"), detector_name("mahalanobis last")
        ('scale residuals', 'Mahalanobis last layer')
    """
    return " ".join(detector_lines(name))


def detection_lines(detection: Result) -> list[dict[str, Any]]:
    """Lay out how residuals fare against the best baseline, a line an anomaly.

    Args:
        detection: The rows.

    Returns:
        Lines with AUROC, false alarms, rank and gain; empty where residuals were not compared.
    """
    found = {(row.metric, row.split, row.map): row for row in detection}
    lines = []
    for split in anomalies(detection):
        if ("auroc", split, OURS) not in found:
            continue
        others = [name for (metric, s, name) in found if metric == "auroc" and s == split and name != OURS]
        held = {(split, str(name)): found["auroc", split, name] for name in others}
        best = best_detectors(held, split)
        gain = found.get(("auroc gain", split, OURS))
        lines.append(
            {
                "anomaly": split,
                "auroc": _cell(found["auroc", split, OURS]),
                "fpr": _cell(found.get(("fpr95", split, OURS))),
                "rank": _rank(found.get(("auroc rank", split, OURS)), len(others) + 1),
                "best": " and ".join(map(detector_name, best)) or NOTHING,
                "best_auroc": _cell(held[split, best[0]]) if best else NOTHING,
                "gain": _cell(gain),
                "sign": "" if not _is_told(gain, 0.0) or gain is None else _sign(gain),
            }
        )
    return lines


def _sign(row: Row) -> str:
    return "better" if (row.value or 0.0) > 0 else "worse"


def _rank(row: Row | None, count: int) -> str:
    return NOTHING if row is None or row.value is None else f"{row.value:g} of {count}"


def anomalies(detection: Result) -> list[str]:
    """List the kinds of anomalies in the order they were tried.

    Args:
        detection: The rows.

    Returns:
        Their names.
    """
    return [str(split) for split in dict.fromkeys(row.split for row in detection if row.metric == "auroc")]


def every_detector(detection: Result, metric: str) -> dict[str, Any]:
    """Lay out one metric of every detector, a line an anomaly.

    Args:
        detection: The rows.
        metric: "auroc" or "fpr95".

    Returns:
        Heads and lines, the best of each marked; empty where the metric is not there.
    """
    rows = {
        (str(row.split), str(row.map)): row
        for row in detection
        if row.metric == metric and row.value is not None
    }
    names = list(dict.fromkeys(name for _, name in rows))
    lines = [
        {
            "anomaly": split,
            "cells": [
                {
                    "text": _cell(rows.get((split, name))),
                    "is_best": name in best_detectors(rows, split, "fpr95" if metric == "fpr95" else "auroc"),
                }
                for name in names
            ],
        }
        for split in dict.fromkeys(split for split, _ in rows)
    ]
    return {"heads": [detector_name(name) for name in names], "lines": lines} if lines else {}


def alarm_lines(detection: Result) -> list[dict[str, str]]:
    """Lay out which share of clean texts each detector flags.

    Args:
        detection: The rows.

    Returns:
        A line a detector.
    """
    return [
        {"name": detector_name(row.map or ""), "value": _shares(row), "allowed": show_share(row.ceiling)}
        for row in detection
        if row.metric == "false_alarms"
    ]


def _shares(row: Row) -> str:
    if row.low is None or row.high is None:
        return show_share(row.value)
    return f"{show_share(row.value)} [{show_share(row.low)}, {show_share(row.high)}]"


def probe_groups(probes: Result) -> list[dict[str, Any]]:
    """Lay out accuracy and gain of every probe, a group for clean texts and each perturbation.

    Args:
        probes: The rows.

    Returns:
        Groups with their lines; a gain that its interval tells from 0 is marked.
    """
    gains = {(row.split, row.map): row for row in probes if row.metric == "gain"}
    rows = [row for row in probes if row.metric == "accuracy"]
    groups = []
    for split in dict.fromkeys(row.split for row in rows):
        lines = []
        for row in rows:
            if row.split != split:
                continue
            gain = gains.get((split, row.map)) if row.target is None else None
            lines.append(
                {
                    "name": row.map or "",
                    "scale": row.target or "",
                    "accuracy": _cell(row),
                    "null": show(row.null),
                    "floor": show(row.floor),
                    "gain": _cell(gain),
                    "sign": _sign(gain) if gain is not None and _is_told(gain, 0.0) else "",
                }
            )
        groups.append({"title": split or "", "lines": lines})
    return groups


def probe_choices(probes: Result) -> list[str]:
    """Say which settings the probes were given by the validation texts.

    Args:
        probes: The rows.

    Returns:
        Sentences.
    """
    said = []
    for row in probes:
        if row.metric == "lambda":
            note = "" if row.note is None else f": {row.note.removeprefix('0: ')}"
            said.append(f"Strength of agreement between scales: {show(row.value)}{note}.")
    weights = [f"{row.target} {show(row.value)}" for row in probes if row.metric == "weight"]
    if weights:
        said.append(f"Weights of the scales in the ensemble: {', '.join(weights)}.")
    return said


def gate_groups(gates: Result) -> dict[str, Any]:
    """Lay out the gates, a group for clean texts and each perturbation.

    Args:
        gates: The rows.

    Returns:
        Heads of the coverages, and groups with lines.
    """
    found = {(row.split, row.map, row.metric): row for row in gates}
    coverages = sorted(
        {row.metric for row in gates if row.metric.startswith("accuracy_at_")},
        key=lambda metric: -float(metric.rpartition("_")[2]),
    )
    groups = []
    for split in dict.fromkeys(row.split for row in gates):
        lines = []
        for name in _unique(row.map for row in gates if row.split == split):
            difference = found.get((split, name, "aurc_difference"))
            lines.append(
                {
                    "name": gate_name(name),
                    "aurc": _cell(found.get((split, name, "aurc"))),
                    "difference": _cell(difference),
                    # Less risk is better.
                    "sign": ""
                    if difference is None or not _is_told(difference, 0.0)
                    else "worse"
                    if _sign(difference) == "better"
                    else "better",
                    "cells": [_cell(found.get((split, name, metric))) for metric in coverages],
                }
            )
        areas = [row for row in gates if row.split == split and row.metric == "aurc"]
        beside = "" if not areas else f"no gate {show(areas[0].null)}, a perfect one {show(areas[0].floor)}"
        groups.append({"title": split or "", "beside": beside, "lines": lines})
    return {"heads": [f"Right of {m.rpartition('_')[2]}%" for m in coverages], "groups": groups}


def _unique(names: Iterable[str | None]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name is not None]
