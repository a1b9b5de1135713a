"""Misspellings and paired texts read from files."""

import gzip
import json

import pytest

from msma.errors import ConfigError, CorpusError, StorageError
from msma.perturbations import Misspellings, PairedTexts

ENGLISH = (
    "My friend will believe that a lot of separate people receive the necessary government business "
    "until tomorrow, because they really appreciate it."
)

ARROWS = "# a list\nrivver->river\n\nmeddow->meadow, mellow,\n"
ROWS = [
    {"misspelling": "rivver", "correction": "river"},
    {"misspelling": "meddow", "correction": "meadow, mellow"},
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.txt", ARROWS),
        ("list", ARROWS),
        ("list.csv", 'misspelling,correction\nrivver,river\nmeddow,"meadow, mellow"\n'),
        ("list.tsv", "misspelling\tcorrection\nrivver\triver\nmeddow\tmeadow, mellow\n"),
        ("list.json", json.dumps({"rivver": "river", "meddow": ["meadow", "mellow"]})),
        ("rows.json", json.dumps(ROWS)),
        ("rows.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("list.txt.gz", ARROWS),
    ],
)
def test_every_form_of_file_gives_the_same_misspellings(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    kind = Misspellings.from_file(path, strength=9.0)
    assert kind.table == {"river": ("rivver",), "meadow": ("meddow",), "mellow": ("meddow",)}
    assert kind("River, meadow.").text == "Rivver, meddow."
    assert (kind.strength, kind.source) == (9.0, str(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "rivver=river\n", "line 1 of .* expected misspelling->correction"),
        ("a.txt", "rivver->,\n", "line 1 of .* expected misspelling->correction"),
        ("a.txt", "# nothing\n", "holds no misspelling"),
        ("a.txt", "same->Same\n", "holds no misspelling"),
        ("a.csv", "wrong,correction\nx,y\n", "no column 'misspelling'; it has 'wrong', 'correction'"),
        (
            "a.csv",
            "wrong,right\nx,y\n",
            "no column 'misspelling' and no column 'correction'; it has 'wrong', 'right'",
        ),
        ("a.csv", "misspelling,correction\nx,\n", "has '' as 'correction'"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "3", "holds a int; expected an object"),
        ("a.json", '{"x": 3}', "has 3 for 'x'"),
        ("a.json", '{"x": []}', r"has \[\] for 'x'"),
        ("a.jsonl", '"x"', "is a str; expected columns misspelling and correction"),
    ],
)
def test_files_without_misspellings_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(CorpusError, match=message):
        Misspellings.from_file(tmp_path / name)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(StorageError, match=r"none\.txt' does not exist"):
        Misspellings.from_file(tmp_path / "none.txt")
    with pytest.raises(StorageError, match="is not a file"):
        PairedTexts.from_file(tmp_path, kind="negation")


def test_the_shared_dictionary_is_read_and_used(shared_dir):
    path = shared_dir / "data" / "misspellings" / "dictionary.txt"
    if not path.is_file():
        pytest.skip("no shared dictionary of misspellings")
    kind = Misspellings.from_file(path, strength=0.2)
    assert sum(map(len, kind.table.values())) > 60_000
    found = kind(ENGLISH)
    assert found.n_edits in (4, 5)  # 0.2 of 24 words
    assert found.restore() == ENGLISH
    lines = set(path.read_text(encoding="utf-8").splitlines())
    for edit in found.edits:
        wrong, right = edit.after.casefold(), edit.before.casefold()
        # Each edit is an entry of the file.
        assert any(line.casefold().startswith(f"{wrong}->") and right in line.casefold() for line in lines)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", 'text,perturbed,more\nIt rains.,"No, it does not rain.",1\nIt rains.,It is dry.,2\n'),
        ("p.jsonl", '{"text": " It rains. ", "perturbed": "No, it does not rain."}\n'
                    '{"text": "It rains.", "perturbed": "It is dry."}\n'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["negation", "paraphrase"])
def test_texts_get_their_partners(tmp_path, name, content, kind):
    (tmp_path / name).write_text(content)
    pairs = PairedTexts.from_file(tmp_path / name, kind=kind)
    seen = {pairs(" It rains.\n", seed=seed).text for seed in range(20)}
    assert seen == {" No, it does not rain.\n", " It is dry.\n"}
    assert pairs("It snows.") is None
    assert (pairs.name, pairs.keeps_meaning) == (f"paired_{kind}", kind == "paraphrase")
    assert pairs.at(0)("It rains.").text == "It rains."
    assert pairs("It rains.").restore() == "It rains."


def test_columns_of_pairs_can_be_named(tmp_path):
    (tmp_path / "p.csv").write_text("good,bad\nIt rains.,It rain.\n")
    pairs = PairedTexts.from_file(tmp_path / "p.csv", kind="paraphrase", columns=("good", "bad"))
    assert pairs("It rains.").edits == ((3, 8, "rains", "rain"),)


def test_parquet_files_are_read(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    write_table(
        pa.table({"text": ["It rains."], "perturbed": ["It is dry."], "n": [1]}), tmp_path / "p.parquet"
    )
    assert PairedTexts.from_file(tmp_path / "p.parquet", kind="negation")("It rains.").text == "It is dry."
    with pytest.raises(CorpusError, match="no column 'a'; it has 'text', 'perturbed', 'n'"):
        PairedTexts.from_file(tmp_path / "p.parquet", kind="negation", columns=("a", "text"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,other\na,b\n", "no column 'perturbed'; it has 'text', 'other'"),
        ("text,perturbed\n", "holds no row"),
    ],
)
def test_files_without_pairs_are_refused(tmp_path, content, message):
    (tmp_path / "p.csv").write_text(content)
    with pytest.raises(CorpusError, match=message):
        PairedTexts.from_file(tmp_path / "p.csv", kind="negation")


@pytest.mark.parametrize(
    ("partners", "kind", "message"),
    [
        ({}, "negation", "no paired texts came"),
        ({"a": "b"}, "negation", "expected texts that are not empty"),
        ({"a": [" "]}, "negation", "expected texts that are not empty"),
        ({"a": []}, "negation", "expected texts that are not empty"),
        ({"a": ["b"]}, "opposite", "kind 'opposite' came"),
    ],
)
def test_impossible_pairs_are_refused(partners, kind, message):
    with pytest.raises(ConfigError, match=message):
        PairedTexts(partners, kind)
