"""Which probe withstands perturbed input, and when it had better stay silent, as the lines of the report's tables."""

from collections.abc import Iterable
from typing import Any

from msma.plotting.coverage import gate_name
from msma.reporting.numbers import show
from msma.reporting.robustness_tables import cell, is_told, sign_of
from msma.results import Result


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
                    "accuracy": cell(row),
                    "null": show(row.null),
                    "floor": show(row.floor),
                    "gain": cell(gain),
                    "sign": sign_of(gain) if gain is not None and is_told(gain, 0.0) else "",
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
            note = "" if row.note is None else f" ({row.note.removeprefix('0: ')})"
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
                    "aurc": cell(found.get((split, name, "aurc"))),
                    "difference": cell(difference),
                    # Less risk is better.
                    "sign": ""
                    if difference is None or not is_told(difference, 0.0)
                    else "worse"
                    if sign_of(difference) == "better"
                    else "better",
                    "cells": [cell(found.get((split, name, metric))) for metric in coverages],
                }
            )
        areas = [row for row in gates if row.split == split and row.metric == "aurc"]
        beside = "" if not areas else f"no gate {show(areas[0].null)}, a perfect one {show(areas[0].floor)}"
        groups.append({"title": split or "", "beside": beside, "lines": lines})
    return {"heads": [f"Right of {m.rpartition('_')[2]}%" for m in coverages], "groups": groups}


def _unique(names: Iterable[str | None]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name is not None]
