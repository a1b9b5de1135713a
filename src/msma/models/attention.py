"""Attention maps of a stack, block by block, shown while the model runs and never kept."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import torch
from jaxtyping import Float

from msma.models.blocks import Sequences, Stack
from msma.models.finding import is_same
from msma.models.quieting import evaluating, quiet

VisitMap: TypeAlias = Callable[[int, Float[torch.Tensor, "rows heads tokens tokens"]], None]

#: Relative difference between states computed with the attention written out and with the usual kernel.
_TOLERANCE = 1e-3


@contextmanager
def recording_attention(
    network: Any, stack: Stack, visit: VisitMap, *, ids: Sequence[int]
) -> Iterator[Callable[[Sequences], None] | None]:
    """Run a model with attention written out (eager), showing each block's map; all is restored on leaving.

    Args:
        network: The model that holds the stack.
        stack: The stack that is read.
        visit: Called with the number of each block, from 1, and its attention weights.
        ids: A few tokens to find out with whether and how the maps can be had.

    Yields:
        A function that runs the stack on a batch; ``None`` where the model has no attention maps.
    """
    before = _implementations(network)
    try:
        with evaluating(network):
            probe = stack.collate([ids])
            expected = stack.run(probe)[0]
            _switch_to_eager(network, [config for config, _ in before])
            run = None
            for options in ({}, {"output_attentions": True}):
                if _shows_maps(stack, probe, options, expected=expected):
                    run = partial(_run, stack, visit, options)
                    break
            yield run
    finally:
        for config, implementation in before:
            config._attn_implementation_internal = implementation


def _implementations(network: Any) -> list[tuple[Any, Any]]:
    configs = [module.config for module in network.modules() if hasattr(module, "config")]
    configs += [
        getattr(config, name)
        for config in list(configs)
        for name in getattr(config, "sub_configs", {})
        if getattr(config, name, None) is not None
    ]
    found = {id(c): c for c in configs if hasattr(c, "_attn_implementation_internal")}
    return [(config, config._attn_implementation_internal) for config in found.values()]


def _switch_to_eager(network: Any, configs: list[Any]) -> None:
    with suppress(AttributeError, ValueError, NotImplementedError), quiet():
        network.set_attn_implementation("eager")
    # Older families refuse that call but look here; what comes of it is checked before it is believed.
    for config in configs:
        config._attn_implementation_internal = "eager"


def _shows_maps(stack: Stack, batch: Sequences, options: dict[str, Any], *, expected: torch.Tensor) -> bool:
    """Whether every block shows one map, and the maps are those of the computation that gives the states."""
    maps: dict[int, torch.Tensor] = {}
    try:
        output = _run(stack, maps.__setitem__, options, batch)
    except (RuntimeError, TypeError, ValueError, AttributeError):
        return False
    if len(maps) != stack.n_layers - 1 or not is_same(output[0], expected, tolerance=_TOLERANCE):
        return False
    return not stack.is_causal or not any(bool(value.triu(1).any()) for value in maps.values())


def _run(stack: Stack, visit: VisitMap, options: dict[str, Any], batch: Sequences) -> Any:
    """Run once; the first map met inside a block is its self-attention (cross-attention comes later)."""
    done: set[int] = set()
    handles = []

    def record(number: int, _module: Any, _args: Any, output: Any) -> None:
        for value in output if isinstance(output, tuple) and number not in done else ():
            if _is_map(value, batch.ids.shape[1]):
                done.add(number)
                visit(number, value)
                return

    try:
        for number, block in enumerate(stack.blocks, start=1):
            for module in block.modules():
                handles.append(module.register_forward_hook(partial(record, number)))
        output = stack.run(batch, **options)
    finally:
        for handle in handles:
            handle.remove()
    if not stack.blocks:
        maps = [
            value for value in getattr(output, "attentions", None) or () if _is_map(value, batch.ids.shape[1])
        ]
        for number, value in enumerate(maps, start=1):
            visit(number, value)
    return output


def _is_map(value: Any, n_tokens: int) -> bool:
    """Tell weights from biases and states: square over the tokens, not negative, every row adding up to 1."""
    if not isinstance(value, torch.Tensor) or value.ndim != 4 or value.shape[-2:] != (n_tokens, n_tokens):
        return False
    sums = value.float().sum(-1)
    return bool((value >= 0).all() and ((sums - 1).abs() < 0.02).all())
