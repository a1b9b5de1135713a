"""What extraction keeps besides all layers: three scales, or only moments; limits, one walk or several."""

import json
import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

import msma
from families import ALL_FAMILIES
from msma.alignment import Alignment
from msma.corpora import Document, split_documents
from msma.errors import ConfigError, CorpusError, ScaleError, StorageError
from msma.extraction import extract, extract_moments
from msma.extraction.limits import Limits
from msma.extraction.moments_session import _clear
from msma.extraction.survey import choose_documents, survey_texts
from msma.maps import RidgeMap
from msma.scale_moments import ScaleMoments, assign_split
from msma.scales import ScalePartition, ScaleRepresentation
from msma.shards import read_shard
from msma.states import StatesWriter
from tiny import make_tokenizer
from word_texts import word_texts

FAMILIES = {family.name: family for family in ALL_FAMILIES}
PARTITION = ScalePartition.parse("0-1|2-3|4", n_layers=5)


@cache
def build(name):
    return FAMILIES[name].build()


def options(name="gpt2", **more):
    return {"tokenizer": make_tokenizer(FAMILIES[name].template), "attention_texts": 0, "window": 16, **more}


def read(texts, name="gpt2", **more):
    return extract(build(name), texts, **options(name, **more))


def gather(texts, name="gpt2", **more):
    given = {"window": 16, "scales": PARTITION, "sketch_width": 6, **more}
    return extract_moments(build(name), texts, tokenizer=make_tokenizer(FAMILIES[name].template), **given)


class Repeatable:
    """Texts that can be walked through more than once and whose number nobody knows."""

    def __init__(self, texts):
        self.texts = texts

    def __iter__(self):
        return iter(self.texts)


# The three scales


@pytest.mark.parametrize("name", ["gpt2", "bert", "t5-encoder"])
@pytest.mark.parametrize("reduction", ["mean", "last"])
@pytest.mark.parametrize("unit", ["text", "sentence"])
def test_scales_kept_alone_are_those_of_all_layers(name, reduction, unit):
    texts = [f"{text}. {other}." for text, other in zip(word_texts(20), word_texts(20, seed=1), strict=True)]
    whole = read(texts, name, unit=unit)
    kept = read(texts, name, unit=unit, store="scales", scales=PARTITION, reduction=reduction)
    assert (kept.n_layers, kept.origin.scales, kept.origin.reduction) == (3, "0-1|2-3|4", reduction)
    assert kept.origin.n_model_layers == whole.n_layers == 5
    expected = ScaleRepresentation(PARTITION, reduction=reduction).transform(whole)
    for place, scale in enumerate(expected):
        np.testing.assert_allclose(kept.layer(place), expected[scale], atol=2e-6)
    assert kept.texts == whole.texts
    assert kept.lengths.tolist() == whole.lengths.tolist()


def test_windows_of_a_long_text_are_weighed_alike_in_the_scales():
    texts = [" ".join(word_texts(6)), *word_texts(5)]
    how = {"max_tokens": 20, "long": "windows"}
    whole = read(texts, **how)
    kept = read(texts, store="scales", scales="0-1|2-3|4", **how)
    expected = ScaleRepresentation(PARTITION).transform(whole)
    np.testing.assert_allclose(kept.layer(2), expected["global"], atol=2e-6)


def test_the_first_pass_finds_the_scales_on_training_documents_only(tmp_path):
    texts = [Document(text, f"d{n // 2}") for n, text in enumerate(word_texts(200))]
    said = []
    kept = read(texts, store="scales", sketch_texts=60, out=tmp_path, say=said.append, seed=3)
    sketch = msma.HiddenStates.load(tmp_path / "sketch")
    assert sketch.n_samples == 60
    assert sketch.n_layers == 5
    names = [text.id for text in texts]
    training = {names[i] for i in split_documents(names, seed=3)["train"]}
    assert set(sketch.document_ids) <= training
    partition = ScalePartition.load(tmp_path / "scales.json")
    assert kept.origin.scales == partition.written
    assert partition.boundaries == msma.find_scales(sketch, seed=3).boundaries
    assert said[:2] == ["finding the scales on 60 texts of training documents", str(partition)]
    # With more room than training has, no document of the other parts is taken either.
    chosen = choose_documents(texts, size=10_000, rank=lambda name: int(name[1:]), share=0.6)
    assert {document.id for document in chosen} == {f"d{n}" for n in range(60)}


def test_the_first_pass_of_moments_leaves_out_what_is_held_out(tmp_path):
    texts = [Document(text, f"d{n // 2}") for n, text in enumerate(word_texts(200))]
    gather(texts, out=tmp_path, scales="thirds", sketch_texts=1000, seed=2)
    names = set(msma.HiddenStates.load(tmp_path / "sketch").document_ids)
    assert names == {f"d{n}" for n in range(100) if assign_split(f"d{n}", seed=2) == "train"}


