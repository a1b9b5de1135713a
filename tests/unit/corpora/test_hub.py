"""Datasets are streamed from the Hub, and what goes wrong there is one sentence."""

import sys
import types

import pytest

from msma.corpora import read_documents
from msma.errors import CorpusError, MissingExtraError


class FakeStream(list):
    features = None


def fake_hub(monkeypatch, load):
    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load))


def test_hub_datasets_are_streamed_with_class_names(monkeypatch):
    asked = []

    def load(name, config, *, split, streaming):
        asked.append((name, config, split, streaming))
        stream = FakeStream([{"text": "good", "label": 1}, {"text": "none", "label": -1}])
        stream.features = {
            "text": object(),
            "label": types.SimpleNamespace(int2str=lambda i: ("negative", "positive")[i]),
        }
        return stream

    fake_hub(monkeypatch, load)
    corpus = read_documents("owner/name", label_columns=["label"], split="test", config="en")
    assert [d.labels["label"] for d in corpus] == ["positive", None]
    assert asked == [("owner/name", "en", "test", True)]
    fake_hub(monkeypatch, lambda *a, **k: FakeStream([{"text": "good", "label": 1}]))
    assert read_documents("name", label_columns=["label"]).peek().labels == {"label": 1}


def test_a_hub_that_fails_before_or_while_reading_is_one_sentence(monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("Couldn't reach the Hub.\nTraceback ...")

    fake_hub(monkeypatch, unreachable)
    with pytest.raises(
        CorpusError, match=r"no file 'imdb', and the Hub .*split 'dev', config 'en'.*reach the Hub;"
    ):
        read_documents("imdb", split="dev", config="en")

    def breaking(*args, **kwargs):
        class Stream:
            features = None

            def __iter__(self):
                yield {"text": "one"}
                raise TimeoutError

        return Stream()

    fake_hub(monkeypatch, breaking)
    with pytest.raises(CorpusError, match="after row 1: TimeoutError; check the name, or the network"):
        list(read_documents("imdb"))


def test_missing_extras_name_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match="msma\\[hub\\]"):
        read_documents("imdb")
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="msma\\[text\\]"):
        read_documents(path)
