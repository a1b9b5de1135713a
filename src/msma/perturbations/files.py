"""Files of misspellings and of paired texts, read and checked."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from msma.corpora.files import read_lines
from msma.corpora.formats import open_rows
from msma.errors import CorpusError, StorageError

__all__ = ["read_misspellings", "read_pairs"]

PathLike: TypeAlias = str | os.PathLike[str]

_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")


def read_pairs(path: PathLike, *, columns: tuple[str, str]) -> Iterator[tuple[str, str, str]]:
    """Read two columns of texts.

    Args:
        path: A file of .csv, .tsv, .jsonl, .json (a list of objects) or .parquet, also .gz.
        columns: Names of the two columns.

    Yields:
        Where each row stands, and its two texts, neither of them empty.

    Raises:
        StorageError: When there is no such file.
        CorpusError: When it cannot be read, a column is missing, or a cell is no text.
    """
    file = existing(path)

    def select(kinds: Mapping[str, str]) -> tuple[str, str]:
        _check_columns(kinds, columns, f"'{path}'")
        return columns

    for place, row in open_rows(file, paragraphs="line", select=select):
        where = f"{place} of '{path}'"
        if not isinstance(row, Mapping):
            raise CorpusError(
                f"{where} is a {type(row).__name__}; expected columns {columns[0]} and {columns[1]}, as in a .csv file"
            )
        _check_columns(row, columns, where)
        one, two = (row[name] for name in columns)
        for name, text in zip(columns, (one, two), strict=True):
            if not isinstance(text, str) or not text.strip():
                raise CorpusError(f"{where} has {text!r} as '{name}'; expected a text that is not empty")
        yield where, one, two


def _check_columns(there: Mapping[str, Any], columns: tuple[str, str], where: str) -> None:
    missing = [f"'{name}'" for name in columns if name not in there]
    if missing:
        names = ", ".join(f"'{name}'" for name in there) or "nothing"
        raise CorpusError(f"{where} has no column {' and no column '.join(missing)}; it has {names}")


def read_misspellings(path: PathLike) -> dict[str, tuple[str, ...]]:
    """Read misspellings by the word that was meant.

    Args:
        path: Lines of ``misspelling->correction[, correction]``, in a file of any other ending than these: .csv, .tsv,
            .jsonl or .parquet with the columns misspelling and correction (corrections parted by commas); .json, one
            object of ``misspelling: correction`` or of ``misspelling: [corrections]``, or a list of such rows.

    Returns:
        Misspellings by correction in lower case.

    Raises:
        StorageError: When there is no such file.
        CorpusError: When it cannot be read as described, or holds none.
    """
    file = existing(path)
    ending = next((end for end in reversed(file.suffixes) if end != ".gz"), "").lower()
    if ending == ".json":
        pairs = _json_entries(file)
    elif ending in _TABLES:
        pairs = (
            (wrong, right) for _, wrong, right in read_pairs(file, columns=("misspelling", "correction"))
        )
    else:
        pairs = _arrow_entries(file)
    table: dict[str, dict[str, None]] = {}
    for wrong, rights in pairs:
        for right in filter(None, map(str.strip, rights.split(","))):
            if right.casefold() != wrong.strip().casefold():
                table.setdefault(right.casefold(), {})[wrong.strip()] = None
    if not table:
        raise CorpusError(f"'{path}' holds no misspelling; expected lines of 'misspelling->correction'")
    return {right: tuple(wrongs) for right, wrongs in table.items()}


def _arrow_entries(file: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        wrong, arrow, rights = line.strip().partition("->")
        if not arrow or not wrong.strip() or not rights.strip(" ,"):
            raise CorpusError(
                f"line {number} of '{file}' is {line.strip()[:40]!r}; expected misspelling->correction[, correction]"
            )
        yield wrong, rights


def _json_entries(file: Path) -> Iterator[tuple[str, str]]:
    text = "".join(read_lines(file))
    if text.lstrip()[:1] == "[":
        yield from (
            (wrong, right) for _, wrong, right in read_pairs(file, columns=("misspelling", "correction"))
        )
        return
    try:
        content = json.loads(text)
    except ValueError as error:
        raise CorpusError(
            f"'{file}' is not JSON ({error}); expected one object, or a list of objects"
        ) from error
    if not isinstance(content, Mapping):
        raise CorpusError(
            f"'{file}' holds a {type(content).__name__}; expected an object of misspelling: correction"
        )
    for wrong, rights in content.items():
        found = rights if isinstance(rights, list) else [rights]
        if (
            not wrong.strip()
            or not found
            or not all(isinstance(right, str) and right.strip() for right in found)
        ):
            raise CorpusError(
                f"'{file}' has {rights!r} for {wrong!r}; expected a correction or a list of them"
            )
        yield wrong, ",".join(found)


def existing(path: PathLike) -> Path:
    """Refuse a path where no file is.

    Args:
        path: The path.

    Returns:
        The file.

    Raises:
        StorageError: When there is none.
    """
    file = Path(path)
    if not file.is_file():
        raise StorageError(
            f"'{path}' {'is not a file' if file.exists() else 'does not exist'}; check the path"
        )
    return file
