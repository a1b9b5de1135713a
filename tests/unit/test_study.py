"""A whole study from a folder with a model and a file of texts; stopped halfway, it goes on."""

import json
from dataclasses import replace
from functools import partial

import pytest

from msma.cli import run
from msma.configuration import StudyConfig
from msma.errors import ConfigError, MissingExtraError, StorageError
from msma.extraction import extract
from msma.extraction.pooling import pool_rows
from msma.results import Result
from msma.states import HiddenStates
from msma.study import Study, demo_model
from study_inputs import save_model, write_texts


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    save_model("bert", folder / "model")
    return folder / "model", write_texts(folder / "texts.jsonl")


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory):
    model, texts = inputs
    out = tmp_path_factory.mktemp("study") / "out"
    command = ["analyze", str(model), str(texts), "--column", "text", "--id-column", "id"]
    command += ["--label-column", "topic", "--n-votes", "10", "--out", str(out)]
    assert run(command) == 0
    return out, command


def test_the_folder_holds_what_was_promised(finished):
    out, _ = finished
    for name in ("settings.json", "scales.json", "study.json", "results.json", "results.csv", "report.html"):
        assert (out / name).is_file(), name
    assert {p.stem for p in (out / "tables").iterdir()} == {
        "scales",
        "manifold",
        "maps",
        "probes",
        "evaluation",
        "certificate",
    }
    assert list((out / "figures").glob("*.png"))
    assert list((out / "figures").glob("*.svg"))
    assert list((out / "figures").glob("*.pdf"))
    assert "n = " in (out / "figures" / "captions.md").read_text(encoding="utf-8")
    rows = json.loads((out / "results.json").read_text())["rows"]
    keys = [
        "metric",
        "value",
        "low",
        "high",
        "null",
        "floor",
        "units",
        "better",
        "source",
        "target",
        "layer",
        "split",
    ]
    assert list(rows[0])[:12] == keys
    header = (out / "results.csv").read_text().splitlines()[0]
    assert header.startswith(",".join(keys))


def test_every_shown_score_is_from_held_out_texts(finished):
    out, _ = finished
    for name in ("manifold", "probes", "evaluation"):
        assert {row.split for row in Result.load(out / "tables" / f"{name}.json")} == {"test"}


def test_probes_find_what_the_words_tell(finished):
    out, _ = finished
    probes = Result.load(out / "tables" / "probes.json")
    assert probes.value("probe_topic", target="local") > 0.9
    assert abs(probes.row("probe_topic", target="local").null - 0.5) < 0.3


@pytest.mark.slow
def test_the_same_command_again_changes_nothing(finished, capsys):
    out, command = finished
    before = {
        p: p.stat().st_mtime_ns
        for p in out.rglob("*")
        if p.is_file() and p.suffix in (".json", ".safetensors")
    }
    assert run(command) == 0
    after = {p: p.stat().st_mtime_ns for p in before}
    assert before == after


def test_states_put_there_beforehand_must_be_those_of_the_study(finished, tmp_path, capsys):
    out, command = finished
    index = command.index("--out") + 1
    for name, change in (
        ("unit", {"unit": "sentence"}),
        ("model", {"model": "another"}),
        ("scales", {"scales": "0|1|2"}),
    ):
        folder = tmp_path / name
        states = HiddenStates.load(out / "states")
        origin = replace(states.origin, **change)
        if name == "scales":
            origin = replace(origin, n_layers=3)
            HiddenStates.from_arrays(states.layers([0, 1, 2]), origin=origin).save(folder / "states")
        else:
            HiddenStates.from_arrays(states.layers(range(states.n_layers)), origin=origin).save(
                folder / "states"
            )
        assert run([*command[:index], str(folder), *command[index + 1 :]]) == 2
        assert name in capsys.readouterr().err


def test_other_settings_in_the_same_folder_are_refused(finished, capsys):
    _, command = finished
    assert run([*command, "--seed", "5"]) == 2
    error = capsys.readouterr().err
    assert "seed = 0" in error
    assert "choose another folder" in error


def test_a_name_mistyped_first_does_not_spoil_the_folder(inputs, tmp_path, capsys):
    model, texts = inputs
    out = tmp_path / "out"
    assert run(["analyze", f"{model}l", str(texts), "--out", str(out)]) == 2
    assert "does not exist" in capsys.readouterr().err
    Study(StudyConfig(model=str(model), texts=str(texts)), out)
    assert json.loads((out / "settings.json").read_text())["model"] == str(model)


def test_settings_with_nothing_beside_them_give_way(inputs, tmp_path):
    model, texts = inputs
    config = StudyConfig(model=str(model), texts=str(texts))
    Study(config, tmp_path)  # as if killed before anything was written
    Study(replace(config, seed=1), tmp_path)
    assert json.loads((tmp_path / "settings.json").read_text())["seed"] == 1
    (tmp_path / "scales.json").write_text("{}")
    with pytest.raises(StorageError, match="seed = 1, and this one has 0"):
        Study(config, tmp_path)


@pytest.mark.slow
def test_the_report_can_be_written_again(finished, capsys):
    out, _ = finished
    (out / "report.html").unlink()
    assert run(["report", str(out)]) == 0
    assert (out / "report.html").is_file()