def test_scales_of_another_depth_are_refused():
    with pytest.raises(ScaleError, match="scales of 7 layer entries came for a model of 5"):
        read(word_texts(4), store="scales", scales="0-2|3-5|6")
    with pytest.raises(ScaleError, match=r"scales '0-2\|3-' came"):
        read(word_texts(4), store="scales", scales="0-2|3-")


def test_texts_that_come_once_need_their_scales():
    with pytest.raises(ConfigError, match="can be walked through only once"):
        read(iter(word_texts(40)), store="scales")
    assert read(iter(word_texts(40)), store="scales", scales="0-1|2-3|4").n_samples == 40
    with pytest.raises(CorpusError, match="no text came that holds anything"):
        read(["", " "], store="scales")


def test_an_alignment_of_kept_scales_is_that_of_all_layers():
    texts = word_texts(120)
    whole, kept = read(texts), read(texts, store="scales", scales=PARTITION)
    first = Alignment(RidgeMap(alpha=1.0)).fit(whole, PARTITION)
    second = Alignment(RidgeMap(alpha=1.0)).fit(kept, PARTITION)
    for pair, mapped in first.transform(whole).items():
        np.testing.assert_allclose(second.transform(kept)[pair], mapped, atol=1e-3)
        # Fitted on either, it maps the other.
        np.testing.assert_allclose(second.transform(whole)[pair], mapped, atol=1e-3)


# Moments


def test_moments_are_those_of_the_kept_states(tmp_path):
    texts = word_texts(150)
    moments = gather(texts, out=tmp_path, block=48)
    whole = read(texts)
    is_train = [assign_split(str(n)) == "train" for n in range(len(texts))]
    train = whole.subset(np.flatnonzero(is_train))
    scales = ScaleRepresentation(PARTITION).transform(train)
    assert moments.n == train.n_samples
    for scale, states in scales.items():
        np.testing.assert_allclose(moments.scale(scale).mean, states.mean(0), atol=1e-5)
        np.testing.assert_allclose(moments.scale(scale).covariance(), np.cov(states.T), atol=1e-4)
    cross = moments.pair("global", "intermediate").scatter_cross
    centred = [scales[s] - scales[s].mean(0) for s in ("global", "intermediate")]
    np.testing.assert_allclose(cross, centred[0].T @ centred[1], atol=1e-3)
    held = {text for n, text in enumerate(texts) if not is_train[n]}
    assert set(moments.heldout.texts) == held


def test_blocks_windows_and_folders_change_no_moment(tmp_path):
    texts = word_texts(100)
    one = gather(texts)
    several = gather(texts, out=tmp_path / "a", block=20)
    shorter = gather(texts, window=7, block=33)
    for other in (several, shorter):
        assert other.n == one.n
        # Batches of other shapes round otherwise in float32; sums are float64.
        np.testing.assert_allclose(
            other.scale("global").scatter, one.scale("global").scatter, rtol=1e-5, atol=1e-3
        )
        np.testing.assert_allclose(other.layer_similarity(), one.layer_similarity(), atol=1e-4)
        assert sorted(other.heldout.texts) == sorted(one.heldout.texts)
    assert not (tmp_path / "a" / "parts").exists()


def test_moments_that_are_there_are_not_gathered_again(tmp_path, monkeypatch):
    texts = word_texts(60)
    first = gather(texts, out=tmp_path, block=20)
    monkeypatch.setattr("msma.extraction.work.pool_rows", lambda *_, **__: pytest.fail("read again"))
    said = []
    again = gather(texts, out=tmp_path, block=20, say=said.append)
    np.testing.assert_array_equal(again.scale("local").scatter, first.scale("local").scatter)


def test_moments_of_other_texts_or_settings_are_refused(tmp_path):
    gather(word_texts(60), out=tmp_path, block=20)
    for other in (word_texts(60, seed=1), word_texts(60)[:40]):
        with pytest.raises(StorageError, match="moments of other texts"):
            gather(other, out=tmp_path, block=20)
    with pytest.raises(StorageError, match="seed"):
        gather(word_texts(60), out=tmp_path, block=20, seed=1)


