"""Which column holds what, and rows made into documents."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from msma.corpora.documents import Document, Label
from msma.corpora.files import check_text
from msma.corpora.formats import Row
from msma.errors import CorpusError

#: Names a column of texts usually has, likeliest first.
USUAL_NAMES = ("text", "sentence", "content", "document", "body", "paragraph", "story", "review", "article")
#: Kinds of a first value that a column of texts may begin with.
_TEXT_KINDS = ("str", "NoneType")
_MOST_SHOWN = 12


@dataclass(frozen=True)
class Wanted:
    """Which columns of a source were asked for.

    Args:
        source: Name of the source, for messages.
        column: Column of the texts, if named.
        id_column: Column of the document ids, if any.
        labels: Columns of labels.
    """

    source: str
    column: str | None
    id_column: str | None
    labels: tuple[str, ...]

    def select(self, kinds: Mapping[str, str]) -> tuple[str, ...]:
        """Choose the column of texts and check that every column asked for is there.

        Args:
            kinds: What each column holds, by name; "str" is text.

        Returns:
            The column of texts, then those of ids and labels.

        Raises:
            CorpusError: When a column is missing, is not text, or cannot be chosen.

        Examples:
            >>> Wanted("a.csv", None, None, ()).select({"id": "int", "review": "str", "text": "str"})
            ('text',)
        """
        others = tuple(name for name in (self.id_column, *self.labels) if name is not None)
        for name in (self.column, *others):
            if name is not None and name not in kinds:
                near = get_close_matches(name, kinds, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"it has {_listed(kinds)}"
                if near and len(kinds) > 1:
                    hint += f" It has {_listed(kinds)}"
                raise CorpusError(f"'{self.source}' has no column '{name}'; {hint}")
        texts = [name for name, kind in kinds.items() if kind in _TEXT_KINDS and name not in others]
        if self.column is not None:
            if kinds[self.column] not in _TEXT_KINDS:
                raise CorpusError(
                    f"column '{self.column}' of '{self.source}' holds {kinds[self.column]}, not text; "
                    f"columns of text are {_listed(texts) or 'none'}"
                )
            return (self.column, *others)
        if not texts:
            raise CorpusError(
                f"'{self.source}' has no column of texts; it has {_listed(kinds) or 'no column'}: "
                "name the column of texts"
            )
        usual = {name.casefold(): name for name in reversed(texts)}
        found = [usual[name] for name in USUAL_NAMES if name in usual]
        if not found and len(texts) > 1:
            raise CorpusError(
                f"'{self.source}' has several columns of text, {_listed(texts)}; name one of them"
            )
        return ((found or texts)[0], *others)


def _listed(names: Iterable[str]) -> str:
    names = [f"'{name}'" for name in names]
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def to_documents(rows: Iterable[Row], wanted: Wanted) -> Iterator[Document]:
    """Make rows into documents.

    Args:
        rows: Where each row stands, and a text, a mapping, or a document.
        wanted: The columns asked for.

    Yields:
        One document a row; its id is the row's number from 0 where no column gives one.

    Raises:
        CorpusError: When a row is something else, or lacks a column.
    """
    columns: tuple[str, ...] | None = None
    for number, (place, row) in enumerate(rows):
        where = f"{place} of '{wanted.source}'"
        if isinstance(row, Document):
            check_text(row.text, where)
            yield row
        elif isinstance(row, str):
            if asked := wanted.column or wanted.id_column or next(iter(wanted.labels), None):
                raise CorpusError(
                    f"column '{asked}' was asked for, but {where} is a plain text; leave columns out"
                )
            check_text(row, where)
            yield Document(row.strip(), str(number))
        elif isinstance(row, Mapping):
            columns = columns or wanted.select({name: type(value).__name__ for name, value in row.items()})
            yield _to_document(row, wanted, column=columns[0], number=number, where=where)
        else:
            raise CorpusError(
                f"{where} is {_shown(row)}; expected a text, or a mapping with the text under a name"
            )


def _to_document(row: Mapping[str, Any], wanted: Wanted, *, column: str, number: int, where: str) -> Document:
    for name in (column, wanted.id_column):
        if name is not None and name not in row:
            raise CorpusError(f"{where} has no '{name}'; it has {_listed(row) or 'nothing'}")
    text = "" if row[column] is None else row[column]
    if not isinstance(text, str):
        raise CorpusError(f"{where} has {_shown(text)} as '{column}'; expected a text")
    check_text(text, where)
    identity = str(number)
    if wanted.id_column is not None:
        value = row[wanted.id_column]
        if value is None or value == "" or isinstance(value, list | dict):
            raise CorpusError(
                f"{where} has {_shown(value)} as its id '{wanted.id_column}'; give every row an id"
            )
        identity = str(value)
        check_text(identity, where)
    labels = {name: _label(row.get(name), name, where) for name in wanted.labels}
    return Document(text.strip(), identity, labels=labels)


def _label(value: Any, name: str, where: str) -> Label:
    """Take a label as it is; an empty cell and NaN are no label."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, str):
        check_text(value, where)
    if not isinstance(value, str | int | float | bool):
        raise CorpusError(
            f"{where} has {_shown(value)} as label '{name}'; expected text, a number, true or false"
        )
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
