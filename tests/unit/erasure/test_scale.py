"""An eraser of a scale leaves no difference of means at any of its layers, live, saved and loaded."""

import json
from functools import cache

import numpy as np
import pytest
import torch

from language import FAMILIES, loaded_model
from msma.erasure import LeaceEraser, ScaleEraser, fit_eraser
from msma.erasure.moments import concept_moments, encode_texts
from msma.errors import ConfigError, CorpusError, OriginError, ScaleError, ShapeError, StorageError
from msma.extraction import extract
from msma.interventions import intervene
from msma.interventions.sites import find_sites
from msma.scales import ScalePartition
from msma.storage import write_tensors
from tiny import TEXTS

#: Name, head, stack: decoders, an encoder, both stacks of an encoder-decoder.
MODELS = {
    "gpt2": ("writer", "auto"),
    "llama": ("writer", "auto"),
    "falcon": ("writer", "auto"),
    "bert": ("masked", "auto"),
    "t5-encoder": ("writer", "auto"),
    "t5-decoder": ("writer", "decoder"),
}
METHODS = ("leace", "projection")
FRAMES = ("the {} slept .", "every {} ran slowly and sang", "no {} , never !", "one {} left the house in winter",
          "a {} saw the sea", "two {}", "the old {} heard a song under the bridge", "the {} was small")  # fmt: skip
FIRST, SECOND = ("woman", "dog"), ("man", "bird")
PAIRED = [*(f.format(w) for f in FRAMES for w in FIRST), *(f.format(w) for f in FRAMES for w in SECOND)]
SIDES = ["first"] * 16 + ["second"] * 16
ORDINARY = [
    *TEXTS,
    "the river rose",
    "snow fell on the village",
    "a letter came in the morning",
    "the moon rose slowly",
]


def model_of(name):
    head, stack = MODELS[name]
    return loaded_model(name, head), stack


def partition_of(loaded, stack):
    return ScalePartition.thirds(find_sites(loaded.network, stack=stack).stack.n_layers)


@cache
def fitted(name, method="leace", scale="intermediate", *, has_reference=False):
    loaded, stack = model_of(name)
    return fit_eraser(
        loaded,
        PAIRED,
        SIDES,
        scale=scale,
        partition=partition_of(loaded, stack),
        method=method,
        reference=ORDINARY if has_reference else (),
        stack=stack,
        name="side",
    )


def read(name, texts=PAIRED, **options):
    """Pooled states, (layers, texts, d)."""
    loaded, stack = model_of(name)
    states = extract(
        loaded.network, texts, tokenizer=loaded.tokenizer, stack=stack, attention_texts=0, **options
    )
    return np.stack([states.layer(k) for k in range(states.n_layers)]).astype(np.float64)


def gaps(states):
    """Norm of the difference of the sides' means at every layer, relative to the size of states."""
    n = states.shape[1] // 2
    differences = states[:, :n].mean(axis=1) - states[:, n:].mean(axis=1)
    return np.linalg.norm(differences, axis=1) / np.sqrt((states**2).sum(axis=2).mean(axis=1))


every_model = pytest.mark.parametrize("name", MODELS)
every_method = pytest.mark.parametrize("method", METHODS)


@every_model
@every_method
@pytest.mark.parametrize("has_reference", [False, True])
def test_no_layer_of_the_scale_tells_the_sides_means_apart(name, method, has_reference):
    loaded, _ = model_of(name)
    eraser = fitted(name, method, has_reference=has_reference)
    before = read(name)
    with eraser.acting(loaded):
        during = read(name)
    first, last = eraser.layers[0], eraser.layers[-1]
    assert len(eraser.layers) > 1 or FAMILIES[name].n_layers < 6
    assert gaps(before)[first : last + 1].min() > 1e-3
    assert gaps(during)[first : last + 1].max() < 2e-6
    assert gaps(during)[first : last + 1].max() < 1e-3 * gaps(before)[first : last + 1].min()
    assert np.array_equal(before[:first], during[:first])
    assert not np.allclose(before[first:], during[first:])
    assert np.array_equal(read(name), before)


