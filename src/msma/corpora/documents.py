"""A document, and a corpus of documents that can be walked through more than once."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, pairwise
from typing import TypeAlias

from msma.errors import CorpusError

#: Value of a label; ``None`` where a document has none.
Label: TypeAlias = str | int | float | bool | None
#: Where a piece of text begins and ends, in characters.
Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Document:
    """One text with its identity and its labels.

    Args:
        text: The text.
        id: The document it belongs to; texts that share an id are never put on two sides of a split.
        labels: Labels of the whole text.
        sentences: Character spans of its sentences, where they are known.
        sentence_labels: Labels of each sentence.

    Raises:
        CorpusError: When spans leave the text, overlap or are out of order, or when there is not one mapping
            of sentence labels for each span.

    Examples:
        >>> document = Document("It rains. I stay.", "diary-1", sentences=((0, 9), (10, 17)))
        >>> document.sentence_texts
        ('It rains.', 'I stay.')
    """

    text: str
    id: str
    labels: Mapping[str, Label] = field(default_factory=dict, kw_only=True)
    sentences: tuple[Span, ...] | None = field(default=None, kw_only=True)
    sentence_labels: tuple[Mapping[str, Label], ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        spans = self.sentences or ()
        if any(not 0 <= start < end <= len(self.text) for start, end in spans):
            raise CorpusError(
                f"document '{self.id}' has {len(self.text)} characters and a sentence span outside them; "
                f"expected 0 <= start < end <= {len(self.text)}"
            )
        if any(first[1] > second[0] for first, second in pairwise(spans)):
            raise CorpusError(f"sentence spans of document '{self.id}' overlap; give them in order and apart")
        if self.sentence_labels is not None and len(self.sentence_labels) != len(spans):
            raise CorpusError(
                f"document '{self.id}' has {len(self.sentence_labels)} sentence labels for {len(spans)} "
                "sentences; give one mapping a sentence"
            )

    @property
    def sentence_texts(self) -> tuple[str, ...]:
        """The sentences themselves; empty where spans are not known."""
        return tuple(self.text[start:end] for start, end in self.sentences or ())


class Corpus:
    """Documents that come afresh each time they are asked for, never all in memory at once.

    Args:
        opener: Called for each walk; returns the documents from the first.
        source: Where the documents come from, for people to read.

    Examples:
        >>> corpus = Corpus(lambda: iter([Document("It rains.", "1")]), source="diary")
        >>> [document.text for document in corpus], corpus.count()
        (['It rains.'], 1)
    """

    def __init__(self, opener: Callable[[], Iterator[Document]], *, source: str) -> None:
        self._opener = opener
        self._peeked: Iterator[Document] | None = None
        self.source = source

    def __repr__(self) -> str:
        return f"Corpus({self.source!r})"

    def __iter__(self) -> Iterator[Document]:
        if self._peeked is not None:
            documents, self._peeked = self._peeked, None
            return documents
        return self._opener()

    def peek(self) -> Document:
        """Read the first document, so that a mistake in the source shows before any work is done.

        The walk it begins is the next one asked for, so that nothing is opened twice.

        Returns:
            The first document.

        Raises:
            CorpusError: When the source cannot be read or holds no text.
        """
        documents = iter(self)
        first = next(documents, None)
        if first is None:
            raise CorpusError(f"'{self.source}' holds no text; give a source with at least one")
        self._peeked = chain([first], documents)
        return first

    @cached_property
    def _summary(self) -> tuple[int, str]:
        count, digest = 0, hashlib.sha256()
        for document in self:
            count += 1
            digest.update(hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).digest())
        return count, digest.hexdigest()

    def count(self) -> int:
        """Count the documents; the first call walks through all of them.

        Returns:
            How many there are.
        """
        return self._summary[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the texts, in order; the first call walks through all of them."""
        return self._summary[1]
