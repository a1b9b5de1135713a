"""What states say in words: planted words are found, other texts' decodings are chance, every error trips."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from explained_study import open_parts
from msma._types import SCALES
from msma.errors import CorpusError, ModelError, ScaleError
from msma.explanation import decoding
from msma.explanation.decoding import PATHS, WordDecoder
from msma.explanation.lens import read_logits
from msma.explanation.reading import ScaleReader
from msma.explanation.vocabulary import choose_words, document_shares, ordinary_ids
from msma.models import LoadedModel, find_stack, load_model
from tiny import VOCABULARY, VOCABULARY_SIZE, WORDS, make_tokenizer


@pytest.fixture(scope="module")
def parts(decoder_study):
    return open_parts(decoder_study)


@pytest.fixture(scope="module")
def decoder(parts):
    corpus, reader = parts
    return WordDecoder(reader, corpus)


class Identity:
    def transform(self, rows):
        return rows


def plant(reader, corpus, word):
    """A reading of one word whose state at each scale is the mean plus the word's centred embedding."""
    reading = reader.read(word)
    weight = reader.stack.module.get_input_embeddings().weight.detach().double().numpy()
    entries = WordDecoder(reader, corpus).entries
    direction = weight[VOCABULARY[word]] - weight[entries].mean(axis=0)
    means = {scale: corpus.train[scale].mean(axis=0) for scale in SCALES}
    return replace(reading, states={scale: (means[scale] + direction)[None] for scale in SCALES})


def test_a_state_that_is_a_words_embedding_decodes_to_that_word(parts, monkeypatch):
    corpus, reader = parts
    words = reader.loaded.tokenizer.convert_ids_to_tokens(WordDecoder(reader, corpus).entries.tolist())
    for word in [word for word in words if len(word) > 1][:3]:
        reading = plant(reader, corpus, word)
        with monkeypatch.context() as patch:
            # Maps that change nothing: every path ends at the planted state.
            maps = {pair: Identity() for pair in corpus.alignment.maps_}
            patch.setattr(corpus.alignment, "maps_", maps)
            found = WordDecoder(reader, corpus).decode(reading)
        for path in PATHS:
            (one,) = [d for d in found if d.method == "embeddings" and d.path == path]
            assert one.words[0][0] == word
            assert one.auc == 1.0
            assert one.p_value < 0.2
            assert one.control < 0.9


def test_mapping_down_is_applied_in_turn(parts, monkeypatch):
    corpus, reader = parts

    class Times:
        def __init__(self, factor):
            self.factor = factor

        def transform(self, rows):
            return self.factor * rows

    maps = {("global", "intermediate"): Times(2.0), ("intermediate", "local"): Times(3.0)}
    monkeypatch.setattr(corpus.alignment, "maps_", maps)
    decoder = WordDecoder(reader, corpus)
    states = {scale: np.ones((1, 4)) for scale in SCALES}
    found = dict(decoder._map_down(states))
    assert tuple(found) == PATHS
    assert [float(rows[0, 0]) for rows in found.values()] == [1.0, 2.0, 6.0, 1.0]


def test_one_decoding_comes_for_every_method_and_path(parts, decoder):
    _, reader = parts
    found = decoder.decode(reader.read("The river rose in spring, and every boat was under the bridge."))
    assert decoder.methods == ("embeddings", "lens")
    assert [(d.method, d.path) for d in found] == [(m, p) for m in decoder.methods for p in PATHS]
    for one in found:
        scores = [score for _, score in one.words]
        assert 1 <= len(one.words) <= 10
        assert scores == sorted(scores, reverse=True)
        assert 0.0 <= one.auc <= 1.0
        assert 0.0 < one.p_value <= 1.0


def test_the_states_of_other_texts_decode_at_chance(parts, decoder):
    """A text's tokens scored with another text's states: as good as its control, with uniform p-values."""
    corpus, reader = parts
    texts = [text for _, text in corpus.whole_texts(corpus.splits.train, most=60)]
    readings = [reader.read(text) for text in texts]
    # Neighbours in a random order: half of the pairs share their topic, as half of the controls do.
    found = [
        decoder.decode(replace(one, states=other.states))
        for one, other in zip(readings, [*readings[1:], readings[0]], strict=True)
    ]
    for place in range(len(found[0])):
        gaps = np.array([each[place].auc - each[place].control for each in found])
        p_values = np.array([each[place].p_value for each in found])
        assert abs(gaps.mean()) < 4 * gaps.std() / np.sqrt(len(gaps))
        assert 0.3 < p_values.mean() < 0.7
        assert abs(np.mean([each[place].control for each in found]) - 0.5) < 0.1