def test_an_interrupted_gathering_goes_on(tmp_path):
    texts = word_texts(100)

    def interrupted():
        yield from texts[:70]
        raise KeyboardInterrupt

    expected = gather(texts, out=tmp_path / "whole", block=20)
    with pytest.raises(KeyboardInterrupt):
        gather(interrupted(), out=tmp_path / "cut", block=20)
    assert (tmp_path / "cut" / "parts").is_dir()
    gather(texts, out=tmp_path / "cut", block=20)
    for name in ("moments.safetensors", "heldout/shard-00000.safetensors", "heldout/shard-00000.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert ScaleMoments.load(tmp_path / "cut").n == expected.n


@pytest.mark.parametrize("first", ["moments.json", "moments.safetensors", "scales.json", "notes.json"])
def test_a_kill_while_the_last_total_is_cleared_away_loses_nothing(tmp_path, monkeypatch, first):
    """The kernel names the files of a folder in any order, so that any of them may be gone first."""
    texts = word_texts(40)
    gather(texts, out=tmp_path / "whole", block=16)

    def killed(folder):
        if not (tmp_path / "killed" / "notes.json").is_file():
            return _clear(folder)
        for path in folder.rglob(first):
            path.unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("msma.extraction.moments_session._clear", killed)
        with pytest.raises(KeyboardInterrupt):
            gather(texts, out=tmp_path / "killed", block=16)
    with monkeypatch.context() as patched:  # what stands in its place is not taken away to be written again
        patched.setattr(ScaleMoments, "save", None)
        gather(texts, out=tmp_path / "killed", block=16)
    found, expected = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "killed", tmp_path / "whole")
    )
    assert {name: found[name] for name in expected if name.name != ".lock"} == {
        name: content for name, content in expected.items() if name.name != ".lock"
    }
    assert not (tmp_path / "killed" / "parts").exists()


def test_more_texts_go_on_where_a_block_ended(tmp_path):
    texts = word_texts(80)
    gather(texts[:40], out=tmp_path, block=16, window=8)
    with pytest.raises(StorageError, match="other texts"):  # its last block was not full
        gather(texts, out=tmp_path, block=16, window=8)
    gather(texts[:48], out=tmp_path / "b", block=16, window=8)
    more = gather(texts, out=tmp_path / "b", block=16, window=8)
    whole = gather(texts, block=16, window=8)
    np.testing.assert_array_equal(more.scale("global").scatter, whole.scale("global").scatter)


def test_maps_are_fitted_on_moments_and_scored_on_what_was_held_out():
    moments = gather(word_texts(300), sketch_width=0)
    alignment = Alignment(RidgeMap(alpha=1e-3)).fit_moments(moments)
    row = msma.evaluate(alignment, moments.test, metrics=["r2"]).to_frame()
    ridge = row[(row["map"] == "ridge") & (row["source"] == "intermediate") & (row["target"] == "local")]
    assert ridge["value"].min() > 0.5
    assert ridge["null"].max() < 0.1


def test_a_filter_too_small_for_its_texts_is_told(tmp_path):
    said = []
    texts = word_texts(60)
    gather([*texts, *texts], filter_bits=256, say=said.append)
    assert any("held-out texts came elsewhere too" in line for line in said)
    assert any("a larger filter_bits takes fewer" in line for line in said)
    said.clear()
    gather(texts, say=said.append)
    assert said == []


def test_scales_are_not_looked_for_in_scales():
    kept = read(word_texts(40), store="scales", scales=PARTITION)
    with pytest.raises(ScaleError, match="whose layers are gone"):
        msma.find_scales(kept)


def test_options_of_moments_are_checked():
    with pytest.raises(ConfigError, match=r"option 'dtpye' came; expected some of .*dtype"):
        gather(word_texts(4), dtpye="float32")
    with pytest.raises(ConfigError, match="n_heldout 0 came"):
        gather(word_texts(4), n_heldout=0)
    with pytest.raises(ConfigError, match=r"store 'moments' came.*extract_moments"):
        read(word_texts(4), store="moments")


# Limits


def test_a_run_too_large_for_its_disk_is_refused_before_it_begins(tmp_path):
    with pytest.raises(
        ConfigError, match=r"this will take [\d.]+ MB on disk and max_disk is .*store 'scales'"
    ):
        read(word_texts(20) * 2000, out=tmp_path, max_disk="20 MB")
    assert not list(tmp_path.glob("shard*"))
    with pytest.raises(ConfigError, match="allow more, or give fewer texts"):
        read(word_texts(20), out=tmp_path, max_disk=10)
    said = []
    states = read(word_texts(20), out=tmp_path, max_disk="1 GB", say=said.append)
    assert states.n_samples == 20
    assert any("MB" in line or "kB" in line for line in said)


