"""What a corpus is like before it is read: how many texts, and a sample of them."""

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from heapq import heappush, heapreplace
from typing import Any

from msma.corpora import Document
from msma.errors import ConfigError
from msma.extraction.corpus import TextStream
from msma.extraction.tokens import Record

#: Texts from whose tokens the whole is estimated.
_PROBED = 256


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is known of a corpus before it is read.

    Args:
        n_texts: Texts; ``None`` where they cannot be counted without using them up.
        sample: Some of them.
    """

    n_texts: int | None
    sample: tuple[Record, ...]

    @property
    def characters_per_text(self) -> float:
        """Mean length of the sample's texts; 0 without a sample."""
        return sum(len(record.text) for record in self.sample) / max(1, len(self.sample))


def is_repeatable(texts: Iterable[Any]) -> bool:
    """Tell whether texts can be walked through more than once.

    Args:
        texts: Any iterable.

    Returns:
        False for iterators and generators.

    Examples:
        >>> is_repeatable(["a"]), is_repeatable(iter(["a"]))
        (True, False)
    """
    return not isinstance(texts, Iterator)


def survey_texts(texts: Iterable[Any], *, has_to_count: bool) -> Survey:
    """Look at a corpus before it is read.

    Args:
        texts: The corpus.
        has_to_count: Walk through all of it where its length is not known.

    Returns:
        Number of texts and every so-manieth of them where they were counted, else the first ones.

    Examples:
        >>> survey_texts(["One.", "", "Two."], has_to_count=False).n_texts
        3
    """
    if not is_repeatable(texts):
        return Survey(n_texts=None, sample=())
    known = len(texts) if isinstance(texts, Sized) else None
    sample: list[Record] = []
    step = 1
    stream = TextStream(texts)
    for number, record in enumerate(record for window in stream.windows(64) for record in window):
        if number % step == 0:
            sample.append(record)
        if len(sample) > _PROBED:
            if known is not None or not has_to_count:
                break
            # Every second one of those kept, and half as many from now on: spread evenly over the corpus.
            sample, step = sample[::2], step * 2
    else:
        known = stream.n_texts
    return Survey(n_texts=known, sample=tuple(sample[:_PROBED]))


def choose_documents(
    texts: Iterable[Any],
    *,
    size: int,
    rank: Callable[[str], int | None],
    documents: Iterable[Any] | None = None,
    share: float = 1.0,
) -> list[Document]:
    """Choose texts of the documents that rank first, for the pass that finds the scales.

    Args:
        texts: The corpus; must be repeatable.
        size: Texts, at most.
        rank: Rank of a document by its name; ``None`` leaves it out.
        documents: The document of each text.
        share: Share of the documents that may be taken.

    Returns:
        The texts, in corpus order.

    Raises:
        ConfigError: When the texts can be walked through only once.

    Examples:
        >>> chosen = choose_documents(["a b", "c d", "e f", "g h"], size=2, rank=lambda name: -int(name))
        >>> [document.id for document in chosen]
        ['2', '3']
    """
    if not is_repeatable(texts):
        raise ConfigError(
            "texts that can be walked through only once came, and finding the scales needs a pass of its own; "
            "give a list or a file, or the scales: scales='0-2|3-8|9-12'"
        )
    ranks: set[int] = set()
    heap: list[tuple[int, int, Record]] = []
    for record in _walk(texts, documents):
        place = rank(record.document)
        if place is None:
            continue
        if share < 1:
            ranks.add(place)
        # A heap gives its smallest: with signs turned, the one that ranks last, which goes first.
        entry = (-place, -record.position, record)
        if len(heap) < size:
            heappush(heap, entry)
        elif entry[:2] > heap[0][:2]:
            heapreplace(heap, entry)
    if share < 1:
        allowed = set(sorted(ranks)[: max(1, int(share * len(ranks)))])
        heap = [entry for entry in heap if -entry[0] in allowed]
    return [_document(entry[2]) for entry in sorted(heap, key=lambda entry: -entry[1])]


def _walk(texts: Iterable[Any], documents: Iterable[Any] | None) -> Iterator[Record]:
    for window in TextStream(texts, documents=documents).windows(256):
        yield from window


def _document(record: Record) -> Document:
    return Document(
        record.text,
        record.document,
        labels=record.labels,
        sentences=None if record.sentences is None else tuple(record.sentences),
        sentence_labels=None if record.sentence_labels is None else tuple(record.sentence_labels),
    )
