"""What a file is known by: its size and its SHA-256."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from msma.errors import StorageError


class FileMark(NamedTuple):
    """What a file is known by.

    Args:
        size: Its length in bytes.
        sha256: Its SHA-256, 64 hexadecimal digits.
    """

    size: int
    sha256: str


def file_checksum(path: str | os.PathLike[str]) -> str:
    """Compute the SHA-256 of a file, in hexadecimal.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.

    Raises:
        StorageError: When the file cannot be read.
    """
    return mark_file(path).sha256


def mark_file(path: str | os.PathLike[str]) -> FileMark:
    """Take the size and the SHA-256 of a file.

    Args:
        path: The file.

    Returns:
        Both.

    Raises:
        StorageError: When the file cannot be read.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a"
        >>> _ = path.write_bytes(b"abc")
        >>> mark_file(path).size, mark_file(path).sha256[:8]
        (3, 'ba7816bf')
    """
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return FileMark(file.tell(), digest)
    except OSError as error:
        raise StorageError(f"could not read '{path}': {error.strerror}; check the path") from error


def mark_bytes(content: bytes) -> FileMark:
    """Take the size and the SHA-256 of what a file is to hold.

    Args:
        content: The bytes.

    Returns:
        Both.

    Examples:
        >>> mark_bytes(b"abc").size
        3
    """
    return FileMark(len(content), hashlib.sha256(content).hexdigest())
