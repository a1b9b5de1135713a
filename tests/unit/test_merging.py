"""Joining separate runs: the whole is what one run over all texts would have been."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from families import ALL_FAMILIES
from msma.corpora import Document
from msma.errors import ConfigError, OriginError, StorageError
from msma.extraction import extract, extract_moments
from msma.merging import merge
from msma.states import HiddenStates, StatesWriter
from tiny import SlowTokenizer, make_tokenizer
from word_texts import word_texts

FAMILIES = {family.name: family for family in ALL_FAMILIES}


@cache
def build(name, seed=0):
    return FAMILIES[name].build(seed)


def read(texts, out, name="gpt2", seed=0, **more):
    given = {"tokenizer": make_tokenizer("none"), "attention_texts": 0, "window": 8, **more}
    return extract(build(name, seed), texts, out=out, **given)


def gather(texts, out, **more):
    given = {"window": 8, "scales": "0-1|2-3|4", "sketch_width": 4, "block": 16, **more}
    return extract_moments(build("gpt2"), texts, tokenizer=make_tokenizer("none"), out=out, **given)


def test_two_runs_merged_are_one_run(tmp_path):
    texts = word_texts(40)
    labels = [n % 3 for n in range(40)]
    whole = read(texts, tmp_path / "whole", labels={"kind": labels}, attention_texts=99)
    read(texts[:24], tmp_path / "a", labels={"kind": labels[:24]}, attention_texts=99)
    read(texts[24:], tmp_path / "b", labels={"kind": labels[24:]}, attention_texts=99)
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    np.testing.assert_array_equal(merged.layers(range(5)), whole.layers(range(5)))
    for column in ("texts", "document_ids", "labels"):
        assert getattr(merged, column) == getattr(whole, column)
    for column in ("positions", "lengths", "truncated"):
        np.testing.assert_array_equal(getattr(merged, column), getattr(whole, column))
    assert merged.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(merged.attention.texts, whole.attention.texts)
    np.testing.assert_allclose(merged.attention.distance, whole.attention.distance, atol=1e-6)
    # What was merged is whole, can be read again, and merging again changes nothing.
    again = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    assert again.n_samples == HiddenStates.load(tmp_path / "ab").n_samples == 40
    for names in ("train", "validation", "test"):
        assert getattr(merged.split(), names).texts == getattr(whole.split(), names).texts


def test_documents_that_have_names_keep_them(tmp_path):
    texts = [Document(text, f"d{n // 3}", labels={"n": n}) for n, text in enumerate(word_texts(12))]
    read(texts[:7], tmp_path / "a")
    read([replace(text, labels={}) for text in texts[7:]], tmp_path / "b")
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    assert merged.document_ids == [text.id for text in texts]
    assert merged.positions.tolist() == list(range(12))
    assert merged.labels == {"n": [*range(7), *[None] * 5]}


def test_an_interrupted_merge_goes_on(tmp_path, monkeypatch):
    texts = word_texts(40)
    runs = [tmp_path / "a", tmp_path / "b"]
    read(texts[:24], runs[0])
    read(texts[24:], runs[1])
    expected = merge(runs, tmp_path / "whole").layers(range(5))
    write, written = StatesWriter.write_shard, []

    def write_until_the_fourth(writer, number, *rest):
        if number == 3 and len(written) == 3:
            raise KeyboardInterrupt
        written.append(number)
        write(writer, number, *rest)

    monkeypatch.setattr(StatesWriter, "write_shard", write_until_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        merge(runs, tmp_path / "ab")
    written.append("again")
    merged = merge(runs, tmp_path / "ab")
    assert written == [0, 1, 2, "again", 3, 4]
    np.testing.assert_array_equal(merged.layers(range(5)), expected)


@pytest.mark.slow
def test_moments_merged_are_those_of_all_texts(tmp_path):
    texts = [Document(text, f"d{n}") for n, text in enumerate(word_texts(80))]
    whole = gather(texts, tmp_path / "whole")
    gather(texts[:48], tmp_path / "a")
    gather(texts[48:], tmp_path / "b")
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    assert merged.n == whole.n
    for scale in ("local", "global"):
        np.testing.assert_allclose(merged.scale(scale).scatter, whole.scale(scale).scatter, rtol=1e-9)
    np.testing.assert_allclose(merged.layer_similarity(), whole.layer_similarity(), atol=1e-9)
    assert sorted(merged.heldout.texts) == sorted(whole.heldout.texts)
    assert merged.fingerprint == whole.fingerprint


def test_runs_that_do_not_belong_together_are_refused_and_named(tmp_path):
    texts = word_texts(12)
    read(texts, tmp_path / "a")
    read(texts, tmp_path / "b", seed=1, name="gpt2")
    read(texts, tmp_path / "c", max_tokens=20)
    read(texts, tmp_path / "d", tokenizer=SlowTokenizer())
    gather(word_texts(24), tmp_path / "m")
    for other, what in (("b", "fingerprint"), ("c", "max_tokens"), ("d", "tokenizer")):
        with pytest.raises(OriginError, match=what) as error:
            merge([tmp_path / "a", tmp_path / other], tmp_path / "ab")
        assert str(tmp_path / "a") in str(error.value)
        assert str(tmp_path / other) in str(error.value)
    with pytest.raises(ConfigError, match=r"states and .* moments; merge runs of one kind"):
        merge([tmp_path / "a", tmp_path / "m"], tmp_path / "ab")
    with pytest.raises(ConfigError, match="1 folder came"):
        merge([tmp_path / "a"], tmp_path / "ab")
    with pytest.raises(ConfigError, match="came more than once"):
        merge([tmp_path / "a", tmp_path / "a"], tmp_path / "ab")
    with pytest.raises(ConfigError, match="came more than once"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "a")
    with pytest.raises(StorageError, match="no states"):
        merge([tmp_path / "a", tmp_path / "nothing"], tmp_path / "ab")
    assert not (tmp_path / "ab").exists()


def test_revisions_are_told_apart_where_they_are_known(tmp_path):
    texts = word_texts(12)
    for name, revision in (("a", "1111"), ("b", "2222"), ("c", None)):
        read(texts, tmp_path / name)
        path = tmp_path / name / "origin.json"
        content = json.loads(path.read_text())
        content["origin"]["revision"] = revision
        states = HiddenStates.load(tmp_path / name)
        (tmp_path / name / "states.json").unlink()
        path.unlink()
        origin = replace(states.origin, revision=revision)
        StatesWriter(tmp_path / name, origin, settings=content["settings"]).finish()
    with pytest.raises(OriginError, match=r"revision '1111'.*revision '2222'"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    assert merge([tmp_path / "a", tmp_path / "c"], tmp_path / "ac").n_samples == 24
