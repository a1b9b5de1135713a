"""Operations inside attention: against the same thing done by hand, written out or fused."""

import math

import pytest
import torch

from families import ALL_FAMILIES
from interventions_families import build, entries, sites_of
from msma.errors import ModelError, ShapeError
from msma.interventions import HeadRemoval, Temperature, intervene

FAMILIES = {family.name: family for family in ALL_FAMILIES}
WITH_ATTENTION = [f for f in ALL_FAMILIES if f.has_attention and f.name != "deberta-conv"]
WITHOUT = [f for f in ALL_FAMILIES if f not in WITH_ATTENTION]
IDS, OTHER = [5, 6, 7, 43, 9, 10], [15, 16, 17, 43, 19, 20]
with_attention = pytest.mark.parametrize("family", WITH_ATTENTION, ids=lambda family: family.name)


def collate(stack, ids):
    """An encoder-decoder's decoder is to read the same source for every text."""
    return stack.collate([ids], sources=None if stack.encoder is None else [IDS])


def last_entry(stack, ids):
    found = {}
    with torch.no_grad(), stack.reading(lambda k, states: found.__setitem__(k, states.clone())) as run:
        run(collate(stack, ids))
    return found[stack.n_layers - 1]


@with_attention
def test_without_any_head_a_token_knows_nothing_of_the_others(family):
    model, stack = build(family), sites_of(family).stack
    if family.name in ("xlnet", "bert"):
        assert not torch.equal(last_entry(stack, IDS)[0, 3], last_entry(stack, OTHER)[0, 3])
    with intervene(model, None, range(stack.n_layers), HeadRemoval(), stack=family.stack):
        one, other = last_entry(stack, IDS), last_entry(stack, OTHER)
    torch.testing.assert_close(one[0, 3], other[0, 3], rtol=1e-4, atol=1e-4)


@with_attention
def test_endless_heat_is_even_attention_and_cold_is_not_the_same(family):
    model, stack = build(family), sites_of(family).stack
    layers = range(stack.n_layers)
    clean = last_entry(stack, IDS)
    found = []
    for temperature in (1e6, 1e7, 0.3):
        with intervene(model, None, layers, Temperature(temperature), stack=family.stack):
            found.append(last_entry(stack, IDS))
    assert all(bool(torch.isfinite(states).all()) for states in found)
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-3)
    assert not torch.allclose(found[0], clean)
    assert not torch.allclose(found[2], clean)


@pytest.mark.parametrize("family", WITHOUT, ids=lambda family: family.name)
def test_blocks_without_attention_say_so(family):
    model, stack = build(family), sites_of(family).stack
    with (
        pytest.raises(ModelError, match="ran without an attention that can be acted on"),
        intervene(model, None, range(1, stack.n_layers), Temperature(2.0), stack=family.stack),
    ):
        entries(stack, IDS)
    assert torch.softmax(torch.zeros(2), 0).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "name", ["gpt2", "llama", "gemma2", "bert", "t5-encoder", "t5-decoder", "bart-decoder"]
)
@pytest.mark.parametrize("operation", [Temperature(2.0), HeadRemoval([0, 3])], ids=["temperature", "heads"])
def test_written_out_and_fused_attention_agree(name, operation):
    family = FAMILIES[name]
    fused, written = family.build(), family.build()
    written.set_attn_implementation("eager")
    found = []
    for model in (fused, written):
        from msma.interventions.sites import find_sites

        stack = find_sites(model, stack=family.stack).stack
        with intervene(model, None, range(1, stack.n_layers), operation, stack=family.stack):
            found.append(last_entry(stack, IDS))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_removing_all_heads_equals_zeroing_what_attention_brings_back():
    model, stack = build(FAMILIES["gpt2"]), sites_of(FAMILIES["gpt2"]).stack
    zero = [
        block.attn.c_proj.register_forward_pre_hook(lambda _, args: (torch.zeros_like(args[0]),))
        for block in model.h[1:3]
    ]
    by_hand = entries(stack, IDS)
    for handle in zero:
        handle.remove()
    with intervene(model, None, [2, 3], HeadRemoval()):
        found = entries(stack, IDS)
    assert all(torch.equal(found[k], by_hand[k]) for k in found)


def test_one_head_is_its_part_of_what_attention_brings_back():
    model, stack = build(FAMILIES["gpt2"]), sites_of(FAMILIES["gpt2"]).stack
    width = model.config.n_embd // model.config.n_head

    def without_third(_, args):
        states = args[0].clone()
        states[..., 2 * width : 3 * width] = 0
        return (states,)

    handle = model.h[1].attn.c_proj.register_forward_pre_hook(without_third)
    by_hand = entries(stack, IDS)
    handle.remove()
    for operation in (HeadRemoval([2]), HeadRemoval({2: [2]})):
        with intervene(model, None, [2], operation):
            found = entries(stack, IDS)
        for k in found:
            torch.testing.assert_close(found[k], by_hand[k])


def test_temperature_divides_the_logits():
    """GPT-2's logits are q k / sqrt(d): dividing them by 4 is halving q and k."""
    model, stack = build(FAMILIES["gpt2"]), sites_of(FAMILIES["gpt2"]).stack
    changed = FAMILIES["gpt2"].build()
    width = model.config.n_embd
    with torch.no_grad():
        changed.h[2].attn.c_attn.weight[:, : 2 * width] /= 2
        changed.h[2].attn.c_attn.bias[: 2 * width] /= 2
    from msma.interventions.sites import find_sites

    by_hand = entries(find_sites(changed).stack, IDS)
    with intervene(model, None, [3], Temperature(4.0)):
        found = entries(stack, IDS)
    for k in found:
        torch.testing.assert_close(found[k], by_hand[k], rtol=1e-5, atol=1e-5)


def test_nested_temperatures_multiply():
    model, stack = build(FAMILIES["gpt2"]), sites_of(FAMILIES["gpt2"]).stack
    with intervene(model, None, [2, 3], Temperature(2.0)), intervene(model, None, [3], Temperature(3.0)):
        nested = entries(stack, IDS)
    with intervene(model, None, [2], Temperature(2.0)), intervene(model, None, [3], Temperature(6.0)):
        direct = entries(stack, IDS)
    for k in nested:
        torch.testing.assert_close(nested[k], direct[k])


@pytest.mark.parametrize("temperature", [0.05, 20.0])
def test_padded_rows_stay_finite(temperature):
    family = FAMILIES["gpt2"]
    model = build(family)
    ids = torch.tensor([[1, 1, 1, 5, 6], [7, 8, 9, 10, 11]])
    mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1]])
    with torch.no_grad(), intervene(model, None, [1, 2, 3], Temperature(temperature)):
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    assert bool(torch.isfinite(states).all())
    assert math.isfinite(float(states.abs().max()))


def test_a_head_that_does_not_exist_is_named():
    model, stack = build(FAMILIES["gpt2"]), sites_of(FAMILIES["gpt2"]).stack
    with (
        pytest.raises(ShapeError, match="head 4 of block 1 was to be removed; it has heads 0 to 3"),
        intervene(model, None, [1], HeadRemoval([4])),
    ):
        entries(stack, IDS)
