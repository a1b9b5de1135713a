"""Files that are not what they seem are named with the line; no file is held in memory whole."""

import gzip
import json
import os
import tracemalloc

import numpy as np
import pytest

from msma.corpora import formats, read_documents
from msma.errors import CorpusError

NOISE = np.random.default_rng(0).bytes(20_000)


def refuse(path, message, **settings):
    with pytest.raises(CorpusError, match=message) as caught:
        list(read_documents(path, **settings))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


BROKEN = {
    "empty": ("a.txt", b"", "is empty \\(0 bytes\\)"),
    "blank": ("a.txt", b" \n\n", "holds no text: 0 rows were read"),
    "latin1": ("a.txt", b"one\ntwo\ncaf\xe9\n", "line 3 of .* not UTF-8 \\(byte 0xe9 after 3 characters\\)"),
    "nul": ("a.txt", b"one\ntw\0o\n", "line 2 of .* holds a NUL byte"),
    "utf16": ("a.txt", "one".encode("utf-16"), "is not text but UTF-16; save it as UTF-8"),
    "gzip inside": ("a.txt", gzip.compress(b"one"), "but gzip-compressed; add .gz"),
    "parquet inside": ("a.csv", b"PAR1....", "but a parquet file; name it .parquet"),
    "pdf inside": ("a.txt", b"%PDF-1.7", "but a PDF"),
    "zip inside": ("a.csv", b"PK\x03\x04....", "zip archive or an office document"),
    "no gzip": ("a.txt.gz", b"plain text", "not a whole gzip file"),
    "half a gzip": ("a.txt.gz", gzip.compress(NOISE.hex().encode())[:100], "not a whole gzip file"),
    "unknown ending": ("a.docx", b"x", "ends in '.docx'; expected one of .txt, "),
    "no ending": ("corpus", b"x", "has no ending; expected one of"),
    "bare gz": ("corpus.gz", b"x", "ends in '.gz'"),
    "parquet.gz": ("a.parquet.gz", b"x", "ends in '.gz'"),
    "jsonl": (
        "a.jsonl",
        b'{"text": "one"}\n\n{"text": \n',
        "line 3 of .* is not JSON: .*; each line must be",
    ),
    "list in jsonl": ("a.jsonl", b'[\n{"text": "one"}]\n', "line 1 of .* not JSON.* belongs in a .json file"),
    "deep": ("a.jsonl", b"[" * 100_000, "line 1 of .* is not JSON"),
    "number": ("a.jsonl", b'{"text": "one"}\n5\n', "line 2 of .* is int 5"),
    "json number": ("a.json", b"5", "does not begin with a list"),
    "json breaks off": (
        "a.json",
        b'[{"text": "one"}, {"text": "tw',
        "item 2 of .* is not JSON or breaks off",
    ),
    "json without comma": ("a.json", b'["one" "two"]', "item 2 of .* \\(',' is missing"),
    "json unclosed": ("a.json", b'["one"  ', "item 1 of .* \\('\\]' is missing"),
    "json trailing comma": ("a.json", b'["one",]', "item 2 of .* is not JSON"),
    "empty list": ("a.json", b" [ ] ", "holds no text: 0 rows"),
    "ragged": ("a.csv", b"id,text\n1,one\n2,two,three\n", "line 3 of .* has 3 fields; .* 2 columns"),
    "unquoted": ("a.csv", b"text\nwell, no\n", "line 2 of .* has 2 fields; .* names 1 column"),
    "open quote": (
        "a.csv",
        b'id,text\n1,"one\n2,two\n',
        "cannot be read as a table \\(unexpected end of data",
    ),
    "wild quote": ("a.tsv", b'id\ttext\n1\t"one" two\n', "line 2 of .* cannot be read as a table"),
    "csv nul": ("a.csv", b"id,text\n1,o\0ne\n", "line 2 of .* holds a NUL byte"),
    "twice": ("a.csv", b"text,text\n1,2\n", "column 'text' more than once"),
    "header only": ("a.csv", b"id,text\n", "holds no text: 0 rows"),
    "surrogate": (
        "a.jsonl",
        b'{"text": "\\ud83d"}\n',
        "line 1 of .* holds half a character \\(surrogate 0xd83d",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_one_sentence_with_path_and_line(tmp_path, name):
    file, content, message = BROKEN[name]
    (tmp_path / file).write_bytes(content)
    refuse(tmp_path / file, message)


def test_parquet_that_is_text_or_cut_short_is_named(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    path.write_text("id,text\n1,one\n")
    refuse(path, "is not a whole parquet file, read to row 0")
    pq.write_table(
        pa.table({"text": [NOISE[i : i + 40].hex() for i in range(2000)]}), path, row_group_size=500
    )
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 20_000] = NOISE
    path.write_bytes(content)
    refuse(path, "is not a whole parquet file, read to row")


def test_parquet_columns_have_kinds_and_only_those_wanted_are_read(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    columns = {
        "n": [1, 2],
        "body": pa.array(["one", None], pa.large_string()),
        "kind": pa.array(["x", "y"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), path)
    refuse(path, "column 'n' of .* holds int64, not text; columns of text are 'body', 'kind'", column="n")
    rows = list(formats.read_parquet(path, select=lambda kinds: [k for k in kinds if k != "n"]))
    assert rows[0] == ("row 1", {"body": "one", "kind": "x"})
    assert [(d.text, d.labels["kind"]) for d in read_documents(path, label_columns=["kind"])] == [
        ("one", "x")
    ]


def test_paths_that_are_no_files_are_named(tmp_path):
    refuse(tmp_path, "is a folder; give a file of texts")
    (tmp_path / "texts.csv").write_text("text\none\n")
    refuse(tmp_path, "is a folder; give one of its files, such as 'texts.csv'")
    refuse(tmp_path / "text.csv", "there is no file .*; did you mean '.*texts.csv'")
    refuse(tmp_path / "other" / "corpus", "there is no file .*; check the path")
    with pytest.raises(CorpusError, match=r"there is no file 'nowhere\.txt'"):
        read_documents("nowhere.txt")


def test_home_is_expanded_and_existing_names_are_files_before_they_are_datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("one\n")
    (tmp_path / "imdb").mkdir()
    assert read_documents("~/a.txt").count() == 1
    with pytest.raises(CorpusError, match="'imdb' is a folder"):
        read_documents("imdb")


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may read everything")
def test_files_that_may_not_be_read_are_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    path.chmod(0)
    refuse(path, "could not read .* permissions")


def test_errors_of_the_operating_system_are_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("one")

    def fail(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", fail)
    refuse(path, "could not read '.*': Permission denied; check its permissions")
    from msma.corpora import files

    with pytest.raises(CorpusError, match=r"could not read .*Permission denied"), files.open_text(path):
        pass


def test_json_that_is_json_lines_and_items_across_chunks(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text('{"text": "one"}\n{"text": "two"}\n')
    assert [d.text for d in read_documents(path)] == ["one", "two"]
    texts = ["x" * n + 'x [,] \\ "é' for n in range(40)]
    path.write_text(json.dumps(texts, indent=2) + "\n")
    for chunk in (1, 7, 64):
        monkeypatch.setattr(formats, "_JSON_CHUNK", chunk)
        assert [d.text for d in read_documents(path)] == texts


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json", "a.csv", "a.parquet"])
def test_a_large_file_is_never_in_memory_whole(tmp_path, name):
    path = tmp_path / name
    texts = [f"{i} " + "word " * 200 for i in range(10_000)]
    if name == "a.parquet":
        pa = pytest.importorskip("pyarrow")
        pq = pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({"text": texts}), path, row_group_size=500)
    else:
        header, write, end = {
            "a.txt": ("", lambda t: t + "\n", ""),
            "a.jsonl": ("", lambda t: json.dumps({"text": t}) + "\n", ""),
            "a.json": ("[", lambda t: json.dumps({"text": t}) + ",\n", '{"text": ""}]'),
            "a.csv": ("text\n", lambda t: t + "\n", ""),
        }[name]
        path.write_text(header + "".join(map(write, texts)) + end)
    del texts
    list(read_documents(path, max_documents=1))
    tracemalloc.start()
    assert read_documents(path).count() == 10_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6, f"{peak / 1e6:.1f} MB held of a 10 MB file"
