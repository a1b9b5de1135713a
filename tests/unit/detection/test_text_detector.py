"""A detector of texts reads what extraction reads, survives its file, and refuses another model."""

import copy
from functools import cache

import numpy as np
import pytest
import torch

from language import loaded_model
from msma.detection import AnomalyDetector, TextDetector, stack_scales
from msma.detection.reading import TextReader
from msma.errors import ConfigError, CorpusError, ModelError, OriginError, ScaleError, StorageError
from msma.extraction import extract
from msma.models import LoadedModel
from msma.scales import ScalePartition
from tiny import make_tokenizer

#: Name, head, stack.
MODELS = {
    "gpt2": ("writer", "auto"),
    "llama": ("writer", "auto"),
    "bert": ("masked", "auto"),
    "t5-encoder": ("writer", "auto"),
    "t5-decoder": ("writer", "decoder"),
}
WHO, DID, WHERE = (
    ("man", "woman", "child", "dog", "bird"),
    ("slept", "sang", "ran", "fell"),
    ("hill", "river", "sea"),
)
TEXTS = [
    f"the {who} {did} by the {where}" + " and the old house" * (number % 3)
    for number, (who, did, where) in enumerate((a, b, c) for a in WHO for b in DID for c in WHERE)
]
ODD = ["hill the by sea the slept slept slept", "no no no !"]

every_model = pytest.mark.parametrize("name", MODELS)


def model_of(name):
    head, stack = MODELS[name]
    return loaded_model(name, head), stack


@cache
def fitted(name):
    loaded, stack = model_of(name)
    return TextDetector.fit(loaded, TEXTS, alpha=0.1, stack=stack)


@every_model
def test_texts_are_read_as_extraction_reads_them(name):
    loaded, stack = model_of(name)
    reader = TextReader(loaded, stack=stack)
    partition = ScalePartition.thirds(reader.stack.n_layers)
    states = extract(loaded.network, TEXTS + ODD, tokenizer=loaded.tokenizer, stack=stack, attention_texts=0)
    expected = stack_scales(states, partition)
    assert reader.read(TEXTS + ODD, partition) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    one_by_one = np.vstack([reader.read([text], partition) for text in TEXTS[:5]])
    assert one_by_one == pytest.approx(expected[:5], rel=1e-4, abs=1e-4)


def test_texts_are_cut_where_extraction_cuts_them():
    loaded, _ = model_of("bert")
    partition = ScalePartition.thirds(TextReader(loaded).stack.n_layers)
    states = extract(loaded.network, TEXTS, tokenizer=loaded.tokenizer, max_tokens=7, attention_texts=0)
    found = TextReader(loaded, max_tokens=7).read(TEXTS, partition)
    assert found == pytest.approx(stack_scales(states, partition), rel=1e-4, abs=1e-4)


@every_model
def test_scores_are_those_of_the_detector_of_states(name):
    detector = fitted(name)
    loaded, stack = model_of(name)
    states = extract(loaded.network, TEXTS, tokenizer=loaded.tokenizer, stack=stack, attention_texts=0)
    twin = AnomalyDetector.from_states(states, detector.partition, alpha=0.1)
    assert detector.detector.calibration_.n_documents == 15
    X = stack_scales(states, detector.partition)
    assert twin.score_samples(X) == pytest.approx(detector.score(TEXTS), rel=1e-2, abs=1e-2)
    assert twin.offset_ == pytest.approx(detector.detector.offset_, rel=1e-2, abs=1e-2)


@every_model
def test_a_loaded_detector_says_the_same(name, tmp_path):
    detector = fitted(name)
    loaded, _ = model_of(name)
    again = TextDetector.load(detector.save(tmp_path / "detector.safetensors"), loaded)
    texts = TEXTS[:20] + ODD
    assert (again.score(texts) == detector.score(texts)).all()
    assert (again.p_values(texts) == detector.p_values(texts)).all()
    assert (again.predict(texts) == detector.predict(texts)).all()
    for pair, values in again.explain(texts).items():
        assert (values == detector.explain(texts)[pair]).all()
    assert repr(again) == repr(detector)


