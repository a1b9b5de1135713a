"""Models that are spread over memory and disk, in half precision, or quantised: read as if they were whole."""

import importlib.util
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import msma
from families import ALL_FAMILIES
from msma.errors import ConfigError, MissingExtraError, ModelError, StorageError
from msma.extraction.pooling import BatchSums
from msma.extraction.tokens import Row
from msma.models import (
    Stack,
    evaluating,
    find_stack,
    input_device,
    load_model,
    load_with_head,
    quiet,
    recording_attention,
)
from tiny import TEXTS, VOCABULARY_SIZE, make_tokenizer

FAMILIES = {family.name: family for family in ALL_FAMILIES}
IDS = [0, 5, 7, 43, 61, 11, 75, 58, 65, 8, 56, 2]
SPREAD = {
    "gpt2": {"": "cpu", "h.1": "disk", "h.3": "disk"},
    "llama": {"": "disk", "layers.0": "cpu", "layers.2": "cpu"},
    "mixtral": {"": "cpu", "layers.1": "disk", "layers.3": "disk"},
    "bert": {"": "cpu", "encoder.layer.0": "disk", "encoder.layer.2": "disk"},
    "albert": {"": "disk", "embeddings": "cpu"},
    "t5-encoder": {"": "cpu", "encoder.block.1": "disk"},
    "t5-decoder": {"": "cpu", "encoder.block.1": "disk", "decoder.block.2": "disk"},
    "bart-encoder": {"": "disk", "shared": "cpu"},
}
EVERYTHING = {"": "disk"}
#: Greatest difference from float32, relative to the greatest state of a layer entry: some 30 roundings of
#: 2^-9 (bfloat16) and 2^-12 (float16).
HALF = {"bfloat16": 0.06, "float16": 0.008}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Save a tiny model with its tokenizer once, and give its folder."""
    made = {}

    def make(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            with quiet():
                FAMILIES[name].build().save_pretrained(made[name])
            make_tokenizer(FAMILIES[name].template).save_pretrained(made[name])
        return made[name]

    return make


def read(loaded, family):
    """Stack and every layer entry of two texts of unequal length."""
    stack = find_stack(loaded.network, IDS, stack=family.stack)
    entries = {}
    rows = [IDS, IDS[:7]] if stack.padding.is_mixed else [IDS]
    with (
        evaluating(loaded.network),
        stack.reading(lambda number, states: entries.__setitem__(number, states.clone())) as run,
    ):
        run(stack.collate(rows))
    return stack, [entries[number] for number in sorted(entries)]


@pytest.mark.parametrize("name", SPREAD)
@pytest.mark.parametrize("is_spread", [True, False], ids=["spread", "all-on-disk"])
def test_an_offloaded_model_is_read_as_the_whole_one(folder_of, name, is_spread, capfd):
    family = FAMILIES[name]
    whole = load_model(folder_of(name))
    apart = load_model(folder_of(name), device_map=SPREAD[name] if is_spread else EVERYTHING)
    assert {p.device.type for p in apart.network.parameters()} >= {"meta"}
    assert apart.device.type == "cpu"
    assert apart.dtype == "float32"
    stack, expected = read(whole, family)
    other, found = read(apart, family)
    assert (stack.padding, stack.is_causal, stack.final_norm) == (
        other.padding,
        other.is_causal,
        other.final_norm,
    )
    # The same kernels run on the same numbers, so that not a bit differs.
    assert all(torch.equal(one, two) for one, two in zip(expected, found, strict=True))
    assert apart.fingerprint() == whole.fingerprint()
    assert apart.fingerprint(other.module) == whole.fingerprint(stack.module)
    # What is offloaded stays so: reading leaves no weights behind.
    assert {p.device.type for p in apart.network.parameters()} >= {"meta"}
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["gpt2", "bert", "t5-decoder"])
def test_half_precision_is_near_the_whole_one(folder_of, name, dtype):
    family = FAMILIES[name]
    stack, expected = read(load_model(folder_of(name)), family)
    half = load_model(folder_of(name), dtype=dtype)
    apart = load_model(folder_of(name), dtype=dtype, device_map=SPREAD[name])
    assert half.dtype == apart.dtype == dtype
    other, found = read(half, family)
    assert (other.is_causal, other.padding) == (stack.is_causal, stack.padding)
    for one, two in zip(expected, found, strict=True):
        # T5 overflows in float16, so that transformers keeps a part of it, and most states with it, in float32.
        assert str(two.dtype) == f"torch.{dtype}" or (name, dtype) == ("t5-decoder", "float16")
        assert 0 < (one - two.float()).abs().max() <= HALF[dtype] * one.abs().max()
    is_same = all(torch.equal(one, two) for one, two in zip(found, read(apart, family)[1], strict=True))
    # From disk that part comes in float16 like the rest: another model, and the fingerprint says so.
    is_kept = (name, dtype) == ("t5-decoder", "float16")
    assert is_same == (apart.fingerprint() == half.fingerprint()) == (not is_kept)
    assert half.fingerprint() != load_model(folder_of(name)).fingerprint()


def test_a_weak_view_ahead_is_seen_in_half_precision():
    # Untrained attention moves states by one or two per cent, less than half precision is allowed elsewhere.
    config = transformers.AutoConfig.for_model(
        "bert",
        vocab_size=VOCABULARY_SIZE,
        hidden_size=64,
        intermediate_size=128,
        num_attention_heads=4,
        num_hidden_layers=4,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = transformers.AutoModel.from_config(config).eval().bfloat16()
    stack = find_stack(network, IDS)
    assert not stack.is_causal
    assert stack.padding.has_mask


def test_a_strategy_with_a_limit_puts_the_rest_on_disk(folder_of, tmp_path):
    whole = load_model(folder_of("gpt2"), dtype="bfloat16")
    n_bytes = sum(p.numel() * p.element_size() for p in whole.network.parameters())
    apart = load_model(
        folder_of("gpt2"),
        dtype="bfloat16",
        device_map="auto",
        max_memory={"cpu": int(0.9 * n_bytes)},
        offload_folder=tmp_path / "offloaded" / "here",
    )
    assert {"cpu", "disk"} == set(apart.network.hf_device_map.values())
    assert (tmp_path / "offloaded" / "here").is_dir()
    assert apart.fingerprint() == whole.fingerprint()


def test_a_temporary_folder_goes_with_its_model(folder_of, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # Experts are stacked on loading, so that they are written anew and cannot be read from the model's files.
    loaded = load_model(folder_of("mixtral"), device_map=EVERYTHING)
    (folder,) = tmp_path.iterdir()
    assert any(folder.glob("*experts*"))
    read(loaded, FAMILIES["mixtral"])
    del loaded
    import gc

    gc.collect()
    assert not folder.exists()
    with pytest.raises(ConfigError):
        load_model(folder_of("gpt2"), device_map={"h.0": "cpu"})
    assert list(tmp_path.iterdir()) == []


def test_a_model_with_its_head_is_spread_too(folder_of, tmp_path):
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.AutoConfig.from_pretrained(folder_of("gpt2"))
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    make_tokenizer("none").save_pretrained(tmp_path)
    apart = load_with_head(tmp_path, device_map={"": "disk", "transformer.h.0": "cpu"})
    whole = load_with_head(tmp_path)
    assert apart.head == whole.head == "causal"
    # The head is the embedding once more: both are hashed once, although offloading has separated them.
    assert apart.fingerprint() == whole.fingerprint()
    ids = torch.tensor([IDS], device=apart.device)
    with evaluating(apart.network), evaluating(whole.network):
        assert torch.equal(apart.network(ids).logits, whole.network(ids).logits)


def test_attention_is_recorded_on_an_offloaded_model(folder_of):
    maps = {"whole": {}, "apart": {}}
    for kind, options in {"whole": {}, "apart": {"device_map": EVERYTHING}}.items():
        loaded = load_model(folder_of("bert"), **options)
        stack = find_stack(loaded.network, IDS)
        visit = maps[kind].__setitem__
        with recording_attention(loaded.network, stack, visit, ids=IDS) as run:
            assert run is not None
            run(stack.collate([IDS]))
    assert sorted(maps["whole"]) == [1, 2, 3, 4]
    for number, weights in maps["whole"].items():
        assert torch.equal(weights, maps["apart"][number])


def test_extraction_from_an_offloaded_model_is_the_same(folder_of):
    whole = msma.extract(str(folder_of("gpt2")), TEXTS, attention_texts=0)
    loaded = load_model(folder_of("gpt2"), device_map=SPREAD["gpt2"])
    apart = msma.extract(
        loaded.network, TEXTS, tokenizer=loaded.tokenizer, name=loaded.name, attention_texts=0
    )
    assert np.array_equal(whole.layers(range(5)), apart.layers(range(5)))
    assert whole.origin.fingerprint == apart.origin.fingerprint


@pytest.mark.parametrize("is_padded", [True, False])
@pytest.mark.parametrize("samples", [None, [0, 0, 1, 1]], ids=["text", "sentence"])
def test_sums_go_where_the_states_are(samples, is_padded):
    lengths = (4, 3 if is_padded else 4)
    rows = [
        Row([5] * n, None if samples is None else np.asarray(samples[:n]), number)
        for number, n in enumerate(lengths)
    ]
    stack = Stack(transformers.BertModel(FAMILIES["bert"].build().config), None, "encoder")
    sums = BatchSums(stack.collate([row.ids for row in rows]), rows)
    states = torch.randn(2, 4, 8)
    # "meta" is the one device besides the CPU that is at hand everywhere; it refuses what is elsewhere.
    for device in ("cpu", "meta"):
        sums.visit(0, states.to(device))
    here, there = sums.entries
    assert there.device.type == "meta"
    assert there.shape == here.shape


def test_inputs_never_go_to_meta():
    with torch.device("meta"):
        empty = transformers.BertModel(FAMILIES["bert"].build().config)
    assert input_device(empty) == torch.device("cpu")
    loaded = load_model(empty, tokenizer=make_tokenizer())
    with pytest.raises(ModelError, match="has a shape and no values"):
        loaded.fingerprint()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cpu", "device_map": "auto"}, "device 'cpu' and a device_map came together"),
        ({"device_map": "everywhere"}, "expected one of auto, balanced, balanced_low_0, sequential, or a"),
        ({"device_map": {"": "abacus"}}, "the place of '' in device_map, 'abacus', cannot be used here"),
        ({"device_map": {"": "cpu", "h.1": 99}}, "the place of 'h.1' in device_map, '99', cannot be used"),
        ({"device_map": {"h.0": "cpu"}}, "device_map says nothing about"),
        ({"device_map": {"": "cpu", "layers.1": "disk"}}, "has no such part"),
        ({"quantization": "3bit"}, "expected one of none, 8bit, 4bit"),
        ({"offload_folder": "here"}, "offload_folder came without a device_map"),
        ({"max_memory": {"cpu": "1GB"}}, "max_memory came without a device_map"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else None,
)
def test_what_cannot_be_asked_for_is_named(folder_of, options, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_model(folder_of("gpt2"), **options)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_loaded_cannot_be_placed_again(folder_of):
    network = FAMILIES["bert"].build()
    for options in ({"device_map": "auto"}, {"quantization": "8bit"}):
        with pytest.raises(ConfigError, match="came with a model that is loaded already"):
            load_model(network, tokenizer=make_tokenizer(), **options)


def test_a_folder_that_cannot_be_made_is_named(folder_of, tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(StorageError, match="give another offload_folder"):
        load_model(folder_of("gpt2"), device_map=EVERYTHING, offload_folder=tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    ("package", "options", "extra"),
    [
        ("accelerate", {"device_map": "auto"}, "large"),
        ("bitsandbytes", {"quantization": "8bit"}, "quantised"),
        ("accelerate", {"quantization": "4bit"}, "quantised"),
    ],
)
def test_what_is_not_installed_is_named(folder_of, monkeypatch, package, options, extra):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest)
    )
    with pytest.raises(MissingExtraError, match=re.escape(f"msma[{extra}]")) as caught:
        load_model(folder_of("gpt2"), **options)
    assert caught.value.package == package


def test_quiet_returns_the_levels_of_other_loggers():
    logger = logging.getLogger("accelerate")
    before = logger.level
    with quiet():
        assert logger.level == logging.ERROR
        assert not logging.getLogger("bitsandbytes.nn").isEnabledFor(logging.WARNING)
    assert logger.level == before


# -- quantised ---------------------------------------------------------------------------------------------


def quantised_folder(path: Path, kind: str) -> Path:
    """A model wide enough for blocks of 64 weights, which 4-bit kernels want."""
    settings = {
        "gpt2": {"n_layer": 3, "n_embd": 128, "n_head": 4, "n_positions": 64},
        "bert": {
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "max_position_embeddings": 64,
            "initializer_range": 0.2,
        },
    }[kind]
    config = transformers.AutoConfig.for_model(kind, vocab_size=VOCABULARY_SIZE, **settings)
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        transformers.AutoModel.from_config(config).save_pretrained(path)
    make_tokenizer("none").save_pretrained(path)
    return path


#: Greatest mean difference from float32, relative to the mean state of a layer entry.
QUANTISED = {"8bit": ("int8", 0.06), "4bit": ("nf4", 0.5)}


@pytest.mark.parametrize("quantization", QUANTISED)
@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_a_quantised_model_is_read(tmp_path, kind, quantization, capfd):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    name, tolerance = QUANTISED[quantization]
    folder = quantised_folder(tmp_path, kind)
    whole, small = load_model(folder), load_model(folder, quantization=quantization)
    assert small.dtype == name
    assert small.device == whole.device
    n_bytes = {
        loaded.dtype: sum(p.numel() * p.element_size() for p in loaded.network.parameters())
        for loaded in (whole, small)
    }
    assert n_bytes[name] < 0.4 * n_bytes["float32"]
    before = small.fingerprint()
    try:
        stack = find_stack(small.network, IDS)
    except ModelError as error:
        pytest.skip(f"bitsandbytes {quantization} does not run on this processor: {error}")
    assert stack.is_causal == (kind == "gpt2")
    # The first run packs 4-bit weights anew on a CPU; it is still the same model.
    assert small.fingerprint() == before != whole.fingerprint()
    entries = {}
    with (
        evaluating(small.network),
        stack.reading(lambda number, states: entries.__setitem__(number, states.clone())) as run,
    ):
        run(stack.collate([IDS]))
    _, expected = read(whole, FAMILIES[kind])
    for number, states in entries.items():
        reference = expected[number][:1]
        difference = (states - reference).abs().mean() / reference.abs().mean()
        assert difference <= tolerance, (number, float(difference))
        assert number == 0 or difference > 0
    assert capfd.readouterr().err == ""


def test_the_same_quantised_model_has_one_fingerprint(tmp_path):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    folder = quantised_folder(tmp_path, "gpt2")
    one, same = (load_model(folder, quantization="4bit").fingerprint() for _ in range(2))
    assert one == same
    assert load_model(folder, quantization="8bit").fingerprint() != one
