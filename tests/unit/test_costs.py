"""What a job takes: the formulas against networks as built, runs as measured, folders as written."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

import msma
from families import ALL_FAMILIES, HEADS, WIDTH
from msma.costs import Cost, ModelShape, count_flops, estimate_cost, parse_size, size
from msma.errors import ConfigError, ModelError
from msma.extraction import extract_moments
from msma.models import evaluating, find_stack, load_model, model_shape, quiet
from tiny import VOCABULARY_SIZE, WORDS, make_tokenizer

IDS = [0, 5, 7, 43, 61, 11, 75, 58, 65, 8, 56, 2]
#: What mixes tokens without comparing each with each, which the formula takes for attention.
WITHOUT_ATTENTION = ("mamba", "fnet")
#: Compares tokens with distances too, which is a third of a model of this width and nothing of a large one.
WITH_MORE = ("deberta-v2",)
#: Cannot be told to write its attention out, in which the products are counted.
NOT_COUNTED = ("xlnet",)
SMALL = ModelShape(n_parameters=1_000_000, n_layers=13, d_model=64, n_embedding=200_000)
JOB = {"n_texts": 1_000, "tokens_per_text": 100.0}


@pytest.mark.parametrize("family", ALL_FAMILIES, ids=lambda family: family.name)
def test_the_shape_is_that_of_the_network(family, tmp_path):
    network = family.build()
    shape = model_shape(network.config, stack=family.stack)
    assert shape.n_parameters == sum(p.numel() for p in network.parameters())
    assert shape.d_model == WIDTH
    found = find_stack(network, IDS, stack=family.stack)
    assert shape.n_layers == found.n_layers == family.n_layers
    assert 0 < shape.n_embedding < shape.n_parameters
    network.config.save_pretrained(tmp_path)
    # A folder with nothing but a configuration suffices.
    assert model_shape(str(tmp_path), stack=family.stack) == shape


def test_a_configuration_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match="could not load the model"):
        model_shape(tmp_path / "nowhere", local_files_only=True)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "bert", "albert", "t5-encoder", "mixtral"])
def test_weights_are_counted_to_the_byte(name, dtype):
    (family,) = (family for family in ALL_FAMILIES if family.name == name)
    network = family.build().to(getattr(torch, dtype))
    cost = estimate_cost(model_shape(network.config), dtype=dtype, **JOB)
    assert cost.weights == sum(p.numel() * p.element_size() for p in network.parameters())


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantised_weights_are_counted(tmp_path, quantization):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY_SIZE,
        num_hidden_layers=3,
        hidden_size=128,
        intermediate_size=256,
        num_attention_heads=4,
    )
    with quiet():
        transformers.LlamaModel(config).save_pretrained(tmp_path)
    make_tokenizer("none").save_pretrained(tmp_path)
    network = load_model(tmp_path, quantization=quantization).network
    measured = sum(p.numel() * p.element_size() for p in network.parameters())
    for parameter in network.parameters():
        state = getattr(parameter, "quant_state", None)
        measured += 0 if state is None else state.absmax.numel() * state.absmax.element_size()
    cost = estimate_cost(model_shape(config), quantization=quantization, **JOB)
    assert cost.weights == pytest.approx(measured, rel=0.02)


@pytest.mark.parametrize("n_tokens", [12, 48])
@pytest.mark.parametrize(
    "family",
    [family for family in ALL_FAMILIES if family.name not in NOT_COUNTED],
    ids=lambda family: family.name,
)
def test_operations_are_those_that_are_measured(family, n_tokens):
    network = family.build().requires_grad_(False)
    shape = model_shape(network.config, stack=family.stack)
    stack = find_stack(network, IDS, stack=family.stack)
    # Fused kernels are not counted; written out, the same products are.
    with quiet():
        if family.has_attention:
            network.set_attn_implementation("eager")
        if family.name == "mixtral":
            network.set_experts_implementation("eager")
    batch = stack.collate([[number % 80 + 3 for number in range(n_tokens)]])
    with evaluating(network), FlopCounterMode(display=False) as counter:
        stack.run(batch)
    ratio = count_flops(shape, tokens=n_tokens) / counter.get_total_flops()
    if family.name in WITHOUT_ATTENTION:
        assert ratio > 1
    elif family.name in WITH_MORE:
        assert 0.65 < ratio < 1
    else:
        assert ratio == pytest.approx(1, abs=0.01)


def test_the_distances_of_deberta_vanish_in_a_wide_model():
    kind = next(family for family in ALL_FAMILIES if family.name == "deberta-v2")
    config = transformers.AutoConfig.for_model(
        "deberta-v2",
        vocab_size=VOCABULARY_SIZE,
        **{**kind.settings, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 2, **HEADS},
    )
    with quiet():
        network = transformers.AutoModel.from_config(config, attn_implementation="eager").requires_grad_(
            False
        )
    ids = torch.arange(64)[None] + 3
    with evaluating(network), FlopCounterMode(display=False) as counter:
        network(ids)
    assert count_flops(model_shape(config), tokens=64) == pytest.approx(counter.get_total_flops(), rel=0.15)


def texts_of(n_texts, n_words, *, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[:60], size=n_words)) for _ in range(n_texts)]


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("store", ["states", "scales"])
@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_a_folder_is_as_large_as_estimated(tmp_path, name, store):
    (family,) = (family for family in ALL_FAMILIES if family.name == name)
    network, tokenizer = family.build(), make_tokenizer("none")
    texts = texts_of(1_000, 12)
    characters = float(np.mean([len(text) for text in texts]))
    options = {"store": store, "sketch_texts": 300} if store == "scales" else {}
    msma.extract(
        network, texts, tokenizer=tokenizer, name="m", out=tmp_path / "out", attention_texts=0, **options
    )
    cost = estimate_cost(
        model_shape(network.config),
        n_texts=len(texts),
        tokens_per_text=12,
        characters_per_text=characters,
        store=store,
        sketch_texts=300,
    )
    assert bytes_in(tmp_path / "out") == pytest.approx(cost.disk, rel=0.05)
    assert cost.passes == (1.3 if store == "scales" else 1.0)


@pytest.mark.slow
def test_a_folder_of_moments_is_as_large_as_estimated(tmp_path):
    (family,) = (family for family in ALL_FAMILIES if family.name == "gpt2")
    network = family.build()
    texts = texts_of(1_000, 12)
    moments = extract_moments(
        network,
        texts,
        tokenizer=make_tokenizer("none"),
        name="m",
        out=tmp_path / "out",
        sketch_texts=300,
        n_heldout=200,
    )
    assert len(moments.sample) <= 200
    sizes = [
        estimate_cost(
            model_shape(network.config),
            n_texts=len(texts),
            tokens_per_text=12,
            characters_per_text=float(np.mean([len(text) for text in texts])),
            store="moments",
            n_heldout=200,
            sketch_texts=sketch_texts,
        ).disk
        for sketch_texts in (0, 300)
    ]
    # Of three copies that are there while a part is added one stays, and the sketch.
    assert bytes_in(tmp_path / "out") == pytest.approx(sizes[0] / 3 + sizes[1] - sizes[0], rel=0.05)


MEASURED = """
import gc, sys, tempfile
import torch, transformers
import msma
from msma.models import model_shape
sys.path[:0] = {paths!r}
from test_costs import texts_of
from tiny import VOCABULARY_SIZE, make_tokenizer

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

