"""Bring operations of every kind to the same strength, and give each a control that disturbs as much elsewhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from msma._types import Stack as StackName
from msma.errors import ConfigError, ScaleError
from msma.interventions.attention import AttentionWatch
from msma.interventions.context import check_place, intervene
from msma.interventions.operations import AttentionOperation, HeadRemoval, Operation, Temperature
from msma.interventions.passes import Pass
from msma.interventions.replacement import Replacement
from msma.interventions.sites import CallCounter, Sites, find_sites, first_tensor
from msma.models import LoadedModel, evaluating

#: Beyond this temperature attention is even for all that can be told.
_HIGHEST_TEMPERATURE = 1e3
_BISECTIONS = 14


@dataclass(frozen=True)
class Matched:
    """An operation brought to a strength.

    Args:
        operation: The operation.
        relative_norm: What it reaches on the calibration texts; below what was asked for where it can do no more.
    """

    operation: Operation
    relative_norm: float


def relative_norm(
    model: Any,
    operation: Operation,
    layers: Sequence[int],
    texts: Sequence[Sequence[int]],
    *,
    stack: StackName = "auto",
) -> float:
    r"""Measure how strongly an operation disturbs the layers it acts on, each by itself.

    .. math:: \sqrt{\frac{1}{|L|} \sum_{l \in L} \frac{1}{n} \sum_t \frac{\|h'_l(t) - h_l(t)\|^2}{\|h_l(t)\|^2}}

    with :math:`h'_l` what comes of the operation at layer l when everything before it is clean. For operations on
    states with a strength of their own this is that strength; inside attention it is the change of the block's output.

    Args:
        model: A transformers model, or what ``load_model`` gives.
        operation: What is done.
        layers: Layer entries it acts on.
        texts: Token ids of a few texts.
        stack: Stack of an encoder-decoder.

    Returns:
        0 where nothing changes; 1 is a change as large as the state.
    """
    network = model.network if isinstance(model, LoadedModel) else model
    sites = find_sites(network, stack=stack)
    check_place(operation, layers, list(layers))
    if isinstance(operation, AttentionOperation):
        calls = _record(network, sites, layers, texts)
        return _attention_norm(operation, calls)
    total, count = 0.0, 0
    for layer in layers:
        acting_on = intervene(network, None, [layer], operation, stack=stack, is_measured=True)
        with evaluating(network), acting_on as acting:
            for ids in texts:
                sites.stack.run(sites.stack.collate([ids]))
        total += sum(acting.squares.values())
        count += sum(acting.counts.values())
    return math.sqrt(total / count) if count else 0.0


def match_strength(
    model: Any,
    operation: Operation,
    strength: float,
    layers: Sequence[int],
    texts: Sequence[Sequence[int]],
    *,
    stack: StackName = "auto",
    seed: int = 0,
) -> Matched:
    """Bring an operation inside attention, or a replacement, to a relative norm.

    The temperature is found by bisection above 1; heads are taken out in a random order, as many as come nearest;
    a replacement is weighed. Operations with a strength of their own keep it.

    Args:
        model: A transformers model, or what ``load_model`` gives.
        operation: The operation; its own temperature, heads or weight do not count.
        strength: Relative norm that is wanted, 0 or more.
        layers: Layer entries it acts on.
        texts: Token ids of a few texts.
        stack: Stack of an encoder-decoder.
        seed: Fixes the order of the heads.

    Returns:
        The operation at that strength, or as near as it can come.

    Raises:
        ConfigError: When the strength is negative or not finite.
    """
    if not (math.isfinite(strength) and strength >= 0):
        raise ConfigError(f"a relative norm of {strength} came; expected a finite number, 0 or more")
    network = model.network if isinstance(model, LoadedModel) else model
    if isinstance(operation, Replacement):
        whole = relative_norm(network, replace(operation, weight=1.0), layers, texts, stack=stack)
        weight = min(1.0, strength / whole) if whole > 0 else 0.0
        return Matched(replace(operation, weight=weight), weight * whole)
    if not isinstance(operation, AttentionOperation):
        return Matched(operation, relative_norm(network, operation, layers, texts, stack=stack))
    sites = find_sites(network, stack=stack)
    check_place(operation, layers, list(layers))
    calls = _record(network, sites, layers, texts)
    if isinstance(operation, Temperature):
        return _match_temperature(strength, calls)
    return _match_heads(strength, calls, n_heads=head_count(network), seed=seed)


def head_count(network: Any) -> int:
    """Give the number of attention heads of a model's blocks, from its configuration.

    Args:
        network: A transformers model.

    Returns:
        Query heads.

    Raises:
        ScaleError: When the configuration does not say.
    """
    config = network.config.get_text_config()
    for name in ("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads"):
        if isinstance(getattr(config, name, None), int):
            return int(getattr(config, name))
    raise ScaleError("the model's configuration does not say how many attention heads it has")


def control_layers(n_layers: int, layers: Sequence[int], *, seed: int = 0) -> tuple[int, ...]:
    """Draw as many layers at random for a control: outside those given, as far as there are enough.

    The embedding output is drawn only where it belongs to the layers given, so that blocks answer to blocks.

    Args:
        n_layers: The model's layer entries.
        layers: Those that are acted on.
        seed: Fixes the draw.

    Returns:
        As many numbers, ascending.

    Examples:
        >>> control_layers(7, [5, 6], seed=0)
        (1, 4)
    """
    rng = np.random.default_rng([seed, n_layers, *layers])
    first = 0 if 0 in layers else 1
    outside = [layer for layer in range(first, n_layers) if layer not in layers]
    chosen = list(rng.permutation(outside)[: len(layers)])
    missing = len(layers) - len(chosen)
    if missing > 0:
        chosen += list(rng.permutation(list(layers))[:missing])
    return tuple(sorted(int(layer) for layer in chosen))


@dataclass(frozen=True)
class _Call:
    """One call of a block on clean states, to be run again."""

    module: Any
    number: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: torch.Tensor


def _record(network: Any, sites: Sites, layers: Sequence[int], texts: Sequence[Sequence[int]]) -> list[_Call]:
    calls: list[_Call] = []
    running = Pass(sites.stack)
    counter = CallCounter(running)

    def note(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        number = sites.number(module, counter.next(module))
        states = first_tensor(output)
        if number in layers and states is not None:
            calls.append(_Call(module, number, args, kwargs, states))

    handles = [m.register_forward_hook(note, with_kwargs=True) for m in sites.modules(layers)]
    try:
        with evaluating(network):
            for ids in texts:
                running.number += 1
                sites.stack.run(sites.stack.collate([ids]))
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _attention_norm(operation: AttentionOperation, calls: Sequence[_Call]) -> float:
    total, count = 0.0, 0
    for call in calls:
        with evaluating(call.module), AttentionWatch(operation, call.number, lambda: None, call.module):
            changed = first_tensor(call.module(*call.args, **call.kwargs))
        if changed is None:
            continue
        sizes = call.output.float().norm(dim=-1)
        ratios = (changed.float() - call.output.float()).norm(dim=-1)[sizes > 0] / sizes[sizes > 0]
        total += float(ratios.double().square().sum())
        count += ratios.numel()
    return math.sqrt(total / count) if count else 0.0


def _match_temperature(strength: float, calls: Sequence[_Call]) -> Matched:
    if strength == 0:
        return Matched(Temperature(1.0), 0.0)
    low, high = 0.0, math.log(_HIGHEST_TEMPERATURE)
    highest = _attention_norm(Temperature(math.exp(high)), calls)
    if highest <= strength:
        return Matched(Temperature(math.exp(high)), highest)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _attention_norm(Temperature(math.exp(middle)), calls) < strength:
            low = middle
        else:
            high = middle
    found = Temperature(math.exp((low + high) / 2))
    return Matched(found, _attention_norm(found, calls))


def _match_heads(strength: float, calls: Sequence[_Call], *, n_heads: int, seed: int) -> Matched:
    numbers = sorted({call.number for call in calls})
    every = [(number, head) for number in numbers for head in range(n_heads)]
    order = [every[i] for i in np.random.default_rng(seed).permutation(len(every))]

    def norm_of(count: int) -> tuple[HeadRemoval, float]:
        heads: dict[int, list[int]] = {number: [] for number in numbers}
        for number, head in order[:count]:
            heads[number].append(head)
        operation = HeadRemoval(heads)
        return operation, 0.0 if count == 0 else _attention_norm(operation, calls)

    low, high = 0, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        if norm_of(middle)[1] < strength:
            low = middle
        else:
            high = middle
    (one, below), (other, above) = norm_of(low), norm_of(high)
    nearest = (one, below) if abs(below - strength) <= abs(above - strength) else (other, above)
    return Matched(*nearest)
