"""The command line mirrors the functions, and ends in one red line with exit code 2 where they raise."""

import inspect
import json
from dataclasses import fields

import numpy as np
import pytest
import typer

from msma.cli import app, run
from msma.configuration import StudyConfig
from msma.states import HiddenStates
from msma.study import Study

COMMANDS = typer.main.get_command(app).commands


def parameters(name):
    return {p.name: p for p in COMMANDS[name].params}


def test_commands():
    parts = {
        "extract",
        "merge",
        "scales",
        "fit",
        "evaluate",
        "certify",
        "ablate",
        "tune",
        "intervene",
        "steer",
        "bias",
        "robustness",
        "explain",
        "explore",
        "compare",
        "figures",
        "replicate",
    }
    assert set(COMMANDS) == {"analyze", "report", *parts}


def test_analyze_has_every_setting_with_the_same_default():
    options = parameters("analyze")
    for field in fields(StudyConfig):
        assert field.name in options, field.name
        shown = options[field.name].default
        if field.name in ("model", "texts"):
            continue
        expected = ",".join(map(str, field.default)) if field.name == "fractions" else field.default
        assert (getattr(shown, "value", shown) or None) == (expected or None) or shown == expected, field.name
    # Where states are read, and within what limits, is no setting: a study goes on wherever it was begun.
    places = {"engine", "workers", "address", "devices", "max_disk", "max_memory"}
    assert set(options) - {f.name for f in fields(StudyConfig)} == {"out", "config", "as_json", *places}
    assert {name: options[name].help for name in places} == {
        name: parameters("extract")[name].help for name in places
    }


@pytest.mark.parametrize(
    ("command", "function"),
    [
        ("scales", "find_scales"),
        ("extract", "extract"),
        ("extract", "extract_moments"),
        ("merge", "merge"),
        ("certify", "certify"),
        ("ablate", "ablate"),
        ("tune", "tune"),
        ("intervene", "run_experiment"),
        ("steer", "steer"),
        ("bias", "audit_bias"),
        ("robustness", "audit_robustness"),
        ("explain", "explain"),
        ("compare", "compare_studies"),
        ("replicate", "replicate"),
    ],
)
def test_defaults_of_the_parts_equal_the_functions(command, function):
    import msma

    signature = inspect.signature(getattr(msma, function)).parameters
    for name, option in parameters(command).items():
        if name in signature and signature[name].default is not inspect.Parameter.empty:
            if name in (
                "out",
                "label_columns",
                "fractions",  # written as words
                "arms",
                "metrics",
                "objectives",
                *(
                    "tests",
                    "pairs",
                    "crows",
                    "stereoset",
                    "winobias",
                    "erase",
                    "partition",
                ),  # of "msma bias": files
            ):  # None stands for all of them
                continue
            shown = getattr(option.default, "value", option.default)
            if name in ("seeds", "strengths"):
                shown = tuple(float(part) for part in shown.split(","))
            if name == "methods":
                shown = tuple(shown.split(","))
            assert shown == signature[name].default, name


def test_help_of_every_command_names_every_option(capsys):
    for name, command in COMMANDS.items():
        assert run([name, "--help"]) == 0
        assert command.help
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert parameter.help, (name, parameter.name)


@pytest.fixture
def states_dir(tmp_path):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 6))
    turns = np.linalg.qr(rng.normal(size=(3, 6, 6)))[0]
    layers = [z @ turns[k] + 0.3 * rng.normal(size=(200, 6)) for k in (0, 0, 1, 1, 1, 2, 2)]
    states = HiddenStates.from_arrays(np.stack(layers), texts=[f"text {i}" for i in range(200)])
    return states.save(tmp_path / "states")


