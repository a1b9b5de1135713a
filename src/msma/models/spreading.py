"""A mapping from parts of a model to places, made complete."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from msma.errors import ConfigError


def expand_map(device_map: Mapping[str, Any], network: nn.Module) -> dict[str, Any]:
    """Give every part of a model one place, where a mapping may give a part one and something inside it another.

    Args:
        device_map: A place for each part; "" is the whole model.
        network: The model, with or without values.

    Returns:
        A mapping whose parts do not hold one another, with every parameter in one of them.

    Raises:
        ConfigError: When the model has no such part, or a parameter has no place.

    Examples:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
        >>> expand_map({"": "cpu", "1.0": "disk"}, model)
        {'0': 'cpu', '1.0': 'disk', '1.1': 'cpu'}
    """
    parts = [name for name, _ in network.named_modules()]
    for part in device_map:
        if part not in parts:
            near = difflib.get_close_matches(part, parts, n=1) or [name for name in parts if name][:1]
            raise ConfigError(
                f"device_map gives a place to '{part}', and {type(network).__name__} has no such part; "
                f"the nearest name is '{near[0]}'"
            )
    spread = dict(_place("", network, None, _keep_ties(device_map, network)))
    missing = [name for name, place in spread.items() if place is None]
    if missing:
        raise ConfigError(
            f"device_map says nothing about {len(missing)} parts, '{missing[0]}' among them; "
            "give the rest a place too: {'': 'cpu', ...}"
        )
    return spread


def _keep_ties(device_map: Mapping[str, Any], network: nn.Module) -> dict[str, Any]:
    """Put a tied parameter where the one is that it is tied to: values are kept once."""
    kept = dict(device_map)
    for tied, source in (getattr(network, "all_tied_weights_keys", None) or {}).items():
        part, other = tied.rpartition(".")[0], source.rpartition(".")[0]
        if _find(part, kept) != _find(other, kept):
            kept[part] = _find(other, kept)
    return kept


def _find(part: str, device_map: Mapping[str, Any]) -> Any:
    while part and part not in device_map:
        part = part.rpartition(".")[0]
    return device_map.get(part)


def _place(
    name: str, module: nn.Module, inherited: Any, device_map: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    here = device_map.get(name, inherited)
    prefix = f"{name}." if name else ""
    if not any(part != name and part.startswith(prefix) for part in device_map):
        if here is not None or any(True for _ in module.parameters()):
            yield name, here
        return
    own = [short for short, _ in module.named_parameters(recurse=False)]
    own += [short for short, _ in module.named_buffers(recurse=False)]
    for short in own:
        # Only what has a module of its own can be read from disk when it is its turn.
        yield prefix + short, "cpu" if here == "disk" else here
    for short, child in module.named_children():
        yield from _place(prefix + short, child, here, device_map)
