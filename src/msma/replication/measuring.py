"""What is measured of a model before, during and after a joint training, on the test texts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma._types import PAIRS, SCALES, Pair, Scale
from msma.errors import ShapeError
from msma.generation import text_nats
from msma.maps import MAPS, fit_map
from msma.measures import cka, gaussian_kl, participation_ratio
from msma.models import LoadedModel
from msma.readings import Reading
from msma.replication.closeness import read_closeness
from msma.replication.config import JointTrainingConfig
from msma.replication.measurement import FINAL, MAP_KINDS, Key, Measurement
from msma.replication.probing import probe_label
from msma.replication.shape import cross_cosine, effective_rank, relative_spread, same_cosine, text_cosine
from msma.replication.texts import MeasuredTexts, ScaleStates
from msma.scales import ScalePartition

__all__ = ["final_layer", "measure_briefly", "measure_joint"]


def final_layer(n_layers: int) -> ScalePartition:
    """Give a partition whose deepest scale is the last layer alone.

    Args:
        n_layers: Entries, embeddings included.

    Returns:
        The partition.

    Examples:
        >>> final_layer(13).written
        '0|1-11|12'
    """
    middle = "1" if n_layers == 3 else f"1-{n_layers - 2}"
    return ScalePartition.parse(f"0|{middle}|{n_layers - 1}", n_layers=n_layers)


def measure_joint(
    loaded: LoadedModel,
    maps: Mapping[Pair, Any] | None,
    texts: MeasuredTexts,
    *,
    partition: ScalePartition,
    config: JointTrainingConfig,
    states: ScaleStates | None = None,
    trained_on: Mapping[Scale, str] | None = None,
) -> Measurement:
    """Measure a model on the test texts: closeness of scales, their shape, probes, transfer and language.

    Closeness is read without a map (as the paper compares scales), through the maps trained along, and through
    closed forms fitted to this model's training states, which is what the frozen protocol does: a mere shift of
    the mean, and ridge. Labels that were
    not trained on are probed on the final layer: that is transfer.

    Args:
        loaded: The model, tuned or not; left as it is.
        maps: Maps trained along, by pair; ``None`` before training.
        texts: The texts.
        partition: Which layers belong to which scale.
        config: Settings of the training.
        states: States of all texts, where they have been read already.
        trained_on: Label that each scale's head learns.

    Returns:
        Every reading.
    """
    states = texts.read(loaded, partition, config) if states is None else states
    labels = dict(trained_on or {})
    readings = _pair_readings(states, maps, texts)
    readings |= _shape_readings(states, texts)
    for label in dict.fromkeys(labels.values()):
        for scale in SCALES:
            readings |= _probe(states[scale], label, texts, metric=f"probe_{label}", target=scale)
    others = [name for name in texts.labels if name not in labels.values()]
    if others:
        last = texts.read(loaded, final_layer(partition.n_layers), config)["global"]
        for label in others:
            readings |= _probe(last, label, texts, metric=f"transfer_{label}", target=FINAL)
    readings |= _language(loaded, texts)
    return Measurement(readings, n=len(texts.splits["test"]))


def measure_briefly(
    loaded: LoadedModel, texts: MeasuredTexts, *, partition: ScalePartition, config: JointTrainingConfig
) -> dict[str, dict[str, float | None]]:
    """Measure what is followed over the epochs: the shape of each scale, how alike scales are, language.

    Args:
        loaded: The model as it is.
        texts: The texts.
        partition: Which layers belong to which scale.
        config: Settings of the training.

    Returns:
        Values by quantity and then by scale, or pair of scales ("global-intermediate").
    """
    test = texts.read(loaded, partition, config, part="test")
    found: dict[str, dict[str, float | None]] = {
        name: {scale: _quiet(function, test[scale]) for scale in SCALES} for name, function in _SHAPES.items()
    }
    pairs = {"-".join(pair): (test[pair[0]], test[pair[1]]) for pair in PAIRS}
    found["cka"] = {name: _quiet(cka, *both) for name, both in pairs.items()}
    found["kl_diagonal"] = {
        name: _quiet(lambda x, y: float(gaussian_kl(x, y, estimator="diagonal")), *both)
        for name, both in pairs.items()
    }
    nats = _test_nats(loaded, texts)
    found["nats_a_token"] = {"model": None if nats is None else float(nats.mean())}
    return found


#: Closed forms fitted to the training states of the model that is measured, by the name they have here.
_FITTED = {"shift": "mean_shift", "ridge": "ridge"}


def _pair_readings(
    states: ScaleStates, maps: Mapping[Pair, Any] | None, texts: MeasuredTexts
) -> dict[Key, Reading]:
    train, test = texts.splits["train"], texts.splits["test"]
    documents = texts.documents[test]
    readings: dict[Key, Reading] = {}
    for pair in PAIRS:
        source, target = (states[scale] for scale in pair)
        mapped = {"none": source[test]}
        for kind, name in _FITTED.items():
            fitted = fit_map(MAPS[name](), source[train], target[train], texts.documents[train])
            mapped[kind] = np.asarray(fitted.transform(source[test]))
        if maps is not None:
            mapped["trained"] = np.asarray(maps[pair].transform(source[test]))
        for kind in (kind for kind in MAP_KINDS if kind in mapped):
            found = read_closeness(
                mapped[kind],
                target[test],
                train_target=target[train],
                groups=texts.groups,
                documents=documents,
            )
            readings |= {Key(name, *pair, kind): reading for name, reading in found.items()}
    return readings


#: Shape of one scale: the scales' own sizes, and readings that no change of units touches.
_SHAPES: dict[str, Callable[[Float[np.ndarray, "samples d"]], Any]] = {
    "effective_rank": effective_rank,
    "participation_ratio": participation_ratio,
    "relative_spread": relative_spread,
    "total_variance": lambda x: np.square(x - x.mean(axis=0)).sum() / max(1, len(x) - 1),
    "mean_norm": lambda x: np.linalg.norm(x, axis=1).mean(),
    "text_cosine": text_cosine,
}
_PAIR_SHAPES: dict[str, Callable[..., Any]] = {
    "cosine_same_text": same_cosine,
    "cosine_other_text": cross_cosine,
}


def _shape_readings(states: ScaleStates, texts: MeasuredTexts) -> dict[Key, Reading]:
    test = {scale: states[scale][texts.splits["test"]] for scale in SCALES}
    readings = {
        Key(name, target=scale): _left_out(function, texts.groups, test[scale])
        for name, function in _SHAPES.items()
        for scale in SCALES
    }
    readings |= {
        Key(name, *pair): _left_out(function, texts.groups, *(test[scale] for scale in pair))
        for name, function in _PAIR_SHAPES.items()
        for pair in PAIRS
    }
    return readings


def _left_out(
    function: Callable[..., Any], groups: Int[np.ndarray, " samples"], *parts: Float[np.ndarray, "samples d"]
) -> Reading:
    try:
        whole = float(function(*parts))
        rest = (tuple(part[groups != g] for part in parts) for g in np.unique(groups))
        return Reading(whole, tuple(float(function(*part)) for part in rest))
    except ShapeError as error:
        return Reading(None, note=f"not to be told: {error}")


def _probe(
    states: Float[np.ndarray, "texts d_model"], label: str, texts: MeasuredTexts, *, metric: str, target: str
) -> dict[Key, Reading]:
    found = probe_label(states, texts.labels.get(label, [None] * len(texts.texts)), texts.splits)
    if found is None:
        return {}
    note = f"{found.n_classes} values; most common value alone {found.majority:.3f}; null: control task"
    return {Key(metric, target=target): _mean_reading(found.hits, texts.groups, found.control, note)}


def _mean_reading(
    values: Float[np.ndarray, " k"], groups: Int[np.ndarray, " k"], null: float | None, note: str | None
) -> Reading:
    known = ~np.isnan(values)
    rest = []
    for group in np.unique(groups):
        kept = values[known & (groups != group)]
        rest.append(float(kept.mean()) if len(kept) else float(values[known].mean()))
    return Reading(float(values[known].mean()), tuple(rest), null, note)


def _language(loaded: LoadedModel, texts: MeasuredTexts) -> dict[Key, Reading]:
    nats = _test_nats(loaded, texts)
    if nats is None:
        return {}
    note = "pseudo-likelihood of hidden tokens" if loaded.head == "masked" else None
    return {Key("nats_a_token"): _mean_reading(nats, texts.groups, None, note)}


def _test_nats(loaded: LoadedModel, texts: MeasuredTexts) -> Float[np.ndarray, " k"] | None:
    shown: Sequence[str] = [texts.texts[i] for i in texts.splits["test"]]
    return text_nats(loaded, shown)


def _quiet(function: Callable[..., Any], *parts: Float[np.ndarray, "samples d"]) -> float | None:
    try:
        return float(function(*parts))
    except ShapeError:
        return None
