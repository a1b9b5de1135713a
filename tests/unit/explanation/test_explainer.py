"""From a finished study and a text to an explanation, in Python and on the command line."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import msma
from explained_study import make_study
from msma.cli import run
from msma.errors import ConfigError, CorpusError, OriginError, StorageError
from msma.explanation.attribution import attribute
from msma.explanation.coordinates import make_coordinate
from msma.explanation.shelf import Shelf
from msma.reporting import write_explanation
from study_inputs import save_model

TEXT = "The river rose in spring, and every boat was under the bridge. The old man slept."


@pytest.fixture(scope="module")
def explainer(decoder_study):
    return msma.Explainer.open(decoder_study.folder)


@pytest.fixture(scope="module")
def found(explainer):
    return explainer.explain(TEXT, n_draws=19)


def test_every_part_is_there_once_for_each_scale(explainer, found):
    assert [place.scale for place in found.places] == ["local", "intermediate", "global"]
    assert [(a.method, a.scale) for a in found.attributions] == [
        (method, scale)
        for method in ("occlusion", "gradient")
        for scale in ("local", "intermediate", "global")
    ]
    assert {item.pair for item in found.departures} == {("global", "intermediate"), ("global", "local")}
    assert ("global", "intermediate", "local") in {item.path for item in found.decodings}
    for item in found.attributions:
        assert len(item.scores) == len(found.tokens)
    for item in found.departures:
        assert len(item.sentence_scores) == len(item.sentence_p_values) == len(found.sentences) == 2
        assert len(item.token_scores) == len(item.token_p_values) == len(found.tokens)
    assert found.text == TEXT
    assert found.provenance["scales"] == explainer.partition.written


def test_the_same_text_is_explained_the_same_way(explainer, found):
    again = explainer.explain(TEXT, n_draws=19)
    for name in ("places", "attributions", "decodings", "departures"):
        assert getattr(again, name) == getattr(found, name)


def test_the_check_in_a_second_call_gives_the_numbers_of_one(explainer, found):
    begun = explainer.begin(TEXT, n_draws=19)
    first = begun.explanation
    for one, whole in zip(first.attributions, found.attributions, strict=True):
        assert (one.comprehensiveness, one.random, one.p_value) == (None, None, None)
        assert (one.scale, one.method, one.scores) == (whole.scale, whole.method, whole.scores)
    checked = begun.check()
    for name in ("text", "places", "attributions", "decodings", "departures"):
        assert getattr(checked, name) == getattr(found, name)
    assert begun.check() == checked  # what was read is not read again
    made = {"created"}
    assert {k: v for k, v in checked.provenance.items() if k not in made} == {
        k: v for k, v in found.provenance.items() if k not in made
    }


def test_the_check_draws_with_the_seed_that_provenance_names(explainer, found):
    reading = explainer.reader.read(TEXT)
    own = make_coordinate(explainer.corpus, "own", reading)
    assert found.provenance["seed"] == 0
    assert attribute(explainer.reader, reading, own, n_draws=19, seed=0) == found.attributions
    other = attribute(explainer.reader, reading, own, n_draws=19, seed=1)
    assert [item.random for item in other] != [item.random for item in found.attributions]


def test_an_unchecked_explanation_says_that_it_is_one(explainer, tmp_path):
    first = explainer.begin(TEXT, methods=("occlusion",)).explanation
    assert first.describe().count("whether these tokens matter has not been checked") == 3
    assert "the scores are not shown" not in first.describe()
    rows = first.to_result().where(metric="comprehensiveness").rows
    assert [(row.value, row.null, row.note) for row in rows] == [
        (None, None, "the scores have not been checked")
    ] * 3
    assert msma.Explanation.load(first.save(tmp_path / "first.json")) == first
    page = write_explanation(first, tmp_path / "first.html").read_text()
    assert page.count("Whether these tokens matter has not been checked.") == 3


def test_a_check_gives_way_before_each_batch_and_can_be_ended(explainer, found):
    begun, calls = explainer.begin(TEXT, n_draws=19), []

    def interrupt():
        calls.append(1)
        if len(calls) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        begun.check(give_way=interrupt)
    assert len(calls) == 2
    assert begun.check(give_way=lambda: calls.append(1)).attributions == found.attributions
    assert len(calls) > 4


def test_it_is_kept_as_it_was(found, tmp_path):
    assert msma.Explanation.load(found.save(tmp_path / "found.json")) == found


def test_what_took_long_is_kept_in_the_folder_of_the_study(explainer, found, decoder_study, monkeypatch):
    kept = {path.name for path in (decoder_study.folder / "explanation").iterdir()}
    assert {"sentences.safetensors", "departures.safetensors"} <= kept
    again = msma.Explainer.open(decoder_study.folder)
    assert again.explain(TEXT, n_draws=19).places == found.places


def test_a_study_that_was_run_is_as_good_as_its_folder(decoder_study, found):
    again = msma.explain(decoder_study, TEXT, n_draws=19)
    assert again.attributions == found.attributions


def test_directions_are_those_of_the_labels_and_components(explainer):
    assert explainer.directions[0] == "own"
    assert {"component 1", "topic=first", "topic=second"} <= set(explainer.directions)
    one = explainer.explain(
        "snow rain river hill.", direction="topic=first", methods=("occlusion",), n_draws=9
    )
    two = explainer.explain(
        "snow rain river hill.", direction="topic=second", methods=("occlusion",), n_draws=9
    )
    assert {a.direction for a in one.attributions} == {"topic=first"}
    for up, down in zip(one.attributions, two.attributions, strict=True):
        assert up.coordinate == pytest.approx(-down.coordinate, abs=1e-6)  # there are only two topics
        assert np.allclose(up.scores, -np.array(down.scores), atol=1e-6)


def test_the_gradient_needs_blocks(explainer, monkeypatch):
    assert explainer.methods == ("occlusion", "gradient")
    monkeypatch.setattr(explainer.reader, "stack", replace(explainer.reader.stack, blocks=()))
    assert explainer.methods == ("occlusion",)
    assert explainer.stack == "decoder"


def test_texts_to_pick_from_are_held_out(explainer):
    test = set(explainer.corpus.splits.test.texts)
    assert explainer.corpus_texts
    assert set(explainer.corpus_texts) <= test


def test_a_study_of_sentences_is_explained_by_whole_texts(sentence_study):
    explainer = msma.Explainer.open(sentence_study.folder)
    found = explainer.explain(TEXT, methods=("gradient",), n_draws=9)
    assert len(found.sentences) == 2
    assert len(Shelf.of_texts(explainer.corpus).texts) == len(set(explainer.corpus.states.document_ids))


@pytest.mark.parametrize(
    ("text", "options", "error", "words"),
    [
        ("", {}, CorpusError, "has no token"),
        (TEXT, {"direction": "topic=firsst"}, ConfigError, "topic=first"),
        (TEXT, {"methods": ("saliency",)}, ConfigError, "method 'saliency' came; expected some of occlusion"),
        (TEXT, {"n_draws": 0}, ConfigError, "0"),
    ],
)
def test_what_cannot_be_explained_is_refused(explainer, text, options, error, words):
    with pytest.raises(error, match=words):
        explainer.explain(text, **options)
    with pytest.raises(error, match=words):
        explainer.begin(text, **options)


def test_another_model_than_the_study_s_is_refused(decoder_study, tmp_path):
    save_model("llama", tmp_path / "other")
    with pytest.raises(OriginError, match="whose weights differ"):
        msma.Explainer.open(decoder_study.folder, model=tmp_path / "other")


def test_no_study_is_refused(tmp_path):
    with pytest.raises(StorageError, match="no finished study"):
        msma.explain(tmp_path, TEXT)


def test_a_folder_that_cannot_be_written_is_no_hindrance(decoder_study, tmp_path, monkeypatch):
    home = tmp_path / "study"
    shutil.copytree(decoder_study.folder, home, ignore=shutil.ignore_patterns("explanation"))
    monkeypatch.setattr("msma.explanation.explainer.os.access", lambda *_: False)
    assert msma.explain(home, "Snow fell.", n_draws=9).tokens
    assert not (home / "explanation").exists()


def test_the_command_writes_page_figure_and_record(decoder_study, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["explain", str(decoder_study.folder), TEXT, "--n-draws", "9", "--out", str(out)]
    assert run(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("At the global scale the text is", "occlusion, along own", "explanation.html"):
        assert words in printed
    written = {path.name for path in out.iterdir()}
    assert written >= {
        "explanation.json",
        "explanation.html",
        "results.json",
        "tokens.svg",
        "tokens.pdf",
        "tokens.png",
    }


def test_the_command_speaks_json_and_reads_files(decoder_study, tmp_path, capsys):
    (tmp_path / "text.txt").write_text(TEXT)
    command = [
        "explain",
        str(decoder_study.folder),
        "--file",
        str(tmp_path / "text.txt"),
        "--n-draws",
        "9",
        "--json",
    ]
    assert run([*command, "--methods", "gradient"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {row["map"] for row in content["rows"] if row["metric"] == "comprehensiveness"} == {"gradient"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no text came"),
        (["a text", "--file", "x.txt"], "a text and a file came"),
        (["--file", "absent.txt"], "could not read"),
        (["some text", "--direction", "sideways"], "sideways"),
    ],
)
def test_mistakes_end_in_one_line(decoder_study, arguments, words, capsys):
    assert run(["explain", str(decoder_study.folder), *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_an_unfinished_study_is_said_to_be_one(tmp_path, capsys):
    (tmp_path / "settings.json").write_text("{}")
    assert run(["explain", str(tmp_path), TEXT]) == 2
    assert "holds no finished study" in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_gets_its_study_first_and_keeps_it(tmp_path, monkeypatch, capsys):
    study = make_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    command = [
        "explain",
        str(tmp_path / "model"),
        TEXT,
        "--corpus",
        str(tmp_path / "texts.jsonl"),
        "--n-draws",
        "9",
    ]
    assert study.folder.exists()
    assert run([*command, "--methods", "gradient"]) == 0
    assert "taken for a model" in " ".join(capsys.readouterr().out.split())
    assert len(list((tmp_path / "msma-explain").glob("*/study.json"))) == 1
