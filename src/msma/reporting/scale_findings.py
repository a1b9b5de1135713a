"""What the data say about the scales, in sentences chosen by rules."""

from itertools import pairwise

import numpy as np

from msma._types import SCALES
from msma.plotting.words import SIGNAL_NAMES
from msma.reporting.numbers import begin, join_words, show, show_layers, show_share
from msma.scales.partition import ScalePartition, Signal

#: Share of votes from which a boundary is called firm.
_FIRM = 0.75
#: Difference in similarity, or relative change of a profile, from which it is called one.
_CLEAR_SIMILARITY, _CLEAR_CHANGE = 0.05, 0.1


def describe_partition(partition: ScalePartition) -> str:
    """Say which layers are which scale.

    Args:
        partition: The three scales.

    Returns:
        A sentence.

    Examples:
        >>> describe_partition(ScalePartition.thirds(7))
        'Layers 0–2 are the local scale, layers 3–4 the intermediate scale and layers 5–6 the global scale.'
    """
    first, *others = [(show_layers(partition[scale]), scale) for scale in SCALES]
    verb = "is" if len(partition["local"]) == 1 else "are"
    parts = [f"{begin(first[0])} {verb} the {first[1]} scale"]
    parts += [f"{layers} the {scale} scale" for layers, scale in others]
    return f"{join_words(parts)}."


def firmness(partition: ScalePartition, number: int) -> str:
    """Say how sure one boundary is.

    Args:
        partition: The three scales.
        number: 0 for the first boundary, 1 for the second.

    Returns:
        "firm", "firm to within one layer", "uncertain", or "not tested" where nobody voted.
    """
    if partition.stability is None or partition.near is None:
        return "not tested"
    if partition.stability[number] >= _FIRM:
        return "firm"
    return "firm to within one layer" if partition.near[number] >= _FIRM else "uncertain"


def describe_firmness(partition: ScalePartition) -> str:
    """Say how sure both boundaries are, with the votes.

    Args:
        partition: The three scales.

    Returns:
        One or two sentences.

    Examples:
        >>> describe_firmness(ScalePartition.thirds(7))
        'The layers were divided into thirds; nothing here tests whether that suits the model.'
    """
    if partition.stability is None or partition.near is None:
        how = "divided into thirds" if partition.method == "thirds" else f"divided {partition.method}"
        return f"The layers were {how}; nothing here tests whether that suits the model."
    parts = []
    for number, boundary in enumerate(partition.boundaries):
        share, near = show_share(partition.stability[number]), show_share(partition.near[number])
        votes = f"{share} of the votes exactly there, {near} within one layer"
        parts.append(f"the boundary before layer {boundary} is {firmness(partition, number)} ({votes})")
    return f"{begin(join_words(parts))}."


def title_bands(partition: ScalePartition, published: ScalePartition | None) -> str:
    """Say the finding of the bands.

    Args:
        partition: The three scales.
        published: The paper's, where there is one.

    Returns:
        A title.

    Examples:
        >>> title_bands(ScalePartition.thirds(7), ScalePartition.thirds(7))
        'Three bands: layers 0–2, layers 3–4 and layers 5–6, exactly as published'
    """
    title = f"Three bands: {join_words([show_layers(partition[scale]) for scale in SCALES])}"
    if published is None:
        return title
    gaps = [abs(a - b) for a, b in zip(partition.boundaries, published.boundaries, strict=True)]
    if max(gaps) == 0:
        return f"{title}, exactly as published"
    unit = "layer" if max(gaps) == 1 else "layers"
    return f"{title}; the published boundaries lie up to {max(gaps)} {unit} away"


def title_votes(partition: ScalePartition) -> str:
    """Say whether the signals agree, and whether resampling does.

    Args:
        partition: The three scales, found by at least one signal.

    Returns:
        A title.
    """
    signals = list(partition.signals.values())
    levels = {firmness(partition, number) for number in (0, 1)}
    if levels == {"uncertain"}:
        tail = ", but both boundaries are choices among several that the votes support nearly as well"
    elif "uncertain" in levels:
        tail = ", but one boundary is a choice among several that the votes support nearly as well"
    else:
        tail = ", and random halves of the documents bear it out"
    if len(signals) == 1:
        return f"{begin(_cut(signals[0]))}{tail}"
    if len({signal.boundaries for signal in signals}) == 1:
        first, second = signals[0].boundaries
        who = "Both" if len(signals) == 2 else f"All {len(signals)}"
        return f"{who} signals put the boundaries before layers {first} and {second}{tail}"
    odd = [signal for signal in signals if signal.boundaries != partition.boundaries]
    apart = (
        f"; they lie {show(partition.disagreement)} layers apart on average" if partition.disagreement else ""
    )
    if len(odd) == len(signals):
        return f"The signals disagree, and none alone would choose these boundaries{apart}"
    return f"The signals do not all agree: {join_words([_cut(signal) for signal in odd])}{apart}"


