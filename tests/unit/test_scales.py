"""Planted partitions are found, unstable ones are called unstable, and bad input is named."""

import numpy as np
import pytest

from msma.errors import ConfigError, CorpusError, ScaleError, ShapeError, StorageError
from msma.measures.similarity import cka
from msma.scales import (
    ScalePartition,
    ScaleRepresentation,
    best_split,
    cka_matrix,
    find_scales,
    kernel_costs,
    published_partition,
)
from msma.states import AttentionSummary, HiddenStates

PLANTED = (0, 0, 0, 1, 1, 1, 1, 2, 2)


def planted_states(rng, *, noise=0.5, n_samples=200, d_model=24, planted=PLANTED, attention=None):
    blocks = rng.normal(size=(3, n_samples, d_model))
    layers = [blocks[k] + noise * rng.normal(size=(n_samples, d_model)) for k in planted]
    return HiddenStates.from_arrays(np.stack(layers), attention=attention)


def planted_attention(rng, *, planted=PLANTED, n_texts=40):
    level = np.array([0.2, 0.5, 0.9])[list(planted[1:])][:, None]
    noisy = (level + 0.02 * rng.normal(size=(len(level), n_texts))).astype(np.float32)
    ones = np.ones_like(noisy)
    return AttentionSummary(
        distance=noisy,
        distance_raw=noisy,
        distance_uniform=ones,
        entropy=noisy,
        entropy_uniform=ones,
        sink_share=0.1 * ones,
        texts=np.arange(n_texts),
    )


@pytest.mark.parametrize("method", ["similarity", "attention", "information", "fused"])
def test_planted_partition_is_found_by_every_signal(rng, method):
    states = planted_states(rng, attention=planted_attention(rng))
    found = find_scales(states, method=method, n_votes=20)
    assert found.boundaries == (3, 7)
    assert found.stability == (1.0, 1.0)
    if method == "fused":
        assert found.disagreement == 0.0
        assert set(found.signals) == {"similarity", "attention", "information"}


def test_without_structure_the_votes_scatter(rng):
    states = HiddenStates.from_arrays(rng.normal(size=(13, 120, 16)))
    found = find_scales(states, n_votes=40)
    assert min(found.stability) < 0.6


def test_signals_that_disagree_are_reported(rng):
    other = (0, 0, 1, 1, 1, 1, 1, 2, 2)
    states = planted_states(rng, attention=planted_attention(rng, planted=other))
    found = find_scales(states, n_votes=10)
    assert found.signals["attention"].boundaries == (2, 7)
    assert found.boundaries == (3, 7)
    assert found.disagreement == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert found.stability == (pytest.approx(2 / 3, abs=1e-4), 1.0)


def test_missing_attention_leaves_two_signals(rng):
    assert set(find_scales(planted_states(rng), n_votes=5).signals) == {"similarity", "information"}


def test_seed_decides(rng):
    states = planted_states(rng, noise=3.0)
    assert find_scales(states, n_votes=20, seed=1) == find_scales(states, n_votes=20, seed=1)


def test_cka_matrix_is_the_measure(rng):
    layers = rng.normal(size=(3, 50, 6))
    layers[1] += layers[0]
    grams = np.einsum(
        "lid,ljd->lij", layers - layers.mean(1, keepdims=True), layers - layers.mean(1, keepdims=True)
    )
    found = cka_matrix(grams)
    for i in range(3):
        for j in range(3):
            assert found[i, j] == pytest.approx(float(cka(layers[i], layers[j])), abs=1e-8)


def test_best_split_is_the_best_of_all(rng):
    kernel = np.corrcoef(rng.normal(size=(9, 30)))
    costs = kernel_costs(kernel)
    first, second = best_split(costs, min_layers=2)

    def total(a, b):
        parts = [range(a), range(a, b), range(b, 9)]
        return sum(
            sum(kernel[i, i] for i in p) - sum(kernel[i, j] for i in p for j in p) / len(p) for p in parts
        )

    every = {(a, b): total(a, b) for a in range(2, 6) for b in range(a + 2, 8)}
    assert (first, second) == min(every, key=every.get)


def test_thirds_and_published():
    assert str(ScalePartition.thirds(7)) == "local 0-2 | intermediate 3-4 | global 5-6"
    assert str(ScalePartition.thirds(3)) == "local 0 | intermediate 1 | global 2"
    assert str(published_partition("bert", 13)) == "local 0-4 | intermediate 5-8 | global 9-12"
    assert published_partition("bert", 7) is None


