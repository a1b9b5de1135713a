"""A text read for explanation is read as the study read it, token by token."""

import numpy as np
import pytest
import torch

import msma
from families import ALL_FAMILIES
from msma.errors import CorpusError, ModelError
from msma.explanation.reading import ScaleReader
from msma.models import load_model
from msma.scales import ScalePartition, ScaleRepresentation
from tiny import TEXTS, make_tokenizer

TEXT = "The river rose in spring, and every boat was under the bridge. The old man slept."
NAMES = ("gpt2", "bert", "llama", "t5-encoder")
READ = (*NAMES, "t5-decoder", "albert", "gpt-neo", "mamba")


def make_reader(name="gpt2", *, is_standardised=False, reduction="mean", max_tokens=None):
    family = next(family for family in ALL_FAMILIES if family.name == name)
    loaded = load_model(family.build(), tokenizer=make_tokenizer(max_tokens=48), name=name)
    states = msma.extract(
        loaded.network,
        TEXTS,
        tokenizer=loaded.tokenizer,
        stack=family.stack,
        attention_texts=0,
        max_tokens=max_tokens,
    )
    partition = ScalePartition.thirds(states.n_layers)
    representation = ScaleRepresentation(partition, reduction=reduction, is_standardised=is_standardised)
    return ScaleReader(loaded, states.origin, representation.fit(states)), states


@pytest.mark.parametrize("name", READ)
def test_pooled_states_are_those_of_the_extraction(name):
    reader, states = make_reader(name)
    expected = reader.representation.transform(states)
    for number, text in enumerate(TEXTS):
        for scale, state in reader.read(text).pooled.items():
            assert np.allclose(state, expected[scale][number], atol=1e-4), (text, scale)


@pytest.mark.parametrize("options", [{"is_standardised": True}, {"reduction": "last"}])
def test_scales_are_made_of_layers_as_everywhere(options):
    reader, states = make_reader(**options)
    expected = reader.representation.transform(states)
    found = reader.pool([reader.read(text).ids for text in TEXTS])
    for scale in expected:
        assert np.allclose(found[scale], expected[scale], atol=1e-4)


def test_the_decoder_of_an_encoder_decoder_is_read_with_its_encoder():
    reader, states = make_reader("t5-decoder")
    expected = reader.representation.transform(states)
    reading = reader.read(TEXTS[0])
    assert reading.source is not None
    for scale, state in reading.pooled.items():
        assert np.allclose(state, expected[scale][0], atol=1e-4)


def test_tokens_stand_where_they_say_and_sentences_hold_them():
    reading = make_reader()[0].read(TEXT)
    assert [TEXT[token.start : token.end] for token in reading.tokens] == [t.text for t in reading.tokens]
    assert [sentence.text for sentence in reading.sentences] == [TEXT[:62], TEXT[63:]]
    owners = [token.sentence for token in reading.tokens]
    assert owners == sorted(owners)
    assert set(owners) == {0, 1}
    tokens, sentences = reading.of_tokens["global"], reading.of_sentences["global"]
    assert np.allclose(sentences[1], tokens[np.array(owners) == 1].mean(axis=0))
    assert len(tokens) == len(reading.tokens) < len(reading.ids)  # special tokens are pooled and not shown


def test_a_long_text_is_cut_and_says_so():
    reading = make_reader(max_tokens=10)[0].read(TEXT)
    assert reading.is_cut
    assert len(reading.ids) == 10
    assert reading.text == TEXT[: reading.tokens[-1].end]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_agree_with_finite_differences(name):
    reader, _ = make_reader(name)
    reader.loaded.network.double()
    reading = reader.read("The old man slept.")
    axis = torch.from_numpy(np.random.default_rng(0).normal(size=reader.stack.d_model))
    gradients, entered = reader.differentiate(reading, lambda _, state: (state @ axis).tanh())

    def value(shift):
        def enter(_module, args, kwargs):
            if args:
                return (args[0] + shift, *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": kwargs["hidden_states"] + shift}

        # Layer entry 0 is what enters the first block, so it moves as well.
        handle = reader.stack.blocks[0].register_forward_pre_hook(enter, with_kwargs=True)
        try:
            states = reader.read("The old man slept.").pooled
        finally:
            handle.remove()
        return {scale: float(np.tanh(state @ axis.numpy())) for scale, state in states.items()}

    rng = np.random.default_rng(1)  # some norms compute in float32 whatever comes, so the step is not tiny
    for _ in range(3):
        step = rng.normal(size=entered.shape)
        shift = torch.from_numpy(2e-4 * step)[None]
        up, down = value(shift), value(-shift)
        for scale, gradient in gradients.items():
            assert (up[scale] - down[scale]) / 4e-4 == pytest.approx(
                float((gradient * step).sum()), rel=0.02, abs=1e-5
            )


def test_the_gradient_leaves_no_hook_and_no_gradient_behind():
    reader, _ = make_reader()
    reader.differentiate(reader.read(TEXT), lambda _, state: state.sum())
    assert not reader.stack.blocks[0]._forward_pre_hooks
    assert all(p.grad is None for p in reader.loaded.network.parameters())


def test_a_model_without_blocks_cannot_be_differentiated():
    reader, _ = make_reader("albert")
    assert not reader.stack.blocks
    with pytest.raises(ModelError, match="use the method 'occlusion'"):
        reader.differentiate(reader.read(TEXT), lambda _, state: state.sum())


@pytest.mark.parametrize("text", ["", "   ", 3, None])
def test_what_has_no_token_is_refused(text):
    with pytest.raises(CorpusError):
        make_reader()[0].read(text)


def test_states_that_are_not_finite_are_named():
    reader, _ = make_reader()
    with torch.no_grad():
        next(reader.stack.blocks[0].parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        reader.read(TEXT)


def test_a_slow_tokenizer_finds_its_tokens_in_the_text():
    reader, _ = make_reader()
    spans = type(reader)._spans

    class Slow:
        is_fast = False

    reader.loaded = type("Loaded", (), {"tokenizer": Slow()})()
    assert spans(reader, "the old man", ["▁the", "▁ol", "d", "▁man"]) == [(0, 3), (4, 6), (6, 7), (8, 11)]
