"""The rows of a certificate: every term with its estimate, interval, null and assumption."""

from math import isfinite
from typing import Any

import numpy as np

from msma.certificate.bounds import compose_errors, kl_upper_bound, resolution
from msma.certificate.case import Case
from msma.certificate.limits import Limits
from msma.certificate.lipschitz import Stretch
from msma.certificate.record import CurvePoint
from msma.errors import ShapeError
from msma.results import Row

SQUARED, LENGTH = "squared units of the states", "units of the states"
#: A document with more than this share of all error is worth a warning: limits of a mean then cover less.
_HEAVY = 0.2


def make_rows(case: Case, point: CurvePoint, *, columns: dict[str, Any]) -> list[Row]:
    """Write down every term of a mapped pair.

    Args:
        case: The mapped pair.
        point: Its bracket at the chosen blur.
        columns: What all rows share: scales, split, map, number of samples.

    Returns:
        Rows, from what is certified to what is estimated.
    """
    return [
        Row(**{**columns, **part})
        for part in (*_error_rows(case, point), *_bracket_rows(case, point), *_floor_rows(case))
    ]


def _error_rows(case: Case, point: CurvePoint) -> list[dict[str, Any]]:
    error, null, percent = case.error, case.null_error, f"{case.confidence * 100:g} %"
    sharp = resolution(error.limit)
    blur = (
        f"{point.share:g} times the target's rms spread a dimension, set by the target alone, not by any map; "
        f"{point.n_directions} of its {case.d} directions stand above it"
    )
    rows = [
        _row("kl_certified", point.certified, "nats", "lower", null=point.null),
        _row("sigma", point.sigma, LENGTH, "none", note=blur),
        _row("resolution", sharp, LENGTH, "lower", null=resolution(null.limit)),
        _row("resolution_share", sharp / case.spread, "rms spread a dimension", "lower"),
        _row("error", error.value, SQUARED, "lower", null=null.value, interval="bootstrap"),
        _row("error_certified", error.limit, SQUARED, "lower", null=null.limit),
    ]
    rows[0]["note"] = (
        f"upper limit at {percent} confidence on E||f(X) - Y||^2 / (2 sigma^2), which bounds the divergence of "
        "the smoothed laws both ways, whatever the laws; the limit needs errors of finite variance"
    )
    above = int((case.spectrum > sharp**2).sum())
    rows[2]["note"] = (
        f"smallest blur through which at most 1 nat is certified, at {percent} confidence; {above} of the "
        f"target's {case.d} directions stand above it"
    )
    rows[3]["note"] = "the resolution over the target's rms spread a dimension"
    rows[3]["null"] = resolution(null.limit) / case.spread
    rows[4] |= {"low": error.low, "high": error.high, "note": _heaviness(case)}
    rows[5]["note"] = f"one-sided upper limit at {percent}; one number for every blur at once"
    return rows


def _heaviness(case: Case) -> str:
    totals = np.bincount(np.unique(case.documents, return_inverse=True)[1], weights=case.errors)
    share = float(totals.max() / totals.sum()) if totals.sum() > 0 else 0.0
    said = f"mean over samples, limits over {len(totals)} documents"
    if share > _HEAVY:
        said += f"; one document holds {share:.0%} of all error, so limits may cover less than they say"
    return said


def _bracket_rows(case: Case, point: CurvePoint) -> list[dict[str, Any]]:
    unit = kl_upper_bound(1.0, point.sigma)
    transport = case.transport.scaled(unit)
    null_estimate, null_lower = case.smoothed(point.sigma, is_null=True)
    upper = _row("kl_upper", point.upper, "nats", "lower", null=case.null_error.value * unit)
    upper |= {"low": point.upper_low, "high": point.upper_high, "interval": "bootstrap"}
    upper["note"] = "E||f(X) - Y||^2 / (2 sigma^2) as estimated; any law (joint convexity)"
    gaussian = _row("kl_upper_gaussian", transport.value, "nats", "lower", null=case.null_transport * unit)
    gaussian |= {"low": transport.low, "high": transport.high, "interval": "bootstrap"}
    gaussian["note"] = (
        "squared W2 distance of Gaussian fits over 2 sigma^2: surrogate, bounds the divergence of the fits, "
        "not of the laws; biased upward by few samples"
    )
    where = "" if case.width == case.d else f" on the {case.width} leading of {case.d} directions"
    estimate = _interval_row("kl_smoothed", (point.estimate, point.estimate_low, point.estimate_high))
    estimate |= {"null": None if null_estimate is None else null_estimate.value, "interval": "jackknife"}
    estimate["note"] = (
        f"Gaussian KL of the smoothed laws{where}, corrected for sample size; assumes Gaussians"
    )
    lower = _interval_row("kl_smoothed_lower", (point.lower, point.lower_low, point.lower_high))
    lower |= {"null": None if null_lower is None else null_lower.value, "interval": "bootstrap"}
    lower["note"] = "classifier scored on unseen documents; any law, below the truth on average"
    for row in (estimate, lower):
        if row["value"] is None:
            row |= {"interval": None, "note": "too few samples or documents, or a law without density"}
    return [upper, gaussian, estimate, lower]


