"""Log-probabilities agree with closed forms and with one row at a time, whatever the batch."""

import math

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForMaskedLM, BertConfig, BertModel, PreTrainedTokenizerFast

from language import loaded_model
from letters import (
    LOG_P,
    chance,
    fixed_decoder,
    fixed_encoder,
    letter_tokenizer,
    random_decoder,
    random_encoder,
)
from msma.bias.likelihood import (
    MaskedRow,
    check_language_model,
    filler_rows,
    masked_log_probs,
    read_tokens,
    token_log_probs,
)
from msma.errors import ConfigError, CorpusError, ModelError
from msma.models import LoadedModel
from tiny import VOCABULARY, VOCABULARY_SIZE, make_tokenizer

TEXTS = (
    "The river rose in spring.",
    "Snow fell.",
    "A bird sang every morning; the child heard the song.",
    "No one came.",
)


def score(loaded, texts=TEXTS, **options):
    return token_log_probs(loaded, read_tokens(loaded, texts), **options)


@pytest.mark.parametrize("make", [fixed_encoder, fixed_decoder])
def test_a_model_whose_bias_alone_speaks_gives_each_token_its_chance(make):
    found = score(make(), ["the river rose", "snow fell in spring"])
    expected = [
        [chance(word, VOCABULARY) for word in text.split()]
        for text in ("the river rose", "snow fell in spring")
    ]
    for values, wanted in zip(found, expected, strict=True):
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, wanted, atol=1e-5)
    assert math.isclose(float(LOG_P.exp().sum()), 1.0)