torch.set_num_threads(1)
config = transformers.GPT2Config(vocab_size=VOCABULARY_SIZE, n_layer={n_blocks}, n_embd={width}, n_head=4)
network = transformers.GPT2Model(config).eval()
def read(texts, folder):
    msma.extract(network, texts, tokenizer=make_tokenizer("none"), name="m", out=folder, attention_texts=0)
with tempfile.TemporaryDirectory() as folder:
    read(texts_of(4, 4), folder + "/first")
    gc.collect()
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    before = peak()
    read(texts_of({n_texts}, {n_words}), folder + "/second")
    print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")
@pytest.mark.parametrize(
    ("n_blocks", "width", "n_texts"), [(2, 384, 100), (8, 256, 2_048)], ids=["activations", "window"]
)
def test_working_memory_is_a_bound_that_is_not_far(n_blocks, width, n_texts):
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    code = MEASURED.format(paths=paths, n_blocks=n_blocks, width=width, n_texts=n_texts, n_words=40)
    # The first reading is to leave nothing behind that the second one would find.
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    measured = int(done.stdout.split()[-1])
    config = transformers.GPT2Config(vocab_size=VOCABULARY_SIZE, n_layer=n_blocks, n_embd=width, n_head=4)
    cost = estimate_cost(model_shape(config), n_texts=n_texts, tokens_per_text=40)
    assert cost.kept == 0
    assert measured <= cost.working <= 3 * measured


