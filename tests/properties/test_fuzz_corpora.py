"""Whatever a file of texts holds: documents come out of it, or one of our errors; never a traceback or a hang."""

import csv
import gzip
import io
import json
import math
import os
from contextlib import suppress
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from families import ALL_FAMILIES
from fuzzing import HUGE, SIMPLE, runs, texts, within
from msma.corpora import Document, read_documents, split_sentences
from msma.errors import CorpusError, MsmaError
from msma.extraction import extract
from tiny import make_tokenizer

KINDS = (".txt", ".text", ".tokens", ".jsonl", ".json", ".csv", ".tsv", ".parquet")
NAMES = ("text", "id", "label", "review", "text ", "TEXT", "", "\ufefftext", "ü", "a\nb")


def check(source, **settings):
    """Read a source: documents that are whole, the same twice, or an error of ours."""
    with within(40), suppress(MsmaError):
        corpus = read_documents(source, **settings)
        first, second = list(corpus), list(corpus)
        check_documents(first, second, **settings)
        return first
    return None


def check_documents(first, second, **settings):
    assert first == second
    assert first
    assert len(first) <= (settings.get("max_documents") or math.inf)
    for document in first:
        assert isinstance(document, Document)
        assert document.text == document.text.strip() != ""
        document.text.encode("utf-8")
        document.id.encode("utf-8")
        assert len(document.text.split()) >= settings.get("min_words", 1)


def values():
    """What may stand in a cell or under a name."""
    leaves = st.one_of(texts(), st.none(), st.booleans(), st.integers(), st.floats())
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


def rows():
    ordinary = st.fixed_dictionaries({"text": texts(), "id": st.one_of(texts(), st.integers())})
    strange = st.dictionaries(st.sampled_from(NAMES), values(), max_size=4)
    return st.lists(st.one_of(ordinary, strange), max_size=6)


@st.composite
def tables(draw):
    """A .csv or .tsv file, with columns named twice, ragged rows and quotes that do not pair."""
    delimiter = draw(st.sampled_from([",", "\t", ";"]))
    header = draw(st.one_of(st.just(["text", "id"]), st.lists(st.sampled_from(NAMES), max_size=4)))
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, quoting=draw(st.sampled_from([0, 1])), escapechar="\\")
    writer.writerow(header)
    for _ in range(draw(st.integers(0, 5))):
        n_more = draw(st.sampled_from([0, 0, 0, 1, -1]))
        writer.writerow([draw(texts()) for _ in range(max(len(header) + n_more, 0))])
    return stream.getvalue()


def parquet_bytes(columns):
    import pyarrow
    from pyarrow.parquet import write_table

    names = [name for name, _ in columns]
    sink = io.BytesIO()
    arrays = [pyarrow.array(values) for _, values in columns]
    write_table(pyarrow.Table.from_arrays(arrays, names=names), sink)
    return sink.getvalue()


@st.composite
def parquet_files(draw):
    n_rows = draw(st.integers(0, 4))
    cells = st.one_of(
        texts().map(lambda text: text.encode("utf-8", "ignore").decode()),
        st.none(),
    )
    kinds = [cells, st.integers(-9, 9), st.floats(), st.lists(cells, max_size=2), st.binary(max_size=3)]
    columns = []
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(kinds))
        columns.append((draw(st.sampled_from(NAMES)), [draw(kind) for _ in range(n_rows)]))
    return parquet_bytes(columns)


@st.composite
def files(draw):
    """A file's ending and its bytes: well made, or damaged, or noise."""
    kind = draw(st.sampled_from(KINDS))
    if kind == ".parquet":
        content = draw(parquet_files())
    elif kind in (".csv", ".tsv"):
        content = draw(tables()).encode("utf-8", "surrogatepass")
    elif kind in (".json", ".jsonl"):
        is_ascii = draw(st.booleans())
        items = [
            json.dumps(row, ensure_ascii=is_ascii) for row in draw(st.one_of(rows(), st.lists(values())))
        ]
        whole = "[" + ",\n".join(items) + "]" if kind == ".json" else "\n".join(items)
        content = whole.encode("utf-8", "surrogatepass")
    else:
        ends = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\u2028"]))
        content = ends.join(draw(st.lists(texts(), max_size=8))).encode("utf-8", "surrogatepass")
    content = draw(damaged(content))
    if kind != ".parquet" and draw(st.booleans()):
        kind += ".gz"
        content = gzip.compress(content, mtime=0)
        content = draw(damaged(content)) if draw(st.booleans()) else content
    return kind, content


