"""An audit finds what was planted, writes each piece once, reads it back, and refuses what does not fit."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text

from language import FAMILIES
from msma.bias import (
    CAUTIONS,
    AssociationTest,
    BiasAudit,
    CrowsPair,
    StereoItem,
    WinoPair,
    audit_bias,
    gender_pairs,
)
from msma.bias import audit as audit_module
from msma.errors import ConfigError, CorpusError, ModelError, ScaleError, StorageError
from msma.models import LoadedModel
from msma.scales import ScalePartition
from planted_bias import FIRST, PARTITION, SECOND, planted_bias, planted_documents, planted_pairs
from tiny import make_tokenizer

FRAMES = {"word": ("the {word} .", "no {word} and {word} .", "every {word} was old .")}
TESTS = (
    AssociationTest(
        "sides", tuple(FIRST[:6]), tuple(SECOND[:6]), tuple(FIRST[6:]), tuple(SECOND[6:]),
        names=("first", "second", "more of first", "more of second"), templates=FRAMES,
    ),
    AssociationTest(
        "nothing", ("garden", "water", "fire"), ("wind", "sea", "moon"), ("sun", "star"), ("day", "night"),
        templates=FRAMES,
    ),
)  # fmt: skip
CROWS = (
    CrowsPair("the woman slept .", "the river slept .", "stereo", "gender"),
    CrowsPair("the old man ran in winter", "the old hill ran in winter", "antistereo", "age"),
    CrowsPair("a dog heard every song", "a spring heard every song", "stereo", "age"),
)
STEREOSET = tuple(
    StereoItem(
        "intrasentence",
        target,
        "profession",
        "the BLANK heard a song .",
        *(f"the {w} heard a song ." for w in words),
    )
    for target, words in (
        ("man", ("man", "woman", "sea")),
        ("dog", ("dog", "bird", "letter")),
        ("child", ("child", "tree", "hour")),
    )
)
WINOBIAS = (
    WinoPair("the man heard the woman and she sang", "the man heard the woman and he sang", "type2", "man"),
    WinoPair("the woman saw the man and he ran", "the woman saw the man and she ran", "type2", "woman"),
)
DOCUMENTS = planted_documents(60)


def settings(**changes):
    return {
        "tests": TESTS,
        "pairs": planted_pairs(),
        "crows": CROWS,
        "stereoset": STEREOSET,
        "winobias": WINOBIAS,
        "erase": ("intermediate",),
        "methods": ("leace",),
        "strengths": (1.0,),
        "documents": DOCUMENTS,
        "partition": PARTITION,
        **changes,
    }


@pytest.fixture(scope="module")
def model():
    return planted_bias(strength=3.0)


@pytest.fixture(scope="module")
def made(model, tmp_path_factory):
    folder, said = tmp_path_factory.mktemp("audit"), []
    return audit_bias(model, out=folder, say=said.append, **settings()), folder, said


def assert_equal(one, other):
    assert one.model == other.model
    assert one.concept == other.concept
    assert one.partition == other.partition
    assert one.associations.rows == other.associations.rows
    assert one.location == other.location
    assert one.carried == other.carried
    assert one.to_result().rows == other.to_result().rows
    assert one.findings() == other.findings()
    assert one.prices.prices == other.prices.prices
    # Through JSON, since a folder's provenance has been there: tuples are lists.
    assert json.loads(json.dumps(one.provenance)) == json.loads(json.dumps(other.provenance))


def test_every_file_is_written(made):
    _, folder, said = made
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "settings.json", "scales.json", "associations.json", "location.json", "carried.json", "crows.json",
        "stereoset.json", "winobias.json", "prices.json", "eraser.safetensors", "results.json", "bias.json",
    }  # fmt: skip
    record = json.loads((folder / "bias.json").read_text())
    assert record["cautions"] == list(CAUTIONS)
    assert record["partition"] == {"n_layers": 7, "boundaries": [3, 5]}
    assert {"associations", "location", "carried", "crows", "stereoset", "winobias"} <= set(said)


def test_a_second_run_does_no_work_and_gives_the_same(made, model, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("this was there already")

    for name in ("associate", "locate_bias", "carried_bias", "crows_score", "stereoset_score", "winobias_score",
                 "price_erasure", "extract", "read_pairs_states", "find_scales"):  # fmt: skip
        monkeypatch.setattr(audit_module, name, refuse)
    first, folder, _ = made
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    said = []
    again = audit_bias(model, out=folder, say=said.append, **settings())
    assert_equal(again, first)
    assert all("found in" in words for words in said)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_missing_piece_alone_is_made_again(made, model, monkeypatch):
    first, folder, _ = made
    (folder / "carried.json").unlink()
    for name in ("associate", "locate_bias", "crows_score", "stereoset_score", "price_erasure"):
        monkeypatch.setattr(audit_module, name, None)
    assert_equal(audit_bias(model, out=folder, **settings()), first)
    assert (folder / "carried.json").is_file()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 1}, "seed = 0"),
        ({"strengths": (0.5,)}, "strengths"),
        ({"erase": ()}, "erase"),
        ({"crows": CROWS[:2]}, "crows = 3"),
        ({"partition": ScalePartition(n_layers=7, boundaries=(2, 5))}, "partition"),
        # As many, but others: numbers alone would not tell.
        ({"crows": (*CROWS[:2], CrowsPair("a bird sang", "a hill sang", "stereo", "age"))}, "content.crows"),
        ({"documents": planted_documents(60, seed=4)}, "content.documents"),
        ({"tests": (TESTS[0], replace(TESTS[1], targets_x=("garden", "water", "story")))}, "content.tests"),
        ({"pairs": planted_pairs().subset(np.random.default_rng(0).permutation(200))}, "content.pairs"),
        ({"winobias": WINOBIAS[::-1]}, "content.winobias"),
        ({"stereoset": STEREOSET[::-1]}, "content.stereoset"),
    ],
)
def test_a_folder_of_other_settings_is_refused(changes, told, made, model):
    _, folder, _ = made
    before = (folder / "settings.json").read_bytes()
    with pytest.raises(StorageError, match=f"holds an audit with {told}"):
        audit_bias(model, out=folder, **settings(**changes))
    assert (folder / "settings.json").read_bytes() == before


def test_a_folder_of_another_model_is_refused(made):
    _, folder, _ = made
    with pytest.raises(StorageError, match="fingerprint"):
        audit_bias(planted_bias(strength=3.0, seed=9), out=folder, **settings())


def test_loaded_it_is_the_same(made):
    first, folder, _ = made
    again = BiasAudit.load(folder)
    assert_equal(again, first)
    assert again.describe() == first.describe()
    assert again.crows.to_result() == first.crows.to_result()
    assert again.winobias.to_result() == first.winobias.to_result()
    assert again.stereoset.to_result() == first.stereoset.to_result()
    assert len(again.to_frame()) == len(first.to_result().rows)


def test_it_says_where_the_bias_is(made):
    first, _, _ = made
    said = first.findings()
    assert len(said) == 7
    associations, location, carried, crows, stereoset, winobias, prices = said
    assert "1 at the intermediate scale, 0 at the global scale" in associations
    assert (
        "the strongest is first/second, more of first/more of second at the intermediate scale"
        in associations
    )
    assert "0 at the local scale" in associations
    assert "100% at the intermediate scale (100% to 100%" in location
    assert "50% at the local scale" in location
    assert "50% at the global scale" in location
    assert "agree most on one direction at the intermediate scale (mean product 1.00)" in location
    assert carried == "The maps have no side to carry at one of the scales."
    assert crows.startswith("CrowS-Pairs: the more stereotyping sentence is likelier in ")
    assert stereoset.startswith("StereoSet: ")
    assert winobias.startswith("WinoBias: ")
    # The last layer entry shows nothing to begin with, so erasing where it is leaves nothing and costs nothing there.
    assert "take leace at the intermediate scale, strength 1" in prices
    assert "It costs +0.000 nats a token" in prices or "It costs -0.000 nats a token" in prices
    assert first.describe().endswith(CAUTIONS[0])


def test_all_rows_stand_in_one_table(made):
    first, folder, _ = made
    names = {row.metric for row in first.to_result().rows}
    assert {"association_sides", "association_nothing", "bias_probe", "bias_agreement", "carried_gain", "crows", "ss",
            "winobias", "readable_output_linear", "price_loss"} <= names  # fmt: skip
    written = json.loads((folder / "results.json").read_text())
    assert len(written["rows"]) == len(first.to_result().rows)
    assert first.provenance["model"] == "planted bias"
    assert first.provenance["documents"] == 60


def test_it_has_a_figure_of_the_layers(made):
    first, _, _ = made
    figure = first.plot().get_figure(root=True)
    said = " ".join(text.get_text() for text in figure.findobj(Text))
    assert all(scale in said for scale in ("local", "inter.", "global"))


def test_without_a_folder_nothing_is_written(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    found = audit_bias(
        model,
        say=said.append,
        **settings(crows=(), stereoset=(), winobias=(), erase=(), documents=planted_documents(30)),
    )
    assert list(tmp_path.iterdir()) == []
    assert (found.crows, found.stereoset, found.winobias, found.prices) == (None,) * 4
    assert len(found.findings()) == 3
    assert "associations" in said
    assert not any("found in" in words for words in said)


@pytest.mark.slow
def test_scales_are_found_where_none_are_given(tmp_path):
    bare = LoadedModel(FAMILIES["bert"].build(), make_tokenizer("both"), "bare", None)
    found = audit_bias(
        bare,
        out=tmp_path,
        **settings(crows=(), stereoset=(), winobias=(), erase=(), partition=None, tests=TESTS[1:]),
    )
    assert found.partition.n_layers == 5
    assert found.partition.method != "thirds"
    assert found.partition == ScalePartition.load(tmp_path / "scales.json")
    assert not (tmp_path / "prices.json").exists()


def test_a_partition_of_another_model_is_refused(model, tmp_path):
    with pytest.raises(ScaleError, match="5 layer entries came for a model of 7"):
        audit_bias(model, out=tmp_path, **settings(partition=ScalePartition.thirds(5)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("asked", ["crows", "stereoset", "winobias"])
def test_a_model_without_a_head_is_told_what_can_be_run(asked, tmp_path):
    bare = LoadedModel(FAMILIES["gpt2"].build(), make_tokenizer("none"), "bare", None)
    given = settings(crows=(), stereoset=(), winobias=(), partition=ScalePartition.thirds(5))
    given[asked] = settings()[asked]
    with pytest.raises(ModelError, match=r"no language-model head.*association tests and erasure"):
        audit_bias(bare, out=tmp_path, **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_model_without_a_head_is_audited_in_its_states(tmp_path):
    bare = LoadedModel(FAMILIES["bert"].build(), make_tokenizer("both"), "bare", None)
    given = settings(
        crows=(), stereoset=(), winobias=(), partition=ScalePartition.thirds(5), erase=("global",)
    )
    found = audit_bias(bare, out=tmp_path, **given)
    assert found.prices.recommended.scale == "global"
    assert found.prices.recommended.cost_units == "accuracy lost"
    rows = found.carried.where(source="global", target="intermediate")
    assert all(row.value is not None for row in rows)
    assert "Of side, the maps carry: from global to intermediate" in found.findings()[2]
    assert BiasAudit.load(tmp_path).findings() == found.findings()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"methods": ("magic",)}, ConfigError, "methods magic came"),
        ({"strengths": (2.0,)}, ConfigError, "strengths 2.0 came"),
        ({"erase": ("global", "middle")}, ConfigError, "scales global, middle came"),
        ({"label": "author"}, CorpusError, "label 'author' was asked for; these documents have topic"),
        ({"documents": DOCUMENTS[:5]}, CorpusError, "5 documents came"),
        ({"pairs": gender_pairs().subset(range(64))}, CorpusError, "16 documents or more"),
    ],
)
def test_what_is_wrong_in_the_settings_is_told_before_anything_is_read(
    changes, error, message, model, tmp_path, monkeypatch
):
    for name in ("associate", "extract", "read_pairs_states", "locate_bias"):
        monkeypatch.setattr(audit_module, name, None)
    with pytest.raises(error, match=message):
        audit_bias(model, out=tmp_path, **settings(**changes))
    assert list(tmp_path.iterdir()) == []


def test_words_that_the_tokenizer_does_not_know_are_named(model, tmp_path):
    strange = AssociationTest(
        "strange", ("garden", "zebra"), ("wind", "sea"), ("sun", "star"), ("day", "quagga"), templates=FRAMES
    )
    with pytest.raises(CorpusError, match="zebra"):
        audit_bias(model, out=tmp_path, **settings(tests=[strange]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["bias.json", "location.json", "associations.json", "prices.json"])
def test_a_damaged_folder_is_told(name, made, tmp_path):
    import shutil

    _, folder, _ = made
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / name).write_text("{")
    with pytest.raises(StorageError, match=name):
        BiasAudit.load(copy)
    (copy / name).write_text("{}")
    with pytest.raises(StorageError, match=name):
        BiasAudit.load(copy)


def test_a_folder_without_an_audit_is_told(tmp_path):
    with pytest.raises(StorageError, match=r"bias\.json"):
        BiasAudit.load(tmp_path)


def test_a_file_in_place_of_the_folder_is_told(model, tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(StorageError, match="is a file"):
        audit_bias(model, out=tmp_path / "f", **settings())
