"""`msma replicate`: from a model and a file to tables, numbers and a figure."""

import json

import pytest
import typer
from typer.testing import CliRunner

from joint_inputs import LABELS, build, make_documents
from msma.cli.replicating import _arms, _heads, register
from msma.errors import ConfigError, ModelError
from msma.replication.quirks import PUBLISHED


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    network, tokenizer = build("bert")
    network.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    with (folder / "texts.jsonl").open("w") as lines:
        for document in make_documents(60):
            who = document.sentence_labels[0]["who"]
            lines.write(json.dumps({"text": document.text, "who": who, **document.labels}) + "\n")
    return folder


def invoke(folder, *options):
    app = typer.Typer()
    register(app)
    app.command()(lambda: None)  # with a second command, the first keeps its name
    labels = ",".join(f"{scale}={column}" for scale, column in LABELS.items())
    arguments = ["replicate", str(folder / "model"), str(folder / "texts.jsonl"), "--labels", labels]
    settings = [
        "--epochs",
        "1",
        "--batch-size",
        "16",
        "--micro-batch",
        "8",
        "--max-tokens",
        "12",
        "--seeds",
        "0",
    ]
    return CliRunner().invoke(
        app, [*arguments, *settings, *options], catch_exceptions=False, env={"COLUMNS": "120"}
    )


@pytest.mark.slow
def test_tables_numbers_and_figure(inputs, tmp_path):
    found = invoke(inputs, "--arm", "baseline,only_geo", "--out", str(tmp_path))
    assert found.exit_code == 0
    for words in ("global → intermediate, no map", "kl_diagonal", "only_geo", "Due to alignment (only_geo"):
        assert words in found.output
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {row["map"] for row in rows} >= {"before: none", "only_geo: trained", "baseline"}
    assert (tmp_path / "replication.svg").is_file()
    again = invoke(inputs, "--arm", "baseline", "--arm", "only_geo", "--out", str(tmp_path), "--json")
    assert json.loads(again.output)["rows"] == rows


@pytest.mark.slow
def test_as_published_keeps_the_quirks(inputs, tmp_path):
    invoke(inputs, "--arm", "only_info", "--as-published", "--out", str(tmp_path), "--json")
    config = json.loads((tmp_path / "settings.json").read_text())["config"]
    assert {name for name, is_on in config["quirks"].items() if is_on} == set(PUBLISHED)


def test_one_quirk_is_kept_alone(inputs, tmp_path):
    invoke(inputs, "--arm", "only_geo", "--quirk", "undivided_geometry", "--out", str(tmp_path), "--json")
    config = json.loads((tmp_path / "settings.json").read_text())["config"]
    assert [name for name, is_on in config["quirks"].items() if is_on] == ["undivided_geometry"]


def test_an_unknown_quirk_is_refused(inputs, tmp_path):
    with pytest.raises(ConfigError, match="quirk 'collapse' came; expected one of"):
        invoke(inputs, "--quirk", "collapse", "--out", str(tmp_path))


def test_the_model_is_loaded_as_asked(inputs, tmp_path, monkeypatch):
    asked = {}

    def spy(model, **options):
        asked.update(options)
        raise ModelError("enough")

    with monkeypatch.context() as patch:
        patch.setattr("msma.models.load_with_head", spy)
        with pytest.raises(ModelError, match="enough"):
            invoke(inputs, "--revision", "old", "--trust-remote-code", "--device", "cpu")
    assert {"revision": "old", "trust_remote_code": True, "device": "cpu"}.items() <= asked.items()
    with pytest.raises(ModelError, match="revision 'old' came for the folder"):
        invoke(inputs, "--revision", "old", "--out", str(tmp_path))


def test_arms_and_labels_are_read():
    assert _arms(["full, no_geo", "baseline"]) == ("full", "no_geo", "baseline")
    assert _arms(None) == ("baseline", "full")
    assert _heads("local=tense, global=topic") == {"local": "tense", "global": "topic"}


@pytest.mark.parametrize("given", ["tense", "local=", "local=a,b"])
def test_labels_without_a_scale_are_refused(given):
    with pytest.raises(ConfigError, match="expected scale=column"):
        _heads(given)