def test_the_parts_work_one_after_another(states_dir, tmp_path, capsys):
    def path(name):
        return str(tmp_path / name)

    assert run(["scales", str(states_dir), "--out", path("s.json"), "--n-votes", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "scales"
    assert run(["scales", str(states_dir), "--out", path("s.json"), "--method", "0-1|2-4|5-6"]) == 0
    assert "local 0-1 | intermediate 2-4 | global 5-6" in capsys.readouterr().out
    assert run(["fit", str(states_dir), "--scales", path("s.json"), "--out", path("a")]) == 0
    assert "120 samples" in capsys.readouterr().out
    arguments = ["evaluate", path("a"), str(states_dir), "--metric", "r2", "--out", path("e.json"), "--json"]
    assert run(arguments) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert all(row["split"] == "test" for row in rows)
    assert run(["evaluate", path("a"), str(states_dir), "--metric", "r2"]) == 0
    assert "95 % interval" in capsys.readouterr().out


def test_moments_are_fitted_and_scored_by_the_same_commands(tmp_path, capsys):
    from msma.scale_moments import MomentsBuilder
    from msma.scales import ScalePartition
    from msma.shards import Origin

    rng = np.random.default_rng(0)
    z = rng.normal(size=(400, 6))
    scales = np.stack([z + 0.1 * rng.normal(size=z.shape) for _ in range(3)]).astype(np.float32)
    origin = Origin(model="arrays", n_layers=3, d_model=6, scales="0-1|2-3|4", reduction="mean")
    builder = MomentsBuilder(origin, ScalePartition.parse("0-1|2-3|4", n_layers=5), sketch_width=0)
    builder.add(scales, texts=[f"t {i}" for i in range(400)], documents=[str(i) for i in range(400)])
    folder, out = str(builder.build().save(tmp_path / "moments")), str(tmp_path / "a")
    assert run(["fit", folder, "--out", out]) == 0
    assert "on the moments of" in capsys.readouterr().out
    assert run(["evaluate", out, folder, "--metric", "r2", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["split"] for row in rows} == {"test"}
    assert max(row["value"] for row in rows) > 0.9
    assert run(["certify", out, folder]) == 0
    assert "certificate" in capsys.readouterr().out
    assert run(["fit", folder, "--out", out, "--map", "joint"]) == 2
    assert "moments" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyze", "demo", "absent.txt"], "absent.txt"),
        (["analyze"], "setting 'model' is missing"),
        (["analyze", "demo", "demo", "--fractions", "a,b"], "three numbers"),
        (["analyze", "demo", "demo", "--fractions", "0.5,0.5,0.5"], "add up to 1"),
        (["analyze", "demo", "demo", "--config", "absent.toml"], "absent.toml"),
        (["analyze", "demo", "demo", "--max-documents", "0"], "positive whole number"),
        (["analyze", "demo", "demo", "--workers", "2"], "'processes' or 'ray'"),
        (["analyze", "demo", "demo", "--engine", "processes", "--workers", "0"], "workers 0 came"),
        (["analyze", "demo", "demo", "--address", "auto"], "only 'ray' has one"),
        (["analyze", "demo", "demo", "--on", "cuda:0", "--on", "cuda:1"], "say 'processes'"),
        (["analyze", "demo", "demo", "--max-disk", "1 kB"], "max_disk is 1 kB"),
        (["analyze", "demo", "demo", "--max-memory", "lots"], "'lots'"),
        (["extract", "absent-folder/model", "demo"], "absent-folder/model"),
        (["extract", "demo", "demo", "--max-disk", "1 kB"], "max_disk is 1 kB"),
        (["extract", "demo", "demo", "--max-disk", "lots"], "'lots'"),
        (["extract", "demo", "demo", "--workers", "2"], "'processes' or 'ray'"),
        (
            ["extract", "demo", "demo", "--store", "scales", "--scales", "0-2|3-8|9-12"],
            "scales of 13 layer entries",
        ),
        (["merge", "absent-folder"], "1 folder came"),
        (["merge", "absent-folder", "another"], "absent-folder"),
        (["scales", "absent"], "absent"),
        (["fit", "absent", "--map", "magic"], "expected one of identity"),
        (["evaluate", "absent", "absent"], "absent"),
        (["certify", "absent", "absent"], "absent"),
        (["ablate", "absent"], "absent"),
        (["tune", "absent"], "absent"),
        (["intervene", "absent-folder/model", "demo"], "absent-folder/model"),
        (["analyze", "demo", "demo", "--map", "magic"], "expected one of identity"),
        (["analyze", "demo", "demo", "--map", "joint", "--joint", "widht=3"], "did you mean 'width'"),
        (["report", "absent"], "absent"),
    ],
)
def test_mistakes_end_in_one_red_line_and_code_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ablate", "--seeds", "a,b"], "whole numbers"),
        (["ablate", "--arm", "half"], "expected some of full"),
        (["tune", "--n-trials", "0"], "at least 2 trials"),
    ],
)
def test_mistakes_with_states_at_hand(arguments, message, states_dir, tmp_path, capsys):
    scales = str(tmp_path / "s.json")
    assert run(["scales", str(states_dir), "--out", scales, "--method", "0-1|2-4|5-6"]) == 0
    capsys.readouterr()
    command, *rest = arguments
    folder = ["--out", str(tmp_path / "out")]
    assert run([command, str(states_dir), "--scales", scales, *folder, *rest]) == 2
    assert message in capsys.readouterr().err