def test_predictions_are_p_values_at_alpha():
    detector = fitted("bert")
    texts = TEXTS + ODD
    p = detector.p_values(texts)
    assert (detector.predict(texts) == np.where(p <= 0.1 + 1e-12, -1, 1)).all()
    assert p.min() >= 1 / 16
    assert p.max() <= 1.0
    assert detector.predict(ODD).tolist() == [-1, -1]


def test_another_model_is_refused(tmp_path):
    loaded, _ = model_of("bert")
    path = fitted("bert").save(tmp_path / "detector.safetensors")
    other = copy.deepcopy(loaded.network)
    with torch.no_grad():
        next(other.parameters()).add_(0.01)
    with pytest.raises(OriginError, match="weights differ"):
        TextDetector.load(path, LoadedModel(other, loaded.tokenizer, "other", None))
    with pytest.raises(OriginError, match="weights differ"):
        TextDetector.load(path, model_of("gpt2")[0])


def test_another_tokenizer_is_refused(tmp_path):
    loaded, _ = model_of("bert")
    path = fitted("bert").save(tmp_path / "detector.safetensors")
    with pytest.raises(OriginError, match="another tokenizer"):
        TextDetector.load(path, loaded, tokenizer=make_tokenizer("end"))


def test_a_detector_of_states_is_bound_to_no_model(tmp_path):
    path = fitted("bert").detector.save(tmp_path / "states.safetensors")
    with pytest.raises(StorageError, match="bound to no model"):
        TextDetector.load(path, model_of("bert")[0])


def test_documents_and_copies_stay_together():
    loaded, _ = model_of("bert")
    detector = TextDetector.fit(loaded, TEXTS, documents=[i // 2 for i in range(60)], alpha=0.2)
    assert detector.provenance["n_documents"] == 30
    assert detector.detector.calibration_.n_documents in (7, 8)
    long = " and the old house by the river" * 3
    copies = TextDetector.fit(loaded, [text + long for text in TEXTS + TEXTS[:10]], alpha=0.2)
    assert copies.provenance["n_texts"] == 70
    assert copies.provenance["n_documents"] == 60


def _hooks(network):
    return [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()]


def test_the_model_is_left_as_it_was_and_dropout_does_not_enter():
    loaded, _ = model_of("bert")
    detector = fitted("bert")
    hooks = _hooks(loaded.network)
    before = detector.score(TEXTS[:3])
    loaded.network.train()
    try:
        assert (detector.score(TEXTS[:3]) == before).all()
        assert loaded.network.training
    finally:
        loaded.network.eval()
    assert _hooks(loaded.network) == hooks


def test_models_come_loaded_or_with_a_tokenizer():
    loaded, _ = model_of("bert")
    expected = fitted("bert").score(TEXTS[:3])
    for model in (loaded.network, loaded):
        detector = TextDetector.fit(model, TEXTS, tokenizer=loaded.tokenizer, alpha=0.1)
        assert (detector.score(TEXTS[:3]) == expected).all()


def test_texts_that_cannot_be_used_are_refused():
    loaded, _ = model_of("gpt2")
    detector = fitted("gpt2")
    with pytest.raises(CorpusError, match="a single string"):
        detector.score("a text")
    with pytest.raises(CorpusError, match="0 texts"):
        detector.score([])
    with pytest.raises(CorpusError, match="not all of them strings"):
        detector.score(["a", 1])
    with pytest.raises(CorpusError, match="text 1 has no token"):
        detector.score(["the river", ""])
    with pytest.raises(CorpusError, match="1 documents came for 60 texts"):
        TextDetector.fit(loaded, TEXTS, documents=["a"])
    with pytest.raises(ConfigError, match=r"15 samples .* needs 19"):
        TextDetector.fit(loaded, TEXTS)
    with pytest.raises(ScaleError, match="a partition of 40 layers"):
        TextDetector.fit(loaded, TEXTS, alpha=0.1, partition=ScalePartition.thirds(40))


def test_states_that_are_not_finite_are_refused():
    loaded, _ = model_of("gpt2")
    damaged = copy.deepcopy(loaded.network)
    with torch.no_grad():
        next(damaged.parameters()).fill_(float("nan"))
    with pytest.raises((ModelError,), match="finite"):
        TextDetector.fit(LoadedModel(damaged, loaded.tokenizer, "damaged", None), TEXTS, alpha=0.1)
