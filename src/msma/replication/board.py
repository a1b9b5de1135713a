"""What a training logs for TensorBoard; the only place that needs it."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from msma.errors import MissingExtraError

__all__ = ["Board"]


class Board:
    """Write scalars for TensorBoard, or nothing where no folder is given.

    Args:
        folder: Where to; ``None`` for nowhere.
        first_step: What an interrupted run wrote from this step on is no longer shown.

    Raises:
        MissingExtraError: When a folder is given and tensorboard is not installed.

    Examples:
        >>> with Board(None, first_step=0) as board:
        ...     board.write({"loss": 1.0}, step=0)
    """

    def __init__(self, folder: str | os.PathLike[str] | None, *, first_step: int) -> None:
        self._writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("tensorboard", extra="replicate") from error
        self._writer = SummaryWriter(os.fspath(folder), purge_step=first_step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, values: Mapping[str, float], *, step: int) -> None:
        """Write one value a name.

        Args:
            values: Numbers by name.
            step: Where they belong.
        """
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
