"""Whatever texts come as, one record at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from msma.errors import CorpusError
from msma.extraction.tokens import Record


class TextStream:
    """Walk over texts or documents once, skipping empty ones, a window at a time.

    Args:
        texts: Strings, or records with ``text``, ``id``, ``labels``, ``sentences`` and ``sentence_labels``.
        documents: The document of each text; its own ``id``, else its position, when left out.
        labels: Columns of labels, one value a text; its own labels when left out.

    Raises:
        CorpusError: When a single string came in place of texts.

    Examples:
        >>> stream = TextStream(["One.", " ", "Two."])
        >>> [[record.text for record in window] for window in stream.windows(5)], stream.n_empty
        ([['One.', 'Two.']], 1)
    """

    def __init__(
        self,
        texts: Iterable[Any],
        *,
        documents: Iterable[Any] | None = None,
        labels: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        if isinstance(texts, (str, bytes)):
            raise CorpusError(
                f"a single string of {len(texts)} characters came; give a list of texts, "
                "or read a file with msma.read_documents"
            )
        self._texts = texts
        self._documents = documents
        self._labels = labels
        self.n_empty = 0
        self.n_texts = 0

    def windows(self, size: int) -> Iterator[list[Record]]:
        """Give the next records, never holding more than one window.

        Args:
            size: Records a window.

        Yields:
            The records of the next window.
        """
        records = self._records()
        while window := list(islice(records, size)):
            yield window

    def _records(self) -> Iterator[Record]:
        documents = None if self._documents is None else iter(self._documents)
        for position, item in enumerate(self._texts):
            self.n_texts = position + 1
            text = getattr(item, "text", item)
            if not isinstance(text, str):
                raise CorpusError(
                    f"text {position} is a {type(text).__name__}; give strings, or records with a .text"
                )
            document = _document(item, position, documents)
            labels = self._labels_of(item, position)
            if not text.strip():
                self.n_empty += 1
                continue
            yield Record(
                position=position,
                text=text,
                document=document,
                labels=labels,
                sentences=getattr(item, "sentences", None),
                sentence_labels=getattr(item, "sentence_labels", None),
            )
        if self._labels is not None:
            for name, column in self._labels.items():
                if len(column) != self.n_texts:
                    raise CorpusError(
                        f"{len(column)} labels '{name}' came for {self.n_texts} texts; give one a text"
                    )
        if documents is not None and next(documents, None) is not None:
            raise CorpusError(f"more documents than the {self.n_texts} texts came; give one a text")

    def _labels_of(self, item: Any, position: int) -> Mapping[str, Any]:
        if self._labels is not None:
            short = [name for name, column in self._labels.items() if position >= len(column)]
            if short:
                raise CorpusError(f"there is no label '{short[0]}' for text {position}; give one a text")
            return {name: column[position] for name, column in self._labels.items()}
        own: Mapping[str, Any] = getattr(item, "labels", None) or {}
        return own


def _document(item: Any, position: int, documents: Iterator[Any] | None) -> str:
    if documents is None:
        own = getattr(item, "id", None)
        return str(position if own is None else own)
    try:
        return str(next(documents))
    except StopIteration:
        raise CorpusError(f"there is no document for text {position}; give one a text") from None
