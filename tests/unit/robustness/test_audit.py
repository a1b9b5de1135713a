"""The whole audit on a small model: pieces, resuming, its own file, the command, every mistake."""

import json
import re

import numpy as np
import pytest
from transformers import AutoModel

from msma.cli import run
from msma.corpora import Document
from msma.detection import TextDetector
from msma.errors import ConfigError, CorpusError, OriginError, ScaleError, StorageError
from msma.perturbations import CharacterSwap, WordOrder
from msma.robustness import RobustnessAudit, audit_robustness
from msma.scales import ScalePartition
from study_inputs import save_model
from tiny import WORDS

SETTINGS = {
    "perturbations": (CharacterSwap(0.5), WordOrder(1.0, mode="shuffle")),
    "partition": ScalePartition.thirds(5),
    "foreign": {"letters": ["x y z"] * 10},
    "label": "odd",
    "unit": "text",
}


def some_documents(n=160, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        words = [*rng.choice(WORDS[:20] if i % 2 else WORDS[20:40], 5), *rng.choice(WORDS[40:60], 4)]
        rows.append(Document(" ".join(rng.permutation(words)), f"d{i}", labels={"odd": i % 2}))
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("model") / "gpt2"
    save_model("gpt2", place)
    return place


@pytest.fixture(scope="module")
def audit(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("audit") / "robustness"
    return audit_robustness(str(folder), some_documents(), out=out, **SETTINGS), out


def test_every_piece_is_there(audit):
    found, out = audit
    assert {path.name for path in out.iterdir()} >= {
        "settings.json",
        "scales.json",
        "perturbations.json",
        "displacement.json",
        "detection.json",
        "probes.json",
        "gates.json",
        "detector.safetensors",
        "results.json",
        "robustness.json",
    }
    splits = {row.split for row in found.detection.where(metric="auroc")}
    assert splits == {"swap 0.5", "shuffle 1", "letters"}
    assert {row.map for row in found.displacement} == {"swap 0.5", "shuffle 1"}
    names = {row.map for row in found.detection.where(metric="auroc")}
    assert {"residuals", "rarity", "neighbours", "surprise", "mahalanobis last"} <= names
    alarms = found.detection.where(metric="false_alarms")
    assert all(row.ceiling == 0.05 and (row.value or 0.0) < 0.35 for row in alarms)
    assert len(found.findings()) == 5


def test_what_the_tokenizer_does_not_see_is_not_ranked(folder):
    """The small tokenizer puts all in lower case: capitals move nothing, and detectors are not compared on rounding."""
    said = []
    found = audit_robustness(
        str(folder),
        some_documents(),
        **{**SETTINGS, "perturbations": "uppercase,swap", "label": None},
        say=said.append,
    )
    assert {row.split for row in found.detection.where(metric="auroc")} == {"swap 0.1", "swap 0.3", "letters"}
    assert found.displacement.value("displacement", map="uppercase 1", target="global", layer=None) == 0.0
    assert any("uppercase 1: the model sees the same tokens" in words for words in said)


def test_rarity_cannot_see_the_order_of_words(audit):
    row = audit[0].detection.row("auroc", split="shuffle 1", map="rarity")
    assert row.value == pytest.approx(0.5, abs=0.01)


def test_swapped_letters_are_unknown_words_and_rare(audit):
    assert audit[0].detection.value("auroc", split="swap 0.5", map="rarity") > 0.95


def test_an_audit_reads_its_own_file(audit):
    found, out = audit
    again = RobustnessAudit.load(out)
    assert again.findings() == found.findings()
    assert again.detection.rows == found.detection.rows
    assert again.describe().endswith(found.describe().rsplit("\n", 1)[1])


def test_a_second_run_reads_what_is_there(audit, folder, monkeypatch):
    found, out = audit

    def fail(*args, **kwargs):
        raise AssertionError("this was done before")

    monkeypatch.setattr("msma.robustness.work.extract", fail)
    again = audit_robustness(str(folder), some_documents(), out=out, **SETTINGS)
    assert again.findings() == found.findings()


def test_other_texts_in_the_same_folder_are_refused(audit, folder):
    with pytest.raises(StorageError, match="an audit with texts"):
        audit_robustness(str(folder), some_documents(seed=1), out=audit[1], **SETTINGS)


def test_the_detector_loads_in_another_session_and_not_onto_another_model(audit, folder, tmp_path):
    detector = TextDetector.load(audit[1] / "detector.safetensors", str(folder))
    assert detector.p_values(["the river rose in spring"]).shape == (1,)
    other = tmp_path / "other"
    save_model("gpt2", other)
    network = AutoModel.from_pretrained(other)
    network.wte.weight.data += 0.5
    network.save_pretrained(other)
    with pytest.raises(OriginError):
        TextDetector.load(audit[1] / "detector.safetensors", str(other))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"unit": "word"}, ConfigError, "expected sentence or text"),
        ({"label": "topic"}, CorpusError, "no text carries label 'topic'"),
        ({"partition": ScalePartition.thirds(7)}, ScaleError, "7 layer entries came for a model of 5"),
        ({"alpha": 0.001}, ConfigError, "0.001"),
    ],
)
def test_mistakes_are_told(folder, changes, error, message):
    with pytest.raises(error, match=message):
        audit_robustness(str(folder), some_documents(), **{**SETTINGS, **changes})


def write_texts(path, n=160):
    rows = [{"text": d.text, "odd": "yes" if d.labels["odd"] else "no"} for d in some_documents(n)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


@pytest.mark.slow
def test_the_command_runs_and_prints_tables(folder, tmp_path, capsys):
    texts = write_texts(tmp_path / "texts.jsonl")
    arguments = [
        *("robustness", str(folder), str(texts), "--labels", "odd", "--perturbations", "swap,shuffle"),
        *("--strengths", "0.5", "--unit", "text", "--partition", "thirds", "--out", str(tmp_path / "out")),
        *("--detector-out", str(tmp_path / "detector.safetensors")),
    ]
    assert run(arguments) == 0
    printed = capsys.readouterr().out
    assert re.search(r"swap 0\.5 +0\.\d\d +0\.\d\d +0\.\d\d", printed)
    assert "AUROC" in printed
    assert (tmp_path / "detector.safetensors").is_file()
    names = {p.name for p in (tmp_path / "out" / "figures").iterdir()}
    assert {
        "displacement-swap.svg",
        "displacement-shuffle.png",
        "detection.svg",
        "probes.svg",
        "coverage.png",
    } <= names
    assert (tmp_path / "out" / "results.csv").read_text().startswith("metric,")
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "robustness"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--perturbations", "magic"], "magic"),
        (["--strengths", "a"], "strengths"),
        (["--labels", "topic"], "topic"),
        (["--foreign", "german"], "expected NAME=FILE"),
        (["--misspellings", "absent.txt"], "absent.txt"),
        (["--partition", "0-2|3-4|5-9"], "layer"),
        (["--unit", "word"], "sentence or text"),
    ],
)
def test_the_command_tells_mistakes_in_one_line(folder, tmp_path, capsys, arguments, message):
    texts = write_texts(tmp_path / "texts.jsonl")
    out = ["--out", str(tmp_path / "out")]
    assert run(["robustness", str(folder), str(texts), *out, *arguments]) == 2
    told = capsys.readouterr()
    assert message in told.err + told.out
    assert "Traceback" not in told.err + told.out
