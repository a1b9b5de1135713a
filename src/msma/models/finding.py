"""Find out on a few tokens how a model is to be read.

No family is known by name. What holds for a model is tried out once: which list of modules are its blocks
(their inputs and outputs must equal what ``output_hidden_states`` gives), whether a token sees what comes
after it, whether a norm follows the last block, and which way of padding leaves a text's states as they are
when it stands alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import nn

from msma._types import Stack as StackName
from msma.errors import ModelError
from msma.models.blocks import FinalNorm, Padding, Sequences, Side, Stack
from msma.models.parameters import is_quantised
from msma.models.quieting import evaluating, quiet

#: Token ids, and every layer entry they have when they stand alone.
Alone: TypeAlias = tuple[Sequence[int], list[torch.Tensor]]

#: Three scales need a layer entry each.
_FEWEST_LAYERS = 3
#: Relative difference under which two computations of one state are the same: run in the same shape, in
#: another shape (where kernels round otherwise), and in half precision.
_TOLERANCE, _OTHER_SHAPE, _HALF = 1e-5, 1e-3, 3e-2
#: Mean relative change of a start that does not see what follows: of experts in half precision 6e-4 was
#: measured; of quantised weights more, whose rounding depends on the largest activations of a batch.
_UNMOVED, _UNMOVED_QUANTISED = 5e-3, 3e-2


_PROBES: list[None] = []


@contextmanager
def probing() -> Iterator[None]:
    """Mark that a model runs to be tried out, so that nothing that acts on it takes part.

    Yields:
        Nothing.
    """
    _PROBES.append(None)
    try:
        yield
    finally:
        _PROBES.pop()


def is_probing() -> bool:
    """Tell whether a model runs to be tried out.

    Returns:
        Whether :func:`probing` is on.
    """
    return bool(_PROBES)


def find_stack(
    network: Any,
    ids: Sequence[int],
    *,
    stack: StackName = "auto",
    final_norm: bool = False,
    padding_side: Side = "right",
) -> Stack:
    """Find out on a few tokens how a model is to be read.

    Args:
        network: A transformers model; left as it was.
        ids: Four or more tokens it knows.
        stack: Which stack; "auto" is the encoder of an encoder-decoder and the only one of any other.
        final_norm: Take the last entry after the model's final norm, where it has one.
        padding_side: Side on which batches are to be padded.

    Returns:
        The stack.

    Raises:
        ModelError: When there is no such stack, its layers cannot be read, it is too shallow for three scales,
            or it cannot be padded on that side.
    """
    with evaluating(network), probing():
        found = choose_stack(network, stack)
        short = ids[: len(ids) // 2]
        try:
            found, whole = _find_layers(found, ids, final_norm=final_norm)
            start = _read(found, found.collate([short]))
            changed = _read(found, found.collate([_change_rest(ids, len(short), n_tokens=found.n_tokens)]))
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise ModelError(
                f"{type(network).__name__} could not be run on {len(ids)} tokens "
                f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); "
                "give a text model whose tokenizer matches"
            ) from error
        # Where no token sees what comes after it, other tokens behind a start leave its states as they are.
        unmoved = _UNMOVED_QUANTISED if is_quantised(network) else _UNMOVED
        is_causal = found.encoder is not None or all(
            _is_unmoved(entry[:, : len(short)], other[:, : len(short)], tolerance=unmoved)
            for entry, other in zip(whole, changed, strict=True)
        )
        found = replace(found, is_causal=is_causal)
        if found.encoder is None and not network.config.is_encoder_decoder:
            found = replace(found, kind="decoder" if found.is_causal else "encoder")
        if stack not in ("auto", found.kind):
            raise ModelError(
                f"stack '{stack}' of {type(network).__name__} was asked for; it has only its {found.kind}: "
                "use stack='auto'"
            )
        alone = ((ids, whole), (short, start))
        return replace(found, padding=_find_padding(found, alone, side=padding_side))


def _change_rest(ids: Sequence[int], start: int, *, n_tokens: int) -> list[int]:
    return [*ids[:start], *((token + 1) % n_tokens for token in ids[start:])]


def _is_unmoved(one: torch.Tensor, other: torch.Tensor, *, tolerance: float) -> bool:
    """Compare two runs of one shape: alike to the bit unless a router or a quantiser looks at whole batches.

    On average and not at worst, because a few coordinates of large models are thousands of times the others
    (Dettmers et al. 2022, section 4), beside which everything would look alike in half precision.
    """
    if torch.equal(one, other):
        return True
    one, other = one.double(), other.double()
    return bool((one - other).abs().mean() <= tolerance * other.abs().mean())


def choose_stack(network: Any, stack: StackName) -> Stack:
    """Pick the stack that is to be read, of which nothing is found out yet.

    Args:
        network: A transformers model.
        stack: Which stack; "auto" is the encoder of an encoder-decoder and the only one of any other.

    Returns:
        The stack, without blocks.
    """
    config = network.config
    pad = getattr(config.get_text_config(), "pad_token_id", None)
    if not config.is_encoder_decoder:
        body = getattr(network, "base_model", network)
        found = Stack(body, None, "encoder")
    elif stack == "decoder":
        found = Stack(network.get_decoder(), network.get_encoder(), "decoder")
    else:
        found = Stack(network.get_encoder(), None, "encoder")
    is_usable = isinstance(pad, int) and 0 <= pad < found.n_tokens
    return replace(found, pad_id=int(pad) if is_usable and pad is not None else 0)


def _read(stack: Stack, batch: Sequences) -> list[torch.Tensor]:
    """Every layer entry, kept; for probing only."""
    entries: dict[int, torch.Tensor] = {}
    with stack.reading(lambda number, states: entries.__setitem__(number, states.clone())) as run:
        run(batch)
    return [entries[number] for number in sorted(entries)]


def is_same(one: torch.Tensor, other: torch.Tensor, *, tolerance: float = _TOLERANCE) -> bool:
    """Tell whether two computations gave the same states, up to rounding.

    Args:
        one: States.
        other: States; half precision is allowed more.
        tolerance: Greatest difference, relative to the greatest state.

    Returns:
        Whether shapes and values agree.
    """
    if one.shape != other.shape:
        return False
    if one.dtype not in (torch.float32, torch.float64):
        tolerance = max(tolerance, _HALF)
    # Blocks of a model that is spread out show their states where they run.
    one, other = one.double(), other.to(one.device).double()
    return bool((one - other).abs().max() <= tolerance * other.abs().max())


def _find_layers(stack: Stack, ids: Sequence[int], *, final_norm: bool) -> tuple[Stack, list[torch.Tensor]]:
    batch = stack.collate([ids])
    output = stack.run(batch, output_hidden_states=True)
    hidden = getattr(output, "hidden_states", None)
    declared = getattr(stack.module.config.get_text_config(), "num_hidden_layers", 0)
    n_blocks = len(hidden) - 1 if hidden else int(declared)
    if n_blocks + 1 < _FEWEST_LAYERS:
        raise ModelError(
            f"a model of {n_blocks} blocks came; three scales need at least {_FEWEST_LAYERS - 1} blocks: "
            "choose a deeper model"
        )
    for candidate in stack.module.modules():
        if not isinstance(candidate, nn.ModuleList) or len(candidate) != n_blocks:
            continue
        hooked = replace(stack, blocks=tuple(candidate), n_layers=n_blocks + 1)
        entries = _read(hooked, batch)
        if len(entries) != n_blocks + 1:
            continue
        if hidden and not _agree(entries, hidden):
            continue
        note = None if hidden else "hooked without a check: the model does not give its hidden states"
        norm: FinalNorm = "none"
        if not is_same(entries[-1], output[0]):
            norm = "included" if final_norm and entries[-1].shape == output[0].shape else "excluded"
        if norm == "included":
            entries[-1] = output[0]
        return replace(hooked, d_model=entries[0].shape[-1], final_norm=norm, note=note), entries
    if not hidden:
        raise ModelError(
            f"{type(stack.module).__name__} has no list of {n_blocks} blocks that can be hooked and does not "
            "give its hidden states; it cannot be read"
        )
    is_normed = any("norm" in type(child).__name__.lower() for child in stack.module.children())
    read = replace(
        stack,
        n_layers=n_blocks + 1,
        d_model=hidden[0].shape[-1],
        final_norm="included" if is_normed else "none",
        note="read through output_hidden_states: its layers are shared or have no module of their own",
    )
    return read, list(hidden)


def _agree(entries: Sequence[torch.Tensor], hidden: Sequence[torch.Tensor]) -> bool:
    """Compare hooked entries with ``hidden_states``, whose last may be normed and whose h_0 Mamba leaves out."""
    return any(
        all(map(is_same, entries[skipped : skipped + len(hidden) - 1], hidden[:-1])) for skipped in (0, 1)
    )


def _find_padding(stack: Stack, alone: Sequence[Alone], *, side: Side) -> Padding:
    """Find what padding leaves a text's states as they are when it stands alone."""
    plans = []
    if side == "right" and stack.is_causal:
        # What comes after a token never reaches it, so that a mask would only cost time.
        plans.append(Padding(has_mask=False))
    if "attention_mask" in stack.accepted:
        plans.append(Padding(side=side))
        if side == "left" and "position_ids" in stack.accepted:
            plans.append(Padding(has_positions=True, side=side))
    for plan in plans:
        if _is_padding_harmless(replace(stack, padding=plan), alone):
            return plan
    if side == "left":
        raise ModelError(
            f"padding_side 'left' was asked for, but it changes the states of {type(stack.module).__name__}; "
            "use padding_side='right'"
        )
    return Padding(is_mixed=False)


def _is_padding_harmless(stack: Stack, alone: Sequence[Alone]) -> bool:
    rows = [ids for ids, _ in alone]
    try:
        batch = stack.collate(rows)
        together = _read(stack, batch)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return False
    return all(
        is_same(
            entry[row : row + 1, batch.starts[row] :][:, : batch.lengths[row]], own, tolerance=_OTHER_SHAPE
        )
        for row, (_, entries) in enumerate(alone)
        for entry, own in zip(together, entries, strict=True)
    )


def position_limit(network: Any) -> int | None:
    """Tell how many tokens a model's positions allow.

    Args:
        network: The model.

    Returns:
        Tokens, special ones included; ``None`` where positions have no declared end.
    """
    with quiet():
        config = network.config.get_text_config()
        declared = getattr(config, "max_position_embeddings", None)
    if not isinstance(declared, int) or declared <= 0:
        return None
    for module in network.modules():
        # RoBERTa counts positions from the padding id on, so that many of its rows are never used.
        if not isinstance(module, nn.Embedding) or module is network.get_input_embeddings():
            continue
        if module.num_embeddings == declared and module.padding_idx is not None:
            return declared - int(module.padding_idx) - 1
    return declared