def _cut(signal: Signal) -> str:
    first, second = signal.boundaries
    return f"{SIGNAL_NAMES.get(signal.name, signal.name)} alone cuts before layers {first} and {second}"


def neighbour_similarity(similarity: np.ndarray, boundaries: tuple[int, int]) -> tuple[float, float]:
    """Average the similarity of neighbouring layers within scales, and across the two boundaries.

    Neighbours only: layers further apart are less alike whatever the boundaries, and would flatter any cut.

    Args:
        similarity: Similarity of all pairs of layers.
        boundaries: First layer of the intermediate and of the global scale.

    Returns:
        Within and across; NaN within where every scale has a single layer.

    Examples:
        >>> neighbour_similarity(np.array([[1, 0.9, 0, 0], [0.9, 1, 0.4, 0], [0, 0.4, 1, 0.2], [0, 0, 0.2, 1]]), (2, 3))
        (0.9, 0.30000000000000004)
    """
    steps = np.diagonal(np.asarray(similarity, dtype=np.float64), offset=1)
    across = [boundary - 1 for boundary in boundaries]
    within = np.delete(steps, across)
    return float(within.mean()) if len(within) else float("nan"), float(steps[across].mean())


def title_similarity(partition: ScalePartition, similarity: np.ndarray) -> str:
    """Say whether layers are more alike within a scale than across its boundary.

    Args:
        partition: The three scales.
        similarity: Similarity of all pairs of layers.

    Returns:
        A title.
    """
    within, across = neighbour_similarity(similarity, partition.boundaries)
    if not np.isfinite(within):
        return f"Neighbouring layers across a boundary are {show(across)} similar; no scale has two layers"
    numbers = f"{show(across)} against {show(within)}"
    if within - across >= _CLEAR_SIMILARITY:
        return f"Neighbouring layers are less alike across a boundary than within a scale: {numbers}"
    if within >= across:
        return f"Neighbouring layers are hardly less alike across a boundary than within a scale: {numbers}"
    return f"The boundaries do not stand out in similarity: {numbers} within a scale"


def title_signals(partition: ScalePartition) -> str:
    """Say how attention reach and shared information change with depth.

    Args:
        partition: The three scales.

    Returns:
        A title.
    """
    parts = []
    attention = partition.signals.get("attention")
    if attention is not None and attention.profile.get("distance"):
        parts.append(_say_reach(partition, list(attention.profile["distance"])))
    information = partition.signals.get("information")
    if information is not None and information.profile.get("mi"):
        values = list(information.profile["mi"])
        lowest = int(np.argmin(values))
        parts.append(f"neighbouring layers share least between layers {lowest} and {lowest + 1}")
    return begin("; ".join(parts))


def _say_reach(partition: ScalePartition, distance: list[float]) -> str:
    # Attention belongs to blocks 1..N, so its first value stands at layer 1.
    at = dict(enumerate(distance, start=1))
    means = {}
    for scale in ("local", "global"):
        values = [at[layer] for layer in partition[scale] if layer in at]
        means[scale] = float(np.mean(values or [distance[0]]))
    low, high = means["local"], means["global"]
    numbers = (
        f"{show_share(high)} of what even attention would reach at the global scale, "
        f"{show_share(low)} at the local"
    )
    if high > low * (1 + _CLEAR_CHANGE):
        return f"attention reaches further in deep layers ({numbers})"
    if high < low * (1 - _CLEAR_CHANGE):
        return f"attention reaches less far in deep layers ({numbers})"
    return f"attention reaches about as far in deep layers as in shallow ones ({numbers})"


def vote_table(partition: ScalePartition) -> list[dict[str, object]]:
    """Collect the votes for the table behind the figure: one line for each layer anybody voted for.

    Args:
        partition: The three scales.

    Returns:
        By layer: the shares of each signal, for the first and for the second boundary.
    """
    lines = []
    for layer in range(1, partition.n_layers):
        shares = [signal.votes[k][layer] for signal in partition.signals.values() for k in (0, 1)]
        if any(share >= 0.005 for share in shares):
            lines.append({"layer": layer, "shares": [show_share(share) for share in shares]})
    return lines


def closest_steps(similarity: np.ndarray) -> list[tuple[str, str]]:
    """List the similarity of each layer to the next.

    Args:
        similarity: Similarity of all pairs of layers.

    Returns:
        Pairs of "0 – 1" and its similarity.

    Examples:
        >>> closest_steps(np.array([[1.0, 0.912], [0.912, 1.0]]))
        [('0 – 1', '0.912')]
    """
    steps = np.diagonal(np.asarray(similarity, dtype=np.float64), offset=1)
    return [
        (f"{a} – {b}", show(float(s)))
        for (a, b), s in zip(pairwise(range(len(steps) + 1)), steps, strict=True)
    ]