def test_moments_do_not_grow_with_the_texts():
    few = estimate_cost(SMALL, store="moments", sketch_texts=100, **JOB)
    many = estimate_cost(SMALL, store="moments", sketch_texts=100, **{**JOB, "n_texts": 10**9})
    more = estimate_cost(SMALL, store="moments", sketch_texts=100, **{**JOB, "n_texts": 10**10})
    assert few.kept < many.kept == more.kept
    assert many.disk == more.disk
    matrices = 7 * (64 * 64 + 64) * 8
    sketch = ((13 * 64) ** 2 + 2 * 13 * 64) * 8
    held = 4096 * (3 * 64 * 4 + 400 + 32 + 56)
    assert many.kept == 2 * (matrices + sketch + held + 2**24)
    assert many.flops == pytest.approx(1e6 * (few.flops / few.passes), rel=1e-5)


def test_stores_cost_what_they_keep():
    costs = {
        store: estimate_cost(SMALL, sketch_texts=0, store=store, **JOB) for store in ("states", "scales")
    }
    text = 400 + 32
    assert costs["states"].disk == 1_000 * (13 * 64 * 4 + text)
    assert costs["scales"].disk == 1_000 * (3 * 64 * 4 + text)
    assert costs["states"].flops == costs["scales"].flops == 1_000 * 100 * (2 * 800_000 + 4 * 100 * 64 * 12)
    assert costs["states"].working > costs["scales"].working > 0
    sentences = estimate_cost(SMALL, samples_per_text=8, **JOB)
    assert sentences.disk == 8_000 * (13 * 64 * 4 + 50 + 32)
    assert sentences.flops == costs["states"].flops


def test_passes_are_a_whole_and_a_sample():
    assert estimate_cost(SMALL, store="scales", sketch_texts=500, **JOB).passes == 1.5
    assert estimate_cost(SMALL, store="scales", sketch_texts=5_000, **JOB).passes == 2
    cost = estimate_cost(SMALL, **JOB)
    assert cost.passes == 1
    assert cost.hours(cost.flops) == pytest.approx(1 / 3600)


def test_less_precision_is_smaller():
    sizes = [
        estimate_cost(SMALL, dtype=dtype, quantization=quantization, **JOB).weights
        for dtype, quantization in (
            ("float32", "none"),
            ("bfloat16", "none"),
            ("bfloat16", "8bit"),
            ("bfloat16", "4bit"),
        )
    ]
    assert sizes == [4_000_000, 2_000_000, 1_200_000, 400_000 + 800_000 * 0.5625]


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("38GB", 38 * 10**9),
        ("38 gb", 38 * 10**9),
        (" 500 MB ", 5 * 10**8),
        ("1.5KiB", 1536),
        ("2 TiB", 2 * 1024**4),
        ("70G", 70 * 10**9),
        ("12", 12),
        (12, 12),
        (".5kB", 500),
        ("1PB", 10**15),
    ],
)
def test_sizes_are_read(text, n_bytes):
    assert parse_size(text) == n_bytes


@pytest.mark.parametrize(
    "text", ["", "many", "38 XB", "-1 GB", "0", 0, -5, "1e9", "3 GB GB", True, 0.5, "nan", None]
)
def test_what_is_no_size_is_named(text):
    with pytest.raises(ConfigError, match=re.escape(f"the size {text!r} came; expected")):
        parse_size(text)


@pytest.mark.parametrize("n_bytes", [1, 999, 1_000, 45_600, 10**6, 38 * 10**9, 7 * 10**14])
def test_sizes_are_written_so_that_they_are_read_again(n_bytes):
    assert parse_size(size(n_bytes)) == pytest.approx(n_bytes, rel=0.06)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"store": "everything"}, "store 'everything' came; expected one of states, scales, moments"),
        ({"dtype": "int3"}, "dtype 'int3' came"),
        ({"quantization": "2bit"}, "quantization '2bit' came; expected one of none, 8bit, 4bit"),
        ({"n_texts": 0}, "n_texts=0 came"),
        ({"tokens_per_text": float("nan")}, "tokens_per_text=nan came"),
        ({"samples_per_text": -1}, "samples_per_text=-1 came"),
    ],
)
def test_what_cannot_be_estimated_is_named(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        estimate_cost(SMALL, **{**JOB, **options})


def test_a_speed_has_to_be_positive():
    cost = estimate_cost(SMALL, **JOB)
    for speed in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="expected more than 0"):
            cost.hours(speed)


def test_a_cost_is_told_in_a_sentence():
    cost = Cost(weights=14e9, working=2e9, kept=1e9, disk=38e9, flops=3.6e18, passes=1.002)
    assert cost.describe() == (
        "the model takes 14 GB, its work 3 GB of memory and 38 GB on disk; 3.6e+18 operations in 1.002 passes"
    )
    assert "in 1 pass" in replace(cost, passes=1.0).describe()
