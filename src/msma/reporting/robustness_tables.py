"""What a robustness audit found as the lines of the report's tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from msma._types import SCALES
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
                "does": "" if one["name"] in seen else _sentences(one["does"], one.get("note") or ""),
                "keeps": "yes" if one["keeps_meaning"] else "no",
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


def _sentences(*parts: str) -> str:
    """Write each part as a sentence of its own."""
    return " ".join(begin(part if part.endswith(".") else f"{part}.") for part in parts if part)


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
        ('…two three fo…', '…two threw fo…')
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
            "moved": [cell(whole.get((name, scale))) for scale in SCALES],
            "grown": [
                {"text": cell(row), "is_told": is_told(row, 1.0)}
                for row in (grown.get((name, *step)) for step in _STEPS)
            ],
        }
        for name in names
    ]


def _is(row: Row, metric: str) -> bool:
    return row.metric == metric and row.layer is None


def is_told(row: Row | None, null: float) -> bool:
    """Tell whether an interval tells a value from its null.

    Args:
        row: A row, or ``None``.
        null: The value where there is nothing to find.

    Returns:
        Whether there is an interval and it does not hold the null.
    """
    return (
        row is not None and row.low is not None and row.high is not None and not row.low <= null <= row.high
    )


def cell(row: Row | None) -> str:
    """Write a value with its interval.

    Args:
        row: A row, or ``None`` where there is none.

    Returns:
        The text.
    """
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
                "auroc": cell(found["auroc", split, OURS]),
                "fpr": cell(found.get(("fpr95", split, OURS))),
                "rank": _rank(found.get(("auroc rank", split, OURS)), len(others) + 1),
                "best": " and ".join(map(detector_name, best)) or NOTHING,
                "best_auroc": cell(held[split, best[0]]) if best else NOTHING,
                "gain": cell(gain),
                "sign": "" if not is_told(gain, 0.0) or gain is None else sign_of(gain),
            }
        )
    return lines


def sign_of(row: Row) -> str:
    """Say which way a difference goes where more is better.

    Args:
        row: The difference.

    Returns:
        "better" or "worse", the class of a cell.
    """
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
                    "text": cell(rows.get((split, name))),
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
