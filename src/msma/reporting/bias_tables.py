"""What a bias audit found as the lines of the report's tables."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from msma._types import SCALES
from msma.bias.associations import AssociationRow, AssociationTable
from msma.bias.price import Change, Price
from msma.bias.price_list import PriceList
from msma.bias.probing import Reading
from msma.plotting.associations import name_tests
from msma.plotting.words import map_name, pair_name
from msma.reporting.numbers import NOTHING, begin, show, show_interval, show_share
from msma.results import Result, Row

_SCORES: dict[str, tuple[tuple[str, str], ...]] = {
    "crows": (("crows", "CrowS-Pairs"),),
    "stereoset": (
        ("ss", "StereoSet, stereotype score"),
        ("lms", "StereoSet, language modelling score"),
        ("icat", "StereoSet, ICAT"),
    ),
    "winobias": (("winobias", "WinoBias"),),
}
_PLACES = {
    "bias_probe": "Linear probe",
    "bias_probe_new_words": "On new people",
    "bias_agreement": "Agreement",
    "bias_share": "Share of variance",
    "bias_top_direction": "First direction",
}
#: Parts of notes that say what the line's own name says.
_REPEATED = ("both kinds,", "intrasentence,", "intersentence,")
_KINDS = ("intrasentence_", "intersentence_")
_CARRIED = {"carried_cosine": "floor", "carried_variance": "null", "carried_gain": "null"}


def association_lines(table: AssociationTable) -> list[dict[str, Any]]:
    """Lay out the tests at the three scales.

    Args:
        table: The tests.

    Returns:
        A line a test and scale; empty where only layers were tested.
    """
    rows = [row for row in table.rows if row.layer is None]
    names = name_tests(rows)
    return [
        {
            "test": names[row.test],
            "is_first": number == 0 or row.test != rows[number - 1].test,
            "scale": row.scale,
            "effect": _interval(row.effect, row.low, row.high),
            "p": _p(row.p_holm),
            "floor": show(row.floor),
            "n": f"{row.n_words:,}",
            # What is said of one scale and of the next is said once.
            "note": "" if number and _said(rows[number - 1]) == _said(row) else begin(row.note or ""),
            "is_significant": row.is_significant,
        }
        for number, row in enumerate(rows)
    ]


def _said(row: AssociationRow) -> tuple[str, str | None]:
    return row.test, row.note


def location_table(location: Result) -> dict[str, Any]:
    """Lay out where the bias lives: a line a scale, a column a quantity.

    Args:
        location: Rows about scales as wholes, and about layers.

    Returns:
        Heads of the columns, and lines with cells and what the test of agreement said; empty without scale rows.
    """
    rows = {(row.metric, row.target): row for row in location if row.layer is None}
    metrics = [metric for metric in _PLACES if any(known == metric for known, _ in rows)]
    # A null that is always 0 is said once, above the table.
    with_null = [
        metric for metric in metrics if any(row.null for (known, _), row in rows.items() if known == metric)
    ]
    lines = []
    for scale in SCALES:
        if not any(target == scale for _, target in rows):
            continue
        cells = []
        for metric in metrics:
            row = rows.get((metric, scale))
            cells.append({"text": NOTHING if row is None else show_interval(row), "is_null": False})
            if metric in with_null:
                cells.append({"text": NOTHING if row is None else show(row.null), "is_null": True})
        tested = rows.get(("bias_agreement", scale))
        lines.append({"scale": scale, "cells": cells, "note": (tested.note if tested else None) or ""})
    heads = [{"name": _PLACES[metric], "has_null": metric in with_null} for metric in metrics]
    return {"heads": heads, "lines": lines} if lines else {}


def carried_lines(carried: Result) -> list[dict[str, Any]]:
    """Lay out what each map carries.

    Args:
        carried: Rows by source, target and map.

    Returns:
        A line a pair, with value and reference of each quantity.
    """
    lines = []
    for source, target, name in dict.fromkeys((row.source, row.target, row.map) for row in carried):
        found: dict[str, Row] = {
            row.metric: row for row in carried if (row.source, row.target, row.map) == (source, target, name)
        }
        cells = []
        for metric, reference in _CARRIED.items():
            row = found.get(metric)
            cells += [
                NOTHING if row is None else show_interval(row),
                NOTHING if row is None else _beside(row, getattr(row, reference)),
            ]
        notes = dict.fromkeys(
            row.note for row in found.values() if row.value is None and row.note is not None
        )
        lines.append(
            {
                "pair": pair_name(source, target),
                "map": map_name(name),
                "cells": cells,
                "note": begin("; ".join(notes)),
            }
        )
    return lines


def _beside(row: Row, reference: float | None) -> str:
    """Write a null or floor; one of nearly nothing with the decimals of its value, not as a power of ten."""
    is_tiny = reference is not None and 0 < abs(reference) < 5e-4
    return show(reference, like=row.value if is_tiny else None)


def score_groups(name: str, result: Result) -> list[dict[str, Any]]:
    """Group a test of the language model: over all and by type, in percent with 50 as the null.

    Args:
        name: The test: "crows", "stereoset" or "winobias".
        result: Its rows.

    Returns:
        A group a score: title, meaning, lines.
    """
    groups = []
    for metric, title in _SCORES[name]:
        rows = [
            row
            for row in result
            if row.units == "%"
            and (row.metric == metric or row.metric.startswith(f"{metric}_"))
            and not row.metric.removeprefix(f"{metric}_").startswith(_KINDS)
        ]
        parts = [
            [part for part in (row.note or "").split("; ") if not part.startswith(_REPEATED)] for row in rows
        ]
        if not rows:
            continue
        # What every note says belongs to the score, the rest to its line.
        shared = [part for part in parts[0] if all(part in others for others in parts)]
        groups.append(
            {
                "title": title,
                "meaning": _sentence(shared),
                "lines": [
                    {
                        "what": _part(row.metric.removeprefix(metric)),
                        "is_whole": row.metric == metric,
                        "value": show_interval(row),
                        "null": show(row.null),
                        "n": NOTHING if row.n is None else f"{row.n:,}",
                        "note": begin("; ".join(part for part in own if part not in shared)),
                    }
                    for row, own in zip(rows, parts, strict=True)
                ],
            }
        )
    return groups


def _part(name: str) -> str:
    """Write what of a test a row is about: "_type1" is "Type 1"."""
    words = re.sub(r"(?<=[a-z])(?=\d)", " ", name.strip("_")).replace("_", ", ")
    return begin(words) or "All"


def price_table(prices: PriceList) -> dict[str, Any]:
    """Lay out the price list, with only the columns that have a value.

    Args:
        prices: The list.

    Returns:
        Heads of the columns, and a line a setting, the recommended one marked.
    """
    columns = [
        (head, cell) for head, cell in _columns(prices) if any(cell(p) != NOTHING for p in prices.prices)
    ]
    chosen = prices.recommended
    return {
        "heads": [head for head, _ in columns],
        "lines": [
            {
                "scale": "" if price.is_clean else price.scale,
                "what": "as it is" if price.is_clean else method_name(price),
                "cells": [cell(price) for _, cell in columns],
                "is_best": price is chosen,
                "is_frontier": price in prices.frontier,
            }
            for price in prices.prices
        ],
    }


def _columns(prices: PriceList) -> Sequence[tuple[str, Callable[[Price], str]]]:
    task = prices.task or "task"
    return (
        ("Linear, at the output", lambda price: _reading(price.output_linear)),
        ("Non-linear, at the output", lambda price: _reading(price.output_nonlinear)),
        ("Nats a token", lambda price: _change(price, price.loss)),
        (f"Probe of {task}", lambda price: _change(price, price.task)),
        ("Linear, where erased", lambda price: _reading(price.here_linear)),
        ("Non-linear, where erased", lambda price: _reading(price.here_nonlinear)),
        ("Change of states", lambda price: NOTHING if price.is_clean else show(price.change)),
        ("Associations, d", lambda price: show(price.association)),
        ("in cosines", lambda price: show(price.difference)),
        ("CrowS-Pairs, %", lambda price: show(price.crows)),
        ("StereoSet, %", lambda price: show(price.ss)),
        ("ICAT", lambda price: show(price.icat)),
    )


def _reading(reading: Reading | None) -> str:
    if reading is None:
        return NOTHING
    return f"{show_share(reading.value)} [{show_share(reading.low)}, {show_share(reading.high)}]"


def _change(price: Price, change: Change | None) -> str:
    if change is None or price.is_clean:
        return NOTHING
    return _interval(change.value, change.low, change.high)


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    return show_interval(Row(metric="", value=value, low=low, high=high))


def method_name(price: Price) -> str:
    """Write method and strength of an erasure.

    Args:
        price: The setting.

    Returns:
        The words.
    """
    name = "LEACE" if price.method == "leace" else price.method
    return f"{name} {price.strength:g}"


def _p(value: float | None) -> str:
    return (
        NOTHING
        if value is None
        else "1"
        if value >= 0.9995
        else "<0.0001"
        if value < 1e-4
        else f"{value:.3g}"
    )


def _sentence(parts: Sequence[str]) -> str:
    """Join parts of a note; a formula keeps its names as they are."""
    text = "; ".join(parts)
    text = text if "*" in text else begin(text)
    return f"{text}." if text else ""