def test_a_run_is_stopped_where_it_writes_more_than_foreseen(tmp_path):
    texts = word_texts(64)
    with pytest.raises(StorageError, match="nothing is lost"):
        read(iter(texts), out=tmp_path, max_disk="20 kB")
    kept = len(list(tmp_path.glob("shard-*.safetensors")))
    assert 0 < kept < 4
    assert read(iter(texts), out=tmp_path, max_disk="1 GB").n_samples == 64


@pytest.mark.slow
def test_windows_shrink_until_memory_suffices(tmp_path):
    from msma.extraction.shard_session import ShardSession

    seen = []
    original = ShardSession.open

    def spy(session):
        seen.append(session.settings["window"])
        original(session)

    texts = word_texts(20) * 100
    model_bytes = sum(p.numel() * p.element_size() for p in build("gpt2").parameters())
    room = {"max_memory": model_bytes + 800_000, "batch_tokens": 64}
    ShardSession.open = spy
    try:
        read(texts, out=tmp_path / "a", window=None, batch_tokens=64)
        read(texts, out=tmp_path / "b", window=None, **room)
        with pytest.raises(ConfigError, match=r"of it for the model, and max_memory is"):
            read(texts, out=tmp_path / "c", window=None, max_memory=model_bytes)
        with pytest.raises(ConfigError, match=r"max_memory"):
            read(texts, out=tmp_path / "d", window=2000, **room)
    finally:
        ShardSession.open = original
    assert seen[1] < seen[0]


def test_sizes_are_read_from_words():
    assert Limits("2 GB", 5).disk == 2_000_000_000
    assert not Limits().is_set
    with pytest.raises(ConfigError, match="'much'"):
        Limits("much")


def test_a_survey_spreads_its_sample_over_a_corpus_it_counts():
    counted = survey_texts(Repeatable([f"text {n}" for n in range(5000)]), has_to_count=True)
    assert counted.n_texts == 5000
    positions = [record.position for record in counted.sample]
    assert len(positions) > 128
    assert max(positions) > 4900
    uncounted = survey_texts(Repeatable([f"text {n}" for n in range(5000)]), has_to_count=False)
    assert uncounted.n_texts is None
    assert survey_texts(iter(["a"]), has_to_count=True).n_texts is None
    assert survey_texts(["a"] * 9, has_to_count=False).n_texts == 9


# Shards


def test_a_damaged_shard_is_made_again_and_a_window_without_a_token_is_no_gap(tmp_path):
    texts = word_texts(48)
    whole = read(texts, out=tmp_path)
    expected = whole.layers(range(5))
    path = tmp_path / "shard-00001.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-7] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StorageError, match="shard-00001"):
        msma.HiddenStates.load(tmp_path)
    said = []
    again = read(texts, out=tmp_path, say=said.append)
    assert said == ["shard 1 is damaged and is made again", "2 of 3 shards were there already"]
    np.testing.assert_array_equal(again.layers(range(5)), expected)
    msma.HiddenStates.load(tmp_path)


def test_notes_beside_a_shard_say_what_a_later_run_must_know(tmp_path):
    read(["the river rose slowly", "", "snow fell", "the"], out=tmp_path, attention_texts=2)
    notes = json.loads((tmp_path / "shard-00000.json").read_text())["notes"]
    assert {
        key: notes[key] for key in ("n_texts", "n_samples", "n_tokens", "n_cut", "n_empty", "readable")
    } == {
        "n_texts": 3,
        "n_samples": 3,
        "n_tokens": 7,
        "n_cut": 0,
        "n_empty": 0,
        "readable": [0],
    }


def test_shards_without_notes_are_not_gone_on_with(tmp_path):
    merged = tmp_path / "merged"
    texts = word_texts(32)
    read(texts[:16], out=tmp_path / "a")
    read(texts[16:], out=tmp_path / "b")
    msma.merge([tmp_path / "a", tmp_path / "b"], merged)
    with pytest.raises(StorageError, match="holds states made with"):
        read(texts, out=merged)
    states = msma.HiddenStates.load(tmp_path / "a")
    settings = json.loads((tmp_path / "a" / "origin.json").read_text())["settings"]
    writer = StatesWriter(tmp_path / "bare", states.origin, settings=settings)
    writer.write_shard(0, read_shard(tmp_path / "a", 0))
    with pytest.raises(StorageError, match="was not written by an extraction of this version"):
        read(texts[:16], out=tmp_path / "bare")


def test_a_folder_in_use_is_refused(tmp_path):
    program = (
        "import sys; from msma.locking import folder_lock\nwith folder_lock(sys.argv[1], what='x'): pass"
    )
    ends = []

    def texts():
        yield from word_texts(4)
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
        ends.append(done.stderr.splitlines()[-1])

    read(texts(), out=tmp_path)
    assert str(os.getpid()) in ends[0]
    assert str(tmp_path) in ends[0]
