"""Steering: it works where it must, says so where it does not, and never changes the model."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, GPT2Model

import msma
from language import loaded_model
from msma.cli import run
from msma.errors import ConfigError, CorpusError, ModelError, OriginError, ScaleError, StorageError
from msma.interventions import Direction
from msma.models import load_model
from msma.steering import DEMONSTRATIONS, Judge, Sample, Steering
from msma.steering.steer import _turned, choose
from planted import N_LAYERS, PARTITION, PROMPTS, WIDTH, planted_direction, planted_model, random_model
from tiny import SPECIALS, VOCABULARY, WORDS, make_tokenizer

OURS, THEIRS = WORDS[3:15], WORDS[20:32]
TOWARDS = [f"the {OURS[k]} {OURS[(k + 5) % 12]}" for k in range(12)]
AWAY = [f"the {THEIRS[k]} {THEIRS[(k + 5) % 12]}" for k in range(12)]
QUICK = {"prompts": PROMPTS[:12], "max_new_tokens": 12, "strengths": (0.2, 0.5), "max_loss": 1.0}


@pytest.fixture(scope="module")
def model():
    """A decoder whose states hold in one coordinate which of two sets the last word is of, and whose head reads it."""
    loaded = planted_model()
    network = loaded.network
    for block in network.transformer.h:
        block.role = "pass"
    embeddings, head = network.transformer.wte.weight.data, network.lm_head.weight.data
    embeddings[:, :3], head[:] = 0.0, 0.0
    for words, sign in ((OURS, 1.0), (THEIRS, -1.0)):
        for word in words:
            embeddings[VOCABULARY[word], 0] = sign
            head[VOCABULARY[word], 0] = sign
    embeddings[:, 2] = 1.0
    for token in SPECIALS:
        head[VOCABULARY[token], 2] = -30.0
    return loaded


@pytest.fixture(scope="module")
def found(model):
    return msma.steer(model, TOWARDS, AWAY, **QUICK)


def test_it_steers_where_it_must_and_a_random_direction_does_not(found):
    assert found.is_within
    assert found.is_effective
    assert found.test.effect_low > 0.5
    assert abs(found.test.control_effect) < 0.3 * found.test.effect
    assert found.judge_accuracy > 0.7
    said = found.describe()
    assert "includes 0" not in said
    assert "tells apart" in said
    assert len(found.curve) == 3 * 2
    assert {p.split for p in found.curve} == {"validation"}
    assert (found.chosen.n_prompts, found.test.n_prompts, found.test.split) == (6, 6, "test")
    assert found.chosen is choose(found.curve, max_loss=1.0)


def test_only_the_scale_that_holds_it_works(monkeypatch):
    monkeypatch.setattr(Direction, "between", lambda *_, **options: planted_direction())
    loaded = planted_model(gain=3.0)
    stops = [f"{word} . {word} ." for word in OURS]
    commas = [f"{word} , {word} ," for word in THEIRS]
    steering = msma.steer(
        loaded,
        stops,
        commas,
        partition=PARTITION,
        prompts=PROMPTS,
        max_new_tokens=12,
        strengths=(0.3,),
        max_loss=2.0,
    )
    assert steering.scale == "intermediate"
    effect = {point.scale: point.effect for point in steering.curve}
    assert effect["local"] == effect["global"] == 0.0
    assert steering.test.effect_low > 0


def test_where_nothing_is_it_says_so():
    steering = msma.steer(random_model(), TOWARDS, AWAY, scale="global", **{**QUICK, "strengths": (0.02,)})
    assert steering.test.effect_low <= 0
    assert not steering.is_effective
    assert {point.scale for point in steering.curve} == {"global"}
    said = steering.describe()
    assert "do not show that it steers" in said or "wrong way" in said


def test_the_same_twice_and_another_seed_is_another(model, found):
    again = msma.steer(model, TOWARDS, AWAY, **QUICK)
    assert (again.curve, again.test, again.pairs) == (found.curve, found.test, found.pairs)
    assert msma.steer(model, TOWARDS, AWAY, seed=1, scale=found.scale, **QUICK).test != found.test


def test_the_choice_is_the_best_effect_within_the_loss_else_the_least_loss(found):
    a, b, c = (replace(found.test, effect=e, loss=x) for e, x in ((1.0, 0.2), (3.0, 0.9), (2.0, 0.4)))
    assert choose([a, b, c], max_loss=0.5) is c
    assert choose([a, b, c], max_loss=1.0) is b
    assert choose([a, b, c], max_loss=0.1) is a
    steering = replace(found, max_loss=-100.0)
    assert not steering.is_within
    assert "none of 6 settings kept to" in steering.describe()


def test_what_is_said_of_other_outcomes(found):
    def said(**changes):
        return replace(found, test=replace(found.test, **changes), judge_accuracy=0.6).describe()

    assert "wrong way" in said(effect=-1.0, effect_low=-2.0, effect_high=-0.5)
    assert "includes 0" in said(effect_low=-0.1)
    assert "not clearly beyond that of random directions" in said(beyond_low=-0.1)
    assert "give more texts" in said()


def test_the_generator_writes_as_the_saved_one_and_the_samples_are_its_own(model, found, tmp_path):
    assert found.save(tmp_path / "s") == tmp_path / "s"
    again = Steering.load(tmp_path / "s", model)
    assert (again.scale, again.strength, again.curve, again.test) == (
        found.scale,
        found.strength,
        found.curve,
        found.test,
    )
    assert again.describe() == found.describe()
    assert again.samples(3) == found.samples(3)
    texts = found(list(PROMPTS[:3]), max_new_tokens=10, seed=3)
    assert again(list(PROMPTS[:3]), max_new_tokens=10, seed=3) == texts
    assert found(PROMPTS[0], max_new_tokens=10, seed=3) == texts[:1]
    sample = found.samples(1)[0]
    assert isinstance(sample, Sample)
    assert found(sample.prompt, max_new_tokens=12)[0] == sample.steered
    assert len(found.samples(99)) == found.test.n_prompts


def test_acting_steers_whatever_runs_and_the_model_is_as_before(model, found):
    ids = torch.tensor([model.tokenizer(PROMPTS[0])["input_ids"]])
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    with torch.no_grad():
        clean = model.network(ids).logits
        with found.acting() as acting:
            steered = model.network(ids).logits
        assert acting.layers == tuple(found.partition[found.scale])
        assert not torch.equal(clean, steered)
        with pytest.raises(RuntimeError, match="stop"), found.acting():
            raise RuntimeError("stop")
        assert torch.equal(model.network(ids).logits, clean)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())
    assert not any(module._forward_hooks for module in model.network.modules())


def test_the_pipeline_is_steered_in_every_call_and_the_model_clean_between(model, found):
    from msma.models import text_pipeline

    options = {"do_sample": False, "max_new_tokens": 12, "return_full_text": False}
    plain = text_pipeline(model)
    clean = plain(PROMPTS[0], **options)[0]["generated_text"]
    steered = found.pipeline()(PROMPTS[0], **options)[0]["generated_text"]
    with found.acting():
        assert plain(PROMPTS[0], **options)[0]["generated_text"] == steered
    assert steered != clean
    assert plain(PROMPTS[0], **options)[0]["generated_text"] == clean


def test_a_bare_transformers_model_works_and_keeps_its_mode(model):
    network = model.network.train()
    try:
        steering = msma.steer(network, TOWARDS, AWAY, tokenizer=model.tokenizer, scale="global", **QUICK)
        assert network.training
        assert steering.partition == msma.ScalePartition.thirds(N_LAYERS)
    finally:
        network.eval()


def test_rows_frame_and_figure(found):
    result = found.to_result()
    assert len(result) == 3 * (6 + 1)
    row = result.row("effect", split="test")
    assert (row.value, row.null, row.target) == (found.test.effect, found.test.control_effect, found.scale)
    assert len(found.to_frame()) == len(result)
    axes = found.plot()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["local", "intermediate", "global", "random", "chosen"]


def test_the_control_keeps_norms_and_angles_between_layers():
    vectors = np.random.default_rng(0).normal(size=(5, 16))
    turned = _turned(Direction(vectors), np.random.default_rng(1)).vectors
    np.testing.assert_allclose(turned @ turned.T, vectors @ vectors.T, rtol=1e-4, atol=1e-4)
    assert abs(np.sum(turned[0] * vectors[0])) < 0.9 * np.sum(vectors[0] ** 2)


def test_the_control_leans_to_no_side():
    """Over many draws no coordinate of a turned direction has a mean: the rotation is uniform."""
    n = 600
    for n_layers in (1, 3, 20):
        vectors = np.random.default_rng(0).normal(size=(n_layers, 12))
        draws = [_turned(Direction(vectors), np.random.default_rng(i)).vectors[0] for i in range(n)]
        z = np.mean(draws, axis=0) / (np.std(draws, axis=0) / n**0.5)
        assert np.abs(z).max() < 4


def test_the_judge_tells_the_demonstration_apart():
    sea, home = DEMONSTRATIONS["demo-sea"], DEMONSTRATIONS["demo-home"]
    assert len(set(sea)) == len(set(home)) == 24
    assert Judge(sea[:12], home[:12]).accuracy(sea[12:], home[12:]) > 0.8
    with pytest.raises(CorpusError, match="without a word"):
        Judge([" "], [" "])


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"towards": []}, CorpusError, "0 different texts came in 'towards'"),
        ({"away_from": ["a", "b", "b", "c"]}, CorpusError, "3 different texts came in 'away_from'"),
        ({"towards": "the sea"}, CorpusError, "one text came in 'towards'"),
        ({"away_from": TOWARDS}, CorpusError, "12 texts stand in"),
        ({"scale": "middle"}, ScaleError, "scale 'middle' came"),
        ({"strengths": (float("nan"),)}, ConfigError, "finite numbers above 0"),
        ({"strengths": (-0.1,)}, ConfigError, "exchange the two sets"),
        ({"strengths": ()}, ConfigError, "finite numbers above 0"),
        ({"strengths": (0.1, 0.1)}, ConfigError, "give each once"),
        ({"seeds": ()}, ConfigError, "no seed came"),
        ({"seeds": 0}, ConfigError, "one number came"),
        ({"seeds": (0, 0)}, ConfigError, "give different seeds"),
        ({"seed": -1}, ConfigError, "a seed of 0 or more"),
        ({"strengths": 0.2}, ConfigError, "one number came"),
        ({"towards": [*TOWARDS, 3]}, CorpusError, "a int came among the texts of 'towards'"),
        ({"max_loss": float("nan")}, ConfigError, "max_loss nan came"),
        ({"prompts": ["the sea"] * 9}, CorpusError, "1 different prompts came"),
        ({"prompts": "the sea"}, CorpusError, "1 different prompts came"),
        ({"prompts": [*PROMPTS[:3], "the " * 60]}, CorpusError, "the model's context holds 64"),
        ({"partition": msma.ScalePartition.thirds(13)}, ScaleError, "13 layer entries came for a model of 7"),
    ],
)
def test_errors_in_one_sentence(model, changes, kind, message):
    given = {"towards": TOWARDS, "away_from": AWAY, **QUICK, **changes}
    with pytest.raises(kind, match=message) as caught:
        msma.steer(model, **given)
    assert "\n" not in str(caught.value)


def test_a_model_that_cannot_write_is_refused():
    sizes = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    masked = BertForMaskedLM(BertConfig(**sizes, intermediate_size=8)).eval()
    with pytest.raises(ModelError, match="cannot write"):
        msma.steer(masked, TOWARDS, AWAY, tokenizer=make_tokenizer())
    body = GPT2Model(planted_model().network.config)
    with pytest.raises(ModelError, match="no language-model head"):
        msma.steer(body, TOWARDS, AWAY, tokenizer=make_tokenizer())


def test_the_decoder_of_an_encoder_decoder_is_steered_where_it_is_asked_for(tmp_path):
    bart = loaded_model("bart-decoder")
    quick = {**QUICK, "strengths": (0.5,), "max_new_tokens": 4}
    found = {stack: msma.steer(bart, TOWARDS, AWAY, stack=stack, **quick) for stack in ("decoder", "encoder")}
    for stack, steering in found.items():
        assert steering.stack == stack
        own = Direction.between(bart, TOWARDS[:4], AWAY[:4], stack=stack).vectors
        assert steering.direction.vectors.shape == own.shape
        with steering.acting():  # sees the stack alone that is asked for
            ids = torch.arange(4, 8)[None]
            moved = bart.network(ids, output_hidden_states=True)
        plain = bart.network(ids, output_hidden_states=True)
        same = torch.equal(moved.encoder_hidden_states[-1], plain.encoder_hidden_states[-1])
        assert same == (stack == "decoder")
        assert not torch.equal(moved.logits, plain.logits)
    steering = found["decoder"]
    again = Steering.load(steering.save(tmp_path), bart)
    assert again.stack == "decoder"
    assert again(PROMPTS[:4]) == steering(PROMPTS[:4])
    found["encoder"].save(tmp_path)
    record = json.loads((tmp_path / "steering.json").read_text())
    del record["stack"]  # as written before there was a choice
    (tmp_path / "steering.json").write_text(json.dumps(record))
    assert Steering.load(tmp_path, bart).stack == "auto"


def test_load_refuses_another_model_and_a_damaged_record(found, model, tmp_path):
    found.save(tmp_path)
    narrow = planted_model().network.config
    narrow.n_layer, narrow.n_embd = 2, 8
    other = load_model(
        type(model.network)(narrow).eval(), tokenizer=model.tokenizer, name="other", has_head=True
    )
    with pytest.raises(OriginError, match=f"7 x {WIDTH} came for a model of 3 x 8"):
        Steering.load(tmp_path, other)
    twin = type(model.network)(planted_model().network.config).eval()
    with pytest.raises(OriginError, match="whose weights differ"):
        Steering.load(tmp_path, twin, tokenizer=model.tokenizer)
    record = json.loads((tmp_path / "steering.json").read_text())
    assert record["test"] == asdict(found.test)
    del record["scale"]
    (tmp_path / "steering.json").write_text(json.dumps(record))
    with pytest.raises(StorageError, match="no record of steering"):
        Steering.load(tmp_path, model)


def test_the_command(model, tmp_path, capsys, monkeypatch):
    asked = {}
    monkeypatch.setattr("msma.models.load_model", lambda *_, **options: asked.update(options) or model)
    for name, texts in (("a", TOWARDS), ("b", AWAY), ("prompts", PROMPTS[:8])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    arguments = [
        "steer",
        "planted",
        "--towards",
        str(tmp_path / "a.jsonl"),
        "--away-from",
        str(tmp_path / "b.jsonl"),
    ]
    arguments += ["--prompts", str(tmp_path / "prompts.jsonl"), "--strengths", "0.3", "--max-new-tokens", "6"]
    arguments += ["--out", str(tmp_path / "out"), "--max-loss", "2"]
    assert run(arguments) == 0
    shown = capsys.readouterr().out
    for words in ("scale", "other prompts the judge's log-odds", "clean:", "steered:", "Steering.load"):
        assert words in shown
    names = {"direction.safetensors", "steering.json", "results.json"}
    names |= {"tradeoff.png", "tradeoff.svg", "tradeoff.pdf"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "steering"
    assert run([*arguments, "--scale", "middle"]) == 2
    assert "scale 'middle' came" in capsys.readouterr().err
    assert asked["device"] == "auto"
    options = ["--partition", "0-3|4-5|6", "--device", "cpu", "--dtype", "bfloat16", "--revision", "old"]
    assert run([*arguments, *options, "--scale", "local", "--trust-remote-code"]) == 0
    expected = {"device": "cpu", "dtype": "bfloat16", "revision": "old", "trust_remote_code": True}
    assert expected.items() <= asked.items()
    record = json.loads((tmp_path / "out" / "steering.json").read_text())
    assert record["partition"] == {"n_layers": N_LAYERS, "boundaries": [4, 6]}
    assert {point["scale"] for point in record["curve"]} == {"local"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "nowhere"], "device 'nowhere'"),
        (["--revision", "old"], "revision 'old' came for the folder"),
        (["--stack", "encoder"], "stack 'encoder' of GPT2"),
        (["--partition", "0-2|3-4|5-7"], "cover layers 0-12"),
        (["--partition", "absent.json"], "absent.json"),
    ],
)
def test_the_command_refuses_what_the_model_cannot_do(options, message, tmp_path, capsys):
    sides = ["--towards", "demo-sea", "--away-from", "demo-home", "--out", str(tmp_path / "out")]
    assert run(["steer", "demo-decoder", *sides, *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
