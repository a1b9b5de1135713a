"""Samples of an audit: parts that share no document, labels from documents or sentences, every mistake."""

import numpy as np
import pytest

from msma.corpora import Document, demo_corpus
from msma.errors import ConfigError, CorpusError
from msma.perturbations import KeyboardTypos
from msma.robustness import choose_perturbations, foreign_texts, gather_texts


def some_documents(n=60):
    return [
        Document(
            f"The boat number {i} left the harbour. It rained all day {i}. Yes.",
            f"d{i}",
            labels={"odd": i % 2},
        )
        for i in range(n)
    ]


def test_parts_share_no_document_and_keep_every_sample():
    found = gather_texts(some_documents())
    assert len(found.texts) == 120
    assert found.n_short == 60  # "Yes."
    names = {part: set(found.documents_of(part)) for part in ("train", "validation", "test")}
    assert not names["train"] & names["test"]
    assert not names["train"] & names["validation"]
    assert sum(map(len, found.parts.values())) == 120
    assert found.labels is None
    assert found.labels_of("train") == []


def test_a_whole_text_is_a_sample_where_asked_for():
    found = gather_texts(some_documents(), unit="text", label="odd")
    assert len(found.texts) == 60
    assert all(int(t.split()[3]) % 2 == v for t, v in zip(found.texts, found.labels, strict=True))


def test_sentence_labels_win_over_those_of_the_document():
    found = gather_texts(list(demo_corpus())[:80], label="tense")
    assert {"past", "present"} <= set(found.labels)
    by_document = gather_texts(list(demo_corpus())[:80], label="mode")
    assert len(set(by_document.labels)) > 2


def test_copies_of_a_text_stay_in_one_part():
    documents = [Document("The same three words again.", f"c{i}") for i in range(20)] + some_documents(40)
    found = gather_texts(documents, unit="text")
    parts = {
        part for part, index in found.parts.items() if any("same three" in found.texts[i] for i in index)
    }
    assert len(parts) == 1


def test_it_keeps_3000_samples_at_most_and_the_same_ones():
    documents = [Document(f"Line {i} of a long list of lines.", f"d{i}") for i in range(3200)]
    one, other = gather_texts(documents), gather_texts(documents)
    assert len(one.texts) == 3000
    assert one.texts == other.texts
    assert all(np.array_equal(one.parts[k], other.parts[k]) for k in one.parts)


@pytest.mark.parametrize(
    ("documents", "label", "message"),
    [
        (some_documents(10), None, "10 documents .* expected 30 or more"),
        (some_documents(), "even", "no text carries label 'even'; these have odd"),
        (
            [Document("One two three four.", str(i), labels={"x": 1}) for i in range(40)],
            "x",
            "one class \\(1\\)",
        ),
    ],
)
def test_texts_that_cannot_be_used_are_told(documents, label, message):
    with pytest.raises(CorpusError, match=message):
        gather_texts(documents, label=label)


def test_foreign_texts_are_foreign():
    found = foreign_texts()
    assert all(len(set(texts)) == 40 for texts in found.values())


def test_named_perturbations_come_at_every_strength_and_whole_text_ones_once():
    found = choose_perturbations("keyboard,shuffle,negation", (0.1, 0.2))
    assert [(one.name, one.strength) for one in found] == [
        ("keyboard", 0.1),
        ("keyboard", 0.2),
        ("shuffle", 1.0),
        ("negation", 1.0),
    ]
    own = (KeyboardTypos(0.5),)
    assert choose_perturbations(own, (0.1,)) == own


@pytest.mark.parametrize(
    ("given", "strengths", "message"),
    [
        ("typo", (0.1,), "typo"),
        ("keyboard", (), "above 0"),
        ("keyboard", (-0.1,), "above 0"),
        ("keyboard", (float("nan"),), "above 0"),
        ((), (0.1,), "0 perturbations"),
    ],
)
def test_perturbations_that_there_are_not(given, strengths, message):
    with pytest.raises(ConfigError, match=message):
        choose_perturbations(given, strengths)
