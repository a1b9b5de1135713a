"""How far a job is, how fast it goes and when it will end."""

import math
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from msma.progress.log import Log, current_log
from msma.progress.memory import resident_memory

T = TypeVar("T")

#: Seconds in which the weight of what was done fades to a third in the smoothed rate.
_SMOOTHING = 30.0
#: Seconds between two looks at the memory for the bar.
_MEMORY_PAUSE = 0.5


class Meter:
    """Counts what is done of a long job and shows it, on a terminal and in the log of :func:`log_json`.

    The terminal gets the count, the share, the smoothed rate, the remaining time and the memory that the
    process holds. Of jobs that follow each other quickly under one name only the first is logged.

    Args:
        label: What is being done, in two or three words.
        total: How many there are, if known.
        unit: What one is.
        done: How many were done before, by a run that this one goes on from; the rate leaves them out.

    Examples:
        >>> with Meter(label="reading", total=3, unit="text") as meter:
        ...     meter.advance(2)
        ...     meter.advance()
        >>> meter.done, meter.rate > 0, meter.remaining_seconds
        (3, True, 0.0)
    """

    def __init__(self, *, label: str, total: int | None = None, unit: str = "it", done: int = 0) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self.done = done
        self._facts: dict[str, Any] = {}
        self._recent, self._seconds = 0.0, 0.0
        self._bar: Any = None
        self._log: Log | None = None

    def __enter__(self) -> Self:
        self._log = current_log()
        self._began = self._last = self._logged = self._looked = time.monotonic()
        if _is_terminal():
            from tqdm import tqdm

            self._bar = tqdm(
                desc=self.label, total=self.total, unit=self.unit, initial=self.done, delay=1.0, leave=False
            )
        self._is_logged = self._log is not None and self._log.admits(self.label, self._began)
        if self._is_logged:
            self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._is_logged and self._log is not None:
            self._log.watch(id(self), None)
            self._emit("progress")
            if kind is None:
                self._emit("done", seconds=time.monotonic() - self._began)

    def advance(self, n: int = 1, /, **facts: Any) -> None:
        """Count some more as done.

        Args:
            n: How many.
            **facts: What else the log should say from now on, such as the number of tokens.
        """
        now = time.monotonic()
        # Both sums fade with time, so that their ratio follows a change of pace and yet does not jump.
        kept = math.exp((self._last - now) / _SMOOTHING)
        self._recent = self._recent * kept + n
        self._seconds = self._seconds * kept + (now - self._last)
        self.done, self._last = self.done + n, now
        self._facts |= facts
        if self._bar is not None:
            self._draw(n, now)
        if self._log is not None and now - self._logged >= self._log.every:
            self._logged = now
            if not self._is_logged:
                self._is_logged = True
                self._start()
            self._emit("progress")

    @property
    def rate(self) -> float | None:
        """Units a second, of late; ``None`` before there is one."""
        return self._recent / self._seconds if self._recent and self._seconds else None

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds to the end at this rate; ``None`` where that cannot be told."""
        if self.total is None or not self.rate:
            return None
        return max(self.total - self.done, 0) / self.rate

    def _draw(self, n: int, now: float) -> None:
        if now - self._looked >= _MEMORY_PAUSE:
            self._looked = now
            self._bar.set_postfix_str(f"{resident_memory() / 1e9:.2f} GB", refresh=False)
        self._bar.update(n)

    def _start(self) -> None:
        if self._log is not None:
            self._log.watch(id(self), lambda: self._emit("progress"))
        self._emit("start")

    def _emit(self, event: str, **facts: Any) -> None:
        names = ("label", "done", "total", "unit", "rate", "remaining_seconds")
        known = {name: getattr(self, name) for name in names}
        if self._log is not None:
            self._log.emit(event, self._facts | facts | known)


def progress(items: Iterable[T], *, label: str, total: int | None = None, unit: str = "it") -> Iterator[T]:
    """Iterate while a :class:`Meter` counts.

    Args:
        items: What to iterate over.
        label: What is being done, in two or three words.
        total: Number of items, where ``len(items)`` does not tell.
        unit: What one item is.

    Yields:
        The items, unchanged and in order. A loop that is left early is not logged as done.

    Examples:
        >>> list(progress([1, 2], label="counting"))
        [1, 2]
    """
    if current_log() is None and not _is_terminal():
        yield from items
        return
    if total is None:
        with suppress(TypeError, AttributeError):
            total = len(items)  # type: ignore[arg-type]
    with Meter(label=label, total=total, unit=unit) as meter:
        for item in items:
            yield item
            meter.advance()


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False
