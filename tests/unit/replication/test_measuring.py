"""What is measured of a model: shapes, closeness, probes and language, on states whose answer is known."""

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

from joint_inputs import LABELS, build, make_documents, small
from msma._types import PAIRS, SCALES
from msma.corpora import Document
from msma.errors import CorpusError, ShapeError, StorageError
from msma.models import load_model
from msma.readings import Reading
from msma.replication.closeness import CLOSENESS, PUBLISHED, read_closeness
from msma.replication.measurement import FAMILIES, Key, Measurement, family_of
from msma.replication.measuring import final_layer, measure_briefly, measure_joint
from msma.replication.probing import probe_label
from msma.replication.reading import probe_stack
from msma.replication.samples import read_samples
from msma.replication.shape import cross_cosine, effective_rank, relative_spread, same_cosine, text_cosine
from msma.replication.texts import read_texts
from msma.scales import ScalePartition

PARTS = {"train": np.arange(60), "validation": np.arange(60, 90), "test": np.arange(90, 150)}
PARTITION = ScalePartition.parse("0-1|2-3|4", n_layers=5)


def load(name="bert"):
    network, tokenizer = build(name)
    return load_model(network, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def measured():
    loaded, config = load(), small()
    texts = read_texts(make_documents(60), loaded, config=config)
    states = texts.read(loaded, PARTITION, config)
    found = measure_joint(loaded, None, texts, partition=PARTITION, config=config, trained_on=LABELS)
    return loaded, config, texts, states, found


class TestShape:
    def test_a_ball_a_line_and_a_point_have_the_ranks_they_have(self):
        states = np.random.default_rng(0).normal(size=(4000, 6))
        assert effective_rank(states) == pytest.approx(6.0, abs=0.02)
        assert effective_rank(states[:, :1] @ np.ones((1, 6))) == pytest.approx(1.0)
        assert effective_rank(np.ones((5, 3))) == 0.0

    def test_size_changes_neither_rank_nor_spread_nor_cosine(self):
        states = np.random.default_rng(1).normal(size=(50, 4)) + 2.0
        for function in (effective_rank, relative_spread, text_cosine):
            assert function(1e-3 * states) == pytest.approx(function(states))

    def test_spread_is_the_share_that_is_not_common(self):
        states = np.random.default_rng(2).normal(size=(200_000, 2)) + np.array([2.0, 0.0])
        assert relative_spread(states) == pytest.approx(2 / 6, abs=0.01)
        assert relative_spread(np.zeros((3, 2))) == 0.0

    def test_cosines_are_those_of_a_loop(self):
        x, y = np.random.default_rng(3).normal(size=(2, 7, 3))
        u, v = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
        others = [u[i] @ v[j] for i in range(7) for j in range(7) if i != j]
        assert cross_cosine(x, y) == pytest.approx(np.mean(others))
        assert same_cosine(x, y) == pytest.approx(np.mean([u[i] @ v[i] for i in range(7)]))

    def test_one_text_has_no_other(self):
        with pytest.raises(ShapeError, match="1 text came"):
            text_cosine(np.ones((1, 3)))


class TestCloseness:
    def read(self, source, target):
        n = len(target)
        groups = np.arange(n) % 10
        return read_closeness(source, target, train_target=target[::2], groups=groups, documents=np.arange(n))

    def test_equal_scales_are_as_close_as_can_be(self):
        states = np.random.default_rng(0).normal(size=(300, 4))
        found = self.read(states, states)
        assert tuple(found) == CLOSENESS
        assert found["kl"].value == pytest.approx(0.0, abs=1e-9)
        assert found["kl_diagonal"].value == pytest.approx(0.0, abs=1e-9)
        for name in ("cka", "r2", "distance_correlation", "distance_correlation_biased"):
            assert found[name].value == pytest.approx(1.0)
        assert all(len(reading.left_out) == 10 for name, reading in found.items() if name != "mi")

    def test_unrelated_scales_share_nothing_but_the_published_distance_correlation_says_otherwise(self):
        source, target = np.random.default_rng(1).normal(size=(2, 60, 40))
        found = self.read(source, target)
        assert abs(found["mi"].value) < 1.5
        assert abs(found["distance_correlation"].value) < 0.1
        assert found["distance_correlation_biased"].value > 0.6
        assert found["mi"].note == "on 10 of 40 directions"

    def test_what_cannot_be_told_is_said_to_be_so(self):
        found = self.read(np.zeros((30, 2)), np.random.default_rng(2).normal(size=(30, 2)))
        assert found["cka"].value is None
        assert found["cka"].note.startswith("not to be told")


class TestProbes:
    def test_a_label_that_is_there_is_read_and_one_that_is_not_is_not(self):
        rng = np.random.default_rng(0)
        labels = [str(k) for k in rng.integers(0, 2, 150)]
        told = np.array([[float(k)] for k in labels]) + rng.normal(scale=0.05, size=(150, 3))
        found = probe_label(told, labels, PARTS)
        assert found.hits.mean() > 0.95
        assert found.control < 0.75
        assert probe_label(rng.normal(size=(150, 3)), labels, PARTS).hits.mean() < 0.75

    def test_a_label_of_one_value_is_not_probed(self):
        assert probe_label(np.zeros((150, 2)), ["a"] * 150, PARTS) is None

    def test_a_label_that_no_test_text_has_is_not_probed(self):
        labels = [str(i % 2) if i < 90 else None for i in range(150)]
        assert probe_label(np.ones((150, 2)), labels, PARTS) is None


class TestTexts:
    def test_parts_are_those_of_the_training(self, measured):
        loaded, config, texts, _, _ = measured
        samples = read_samples(
            make_documents(60),
            loaded,
            probe_stack(loaded, config),
            labels=LABELS,
            config=config,
            say=lambda _: None,
        )
        for part, positions in samples.splits.items():
            assert np.array_equal(positions, texts.splits[part])
        assert [row.ids for row in samples.rows] == [row.ids for row in texts.rows]

    def test_one_part_is_read_as_within_the_whole(self, measured):
        loaded, config, texts, states, _ = measured
        test = texts.read(loaded, PARTITION, config, part="test")
        for scale in SCALES:
            assert test[scale] == pytest.approx(states[scale][texts.splits["test"]], abs=1e-5)

    def test_too_few_documents_are_refused(self):
        with pytest.raises(CorpusError, match="test documents came"):
            read_texts(make_documents(20), load(), config=small())

    def test_another_text_has_another_fingerprint(self, measured):
        loaded, config, texts, _, _ = measured
        changed = [*make_documents(60)[:-1], Document("the moon rose", "59")]
        assert read_texts(changed, loaded, config=config).fingerprint != texts.fingerprint


class TestMeasurement:
    def test_everything_asked_for_is_there(self, measured):
        *_, found = measured
        for source, target in PAIRS:
            for name in CLOSENESS:
                for kind in ("none", "shift", "ridge"):
                    assert Key(name, source, target, kind) in found.readings
        assert not any(key.map == "trained" for key in found.readings)
        for scale in SCALES:
            assert found.value("effective_rank", target=scale) > 1.0
            assert 0.0 <= found.value("probe_place", target=scale) <= 1.0
        assert {family_of(key) for key in found.readings} == set(FAMILIES) - {"language"}

    def test_raw_distance_is_that_of_the_states(self, measured):
        _, _, texts, states, found = measured
        test = texts.splits["test"]
        raw = found.value("cosine_same_text", source="global", target="intermediate")
        assert raw == pytest.approx(same_cosine(states["global"][test], states["intermediate"][test]))

    def test_a_ridge_map_brings_scales_closer(self, measured):
        *_, found = measured
        place = {"source": "global", "target": "intermediate"}
        assert found.value("r2", **place, map="ridge") > found.value("r2", **place, map="none")

    def test_labels_not_trained_on_are_probed_on_the_final_layer(self):
        loaded, config = load("gpt2"), small()
        texts = read_texts(make_documents(60), loaded, config=config)
        found = measure_joint(
            loaded, None, texts, partition=PARTITION, config=config, trained_on={"local": "who"}
        )
        assert Key("transfer_verb", target="final layer") in found.readings
        assert Key("probe_who", target="global") in found.readings
        assert Key("transfer_who", target="final layer") not in found.readings

    def test_a_model_that_says_nothing_is_as_surprised_as_can_be_and_has_no_spread(self):
        network, tokenizer = build("gpt2")
        empty = GPT2LMHeadModel(network.config)
        for parameter in empty.parameters():
            torch.nn.init.zeros_(parameter)
        loaded = load_model(empty, tokenizer=tokenizer)
        texts = read_texts(make_documents(60), loaded, config=small())
        brief = measure_briefly(loaded, texts, partition=PARTITION, config=small())
        assert brief["nats_a_token"]["model"] == pytest.approx(np.log(network.config.vocab_size))
        assert brief["effective_rank"] == dict.fromkeys(SCALES, 0.0)
        assert brief["cka"] == dict.fromkeys(("global-intermediate", "intermediate-local"))

    def test_it_comes_back_from_json(self, measured):
        *_, found = measured
        assert Measurement.from_dict(found.to_dict()) == found

    @pytest.mark.parametrize("content", [None, {}, {"n": 1, "readings": [{}]}])
    def test_something_else_is_refused(self, content):
        with pytest.raises(StorageError, match="no measurement came"):
            Measurement.from_dict(content)

    def test_the_final_layer_stands_alone(self):
        assert final_layer(5).written == "0|1-3|4"
        assert final_layer(3).written == "0|1|2"

    def test_readings_are_named_by_family(self):
        assert {family_of(Key(name)) for name in PUBLISHED} == {"published"}
        assert family_of(Key("nats_a_token")) == "language"
        assert (family_of(Key("text_cosine")), family_of(Key("mean_norm"))) == ("shape", "sizes")
        assert family_of(Key("cka", "global", "local", "ridge")) == "refitted"
        assert family_of(Key("cka", "global", "local", "trained")) == "sound"
        assert Reading(1.0).left_out == ()
