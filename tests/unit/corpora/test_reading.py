"""Whatever the source, the same documents come out of it, or one clear sentence."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from msma.corpora import Document, read_documents
from msma.errors import ConfigError, CorpusError

ROWS = [
    {"id": "a", "text": "It rains, again.", "topic": "weather", "rank": 1},
    {"id": "a", "text": "Ça va ?\nOui.", "topic": "talk", "rank": 2},
    {"id": "b", "text": '"So," she said.', "topic": "", "rank": 3},
]


def write(path: Path, rows=ROWS) -> Path:
    """Write rows in the format the ending asks for."""
    name = path.name.removesuffix(".gz")
    kind = name.rsplit(".", 1)[-1]
    if kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        pq = pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
        return path
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        if kind == "jsonl":
            file.write("".join(json.dumps(row) + "\n\n" for row in rows))
        elif kind == "json":
            json.dump(rows, file, indent=1)
        elif kind in ("csv", "tsv"):
            writer = csv.DictWriter(file, rows[0], delimiter="," if kind == "csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.write("\n".join(row["text"].replace("\n", " ") for row in rows))
    return path


FORMATS = [
    "a.jsonl",
    "a.jsonl.gz",
    "a.json",
    "a.json.gz",
    "a.csv",
    "a.csv.gz",
    "a.tsv",
    "a.tsv.gz",
    "a.parquet",
]


@pytest.mark.parametrize("name", [*FORMATS, "memory", "generator", "numpy"])
def test_every_format_gives_the_same_documents_twice(tmp_path, name):
    source = (
        {
            "memory": ROWS,
            "generator": (row for row in ROWS),
            "numpy": np.array(ROWS, dtype=object),
        }.get(name)
        if "." not in name
        else write(tmp_path / name)
    )
    corpus = read_documents(source, column="text", id_column="id", label_columns=["topic", "rank"])
    documents = list(corpus)
    assert [(d.text, d.id) for d in documents] == [(row["text"], row["id"]) for row in ROWS]
    assert [d.labels["topic"] for d in documents] == ["weather", "talk", None]
    assert [str(d.labels["rank"]) for d in documents] == ["1", "2", "3"]
    if name == "generator":
        with pytest.raises(CorpusError, match="only once; give a list"):
            list(corpus)
    else:
        assert list(corpus) == documents


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.text", "a.tokens"])
def test_plain_text_files(tmp_path, name):
    corpus = read_documents(write(tmp_path / name))
    assert [(d.id, d.text) for d in corpus] == [
        (str(i), row["text"].replace("\n", " ")) for i, row in enumerate(ROWS)
    ]
    assert corpus.source == str(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "paragraphs", "expected"),
    [
        ("One.\nTwo.\n\nThree.\n", "auto", ["One.", "Two.", "Three."]),
        ("One is\nlong.\n\n\nTwo is\ntoo.\n", "auto", ["One is long.", "Two is too."]),
        ("One is\nlong.\n \nTwo is\ntoo.", "line", ["One is", "long.", "Two is", "too."]),
        ("\n\nOne.\nTwo.\r\n\r\nThree.", "blank", ["One. Two.", "Three."]),
        ("no stops\nat all\n", "auto", ["no stops", "at all"]),
        ("\ufeffOne.\n", "auto", ["One."]),
    ],
)
def test_paragraphs(tmp_path, text, paragraphs, expected):
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    assert [d.text for d in read_documents(path, paragraphs=paragraphs)] == expected


def test_short_texts_are_left_out_and_reading_stops_at_the_limit(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\none two\nthree\none two three\nfour five\n")
    corpus = read_documents(path, min_words=2, max_documents=2)
    assert [(d.id, d.text) for d in corpus] == [("1", "one two"), ("3", "one two three")]


def test_max_documents_reads_no_further():
    def texts():
        yield "first"
        yield "second"
        raise AssertionError("read too far")

    assert read_documents(texts(), max_documents=2).count() == 2


def test_documents_pass_through_with_what_they_know():
    documents = [
        Document("It rains.", "x", labels={"a": 1}, sentences=((0, 9),), sentence_labels=({"b": 2},))
    ]
    assert list(read_documents(documents)) == documents


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"n": 1, "body": "words", "note": "x"}, "body"),
        ({"n": 1, "anything": "words"}, "anything"),
        ({"Sentence": "words", "extra": "x"}, "Sentence"),
        ({"review": "no", "text": "words"}, "text"),
    ],
)
def test_the_column_of_texts_is_found(row, column):
    assert read_documents([row]).peek().text == row[column] == "words"


def test_label_columns_are_not_taken_for_texts_and_may_be_one_name():
    corpus = read_documents([{"kind": "x", "said": "words"}], label_columns="kind")
    assert corpus.peek().labels == {"kind": "x"}


def test_labels_keep_their_type_and_empty_ones_become_none():
    values = [True, 2, 2.5, "x", None, "", float("nan"), np.int64(3)]
    corpus = read_documents([{"text": "w", "l": v} for v in values], label_columns=["l"])
    labels = [d.labels["l"] for d in corpus]
    assert labels == [True, 2, 2.5, "x", None, None, None, 3]
    assert [type(label) for label in labels[:3]] == [bool, int, float]
    assert type(labels[-1]) is int
    assert read_documents([{"text": "w"}, {"text": "w"}], label_columns=[]).count() == 2


def test_csv_files_with_semicolons_and_long_fields(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"id;text\n1;{'a, ' * 100_000}\n\n")
    assert len(read_documents(path).peek().text) == 299_999


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "the <list> holds no text|'<list>' holds no text: 0 rows"),
        (iter([]), "<list_iterator> is empty"),
        (["", "  "], "'<list>' holds no text: 2 rows were read, none of at least a word"),
        ([3], "item 1 of '<list>' is int 3; expected a text"),
        (["fine", None], "item 2 of '<list>' is NoneType"),
        (b"bytes", "a bytes came"),
        ({"text": ["x"]}, "a dict came"),
        (Document("a", "b"), "a Document came"),
        (7, "a int came"),
        ("It rained.\nAll day.", "no path; to read a text itself, put it in a list"),
        ("word " * 2000, "a string of 10000 characters"),
        ([{"a": 1}], "has no column of texts; it has 'a'"),
        ([{}], "has no column of texts; it has no column"),
        ([{"a": "x", "b": "y"}], "several columns of text, 'a', 'b'; name one"),
        ([{"text": "x"}, {"txt": "y"}], "item 2 of '<list>' has no 'text'; it has 'txt'"),
        ([{"text": "x"}, {"text": 5}], "item 2 of '<list>' has int 5 as 'text'; expected a text"),
        (["half \ud83d of it"], "item 1 of '<list>' holds half a character"),
    ],
)
def test_sources_that_hold_no_texts(source, message):
    with pytest.raises(CorpusError, match=message):
        list(read_documents(source))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"column": "txt"}, "no column 'txt'; did you mean 'text'\\? It has 'id', 'text', 'topic', 'rank'"),
        ({"column": "zzz"}, "no column 'zzz'; it has 'id', 'text', 'topic', 'rank'"),
        ({"id_column": "ids"}, "no column 'ids'"),
        ({"label_columns": ["theme"]}, "no column 'theme'"),
        (
            {"column": "rank"},
            "column 'rank' of '<list>' holds int, not text; columns of text are 'id', 'text'",
        ),
        ({"id_column": "topic"}, "item 3 of '<list>' has str '' as its id 'topic'"),
    ],
)
def test_columns_that_do_not_fit_are_named(settings, message):
    with pytest.raises(CorpusError, match=message):
        list(read_documents(ROWS, **settings))


def test_many_columns_are_not_all_listed():
    with pytest.raises(CorpusError, match=r"'c11' and 19 more$"):
        read_documents([{f"c{i}": i for i in range(30)} | {"text": "x"}], column="zzz")


def test_texts_without_columns_and_labels_that_are_none(tmp_path):
    with pytest.raises(CorpusError, match=r"column 'topic' was asked for, but line 1 of .* is a plain text"):
        read_documents(write(tmp_path / "a.txt"), label_columns=["topic"])
    with pytest.raises(CorpusError, match=r"has list \[1\] as label 'l'; expected text, a number"):
        read_documents([{"text": "x", "l": [1]}], label_columns=["l"])


def test_a_data_frame_is_not_read_by_its_column_names():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(ROWS)
    with pytest.raises(CorpusError, match=r"DataFrame came, .* give \.to_dict\('records'\)"):
        read_documents(frame)
    assert read_documents(frame["text"]).count() == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_words": 0}, "min_words 0 came"),
        ({"max_documents": 0}, "max_documents 0 came"),
        ({"paragraphs": "page"}, "paragraphs 'page' came; expected auto, line or blank"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        read_documents(["text"], **settings)
