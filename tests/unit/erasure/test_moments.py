"""Moments of tokens equal those computed a text and a token at a time, whatever the batches."""

import numpy as np
import pytest
import torch

from language import FAMILIES, loaded_model
from msma.erasure.moments import concept_moments, encode_texts
from msma.errors import CorpusError
from msma.interventions.sites import find_sites
from tiny import TEXTS

MODELS = {
    "gpt2": ("writer", "auto"),
    "llama": ("writer", "auto"),
    "bert": ("masked", "auto"),
    "t5-encoder": ("writer", "auto"),
    "t5-decoder": ("writer", "decoder"),
}
every_model = pytest.mark.parametrize("name", MODELS)
CONCEPT = torch.tensor(
    [[1.0, 0.3], [0.0, -1.0], [1.0, 2.0], [0.0, 0.0], [1.0, 0.7], [0.0, 0.1], [0.0, 5.0], [1.0, 1.0]]
)


def model_of(name):
    head, side = MODELS[name]
    loaded = loaded_model(name, head)
    return loaded, find_sites(loaded.network, stack=side).stack


def tokens_of(stack, row, layer):
    """States of one text's tokens, the text alone in its batch."""
    found = {}
    sources = None if row.source is None else [row.source]
    with torch.no_grad(), stack.reading(lambda k, states: found.__setitem__(k, states.clone())) as run:
        run(stack.collate([row.ids], sources=sources))
    return found[layer][0, : len(row.ids)].double().numpy()


def naive(tokens, concept, *, is_causal):
    """The formulas as they stand, text by text and token by token."""
    n = len(tokens)
    pooled = np.array([t.mean(axis=0) for t in tokens])
    mean = pooled.mean(axis=0)
    covariance = sum(np.outer(h - mean, h - mean) / len(t) for t in tokens for h in t) / n
    apart = concept - concept.mean(axis=0)
    read = np.array([t[-1] if is_causal else t[0] for t in tokens])
    cross = np.concatenate([(pooled - mean).T @ apart, (read - read.mean(axis=0)).T @ apart], axis=1) / n
    return mean, covariance, cross


def assert_equal(found, expected, *, size):
    for one, other in zip((found.mean, found.covariance, found.cross), expected, strict=True):
        assert one.dtype == torch.float64
        np.testing.assert_allclose(one.numpy(), other, atol=2e-5 * size)


@every_model
def test_moments_are_those_of_the_formulas(name):
    loaded, stack = model_of(name)
    rows = encode_texts(loaded, stack, TEXTS)
    assert len({row.length for row in rows}) > 4  # padding is in play
    assert stack.is_causal == FAMILIES[name].is_causal
    for layer in (0, 2, stack.n_layers - 1):
        tokens = [tokens_of(stack, row, layer) for row in rows]
        expected = naive(tokens, CONCEPT.double().numpy(), is_causal=stack.is_causal)
        size = max(1.0, float(np.trace(expected[1])))
        assert_equal(concept_moments(loaded, stack, rows, CONCEPT, layer), expected, size=size)


def test_of_gpt2_they_are_those_of_the_hidden_states_it_gives_itself():
    loaded, stack = model_of("gpt2")
    tokens = []
    for text in TEXTS:
        ids = torch.tensor([loaded.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            tokens.append(loaded.network(ids, output_hidden_states=True).hidden_states[2][0].double().numpy())
    found = concept_moments(loaded, stack, encode_texts(loaded, stack, TEXTS), CONCEPT, 2)
    expected = naive(tokens, CONCEPT.double().numpy(), is_causal=True)
    assert_equal(found, expected, size=max(1.0, float(np.trace(expected[1]))))


@every_model
def test_batches_and_order_change_nothing(name, monkeypatch):
    loaded, stack = model_of(name)
    rows = encode_texts(loaded, stack, TEXTS)
    whole = concept_moments(loaded, stack, rows, CONCEPT, 3)
    order = np.random.default_rng(0).permutation(len(rows))
    turned = concept_moments(loaded, stack, [rows[i] for i in order], CONCEPT[order], 3)
    monkeypatch.setattr("msma.erasure.moments.default_budget", lambda stack: 1)
    alone = concept_moments(loaded, stack, rows, CONCEPT, 3)
    size = max(1.0, float(whole.covariance.trace()))
    for other in (turned, alone):
        assert_equal(other, (whole.mean.numpy(), whole.covariance.numpy(), whole.cross.numpy()), size=size)


def test_every_text_weighs_alike_whatever_its_length():
    loaded, stack = model_of("gpt2")
    long, short = max(TEXTS, key=len), min(TEXTS, key=len)
    rows = encode_texts(loaded, stack, [long, short])
    mean = concept_moments(loaded, stack, rows, None, 2).mean.numpy()
    tokens = [tokens_of(stack, row, 2) for row in rows]
    np.testing.assert_allclose(mean, (tokens[0].mean(axis=0) + tokens[1].mean(axis=0)) / 2, atol=1e-5)
    assert np.abs(mean - np.concatenate(tokens).mean(axis=0)).max() > 0.01
    # A text that comes twice weighs twice.
    thrice = concept_moments(loaded, stack, [*rows, rows[1], rows[1]], None, 2).mean.numpy()
    np.testing.assert_allclose(thrice, (tokens[0].mean(axis=0) + 3 * tokens[1].mean(axis=0)) / 4, atol=1e-5)


def test_without_a_concept_there_is_no_cross_covariance():
    loaded, stack = model_of("bert")
    rows = encode_texts(loaded, stack, TEXTS)
    plain = concept_moments(loaded, stack, rows, None, 1)
    assert plain.cross.shape == (stack.d_model, 0)
    with_it = concept_moments(loaded, stack, rows, CONCEPT, 1)
    assert torch.equal(plain.mean, with_it.mean)
    assert torch.equal(plain.covariance, with_it.covariance)


def test_long_texts_are_cut_at_the_limit_of_the_model():
    loaded, stack = model_of("gpt2")
    rows = encode_texts(loaded, stack, ["river " * 200, "snow"])
    assert [row.length for row in rows] == [64, 1]


def test_a_text_without_a_token_is_named():
    loaded, stack = model_of("gpt2")
    with pytest.raises(CorpusError, match="text 1 has no token"):
        encode_texts(loaded, stack, ["the river", "   ", "snow"])
