"""Several processes that train one model together; the only door to accelerate for training."""

import os
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from msma.errors import MissingExtraError

__all__ = ["LaunchedProcesses", "Processes", "find_processes"]


class Processes:
    """This process alone, or all that were launched together.

    Examples:
        >>> alone = Processes()
        >>> alone.n, alone.rank, alone.is_first
        (1, 0, True)
    """

    #: How many there are, and which one this is.
    n: int = 1
    rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this one writes."""
        return self.rank == 0

    @property
    def device(self) -> torch.device | None:
        """Where this process is to compute; ``None`` where it may choose."""
        return None

    def sum(self, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Add up a tensor over all processes.

        Args:
            tensor: Of one shape in all of them.

        Returns:
            The sum, in every process.
        """
        return tensor

    def wait(self) -> None:
        """Wait until every process has come here."""


class LaunchedProcesses(Processes):
    """Processes launched by ``accelerate launch`` or ``torchrun``."""

    def __init__(self) -> None:
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise MissingExtraError("accelerate", extra="large") from error
        self._accelerator: Any = Accelerator(cpu=not torch.cuda.is_available())
        self.n = int(self._accelerator.num_processes)
        self.rank = int(self._accelerator.process_index)

    @property
    def device(self) -> torch.device | None:
        """Where accelerate put this process."""
        return torch.device(self._accelerator.device)

    def sum(self, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Add up a tensor over all processes.

        Args:
            tensor: Of one shape in all of them.

        Returns:
            The sum, in every process.
        """
        total: Tensor = self._accelerator.reduce(tensor.clone(), reduction="sum")
        return total

    def wait(self) -> None:
        """Wait until every process has come here."""
        self._accelerator.wait_for_everyone()


def find_processes() -> Processes:
    """Find out whether this process was launched with others.

    Returns:
        This process alone, or all of them.

    Raises:
        MissingExtraError: When several were launched and accelerate is not installed.

    Examples:
        >>> find_processes().n
        1
    """
    return LaunchedProcesses() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else Processes()
