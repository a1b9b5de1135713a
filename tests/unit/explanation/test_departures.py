"""Departures from what themes predict: p-values hold, what is planted is found, files come back, every error trips."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from explained_study import open_parts
from msma.configuration import StudyConfig
from msma.corpora import split_sentences
from msma.errors import CorpusError, ScaleError, ShapeError, StorageError
from msma.explanation import departures
from msma.explanation.corpus import DOWNWARDS
from msma.explanation.departures import DepartureReference
from msma.explanation.surprise import Parts, PartSurprise, mean_by_owner
from msma.explanation.themes import find_directions
from msma.storage import write_tensors
from msma.study import Study

TEXT = "The river rose in spring, and every boat was under the bridge. The old man slept. Snow fell."


@pytest.fixture(scope="module")
def parts(decoder_study):
    return open_parts(decoder_study)


@pytest.fixture(scope="module")
def reference(parts):
    corpus, reader = parts
    return DepartureReference.build(corpus, reader)


def draw(rng, *, n_documents=60, per_document=30):
    """Parts whose residuals grow with a trait and are wider in kind 1; documents have an offset of their own."""
    n = n_documents * per_document
    documents = np.repeat(np.arange(n_documents), per_document)
    trait, kinds = rng.uniform(0, 2, size=n), rng.integers(0, 2, size=n)
    size = np.exp(trait) * np.where(kinds == 1, 3.0, 1.0)
    rows = (rng.normal(size=(n, 4)) + 0.3 * rng.normal(size=(n_documents, 4))[documents]) * size[:, None]
    return Parts(rows=rows + 7.0, traits=trait[:, None], kinds=kinds, documents=documents)


@pytest.fixture(scope="module")
def measured():
    rng = np.random.default_rng(0)
    surprise = PartSurprise.fit(draw(rng), draw(rng, n_documents=200), n_kinds=2)
    return surprise, draw(rng, n_documents=400)


def test_p_values_of_clean_parts_are_uniform_in_every_kind_and_at_every_trait(measured):
    surprise, fresh = measured
    p_values = surprise.p_values(fresh)
    for kind in (0, 1):
        for is_high in (False, True):
            chosen = (fresh.kinds == kind) & ((fresh.traits[:, 0] > 1) == is_high)
            for level in (0.05, 0.2, 0.5):
                assert abs(np.mean(p_values[chosen] <= level) - level) < 0.04


def test_surprise_is_about_one_nat_for_clean_parts_and_more_for_strange_ones(measured):
    surprise, fresh = measured
    assert abs(surprise.surprise(fresh).mean() - 1.0) < 0.15
    moved = replace(fresh, rows=fresh.rows + 60.0)
    assert (surprise.p_values(moved) <= 0.05).mean() > 0.9
    further = replace(fresh, rows=fresh.rows + 600.0)
    assert surprise.surprise(further).mean() > surprise.surprise(moved).mean() + 3.0


def test_a_kind_that_few_documents_have_is_measured_among_all(measured):
    rng = np.random.default_rng(1)
    calibrated = draw(rng)
    kinds = np.where(calibrated.documents < 2, calibrated.kinds, 0)
    surprise = PartSurprise.fit(draw(rng), replace(calibrated, kinds=kinds), n_kinds=3)
    assert [part is None for part in surprise.calibrations] == [False, True, True, False]
    strange = draw(rng, n_documents=5)
    strange = replace(strange, kinds=np.full(len(strange.rows), 2))
    assert ((surprise.p_values(strange) > 0) & (surprise.p_values(strange) <= 1)).all()


def test_an_outside_kind_does_not_bend_the_whitening():
    rng = np.random.default_rng(2)
    clean, other = draw(rng), draw(rng)
    huge = replace(clean, rows=np.where(clean.kinds[:, None] == 1, 1e4 * clean.rows, clean.rows))
    found = PartSurprise.fit(huge, other, n_kinds=2, outside=1)
    expected = PartSurprise.fit(clean, other, n_kinds=2, outside=1)
    assert np.allclose(found.whitening.matrix, expected.whitening.matrix)
    assert np.allclose(found.slopes, expected.slopes)


def test_too_few_parts_are_refused():
    rng = np.random.default_rng(0)
    parts = draw(rng, n_documents=3, per_document=3)
    with pytest.raises(ShapeError, match="9 parts"):
        PartSurprise.fit(parts, parts, n_kinds=2)


def test_a_first_token_counts_only_in_a_sentence_that_has_no_other():
    rows = np.array([[8.0], [2.0], [4.0], [5.0]])
    is_kept = np.array([False, True, True, True])
    means, lengths = mean_by_owner(rows, np.array([0, 0, 0, 1]), is_kept=is_kept)
    assert means.ravel().tolist() == [3.0, 5.0]
    assert lengths.tolist() == [2.0, 1.0]
    means, lengths = mean_by_owner(rows, np.array([0, 1, 1, 1]), is_kept=is_kept)
    assert means[0, 0] == 8.0
    assert lengths[0] == 1.0


def test_residuals_are_measured_in_the_directions_that_themes_predict(parts):
    corpus, _ = parts
    bases = find_directions(corpus, n_directions=3)
    for pair, basis in bases.items():
        mapped = corpus.alignment.transform_scales(corpus.train)[pair]
        mapped = mapped - mapped.mean(axis=0)
        assert np.allclose(basis.T @ basis, np.eye(3))
        best = np.sort(np.linalg.eigvalsh(mapped.T @ mapped))[::-1][:3]
        assert np.allclose(((mapped @ basis) ** 2).sum(axis=0), best)


def test_every_sentence_and_token_gets_a_score_and_a_p_value(parts, reference):
    _, reader = parts
    reading = reader.read(TEXT)
    found = reference.measure(reading)
    assert tuple(one.pair for one in found) == DOWNWARDS
    for one in found:
        assert len(one.sentence_scores) == len(one.sentence_p_values) == len(reading.sentences) == 3
        assert len(one.token_scores) == len(one.token_p_values) == len(reading.tokens)
        assert min(one.sentence_scores + one.token_scores) >= 0.0
        assert all(0.0 < p <= 1.0 for p in one.sentence_p_values + one.token_p_values)


def test_the_residual_of_a_sentence_is_what_the_map_leaves_over(parts, reference):
    corpus, reader = parts
    reading = reader.read(TEXT)
    pair = ("global", "local")
    maps = corpus.alignment.maps_
    upper = maps["global", "intermediate"].transform(reading.pooled["global"][None])
    predicted = maps["intermediate", "local"].transform(upper)
    sentences, tokens = reference._parts(pair, reading, 0)
    basis = reference._bases[pair]
    # <s> stands before the text, so that no ordinary token is the first of its row.
    expected = (reading.of_sentences["local"] - predicted) @ basis
    starts_inside = reading.places[0] > 0
    assert np.allclose(sentences.rows[1:], expected[1:])
    assert np.allclose(sentences.rows[0], expected[0]) == starts_inside
    assert np.allclose(tokens.rows, (reading.of_tokens["local"] - predicted) @ basis)


def test_a_displaced_sentence_is_the_strangest(parts, reference):
    """Move the states of one sentence along what themes predict; the text's global state stays as it is."""
    corpus, reader = parts
    texts = [text for _, text in corpus.whole_texts(corpus.splits.test, most=30)]
    readings = [reader.read(f"{text} {TEXT}") for text in texts]
    for number, (pair, scale) in enumerate((pair, pair[1]) for pair in DOWNWARDS):
        spread = corpus.train[scale].std(axis=0).mean()
        hits = []
        for reading in readings:
            last = len(reading.sentences) - 2
            owners = np.array([token.sentence for token in reading.tokens])
            states = {name: rows.copy() for name, rows in reading.states.items()}
            rows = reading.places[owners == last]
            states[scale][rows] += 40 * spread * reference._bases[pair][:, 0]
            one = reference.measure(replace(reading, states=states))[number]
            hits.append(int(np.argmax(one.sentence_scores)) == last)
            assert one.sentence_p_values[last] == min(one.sentence_p_values)
        assert np.mean(hits) > 0.9