def test_own_states_decode_better_than_those_of_others(parts, decoder):
    corpus, reader = parts
    texts = [text for _, text in corpus.whole_texts(corpus.splits.test, most=24)]
    found = [decoder.decode(reader.read(text)) for text in texts]
    last = [place for place, one in enumerate(found[0]) if one.path == ("local",)]
    for place in last:
        gaps = np.array([each[place].auc - each[place].control for each in found])
        assert gaps.mean() > 3 * gaps.std() / np.sqrt(len(gaps))


def test_a_text_is_not_its_own_control(parts, decoder):
    corpus, reader = parts
    text = corpus.whole_texts(corpus.splits.test, most=1)[0][1]
    n_controls = len(decoder._texts)
    known = " ".join(text.split()) in decoder._texts
    p_values = [one.p_value for one in decoder.decode(reader.read(text))]
    steps = np.array(p_values) * (1 + n_controls - known)
    assert np.allclose(steps, steps.round())


@pytest.mark.parametrize("words", [["<unk>"], WORDS])
def test_a_text_with_no_entry_or_with_all_of_them_says_nothing(parts, decoder, words):
    _, reader = parts
    reading = reader.read("river")
    ids = tuple(VOCABULARY[word] for word in words)
    found = decoder.decode(replace(reading, ids=ids))
    assert {(one.auc, one.control, one.p_value) for one in found} == {(0.5, 0.5, 1.0)}


def test_equal_scores_count_half():
    ranks = np.array([[2.5, 2.5, 2.5, 2.5], [1.0, 2.0, 3.0, 4.0]])
    is_there = np.array([False, False, False, True])
    assert decoding._areas(ranks, is_there).tolist() == [0.5, 1.0]


def test_entries_that_most_texts_have_are_left_out_where_enough_remain():
    assert decoding._choose_entries(np.array([0.0, 0.9, 0.2, 0.1, 0.05])).tolist() == [2, 3, 4]
    assert decoding._choose_entries(np.array([0.0, 0.9, 0.8, 0.9])).tolist() == [1, 2, 3]


def test_shares_count_documents_and_no_special_tokens(parts):
    corpus, reader = parts
    texts = [text for _, text in corpus.whole_texts(corpus.splits.train, most=10**6)]
    expected = Counter(i for text in texts for i in set(reader.loaded.tokenizer(text)["input_ids"]))
    shares = document_shares(reader, corpus)
    assert shares[VOCABULARY["river"]] == pytest.approx(expected[VOCABULARY["river"]] / len(texts))
    assert shares[VOCABULARY["<s>"]] == 0.0
    assert ordinary_ids(reader, [0, 9, 9, 7]).tolist() == [7, 9]


def test_words_are_whole_and_told_once():
    vocabulary = {"[UNK]": 0, "rain": 1, "Rain": 2, "##ing": 3, "!": 4, "snow": 5, "##ed": 6}
    model = models.WordPiece(vocabulary, unk_token="[UNK]")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), unk_token="[UNK]")
    entries, scores = np.array([1, 2, 3, 4, 5, 6]), np.array([2.0, 3.0, 5.0, 4.0, 1.0, 0.0])
    assert choose_words(tokenizer, entries, scores, n_words=2) == (("Rain", 3.0), ("snow", 1.0))
    # Pieces and signs come only where words do not suffice.
    assert [w for w, _ in choose_words(tokenizer, entries, scores, n_words=4)] == ["ing", "!", "Rain", "snow"]


def test_where_pieces_show_that_they_begin_a_word_only_those_are_whole():
    vocabulary = {"<unk>": 0, "Ġrain": 1, "bow": 2, "Ġsnow": 3}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>")), unk_token="<unk>"
    )
    found = choose_words(tokenizer, np.array([1, 2, 3]), np.array([1.0, 3.0, 2.0]), n_words=2)
    assert [score for _, score in found] == [2.0, 1.0]