@pytest.mark.parametrize("name", ["gpt2", "bert", "t5-decoder"])
@pytest.mark.parametrize("scale", ["local", "global"])
def test_the_outer_scales_are_erased_as_well(name, scale):
    loaded, _ = model_of(name)
    eraser = fitted(name, "leace", scale)
    with eraser.acting(loaded):
        during = gaps(read(name))
    assert during[list(eraser.layers)].max() < 2e-6
    if scale == "local":
        assert eraser.layers[0] == 0


@every_model
def test_the_token_that_heads_read_is_erased_too(name):
    """The first token of an encoder, the last of a decoder."""
    loaded, side = model_of(name)
    stack = find_sites(loaded.network, stack=side).stack
    rows = encode_texts(loaded, stack, PAIRED)
    concept = torch.tensor([1.0] * 16 + [0.0] * 16)[:, None]
    eraser = fitted(name)
    for layer in eraser.layers:
        with eraser.acting(loaded):
            found = concept_moments(loaded, stack, rows, concept, layer)
        assert float(found.cross.abs().max()) < 1e-5 * float(found.covariance.trace().sqrt())


@every_method
def test_padding_on_the_left_changes_nothing(method):
    loaded, _ = model_of("gpt2")
    eraser = fitted("gpt2", method)
    with eraser.acting(loaded):
        right, left = read("gpt2"), read("gpt2", padding_side="left")
    np.testing.assert_allclose(left, right, atol=2e-5 * np.abs(right).max())
    assert gaps(left)[list(eraser.layers)].max() < 5e-6


@every_method
def test_half_the_strength_leaves_half_of_the_difference(method):
    loaded, _ = model_of("gpt2")
    eraser = fitted("gpt2", method)
    first = eraser.layers[0]
    clean = read("gpt2")[first]
    with eraser.acting(loaded, strength=0.5):
        one = read("gpt2")[first]
    with eraser.at(0.5).acting(loaded):
        other = read("gpt2")[first]
    assert np.array_equal(one, other)
    difference = clean[:16].mean(axis=0) - clean[16:].mean(axis=0)
    left = one[:16].mean(axis=0) - one[16:].mean(axis=0)
    np.testing.assert_allclose(left, 0.5 * difference, atol=1e-5 * np.linalg.norm(difference))
    assert eraser.at(0.5).erasure.strength == 0.5
    assert eraser.erasure.strength == 1.0


def test_strength_zero_changes_nothing():
    loaded, _ = model_of("bert")
    with fitted("bert").acting(loaded, strength=0.0):
        during = read("bert")
    assert np.array_equal(during, read("bert"))


def test_it_is_gone_after_an_exception_too():
    loaded, _ = model_of("llama")
    before = read("llama")
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in loaded.network.modules())
    with pytest.raises(RuntimeError, match="inside"), fitted("llama").acting(loaded):
        raise RuntimeError("inside")
    assert hooks == sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in loaded.network.modules())
    assert np.array_equal(read("llama"), before)


def test_what_it_does_is_measured():
    loaded, _ = model_of("gpt2")
    eraser = fitted("gpt2")
    with eraser.acting(loaded) as acting:
        read("gpt2")
    assert set(acting.relative_norms) == set(eraser.layers)
    assert all(0 < norm < 1 for norm in acting.relative_norms.values())


def token_states(name, texts, layer, weight):
    """Tokens of texts at a layer, with weights that make texts weigh alike and add up to ``weight``."""
    loaded, side = model_of(name)
    stack = find_sites(loaded.network, stack=side).stack
    rows, weights = [], []
    for row in encode_texts(loaded, stack, texts):
        found = {}
        with (
            torch.no_grad(),
            stack.reading(lambda k, states, found=found: found.__setitem__(k, states.clone())) as run,
        ):
            run(stack.collate([row.ids], sources=None if row.source is None else [row.source]))
        tokens = found[layer][0, : len(row.ids)].double().numpy()
        rows.append(tokens)
        weights.append(np.full(len(tokens), weight / len(texts) / len(tokens)))
    return np.concatenate(rows), np.concatenate(weights)


def changed(eraser, layer, states, weights):
    """Mean squared change of tokens at one layer."""
    mean, left, right = eraser.erasure.projections[layer]
    return float(weights @ (((states - mean) @ right.T @ left.T) ** 2).sum(axis=1))