def test_p_values_of_held_out_texts_are_not_too_small(parts, reference):
    corpus, reader = parts
    texts = [text for _, text in corpus.whole_texts(corpus.splits.test, most=32)]
    found = [reference.measure(reader.read(text)) for text in texts]
    for number in range(len(DOWNWARDS)):
        for name in ("sentence_p_values", "token_p_values"):
            small = [np.mean(np.array(getattr(one[number], name)) <= 0.2) for one in found]
            assert np.mean(small) < 0.2 + 3 * np.std(small) / np.sqrt(len(small)) + 0.05


def test_a_study_of_sentences_can_be_departed_from(sentence_study):
    corpus, reader = open_parts(sentence_study)
    reference = DepartureReference.build(corpus, reader, n_texts=24)
    (first, _) = reference.measure(reader.read(TEXT))
    assert len(first.sentence_scores) == 3


def test_what_was_made_is_kept_and_comes_back(parts, reference, tmp_path, monkeypatch):
    corpus, reader = parts
    path = tmp_path / "explanation" / "departures.safetensors"
    reading = reader.read(TEXT)
    made = DepartureReference.open(corpus, reader, cache=path)
    assert made.measure(reading) == reference.measure(reading)
    with monkeypatch.context() as patch:
        patch.setattr(DepartureReference, "build", None)
        kept = DepartureReference.open(corpus, reader, cache=path)
    assert kept.measure(reading) == made.measure(reading)
    assert kept.facts == made.facts


