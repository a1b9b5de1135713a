"""One reader for each kind of file: each yields where a row stands and what it holds, a row at a time."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

from msma.corpora.files import check_file, open_text, read_lines
from msma.errors import CorpusError, MissingExtraError

Paragraphs: TypeAlias = Literal["auto", "line", "blank"]
#: Where a row stands ("line 7") and what it holds: a text, or values by column.
Row: TypeAlias = tuple[str, Any]
#: Takes the kind of each column by name and returns the names wanted.
Select: TypeAlias = Callable[[Mapping[str, str]], Sequence[str]]

_LINES_LOOKED_AT = 1000
_PARQUET_ROWS = 256
_JSON_CHUNK = 1 << 16
#: Longest CSV field: what fits a 32-bit C long. The default of 131,072 characters is shorter than a novel.
_FIELD_LIMIT = 2**31 - 1
_SPACE = re.compile(r"[ \t\r\n]*")
_ENDS_SENTENCE = re.compile(r"[.!?…:;。！？][\"'”’»)\]]*$")


def open_rows(path: Path, *, paragraphs: Paragraphs, select: Select) -> Iterator[Row]:
    """Read a file by its ending.

    Args:
        path: The file.
        paragraphs: What a paragraph of a .txt file is.
        select: Chooses the columns to read, where a file stores them apart (parquet).

    Returns:
        Its rows, read as they are asked for.

    Raises:
        CorpusError: When the file is not what its ending says.
        MissingExtraError: When it is parquet and pyarrow is not installed.
    """
    ending = check_file(path)
    if ending in (".txt", ".text", ".tokens"):
        return read_paragraphs(path, paragraphs=paragraphs)
    if ending == ".jsonl":
        return read_json_lines(path)
    if ending == ".json":
        return read_json_list(path)
    if ending == ".parquet":
        return read_parquet(path, select=select)
    return read_table(path, delimiter="\t" if ending == ".tsv" else None)


def read_paragraphs(path: Path, *, paragraphs: Paragraphs) -> Iterator[Row]:
    """Read a .txt file paragraph by paragraph.

    Args:
        path: The file.
        paragraphs: "line", "blank", or "auto" for :func:`guess_paragraphs` on the first 1,000 lines.

    Yields:
        Each paragraph and its first line; the lines of a "blank" paragraph are joined by spaces.

    Raises:
        CorpusError: When the file is not UTF-8 text.
    """
    lines: Iterator[str] = read_lines(path)
    if paragraphs == "auto":
        first = list(islice(lines, _LINES_LOOKED_AT))
        paragraphs = guess_paragraphs(first)
        lines = chain(first, lines)
    if paragraphs == "line":
        yield from ((f"line {n}", text) for n, line in enumerate(lines, 1) if (text := line.strip()))
        return
    held: list[str] = []
    begin = 0
    for number, line in enumerate(chain(lines, [""]), start=1):
        if stripped := line.strip():
            begin = begin if held else number
            held.append(stripped)
        elif held:
            yield f"line {begin}", " ".join(held)
            held = []


def guess_paragraphs(lines: Iterable[str]) -> Literal["line", "blank"]:
    """Tell whether a paragraph is a line, or the lines between two empty ones.

    It is "blank" when there are empty lines and more than half of the lines that another line follows
    directly break off without a mark that ends a sentence, as they do where prose is wrapped.

    Args:
        lines: The first lines of a file.

    Returns:
        "line" or "blank".

    Examples:
        >>> guess_paragraphs(["It rained", "all day.", "", "We stayed", "in."])
        'blank'
        >>> guess_paragraphs(["It rained all day.", "We stayed in.", "", "Night fell."])
        'line'
    """
    stripped = [line.strip() for line in lines]
    while stripped and not stripped[-1]:
        stripped.pop()
    followed = [first for first, second in pairwise(stripped) if first and second]
    broken = sum(_ENDS_SENTENCE.search(line) is None for line in followed)
    return "blank" if "" in stripped and broken > len(followed) / 2 else "line"


def read_json_lines(path: Path) -> Iterator[Row]:
    """Read a file of one JSON value a line.

    Args:
        path: The file.

    Yields:
        Each value and its line; empty lines are left out.

    Raises:
        CorpusError: When a line is not JSON.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:  # a number of thousands of digits is no JSONDecodeError
            hint = (
                "a list that spans lines belongs in a .json file"
                if line.strip() == "["
                else "each line must be one whole object"
            )
            reason = f": {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
            raise CorpusError(f"line {number} of '{path}' is not JSON{reason}; {hint}") from error
        yield f"line {number}", value


