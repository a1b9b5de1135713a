"""Where a text lies: nearest texts, labels near it, and p-values that hold at any length."""

import numpy as np
import pytest

from explained_study import open_parts
from msma.errors import OriginError, StorageError
from msma.explanation.corpus import StudyCorpus
from msma.explanation.lengths import LengthMatch
from msma.explanation.placing import Placing, centred_cosines
from msma.explanation.reading import ScaleReader
from msma.explanation.shelf import Shelf
from msma.models import load_model
from study_inputs import save_model


@pytest.fixture(scope="module")
def decoder(decoder_study):
    return open_parts(decoder_study)


@pytest.fixture(scope="module")
def sentences(sentence_study):
    return open_parts(sentence_study)


@pytest.fixture(scope="module")
def placing(decoder):
    corpus, reader = decoder
    texts, lines = Shelf.of_texts(corpus), Shelf.of_sentences(corpus, reader, most=40)
    return Placing(corpus, texts, lines, LengthMatch(corpus, reader))


def test_the_whole_texts_of_a_study_of_texts_are_its_samples(decoder):
    corpus, _ = decoder
    shelf = Shelf.of_texts(corpus)
    states = corpus.alignment.representation_.transform(corpus.states)
    order = np.argsort(np.array(corpus.states.document_ids))
    assert shelf.documents == [corpus.states.document_ids[k] for k in order]
    assert np.allclose(shelf.states["global"], states["global"][order])
    assert set(shelf.labels["topic"]) == {"first", "second"}


def test_the_whole_texts_of_a_study_of_sentences_are_pooled_by_their_tokens(sentences):
    corpus, reader = sentences
    shelf = Shelf.of_texts(corpus)
    assert len(shelf.texts) == len(set(corpus.states.document_ids)) < corpus.states.n_samples
    number = 7
    reading = reader.read(shelf.texts[number])
    assert np.allclose(shelf.states["local"][number], reading.of_tokens["local"].mean(axis=0), atol=1e-4)


def test_the_sentences_of_a_study_of_texts_are_read_once_and_kept(decoder, tmp_path, monkeypatch):
    corpus, reader = decoder
    first = Shelf.of_sentences(corpus, reader, cache=tmp_path / "s.safetensors", most=10)
    monkeypatch.setattr(ScaleReader, "read", lambda *_: pytest.fail("read again"))
    again = Shelf.of_sentences(corpus, reader, cache=tmp_path / "s.safetensors", most=10)
    assert again.texts == first.texts
    assert np.array_equal(again.states["global"], first.states["global"])


@pytest.mark.parametrize("content", [b"", b"nonsense that is long enough to hold a header"])
def test_a_damaged_cache_is_made_again(decoder, tmp_path, content):
    corpus, reader = decoder
    path = tmp_path / "s.safetensors"
    path.write_bytes(content)
    assert len(Shelf.of_sentences(corpus, reader, cache=path, most=3).texts) >= 3
    assert path.stat().st_size > 100


def test_a_cache_of_another_size_is_not_taken(decoder, tmp_path):
    corpus, reader = decoder
    path = tmp_path / "s.safetensors"
    few = Shelf.of_sentences(corpus, reader, cache=path, most=3)
    assert len(Shelf.of_sentences(corpus, reader, cache=path, most=9).texts) > len(few.texts)


def test_a_text_of_the_corpus_is_not_its_own_neighbour(decoder, placing):
    corpus, reader = decoder
    shelf = Shelf.of_texts(corpus)
    for place in placing.place(reader.read(shelf.texts[3])):
        assert shelf.documents[3] not in {near.document for near in place.texts + place.sentences}
        values = [near.similarity for near in place.texts]
        assert values == sorted(values, reverse=True)


def test_a_copy_with_a_word_more_is_nearest_to_the_original(decoder, placing):
    corpus, reader = decoder
    shelf = Shelf.of_texts(corpus)
    number = max(range(len(shelf.texts)), key=lambda k: len(shelf.texts[k]))
    place = placing.place(reader.read(shelf.texts[number] + " snow"))[0]
    assert place.texts[0].text == shelf.texts[number]
    assert place.texts[0].similarity > 0.9


def test_the_topic_of_the_words_is_over_represented_near(decoder, placing):
    corpus, reader = decoder
    test = corpus.splits.test
    right = 0
    for text, topic in zip(test.texts, test.labels["topic"], strict=True):
        for label in placing.place(reader.read(text))[0].labels[:1]:
            right += label.value == topic
            assert label.share > label.base == pytest.approx(0.5, abs=0.01)
    assert right / test.n_samples > 0.8


def test_p_values_of_held_out_texts_hold_at_any_length(decoder, placing):
    corpus, reader = decoder
    for n_words in (None, 6):
        texts = [" ".join(text.split()[:n_words]) for text in corpus.splits.test.texts]
        found = np.array([[place.p_value for place in placing.place(reader.read(t))] for t in texts])
        assert 0.3 < found.mean() < 0.7
        assert (found <= 0.2).mean() < 0.45


def test_a_text_of_one_word_repeated_is_untypical(decoder, placing):
    _, reader = decoder
    assert min(place.p_value for place in placing.place(reader.read("snow " * 20))) < 0.1


def test_places_lie_in_the_plane_of_the_clouds(decoder_study, decoder, placing):
    from msma.storage import read_json

    _, reader = decoder
    clouds = read_json(decoder_study.folder / "clouds.json")
    for place in placing.place(reader.read(clouds["texts"][0])):
        assert np.allclose(place.position, clouds["points"][place.scale][0], atol=1e-2)


def test_cosines_of_nothing_are_nothing():
    states = np.array([[1.0, 1.0], [2.0, 1.0]])
    assert centred_cosines(states, np.array([1.0, 1.0]), np.array([3.0, 0.0])).tolist() == [0.0, 1.0]
    assert centred_cosines(states, np.zeros(2), np.zeros(2)).tolist() == [0.0, 0.0]


def test_an_unfinished_study_is_refused(tmp_path, decoder_study):
    with pytest.raises(StorageError, match="holds no finished study"):
        StudyCorpus.open(tmp_path)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(StorageError, match="no whole study"):
        StudyCorpus.open(tmp_path)


def test_the_model_of_another_study_is_refused(tmp_path, decoder):
    corpus, _ = decoder
    save_model("llama", tmp_path / "other")
    other = load_model(tmp_path / "other")
    with pytest.raises(OriginError, match="whose weights differ"):
        corpus.check_model(other, other.fingerprint())
