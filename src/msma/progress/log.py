"""A log for schedulers: one JSON object a line."""

import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from msma.errors import ConfigError, StorageError
from msma.progress.memory import peak_memory, resident_memory

#: Every line of the log has these names, and after them what else is known.
_NAMES = ("time", "event", "label", "done", "total", "unit", "rate", "remaining_seconds")


class Log:
    """Where events go, one JSON object a line; what cannot be written is left out, never raised.

    Args:
        write: Writes one line.
        every: Least number of seconds between two "progress" lines of one job.
    """

    def __init__(self, write: Callable[[str], None], *, every: float) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._begun: dict[str, float] = {}
        self._running: dict[int, Callable[[], None]] = {}
        self.every = every

    def admits(self, label: str, now: float) -> bool:
        """Tell whether a job may be logged from its start: none of this name was a moment ago.

        Args:
            label: Name of the job.
            now: Seconds on a clock that only goes forward.

        Returns:
            False where a job of this name was admitted less than ``every`` seconds ago.
        """
        last = self._begun.get(label)
        if last is not None and now - last < self.every:
            return False
        self._begun[label] = now
        return True

    def watch(self, job: int, tell: Callable[[], None] | None) -> None:
        """Remember how a running job tells how far it is, so that an error does not leave that out.

        Args:
            job: Number of the job.
            tell: Writes how far it is; ``None`` when it has ended.
        """
        if tell is None:
            self._running.pop(job, None)
        else:
            self._running[job] = tell

    def emit(self, event: str, facts: Mapping[str, Any]) -> None:
        """Write one line.

        Args:
            event: What happened.
            facts: What is known about it, by name. Before an "error", every running job tells how far it is.
        """
        if event == "error":
            for tell in tuple(self._running.values()):
                tell()
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        known = dict.fromkeys(_NAMES) | {"time": now, "event": event}
        known |= {name: facts[name] for name in _NAMES[2:] if name in facts}
        known |= {"memory_bytes": resident_memory() or None, "peak_memory_bytes": peak_memory() or None}
        others = {name: value for name, value in facts.items() if name not in known}
        line = json.dumps(_plain(known | others), allow_nan=False)
        # A job outlives its log: the disk may be full, the reader gone, the stream closed.
        with self._lock, suppress(OSError, ValueError):
            self._write(line + "\n")


def _plain(value: Any) -> Any:
    """Make a value fit for JSON: no infinities, no objects."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, int) else str(value)


_current: Log | None = None


def current_log() -> Log | None:
    """Tell where events go now.

    Returns:
        The log that is switched on, if any.
    """
    return _current


@contextmanager
def log_json(stream_or_path: IO[str] | str | os.PathLike[str], *, every: float = 5.0) -> Iterator[None]:
    """Log what this process does for as long as the block lasts, one JSON object a line.

    Each line has ``time`` (ISO 8601, UTC), ``event`` ("start", "progress", "say", "done" or "error"),
    ``label``, ``done``, ``total``, ``unit``, ``rate`` (units a second), ``remaining_seconds``,
    ``memory_bytes`` and ``peak_memory_bytes``, ``null`` where not known, and then what else is known. A line
    is written whole and at once. Where it cannot be written the job goes on without it.

    Args:
        stream_or_path: Where to; a file is appended to.
        every: Least number of seconds between two "progress" lines of one job. The last is always written.

    Yields:
        Nothing.

    Raises:
        ConfigError: When ``every`` is negative.
        StorageError: When the file cannot be opened.

    Examples:
        >>> import io
        >>> stream = io.StringIO()
        >>> with log_json(stream):
        ...     log_event("say", message="half way")
        >>> line = json.loads(stream.getvalue())
        >>> line["event"], line["done"], line["message"]
        ('say', None, 'half way')
    """
    global _current
    if not every >= 0:
        raise ConfigError(f"every {every} came; expected 0 or more seconds")
    with _opened(stream_or_path) as write:
        before, _current = _current, Log(write, every=every)
        try:
            yield
        finally:
            _current = before


@contextmanager
def _opened(stream_or_path: IO[str] | str | os.PathLike[str]) -> Iterator[Callable[[str], None]]:
    if not isinstance(stream_or_path, str | os.PathLike):
        stream = stream_or_path

        def write(line: str) -> None:
            stream.write(line)
            stream.flush()

        yield write
        return
    path = Path(stream_or_path)
    try:
        file = path.open("ab", buffering=0)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"could not open the log '{path}': {reason}; name a file in a folder") from error
    with file:
        is_torn = _ends_torn(path)

        def append(line: str) -> None:
            nonlocal is_torn
            content = ("\n" * is_torn + line).encode("ascii")
            n_written = file.write(content)
            is_torn = n_written != len(content) and (is_torn or n_written != 0)

        yield append


def _ends_torn(path: Path) -> bool:
    """Whether a file breaks off in a line, as after a job that was killed while it wrote."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with suppress(OSError), path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
    return False


def log_event(event: str, **facts: Any) -> None:
    """Write one line to the log, if there is one.

    Args:
        event: "say", "start", "done" or "error".
        **facts: What else to write; infinite and undefined numbers become ``null``.
    """
    if _current is not None:
        _current.emit(event, facts)
