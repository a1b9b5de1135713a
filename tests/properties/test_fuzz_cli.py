"""Whatever is typed: a command works or ends in code 2 with words for people; never a traceback or a hang."""

import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st

from families import ALL_FAMILIES
from fuzzing import SIMPLE, runs, texts, within
from msma.cli import app, run
from msma.states import HiddenStates
from tiny import TEXTS, make_tokenizer

COMMANDS = typer.main.get_command(app).commands
#: What may be typed anywhere; nothing that asks for a great amount of work.
ANYTHING = (
    *(
        "",
        " ",
        "-",
        "--",
        "-1",
        "0",
        "1",
        "2",
        "3",
        "0.5",
        "1e-300",
        "-0.1",
        "nan",
        "inf",
        "-inf",
        "x",
        "None",
    ),
    *(
        "-1000000000",
        "１",
        "0x1",
        "1_0",
        "1,2",
        "0.1,0.2",
        "a,b",
        ",",
        "text",
        "mean",
        "true",
        "*",
        "ü",
        "\udc80",
    ),
    *(
        "שלום",
        "👩‍👩‍👧",
        "[/bold]",
        "[red]",
        "a b",
        "a\nb",
        "x" * 300,
        "absent",
        "absent.json",
        "~nobody/x",
        "..",
        ".",
    ),
    *(
        "/dev/null",
        "/dev/null/x",
        "/proc/nothing",
        "\\",
        "%s",
        "{}",
        "name=value",
        "=",
        "a=b=c",
        "http://x.y/z",
    ),
)
#: What the options understand, so that commands get past their first check.
PLAUSIBLE = {
    "seed": ("0", "7", str(2**31), str(2**64), "1" * 30),
    "seeds": ("0", "0,1", "1,1", "0,"),
    "n_votes": ("1", "3"),
    "min_layers": ("1", "2", "9"),
    "fractions": ("0.6,0.2,0.2", "0.3,0.3,0.4", "1,0,0", "nan,nan,nan", "0.5,0.5", "inf,0,0", "1e-9,0.5,0.5"),
    "method": (
        "fused",
        "similarity",
        "attention",
        "information",
        "thirds",
        "0-1|2-3|4",
        "0|1|2",
        "4-0|1|2",
        "9-9|9|9",
    ),
    "scales": ("fused", "thirds", "0-1|2-3|4", "|", "||", "0-|1|2", "scales.json", "states"),
    "partition": ("fused", "thirds", "published", "0-1|2-3|4", "|", "scales.json"),
    "map": ("identity", "ridge", "mean_shift", "procrustes", "magic"),
    "maps": ("identity", "ridge", "joint"),
    "reduction": ("mean", "last"),
    "metrics": ("r2", "cosine", "wasserstein2", "nothing"),
    "sigma": ("0.5", "1", "0", "1e300"),
    "confidence": ("0.9", "0", "1", "2"),
    "unit": ("text", "sentence", "token"),
    "max_tokens": ("1", "3", "9", "64", "65"),
    "batch_tokens": ("1", "64"),
    "max_documents": ("1", "3"),
    "attention_texts": ("0", "2"),
    "dtype": ("float32", "bfloat16", "auto"),
    "device": ("cpu", "auto", "cuda", "cuda:99", "meta", "mps", "tpu"),
    "column": ("text", "id"),
    "label_columns": ("mood", "id"),
    "n_jobs": ("1", "0"),
    "n_trials": ("2", "1"),
    "max_epochs": ("1", "0"),
    "arms": ("full", "half"),
    "objectives": ("r2", "speed"),
    "strengths": ("0.1", "0", "0.1,0.1", "nan"),
    "joint": ("width=4", "widht=4", "width=x", "epochs=1", "="),
    "store": ("states", "moments", "sketch", "scales"),
    "engine": ("local",),
    "max_disk": ("1KB", "1GB", "0", "GB"),
    "max_memory": ("1KB", "1GB", "0", "GB"),
}
#: Names that stand for files and folders which are there.
PLACES = (
    *(
        "states",
        "broken",
        "empty",
        "texts.txt",
        "texts.csv",
        "texts.jsonl",
        "noise.json",
        "empty.txt",
        "model",
    ),
    *("scales.json", "settings.toml", "noise.toml", "alignment"),
)
#: Names that each argument is happy with.
RIGHT = {
    "model": ("model",),
    "states": ("states",),
    "texts": ("texts.txt", "texts.csv", "texts.jsonl"),
    "alignment": ("alignment",),
    "folders": ("states",),
    "config": ("settings.toml",),
}
#: Commands whose work on a real model or real states takes more than a moment.
HEAVY = {"ablate", "tune", "intervene", "steer", "bias", "robustness", "analyze", "replicate"}
#: What is asked of a heavy command stops short of its work.
HALTED = {"model": ("absent/model", "empty", "broken", "texts.txt"), "states": ("absent", "empty", "broken")}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Files and folders of every kind, well made and not."""
    folder = tmp_path_factory.mktemp("places")
    layers = np.random.default_rng(0).normal(size=(5, 30, 3))
    made = HiddenStates.from_arrays(layers, texts=[f"text {i}" for i in range(30)])
    made.save(folder / "states")
    (folder / "broken").mkdir()
    for path in (folder / "states").iterdir():
        if path.is_file():
            (folder / "broken" / path.name).write_bytes(path.read_bytes()[:40])
    (folder / "empty").mkdir()
    (folder / "empty.txt").touch()
    (folder / "texts.txt").write_text("\n".join(TEXTS))
    (folder / "texts.csv").write_text(
        "id,text,mood\n" + "".join(f'{i},"{t}",low\n' for i, t in enumerate(TEXTS))
    )
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    (folder / "noise.json").write_bytes(bytes(range(256)))
    (folder / "noise.toml").write_bytes(b"\xff= [")
    (folder / "settings.toml").write_text('model = "absent/model"\ntexts = "texts.txt"\nseed = 3\n')
    family = next(family for family in ALL_FAMILIES if family.name == "bert")
    family.build().save_pretrained(folder / "model")
    make_tokenizer(family.template).save_pretrained(folder / "model")
    for made_by in (
        ["scales", "states", "--out", "scales.json", "--method", "0-1|2-3|4"],
        ["fit", "states", "--scales", "scales.json", "--out", "alignment", "--map", "mean_shift"],
    ):
        with contextlib.chdir(folder):
            assert run(made_by) == 0
    return folder


def any_value(chance):
    pieces = [*ANYTHING, *(text for text in SIMPLE if "\0" not in text)]
    return "".join(chance.choices(pieces, k=2)) if chance.random() < 0.2 else chance.choice(pieces)


def value_of(parameter, command, chance):
    """Mostly what the parameter understands, so that commands get past their first checks."""
    if command in HEAVY and parameter.name in HALTED:
        return chance.choice(HALTED[parameter.name])
    if chance.random() < 0.2:
        return any_value(chance)
    if chance.random() < 0.1:
        return chance.choice(PLACES)
    if command == "fit" and parameter.name == "scales":
        return "scales.json"
    if parameter.name in RIGHT and chance.random() < 0.8:
        return chance.choice(RIGHT[parameter.name])
    return chance.choice(PLAUSIBLE.get(parameter.name, PLACES))


def line(name, chance):
    """What is typed after ``msma``: a command with some of its options, mostly as it should be."""
    parameters = COMMANDS[name].params
    typed = []
    for parameter in parameters:
        if parameter.param_type_name == "argument" and chance.random() < 0.97:
            typed.extend(value_of(parameter, name, chance) for _ in range(2 if parameter.nargs < 0 else 1))
    options = [p for p in parameters if p.param_type_name == "option"]
    needed = [p for p in options if p.required and chance.random() < 0.95]
    for option in needed + chance.sample(options, chance.randrange(min(5, len(options)))):
        typed.append(chance.choice([*option.opts, *option.secondary_opts]))
        if not option.is_flag:
            typed.append(value_of(option, name, chance))
    if chance.random() < 0.1:
        typed.insert(chance.randrange(len(typed) + 1), chance.choice(["--nonsense", "-x", "--", "", "-h"]))
    return [*chance.choice([[], [], ["--log-json", "log.jsonl"], ["--log-json", "-"]]), name, *typed]


def check(typed, places):
    """Run a line in a folder of its own, with copies of all that is there."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(places, ".", dirs_exist_ok=True)
        streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
        with within(60), contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            code = run(typed)
        out, err = (stream.buffer.getvalue().decode() for stream in streams)
        assert code in (0, 2), (typed, err)
        assert "Traceback" not in out + err
        assert bool(err.strip()) or code == 0
        if typed[:2] == ["--log-json", "log.jsonl"] and Path("log.jsonl").exists():
            last = json.loads(Path("log.jsonl").read_text().splitlines()[-1])
            assert last["exit_code"] == code


def test_every_command_is_fuzzed():
    assert set(COMMANDS) >= HEAVY | {"extract", "scales", "fit", "evaluate", "certify", "report"}
    assert all(callable(command.callback) for command in COMMANDS.values())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_any_line(name, places):
    @runs(10)
    @given(chance=st.randoms(use_true_random=True))
    def check_it(chance):
        check(line(name, chance), places)

    check_it()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_any_line_at_length(name, places):
    @runs(300)
    @given(chance=st.randoms(use_true_random=True))
    def check_it(chance):
        check(line(name, chance), places)

    check_it()


@runs(25)
@given(typed=st.lists(st.one_of(st.sampled_from([*COMMANDS, *ANYTHING]), texts()), max_size=4))
@example(typed=[])
@example(typed=["--log-json"])
@example(typed=["--version", "--nonsense"])
def test_any_words(places, typed):
    check([*(word for word in typed if "\0" not in word), "--nonsense"], places)
