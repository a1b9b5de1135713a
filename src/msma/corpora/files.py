"""Files of texts, opened and checked: endings, compression, encoding."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import IO

from msma.errors import CorpusError

#: Endings that can be read, each also with ``.gz`` except parquet, which compresses itself.
ENDINGS = (".txt", ".text", ".tokens", ".jsonl", ".json", ".csv", ".tsv", ".parquet")

#: First bytes of what is often mistaken for a text file.
_MAGIC = (
    (b"\x1f\x8b", "gzip-compressed; add .gz to its name"),
    (b"PAR1", "a parquet file; name it .parquet"),
    (b"PK\x03\x04", "a zip archive or an office document; save its text as .txt or .csv"),
    (b"%PDF", "a PDF; save its text as .txt"),
    (b"\xff\xfe", "UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "UTF-16; save it as UTF-8"),
)


def ending_of(path: Path) -> str:
    """Tell by which ending a file is read, ``.gz`` left out.

    Args:
        path: The file.

    Returns:
        One of :data:`ENDINGS`, or what else the name ends in.

    Examples:
        >>> ending_of(Path("a/b.JSONL.gz"))
        '.jsonl'
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"] and suffixes[-2:-1] != [".parquet"]:
        return suffixes[-2] if len(suffixes) > 1 else ".gz"
    return suffixes[-1] if suffixes else ""


def check_file(path: Path) -> str:
    """Check that a file is there, is not empty, and begins as its ending promises.

    Args:
        path: The file.

    Returns:
        Its ending, from :func:`ending_of`.

    Raises:
        CorpusError: When it is missing, a folder, empty, of an unknown ending, or something else inside.
    """
    try:
        _check_place(path)
        ending = _check_ending(path)
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError as error:
        raise CorpusError(
            f"could not read '{path}': {error.strerror}; check its permissions and its name"
        ) from error
    if not start:
        raise CorpusError(f"'{path}' is empty (0 bytes); give a file that holds texts")
    if ending != ".parquet" and path.suffix.lower() != ".gz":
        for magic, truth in _MAGIC:
            if start.startswith(magic):
                raise CorpusError(f"'{path}' is not text but {truth}")
    return ending


def _check_place(path: Path) -> None:
    if path.is_dir():
        held = sorted(p.name for p in path.iterdir() if ending_of(p) in ENDINGS)
        hint = f"give one of its files, such as '{held[0]}'" if held else "give a file of texts"
        raise CorpusError(f"'{path}' is a folder; {hint}")
    if not path.exists():
        folder = path.parent
        beside = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        near = get_close_matches(path.name, beside, n=1)
        hint = f"did you mean '{folder / near[0]}'?" if near else "check the path"
        raise CorpusError(f"there is no file '{path}'; {hint}")
    if not path.is_file():  # opening a pipe waits for whoever writes to it, for ever if need be
        raise CorpusError(
            f"'{path}' is a pipe or a device, and texts are read more than once; save them as a file"
        )


def _check_ending(path: Path) -> str:
    ending = ending_of(path)
    if ending not in ENDINGS:
        shown = f"ends in '{ending}'" if ending else "has no ending"
        raise CorpusError(
            f"'{path}' {shown}; expected one of {', '.join(ENDINGS)} (also .txt.gz and so on): rename or convert it"
        )
    return ending


@contextmanager
def open_text(path: Path, *, newline: str | None = None) -> Iterator[IO[str]]:
    """Open a plain or gzip-compressed text file; bytes that are not UTF-8 come as lone surrogates.

    Args:
        path: The file.
        newline: As in the built-in ``open``.

    Yields:
        The open file.

    Raises:
        CorpusError: When it cannot be opened or decompressed to the end.
    """
    try:
        with (
            gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream,
            io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline=newline) as text,
        ):
            yield text
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"'{path}' is not a whole gzip file ({error}); compress it again") from error
    except OSError as error:
        raise CorpusError(
            f"could not read '{path}': {error.strerror or error}; check the file and its permissions"
        ) from error


def read_lines(path: Path, *, newline: str | None = None) -> Iterator[str]:
    """Read the lines of a text file one by one, refusing what is not text.

    Args:
        path: The file.
        newline: As in the built-in ``open``.

    Yields:
        Each line with its line end.

    Raises:
        CorpusError: When a line holds a NUL byte or is not UTF-8, or the file cannot be read.
    """
    with open_text(path, newline=newline) as text:
        for number, line in enumerate(text, start=1):
            where = f"line {number} of '{path}'"
            if "\0" in line:
                raise CorpusError(f"{where} holds a NUL byte: the file is binary or damaged; give UTF-8 text")
            check_text(line, where)
            yield line


def check_text(text: str, where: str) -> None:
    r"""Check that a text can be handed to a tokenizer.

    Args:
        text: The text.
        where: Where it stands, for the message.

    Raises:
        CorpusError: When it holds a byte that is not UTF-8, or half a surrogate pair.

    Examples:
        >>> check_text("Ren\udce9", "line 7 of 'menu.txt'")
        Traceback (most recent call last):
        ...
        msma.errors.CorpusError: line 7 of 'menu.txt' is not UTF-8 (byte 0xe9 after 3 characters); save it as UTF-8
    """
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            raise CorpusError(
                f"{where} is not UTF-8 (byte {code - 0xDC00:#04x} after {error.start} characters); save it as UTF-8"
            ) from None
        raise CorpusError(
            f"{where} holds half a character (surrogate {code:#06x} after {error.start} characters); repair it"
        ) from None
