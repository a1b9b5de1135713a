"""One process a folder: the kernel's own lock, which ends with the process that holds it, however it ends."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

from msma.errors import StorageError

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

_LOCK, _HOLDER = ".lock", ".lock.holder"
#: Files that only say who works in a folder.
LOCK_FILES = (_LOCK, _HOLDER)


class _Hold(NamedTuple):
    """Who in this process holds a folder, and how often it was asked for."""

    process: int
    thread: int
    times: int


_HELD: dict[Path, _Hold] = {}


@contextmanager
def folder_lock(folder: str | os.PathLike[str] | None, *, what: str) -> Iterator[None]:
    """Hold a folder alone; whoever asks for it meanwhile is refused at once and told who holds it.

    The lock is a file ``.lock`` that the kernel knows to be locked, so it ends with its process even when that
    is killed, and a file left behind never stands in the way. The same thread may ask again for what it holds.
    Where the folder is shared between hosts, the file system has to know locks between hosts (NFS 4 does).

    Args:
        folder: The folder, made when it is not there; ``None``, for work in memory, holds nothing.
        what: What is being done there, in a few words ("an extraction"), for the message to others.

    Yields:
        Nothing.

    Raises:
        StorageError: When another process or thread holds the folder, or it cannot be written to.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with folder_lock(folder, what="an extraction"):
        ...     print(holds_lock(folder))
        True
        >>> holds_lock(folder)
        False
    """
    if folder is None:
        yield
        return
    is_new = not Path(folder).exists()
    place = _make_folder(Path(folder))
    was_empty = is_new or not any(place.iterdir())
    mine = _Hold(os.getpid(), threading.get_ident(), 1)
    hold = _HELD.get(place)
    if hold is not None and hold[:2] == mine[:2]:
        _HELD[place] = hold._replace(times=hold.times + 1)
        try:
            yield
        finally:
            _HELD[place] = hold
        return
    with _kernel_lock(place):
        _HELD[place] = mine
        try:
            _write_holder(place, what)
            yield
        finally:
            with suppress(OSError):
                (place / _HOLDER).unlink()
            if was_empty:
                _leave_no_trace(place, is_new=is_new)
            _HELD.pop(place, None)


def locked(what: str) -> Callable[[Callable[Arguments, Answer]], Callable[Arguments, Answer]]:
    """Let a function hold the folder that it is given as ``out`` alone while it runs; see :func:`folder_lock`.

    Args:
        what: What it does there, in a few words.

    Returns:
        A decorator.

    Examples:
        >>> @locked("a test")
        ... def work(*, out=None):
        ...     return out is None or holds_lock(out)
        >>> import tempfile
        >>> work(), work(out=tempfile.mkdtemp())
        (True, True)
    """

    def decorate(function: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
        @wraps(function)
        def run(*args: Arguments.args, **options: Arguments.kwargs) -> Answer:
            out: Any = options.get("out")
            with folder_lock(out, what=what):
                return function(*args, **options)

        return run

    return decorate


def holds_lock(folder: str | os.PathLike[str]) -> bool:
    """Tell whether this process holds a folder; one it was forked from does not count.

    Args:
        folder: The folder.

    Returns:
        Whether it does.
    """
    hold = _HELD.get(Path(folder).resolve())
    return hold is not None and hold.process == os.getpid()


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return folder.resolve()
    except (FileExistsError, NotADirectoryError) as error:
        raise StorageError(f"'{folder}' is a file, or lies below one; give a folder") from error
    except OSError as error:
        raise StorageError(_unwritable(folder, error)) from error


def _unwritable(folder: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"'{folder}' cannot be written to ({reason}); choose another folder, or make that one writable"


@contextmanager
def _kernel_lock(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(str(folder / _LOCK), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        if not (folder / _LOCK).exists():  # some systems answer so where no file can be made
            raise StorageError(_unwritable(folder, FileNotFoundError("no lock file can be made"))) from error
        raise StorageError(
            f"'{folder}' is in use by {_read_holder(folder)}; wait until that has ended, or choose another folder"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise StorageError(_unwritable(folder, error)) from error
    try:
        yield
    finally:
        lock.release()


def _leave_no_trace(folder: Path, *, is_new: bool) -> None:
    """Leave nothing where nothing was done; while the lock is held, so that nobody else is in the folder."""
    with suppress(OSError):
        if os.listdir(folder) == [_LOCK]:
            (folder / _LOCK).unlink()
            if is_new:
                folder.rmdir()


def _write_holder(folder: Path, what: str) -> None:
    """Say beside the lock who holds it; only for the message, so a disk too full for it is no failure yet."""
    holder = {"what": what, "process": os.getpid(), "host": socket.gethostname()}
    with suppress(OSError):
        (folder / _HOLDER).write_text(json.dumps(holder), encoding="utf-8")


def _read_holder(folder: Path) -> str:
    for _ in range(5):  # the holder may be about to write it
        with suppress(OSError, ValueError, KeyError, TypeError):
            holder = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
            return f"{holder['what']} (process {holder['process']} on {holder['host']})"
        time.sleep(0.02)
    return "another process"