def test_a_config_file_is_read_and_typed_options_win(tmp_path, monkeypatch, capsys):
    seen = {}

    class Spy:
        def __init__(self, config, folder, *, say, **where):
            seen.update(where, config=config)
            raise KeyboardInterrupt

    monkeypatch.setattr("msma.study.Study", Spy)
    (tmp_path / "c.toml").write_text(
        'model = "m"\ntexts = "t.txt"\nseed = 7\nunit = "token"\nmaps = ["ridge"]\n'
    )
    assert run(["analyze", "--config", str(tmp_path / "c.toml"), "--seed", "3"]) == 130
    assert seen["config"] == StudyConfig(model="m", texts="t.txt", seed=3, unit="token", maps=("ridge",))
    assert "goes on where this one stopped" in capsys.readouterr().err
    here = {"engine": "local", "workers": None, "address": None, "devices": None}
    assert {**here, "max_disk": None, "max_memory": None}.items() <= seen.items()
    elsewhere = ["--engine", "processes", "--workers", "3", "--on", "cuda:1", "--on", "cuda:2"]
    assert run(["analyze", "m", "t", *elsewhere, "--max-disk", "1 GB", "--max-memory", "2 GB"]) == 130
    assert (seen["engine"], seen["workers"], seen["devices"]) == ("processes", 3, ["cuda:1", "cuda:2"])
    assert (seen["max_disk"], seen["max_memory"]) == ("1 GB", "2 GB")
    assert run(["analyze", "m", "t", "--engine", "ray", "--address", "auto"]) == 130
    assert (seen["engine"], seen["address"]) == ("ray", "auto")


def test_a_study_that_is_run_to_explain_goes_where_it_is_told(tmp_path, monkeypatch):
    seen = []

    class Spy(Study):
        def run(self):
            seen.append((self.config.device, self.config.seed))
            raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("msma.study.Study", Spy)
    assert run(["explain", "some-model", "The sea.", "--device", "cpu"]) == 130
    assert run(["explain", "some-model", "The sea."]) == 130  # goes on where it was begun
    assert run(["explain", "another-model", "The sea."]) == 130
    assert seen == [("cpu", 0), ("cpu", 0), ("auto", 0)]


def test_unknown_setting_names_the_nearest(tmp_path, capsys):
    (tmp_path / "c.toml").write_text('model = "m"\ntexts = "t"\nunitt = "token"\n')
    assert run(["analyze", "--config", str(tmp_path / "c.toml")]) == 2
    assert "did you mean 'unit'?" in capsys.readouterr().err
    (tmp_path / "c.toml").write_text("model = \n")
    assert run(["analyze", "--config", str(tmp_path / "c.toml")]) == 2
    assert "not valid TOML" in capsys.readouterr().err


def test_version_and_wrong_options(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("msma ")
    assert run(["analyze", "--nonsense"]) == 2