def test_thirds_need_no_texts():
    states = HiddenStates.from_arrays(np.zeros((4, 2, 2)))
    assert find_scales(states, method="thirds").boundaries == (2, 3)


def test_save_and_load_are_lossless(rng, tmp_path):
    states = planted_states(rng, attention=planted_attention(rng))
    found = find_scales(states, n_votes=5)
    assert ScalePartition.load(found.save(tmp_path / "scales.json")) == found
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(StorageError, match="does not hold a partition"):
        ScalePartition.load(tmp_path / "other.json")
    (tmp_path / "impossible.json").write_text(
        (tmp_path / "scales.json").read_text().replace('"boundaries": [\n  3,', '"boundaries": [\n  99,', 1)
    )
    with pytest.raises(ScaleError):
        ScalePartition.load(tmp_path / "impossible.json")


def test_result_rows(rng):
    result = find_scales(planted_states(rng), n_votes=5).to_result()
    assert result.value("boundary_stability", target="global") == 1.0
    assert result.value("first_layer", target="global", note="fused") == 7.0
    assert len(result.to_frame()) == len(result)


@pytest.mark.parametrize("text", ["", "0-2", "0-2|3-4", "1-2|3-4|5-6", "0-2|4-4|5-6", "0-2|3-4|5-7", "a|b|c"])
def test_ranges_by_hand_are_checked(text):
    with pytest.raises(ScaleError, match="expected three ranges that cover layers 0-6"):
        ScalePartition.parse(text, n_layers=7)


def test_errors_say_what_to_do(rng):
    with pytest.raises(ScaleError, match="at least 3"):
        ScalePartition(n_layers=2, boundaries=(1, 2))
    with pytest.raises(ScaleError, match="at least 3"):
        ScalePartition.thirds(2)
    with pytest.raises(ScaleError, match="in order"):
        ScalePartition(n_layers=7, boundaries=(4, 4))
    partition = ScalePartition.thirds(7)
    with pytest.raises(ScaleError, match="there are local, intermediate, global"):
        partition["middle"]
    with pytest.raises(ScaleError, match="covers 0 to 6"):
        partition.scale_of(7)
    few = HiddenStates.from_arrays(rng.normal(size=(7, 10, 4)))
    with pytest.raises(CorpusError, match="10 documents came"):
        find_scales(few)
    with pytest.raises(ConfigError, match="expected one of fused"):
        find_scales(few, method="best")
    with pytest.raises(ScaleError, match="deeper model"):
        find_scales(HiddenStates.from_arrays(rng.normal(size=(2, 30, 4))))
    with pytest.raises(ScaleError, match="attention_texts=128"):
        find_scales(planted_states(rng), method="attention")
    with pytest.raises(ScaleError, match="need 9"):
        best_split(np.zeros((8, 8)), min_layers=3)


def test_representation_reduces_and_standardises(rng):
    array = rng.normal(size=(7, 30, 4)) * np.arange(1, 8)[:, None, None]
    states = HiddenStates.from_arrays(array)
    partition = ScalePartition.thirds(7)
    mean = ScaleRepresentation(partition).fit(states).transform(states)
    assert np.allclose(mean["local"], array[:3].mean(0), atol=1e-6)
    last = ScaleRepresentation(partition, reduction="last").fit(states).transform(states)
    assert np.allclose(last["global"], array[6], atol=1e-6)
    standard = ScaleRepresentation(partition, reduction="last", is_standardised=True)
    with pytest.raises(ScaleError, match="not fitted"):
        standard.transform(states)
    found = standard.fit(states).transform(states)["global"]
    assert found.mean() == pytest.approx(0, abs=1e-7)
    assert found.var(axis=0).sum() == pytest.approx(1.0, rel=1e-5)


def test_representation_errors(rng):
    partition = ScalePartition.thirds(7)
    with pytest.raises(ConfigError, match="'mean' or 'last'"):
        ScaleRepresentation(partition, reduction="first")
    states = HiddenStates.from_arrays(rng.normal(size=(5, 30, 4)))
    with pytest.raises(ScaleError, match="states of 5 layers"):
        ScaleRepresentation(partition).fit(states)
    with pytest.raises(ShapeError, match="layer 0 is the same"):
        ScaleRepresentation(partition, is_standardised=True).fit(HiddenStates.from_arrays(np.ones((7, 5, 2))))
