"""The stack of a model that is read: its blocks, how they are hooked, and how a batch is put together."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import nn

from msma.errors import ModelError
from msma.models.parameters import input_device

FinalNorm: TypeAlias = Literal["none", "excluded", "included"]
Side: TypeAlias = Literal["right", "left"]
Visit: TypeAlias = Callable[[int, Float[torch.Tensor, "rows tokens d_model"]], None]


@dataclass(frozen=True)
class Padding:
    """What a padded batch must bring.

    Args:
        is_mixed: Whether texts of unequal length may share a batch at all.
        has_mask: Whether an attention mask is needed.
        has_positions: Whether position ids are needed.
        side: Where padding stands.
    """

    is_mixed: bool = True
    has_mask: bool = True
    has_positions: bool = False
    side: Side = "right"


@dataclass(frozen=True)
class Sequences:
    """Token ids of one forward pass.

    Args:
        ids: Padded ids.
        lengths: Tokens of each row without padding.
        starts: Where each row's tokens start.
        mask: 1 where there is a token; ``None`` where none is needed.
        positions: Position of each token; ``None`` where the model counts right by itself.
        source: What the encoder reads, when the stack is the decoder of an encoder-decoder.
    """

    ids: Int[torch.Tensor, "rows tokens"]
    lengths: tuple[int, ...]
    starts: tuple[int, ...]
    mask: Int[torch.Tensor, "rows tokens"] | None = None
    positions: Int[torch.Tensor, "rows tokens"] | None = None
    source: "Sequences | None" = None

    @property
    def is_padded(self) -> bool:
        """Whether any row is shorter than the batch is wide."""
        return min(self.lengths) < self.ids.shape[1]


@dataclass(frozen=True)
class Stack:
    """The stack of a model that is read, and how.

    Args:
        module: The stack.
        encoder: What the stack attends to, when it is the decoder of an encoder-decoder.
        kind: "encoder" or "decoder".
        blocks: Its blocks; empty where the entries are only to be had from ``output_hidden_states``.
        n_layers: Layer entries, the embedding output h_0 included.
        d_model: Width of one state.
        is_causal: Whether a token sees only what came before it.
        final_norm: Whether the last entry is taken after the model's final norm.
        padding: What a padded batch must bring.
        pad_id: The id that fills it.
        note: Anything a reader must know about how the states are read.
    """

    module: Any
    encoder: Any
    kind: Literal["encoder", "decoder"]
    blocks: tuple[nn.Module, ...] = ()
    n_layers: int = 0
    d_model: int = 0
    is_causal: bool = False
    final_norm: FinalNorm = "none"
    padding: Padding = Padding()
    pad_id: int = 0
    note: str | None = None

    @cached_property
    def accepted(self) -> frozenset[str]:
        """Names of the arguments that the stack's forward takes."""
        return frozenset(inspect.signature(self.module.forward).parameters)

    @property
    def device(self) -> torch.device:
        """Where inputs go; blocks may be elsewhere, and so may the states they show."""
        return input_device(self.module)

    @property
    def start_id(self) -> int | None:
        """What a decoder is started with; ``None`` where the stack needs nothing before the text."""
        if self.encoder is None:
            return None
        config = self.module.config
        for name in ("decoder_start_token_id", "pad_token_id", "bos_token_id"):
            if isinstance(getattr(config, name, None), int):
                return int(getattr(config, name))
        raise ModelError(
            "the model's configuration says nothing to start its decoder with; set "
            "config.decoder_start_token_id, or read stack='encoder'"
        )

    @property
    def n_tokens(self) -> int:
        """Number of tokens the stack has embeddings for."""
        embeddings = self.module.get_input_embeddings()
        return int(getattr(embeddings, "num_embeddings", 0) or self.module.config.vocab_size)

    def collate(
        self, rows: Sequence[Sequence[int]], *, sources: Sequence[Sequence[int]] | None = None
    ) -> Sequences:
        """Put token ids into one rectangle.

        Args:
            rows: Ids of each text.
            sources: What the encoder reads for each text, when the stack is the decoder of an encoder-decoder.

        Returns:
            The batch, on the model's device.
        """
        batch = self._rectangle(rows, self.padding)
        if self.encoder is None:
            return batch
        source = self._rectangle(rows if sources is None else sources, Padding())
        return replace(batch, source=source)

    def _rectangle(self, rows: Sequence[Sequence[int]], padding: Padding) -> Sequences:
        device = self.device
        lengths = tuple(len(row) for row in rows)
        width = max(lengths)
        if min(lengths) == width:
            return Sequences(torch.tensor(rows, device=device), lengths, (0,) * len(rows))
        starts = tuple(width - n if padding.side == "left" else 0 for n in lengths)
        ids = torch.full((len(rows), width), self.pad_id)
        mask = torch.zeros_like(ids)
        for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
            ids[i, start : start + len(row)] = torch.tensor(row)
            mask[i, start : start + len(row)] = 1
        positions = (mask.cumsum(1) - 1).clamp_min(0) if padding.has_positions else None
        return Sequences(
            ids.to(device),
            lengths,
            starts,
            mask.to(device) if padding.has_mask else None,
            None if positions is None else positions.to(device),
        )

    def run(self, batch: Sequences, **options: Any) -> Any:
        """Run the stack, without the language-model head and without a cache.

        Args:
            batch: Token ids.
            **options: More arguments of the stack's forward.

        Returns:
            What the stack gives.
        """
        if batch.mask is not None:
            options["attention_mask"] = batch.mask
        if batch.positions is not None:
            options["position_ids"] = batch.positions
        if "use_cache" in self.accepted:
            options["use_cache"] = False
        if self.encoder is not None and batch.source is not None:
            source = batch.source
            encoded = self.encoder(input_ids=source.ids, attention_mask=source.mask)
            options["encoder_hidden_states"] = encoded[0]
            options["encoder_attention_mask"] = source.mask
        return self.module(input_ids=batch.ids, return_dict=True, **options)

    @contextmanager
    def reading(self, visit: Visit) -> Iterator[Callable[[Sequences], None]]:
        """Hook the blocks, so that every layer entry is shown while the model runs and none is kept.

        Args:
            visit: Called with the number of each layer entry and its states, 0 to ``n_layers - 1``.

        Yields:
            A function that runs the stack on a batch.
        """
        handles = []
        if self.blocks:
            last = len(self.blocks)
            handles.append(
                self.blocks[0].register_forward_pre_hook(
                    lambda _, args, kwargs: visit(0, _first_tensor((*args, *kwargs.values()))),
                    with_kwargs=True,
                )
            )
            for number, block in enumerate(self.blocks, start=1):
                if number == last and self.final_norm == "included":
                    continue
                handles.append(block.register_forward_hook(_show(visit, number)))

        def run(batch: Sequences) -> None:
            output = self.run(batch, **({} if self.blocks else {"output_hidden_states": True}))
            if not self.blocks:
                for number, states in enumerate(output.hidden_states):
                    visit(number, states)
            elif self.final_norm == "included":
                visit(len(self.blocks), output[0])

        try:
            yield run
        finally:
            for handle in handles:
                handle.remove()


def _show(visit: Visit, number: int) -> Callable[[Any, Any, Any], None]:
    return lambda _module, _args, output: visit(number, _first_tensor(output))


def _first_tensor(values: Any) -> torch.Tensor:
    """Blocks give their states alone, or first in a tuple."""
    if isinstance(values, torch.Tensor):
        return values
    return next(value for value in values if isinstance(value, torch.Tensor))
