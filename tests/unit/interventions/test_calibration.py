"""Strengths of every kind in one unit, and controls elsewhere."""

import numpy as np
import pytest
import torch

from language import loaded_model
from msma.alignment import Alignment
from msma.errors import ConfigError, ScaleError
from msma.extraction import extract
from msma.interventions import (
    HeadRemoval,
    Noise,
    Replacement,
    Scaling,
    Temperature,
    control_layers,
    intervene,
    match_strength,
    relative_norm,
)
from msma.interventions.sites import find_sites
from msma.maps import RidgeMap
from msma.scales import ScalePartition
from tiny import TEXTS

ROWS = [[(5 * i + j) % 80 for i in range(12)] for j in range(4)]


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("operation", [Temperature(5.0), HeadRemoval([0, 2])], ids=["temperature", "heads"])
def test_norm_inside_attention_is_the_change_of_each_block_by_itself(name, operation):
    loaded = loaded_model(name)
    stack = find_sites(loaded.network).stack

    def entries(ids):
        found = {}
        with torch.no_grad(), stack.reading(lambda k, s: found.__setitem__(k, s.clone())) as run:
            run(stack.collate([ids]))
        return found

    squares = []
    for ids in ROWS:
        clean = entries(ids)
        for layer in (2, 3):
            with intervene(loaded, None, [layer], operation):
                changed = entries(ids)[layer]
            squares.append(((changed - clean[layer]).norm(dim=-1) / clean[layer].norm(dim=-1)).square())
    by_hand = float(torch.cat(squares, 1).mean().sqrt())
    assert relative_norm(loaded, operation, [2, 3], ROWS) == pytest.approx(by_hand, rel=1e-4)


def test_operations_with_a_strength_keep_it():
    loaded = loaded_model("gpt2")
    assert relative_norm(loaded, Scaling(-0.3), [0, 1, 2], ROWS) == pytest.approx(0.3, rel=1e-4)
    matched = match_strength(loaded, Noise(0.2), 0.9, [1, 2], ROWS)
    assert matched.operation == Noise(0.2)
    assert matched.relative_norm == pytest.approx(0.2, rel=0.1)


def test_temperature_is_found_or_the_most_it_can_do_is_told():
    loaded = loaded_model("gpt2")
    most = relative_norm(loaded, Temperature(1e3), [2, 3], ROWS)
    found = match_strength(loaded, Temperature(1.0), most / 2, [2, 3], ROWS)
    assert found.relative_norm == pytest.approx(most / 2, rel=0.02)
    assert found.operation.temperature > 1
    beyond = match_strength(loaded, Temperature(1.0), 10.0, [2, 3], ROWS)
    assert beyond.relative_norm == pytest.approx(most, rel=1e-6)
    assert match_strength(loaded, Temperature(9.0), 0.0, [2, 3], ROWS).operation.is_identity


def test_heads_come_as_near_as_they_can():
    loaded = loaded_model("gpt2")
    everything = relative_norm(loaded, HeadRemoval(), [2, 3], ROWS)
    found = match_strength(loaded, HeadRemoval(), everything / 2, [2, 3], ROWS, seed=1)
    assert found.relative_norm == pytest.approx(everything / 2, rel=0.5)
    assert 0 < sum(map(len, found.operation.heads.values())) < 8
    assert match_strength(loaded, HeadRemoval(), 99.0, [2, 3], ROWS).relative_norm == pytest.approx(
        everything
    )
    assert match_strength(loaded, HeadRemoval(), 0.0, [2, 3], ROWS).operation.is_identity


def test_a_replacement_is_weighed():
    loaded = loaded_model("gpt2")
    partition = ScalePartition.thirds(5)
    states = extract(loaded.network, TEXTS * 3, tokenizer=loaded.tokenizer, unit="token", attention_texts=0)
    alignment = Alignment(RidgeMap(alpha=1.0)).fit(states, partition)
    layers = list(partition["intermediate"])
    found = match_strength(loaded, Replacement(alignment, "global", "intermediate"), 0.05, layers, ROWS)
    assert found.relative_norm == pytest.approx(0.05, rel=1e-6)
    assert relative_norm(loaded, found.operation, layers, ROWS) == pytest.approx(0.05, rel=0.02)


def test_control_layers_are_elsewhere_and_as_many():
    for seed in range(20):
        found = control_layers(13, [9, 10, 11, 12], seed=seed)
        assert len(set(found)) == 4
        assert not set(found) & {0, 9, 10, 11, 12}
        local = control_layers(13, [0, 1, 2], seed=seed)
        assert len(set(local)) == 3
        assert not set(local) & {0, 1, 2}
        crowded = control_layers(5, [1, 2, 3], seed=seed)  # only layer 4 is left, besides the embeddings
        assert len(set(crowded)) == 3
        assert 4 in crowded
    assert len({control_layers(13, [9, 10], seed=seed) for seed in range(20)}) > 5


def test_bad_input_is_told_in_a_sentence():
    loaded = loaded_model("gpt2")
    for strength in (-1.0, float("nan")):
        with pytest.raises(ConfigError, match="expected a finite number, 0 or more"):
            match_strength(loaded, Temperature(2.0), strength, [1], ROWS)
    with pytest.raises(ScaleError, match="no attention to change"):
        relative_norm(loaded, Temperature(2.0), [0], ROWS)
    assert np.isclose(relative_norm(loaded, Scaling(0.0), [1], ROWS), 0.0)
