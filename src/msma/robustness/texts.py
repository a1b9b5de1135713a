"""The texts of a robustness audit: sentences in three parts by document, perturbed copies, foreign ones."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from msma.corpora import Document, group_duplicates, split_documents, split_sentences
from msma.errors import CorpusError

Unit = Literal["text", "sentence"]
#: Samples kept at most, documents that are needed, and words that a sample must have.
_MOST, _FEWEST, _FEWEST_WORDS = 3000, 30, 3
_FRACTIONS = (0.6, 0.2, 0.2)


@dataclass(frozen=True, eq=False)
class AuditTexts:
    """Samples with their documents and labels, and which part each belongs to.

    Args:
        texts: The samples.
        documents: The document of each; copies of one text share one.
        labels: A label a sample, where one was asked for.
        parts: Places of the samples of "train", "validation" and "test".
        n_short: Samples left out because they have fewer than three words.
    """

    texts: tuple[str, ...]
    documents: tuple[str, ...]
    labels: tuple[Any, ...] | None
    parts: Mapping[str, Int[np.ndarray, " k"]]
    n_short: int

    def of(self, part: str) -> list[str]:
        """Give the texts of a part.

        Args:
            part: Its name.

        Returns:
            The texts.
        """
        return [self.texts[i] for i in self.parts[part]]

    def documents_of(self, part: str) -> list[str]:
        """Give the document of each text of a part.

        Args:
            part: Its name.

        Returns:
            Documents.
        """
        return [self.documents[i] for i in self.parts[part]]

    def labels_of(self, part: str) -> list[Any]:
        """Give the labels of a part; only where there are labels.

        Args:
            part: Its name.

        Returns:
            Labels.
        """
        return [] if self.labels is None else [self.labels[i] for i in self.parts[part]]


def gather_texts(
    documents: Sequence[Document], *, unit: Unit = "sentence", label: str | None = None, seed: int = 0
) -> AuditTexts:
    """Take samples out of documents and divide them by document.

    Args:
        documents: The documents.
        unit: A sample is a "sentence", read by itself, or a whole "text".
        label: Column of labels, of the document or of its sentences; samples without one are left out.
        seed: Fixes the parts, and which samples are kept where there are more than 3,000.

    Returns:
        The samples.

    Raises:
        CorpusError: When there are too few documents, or the label is missing or has one class.
    """
    rows: list[tuple[str, str, Any]] = []
    n_short = 0
    for document in documents:
        for text, value in _samples(document, unit=unit, label=label):
            if label is not None and value is None:
                continue
            if len(text.split()) < _FEWEST_WORDS:
                n_short += 1
                continue
            rows.append((text, document.id, value))
    if label is not None:
        _check_label(documents, rows, label)
    if len(rows) > _MOST:
        kept = np.random.default_rng([seed, 11]).choice(len(rows), _MOST, replace=False)
        rows = [rows[i] for i in sorted(kept)]
    texts = tuple(text for text, _, _ in rows)
    names = tuple(map(str, group_duplicates([name for _, name, _ in rows], texts)))
    if len(set(names)) < _FEWEST:
        raise CorpusError(
            f"{len(set(names))} documents with texts of {_FEWEST_WORDS} words or more came; expected {_FEWEST} or "
            "more, and hundreds are better"
        )
    parts = split_documents(list(names), seed=seed, fractions=_FRACTIONS)
    labels = None if label is None else tuple(value for _, _, value in rows)
    return AuditTexts(texts, names, labels, {str(k): v for k, v in parts.items()}, n_short)


def _samples(document: Document, *, unit: Unit, label: str | None) -> list[tuple[str, Any]]:
    whole = document.labels.get(label) if label else None
    if unit == "text":
        return [(document.text, whole)]
    spans = document.sentences or tuple(split_sentences(document.text))
    own = document.sentence_labels if document.sentences is not None else None
    return [
        (document.text[slice(*span)], own[i].get(label, whole) if own is not None and label else whole)
        for i, span in enumerate(spans)
    ]


def _check_label(documents: Sequence[Document], rows: Sequence[tuple[str, str, Any]], label: str) -> None:
    if not rows:
        known = sorted({name for document in documents for name in document.labels})
        raise CorpusError(f"no text carries label '{label}'; these have {', '.join(known) or 'no labels'}")
    classes = {value for _, _, value in rows}
    if len(classes) < 2:
        raise CorpusError(
            f"label '{label}' has one class ({next(iter(classes))!r}) in {len(rows)} texts; give texts of two or more"
        )


@cache
def foreign_texts() -> Mapping[str, tuple[str, ...]]:
    """Give texts that are not ordinary English: other languages, other kinds of text; written for this package.

    Returns:
        "other language": 40 sentences in German, French, Spanish and Italian; "other domain": 40 lines of contracts,
        logs, code, laboratory notes, instructions and mathematics.

    Examples:
        >>> {name: len(texts) for name, texts in foreign_texts().items()}
        {'other language': 40, 'other domain': 40}
    """
    content = json.loads(files("msma").joinpath("data/other_texts.json").read_text(encoding="utf-8"))
    return {
        "other language": tuple(content["language"]),
        "other domain": tuple(content["domain"]),
    }