def test_the_lens_of_a_causal_head_is_what_follows_the_last_block(parts):
    _, reader = parts
    network = reader.loaded.network
    rows = np.random.default_rng(0).normal(size=(70, reader.stack.d_model))
    entries = np.array([3, 9, 20])
    with torch.inference_mode():
        states = torch.from_numpy(rows).float()
        expected = network.lm_head(network.transformer.ln_f(states))[:, torch.from_numpy(entries)].numpy()
    assert np.allclose(read_logits(reader.loaded, reader.stack, rows, entries), expected, atol=1e-5)
    with torch.inference_mode():  # the hook is gone
        ids = torch.tensor([[3, 9]])
        assert torch.equal(network(input_ids=ids).logits, network(input_ids=ids).logits)


def test_the_lens_of_a_masked_head_goes_through_its_own_layers():
    torch.manual_seed(0)
    network = BertForMaskedLM(
        BertConfig(
            vocab_size=VOCABULARY_SIZE,
            hidden_size=32,
            intermediate_size=64,
            num_attention_heads=4,
            num_hidden_layers=3,
            max_position_embeddings=24,
        )
    ).eval()
    loaded = LoadedModel(network=network, tokenizer=make_tokenizer(), name="masked", revision=None)
    stack = find_stack(network, [0, 9, 8, 7, 2])
    rows, entries = np.random.default_rng(0).normal(size=(30, 32)), np.array([5, 6])
    with torch.inference_mode():
        expected = network.cls(torch.from_numpy(rows).float())[:, 5:7].numpy()
    assert loaded.head == "masked"
    assert np.allclose(read_logits(loaded, stack, rows, entries), expected, atol=1e-5)


def test_states_of_standardised_layers_are_brought_back_for_the_head(parts, monkeypatch):
    corpus, reader = parts
    decoder = WordDecoder(reader, corpus)
    n_layers, width = reader.stack.n_layers, reader.stack.d_model
    monkeypatch.setattr(reader.representation, "means_", np.full((n_layers, width), 5.0))
    monkeypatch.setattr(reader.representation, "spreads_", np.full(n_layers, 2.0))
    assert decoder._unscaled(np.ones((1, width))).tolist() == [[7.0] * width]


def test_without_a_head_only_embeddings_remain(sentence_study):
    corpus, reader = open_parts(sentence_study)
    body = load_model(reader.loaded.network, tokenizer=reader.loaded.tokenizer)
    decoder = WordDecoder(ScaleReader(body, corpus.states.origin, corpus.alignment.representation_), corpus)
    assert "embeddings" in decoder.methods
    assert {one.method for one in decoder.decode(reader.read("The river rose."))} == set(decoder.methods)


def test_embeddings_of_another_width_are_left_to_the_lens(parts, monkeypatch):
    corpus, reader = parts
    narrow = torch.nn.Embedding(VOCABULARY_SIZE, 5)
    monkeypatch.setattr(reader.stack.module, "get_input_embeddings", lambda: narrow)
    assert WordDecoder(reader, corpus).methods == ("lens",)


def test_a_model_with_neither_is_refused(parts, monkeypatch):
    corpus, reader = parts
    narrow = torch.nn.Embedding(VOCABULARY_SIZE, 5)
    monkeypatch.setattr(reader.stack.module, "get_input_embeddings", lambda: narrow)
    monkeypatch.setattr(LoadedModel, "head", property(lambda _: "none"))
    with pytest.raises(ModelError, match="cannot be read as words"):
        WordDecoder(reader, corpus)


def test_a_study_without_the_maps_is_refused(parts, monkeypatch):
    corpus, reader = parts
    maps = {pair: map_ for pair, map_ in corpus.alignment.maps_.items() if pair[1] != "local"}
    monkeypatch.setattr(corpus.alignment, "maps_", maps)
    with pytest.raises(ScaleError, match="no map intermediate -> local"):
        WordDecoder(reader, corpus)


def test_too_few_documents_are_refused(parts):
    corpus, reader = parts
    with pytest.raises(CorpusError, match="3 others came"):
        WordDecoder(reader, corpus, n_controls=3)


def test_too_few_entries_are_refused():
    with pytest.raises(CorpusError, match="1 entry"):
        decoding._choose_entries(np.array([0.0, 0.9]))
