"""intervene(): act on one scale of a model while a block of code runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from msma._types import Scale
from msma._types import Stack as StackName
from msma.errors import ConfigError, ModelError, ScaleError
from msma.interventions.attention import AttentionWatch
from msma.interventions.erasure import Erasure
from msma.interventions.operations import AttentionOperation, Operation, StateOperation
from msma.interventions.ordering import register_early
from msma.interventions.passes import REGIONS, Pass, Region, is_plain
from msma.interventions.replacement import Replacement
from msma.interventions.sites import CallCounter, Sites, find_sites, first_tensor, with_first_tensor
from msma.models import LoadedModel
from msma.scales import ScalePartition


@dataclass
class Acting:
    """What interventions are doing, as long as they last.

    Args:
        layers: Layer entries acted on.
        operations: What is done there, in order.
        squares: Sum over acted tokens of the squared relative norm of the change, by layer.
        counts: Number of acted tokens, by layer.
    """

    layers: tuple[int, ...]
    operations: tuple[Operation, ...]
    squares: dict[int, float] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)

    @property
    def relative_norms(self) -> dict[int, float]:
        r"""Root mean square of :math:`\|h' - h\| / \|h\|` over tokens, by layer; for states, when measured."""
        return {k: (self.squares[k] / self.counts[k]) ** 0.5 for k in sorted(self.squares) if self.counts[k]}


@contextmanager
def intervene(
    model: Any,
    partition: ScalePartition | None,
    scale: Scale | Sequence[int],
    *operations: Operation,
    tokens: Region = "all",
    stack: StackName = "auto",
    is_measured: bool = False,
) -> Iterator[Acting]:
    """Act on one scale of a model as long as the block of code runs; the model itself is never changed.

    METHOD section 7. Operations act in the order given, at every layer of the scale, whoever runs the model: a
    forward pass, ``generate`` with a cache or without, or a pipeline. Contexts nest. Everything is as before
    afterwards, also when the code inside raises.

    Args:
        model: A transformers model, or what ``load_model`` gives.
        partition: Which layers belong to which scale; ``None`` when layers are given by number.
        scale: "local", "intermediate" or "global"; or numbers of layer entries.
        *operations: What is done: ``Translation``, ``Scaling``, ``Noise``, ``Temperature``, ``HeadRemoval``,
            ``Replacement``. Those inside attention act in the blocks whose outputs belong to the scale.
        tokens: "all" tokens, those of the "prompt" only, or "new" ones only.
        stack: Stack of an encoder-decoder; the encoder when "auto".
        is_measured: Keep count of the relative norm of the changes.

    Yields:
        What is being done, and where.

    Raises:
        ConfigError: When ``tokens`` is unknown or no operation came.
        ScaleError: When there is no such scale, it holds no layer that can be acted on, or the partition is that
            of another model.
        ModelError: When the model has no blocks that can be acted on.

    Examples:
        >>> import torch
        >>> from msma.interventions import Scaling
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=16, n_embd=8, n_layer=2, n_head=2)).eval()
        >>> ids = torch.tensor([[1, 2, 3]])
        >>> with torch.no_grad(), intervene(model, ScalePartition.thirds(3), "global", Scaling(-1.0)):
        ...     silenced = model(ids).logits  # the last block gives zeros, whatever came before
        >>> bool(torch.equal(silenced[0, 0], silenced[0, 2]))
        True
    """
    network = model.network if isinstance(model, LoadedModel) else model
    if tokens not in REGIONS:
        raise ConfigError(f"tokens '{tokens}' came; expected one of {', '.join(REGIONS)}")
    if not operations:
        raise ConfigError("no operation came; give at least one, such as Scaling(0.1)")
    sites = find_sites(network, stack=stack)
    layers = choose_layers(sites, partition, scale)
    for operation in operations:
        operation.check(n_layers=sites.stack.n_layers, d_model=sites.stack.d_model)
        check_place(operation, layers, scale)
    running = Pass(sites.stack, sites.entrance)
    acting = Acting(layers, operations)
    handles: list[RemovableHandle] = []
    try:
        handles.append(_watch_passes(sites, running))
        for operation in operations:
            if operation.is_identity:
                continue
            handles += _attach(operation, sites, layers, running, tokens, acting if is_measured else None)
        yield acting
    finally:
        for handle in handles:
            handle.remove()


def choose_layers(
    sites: Sites, partition: ScalePartition | None, scale: Scale | Sequence[int]
) -> tuple[int, ...]:
    """Give the layer entries of a scale of this model.

    Args:
        sites: The model's blocks.
        partition: Which layers belong to which scale.
        scale: A scale, or numbers of layer entries.

    Returns:
        Their numbers, ascending.

    Raises:
        ScaleError: When they are not those of this model.
    """
    n_layers = sites.stack.n_layers
    if isinstance(scale, str):
        if partition is None:
            raise ScaleError(f"scale '{scale}' came without a partition; give one, or the numbers of layers")
        if partition.n_layers != n_layers:
            raise ScaleError(
                f"a partition of {partition.n_layers} layer entries came for a model of {n_layers}; "
                "find the scales of this model, or take ScalePartition.thirds"
            )
        return tuple(partition[scale])
    layers = tuple(sorted({int(layer) for layer in scale}))
    if not layers:
        raise ScaleError("a scale without layers came; give at least one layer entry")
    if layers[0] < 0 or layers[-1] >= n_layers:
        raise ScaleError(f"layers {layers} came for a model of layer entries 0 to {n_layers - 1}")
    return layers


def check_place(operation: Operation, layers: Sequence[int], scale: Any) -> None:
    """Refuse an operation that has nothing to act on in a scale.

    Args:
        operation: What is to be done.
        layers: Layer entries of the scale.
        scale: Its name, for the message.

    Raises:
        ScaleError: When nothing is there, or a replacement or an erasure is for another scale.
    """
    if isinstance(operation, AttentionOperation) and not any(layer > 0 for layer in layers):
        raise ScaleError(
            f"the {scale} scale holds no block, only the embeddings, so there is no attention to change; "
            "choose another scale or another operation"
        )
    if isinstance(operation, Erasure) and not set(operation.projections) & set(layers):
        named = ", ".join(map(str, sorted(operation.projections)))
        raise ScaleError(
            f"an erasure fitted on layer entries {named} came for {scale}, which holds none of them; act on its own "
            "scale"
        )
    if isinstance(operation, Replacement) and not set(operation.layers) & set(layers):
        raise ScaleError(
            f"a replacement of the {operation.target} scale came for {scale}; act on {operation.target}"
        )


def _watch_passes(sites: Sites, running: Pass) -> RemovableHandle:
    def begin(_module: Any, args: Any, kwargs: Any) -> None:
        if not is_plain(sites.stack):
            running.begin(args, kwargs)

    handle: RemovableHandle = sites.entrance.register_forward_pre_hook(begin, with_kwargs=True)
    return handle


def _attach(
    operation: Operation,
    sites: Sites,
    layers: Sequence[int],
    running: Pass,
    tokens: Region,
    acting: Acting | None,
) -> list[RemovableHandle]:
    if isinstance(operation, AttentionOperation):
        return _attach_attention(operation, sites, layers, running, tokens)
    if isinstance(operation, StateOperation):
        return _attach_states(operation, sites, layers, running, tokens, acting)
    raise ConfigError(f"{operation!r} came; expected an operation of msma.interventions")


def _attach_states(
    operation: StateOperation,
    sites: Sites,
    layers: Sequence[int],
    running: Pass,
    tokens: Region,
    acting: Acting | None,
) -> list[RemovableHandle]:
    calls, starts = CallCounter(running), CallCounter(running)

    def change(layer: int, states: torch.Tensor) -> torch.Tensor | None:
        if is_plain(sites.stack) or layer not in layers:
            return None
        states = states.transpose(0, 1) if sites.is_transposed else states
        chosen = running.region(tokens)
        if chosen.shape != states.shape[:2]:
            raise ModelError(
                f"layer {layer} came with states of {tuple(states.shape[:2])} rows and tokens in a pass of "
                f"{tuple(chosen.shape)}; run the model as a whole while an intervention lasts"
            )
        if not bool(chosen.any()):
            return None
        new = operation.apply(states, layer, running)
        if not bool(chosen.all()):
            new = torch.where(chosen.unsqueeze(-1), new, states)
        if acting is not None:
            _measure(acting, layer, states, new, chosen)
        return new.transpose(0, 1) if sites.is_transposed else new

    def after(module: Any, _args: Any, output: Any) -> Any:
        states = first_tensor(output)
        number = 0 if is_plain(sites.stack) else sites.number(module, calls.next(module))
        new = None if states is None or number == 0 else change(number, states)
        return None if new is None else with_first_tensor(output, new)

    def before(module: Any, args: Any, kwargs: Any) -> Any:
        if is_plain(sites.stack) or starts.next(module) > 0:  # a shared block runs again
            return None
        states = first_tensor(args)
        if states is not None:
            new = change(0, states)
            return None if new is None else (with_first_tensor(args, new), kwargs)
        name = next(name for name, value in kwargs.items() if isinstance(value, torch.Tensor))
        new = change(0, kwargs[name])
        return None if new is None else (args, {**kwargs, name: new})

    handles: list[RemovableHandle] = []
    if 0 in layers:
        handles.append(sites.first.register_forward_pre_hook(before, with_kwargs=True))
    handles += [register_early(module, after) for module in sites.modules(layers)]
    return handles


def _attach_attention(
    operation: AttentionOperation, sites: Sites, layers: Sequence[int], running: Pass, tokens: Region
) -> list[RemovableHandle]:
    calls = CallCounter(running)
    open_watches: list[AttentionWatch | None] = []

    def region() -> torch.Tensor | None:
        return None if tokens == "all" and running.mask is None else running.region(tokens)

    def enter(module: Any, _args: Any) -> None:
        number = 0 if is_plain(sites.stack) else sites.number(module, calls.next(module))
        is_acted = number in layers and number > 0
        watch = AttentionWatch(operation, number, region, module) if is_acted else None
        open_watches.append(watch)
        if watch is not None:
            watch.__enter__()  # type: ignore[no-untyped-call]

    def leave(module: Any, _args: Any, output: Any) -> None:
        watch = open_watches.pop()
        if watch is None:
            return
        watch.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        if not watch.is_done and output is not None:
            raise ModelError(
                f"{type(module).__name__} ran without an attention that can be acted on (it has none, or a "
                "kernel that hides it); load the model with attn_implementation='sdpa' or 'eager', or act on "
                "its states"
            )

    handles: list[RemovableHandle] = []
    for module in sites.modules(layers):
        handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave, always_call=True))
    return handles


def _measure(acting: Acting, layer: int, old: torch.Tensor, new: torch.Tensor, chosen: torch.Tensor) -> None:
    change = (new.float() - old.float()).norm(dim=-1)[chosen]
    size = old.float().norm(dim=-1)[chosen]
    ratios = change[size > 0] / size[size > 0]
    acting.squares[layer] = acting.squares.get(layer, 0.0) + float(ratios.double().square().sum())
    acting.counts[layer] = acting.counts.get(layer, 0) + int(ratios.numel())
