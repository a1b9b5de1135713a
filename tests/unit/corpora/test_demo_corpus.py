"""The shipped corpus is what its card says it is."""

import json
import re
from collections import Counter
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from msma.corpora import demo_corpus, group_duplicates, split_documents

CARD = Path(__file__).resolve().parents[3] / "docs" / "demo-corpus.md"
MODES = ["narrative", "argument", "instruction", "description", "dialogue", "explanation"]
TENSES = ["past", "present", "future", "none"]
NUMBERS = ["singular", "plural", "none"]
NEGATION = re.compile(r"\b(?:not|cannot|no|never|none|nobody|nothing|nowhere|neither|nor)\b|n['’]t\b", re.I)


@pytest.fixture(scope="module")
def documents():
    return list(demo_corpus())


@pytest.fixture(scope="module")
def sentences(documents):
    return [
        {"text": text, **labels, **document.labels}
        for document in documents
        for text, labels in zip(document.sentence_texts, document.sentence_labels, strict=True)
    ]


def count_tables(documents, sentences) -> str:
    """Write the tables of the card from the corpus itself."""
    n_words = {d.id: len(d.text.split()) for d in documents}
    lines = [f"{len(documents)} paragraphs, {len(sentences)} sentences, {sum(n_words.values())} words.", ""]
    for label in ("topic", "mode"):
        lines += [f"| {label} | paragraphs | sentences | words |", "|---|---|---|---|"]
        for value in sorted({d.labels[label] for d in documents}):
            held = [d for d in documents if d.labels[label] == value]
            n_sentences = sum(len(d.sentences) for d in held)
            lines.append(f"| {value} | {len(held)} | {n_sentences} | {sum(n_words[d.id] for d in held)} |")
        lines.append("")
    lines += ["| sentence label | value | sentences | share |", "|---|---|---|---|"]
    values = {"tense": TENSES, "number": NUMBERS, "negated": [True, False], "question": [True, False]}
    for label, names in values.items():
        counts = Counter(s[label] for s in sentences)
        for value in names:
            share = f"{100 * counts[value] / len(sentences):.1f} %"
            lines.append(f"| {label} | {str(value).lower()} | {counts[value]} | {share} |")
    lines += ["", f"| tense by mode | {' | '.join(TENSES)} |", "|---|---|---|---|---|"]
    for mode in MODES:
        counts = Counter(s["tense"] for s in sentences if s["mode"] == mode)
        lines.append(f"| {mode} | {' | '.join(str(counts[tense]) for tense in TENSES)} |")
    return "\n".join(lines)


def test_the_card_counts_what_is_in_the_file(documents, sentences):
    if not CARD.is_file():
        pytest.skip("the card is not beside these tests")
    between = re.search(r"<!-- counts -->\n(.*)\n<!-- end of counts -->", CARD.read_text("utf-8"), re.S)
    assert between is not None
    assert between[1].strip() == count_tables(documents, sentences), "paste what count_tables returns"


def test_it_is_large_balanced_and_whole(documents):
    topics = Counter(d.labels["topic"] for d in documents)
    cells = Counter((d.labels["topic"], d.labels["mode"]) for d in documents)
    assert len(documents) >= 300
    assert len(topics) >= 12
    assert {d.labels["mode"] for d in documents} == set(MODES)
    assert set(cells.values()) == {5}, "every topic in every mode, equally often"
    assert len(cells) == len(topics) * len(MODES)
    for document in documents:
        topic, mode, number = document.id.split("-")
        assert document.labels == {"topic": topic, "mode": mode}
        assert number in "12345"
        assert 4 <= len(document.sentences) <= 9
        assert 45 <= len(document.text.split()) <= 130
    assert len({d.id for d in documents}) == len(documents)


def test_spans_are_the_sentences_joined_by_single_spaces(documents):
    for document in documents:
        assert " ".join(document.sentence_texts) == document.text
        assert all(second[0] - first[1] == 1 for first, second in pairwise(document.sentences))
        assert "  " not in document.text
        assert document.text.strip() == document.text


def test_no_sentence_is_there_twice(sentences):
    counts = Counter(" ".join(re.findall(r"\w+", s["text"].casefold())) for s in sentences)
    assert [text for text, count in counts.items() if count > 1] == []


def test_no_long_phrase_recurs_as_it_would_in_a_template(documents):
    seen: dict[tuple[str, ...], str] = {}
    for document in documents:
        words = re.findall(r"[\w'’]+", document.text.casefold())
        for start in range(len(words) - 6):
            owner = seen.setdefault(tuple(words[start : start + 7]), document.id)
            assert owner == document.id, words[start : start + 7]
    openings = Counter(" ".join(d.text.split()[:2]) for d in documents)
    assert openings.most_common(1)[0][1] <= 8


def test_labels_follow_their_definitions(sentences):
    for sentence in sentences:
        text = sentence["text"]
        assert sentence["tense"] in TENSES
        assert sentence["number"] in NUMBERS
        assert (sentence["tense"] == "none") == (sentence["number"] == "none"), text
        assert sentence["negated"] is bool(NEGATION.search(text)), text
        assert sentence["question"] is ("?" in text), text
        assert re.search(r"[.!?…][\"'”’)]*$", text), text
        if sentence["tense"] == "future":
            assert re.search(r"\b(?:will|shall|won't|shan't|going to)\b|'ll\b", text, re.I), text


def test_every_label_is_common_enough_to_probe_and_no_mode_owns_a_tense(sentences):
    def shares(label, held):
        return {value: count / len(held) for value, count in Counter(s[label] for s in held).items()}

    assert min(shares("tense", sentences).values()) > 0.08
    assert min(shares("number", sentences).values()) > 0.08
    assert 0.18 < shares("negated", sentences)[True] < 0.3
    assert 0.1 < shares("question", sentences)[True] < 0.2
    for mode in MODES:
        held = shares("tense", [s for s in sentences if s["mode"] == mode])
        assert min(held[tense] for tense in ("past", "present", "future")) > 0.05, mode


def test_it_splits_without_leaking(documents):
    ids = [d.id for d in documents]
    assert group_duplicates(ids, [d.text for d in documents]) == ids
    parts = split_documents(ids)
    assert [len(part) for part in parts.values()] == [288, 96, 96]
    for part in parts.values():
        assert {documents[i].labels["topic"] for i in part} == {d.labels["topic"] for d in documents}


def test_the_file_is_plain_json_lines_in_order():
    lines = files("msma").joinpath("data", "paragraphs.jsonl").read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    assert all(list(entry) == ["id", "topic", "mode", "sentences"] for entry in entries)
    assert [e["topic"] for e in entries] == sorted(e["topic"] for e in entries)
    keys = ["text", "tense", "number", "negated", "question"]
    assert all(list(sentence) == keys for entry in entries for sentence in entry["sentences"])
