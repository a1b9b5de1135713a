"""Progress bars: shown on a terminal, silent everywhere else."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], *, label: str, total: int | None = None, unit: str = "it") -> Iterator[T]:
    """Iterate while drawing a progress bar on standard error, if that is a terminal.

    Args:
        items: What to iterate over.
        label: What is being done, in two or three words.
        total: Number of items, where ``len(items)`` does not tell.
        unit: What one item is.

    Yields:
        The items, unchanged and in order.

    Examples:
        >>> list(progress([1, 2], label="counting"))
        [1, 2]
    """
    from tqdm import tqdm

    yield from tqdm(
        items, desc=label, total=total, unit=unit, disable=not sys.stderr.isatty(), delay=1.0, leave=False
    )
