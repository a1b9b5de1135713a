"""Where a stack can be acted on: the module whose output is each layer entry, shared ones included."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from msma._types import Stack as StackName
from msma.errors import ModelError
from msma.interventions.passes import Pass
from msma.models import Stack, evaluating, find_stack
from msma.models.finding import is_same

_PROBE_LENGTH = 8
_FOUND: "WeakKeyDictionary[Any, dict[str, Sites]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Sites:
    """The modules that give a stack's layer entries.

    Args:
        stack: The stack.
        entries: For each layer entry from 1, the module that gives it and which of its calls in a pass does.
        first: The module whose input is layer entry 0.
        entrance: The module through which every pass goes, with a head around the stack or without.
        is_transposed: Whether the modules hand on states with tokens before rows.
    """

    stack: Stack
    entries: tuple[tuple[nn.Module, int], ...]
    first: nn.Module
    entrance: nn.Module
    is_transposed: bool = False

    def modules(self, layers: Sequence[int]) -> list[nn.Module]:
        """Give the modules of some layer entries, each once.

        Args:
            layers: Their numbers; 0, which no block gives, is passed over.

        Returns:
            The modules.
        """
        return list({id(m): m for m in (self.entries[k - 1][0] for k in layers if k > 0)}.values())

    def number(self, module: nn.Module, call: int) -> int:
        """Give the layer entry of one call of a module.

        Args:
            module: A block.
            call: Calls of it before, in the same pass.

        Returns:
            The number; 0 where that call gives none.
        """
        for number, (block, own) in enumerate(self.entries, start=1):
            if block is module and own == call:
                return number
        return 0


@dataclass
class CallCounter:
    """Tell the how-manieth call of a module in a pass this is.

    Args:
        running: The pass.
    """

    running: Pass
    _counts: dict[int, int] = field(default_factory=dict)
    _number: int = -1

    def next(self, module: nn.Module) -> int:
        """Count a call.

        Args:
            module: Whose.

        Returns:
            Calls of it before this one, in this pass.
        """
        if self.running.number != self._number:
            self._counts.clear()
            self._number = self.running.number
        seen = self._counts.get(id(module), 0)
        self._counts[id(module)] = seen + 1
        return seen


def find_sites(network: Any, *, stack: StackName = "auto") -> Sites:
    """Find the blocks of a model, by trying it out on a few tokens; remembered for each model.

    Args:
        network: A transformers model, with its language-model head or without.
        stack: Stack of an encoder-decoder.

    Returns:
        Its stack and blocks.

    Raises:
        ModelError: When nothing in the model gives its layer entries.
    """
    known = _FOUND.setdefault(network, {})
    if stack not in known:
        n_tokens = int(network.get_input_embeddings().weight.shape[0])
        ids = [(7 * place + 3) % n_tokens for place in range(_PROBE_LENGTH)]
        found = find_stack(network, ids, stack=stack)
        if found.blocks:
            entrance = _find_entrance(found, ids)
            known[stack] = Sites(
                found, tuple((block, 0) for block in found.blocks), found.blocks[0], entrance
            )
        else:
            known[stack] = _find_entries(network, found, ids)
    return known[stack]


def _find_entrance(stack: Stack, ids: list[int]) -> nn.Module:
    """Find the innermost module that is handed the tokens: some heads call it past the module around it (OPT)."""
    found: list[nn.Module] = []

    def note(module: nn.Module, args: Any, kwargs: Any) -> None:
        values = (*args, *kwargs.values())
        if any(isinstance(v, torch.Tensor) and torch.equal(v, batch.ids) for v in values if _is_ids(v)):
            found.append(module)

    batch = stack.collate([ids])
    candidates = [
        module
        for module in stack.module.modules()
        if "input_ids" in inspect.signature(module.forward).parameters
    ]
    handles = [module.register_forward_pre_hook(note, with_kwargs=True) for module in candidates]
    try:
        with evaluating(stack.module):
            stack.run(batch)
    finally:
        for handle in handles:
            handle.remove()
    blocks = set(map(id, stack.blocks))
    around = [m for m in found if not blocks or blocks <= {id(inner) for inner in m.modules()}]
    return around[-1] if around else stack.module


def _is_ids(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim == 2 and not value.is_floating_point()


def _find_entries(network: Any, stack: Stack, ids: list[int]) -> Sites:
    """Find for each layer entry the outermost module that gives it: one called many times (ALBERT), or several."""
    outputs: dict[int, list[torch.Tensor]] = {}
    inputs: dict[int, torch.Tensor] = {}
    handles = []

    def note_input(module: nn.Module, args: Any, kwargs: Any) -> None:
        states = first_tensor((*args, *kwargs.values()))
        if states is not None:
            inputs.setdefault(id(module), states)

    def note(module: nn.Module, _args: Any, output: Any) -> None:
        states = first_tensor(output)
        if states is not None:
            outputs.setdefault(id(module), []).append(states)

    inner = [module for module in stack.module.modules() if module is not stack.module]
    try:
        for module in inner:
            handles.append(module.register_forward_pre_hook(note_input, with_kwargs=True))
            handles.append(module.register_forward_hook(note))
        with evaluating(network):
            hidden = stack.run(stack.collate([ids]), output_hidden_states=True).hidden_states
    finally:
        for handle in handles:
            handle.remove()
    for is_transposed in (False, True):
        start, *wanted = [states.transpose(0, 1) if is_transposed else states for states in hidden]
        entries = [_giver(inner, outputs, states) for states in wanted]
        first = next((m for m in inner if id(m) in inputs and is_same(inputs[id(m)], start)), None)
        if entries[-1] is None and None not in entries[:-1] and entries[-2] is not None:
            module, call = entries[-2]  # the last entry is shown after the final norm
            if len(outputs[id(module)]) > call + 1:
                entries[-1] = (module, call + 1)
        if None not in entries and first is not None:
            whole = tuple(entry for entry in entries if entry is not None)
            return Sites(stack, whole, first, _find_entrance(stack, ids), is_transposed)
    raise ModelError(
        f"{type(network).__name__} has no modules whose outputs are its layer entries, so that nothing can be "
        "changed between its layers; its states can only be read"
    )


def _giver(
    modules: Sequence[nn.Module], outputs: dict[int, list[torch.Tensor]], states: torch.Tensor
) -> tuple[nn.Module, int] | None:
    for module in modules:
        for call, output in enumerate(outputs.get(id(module), ())):
            if is_same(output, states):
                return module, call
    return None


def first_tensor(output: Any) -> torch.Tensor | None:
    """Take the states out of what a block gives.

    Args:
        output: A tensor, or a tuple that holds it first.

    Returns:
        The states; ``None`` where there are none.
    """
    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, (tuple, list)):
        return next((value for value in output if isinstance(value, torch.Tensor)), None)
    return None


def with_first_tensor(output: Any, states: torch.Tensor) -> Any:
    """Put states back where :func:`first_tensor` took them.

    Args:
        output: What the block gave.
        states: New states.

    Returns:
        The same with the new states.
    """
    if isinstance(output, torch.Tensor):
        return states
    values = list(output)
    place = next(i for i, value in enumerate(values) if isinstance(value, torch.Tensor))
    values[place] = states
    return type(output)(values) if type(output) in (tuple, list) else type(output)(*values)
