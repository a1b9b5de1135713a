"""The decoder that comes with the package: whole, small, without a network, and better than what it has to beat."""

import json
import logging
import socket

import numpy as np
import pytest
import torch

import msma
from msma.cli import run
from msma.configuration import StudyConfig
from msma.corpora import demo_corpus
from msma.errors import ModelError
from msma.states import HiddenStates
from msma.storage import file_checksum
from msma.study import extract_states
from study_inputs import write_texts
from training_scripts import evaluate, recipes, ship


@pytest.fixture
def folder():
    return msma.demo_decoder().folder


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def complaints():
    """What transformers has to say, from warnings upwards."""
    heard = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.append(record.getMessage())
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    yield heard
    logger.removeHandler(handler)


def test_it_is_whole_and_small_and_knows_no_machine(folder):
    names = {"README.md", "config.json", "evaluation.json", "generation_config.json", "model.safetensors"}
    names |= {"tokenizer.json", "tokenizer_config.json", "training_log.jsonl"}
    assert {file.name for file in folder.iterdir()} == names
    ship.check_files(folder)
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["n_layer"], config["vocab_size"]) == ("gpt2", 12, recipes.N_TOKENS)


def test_its_evaluation_is_of_these_weights_and_beats_kneser_ney(folder):
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert evaluation["weights_sha256"] == file_checksum(folder / "model.safetensors")
    ship.check_beaten(evaluation)
    card = (folder / "README.md").read_text()
    for row in evaluation["scores"]:
        assert f"{row['bits_per_byte']:.3f}" in card


def test_its_log_ends_with_the_last_step(folder):
    log = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in log]
    assert steps == sorted(set(steps))
    assert steps[-1] == 6000
    assert log[-1]["validation_nats"] < log[4]["validation_nats"]


def test_it_loads_without_a_network_and_without_a_complaint(folder, no_network, complaints):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert model.dtype == torch.float32
    text = "The old man's “boat” — 3 £ — was lost.\n\nNobody knew."
    ids = tokenizer(["Snow fell.", text], return_tensors="pt", padding=True)
    assert tokenizer.decode(ids["input_ids"][1]) == text
    assert ids["attention_mask"][0].sum() < ids["attention_mask"][1].sum()
    begun = tokenizer("<|endoftext|>Snow", return_tensors="pt")
    assert begun["input_ids"][0, 0] == recipes.END
    model.generate(**begun, max_new_tokens=3, do_sample=False)
    assert not complaints


def test_it_knows_english_it_has_not_read(folder, rng):
    from tokenizers import Tokenizer
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = [document.text for document in demo_corpus()][::24]
    shuffled = [" ".join(rng.permutation(text.split())) for text in texts]

    def bits_per_byte(texts):
        ids = [np.array([recipes.END, *tokenizer.encode(text).ids]) for text in texts]
        bits = np.concatenate(evaluate.score_decoder(model, ids))
        return bits.sum() / sum(len(text.encode()) for text in texts)

    assert bits_per_byte(texts) < 2
    assert bits_per_byte(texts) < bits_per_byte(shuffled) - 0.5


def test_its_name_is_taken_where_a_model_is_named(folder, tmp_path, no_network):
    texts = write_texts(tmp_path / "texts.jsonl", n_texts=8)
    config = StudyConfig(model="demo-decoder", texts=str(texts), column="text", attention_texts=0)
    states = extract_states(config, tmp_path / "states")
    assert (states.n_layers, states.d_model) == (13, 144)
    assert states.origin.model == "demo-decoder"
    command = ["extract", "demo-decoder", str(texts), "--column", "text", "--out", str(tmp_path / "again")]
    assert run(command) == 0
    again = HiddenStates.load(tmp_path / "again")
    assert again.origin.fingerprint == states.origin.fingerprint


def test_an_installation_without_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("msma.study.demo.files", lambda _: tmp_path)
    with pytest.raises(ModelError, match=r"no config\.json, model\.safetensors.*training/README\.md"):
        msma.demo_decoder()
    with pytest.raises(ModelError, match="embedded decoder"):
        extract_states(StudyConfig(model="demo-decoder", texts="demo"), tmp_path / "out")
