"""The bias audit on a page: what it says, where the bias lives, what maps carry, what erasing it costs."""

from typing import Any

from msma._types import SCALES
from msma.bias.associations import AssociationTable
from msma.bias.price_list import PriceList
from msma.reporting.bias_folder import BiasRecord
from msma.reporting.bias_tables import (
    association_lines,
    carried_lines,
    location_table,
    method_name,
    price_table,
    score_groups,
)
from msma.reporting.numbers import count_of, join_words, show, show_share
from msma.results import Result


def describe_bias(record: BiasRecord | None) -> dict[str, Any]:
    """Collect what a page shows of a bias audit; empty where there is none.

    Args:
        record: The audit.

    Returns:
        Names the template knows.
    """
    if record is None:
        return {"bias": None}
    prices = record.prices
    return {
        "bias": {
            "concept": record.concept,
            "said": list(record.said),
            "cautions": list(record.cautions),
            "associations": [] if record.associations is None else association_lines(record.associations),
            "location": {} if record.location is None else location_table(record.location),
            "carried": [] if record.carried is None else carried_lines(record.carried),
            "scores": [
                group for name, result in record.scores.items() for group in score_groups(name, result)
            ],
            "prices": {} if prices is None else price_table(prices),
            "eraser": "" if record.eraser is None else f"{record.folder.name}/{record.eraser.name}",
            "cost_units": "" if prices is None else prices.recommended.cost_units,
        }
    }


def title_associations(table: AssociationTable) -> str:
    """Say how many tests show an association at each scale.

    Args:
        table: The tests.

    Returns:
        A title.
    """
    tests = list(dict.fromkeys(row.test for row in table.rows))
    wholes = [row for row in table.rows if row.layer is None]
    rows = wholes or list(table.rows)
    found = [
        f"{scale} {len({row.test for row in rows if row.scale == scale and row.is_significant})}"
        for scale in SCALES
        if any(row.scale == scale for row in rows)
    ]
    if not any(row.is_significant for row in rows):
        return f"None of {count_of(len(tests), 'test')} shows an association after correction"
    return f"Tests with an association after correction, of {len(tests)}: {join_words(found)}"


def title_layers(location: Result) -> str:
    """Say at which layer a probe reads most.

    Args:
        location: Where the bias lives.

    Returns:
        A title.
    """
    rows = [
        row
        for row in location
        if row.metric == "bias_probe" and row.layer is not None and row.value is not None
    ]
    if not rows:
        return "How far pairs of texts agree on one direction, by layer"
    clear = [row for row in rows if row.low is None or row.low > max(0.5, row.null or 0.0)]
    best = max(clear or rows, key=lambda row: row.value or 0.0)
    found = f"{show_share(best.value)} of texts" + (
        "" if best.null is None else f" (control {show_share(best.null)})"
    )
    if not clear:
        return f"At no layer does a linear probe clearly tell the sides apart; at best {found}"
    return f"A linear probe tells the sides apart best at layer {best.layer}: {found}"


def title_prices(prices: PriceList) -> str:
    """Say what the recommended erasure leaves and costs.

    Args:
        prices: The price list.

    Returns:
        A title.
    """
    price, clean = prices.recommended, prices.clean
    left, before = show_share(price.output_linear.value), show_share(clean.output_linear.value)
    return (
        f"With {method_name(price)} at the {price.scale} scale a linear probe at the output tells {left} of texts "
        f"apart, {before} before; it costs {show(price.cost.value)} {price.cost_units}"
    )
