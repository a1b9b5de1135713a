"""Where a model's parameters are and what their values are, whole or spread over devices, memory and disk.

accelerate leaves an offloaded parameter on the meta device, which has a shape and no values, and keeps the
values in the ``weights_map`` of the hook of its module until the module runs.
"""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from msma.errors import ModelError

#: Values of each parameter that enter the fingerprint of a model.
_FINGERPRINT_VALUES = 16


def input_device(module: nn.Module) -> torch.device:
    """Tell where a model's inputs have to be: where its embeddings are computed.

    Args:
        module: A model or a stack of it.

    Returns:
        A device that holds values, never "meta"; the CPU where nothing says otherwise.
    """
    embeddings = None
    with suppress(AttributeError, NotImplementedError):
        embeddings = module.get_input_embeddings()  # type: ignore[operator]
    first = embeddings.modules() if isinstance(embeddings, nn.Module) else ()
    for part in (*first, *module.modules()):
        for hook in _hooks(part):
            place = getattr(hook, "execution_device", None)
            if place is not None and torch.device(place).type != "meta":
                return torch.device(place)
        for parameter in part.parameters(recurse=False):
            if parameter.device.type != "meta":
                return parameter.device
    return torch.device("cpu")


def _hooks(module: nn.Module) -> tuple[Any, ...]:
    hook = getattr(module, "_hf_hook", None)
    return tuple(getattr(hook, "hooks", (hook,)))


def is_quantised(network: Any) -> bool:
    """Tell whether weights are kept as small integers.

    Args:
        network: A transformers model.

    Returns:
        Whether transformers loaded it quantised.
    """
    return getattr(network, "hf_quantizer", None) is not None


def precision(network: Any) -> str:
    """Name the precision of a model's parameters.

    Args:
        network: A transformers model.

    Returns:
        "float32", "bfloat16", ...; of a quantised model what its weights are kept as ("int8", "nf4").
    """
    if is_quantised(network):
        settings = getattr(network.config, "quantization_config", None)
        if getattr(settings, "load_in_8bit", False):
            return "int8"
        if getattr(settings, "load_in_4bit", False):
            return str(settings.bnb_4bit_quant_type)  # type: ignore[union-attr]
        method = getattr(settings, "quant_method", "quantised")
        return str(getattr(method, "value", method))
    floating = (parameter.dtype for parameter in network.parameters() if parameter.is_floating_point())
    return str(next(floating)).removeprefix("torch.")


def hash_parameters(network: Any, body: nn.Module) -> str:
    """Hash names, shapes and a few values of every parameter, wherever they are kept.

    An offloaded parameter is read whole for its few values, one at a time, so that this costs what one
    forward pass costs in reading, and the memory of the largest parameter.

    Args:
        network: The model, which knows what is tied.
        body: Part of it to hash.

    Returns:
        SHA-256, 64 hexadecimal digits; the same for a model loaded whole and one spread out.

    Raises:
        ModelError: When a parameter has no values anywhere.
    """
    digest = hashlib.sha256()
    for name, module, parameter in sorted(_named(network, body), key=lambda found: found[0]):
        shape, values = _sample(module, name.rpartition(".")[2], parameter)
        digest.update(f"{name}{shape}".encode() + values.float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _named(network: Any, body: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """Every parameter once, under its first name, as ``named_parameters`` has them when the model is whole."""
    tied = getattr(network, "all_tied_weights_keys", None) or {}
    prefix = next((f"{name}." for name, module in network.named_modules() if module is body and name), "")
    seen: set[Any] = set()
    for place, module in body.named_modules():
        for short, parameter in module.named_parameters(recurse=False):
            name = f"{place}.{short}" if place else short
            # Offloading gives each name of a tied parameter an empty one of its own.
            full = prefix + name
            key: Any = tied.get(full, full) if parameter.device.type == "meta" else id(parameter)
            if key not in seen:
                seen.add(key)
                yield name, module, parameter


def _sample(module: nn.Module, name: str, parameter: nn.Parameter) -> tuple[tuple[int, ...], torch.Tensor]:
    """Shape and a few values of one parameter."""
    value = stored_value(module, name, parameter)
    state = getattr(parameter, "quant_state", None)
    if state is None:
        shape = tuple(parameter.shape)
    else:
        # The first run on a CPU packs 4-bit weights anew; the scale of each block of weights stays.
        shape, value = tuple(state.shape), _block_scales(state)
    flat = value.detach().reshape(-1)
    step = max(1, flat.numel() // _FINGERPRINT_VALUES)
    sample = flat[::step][:_FINGERPRINT_VALUES]
    return shape, sample if state is not None else sample.to(parameter.dtype)


def _block_scales(state: Any) -> torch.Tensor:
    scales: torch.Tensor = state.absmax
    if state.nested:
        from bitsandbytes.functional import dequantize_blockwise

        scales = dequantize_blockwise(scales, state.state2) + state.offset
    if getattr(state, "packing_format_for_cpu", False):
        scales = scales.T
    return scales.to(torch.bfloat16)


def stored_value(module: nn.Module, name: str, parameter: nn.Parameter) -> torch.Tensor:
    """Find the values of a parameter where they are kept.

    Args:
        module: The module that has it.
        name: Its name there.
        parameter: The parameter.

    Returns:
        Its values.

    Raises:
        ModelError: When it was never given values.
    """
    if parameter.device.type != "meta":
        return parameter
    for hook in _hooks(module):
        kept = getattr(hook, "weights_map", None)
        if kept is not None:
            with suppress(KeyError):
                value: torch.Tensor = kept[name]
                return value
    raise ModelError(
        f"the parameter '{name}' of a {type(module).__name__} has a shape and no values (device 'meta'); "
        "load the model's weights, or offload it with device_map"
    )
