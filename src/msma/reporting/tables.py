"""Rows of results as the lines of the report's tables."""

from collections.abc import Sequence
from typing import Any

from msma._types import COMPOSED_PAIR, PAIRS, SCALES
from msma.plotting.words import map_name, pair_name, wording
from msma.reporting.cautions import is_weighty
from msma.reporting.map_findings import Score, find_row
from msma.reporting.numbers import NOTHING, begin, join_words, show, show_interval
from msma.results import Result, Row

_DIRECTIONS = {"higher": "higher is better", "lower": "lower is better"}
_CARD_METRICS = ("r2", "kl", "retention")


def score_groups(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Group scores by measure, with what each measure is.

    Args:
        scores: Every measure before and after mapping.

    Returns:
        One group a measure: title, meaning, direction, notes, and a line for each pair.
    """
    groups = []
    for metric in dict.fromkeys(score.metric for score in scores):
        members = [score for score in scores if score.metric == metric]
        row = members[0].after
        units = "" if row.units == "1" else row.units
        notes = dict.fromkeys(s.after.note for s in members if s.after.note is not None)
        groups.append(
            {
                **_titled(metric),
                "scale": ", ".join(part for part in (units, _DIRECTIONS.get(row.better, "")) if part),
                "notes": [begin(note) for note in notes],
                "lines": [
                    {
                        "pair": score.pair,
                        "before": show_interval(score.before) if score.before is not None else NOTHING,
                        "after": show_interval(score.after),
                        "change": score.change,
                        **_references(score.after),
                    }
                    for score in members
                ],
            }
        )
    return groups


def _titled(metric: str) -> dict[str, Any]:
    words = wording(metric)
    return {"title": words.title, "meaning": words.meaning, "is_paper": words.is_paper}


def _references(row: Row) -> dict[str, str]:
    return {"null": show(row.null), "floor": show(row.floor), "ceiling": show(row.ceiling)}


def scale_table(result: Result) -> list[dict[str, Any]]:
    """Lay out rows about single scales: a line a metric, a column a scale.

    Args:
        result: Rows whose target is a scale.

    Returns:
        Lines with title, meaning, units, note and one cell a scale.
    """
    lines = []
    for metric in dict.fromkeys(row.metric for row in result):
        rows = [find_row(result, metric, target=scale) for scale in SCALES]
        known = [row for row in result if row.metric == metric]
        notes = dict.fromkeys(row.note for row in known if row.note is not None)
        lines.append(
            {
                **_titled(metric),
                "units": "" if known[0].units == "1" else known[0].units,
                "note": begin("; ".join(notes)),
                "cells": [NOTHING if row is None else show_interval(row) for row in rows],
            }
        )
    return lines


def probe_table(probes: Result) -> list[dict[str, Any]]:
    """Lay out the probes: a line a label and scale.

    Args:
        probes: The table of probes.

    Returns:
        Lines with label, scale, accuracy with interval, control, majority and what is left over the control.
    """
    lines = []
    for row in probes:
        over = None if row.value is None or row.null is None else row.value - row.null
        label = wording(row.metric).title.removeprefix("Probe: ")
        lines.append(
            {
                "label": label,
                "scale": row.target or "",
                "value": show_interval(row),
                "over": show(over),
                **_references(row),
                "n": NOTHING if row.n is None else f"{row.n:,}",
                "note": row.note or "",
            }
        )
    return lines


def map_table(maps: Result, best_map: str) -> list[dict[str, Any]]:
    """Lay out the comparison of maps: a line a pair and map, validation and test side by side.

    Args:
        maps: The comparison.
        best_map: The map that was kept.

    Returns:
        Lines with pair, map, whether it was kept, and R2 and KL on both splits with null and floor.
    """
    lines = []
    keys = dict.fromkeys((row.source, row.target, row.map) for row in maps)
    for source, target, name in keys:
        where = {"source": source, "target": target, "map": name}
        cells = []
        null = floor = None
        for metric in ("r2", "kl"):
            for split in ("validation", "test"):
                row = find_row(maps, metric, split=split, **where)
                cells.append(NOTHING if row is None else show_interval(row))
                null = row.null if row is not None and metric == "r2" else null
                floor = row.floor if row is not None and metric == "kl" else floor
        lines.append(
            {
                "pair": pair_name(source, target),
                "map": map_name(name),
                "is_best": name == best_map,
                "cells": cells,
                "null": show(null),
                "floor": show(floor),
            }
        )
    return lines


def pair_cards(evaluation: Result, best_map: str) -> list[dict[str, Any]]:
    """Pick the few numbers that head the report, for each pair.

    Args:
        evaluation: The evaluation table.
        best_map: The map evaluated.

    Returns:
        One card a pair with source, target and its numbers, each with interval and what it is held against.
    """
    cards = []
    for source, target in (*PAIRS, COMPOSED_PAIR):
        where = {"source": source, "target": target}
        numbers = []
        for metric in _CARD_METRICS:
            row = find_row(evaluation, metric, map=best_map, **where)
            if row is None:
                continue
            before = find_row(evaluation, metric, map="none", **where)
            beside = [("before mapping", before.value if before is not None else None)]
            beside += [("null", row.null), ("floor", row.floor), ("ceiling", row.ceiling)]
            numbers.append(
                {
                    "title": wording(metric).title,
                    "units": row.units if row.units == "nats" else "",
                    "value": show(row.value),
                    "interval": _bracket(row),
                    "note": row.note if is_weighty(row) else "",
                    "beside": [f"{name} {show(value)}" for name, value in beside if value is not None],
                }
            )
        if numbers:
            is_composed = (source, target) == COMPOSED_PAIR
            cards.append({"source": source, "target": target, "is_composed": is_composed, "numbers": numbers})
    return cards


def _bracket(row: Row) -> str:
    text = show_interval(row)
    return text[text.index("[") + 1 : -1].replace(", ", " to ") if "[" in text else ""


def best_words(best_map: str, maps: Result) -> str:
    """Say how the map was chosen.

    Args:
        best_map: The map that was kept.
        maps: The comparison.

    Returns:
        A sentence.
    """
    names = [map_name(name) for name in dict.fromkeys(row.map for row in maps) if name is not None]
    if len(names) < 2:
        return f"Only one map was fitted, {map_name(best_map)}."
    return (
        f"Of {len(names)} maps in closed form ({join_words(names)}), {map_name(best_map)} had the highest mean R² "
        "on the validation texts; everything else is read on test texts that took no part in any choice."
    )
