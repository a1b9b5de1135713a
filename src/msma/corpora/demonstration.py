"""The corpus that ships with this package, so that everything can be tried without downloading a text."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from msma.corpora.documents import Corpus, Document, Span


def demo_corpus() -> Corpus:
    """Open the shipped corpus: English paragraphs labelled by topic, mode and sentence grammar.

    Written for this package; 16 topics in 6 modes of discourse (narrative, argument, instruction,
    description, dialogue, explanation). Each paragraph carries ``topic`` and ``mode``, each of its sentences
    ``tense`` (past, present, future, none), ``number`` of the subject (singular, plural, none), ``negated``
    and ``question``. ``docs/demo-corpus.md`` says how it was made and what it is fit for.

    Returns:
        One document a paragraph, sentence spans included.

    Examples:
        >>> corpus = demo_corpus()
        >>> sorted(corpus.peek().labels)
        ['mode', 'topic']
        >>> corpus.count()
        480
    """
    return Corpus(_read_paragraphs, source="demo")


def _read_paragraphs() -> Iterator[Document]:
    with files("msma").joinpath("data", "paragraphs.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield _paragraph(json.loads(line))


def _paragraph(entry: dict[str, Any]) -> Document:
    spans: list[Span] = []
    start = 0
    for sentence in entry["sentences"]:
        spans.append((start, start + len(sentence["text"])))
        start = spans[-1][1] + 1
    return Document(
        " ".join(sentence["text"] for sentence in entry["sentences"]),
        entry["id"],
        labels={"topic": entry["topic"], "mode": entry["mode"]},
        sentences=tuple(spans),
        sentence_labels=tuple(
            {name: value for name, value in sentence.items() if name != "text"}
            for sentence in entry["sentences"]
        ),
    )
