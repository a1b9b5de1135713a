"""The numbers of a certificate in plain sentences."""

from collections.abc import Sequence

from msma.results import Row, format_cell


def describe_pair(rows: Sequence[Row], *, confidence: float) -> str:
    """Say what is certified, estimated and possible for one pair.

    Args:
        rows: The rows of that pair.
        confidence: Coverage of each certified limit.

    Returns:
        A paragraph.

    Examples:
        >>> rows = [Row(metric="error_certified", value=2.0, null=8.0, source="global", target="local", n=30)]
        >>> describe_pair(rows, confidence=0.95)
        'From global to local, 30 held-out samples: the mean squared error is at most 2 (95 % confidence; 8 for \
a map that learned nothing).'
    """
    found = {row.metric: row for row in rows}
    first = rows[0]
    sentences = [
        sentence
        for write in (_say_error, _say_bracket, _say_resolution, _say_floor, _say_parts)
        if (sentence := write(found, f"{confidence * 100:g} % confidence"))
    ]
    text = " ".join(sentences)
    return f"From {first.source} to {first.target}, {first.n} held-out samples: {text}"


def _said(found: dict[str, Row], metric: str) -> str | None:
    row = found.get(metric)
    return None if row is None or row.value is None else format_cell(float(f"{row.value:.3g}"))


def _null(row: Row) -> str:
    return (
        ""
        if row.null is None
        else f"; {format_cell(float(f'{row.null:.3g}'))} for a map that learned nothing"
    )


def _say_error(found: dict[str, Row], sure: str) -> str | None:
    limit = _said(found, "error_certified")
    if limit is None:
        return None
    return f"the mean squared error is at most {limit} ({sure}{_null(found['error_certified'])})."


def _say_bracket(found: dict[str, Row], sure: str) -> str | None:
    certified, sigma = _said(found, "kl_certified"), _said(found, "sigma")
    if certified is None or sigma is None:
        return None
    note = (found["sigma"].note or "").partition("; ")[2]
    text = f"Seen through a blur of {sigma} ({note}), "
    text += (
        f"mapped and real states differ by at most {certified} nats ({sure}{_null(found['kl_certified'])})"
    )
    surrogate, estimate = _said(found, "kl_upper_gaussian"), _said(found, "kl_smoothed")
    lower = found.get("kl_smoothed_lower")
    if surrogate is not None:
        text += f", were they Gaussian by at most some {surrogate}"
    if estimate is not None:
        text += f"; the divergence itself is estimated at {estimate}"
    if lower is not None and lower.low is not None:
        shown = format_cell(float(f"{lower.low:.3g}"))
        text += (
            f"; a classifier shows at least {shown}" if lower.low > 0 else "; a classifier sees no difference"
        )
    return text + "."


def _say_resolution(found: dict[str, Row], sure: str) -> str | None:
    length, share = _said(found, "resolution"), _said(found, "resolution_share")
    if length is None or share is None:
        return None
    left = (found["resolution"].note or "").partition("; ")[2]
    return (
        f"To be certain that they differ by no more than 1 nat takes a blur of {length}, {share} times the "
        f"target's rms spread a dimension ({left})."
    )


def _say_floor(found: dict[str, Row], sure: str) -> str | None:
    floor, headroom, nats = (_said(found, name) for name in ("error_floor", "headroom", "information"))
    if floor is None or headroom is None:
        return None
    place, is_part, _ = (found["headroom"].note or "").partition(" of the target; ")
    where = f" {place}" if is_part else ""
    return (
        f"The {nats} nats of information between the two leave every map an error of at least {floor}, were the "
        f"target Gaussian; this map's is {headroom} times that{where}."
    )


def _say_parts(found: dict[str, Row], sure: str) -> str | None:
    composed, propagated = found.get("error_composed"), found.get("error_propagated")
    if propagated is None or propagated.high is None:
        return None
    text = (
        f"From its two maps alone an error of at most {format_cell(float(f'{propagated.high:.3g}'))} follows"
    )
    if composed is not None and composed.high is not None:
        text += f" ({format_cell(float(f'{composed.high:.3g}'))} if only their sizes and the slope are known)"
    return text + "."