def test_a_cache_of_other_settings_or_a_damaged_one_is_made_again(parts, tmp_path):
    corpus, reader = parts
    path = tmp_path / "departures.safetensors"
    DepartureReference.open(corpus, reader, cache=path, n_texts=16)
    assert DepartureReference.open(corpus, reader, cache=path, n_texts=20).facts["n_texts"] == 20
    path.write_bytes(path.read_bytes()[:-50])
    assert DepartureReference.open(corpus, reader, cache=path, n_texts=20).facts["n_texts"] == 20
    assert DepartureReference.load(path, corpus.alignment).facts["n_texts"] == 20


def test_without_a_cache_nothing_is_written(parts, monkeypatch):
    corpus, reader = parts
    monkeypatch.setattr(DepartureReference, "save", None)
    assert DepartureReference.open(corpus, reader, n_texts=16).facts["n_texts"] == 16


def test_a_file_of_something_else_is_refused(parts, tmp_path):
    path = write_tensors(tmp_path / "other.safetensors", {"a": np.zeros(3)}, metadata={"facts": "{}"})
    with pytest.raises(StorageError, match="nothing about departures"):
        DepartureReference.load(path, parts[0].alignment)


def test_too_few_validation_documents_are_refused(parts):
    corpus, reader = parts
    with pytest.raises(CorpusError, match="5 validation documents"):
        DepartureReference.build(corpus, reader, n_texts=5)


def test_a_study_without_the_maps_is_refused(parts, monkeypatch):
    corpus, reader = parts
    monkeypatch.setattr(corpus.alignment, "pairs", (("global", "intermediate"),))
    with pytest.raises(ScaleError, match="no map global -> local"):
        DepartureReference.build(corpus, reader)


def test_a_map_that_predicts_the_same_for_every_text_is_refused(parts, monkeypatch):
    corpus, _ = parts

    def flatten(states):
        return {pair: np.ones_like(states[pair[1]]) for pair in DOWNWARDS}

    monkeypatch.setattr(corpus.alignment, "transform_scales", flatten)
    with pytest.raises(ScaleError, match="same for every text"):
        find_directions(corpus, n_directions=3)


def test_tokens_are_told_apart_by_place_and_by_how_common_they_are(reference):
    places = np.array([0, 3, 8, 9, 50])
    shares = np.array([0.0, 1.0, 0.0, 0.0, 1.0])
    assert reference._kinds(places, shares).tolist()[:4] == [0, 1, 1, 2]
    assert reference._kinds(places, shares)[4] == departures._N_KINDS - 1


@pytest.mark.slow
def test_a_sentence_from_elsewhere_is_found_more_often_than_by_chance(tmp_path):
    """A sentence of another document among those of a paragraph, on the demo decoder and corpus."""
    config = StudyConfig(
        model="demo-decoder", texts="demo", scales="thirds", attention_texts=0, maps=("ridge",)
    )
    study = Study(config, tmp_path / "study")
    study.run()
    corpus, reader = open_parts(study)
    reference = DepartureReference.build(corpus, reader)
    rng = np.random.default_rng(3)
    texts = corpus.whole_texts(corpus.splits.test, most=96)
    sentences = [[text[a:b] for a, b in split_sentences(text)] for _, text in texts]
    hits, chances = [], []
    for number, own in enumerate(sentences):
        others = [s for k, them in enumerate(sentences) if k != number for s in them if len(s.split()) >= 5]
        place, new = int(rng.integers(len(own) + 1)), str(rng.choice(others))
        reading = reader.read(" ".join([*own[:place], new, *own[place:]]))
        found = [piece.text.strip() for piece in reading.sentences]
        if new.strip() not in found:  # cut off, or joined to another
            continue
        scores = reference.measure(reading)[0].sentence_scores
        hits.append(int(np.argmax(scores)) == found.index(new.strip()))
        chances.append(1.0 / len(scores))
    low = float(binomtest(sum(hits), len(hits)).proportion_ci(0.95).low)
    assert low > np.mean(chances)
