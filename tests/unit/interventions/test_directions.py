"""Directions: differences of means, what a probe reads, files."""

import numpy as np
import pytest

from language import loaded_model
from msma.errors import CorpusError, ShapeError, StorageError
from msma.extraction import extract
from msma.interventions import Direction
from msma.states import HiddenStates
from msma.storage import write_tensors
from tiny import TEXTS


def test_between_is_the_difference_of_the_mean_states():
    loaded = loaded_model("gpt2")
    found = Direction.between(loaded, TEXTS[:3], TEXTS[3:6], name="one")
    means = [
        extract(loaded.network, list(texts), tokenizer=loaded.tokenizer, attention_texts=0)
        .layers(range(5))
        .mean(axis=1)
        for texts in (TEXTS[:3], TEXTS[3:6])
    ]
    np.testing.assert_allclose(found.vectors, means[0] - means[1], rtol=1e-4, atol=1e-5)
    assert found.name == "one"


def test_a_probe_finds_the_planted_direction(rng):
    planted = rng.normal(size=6)
    label = rng.integers(2, size=400)
    noise = rng.normal(size=(3, 400, 6))
    noise[1] += np.outer(2.0 * label, planted)
    states = HiddenStates.from_arrays(noise, labels={"odd": label})
    found = Direction.from_probe(states, "odd", towards=1)

    def cosine(layer):
        vector = found.vectors[layer]
        return float(vector @ planted / np.linalg.norm(vector) / np.linalg.norm(planted))

    assert cosine(1) > 0.95
    assert abs(cosine(0)) < 0.8
    assert np.linalg.norm(found.vectors[1]) > 5 * np.linalg.norm(found.vectors[0])
    assert found.name == "odd=1"


def test_save_and_load(tmp_path, rng):
    direction = Direction(rng.normal(size=(3, 4)).astype(np.float32), "to the sea")
    loaded = Direction.load(direction.save(tmp_path / "sea.safetensors"))
    np.testing.assert_array_equal(loaded.vectors, direction.vectors)
    assert loaded.name == "to the sea"
    write_tensors(tmp_path / "other.safetensors", {"x": np.ones(2)})
    with pytest.raises(StorageError, match="holds no direction"):
        Direction.load(tmp_path / "other.safetensors")


def test_bad_input_is_told_in_a_sentence(rng):
    loaded = loaded_model("gpt2")
    with pytest.raises(CorpusError, match="no text came in 'away_from'"):
        Direction.between(loaded, TEXTS, [])
    with pytest.raises(CorpusError, match="no text came in 'towards'"):
        Direction.between(loaded, " ", TEXTS)
    with pytest.raises(ShapeError, match="expected finite numbers"):
        Direction(np.ones(3))
    states = HiddenStates.from_arrays(rng.normal(size=(3, 8, 2)), labels={"odd": np.arange(8) % 2})
    with pytest.raises(CorpusError, match="label 'even' was asked for; these states have odd"):
        Direction.from_probe(states, "even", towards=1)
    with pytest.raises(CorpusError, match="0 of 8 samples"):
        Direction.from_probe(states, "odd", towards=7)