def read_json_list(path: Path) -> Iterator[Row]:
    """Read a file that is one JSON list, an item at a time; a file of JSON lines is recognised.

    Args:
        path: The file.

    Yields:
        Each item and its number.

    Raises:
        CorpusError: When the file is not a list, or breaks off.
    """
    with open_text(path) as stream:
        buffer = stream.read(_JSON_CHUNK).lstrip()
    if buffer.startswith("{"):
        yield from read_json_lines(path)
        return
    if not buffer.startswith("["):
        raise CorpusError(f"'{path}' does not begin with a list; expected [...] or one object a line")
    with open_text(path) as stream:
        for number, item in enumerate(_items(stream, path), start=1):
            yield f"item {number}", item


def _items(stream: IO[str], path: Path) -> Iterator[Any]:
    """Decode list items as soon as their text is there, so that the whole list never is."""
    decoder = json.JSONDecoder()
    buffer, chunk, number, separator = stream.read(_JSON_CHUNK), _JSON_CHUNK, 1, "["
    place = _skip_space(buffer, 0)
    while True:
        try:
            if buffer[place : place + 1] != separator:
                raise ValueError(f"'{separator}' is missing")
            start = _skip_space(buffer, place + 1)
            if buffer[start : start + 1] == "]" and separator == "[":
                return
            value, end = decoder.raw_decode(buffer, start)
            end = _skip_space(buffer, end)
            if end == len(buffer):
                raise ValueError("']' is missing")
        except (ValueError, RecursionError) as error:
            more = stream.read(chunk)
            if not more:
                raise CorpusError(
                    f"item {number} of '{path}' is not JSON or breaks off ({error}); repair the file"
                ) from error
            # Doubling keeps the work linear where one item is long.
            buffer, place, chunk = buffer[place:] + more, 0, chunk * 2
            continue
        yield value
        number, place, chunk, separator = number + 1, end, _JSON_CHUNK, ","
        if buffer[place] == "]":
            return


def _skip_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found else start


def read_table(path: Path, *, delimiter: str | None) -> Iterator[Row]:
    """Read a .csv or .tsv file whose first line names the columns.

    Args:
        path: The file.
        delimiter: What parts the fields; of comma, semicolon and tab the one the first line has most of,
            when left out.

    Yields:
        Each row and the line it ends on.

    Raises:
        CorpusError: When a row has more or fewer fields than there are columns, or quotes do not pair.
    """
    lines = read_lines(path, newline="")
    first = next(lines, "")
    delimiter = delimiter or max(",;\t", key=first.count)
    csv.field_size_limit(max(csv.field_size_limit(), _FIELD_LIMIT))
    reader = csv.reader(chain([first] if first else [], lines), delimiter=delimiter, strict=True)
    try:
        columns = next(reader, [])
        if len(set(columns)) < len(columns):
            twice = next(name for name in columns if columns.count(name) > 1)
            raise CorpusError(f"'{path}' has column '{twice}' more than once; name each column once")
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(columns):
                raise CorpusError(
                    f"line {reader.line_num} of '{path}' has {len(fields)} fields; its first line names "
                    f"{len(columns)} columns: quote texts that hold {delimiter!r}"
                )
            yield f"line {reader.line_num}", dict(zip(columns, fields, strict=True))
    except csv.Error as error:
        raise CorpusError(
            f"line {reader.line_num} of '{path}' cannot be read as a table ({error}); check its quotes"
        ) from error


def read_parquet(path: Path, *, select: Select) -> Iterator[Row]:
    """Read the wanted columns of a parquet file in batches of rows.

    Args:
        path: The file.
        select: Chooses the columns.

    Yields:
        Each row and its number.

    Raises:
        CorpusError: When the file is not parquet, or damaged.
        MissingExtraError: When pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("pyarrow", extra="text") from error
    number = 0
    try:
        with ParquetFile(path) as file:
            kinds = {field.name: _kind(str(field.type)) for field in file.schema_arrow}
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=list(select(kinds))):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except (ArrowException, OSError, ValueError) as error:  # a string that is not UTF-8 is a ValueError
        reason = str(error).splitlines()[0].rstrip(". ")
        raise CorpusError(
            f"'{path}' is not a whole parquet file, read to row {number} ({reason}); make it again"
        ) from error


def _kind(arrow_type: str) -> str:
    is_text = arrow_type.removeprefix("dictionary<values=").startswith(("string", "large_string"))
    return "str" if is_text else arrow_type