@pytest.mark.parametrize("name", ["gpt2", "bert", "t5-encoder"])
def test_reference_texts_make_the_change_of_the_mixture_least(name):
    """Each part of the mixture about its own mean, since those are the moments that are asked to change least."""
    plain, fair, projected = (
        fitted(name),
        fitted(name, has_reference=True),
        fitted(name, "projection", has_reference=True),
    )
    layer = plain.layers[0]
    mean = plain.erasure.projections[layer].mean
    parts = []
    for texts in (PAIRED, ORDINARY):
        states, weights = token_states(name, texts, layer, 0.5)
        own = weights @ states / weights.sum()
        parts.append((states - own + mean, weights))
    states, weights = (np.concatenate(p) for p in zip(*parts, strict=True))
    costs = {
        n: changed(e, layer, states, weights)
        for n, e in (("plain", plain), ("fair", fair), ("projected", projected))
    }
    assert costs["fair"] <= costs["plain"] * (1 + 1e-6)
    assert costs["fair"] <= costs["projected"] * (1 + 1e-6)
    assert costs["fair"] < 0.99 * max(costs["plain"], costs["projected"])
    assert not np.allclose(plain.erasure.projections[layer].right, fair.erasure.projections[layer].right)


def test_at_the_first_layer_it_is_leace_of_pooled_and_last_tokens():
    """The projection equals that of the moments computed by hand, in numpy."""
    eraser = fitted("gpt2")
    layer = eraser.layers[0]
    states, weights = token_states("gpt2", PAIRED, layer, 1.0)
    lengths = [
        row.length
        for row in encode_texts(model_of("gpt2")[0], find_sites(model_of("gpt2")[0].network).stack, PAIRED)
    ]
    ends = np.cumsum(lengths)
    z = np.repeat([1.0, 0.0], 16) - 0.5
    pooled = np.array([states[e - n : e].mean(axis=0) for e, n in zip(ends, lengths, strict=True)])
    last = states[ends - 1]
    mean = weights @ states
    covariance = (weights[:, None] * (states - mean)).T @ (states - mean)
    cross = np.stack([pooled.T @ z, last.T @ z], axis=1) / 32
    expected = LeaceEraser().fit_moments(mean, covariance, cross)
    found = eraser.erasure.projections[layer]
    product = expected.left_ @ expected.right_
    np.testing.assert_allclose(found.left @ found.right, product, atol=1e-4 * np.abs(product).max())


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5-decoder"])
def test_writing_with_a_cache_is_writing_without_one(name):
    loaded, _ = model_of(name)
    ids = loaded.tokenizer(
        ["the river rose in spring , and", "snow fell"],
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    options = {
        "input_ids": ids["input_ids"],
        "attention_mask": ids["attention_mask"],
        "max_new_tokens": 8,
        "do_sample": False,
        "output_scores": True,
        "return_dict_in_generate": True,
    }
    with torch.no_grad():
        clean = loaded.network.generate(**options)
        with fitted(name).acting(loaded):
            cached, whole = (loaded.network.generate(**options, use_cache=flag) for flag in (True, False))
    assert torch.equal(cached.sequences, whole.sequences)
    for one, other in zip(cached.scores, whole.scores, strict=True):
        assert torch.allclose(one, other, atol=1e-3 * float(other.abs().max()))
    assert not torch.allclose(clean.scores[0], cached.scores[0], atol=1e-3)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_pass_in_two_parts_with_a_cache_is_one_pass(name):
    loaded, _ = model_of(name)
    ids = torch.tensor([loaded.tokenizer("the old man heard a song under the bridge")["input_ids"]])
    with torch.no_grad(), fitted(name).acting(loaded):
        whole = loaded.network(ids, use_cache=False).logits
        begun = loaded.network(ids[:, :4], use_cache=True)
        rest = loaded.network(ids[:, 4:], past_key_values=begun.past_key_values, use_cache=True).logits
    for one, other in ((begun.logits, whole[:, :4]), (rest, whole[:, 4:])):
        assert torch.allclose(one, other, atol=1e-5 * float(whole.abs().max()))


@pytest.mark.parametrize("name", ["gpt2", "bert", "t5-decoder"])
def test_saved_and_loaded_it_does_the_same(name, tmp_path):
    loaded, _ = model_of(name)
    eraser = fitted(name).at(0.75)
    path = eraser.save(tmp_path / "eraser.safetensors")
    again = ScaleEraser.load(path)
    assert (again.scale, again.layers, again.method, again.name) == (
        "intermediate",
        eraser.layers,
        "leace",
        "side",
    )
    assert again.erasure.strength == 0.75
    assert again.provenance == eraser.provenance
    assert str(again) == str(eraser)
    states = []
    for one in (eraser, again):
        with one.acting(loaded):
            states.append(read(name))
    np.testing.assert_allclose(*states, rtol=1e-6, atol=1e-6 * np.abs(states[0]).max())


def test_another_models_weights_are_refused(tmp_path):
    loaded = model_of("gpt2")[0]
    eraser = ScaleEraser.load(fitted("gpt2").save(tmp_path / "e.safetensors"))
    eraser.check_origin(loaded.network)
    other = FAMILIES["gpt2"].build(seed=3)
    with (
        pytest.raises(OriginError, match="fitted on 'gpt2' came for a model whose weights differ"),
        eraser.acting(other),
    ):
        pass
    weight = next(find_sites(loaded.network).stack.module.parameters())
    before = weight.data.clone()
    try:
        weight.data[0, 0] += 0.5
        with pytest.raises(OriginError, match="fit it anew"), eraser.acting(loaded):
            pass
    finally:
        weight.data.copy_(before)
    with eraser.acting(loaded):
        pass


def test_a_damaged_file_is_told(tmp_path):
    path = fitted("gpt2").save(tmp_path / "e.safetensors")
    content = path.read_bytes()
    cut, flipped = tmp_path / "cut.safetensors", tmp_path / "flipped.safetensors"
    cut.write_bytes(content[: len(content) // 2])
    flipped.write_bytes(content[:-40] + bytes(b ^ 0xFF for b in content[-40:]))
    for file in (cut, flipped, tmp_path / "absent.safetensors"):
        with pytest.raises(StorageError, match=file.name):
            ScaleEraser.load(file)


def zeros(**shapes):
    return {name.replace("_", "."): np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}


FACTS = {"strength": 1.0, "scale": "local", "layers": [0], "method": "leace", "name": "c", "provenance": {}}


@pytest.mark.parametrize(
    ("arrays", "metadata"),
    [
        (zeros(weight=3), {"content": "something else"}),
        (zeros(weight=3), {"facts": "[1, 2]"}),
        (zeros(mean_0=3), {"facts": '{"strength": 1.0}'}),
        (zeros(mean_0=3), {"facts": "no json"}),
        (zeros(mean_0=3, left_0=(2, 1), right_0=(1, 3)), {"facts": json.dumps(FACTS)}),
        (zeros(mean_0=3, left_0=(3, 1), right_0=(1, 3)), {"facts": json.dumps({**FACTS, "strength": "all"})}),
        (zeros(mean_0=3, left_0=(3, 1), right_0=(1, 3)), {"facts": json.dumps({**FACTS, "layers": 3})}),
    ],
)
def test_a_foreign_file_is_told(arrays, metadata, tmp_path):
    path = write_tensors(tmp_path / "other.safetensors", arrays, metadata=metadata)
    with pytest.raises(StorageError, match="holds no eraser"):
        ScaleEraser.load(path)


def test_it_says_what_it_is():
    eraser = fitted("gpt2")
    rank = max(len(p.right) for p in eraser.erasure.projections.values())
    assert (
        str(eraser)
        == f"leace eraser of side at the intermediate scale: {len(eraser.layers)} layers, rank {rank}"
    )
    about = eraser.provenance
    assert (about["model"], about["texts"], about["reference"], about["values"]) == (
        "gpt2",
        32,
        0,
        ["first", "second"],
    )
    assert fitted("gpt2", has_reference=True).provenance["reference"] == len(ORDINARY)


def test_layers_can_be_given_by_number():
    loaded = model_of("gpt2")[0]
    eraser = fit_eraser(loaded, PAIRED, SIDES, scale=[3, 1])
    assert (eraser.scale, eraser.layers) == ("layers", (1, 3))
    with eraser.acting(loaded):
        during = gaps(read("gpt2"))
    assert during[[1, 3]].max() < 2e-6
    # Layer 2 still tells them apart: what layer 1 lost, other tokens' states bring back.
    assert during[2] > 1e-4


def test_thirds_are_taken_where_no_partition_came():
    loaded, _ = model_of("bert")
    assert fit_eraser(loaded, PAIRED, SIDES, scale="global").layers == tuple(
        ScalePartition.thirds(5)["global"]
    )


def test_several_values_and_numbers_are_erased_too():
    loaded = model_of("gpt2")[0]
    values = [k % 3 for k in range(32)]
    eraser = fit_eraser(loaded, PAIRED, values, scale=[2])
    with eraser.acting(loaded):
        states = read("gpt2")[2]
    means = np.array([states[np.array(values) == v].mean(axis=0) for v in range(3)])
    assert np.abs(means - means[0]).max() < 1e-5 * np.abs(states).max()
    assert eraser.provenance["values"] == ["0", "1", "2"]
    degrees = np.random.default_rng(0).normal(size=(32, 2))
    graded = fit_eraser(loaded, PAIRED, degrees, scale=[2])
    with graded.acting(loaded):
        states = read("gpt2")[2]
    assert np.abs((states - states.mean(axis=0)).T @ (degrees - degrees.mean(axis=0)) / 32).max() < 1e-4
    assert graded.provenance["values"] is None


def test_layers_without_a_trace_are_said_and_left_alone():
    from planted_bias import PARTITION, planted_bias, planted_pairs

    model, pairs, said = planted_bias(), planted_pairs(), []
    eraser = fit_eraser(model, pairs.texts, pairs.labels.tolist(), scale=[2, 3], name="side", say=said.append)
    assert said == ["layer 2 shows no linear trace of side, so nothing is erased there"]
    assert (eraser.layers, list(eraser.erasure.projections)) == ((2, 3), [3])
    with pytest.raises(ShapeError, match="no layer of the local scale shows a linear trace"):
        fit_eraser(model, pairs.texts, pairs.labels.tolist(), scale="local", partition=PARTITION)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"method": "magic"}, ConfigError, "method 'magic' came; expected one of leace, projection"),
        ({"labels": SIDES[:-1]}, CorpusError, "32 texts and 31 labels"),
        ({"texts": "the river", "labels": SIDES}, CorpusError, "give one label a text"),
        (
            {"texts": PAIRED[:7], "labels": SIDES[:3] + SIDES[-4:]},
            CorpusError,
            "7 texts came; expected 8 or more",
        ),
        ({"labels": ["same"] * 32}, ShapeError, "same value"),
        ({"texts": [*PAIRED[:-1], " "]}, CorpusError, "text 31 has no token"),
        ({"reference": [" "]}, CorpusError, "text 0 has no token"),
        ({"scale": "middle"}, ScaleError, "middle"),
        ({"scale": []}, ScaleError, "without layers"),
        ({"scale": [5]}, ScaleError, r"layers \(5,\) came"),
        ({"partition": ScalePartition.thirds(9)}, ScaleError, "9 layer entries came for a model of 5"),
    ],
)
def test_mistakes_are_told(changes, error, message):
    settings = {"texts": PAIRED, "labels": SIDES, "scale": "global", **changes}
    with pytest.raises(error, match=message):
        fit_eraser(model_of("gpt2")[0], settings.pop("texts"), settings.pop("labels"), **settings)


def test_erasers_nest_with_other_interventions():
    """Two erasers at once: the second, fitted while the first acts, leaves what the first erased erased."""
    loaded = model_of("gpt2")[0]
    first = fit_eraser(loaded, PAIRED, SIDES, scale=[1])
    with first.acting(loaded):
        second = fit_eraser(loaded, PAIRED, SIDES, scale=[3])
        with intervene(loaded, None, [3], second.erasure):
            during = gaps(read("gpt2"))
    assert during[[1, 3]].max() < 2e-6
