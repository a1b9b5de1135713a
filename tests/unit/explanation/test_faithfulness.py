"""Faithfulness over texts: found where it is known to be, absent where scores say nothing."""

import numpy as np
import pytest

from msma.errors import ConfigError, CorpusError
from msma.explanation import attribution
from msma.explanation.faithfulness import measure_faithfulness
from planted_explanation import SCALES, make_carrier_study


@pytest.fixture(scope="module")
def study():
    return make_carrier_study(np.random.default_rng(0))


def test_a_planted_label_is_attributed_faithfully(study):
    corpus, reader = study
    test = corpus.splits.test
    found = measure_faithfulness(reader, corpus, test.texts, coordinate="weather=windy", n_draws=5)
    for method in ("occlusion", "gradient"):
        top = found.row("comprehensiveness", target="global", map=method)
        random = found.row("comprehensiveness_random", target="global", map=method)
        gain = found.row("faithfulness", target="global", map=method)
        assert np.isclose(gain.value, top.value - random.value)
        assert np.isclose(top.null, random.value)
        assert 0 < gain.low < gain.value < gain.high
        assert (gain.n, gain.units, gain.split, gain.interval) == (
            test.n_samples,
            "standard deviations",
            "test",
            "bootstrap",
        )
    for scale in SCALES:  # a linear model: the two methods rank tokens alike
        assert found.value("attribution_agreement", target=scale) > 0.99  # but for ties
    assert len(found) == 2 * 3 * 3 + 3
    assert found.provenance["coordinate"] == "weather=windy"
    assert found.provenance["model"] == "planted"


def test_random_scores_are_not_faithful(study, rng, monkeypatch):
    def score(reader, reading, coordinate, method, **options):
        return {scale: rng.normal(size=len(reading.places)) for scale in SCALES}

    monkeypatch.setattr(attribution, "score_tokens", score)
    corpus, reader = study
    found = measure_faithfulness(reader, corpus, corpus.states.texts, n_draws=5)
    for row in found.where(metric="faithfulness"):
        # Six intervals of 95 %: widened so that all six hold nothing at once.
        half = 0.8 * (row.high - row.low)
        assert abs(row.value) < half
    for row in found.where(metric="attribution_agreement"):
        assert abs(row.value) < 0.1


def test_texts_of_one_document_count_as_one(study):
    corpus, reader = study
    texts = corpus.splits.test.texts[:6]
    options = {"methods": ("gradient",), "n_draws": 1}
    pairs = measure_faithfulness(reader, corpus, texts, documents=["a", "a", "b", "b", "c", "c"], **options)
    alone = measure_faithfulness(reader, corpus, texts, **options)
    for one, other in zip(pairs, alone, strict=True):
        assert one.value == other.value
    assert not pairs.where(metric="attribution_agreement").rows
    assert any(one.low != other.low for one, other in zip(pairs, alone, strict=True))


def test_texts_without_a_token_are_left_out_and_said(study):
    corpus, reader = study
    texts, said = [*corpus.splits.test.texts[:2], ""], []
    found = measure_faithfulness(reader, corpus, texts, methods=("gradient",), n_draws=1, say=said.append)
    assert {row.n for row in found} == {2}
    assert len(said) == 1
    assert said[0].startswith("text 2 was left out")
    measure_faithfulness(reader, corpus, texts, methods=("gradient",), n_draws=1)


def test_agreement_needs_texts_of_several_tokens(study):
    corpus, reader = study
    found = measure_faithfulness(reader, corpus, ["river", "snow"], n_draws=1)
    for row in found.where(metric="attribution_agreement"):
        assert row.value is None
        assert "fewer than 2 documents" in row.note


def test_what_cannot_be_measured_is_refused(study):
    corpus, reader = study
    texts = corpus.splits.test.texts[:2]
    with pytest.raises(CorpusError, match="1 documents came for 2 texts"):
        measure_faithfulness(reader, corpus, texts, documents=["a"])
    with pytest.raises(CorpusError, match="at least 2"):
        measure_faithfulness(reader, corpus, texts, documents=["a", "a"], methods=("gradient",), n_draws=1)
    with pytest.raises(ConfigError, match="did you mean 'own'"):
        measure_faithfulness(reader, corpus, texts, coordinate="owm")
