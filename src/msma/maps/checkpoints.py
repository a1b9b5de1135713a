"""Where an interrupted training goes on: one file, written whole, that knows what it belongs to."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msma.errors import ConfigError, StorageError
from msma.storage import open_tensors, verify_tensors, write_tensors

__all__ = ["Checkpoint", "optimizer_arrays", "restore_optimizer"]

_FILE = "training.safetensors"
_OPTIMIZER = "optimizer."


class Checkpoint:
    """The state of a training after its last whole epoch.

    Args:
        folder: Where it is kept; made when missing.
        settings: Everything that the result depends on, the data's fingerprint included. A checkpoint made with
            others is refused.
    """

    def __init__(self, folder: str | os.PathLike[str], *, settings: Mapping[str, Any]) -> None:
        self.path = Path(folder) / _FILE
        self.settings = json.loads(json.dumps(dict(settings)))

    def save(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Write the state in place of the one before.

        Args:
            tensors: Weights, moments of the optimiser, state of the random numbers.
            values: Plain values: epoch, history.
        """
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        metadata = {"settings": json.dumps(self.settings), "values": json.dumps(dict(values))}
        write_tensors(self.path, arrays, metadata=metadata)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read the state.

        Returns:
            Tensors and plain values; ``None`` when there is no checkpoint yet.

        Raises:
            StorageError: When the file is damaged.
            ConfigError: When it belongs to other settings or other data.
        """
        if not self.path.is_file():
            return None
        verify_tensors(self.path)
        arrays, metadata = open_tensors(self.path)
        try:
            settings, values = json.loads(metadata["settings"]), json.loads(metadata["values"])
        except (KeyError, ValueError) as error:
            raise StorageError(
                f"'{self.path}' is not a training's checkpoint; give another folder"
            ) from error
        self._check(settings)
        return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, values

    def _check(self, found: Mapping[str, Any]) -> None:
        for key in sorted({*found, *self.settings}):
            theirs, ours = found.get(key), self.settings.get(key)
            if theirs == ours:
                continue
            what = "other data" if key == "data" else f"{key}={theirs!r}, not {ours!r}"
            raise ConfigError(
                f"the checkpoint '{self.path}' was made with {what}; give another folder, or the same settings "
                "and data"
            )


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Give an optimiser's state as named tensors.

    Args:
        optimizer: An optimiser whose state holds tensors only.

    Returns:
        "optimizer.<parameter>.<name>" to tensor.
    """
    state = optimizer.state_dict()["state"]
    return {f"{_OPTIMIZER}{i}.{name}": value for i, part in state.items() for name, value in part.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what :func:`optimizer_arrays` gave.

    Args:
        optimizer: One made for the same parameters.
        tensors: Named tensors, others among them.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            number, key = name.removeprefix(_OPTIMIZER).split(".")
            # a count of steps has no dimensions, which a file of tensors gives back as one
            state.setdefault(int(number), {})[key] = tensor.reshape(()) if key == "step" else tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