@pytest.mark.parametrize("make", [random_encoder, random_decoder])
@pytest.mark.parametrize("batch_rows", [1, 3, 64])
def test_the_size_of_batches_changes_nothing(make, batch_rows):
    for one, other in zip(score(make(), batch_rows=batch_rows), score(make(), batch_rows=2), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_texts_keep_their_order_whatever_their_length():
    for loaded in (random_encoder(), random_decoder()):
        forward, backward = score(loaded), score(loaded, TEXTS[::-1])[::-1]
        for one, other in zip(forward, backward, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-5)


def test_a_causal_model_agrees_with_its_own_loss_after_a_start_token():
    loaded = random_decoder()
    for text, values in zip(TEXTS, score(loaded), strict=True):
        ids = torch.tensor([[3, *loaded.tokenizer(text)["input_ids"]]])
        with torch.no_grad():
            loss = loaded.network(input_ids=ids, labels=ids).loss
        assert math.isclose(-values.mean(), float(loss), rel_tol=1e-5)


def test_a_decoder_without_a_start_token_leaves_the_first_token_out():
    with_start, without = score(random_decoder()), score(random_decoder(False))
    for one, other in zip(with_start, without, strict=True):
        assert len(other) == len(one) - 1
    with pytest.raises(CorpusError, match="no token to score"):
        score(random_decoder(False), ["the"])


def test_a_masked_model_agrees_with_one_row_at_a_time():
    loaded = random_encoder()
    for text, values in zip(TEXTS, score(loaded), strict=True):
        ids = loaded.tokenizer(text, return_tensors="pt")["input_ids"]
        expected = []
        for place in range(1, ids.shape[1] - 1):
            hidden = ids.clone()
            hidden[0, place] = loaded.tokenizer.mask_token_id
            with torch.no_grad():
                logits = loaded.network(input_ids=hidden).logits
            expected.append(float(torch.log_softmax(logits[0, place], -1)[ids[0, place]]))
        np.testing.assert_allclose(values, expected, atol=2e-5)


@pytest.mark.parametrize("make", [random_encoder, random_decoder])
def test_chosen_places_have_the_values_they_have_among_all(make):
    loaded = make()
    texts = read_tokens(loaded, TEXTS)
    chosen = [text.places[1::2] for text in texts]
    for values, part in zip(
        token_log_probs(loaded, texts), token_log_probs(loaded, texts, places=chosen), strict=True
    ):
        np.testing.assert_allclose(part, values[1::2], atol=2e-5)
    for nothing in token_log_probs(loaded, texts, places=[()] * len(texts)):
        assert len(nothing) == 0
    with pytest.raises(ConfigError, match=r"places \[0\]"):
        token_log_probs(loaded, texts, places=[(0,)] * len(texts))
    with pytest.raises(ConfigError, match="batch_rows 0"):
        token_log_probs(loaded, texts, batch_rows=0)


@pytest.mark.parametrize("name", ["t5-encoder", "bart-decoder"])
def test_an_encoder_decoder_scores_its_target_after_an_empty_source(name):
    loaded = loaded_model(name)
    texts = ["the river rose", "snow fell in spring"]
    start = loaded.network.config.decoder_start_token_id
    for text, values in zip(texts, score(loaded, texts), strict=True):
        target = loaded.tokenizer(text, return_tensors="pt")["input_ids"]
        source = loaded.tokenizer("", return_tensors="pt")["input_ids"]
        decoder = torch.cat([torch.tensor([[start]]), target[:, :-1]], dim=1)
        with torch.no_grad():
            logits = loaded.network(input_ids=source, decoder_input_ids=decoder).logits
        log_p = torch.log_softmax(logits, -1).gather(2, target[..., None])[0, :, 0]
        own = [i for i, token in enumerate(target[0].tolist()) if token not in (0, 2)]
        np.testing.assert_allclose(values, log_p[own].numpy(), atol=1e-4)


@pytest.mark.parametrize("name", ["llama", "opt", "bloom", "gemma3"])
def test_causal_families_are_batched_without_a_trace(name):
    texts = ["the river rose .", "snow fell .", "a bird sang in the garden every morning ."]
    for together, alone in zip(
        score(loaded_model(name), texts), score(loaded_model(name), texts, batch_rows=1), strict=True
    ):
        np.testing.assert_allclose(together, alone, atol=1e-3)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_masked_families_are_batched_without_a_trace(name):
    texts = ["the river rose .", "snow fell .", "a bird sang in the garden every morning ."]
    loaded = loaded_model(name, "masked")
    for together, alone in zip(score(loaded, texts), score(loaded, texts, batch_rows=1), strict=True):
        np.testing.assert_allclose(together, alone, atol=1e-3)


@pytest.mark.parametrize(
    "kind", ["bert", "roberta", "distilbert", "albert", "electra", "mobilebert", "deberta-v2"]
)
def test_masked_families_give_what_all_their_logits_hold_and_keep_no_hook(kind):
    sizes = {"vocab_size": VOCABULARY_SIZE, "pad_token_id": 1, "hidden_size": 16, "intermediate_size": 16}
    sizes |= {
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "embedding_size": 16,
        "max_position_embeddings": 64,
    }
    if kind == "distilbert":
        sizes = {"vocab_size": VOCABULARY_SIZE, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}
    if kind == "mobilebert":
        sizes |= {"true_hidden_size": 16, "intra_bottleneck_size": 16, "embedding_size": 8}
    network = AutoModelForMaskedLM.from_config(AutoConfig.for_model(kind, **sizes)).eval()
    for parameter in network.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    # MobileBERT reads each token with its neighbours; what it reads of padding is zero, as for nothing at all.
    network.get_input_embeddings().weight.data[1] = 0
    rows = [
        MaskedRow((0, 7, 4, 9, 2), 2, 11),
        MaskedRow((0, 4, 12, 2), 1, 13),
        MaskedRow((0, 7, 8, 4, 5, 2), 3, 14),
    ]
    found = masked_log_probs(LoadedModel(network, make_tokenizer(), kind, None), rows)
    for row, value in zip(rows, found, strict=True):
        with torch.no_grad():
            log_p = torch.log_softmax(network(input_ids=torch.tensor([row.ids])).logits[0, row.place], -1)
        assert value == pytest.approx(float(log_p[row.token]), abs=1e-4)
    assert not network.get_output_embeddings()._forward_pre_hooks


def test_a_filler_is_asked_for_from_the_left():
    loaded = random_encoder()
    mask = loaded.tokenizer.mask_token_id
    d, o, g = (loaded.tokenizer.convert_tokens_to_ids(piece) for piece in ("d", "##o", "##g"))
    the, dot = (loaded.tokenizer.convert_tokens_to_ids(piece) for piece in ("the", "."))
    assert filler_rows(loaded, "The BLANK.", "dog") == [
        MaskedRow((2, the, mask, dot, 3), 2, d),
        MaskedRow((2, the, d, mask, dot, 3), 3, o),
        MaskedRow((2, the, d, o, mask, dot, 3), 4, g),
    ]
    assert [row.ids for row in filler_rows(loaded, "The BLANK.", "dog", rest="masked")] == [
        (2, the, mask, mask, mask, dot, 3),
        (2, the, d, mask, mask, dot, 3),
        (2, the, d, o, mask, dot, 3),
    ]
    # Another blank stays a mask, so that it does not tell.
    assert [row.ids for row in filler_rows(loaded, "BLANK the BLANK", "d")] == [(2, mask, the, mask, 3)]


def test_a_filler_that_joins_its_neighbours_is_taken_as_it_stands_alone():
    loaded = random_encoder()
    pieces = [
        loaded.tokenizer.convert_ids_to_tokens(list(row.ids)) for row in filler_rows(loaded, "BLANKs", "dog")
    ]
    assert pieces[-1] == ["[CLS]", "d", "##o", "[MASK]", "s", "[SEP]"]
    assert [
        row.token for row in filler_rows(loaded, "BLANKs", "dog")
    ] == loaded.tokenizer.convert_tokens_to_ids(["d", "##o", "##g"])


def test_a_tokenizer_whose_mask_takes_the_space_before_it_keeps_the_space_in_the_filler():
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *signs])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
    )
    loaded = LoadedModel(random_encoder().network, tokenizer, "bytes", None)
    rows = filler_rows(loaded, "A BLANK.", "cat", rest="masked")
    assert tokenizer.convert_ids_to_tokens([row.token for row in rows]) == ["Ġ", "c", "a", "t"]
    assert tokenizer.convert_ids_to_tokens(list(rows[1].ids)) == [
        *("<s>", "A", "Ġ", "<mask>", "<mask>", "<mask>", ".", "</s>")
    ]


