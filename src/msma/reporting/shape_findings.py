"""What the data say about each scale's shape, contents and neighbours, in sentences chosen by rules."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from msma._types import SCALES
from msma.plotting.words import wording
from msma.reporting.map_findings import find_row, is_apart
from msma.reporting.numbers import begin, join_words, show, show_interval, show_share
from msma.results import Result, Row

#: Relative change over neighbourhood sizes from which a dimension is called dependent on them.
_CLEAR_CHANGE = 0.25

#: What joins the labels of one text.
_PART = " · "


def rank_scales(rows: Sequence[Row]) -> tuple[Row, bool]:
    """Return the row with the highest value, and whether its interval lies above all others.

    Args:
        rows: One row a scale, each with a value.

    Returns:
        The row, and whether it stands apart.
    """
    ranked = sorted(rows, key=lambda row: -(row.value or 0.0))
    return ranked[0], all(is_apart(ranked[0], row) for row in ranked[1:])


def _by_scale(result: Result, metric: str) -> list[Row]:
    rows = [find_row(result, metric, target=scale) for scale in SCALES]
    return [row for row in rows if row is not None]


def title_spectra(manifold: Result) -> str:
    """Say which scale spreads its variance over most directions.

    Args:
        manifold: The table of shapes.

    Returns:
        A title.
    """
    rows = _by_scale(manifold, "participation_ratio")
    if len(rows) < 2:
        return "How the variance of each scale is spread over directions"
    top, is_clear = rank_scales(rows)
    others = join_words([f"{show(row.value)} ({row.target})" for row in rows if row is not top])
    if is_clear:
        return (
            f"The {top.target} scale spreads its variance over most directions: participation ratio "
            f"{show_interval(top)}, against {others}"
        )
    everything = join_words([f"{show_interval(row)} ({row.target})" for row in rows])
    return f"No scale clearly spreads its variance over most directions: participation ratios {everything}"


def title_shapes(manifold: Result) -> str:
    """Say at which scale states are longest and most evenly spread, as far as intervals tell.

    Args:
        manifold: The table of shapes.

    Returns:
        A title.
    """
    parts = []
    for metric, high in (("isotropy", "spread most evenly over directions"), ("mean_norm", "longest")):
        rows = _by_scale(manifold, metric)
        if len(rows) < 2:
            continue
        top, is_clear = rank_scales(rows)
        others = ", ".join(f"{row.target} {show(row.value)}" for row in rows if row is not top)
        name = wording(metric).title.lower()
        if is_clear:
            parts.append(f"states are {high} at the {top.target} scale ({name} {show(top.value)}; {others})")
        else:
            parts.append(f"no scale is clearly ahead in {name}")
    return begin("; ".join(parts)) or "The shape of each scale in numbers"


def title_dimensions(dimensions: Mapping[str, Mapping[str, Sequence[float | int]]]) -> str:
    """Say whether the estimated dimension depends on the size of the neighbourhood.

    Args:
        dimensions: By scale: ``neighbours`` and ``mle``.

    Returns:
        A title.

    Examples:
        >>> title_dimensions({"local": {"neighbours": [5, 50], "mle": [12.1, 11.9]}})
        'About 12 dimensions (local) at every neighbourhood size'
    """
    spans = {}
    for scale, curve in dimensions.items():
        values = [float(v) for v in curve["mle"]]
        if values:
            spans[scale] = (values[0], values[-1], max(values) / max(min(values), 1e-9) - 1.0, values)
    if not spans:
        return "Too few texts to estimate the dimension at any neighbourhood size"
    scale, (first, last, change, _) = max(spans.items(), key=lambda item: item[1][2])
    if change > _CLEAR_CHANGE:
        verb = "falls" if last < first else "changes"
        sizes = dimensions[scale]["neighbours"]
        return (
            f"The estimated dimension {verb} with the neighbourhood, from {show(first)} at {sizes[0]} neighbours "
            f"to {show(last)} at {sizes[-1]} ({scale} scale): no single number describes it"
        )
    each = [f"{show(float(np.mean(values)))} dimensions ({name})" for name, (*_, values) in spans.items()]
    return f"About {join_words(each)} at every neighbourhood size"


def title_probes(probes: Result) -> str:
    """Say which scale holds most about each label, as far as intervals tell.

    Args:
        probes: The table of probes.

    Returns:
        A title.
    """
    parts = []
    for metric in dict.fromkeys(row.metric for row in probes):
        rows = _by_scale(probes, metric)
        if not rows:
            continue
        label = wording(metric).title.removeprefix("Probe: ")
        top, is_clear = rank_scales(rows)
        numbers = f"accuracy {show_share(top.value)}"
        if top.null is not None:
            numbers += f", control {show_share(top.null)}"
        if top.null is not None and top.low is not None and top.low <= top.null:
            parts.append(f"no scale clearly holds the label “{label}” ({numbers})")
        elif is_clear and len(rows) > 1:
            parts.append(f"the label “{label}” is easiest to read at the {top.target} scale ({numbers})")
        else:
            level = [row.target or "" for row in rows if row is top or not is_apart(row, top)]
            where = f"the {join_words(level)} scales alike" if len(level) > 1 else f"the {level[0]} scale"
            parts.append(f"the label “{label}” is read at {where} ({numbers})")
    return begin("; ".join(parts))


def relative_error(clouds: Mapping[str, Any], target: str) -> float | None:
    """Compute the root mean squared distance from mapped to true position over the cloud's own spread.

    Args:
        clouds: The clouds file.
        target: Scale mapped to.

    Returns:
        0 when every sample lands on its target, 1 when the middle of the cloud would do as well; ``None``
        where nothing was mapped there.

    Examples:
        >>> relative_error({"points": {"local": [[0, 0], [2, 0]]}, "mapped": {"local": [[0, 0], [2, 0]]}}, "local")
        0.0
    """
    if not clouds["mapped"].get(target):
        return None
    true = np.asarray(clouds["points"][target], dtype=np.float64)
    missed = np.asarray(clouds["mapped"][target], dtype=np.float64) - true
    spread = float(((true - true.mean(axis=0)) ** 2).sum())
    return float(np.sqrt((missed**2).sum() / spread)) if spread > 0 else None


def title_clouds(clouds: Mapping[str, Any]) -> str:
    """Say how close the maps land, in the plane shown.

    Args:
        clouds: The clouds file.

    Returns:
        A title.
    """
    errors = [(scale, relative_error(clouds, scale)) for scale in SCALES]
    known = [(scale, error) for scale, error in errors if error is not None]
    if not known:
        return "The three scales of the same texts, side by side in one plane"
    numbers = join_words([f"{show_share(error)} ({scale})" for scale, error in known])
    tail = f"they miss by {numbers} of the cloud's own spread"
    worst = max(error for _, error in known)
    if worst < 0.5:
        return f"In this plane, mapped texts land near their own targets: {tail}"
    if worst < 0.9:
        return f"In this plane, mapped texts land in the right region: {tail}"
    return f"In this plane, mapped texts land hardly nearer their targets than the cloud's centre: {tail}"


def title_examples(examples: Mapping[str, Any]) -> str:
    """Count how often neighbours share the label of their query, by scale.

    Args:
        examples: The examples file.

    Returns:
        A title.
    """
    queries = examples["queries"]
    if not queries:
        return "No text was long enough to look for its neighbours"
    if all(query.get("label") is None for query in queries):
        same = [len(set.intersection(*[_texts(query, scale) for scale in SCALES])) for query in queries]
        n_shown = sum(len(_texts(query, SCALES[0])) for query in queries)
        return f"{sum(same)} of {n_shown} nearest neighbours are the same text at all three scales"
    counts = []
    for scale in SCALES:
        shown = [(n, query) for query in queries for n in query["neighbours"][scale]]
        parts = [compare_labels(query.get("label"), n.get("label")) for n, query in shown]
        hits = sum(any(is_same for _, is_same in pair) for pair in parts)
        counts.append(f"{hits} of {len(shown)} ({scale})")
    has_parts = any(_PART in (query.get("label") or "") for query in queries)
    what = "share part of the query's label" if has_parts else "have the query's label"
    return f"Nearest neighbours that {what}: {join_words(counts)}"


def compare_labels(query: str | None, neighbour: str | None) -> list[tuple[str, bool]]:
    """Take a neighbour's label apart and compare each part with the query's.

    Args:
        query: Label of the query; several are joined by a middle dot.
        neighbour: Label of the neighbour.

    Returns:
        Each part with whether the query has the same in its place; empty without a label.

    Examples:
        >>> compare_labels("law · dialogue", "music · dialogue")
        [('music', False), ('dialogue', True)]
    """
    if neighbour is None:
        return []
    mine, parts = (query or "").split(_PART), neighbour.split(_PART)
    is_comparable = query is not None and len(mine) == len(parts)
    return [(part, is_comparable and part == mine[number]) for number, part in enumerate(parts)]


def _texts(query: Mapping[str, Any], scale: str) -> set[str]:
    return {neighbour["text"] for neighbour in query["neighbours"][scale]}


def describe_order(probes: Result | None) -> str:
    """Say what was learned about the idea that shallow layers are local and deep ones global.

    Args:
        probes: The table of probes, where there were labels.

    Returns:
        A sentence.
    """
    if probes is None:
        return (
            "That shallow layers are local and deep ones global is the method's hypothesis; without labels, "
            "this study does not test it."
        )
    clear, unclear = [], []
    for metric in dict.fromkeys(row.metric for row in probes):
        label = f"“{wording(metric).title.removeprefix('Probe: ')}”"
        leader = _leader(probes, metric)
        if leader is None:
            unclear.append(label)
        else:
            clear.append(f"{label} is read best at the {leader.target} scale")
    parts = [join_words(clear)] if clear else []
    parts += [f"no scale clearly leads for {join_words(unclear)}"] if unclear else []
    return (
        "That shallow layers are local and deep ones global is the method's hypothesis. Of the labels probed "
        f"below, {'; '.join(parts)}."
    )


def _leader(probes: Result, metric: str) -> Row | None:
    rows = _by_scale(probes, metric)
    if len(rows) < 2:
        return None
    top, is_clear = rank_scales(rows)
    return top if is_clear else None