@st.composite
def damaged(draw, content):
    how = draw(
        st.sampled_from(["whole", "whole", "whole", "cut", "flip", "insert", "bom", "noise", "utf-16"])
    )
    place = draw(st.integers(0, len(content)))
    if how == "cut":
        return content[:place]
    if how == "flip" and place < len(content):
        return content[:place] + bytes([content[place] ^ draw(st.integers(1, 255))]) + content[place + 1 :]
    if how == "insert":
        return content[:place] + draw(st.binary(min_size=1, max_size=4)) + content[place:]
    if how == "bom":
        return b"\xef\xbb\xbf" + content
    if how == "noise":
        return draw(st.binary(max_size=200))
    if how == "utf-16":
        return content.decode("utf-8", "ignore").encode("utf-16")
    return content


settings_of_reading = st.fixed_dictionaries(
    {},
    optional={
        "column": st.sampled_from([None, "text", "review", "absent", ""]),
        "id_column": st.sampled_from([None, "id", "text", "absent"]),
        "label_columns": st.lists(st.sampled_from(["label", "id", "text", "absent"]), max_size=2),
        "paragraphs": st.sampled_from(["auto", "line", "blank"]),
        "min_words": st.integers(1, 3),
        "max_documents": st.one_of(st.none(), st.integers(1, 3)),
    },
)


def check_file(folder, file, settings):
    kind, content = file
    path = folder / f"t{kind}"
    path.write_bytes(content)
    check(path, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@runs(120)
@given(file=files(), settings=settings_of_reading)
def test_any_file(folder, file, settings):
    check_file(folder, file, settings)


@pytest.mark.slow
@runs(2000)
@given(file=files(), settings=settings_of_reading)
def test_any_file_at_length(folder, file, settings):
    check_file(folder, file, settings)


@runs(100)
@given(
    items=st.lists(st.one_of(texts(), values(), st.dictionaries(st.sampled_from(NAMES), values()))),
    settings=settings_of_reading,
)
def test_anything_in_python(items, settings):
    check(items, **settings)


@runs(100)
@given(source=st.one_of(texts(), st.binary(max_size=9), values()))
@example(source="x" * 5000)
@example(source="a\0b.txt")
@example(source="~nobody-of-this-name/a.txt")
def test_any_source(source):
    check(source)


def test_a_pipe_is_refused_and_not_waited_for(folder):
    os.mkfifo(folder / "pipe.txt")
    with within(40), pytest.raises(CorpusError, match="is a pipe"):
        read_documents(folder / "pipe.txt")


@pytest.mark.parametrize("kind", [k + z for k in KINDS[:-1] for z in ("", ".gz")] + [".parquet"])
def test_huge_texts(kind, folder):
    """One line of a million characters, and many lines."""
    base = kind.removesuffix(".gz")
    for many in (list(HUGE[:4]), ["Snow fell."] * 30_000):
        if base == ".parquet":
            content = parquet_bytes([("text", many)])
        elif base in (".csv", ".tsv"):
            stream = io.StringIO()
            csv.writer(stream, delimiter="," if base == ".csv" else "\t").writerows(
                [[t] for t in ("text", *many)]
            )
            content = stream.getvalue().encode()
        elif base in (".json", ".jsonl"):
            lines = [json.dumps({"text": text}) for text in many]
            content = ("[" + ",".join(lines) + "]" if base == ".json" else "\n".join(lines)).encode()
        else:
            content = "\n".join(many).encode()
        path = folder / f"huge{kind}"
        path.write_bytes(gzip.compress(content, 1) if kind.endswith(".gz") else content)
        assert [d.text for d in check(path, paragraphs="line")] == [text.strip() for text in many]


DEEP = ("[" * 200_000, '{"a":' * 200_000, '{"text": ' + "[" * 200_000, "[" * 5000 + "1" + "]" * 5000)


@pytest.mark.parametrize("kind", [".json", ".jsonl", ".json.gz"])
@pytest.mark.parametrize(
    "content", [*DEEP, '{"text": ' + "1" * 100_000 + "}", "1" * 5000, '[{"text": 1e999}]']
)
def test_deep_and_long_json(kind, content, folder):
    path = folder / f"deep{kind}"
    path.write_bytes(gzip.compress(content.encode()) if kind.endswith(".gz") else content.encode())
    with within(40), pytest.raises(CorpusError):
        read_documents(path)


@pytest.mark.parametrize("text", HUGE, ids=lambda text: repr(text[:6]))
def test_sentences_of_huge_texts_take_a_moment(text):
    with within(40):
        spans = split_sentences(text)
    assert sum(end - start for start, end in spans) <= len(text)
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)