def _floor_rows(case: Case) -> list[dict[str, Any]]:
    names = ("information", "error_floor", "headroom")
    units, better = ("nats", SQUARED, "1"), ("none", "none", "lower")
    try:
        floor = case.floor()
    except ShapeError as error:
        note = f"not estimable: {error}"
        columns = zip(names, units, better, strict=True)
        return [_row(name, None, unit, way, note=note) for name, unit, way in columns]
    where = (
        "" if case.width == case.d else f"on the {case.width} leading of {case.d} directions of the target; "
    )
    notes = (
        f"{where}I(X; Y) {'as given' if floor.null_error is None else 'of the Gaussian copula'}; an estimate that "
        "is too low makes the floor too high",
        f"{where}distortion-rate of a Gaussian with the target's covariance at that information: surrogate, "
        "exact for Gaussian targets; the low end allows for the information's interval",
        f"{where}the map's error over the floor: 1 would be the best that any map could do, and only laws whose "
        "directions are known equally well allow it",
    )
    intervals = (floor.information, floor.error, floor.headroom)
    rows = []
    for name, unit, way, note, found in zip(names, units, better, notes, intervals, strict=True):
        row = _row(name, found.value, unit, way, note=note)
        if floor.has_intervals:
            row |= {"low": found.low, "high": found.high, "interval": found.method}
        rows.append(row)
    rows[0]["null"], rows[1]["null"] = floor.null_information, floor.null_error
    rows[2]["null"] = case.leading_error(is_null=True) / floor.error.value
    return rows


def stretch_rows(
    stretch: Stretch | None, null: Stretch | None, *, n: int, is_second: bool, columns: dict[str, Any]
) -> list[Row]:
    """Write down how much a map can stretch an error.

    Args:
        stretch: Of the map; ``None`` where it cannot be differentiated.
        null: Of its twin that learned nothing.
        n: Samples looked at.
        is_second: Whether another map leads to this one's source, whose errors it bends.
        columns: What all rows share.

    Returns:
        A row ``lipschitz``, and a row ``bend`` for a curved map that comes second.
    """
    if stretch is None:
        note = "this map cannot be differentiated, so no constant is known"
        return [Row(**columns, **_row("lipschitz", None, "1", "none", note=note))]
    other = None if null is None else null.lipschitz
    seen = f"the largest seen on {n} held-out samples, not a proof for unseen ones"
    note = (
        "spectral norm of an affine map: exact, everywhere" if stretch.is_exact else f"largest slope, {seen}"
    )
    rows = [Row(**columns, **_row("lipschitz", stretch.lipschitz, "1", "none", null=other, note=note))]
    if is_second and not stretch.is_exact:
        note = f"largest second derivative along the errors of the map before, {seen}"
        rows.append(
            Row(**columns, **_row("bend", stretch.bend, "1 / units of the states", "none", note=note))
        )
    return rows


def composed_rows(
    steps: tuple[Limits, Limits],
    carried: Limits,
    fourth: float,
    stretch: Stretch | None,
    *,
    point: CurvePoint,
    confidence: float,
    columns: dict[str, Any],
) -> list[Row]:
    """Write down what the errors of two maps guarantee for their composition.

    Args:
        steps: Errors of the two maps, with limits that hold together at ``confidence``.
        carried: Error of the first map as the second carries it on, with such a limit.
        fourth: Mean fourth power of the first map's error.
        stretch: Of the second map.
        point: The bracket of the composition at the chosen blur.
        confidence: Of all limits together.
        columns: What all rows share.

    Returns:
        Rows of the composed bounds.
    """
    joint = f"both limits hold together at {confidence * 100:g} %"
    propagated = [
        compose_errors(first, second, lipschitz=1.0)
        for first, second in ((carried.value, steps[1].value), (carried.limit, steps[1].limit))
    ]
    note = (
        "(sqrt(E||f(f_1(x)) - f(y)||^2) + sqrt(e_2))^2: the first map's error as the second map carries it on, "
        f"measured; the high end is from limits, {joint}"
    )
    rows = [_row("error_propagated", propagated[0], SQUARED, "lower", high=propagated[1], note=note)]
    if stretch is not None:
        bends = 0.5 * stretch.bend * float(np.sqrt(fourth))
        values = [
            compose_errors(first, second, lipschitz=stretch.lipschitz, bends=bends)
            for first, second in (
                (steps[0].value, steps[1].value),
                (steps[0].limit, steps[1].limit),
            )
        ]
        kind = (
            "exact" if stretch.is_exact else "the largest seen on these samples, not a proof for unseen ones"
        )
        formula = "(L sqrt(e_1) + sqrt(e_2))^2"
        if not stretch.is_exact:
            formula = "(L sqrt(e_1) + M/2 sqrt(E||f_1(x) - y||^4) + sqrt(e_2))^2"
        note = f"{formula} from the parts alone, L and M {kind}; the high end is from limits, {joint}"
        rows.append(_row("error_composed", values[0], SQUARED, "lower", high=values[1], note=note))
        bound = kl_upper_bound(values[1], point.sigma)
        note = f"error_composed's limit over 2 sigma^2: guaranteed by the parts; {joint}"
        rows.append(_row("kl_certified_composed", bound, "nats", "lower", note=note))
    return [Row(**columns, **row) for row in rows]


def _row(metric: str, value: float | None, units: str, better: str, **columns: Any) -> dict[str, Any]:
    """Give the columns of a row; what is not finite becomes ``None`` with a note."""
    row = {"metric": metric, "value": value, "units": units, "better": better, **columns}
    for name in ("value", "null", "low", "high"):
        number = row.get(name)
        if number is not None and not isfinite(number):
            row[name] = None
            row["note"] = "; ".join(str(p) for p in (row.get("note"), f"not finite: {name}") if p)
    return row


def _interval_row(metric: str, ends: tuple[float | None, float | None, float | None]) -> dict[str, Any]:
    value, low, high = ends
    return {**_row(metric, value, "nats", "lower"), "low": low, "high": high}