@pytest.mark.parametrize(
    "broken",
    [
        "study.evaluate",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "choosing.find_scales",
                "study.compare_maps",
                "study.describe_manifold",
                "study.make_clouds",
            )
        ),
    ],
)
def test_interrupted_anywhere_it_resumes_to_the_same_numbers(finished, inputs, tmp_path, monkeypatch, broken):
    model, texts = inputs
    config = StudyConfig(
        model=str(model),
        texts=str(texts),
        column="text",
        id_column="id",
        label_columns=("topic",),
        n_votes=10,
    )

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"msma.study.{broken}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Study(config, tmp_path / "out").run()
    assert not (tmp_path / "out" / "study.json").exists()
    Study(config, tmp_path / "out").run()
    whole, again = (Result.load(out / "results.json") for out in (finished[0], tmp_path / "out"))
    assert whole.rows == again.rows


def test_where_states_are_read_is_handed_on(inputs, tmp_path, monkeypatch):
    model, texts = inputs
    config = StudyConfig(model=str(model), texts=str(texts), column="text")
    seen = {}
    monkeypatch.setattr("msma.study.reading.extract", lambda *_, **options: seen.update(options))
    where = {"engine": "ray", "workers": 3, "address": "auto", "devices": ("cuda:1",)}
    limits = {"max_disk": "1 GB", "max_memory": 10**9}
    assert Study(config, tmp_path / "out", **where, **limits).states is None
    assert {**where, **limits}.items() <= seen.items()
    assert Study(config, tmp_path / "out").states is None  # no other study for being read elsewhere
    assert (seen["engine"], seen["workers"]) == ("local", None)


@pytest.mark.slow
def test_states_begun_here_and_ended_by_two_processes_are_the_same_bytes(inputs, tmp_path, monkeypatch):
    model, texts = inputs
    config = StudyConfig(model=str(model), texts=str(texts), column="text", attention_texts=20)
    monkeypatch.setattr("msma.study.reading.extract", partial(extract, window=20))

    def read(name, **where):
        folder = Study(config, tmp_path / name, **where).states and tmp_path / name / "states"
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".safetensors"}

    alone = read("alone")
    assert len(alone) > 160 / 20  # one a window, and the attention
    passed = []

    def interrupted(*args, **kwargs):
        passed.append(True)
        if len(passed) == 4:
            raise KeyboardInterrupt
        return pool_rows(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("msma.extraction.work.pool_rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read("shared")
    said = []
    assert read("shared", engine="processes", workers=2, say=said.append) == alone
    assert any("shards were there already" in words for words in said)
    with pytest.raises(ConfigError, match="2 workers came with engine 'local'"):
        read("refused", workers=2)


def test_states_keep_documents_and_labels(finished):
    states = HiddenStates.load(finished[0] / "states")
    assert len(set(states.document_ids)) == 160
    assert set(states.labels["topic"]) == {"first", "second"}
    train, validation, test = states.split()
    ids = [set(part.document_ids) for part in (train, validation, test)]
    assert not ids[0] & ids[1] | ids[0] & ids[2] | ids[1] & ids[2]


def test_scales_by_hand(inputs, tmp_path):
    model, texts = inputs
    config = StudyConfig(
        model=str(model),
        texts=str(texts),
        column="text",
        scales="0-1|2|3-4",
        attention_texts=0,
        maps=("ridge",),
    )
    study = Study(config, tmp_path / "out")
    assert str(study.partition) == "local 0-1 | intermediate 2 | global 3-4"
    assert study.best_map == "ridge"


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(StorageError, match="is a file"):
        Study(StudyConfig(model="m", texts="t"), tmp_path / "out")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"unit": "word"}, "expected one of text, sentence, token"),
        ({"max_tokens": 0}, "positive whole number"),
        ({"attention_texts": -1}, "0 or more"),
        ({"fractions": (0.5, 0.5, 0.0)}, "add up to 1"),
    ],
)
def test_impossible_settings(setting, message):
    with pytest.raises(ConfigError, match=message):
        StudyConfig(model="m", texts="t", **setting)


def test_the_demo_model_is_named_when_absent(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"msma\[demo\]"):
        demo_model()


def test_a_folder_has_no_revisions(inputs, tmp_path, capsys):
    model, texts = inputs
    command = ["analyze", str(model), str(texts), "--column", "text", "--revision", "v1"]
    assert run([*command, "--out", str(tmp_path / "out")]) == 2
    assert "a folder has no revisions" in " ".join(capsys.readouterr().err.split())


def test_labels_of_sentences_reach_the_states(inputs):
    from itertools import islice

    from msma.corpora import demo_corpus
    from msma.extraction import extract

    documents = list(islice(demo_corpus(), 4))
    states = extract(str(inputs[0]), documents, unit="sentence", max_tokens=60, attention_texts=0)
    assert set(states.labels) == {"topic", "mode", "tense", "number", "negated", "question"}
    truth = {
        (document.id, text): labels["tense"]
        for document in documents
        for text, labels in zip(document.sentence_texts, document.sentence_labels, strict=True)
    }
    found = zip(states.document_ids, states.texts, states.labels["tense"], strict=True)
    assert all(truth[identity, text] == tense for identity, text, tense in found)
    assert set(extract(str(inputs[0]), documents, attention_texts=0).labels) == {"topic", "mode"}
