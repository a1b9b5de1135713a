"""One process, two, two Ray workers and two nodes read the same: shards bit for bit, moments to rounding."""

import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest

import msma
from msma.extraction import extract, extract_moments
from tiny import VOCABULARY_SIZE, WORDS, make_tokenizer

# Clusters that run side by side on one machine take ports from one another.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

N_TEXTS = 240
ENGINES = {"processes": {"engine": "processes", "workers": 2}, "ray": {"engine": "ray", "workers": 2}}


def make_texts():
    generator = np.random.default_rng(0)
    return [" ".join(generator.choice(WORDS[:-12], size=generator.integers(1, 30))) for _ in range(N_TEXTS)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of a small model with random weights."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    folder = tmp_path_factory.mktemp("model")
    BertModel(config).eval().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def two_nodes():
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield {"engine": "ray", "workers": 2, "address": cluster.address}
    cluster.shutdown()


@pytest.fixture(params=["processes", "ray", "two nodes"])
def elsewhere(request):
    if request.param == "processes":
        return ENGINES["processes"]
    pytest.importorskip("ray")
    return ENGINES["ray"] if request.param == "ray" else request.getfixturevalue("two_nodes")


def read_files(folder):
    """Content of all shards, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("shard-*"))}


def read_shards(model, folder, **options):
    extract(model, make_texts(), out=folder, window=20, **options)
    return read_files(folder)


@pytest.fixture(scope="module")
def shards(model, tmp_path_factory):
    return read_shards(model, tmp_path_factory.mktemp("one") / "s")


def test_shards_are_the_same_bit_for_bit(model, shards, elsewhere, tmp_path):
    assert len(shards) == 2 * N_TEXTS / 20
    assert read_shards(model, tmp_path / "s", **elsewhere) == shards


def test_states_without_a_folder_are_the_same(model, shards, elsewhere, tmp_path):
    states = extract(model, make_texts(), window=20, **elsewhere)
    states.save(tmp_path / "s")
    loaded = msma.HiddenStates.load(tmp_path / "s")
    alone = extract(model, make_texts(), window=20)
    assert loaded.texts == alone.texts
    for layer in range(alone.n_layers):
        assert np.array_equal(loaded.layer(layer), alone.layer(layer))


def test_moments_agree(model, elsewhere, tmp_path):
    options = {"scales": "0-1|2-3|4-4", "window": 20, "block": 40}
    alone = extract_moments(model, make_texts(), out=tmp_path / "one", **options)
    found = extract_moments(model, make_texts(), out=tmp_path / "many", **options, **elsewhere)
    assert_same_numbers(alone, found)


def assert_same_numbers(one, other):
    """Compare all arrays on disk of two sets of moments."""
    arrays, others = list(walk_arrays(one)), list(walk_arrays(other))
    assert len(arrays) == len(others) > 10
    for array, counterpart in zip(arrays, others, strict=True):
        np.testing.assert_allclose(array, counterpart, rtol=1e-6, atol=1e-6)


def walk_arrays(thing):
    """All arrays within nested dataclasses, mappings and sequences, in order."""
    if isinstance(thing, np.ndarray) and thing.dtype.kind in "fiub":
        yield thing
    elif isinstance(thing, dict):
        for key in sorted(thing, key=str):
            yield from walk_arrays(thing[key])
    elif isinstance(thing, list | tuple):
        for item in thing:
            yield from walk_arrays(item)
    elif hasattr(thing, "__dict__") and type(thing).__module__.startswith("msma"):
        yield from walk_arrays(vars(thing))


def kill_a_reader(folder, killed):
    """Kill one process that reads, once the first shards are there."""
    while not list(folder.glob("shard-*.safetensors")):
        time.sleep(0.01)
    for child in psutil.Process().children(recursive=True):
        command = " ".join(child.cmdline()[:4])
        if "process_worker" in command or command.startswith("ray::Replica"):
            killed.append(child.pid)
            os.kill(child.pid, signal.SIGKILL)
            return


@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_a_killed_worker_changes_nothing(model, shards, engine, tmp_path):
    if engine == "ray":
        pytest.importorskip("ray")
    killed, folder = [], tmp_path / "s"
    killer = threading.Thread(target=kill_a_reader, args=(folder, killed), daemon=True)
    killer.start()
    assert read_shards(model, folder, **ENGINES[engine]) == shards
    killer.join(10)
    assert killed