@runs(300)
@given(text=texts())
def test_sentences_of_any_text(text):
    spans = split_sentences(text)
    inside = [character for start, end in spans for character in text[start:end]]
    assert [c for c in inside if not c.isspace()] == [c for c in text if not c.isspace()]
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)


# Extraction


@cache
def build():
    family = next(family for family in ALL_FAMILIES if family.name == "bert")
    return family.build(), make_tokenizer(family.template)


def check_extraction(given_texts, unit, **options):
    model, tokenizer = build()
    with within(60), suppress(MsmaError):
        states = extract(model, given_texts, tokenizer=tokenizer, unit=unit, attention_texts=2, **options)
        check_states(states, given_texts, tokenizer, unit, **options)
        return states
    return None


def check_states(states, given_texts, tokenizer, unit, **options):
    whole = states.layers(range(states.n_layers))
    assert np.isfinite(whole).all()
    assert whole.shape[1] == states.n_samples == len(states.texts) == len(states.lengths) > 0
    kept = [text for text in given_texts if text.strip()]
    counts = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in kept]
    room = states.origin.max_tokens - 2
    seen = counts if options.get("long") == "windows" else [min(count, room) for count in counts]
    if unit == "text":
        assert states.n_samples == sum(count > 0 for count in counts)
        assert list(states.texts) == [text for text, count in zip(kept, counts, strict=True) if count]
    elif unit == "token":
        assert states.n_samples == sum(seen)
    else:
        assert states.n_samples <= sum(len(split_sentences(text)) for text in kept)


@pytest.mark.parametrize("unit", ["text", "sentence", "token"])
@runs(20)
@given(given_texts=st.lists(texts(), max_size=6), long=st.sampled_from(["truncate", "windows"]))
def test_states_of_any_texts(unit, given_texts, long):
    check_extraction(given_texts, unit, long=long)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["text", "sentence", "token"])
@runs(200)
@given(given_texts=st.lists(texts(), max_size=6), long=st.sampled_from(["truncate", "windows"]))
def test_states_of_any_texts_at_length(unit, given_texts, long):
    check_extraction(given_texts, unit, long=long)


@pytest.mark.parametrize("unit", ["text", "sentence", "token"])
def test_states_of_texts_that_break_programs(unit):
    valid = [text for text in SIMPLE if not any(0xD800 <= ord(c) <= 0xDFFF for c in text)]
    assert check_extraction(valid, unit) is not None


@pytest.mark.parametrize(
    "text", [pytest.param(HUGE[0], marks=pytest.mark.slow), HUGE[1], HUGE[3]], ids=lambda text: repr(text[:6])
)
def test_states_of_huge_texts(text):
    for unit in ("text", "sentence", "token"):
        assert check_extraction([text, "Snow fell."], unit) is not None
