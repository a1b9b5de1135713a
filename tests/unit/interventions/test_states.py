"""Operations on states: exact on every family, nowhere else than asked, and gone afterwards."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from families import ALL_FAMILIES, WIDTH
from interventions_families import build, entries, sites_of
from msma.errors import ConfigError, ModelError, ScaleError, ShapeError
from msma.extraction import extract
from msma.interventions import HeadRemoval, Noise, Scaling, Temperature, Translation, intervene
from msma.interventions.sites import _find_entries
from msma.models import find_stack
from msma.scales import ScalePartition
from tiny import TEXTS, make_tokenizer

IDS = [5, 6, 7, 43, 9, 10, 11]
every_family = pytest.mark.parametrize("family", ALL_FAMILIES, ids=lambda family: family.name)
VECTOR = np.random.default_rng(0).normal(size=WIDTH).astype(np.float32)


@every_family
def test_translation_adds_the_vector_at_its_layer_and_is_gone_afterwards(family):
    model, stack = build(family), sites_of(family).stack
    clean = entries(stack, IDS)
    for layer in range(stack.n_layers):
        with intervene(model, None, [layer], Translation(VECTOR), stack=family.stack):
            moved = entries(stack, IDS)
        for other in range(layer):
            assert torch.equal(moved[other], clean[other])
        # Where entries are read through output_hidden_states, transformers may have noted this one before.
        if stack.blocks:
            assert torch.equal(moved[layer], clean[layer] + torch.from_numpy(VECTOR))
        assert all(not torch.equal(moved[k], clean[k]) for k in range(layer + 1, stack.n_layers))
    after = entries(stack, IDS)
    assert all(torch.equal(after[k], clean[k]) for k in clean)


@every_family
def test_extract_sees_a_layer_as_it_was_changed(family):
    """What reads a model finds out how on the model itself, untouched, then shows it as it is acted on."""
    if family.name == "albert":
        pytest.skip(
            "transformers notes the states of a shared block inside it, before what acts on its output"
        )
    model, stack = build(family), sites_of(family).stack
    options = {"tokenizer": make_tokenizer(family.template), "stack": family.stack, "attention_texts": 0}
    clean = extract(model, TEXTS[:3], **options)
    layer = stack.n_layers // 2
    with intervene(model, None, [layer], Scaling(1.0), stack=family.stack):
        changed = extract(model, TEXTS[:3], **options)
    assert np.allclose(changed.layer(layer), 2 * clean.layer(layer), rtol=1e-4, atol=1e-5)
    assert np.array_equal(changed.layer(layer - 1), clean.layer(layer - 1))
    assert changed.origin == clean.origin


def test_hidden_states_of_transformers_show_the_change():
    """Its own hooks, there since the first call, run after ours."""
    family = next(family for family in ALL_FAMILIES if family.name == "gpt2")
    model, ids = build(family), torch.tensor([IDS])
    with torch.no_grad():
        clean = model(ids, output_hidden_states=True).hidden_states
        with intervene(model, None, [2], Scaling(1.0)):
            changed = model(ids, output_hidden_states=True).hidden_states
    assert torch.equal(changed[2], 2 * clean[2])
    assert torch.equal(changed[1], clean[1])


def test_finding_out_how_a_model_is_read_is_not_acted_on():
    family = next(family for family in ALL_FAMILIES if family.name == "gpt2")
    model, tokenizer = build(family), make_tokenizer("none")
    with intervene(model, None, [2], Scaling(1.0), is_measured=True) as acting:
        states = extract(model, TEXTS[:1], tokenizer=tokenizer, attention_texts=0)
    assert acting.counts == {2: int(states.lengths.sum())}


@every_family
def test_a_whole_scale_is_acted_on_layer_by_layer(family):
    """Adding at layers a and b equals adding at a, then b, in two nested contexts."""
    model, stack = build(family), sites_of(family).stack
    partition = ScalePartition.thirds(stack.n_layers)
    scale = next(scale for scale in partition if len(partition[scale]) > 1)
    with intervene(model, partition, scale, Scaling(0.3), stack=family.stack) as acting:
        together = entries(stack, IDS)
    assert acting.layers == tuple(partition[scale])
    first, *others = partition[scale]
    with (
        intervene(model, None, [first], Scaling(0.3), stack=family.stack),
        intervene(model, None, others, Scaling(0.3), stack=family.stack),
    ):
        nested = entries(stack, IDS)
    assert all(torch.equal(together[k], nested[k]) for k in together)


@every_family
@pytest.mark.parametrize(
    "operation",
    [
        Scaling(0.0),
        Noise(0.0),
        Translation(VECTOR, 0.0),
        Translation(0 * VECTOR),
        Temperature(1.0),
        HeadRemoval([]),
    ],
    ids=lambda operation: f"{operation.kind}",
)
def test_zero_strength_changes_no_bit(family, operation):
    model, stack = build(family), sites_of(family).stack
    clean = entries(stack, IDS)
    with intervene(model, None, range(1, stack.n_layers), operation, stack=family.stack):
        same = entries(stack, IDS)
    assert all(torch.equal(same[k], clean[k]) for k in clean)


@every_family
def test_a_vanishing_strength_that_does_act_hardly_changes_anything(family):
    """The hooks themselves are exact: a strength below rounding goes through them and leaves every bit."""
    model, stack = build(family), sites_of(family).stack
    clean = entries(stack, IDS)
    with intervene(model, None, range(stack.n_layers), Scaling(1e-12), stack=family.stack):
        same = entries(stack, IDS)
    assert all(torch.equal(same[k], clean[k]) for k in clean)


@every_family
@pytest.mark.parametrize("strength", [0.05, 0.5])
def test_strength_is_the_relative_norm_at_every_layer(family, strength):
    model, stack = build(family), sites_of(family).stack
    ids = [(3 * i + 5) % 80 for i in range(40)]
    for operation in (Translation(VECTOR, strength), Scaling(-strength), Noise(strength)):
        with intervene(
            model, None, range(stack.n_layers), operation, stack=family.stack, is_measured=True
        ) as acting:
            entries(stack, ids)
        tolerance = 0.15 if operation.kind == "noise" else 1e-3
        assert set(acting.relative_norms) == set(range(stack.n_layers))
        for norm in acting.relative_norms.values():
            assert norm == pytest.approx(strength, rel=tolerance)


@every_family
def test_everything_is_restored_when_the_body_raises(family):
    model, stack = build(family), sites_of(family).stack
    clean, hooks = entries(stack, IDS), count_hooks(model)
    operation = Temperature(2.0) if family.has_attention and family.name != "deberta-conv" else Scaling(0.5)

    def fail(*_):
        raise RuntimeError("in the middle of a block")

    last = sites_of(family).modules([stack.n_layers - 1])[-1]
    leaves = [module for module in last.modules() if not list(module.children())]
    handles = [leaf.register_forward_pre_hook(fail) for leaf in leaves]
    with (
        pytest.raises(RuntimeError, match="middle"),
        intervene(model, None, range(1, stack.n_layers), operation, Noise(0.1), stack=family.stack),
    ):
        entries(stack, IDS)
    for handle in handles:
        handle.remove()
    assert count_hooks(model) == hooks
    after = entries(stack, IDS)
    assert all(torch.equal(after[k], clean[k]) for k in clean)
    assert torch.softmax(torch.zeros(2), 0).tolist() == [0.5, 0.5]  # no watch is left behind


def count_hooks(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


GPT2 = ALL_FAMILIES[0]


def test_translation_on_gpt2_equals_the_sum_written_out():
    model = build(GPT2)
    ids = torch.tensor([IDS])
    with torch.no_grad():
        states = model.wte(ids) + model.wpe(torch.arange(len(IDS)))
        for number, block in enumerate(model.h, start=1):
            output = block(states)
            states = output[0] if isinstance(output, tuple) else output
            states = states + torch.from_numpy(VECTOR) if number == 2 else states
        expected = model.ln_f(states)
        with intervene(model, None, [2], Translation(VECTOR)):
            found = model(ids).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_operations_of_one_context_act_in_order():
    model, stack = build(GPT2), sites_of(GPT2).stack
    clean = entries(stack, IDS)
    vector = torch.from_numpy(VECTOR)
    with intervene(model, None, [2], Translation(VECTOR), Scaling(1.0)):
        first = entries(stack, IDS)[2]
    with intervene(model, None, [2], Scaling(1.0), Translation(VECTOR)):
        second = entries(stack, IDS)[2]
    torch.testing.assert_close(first, (clean[2] + vector) * 2)
    torch.testing.assert_close(second, clean[2] * 2 + vector)


def test_noise_depends_on_seed_layer_token_and_place_alone():
    model, stack = build(GPT2), sites_of(GPT2).stack
    clean = entries(stack, IDS)

    def noise(seed, layers, ids=IDS):
        with intervene(model, None, layers, Noise(0.1, seed=seed)):
            return entries(stack, ids)

    assert torch.equal(noise(1, [2])[2], noise(1, [2])[2])
    assert not torch.equal(noise(1, [2])[2], noise(2, [2])[2])
    one, other = noise(1, [1])[1] - clean[1], noise(1, [2])[2] - clean[2]
    directions = [nn.functional.normalize(d, dim=-1) for d in (one, other)]
    assert float((directions[0] * directions[1]).sum(-1).abs().max()) < 0.8
    # A text that goes on differently has the same noise where it is the same.
    longer = noise(1, [2], [*IDS, 20, 21])
    torch.testing.assert_close(longer[2][:, : len(IDS)], noise(1, [2])[2])


def test_training_mode_and_gradients_are_left_alone():
    model = GPT2.build()
    model.train()
    vector = torch.from_numpy(VECTOR)
    with intervene(model, None, [1], Translation(vector, 0.1)):
        model(torch.tensor([IDS])).last_hidden_state.sum().backward()
    assert model.training
    assert model.wte.weight.grad is not None
    assert bool(torch.isfinite(model.wte.weight.grad).all())


def test_bad_input_is_told_in_a_sentence():
    model, thirds = build(GPT2), ScalePartition.thirds(5)
    with pytest.raises(ConfigError, match="tokens 'some' came; expected one of all, prompt, new"):
        intervene(model, thirds, "local", Scaling(0.1), tokens="some").__enter__()
    with pytest.raises(ConfigError, match="no operation came"):
        intervene(model, thirds, "local").__enter__()
    with pytest.raises(ScaleError, match="scale 'deep' was asked for"):
        intervene(model, thirds, "deep", Scaling(0.1)).__enter__()
    with pytest.raises(ScaleError, match="partition of 7 layer entries came for a model of 5"):
        intervene(model, ScalePartition.thirds(7), "local", Scaling(0.1)).__enter__()
    with pytest.raises(ScaleError, match="without a partition"):
        intervene(model, None, "local", Scaling(0.1)).__enter__()
    with pytest.raises(ScaleError, match="without layers"):
        intervene(model, None, [], Scaling(0.1)).__enter__()
    with pytest.raises(ScaleError, match="layer entries 0 to 4"):
        intervene(model, None, [5], Scaling(0.1)).__enter__()
    with pytest.raises(ScaleError, match="holds no block"):
        intervene(model, ScalePartition(n_layers=5, boundaries=(1, 3)), "local", Temperature(2.0)).__enter__()
    with pytest.raises(ShapeError, match=f"a vector of 5 numbers came for a model whose states have {WIDTH}"):
        intervene(model, thirds, "local", Translation(np.ones(5))).__enter__()
    with pytest.raises(ShapeError, match="vectors for 4 layers came for a model of 5"):
        intervene(model, thirds, "local", Translation(np.ones((4, WIDTH)))).__enter__()
    with pytest.raises(ConfigError, match="expected an operation of"):
        intervene(model, thirds, "local", _Foreign()).__enter__()


class _Foreign:
    is_identity = False
    kind = "foreign"

    def check(self, **_):
        pass


def test_a_zero_vector_has_no_direction():
    model = build(GPT2)
    rows = np.zeros((5, WIDTH))
    rows[1] = 1.0
    with (
        pytest.raises(ShapeError, match="the vector of layer 2 is zero"),
        intervene(model, None, [1, 2], Translation(rows, 0.1)),
    ):
        model(torch.tensor([IDS]))


@pytest.mark.parametrize("strength", [float("nan"), float("inf"), None])
def test_impossible_strengths(strength):
    for make in (Scaling, Noise):
        with pytest.raises(ConfigError, match="expected a finite number"):
            make(strength)
    if strength is not None:
        with pytest.raises(ConfigError, match="expected a finite number"):
            Translation(VECTOR, strength)


def test_impossible_operations():
    with pytest.raises(ConfigError, match="expected 0 or more"):
        Noise(-0.1)
    with pytest.raises(ConfigError, match="expected a positive number"):
        Temperature(0.0)
    with pytest.raises(ConfigError, match="expected numbers from 0 up"):
        HeadRemoval([-1])
    with pytest.raises(ShapeError, match="not finite"):
        Translation([1.0, float("nan")])
    with pytest.raises(ShapeError, match=r"expected \(d_model,\)"):
        Translation(np.ones((2, 2, 2)))


def test_models_without_blocks_to_act_on_are_named():
    """States that are changed between a module and its entry are nobody's output."""
    model = GPT2.build()
    stack = find_stack(model, IDS)
    hidden = replace(stack, blocks=())
    run = hidden.module.forward

    def shifted(*args, **kwargs):
        output = run(*args, **kwargs)
        if output.hidden_states is not None:
            output.hidden_states = tuple(states + 1 for states in output.hidden_states)
        return output

    model.forward = shifted
    with pytest.raises(ModelError, match="can only be read"):
        _find_entries(model, hidden, IDS)
