"""Hooks that run before those of others, so that whoever reads a layer reads it as it was changed."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn
from torch.utils.hooks import RemovableHandle

#: Hooks registered here, by module, in order.
_OURS: "WeakKeyDictionary[nn.Module, list[int]]" = WeakKeyDictionary()


def register_early(module: nn.Module, hook: Callable[..., Any]) -> RemovableHandle:
    """Register a forward hook behind those registered here before, and before all others.

    transformers keeps hooks of its own on the blocks to collect ``output_hidden_states``; one that ran before an
    intervention's would show the acted layer as it was.

    Args:
        module: A block.
        hook: What runs after it.

    Returns:
        The handle that removes it.

    Examples:
        >>> import torch
        >>> block, seen = nn.Identity(), []
        >>> _ = block.register_forward_hook(lambda module, args, output: seen.append(output.item()))
        >>> handles = [register_early(block, lambda *a, k=k: a[-1] * 10 + k) for k in (1, 2)]
        >>> _ = block(torch.tensor(0)), handles[0].remove(), block(torch.tensor(0))
        >>> seen
        [12, 2]
    """
    handle = module.register_forward_hook(hook)
    hooks: Any = module._forward_hooks  # what register_forward_hook(prepend=True) reorders too
    ours = [number for number in _OURS.get(module, []) if number in hooks]
    _OURS[module] = [*ours, handle.id]
    for number in reversed(_OURS[module]):
        hooks.move_to_end(number, last=False)
    return handle
