"""Where a model's parameters are to go, and how small they are to be kept: what transformers is asked for."""

import importlib.util
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch

from msma.errors import ConfigError, MissingExtraError, StorageError
from msma.models.explaining import first_line

Dtype: TypeAlias = Literal["float32", "bfloat16", "float16", "auto"]
Quantization: TypeAlias = Literal["none", "8bit", "4bit"]
DeviceMap: TypeAlias = str | Mapping[str, Any]

PRECISIONS: dict[str, Any] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "auto": "auto",
}
_STRATEGIES = ("auto", "balanced", "balanced_low_0", "sequential")
_QUANTIZATIONS = ("none", "8bit", "4bit")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where parameters go and how they are kept.

    Args:
        dtype: Precision to load in; "auto" is that of the files.
        device: One device for all of them; "auto" takes CUDA where there is some.
        device_map: A strategy of accelerate, or a place for each part of the model.
        quantization: Keep the weights of linear layers as integers of so many bits.
        offload_folder: Where weights that go to disk are written, when the model's own files do not do.
        max_memory: Most that each place may hold.
    """

    dtype: str = "float32"
    device: str = "auto"
    device_map: DeviceMap | None = None
    quantization: str = "none"
    offload_folder: str | os.PathLike[str] | None = None
    max_memory: Mapping[int | str, int | str] | None = None

    def check(self) -> None:
        """Refuse what cannot be asked for together, and what is not there.

        Raises:
            ConfigError: When a setting is impossible here.
            MissingExtraError: When accelerate or bitsandbytes is needed and not installed.
        """
        if self.dtype not in PRECISIONS:
            raise ConfigError(f"dtype '{self.dtype}' came; expected one of {', '.join(PRECISIONS)}")
        if self.quantization not in _QUANTIZATIONS:
            raise ConfigError(
                f"quantization '{self.quantization}' came; expected one of {', '.join(_QUANTIZATIONS)}"
            )
        if self.device_map is None:
            for name in ("offload_folder", "max_memory"):
                if getattr(self, name) is not None:
                    raise ConfigError(
                        f"{name} came without a device_map, which it is a part of; "
                        "add device_map='auto', or leave it out"
                    )
        else:
            self._check_map(self.device_map)
        if self.quantization != "none":
            _need("bitsandbytes", extra="quantised")
            _need("accelerate", extra="quantised")

    def _check_map(self, device_map: DeviceMap) -> None:
        if self.device != "auto":
            raise ConfigError(
                f"device '{self.device}' and a device_map came together; give one of them: "
                "device for a model that fits in one place, device_map for one that is spread out"
            )
        _need("accelerate", extra="large")
        if isinstance(device_map, str):
            if device_map not in _STRATEGIES:
                raise ConfigError(
                    f"device_map '{device_map}' came; expected one of {', '.join(_STRATEGIES)}, "
                    "or a place for each part of the model"
                )
            return
        for part, place in device_map.items():
            if place != "disk":
                check_device(place, what=f"the place of '{part}' in device_map,")

    def options(self) -> dict[str, Any]:
        """Put together what ``from_pretrained`` is asked for.

        Returns:
            Its keyword arguments, without those that say where the files are.

        Raises:
            StorageError: When the folder for offloaded weights cannot be made.
        """
        options: dict[str, Any] = {"dtype": PRECISIONS[self.dtype]}
        if self.quantization != "none":
            options["quantization_config"] = _quantise(self.quantization, PRECISIONS[self.dtype])
            # Quantised weights are made where they are to stay, and cannot be moved afterwards.
            options["device_map"] = {"": choose_device(self.device)}
        if self.device_map is not None:
            given = self.device_map
            options["device_map"] = given if isinstance(given, str) else dict(given)
            options["offload_folder"] = _make_folder(self.offload_folder)
            if self.max_memory is not None:
                options["max_memory"] = dict(self.max_memory)
        return options

    def settle(self, network: Any, options: Mapping[str, Any]) -> Any:
        """Finish the loading: move a model that has one place, and tie a temporary folder to one that has many.

        Args:
            network: The model as ``from_pretrained`` gave it.
            options: What it was asked for.

        Returns:
            The model, ready to run.
        """
        network = network.eval()
        if "device_map" not in options:
            return network.to(choose_device(self.device))
        if self.device_map is not None and self.offload_folder is None:
            weakref.finalize(network, shutil.rmtree, options["offload_folder"], ignore_errors=True)
        return network

    def discard(self, options: Mapping[str, Any]) -> None:
        """Remove the temporary folder of a loading that failed.

        Args:
            options: What :meth:`options` gave.
        """
        if self.offload_folder is None and "offload_folder" in options:
            shutil.rmtree(options["offload_folder"], ignore_errors=True)


def check_device(device: Any, *, what: str = "device") -> torch.device:
    """Make sure that a device is there.

    Args:
        device: "cpu", "cuda:1", a number, ...
        what: What to call it in the message.

    Returns:
        The device.

    Raises:
        ConfigError: When it cannot be used here.
    """
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise ConfigError(
            f"{what} '{device}' cannot be used here ({first_line(error)}); use 'cpu' or 'auto'"
            if what == "device"
            else f"{what} '{device}', cannot be used here ({first_line(error)}); "
            "use 'cpu', 'disk' or the number of an accelerator"
        ) from error
    return chosen


def choose_device(device: str) -> torch.device:
    """Find the device for a model that has one place.

    Args:
        device: "auto" takes CUDA where there is some.

    Returns:
        The device.

    Raises:
        ConfigError: When it cannot be used here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return check_device(device)


def _need(package: str, *, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, extra=extra)


def _quantise(quantization: str, dtype: Any) -> Any:
    """Integers by rows with outliers apart (Dettmers et al. 2022), or 4-bit NormalFloat (2023, section 3)."""
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    compute = torch.bfloat16 if dtype == "auto" else dtype
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)


def _make_folder(folder: str | os.PathLike[str] | None) -> str:
    try:
        if folder is None:
            return tempfile.mkdtemp(prefix="msma-offload-")
        Path(folder).expanduser().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the folder for offloaded weights cannot be made ({error}); give another offload_folder"
        ) from error
    return str(Path(folder).expanduser())
