"""Every family: the states of a text are those it has alone, and those that transformers itself gives."""

from functools import cache

import numpy as np
import pytest
import torch

from families import ALL_FAMILIES, WIDTH
from msma.errors import ModelError
from msma.extraction import extract
from msma.models import find_stack
from tiny import TEXTS, make_tokenizer

IDS = [0, 5, 7, 43, 61, 11, 75, 58, 65, 8, 56, 2]
UNITS = ("text", "sentence", "token")
every_family = pytest.mark.parametrize("family", ALL_FAMILIES, ids=lambda family: family.name)


@cache
def build(family):
    return family.build()


def read(family, texts, **options):
    options = {"attention_texts": 0, "stack": family.stack, **options}
    return extract(build(family), texts, tokenizer=make_tokenizer(family.template, has_pad=False), **options)


def stacked(states):
    return states.layers(range(states.n_layers))


def count_hooks(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def plain_states(family, ids, mask):
    """Hidden states as transformers gives them, h_0 to h_N, with the last one possibly normed."""
    model = build(family)
    if not model.config.is_encoder_decoder:
        accepts_mask = family.kind != "fnet"
        output = model(
            input_ids=ids, output_hidden_states=True, **({"attention_mask": mask} if accepts_mask else {})
        )
        if family.kind == "mamba":  # its list starts at h_1
            return [model.get_input_embeddings()(ids), *output.hidden_states[:-1]]
        return list(output.hidden_states)
    start = torch.full_like(ids[:, :1], model.config.decoder_start_token_id)
    output = model(
        input_ids=ids,
        attention_mask=mask,
        decoder_input_ids=torch.cat([start, ids[:, :-1]], dim=1),
        output_hidden_states=True,
    )
    return list(output.decoder_hidden_states if family.stack == "decoder" else output.encoder_hidden_states)


def plain_means(family, texts):
    """Padded batch with a mask, all states kept, masked mean at the end."""
    tokenizer = make_tokenizer(family.template)
    batches = [[text] for text in texts] if family.kind == "fnet" else [list(texts)]
    means = []
    for batch in batches:
        tokens = tokenizer(batch, padding=True, return_tensors="pt")
        with torch.no_grad():
            states = torch.stack(plain_states(family, tokens["input_ids"], tokens["attention_mask"]))
        if family.stack == "decoder":
            # What closes a text is not read by a decoder: its inputs are the text moved one place on.
            assert states.shape[2] == tokens["input_ids"].shape[1]
        mask = tokens["attention_mask"][None, :, :, None].float()
        means.append((states * mask).sum(2) / mask.sum(2))
    return torch.cat(means, dim=1).numpy()


def test_table_is_broad_and_names_are_unique():
    assert len({family.name for family in ALL_FAMILIES}) == len(ALL_FAMILIES) >= 24


@every_family
def test_what_is_found_out_about_a_family_is_true(family):
    found = find_stack(build(family), IDS, stack=family.stack)
    assert (found.n_layers, found.d_model) == (family.n_layers, WIDTH)
    assert found.is_causal == family.is_causal
    assert bool(found.blocks) == family.is_hookable
    assert (found.note is None) == family.is_hookable
    assert found.final_norm == ("excluded" if family.has_final_norm else "none")
    assert found.kind == ("decoder" if family.is_causal else "encoder")


@every_family
@pytest.mark.parametrize("unit", UNITS)
def test_a_text_in_a_batch_has_the_states_it_has_alone(family, unit):
    together = read(family, TEXTS, unit=unit, batch_tokens=64)
    alone = np.concatenate([stacked(read(family, [text], unit=unit)) for text in TEXTS], axis=1)
    assert alone.shape == (family.n_layers, together.n_samples, WIDTH)
    np.testing.assert_allclose(stacked(together), alone, atol=1e-5, rtol=1e-5)


@every_family
def test_states_equal_masked_means_of_output_hidden_states(family):
    own, plain = stacked(read(family, TEXTS, batch_tokens=64)), plain_means(family, TEXTS)
    last = family.n_layers - (1 if family.has_final_norm and family.kind != "mamba" else 0)
    np.testing.assert_allclose(own[:last], plain[:last], atol=1e-5, rtol=1e-5)


@every_family
def test_the_final_norm_is_left_out_unless_asked_for(family):
    own, asked = read(family, TEXTS), read(family, TEXTS, final_norm=True)
    if not family.has_final_norm:
        assert asked.origin.final_norm == "none"
        np.testing.assert_array_equal(own.layer(family.n_blocks), asked.layer(family.n_blocks))
        return
    assert (own.origin.final_norm, asked.origin.final_norm) == ("excluded", "included")
    assert np.abs(own.layer(family.n_blocks) - asked.layer(family.n_blocks)).max() > 1e-3
    if family.kind != "mamba":
        plain = plain_means(family, TEXTS)[-1]
        np.testing.assert_allclose(asked.layer(family.n_blocks), plain, atol=1e-5, rtol=1e-5)


@every_family
def test_padding_on_the_left_changes_nothing_or_is_refused(family):
    if not family.left:
        with pytest.raises(ModelError, match="padding_side 'left'"):
            read(family, TEXTS, padding_side="left")
        return
    left, right = (stacked(read(family, TEXTS, padding_side=side)) for side in ("left", "right"))
    np.testing.assert_allclose(left, right, atol=1e-5, rtol=1e-5)


@every_family
def test_attention_statistics_come_with_every_family_that_has_attention(family):
    summary = read(family, TEXTS, attention_texts=3).attention
    if not family.has_attention:
        assert summary is None
        return
    assert summary.distance.shape == (family.n_blocks, 3)
    for values in summary.to_arrays().values():
        assert np.isfinite(values).all()
    assert (summary.sink_share > 0).all()
    assert (summary.entropy <= summary.entropy_uniform + 1e-4).all()
    # Random weights attend nearly evenly, where no window keeps a layer from looking far.
    if family.kind not in ("mistral", "gemma2", "gemma3_text", "gpt_neo", "modernbert", "bloom"):
        ratio = summary.distance.mean(1) / summary.distance_uniform.mean(1)
        assert np.abs(ratio - 1).max() < 0.35


@every_family
def test_the_model_is_left_as_it_was(family):
    model = build(family)
    read(
        family, TEXTS[:1]
    )  # transformers installs hooks of its own the first time hidden states are asked for
    model.train()
    frozen = next(module for module in model.modules() if not list(module.children()))
    frozen.eval()
    modes = [module.training for module in model.modules()]
    hooks = count_hooks(model)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = model.config.to_json_string(use_diff=False)
    implementation = model.config._attn_implementation
    try:
        read(family, TEXTS[:3], attention_texts=2)
        assert [module.training for module in model.modules()] == modes
        assert count_hooks(model) == hooks
        assert model.config._attn_implementation == implementation
        assert model.config.to_json_string(use_diff=False) == settings
        assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    finally:
        model.eval()
