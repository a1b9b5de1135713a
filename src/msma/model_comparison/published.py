"""What two studies say of themselves, beside each other: their scales, measures and probes."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from msma._types import SCALES
from msma.model_comparison.rows import DIFFERENCE
from msma.model_comparison.sides import Side
from msma.results import Result, Row

_UNPAIRED = "the intervals are the studies' own; no paired interval is given"


def compare_boundaries(sides: tuple[Side, Side]) -> list[Row]:
    """Place the boundaries of both studies' scales in their models' depth.

    Args:
        sides: The studies.

    Returns:
        Rows ``boundary_depth``: 0 is the embedding output, 1 the last layer; ``layer`` is the layer itself.
    """
    rows = []
    for number, scale in enumerate(SCALES[1:]):
        shares = []
        for side in sides:
            partition = side.record.partition
            boundary, last = partition.boundaries[number], partition.n_layers - 1
            shares.append(boundary / last)
            rows.append(
                Row(
                    metric="boundary_depth",
                    value=shares[-1],
                    units="share of depth",
                    target=scale,
                    layer=boundary,
                    split="train",
                    map=side.name,
                    note=f"first layer of the {scale} scale, of layers 0 to {last}{_votes(side, number)}",
                )
            )
        rows.append(
            Row(
                metric="boundary_depth",
                value=shares[1] - shares[0],
                units="share of depth",
                target=scale,
                split="train",
                map=DIFFERENCE,
                note="no interval: each study's own votes say how stable its boundary is",
            )
        )
    return rows


def _votes(side: Side, number: int) -> str:
    partition = side.record.partition
    if partition.stability is None or partition.near is None:
        return ""
    return f"; {partition.stability[number]:.0%} of its votes, {partition.near[number]:.0%} within a layer"


def compare_tables(
    sides: tuple[Side, Side], tables: tuple[Result | None, Result | None], *, without: Collection[str] = ()
) -> list[Row]:
    """Put the rows beside each other that both studies published, and their difference.

    Only what was mapped is compared (not the rows of map "none"), and only what both have.

    Args:
        sides: The studies.
        tables: The same table of either; ``None`` where there is none.
        without: Metrics to leave out.

    Returns:
        Three rows for each metric and pair of scales: first, second, second less first.
    """
    if tables[0] is None or tables[1] is None:
        return []
    first, second = (_by_place(table) for table in tables if table is not None)
    rows = []
    for place, one in first.items():
        other = second.get(place)
        if other is None or one.metric in without or one.units != other.units:
            continue
        rows += [_sided(one, sides[0]), _sided(other, sides[1]), _difference(one, other, sides)]
    return rows


def _by_place(table: Result) -> dict[tuple[Any, ...], Row]:
    return {
        (row.metric, row.source, row.target, row.layer, row.split): row for row in table if row.map != "none"
    }


def _sided(row: Row, side: Side) -> Row:
    note = "; ".join(part for part in (f"map: {row.map}" if row.map else "", row.note or "") if part)
    return replace(row, map=side.name, note=note or None)


def _difference(one: Row, other: Row, sides: tuple[Side, Side]) -> Row:
    value = None if one.value is None or other.value is None else other.value - one.value
    sizes = f"n = {one.n} and {other.n}" if one.n != other.n else f"n = {one.n} each"
    lost = "; one side has no value" if value is None else ""
    apart = "; made differently, see the notes of both" if one.note != other.note else ""
    return Row(
        metric=one.metric,
        value=value,
        units=one.units,
        better=one.better,
        source=one.source,
        target=one.target,
        layer=one.layer,
        split=one.split,
        map=DIFFERENCE,
        note=f"{sides[1].name} less {sides[0].name}, {sizes}; {_UNPAIRED}{apart}{lost}",
    )
