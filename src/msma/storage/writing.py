"""Files that survive a kill, a power cut and a full disk: written beside, flushed, renamed."""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msma.errors import StorageError

#: What a temporary file is called: the file's own name between a dot and a number drawn for this one writing.
_LEFTOVER = re.compile(r"\..+\.([0-9a-f]{16}|[0-9]{1,10})\.tmp")
#: What systems answer that cannot flush a folder.
_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, renamed to ``path`` when the body succeeds.

    The temporary name is drawn anew each time, so that no two processes, on one host or on several that share
    the folder, ever write to the same one. File and folder are flushed to the disk before this returns.

    Args:
        path: Where the finished file is to stand; missing folders are made.

    Yields:
        A path in the same folder, removed again when the body raises.

    Raises:
        StorageError: When the folder cannot be made, or writing or renaming fails (say, no space left).

    Examples:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a" / "b.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    final = Path(path)
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(8)}.tmp")
    try:
        _make_folder(final.parent)
        yield temporary
        with temporary.open("r+b") as written:
            os.fsync(written.fileno())
        temporary.replace(final)
        _flush_folder(final.parent)
    except StorageError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"could not write '{final}': {reason}; nothing half-written was left there. "
            "Free some space or choose another folder, then run the same command again"
        ) from error
    finally:
        with suppress(OSError):  # nothing to remove, or no such folder
            temporary.unlink()


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each flushed into the one that holds it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    """Flush a folder's list of names, where the system has such a thing."""
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(opened)


def remove_file(path: str | os.PathLike[str]) -> None:
    """Remove a file for good; nothing happens where there is none.

    Args:
        path: The file.

    Raises:
        StorageError: When it cannot be removed.

    Examples:
        >>> import tempfile
        >>> path = write_text(Path(tempfile.mkdtemp()) / "a.txt", "text")
        >>> remove_file(path)
        >>> path.exists()
        False
    """
    file = Path(path)
    try:
        file.unlink()
        _flush_folder(file.parent)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StorageError(
            f"could not remove '{file}': {error.strerror or error}; check that the folder can be written to"
        ) from error


def remove_leftovers(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove the temporary files that killed runs left in a folder; only ours, known by their names.

    Nobody else may be writing there: hold the folder's lock.

    Args:
        folder: The folder; those below it are left alone.

    Returns:
        What was removed.

    Raises:
        StorageError: When one cannot be removed.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in (".a.json.0123456789abcdef.tmp", ".notes.tmp"):
        ...     _ = (folder / name).write_text("half")
        >>> [path.name for path in remove_leftovers(folder)]
        ['.a.json.0123456789abcdef.tmp']
    """
    if not Path(folder).is_dir():
        return []
    found = sorted(path for path in Path(folder).iterdir() if _LEFTOVER.fullmatch(path.name))
    removed = [path for path in found if path.is_file() and not path.is_symlink()]
    for path in removed:
        remove_file(path)
    return removed


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a UTF-8 text file atomically; what UTF-8 has no code for is written as a backslash escape.

    Args:
        path: The file.
        text: Its whole content.

    Returns:
        The path written.

    Raises:
        StorageError: When it cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode_text(text))
    return Path(path)


def encode_text(text: str) -> bytes:
    r"""Encode as UTF-8, with halves of surrogate pairs joined, or escaped where the other half is missing.

    Args:
        text: Any text, such as came from a file that was not valid UTF-8.

    Returns:
        Its bytes; inside a JSON string they are read back as the same characters.

    Examples:
        >>> encode_text("a\udc80"), encode_text("\ud83d\ude00").decode() == "\U0001f600"
        (b'a\\udc80', True)
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return joined.encode("utf-8", "backslashreplace")