def test_a_filler_needs_a_blank_and_a_token():
    with pytest.raises(CorpusError, match="has no token"):
        filler_rows(random_encoder(), "The BLANK.", " ")
    with pytest.raises(CorpusError, match="no BLANK"):
        filler_rows(random_encoder(), "The dog.", "dog")


def test_texts_that_cannot_be_scored_are_named():
    for loaded in (random_encoder(), random_decoder()):
        with pytest.raises(CorpusError, match="the text '' has no token"):
            score(loaded, ["the", ""])
        with pytest.raises(CorpusError, match=r"the text 'w w w .* reads 300"):
            score(loaded, ["the", "w " * 300])


def test_a_model_without_a_head_is_told_what_it_can_do():
    body = BertModel(
        BertConfig(
            vocab_size=50,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=8,
        )
    )
    with pytest.raises(ModelError, match="association tests and erasure"):
        check_language_model(LoadedModel(body, make_tokenizer(), "body", None))


def test_a_model_with_another_head_is_refused():
    row = MaskedRow((2, 4, 3), 1, 7)
    with pytest.raises(
        ModelError, match="has a causal language-model head and this score needs one that is masked"
    ):
        masked_log_probs(random_decoder(), [row])
    with pytest.raises(ModelError, match="needs one that is masked"):
        filler_rows(random_decoder(), "The BLANK.", "dog")
    with pytest.raises(ModelError, match="needs one that is causal or seq2seq"):
        check_language_model(random_encoder(), wanted=("causal", "seq2seq"))


def test_a_masked_model_needs_a_mask_token():
    encoder = random_encoder()
    bare = LoadedModel(encoder.network, letter_tokenizer(is_masked=False), "bare", None)
    with pytest.raises(ModelError, match="no mask token"):
        read_tokens(bare, TEXTS)


def test_an_encoder_decoder_needs_a_start_and_a_source():
    loaded = loaded_model("t5-encoder")
    without = LoadedModel(loaded.network, make_tokenizer("none"), "sourceless", None)
    with pytest.raises(ModelError, match="no source"):
        score(without, ["the river"])
    config, start = loaded.network.config, loaded.network.config.decoder_start_token_id
    config.decoder_start_token_id = None
    try:
        with pytest.raises(ModelError, match="decoder_start_token_id"):
            score(loaded, ["the river"])
    finally:
        config.decoder_start_token_id = start


def test_nothing_to_score_gives_nothing():
    assert masked_log_probs(random_encoder(), []).shape == (0,)
    assert score(random_decoder(), []) == score(random_encoder(), []) == []
