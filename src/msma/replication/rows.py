"""Rows of a replication: means over seeds, and differences with corrected p-values."""

from collections.abc import Mapping, Sequence
from typing import Any

from msma.readings import Reading
from msma.replication.closeness import BETTER, UNITS
from msma.replication.measurement import Key, Measurement
from msma.replication.statistics import Difference, mean_over_seeds
from msma.results import Row

__all__ = ["better_of", "column_name", "replication_rows", "units_of"]

_SUFFIX = {"baseline": "minus_baseline", "before": "minus_before", "frozen ridge": "minus_frozen"}


def replication_rows(
    before: Measurement, arms: Mapping[str, Mapping[int, Measurement]], differences: Sequence[Difference]
) -> list[Row]:
    """Write a replication as rows.

    Args:
        before: The model as it came.
        arms: Measurements by arm and seed.
        differences: Tested differences.

    Returns:
        For each arm, and "before", a row a quantity: the mean over seeds with its interval over documents.
        Then ``<metric>_minus_baseline``, ``_minus_before`` and ``_minus_frozen`` with null 0 and both corrected
        p-values in the note, and the same p-values as rows of their own.
    """
    rows = [_mean_row("before", key, [reading], before.n) for key, reading in before.readings.items()]
    for arm, seeds in arms.items():
        found = list(seeds.values())
        for key in dict.fromkeys(key for one in found for key in one.readings):
            readings = [one.readings[key] for one in found if key in one.readings]
            rows.append(_mean_row(arm, key, readings, before.n))
    for difference in differences:
        rows += _difference_rows(difference, before.n)
    return rows


def column_name(arm: str, key: Key) -> str:
    """Give what stands in the column ``map``: the arm, and for a pair of scales the map.

    Args:
        arm: The arm, or "before".
        key: The quantity.

    Returns:
        Such as "full: ridge".

    Examples:
        >>> column_name("full", Key("cka", "global", "local", "ridge")), column_name("full", Key("mean_norm"))
        ('full: ridge', 'full')
    """
    return arm if key.map is None else f"{arm}: {key.map}"


def _columns(arm: str, key: Key, n: int) -> dict[str, Any]:
    return {
        "source": key.source,
        "target": key.target,
        "map": column_name(arm, key),
        "units": units_of(key),
        "better": better_of(key),
        "split": "test",
        "n": n,
    }


def units_of(key: Key) -> str:
    """Give the units of a quantity.

    Args:
        key: The quantity.

    Returns:
        Such as "nats".
    """
    if key.metric.startswith(("probe_", "transfer_")):
        return "accuracy"
    if key.metric in ("effective_rank", "participation_ratio"):
        return "dimensions"
    return "nats" if key.metric == "nats_a_token" else UNITS.get(key.metric, "1")


def better_of(key: Key) -> str:
    """Tell which way a quantity is better.

    Args:
        key: The quantity.

    Returns:
        "higher", "lower" or "none".
    """
    if key.metric.startswith(("probe_", "transfer_")):
        return "higher"
    if key.metric == "nats_a_token":
        return "lower"
    return BETTER.get(key.metric, "higher" if key.source is not None and key.map is not None else "none")


def _mean_row(arm: str, key: Key, readings: Sequence[Reading], n: int) -> Row:
    found = mean_over_seeds(readings)
    note = next((reading.note for reading in readings if reading.note), None)
    if found is None:
        return Row(metric=key.metric, value=None, note=note, **_columns(arm, key, n))
    interval, spread = found
    nulls = [reading.null for reading in readings if reading.null is not None]
    count = f"{len(readings)} seeds, standard deviation {spread:.2g}" if len(readings) > 1 else None
    return Row(
        metric=key.metric,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        null=sum(nulls) / len(nulls) if nulls else None,
        interval=interval.method,
        note="; ".join(part for part in (count, note) if part) or None,
        **_columns(arm, key, n),
    )


def _difference_rows(difference: Difference, n: int) -> list[Row]:
    key = difference.key
    name = f"{key.metric}_{_SUFFIX[difference.against]}"
    columns = _columns(difference.arm, key, n)
    seeds = difference.seeds
    over = "one seed" if seeds.low is None else f"over seeds {seeds.low:.4g} to {seeds.high:.4g}"
    rows = [
        Row(
            metric=name,
            value=difference.documents.value,
            low=difference.documents.low,
            high=difference.documents.high,
            null=0.0,
            interval="jackknife",
            note=f"{'differs' if difference.holds else 'no difference shown'}; {over}",
            **columns,
        )
    ]
    for side, p, raw in (
        ("documents", difference.p_documents, difference.documents.p),
        ("seeds", difference.p_seeds, seeds.p),
    ):
        if p is not None and raw is not None:
            note = f"Holm over the family; {raw:.3g} alone"
            placed = {**columns, "units": "probability", "better": "none"}
            rows.append(Row(metric=f"{name}_p_{side}", value=p, note=note, **placed))
    return rows
