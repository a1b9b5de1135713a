"""Probes read what was planted, where it was planted, and nothing from a control task."""

import numpy as np
import pytest

from msma.errors import CorpusError
from msma.probes import probe_scales
from msma.scales import ScalePartition, ScaleRepresentation
from msma.states import HiddenStates

PLAIN = ScaleRepresentation(ScalePartition.thirds(3))


def labelled(rng, *, n=600):
    topic = rng.integers(0, 3, size=n // 3).repeat(3)
    tense = rng.integers(0, 2, size=n)
    local = rng.normal(size=(n, 5))
    local[:, 0] += 4 * tense
    deep = rng.normal(size=(n, 5))
    deep[np.arange(n), topic] += 5
    labels = {
        "topic": [("sea", "sky", "land")[t] for t in topic],
        "tense": tense.tolist(),
        "score": rng.normal(size=n).tolist(),
        "unique": [f"u{i}" for i in range(n)],
    }
    documents = [str(i // 3) for i in range(n)]
    return HiddenStates.from_arrays(
        np.stack([local, rng.normal(size=(n, 5)), deep]), documents=documents, labels=labels
    )


def test_labels_are_found_where_they_are(rng):
    found = probe_scales(labelled(rng).split(), PLAIN)
    assert {row.metric for row in found} == {"probe_topic", "probe_tense"}
    assert found.value("probe_tense", target="local") > 0.93
    assert found.value("probe_topic", target="global") > 0.93
    for metric, scale, chance in (("probe_tense", "global", 0.5), ("probe_topic", "local", 1 / 3)):
        row = found.row(metric, target=scale)
        assert row.low - 0.08 < chance < row.high + 0.08
    for row in found:
        assert row.low <= row.value <= row.high
        assert abs(row.null - row.floor) < 0.2
        assert row.split == "test"


def test_nothing_to_probe(rng):
    states = HiddenStates.from_arrays(
        rng.normal(size=(3, 60, 4)), labels={"score": rng.normal(size=60).tolist()}
    )
    with pytest.raises(CorpusError, match="no label column can be probed"):
        probe_scales(states.split(), PLAIN)


def test_labels_seen_only_in_training(rng):
    states = HiddenStates.from_arrays(rng.normal(size=(3, 100, 4)))
    parts = states.split()
    in_train = set(parts.train.texts)
    labels = [("a", "b")[i % 2] if text in in_train else None for i, text in enumerate(states.texts)]
    states = HiddenStates.from_arrays(rng.normal(size=(3, 100, 4)), texts=states.texts, labels={"k": labels})
    with pytest.raises(CorpusError, match="no test sample carries a label"):
        probe_scales(states.split(), PLAIN)
