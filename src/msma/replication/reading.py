"""The state of each scale as a joint training sees it, with the published padding where that is asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from msma._types import Scale
from msma.extraction.tokens import PROBE_TEXT, Row
from msma.models import LoadedModel, Sequences, Stack, evaluating, find_stack
from msma.replication.config import JointTrainingConfig
from msma.replication.pooling import masked_mean, padded_mean
from msma.replication.samples import encode_texts
from msma.scales import ScalePartition

__all__ = ["ScaleReader", "chunk_rows", "probe_stack", "read_scales"]

#: Tokens that a model is tried out on.
_PROBE_TOKENS = 16


@dataclass(frozen=True)
class ScaleReader:
    """Run a model on texts and give the state of each scale.

    Args:
        network: The model.
        stack: How it is read.
        partition: Which layers belong to which scale.
        has_padding_in_means: Whether padding is averaged in (a quirk).
        longest: Tokens that each text is then padded to.
    """

    network: Any
    stack: Stack
    partition: ScalePartition
    has_padding_in_means: bool = False
    longest: int = 0

    def collate(self, rows: Sequence[Row]) -> Sequences:
        """Put texts into one batch.

        Args:
            rows: Their token ids.

        Returns:
            The batch, padded to the longest of it (with the quirk: to the longest of the corpus).
        """
        sources = None if rows[0].source is None else [row.source or [] for row in rows]
        batch = self.stack.collate([row.ids for row in rows], sources=sources)
        return _widen(batch, self.longest, self.stack) if self.has_padding_in_means else batch

    def scales(self, batch: Sequences) -> dict[Scale, Float[Tensor, "rows d_model"]]:
        """Run the language model and give the state of each scale.

        Args:
            batch: Token ids.

        Returns:
            The mean over the scale's layers of the mean over each text's tokens; gradients flow into the model.
        """
        pool = padded_mean if self.has_padding_in_means else masked_mean
        entries: dict[int, Tensor] = {}
        with self.stack.reading(entries.__setitem__) as run:
            run(batch)
        # Pooled after the run, not within: gradients then add up in the order in which plain code adds them up.
        pooled = {number: pool(states, batch) for number, states in sorted(entries.items())}
        return {
            scale: torch.stack([pooled[layer] for layer in layers]).mean(dim=0)
            for scale, layers in self.partition.ranges.items()
        }

    def read(
        self, rows: Sequence[Row], *, batch_size: int = 32
    ) -> dict[Scale, Float[Tensor, "rows d_model"]]:
        """Give the state of each scale without training: no dropout, no gradient.

        Args:
            rows: Token ids of each text.
            batch_size: Texts a pass.

        Returns:
            One row a text, in the order given.
        """
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        parts: list[dict[Scale, Tensor]] = []
        with evaluating(self.network):
            for places in chunk_rows([rows[i] for i in order], size=batch_size, stack=self.stack):
                parts.append(self.scales(self.collate([rows[order[place]] for place in places])))
        back = torch.tensor(order).argsort()
        # Cloned outside inference mode, so that gradients may be taken of what is computed from them.
        return {
            scale: torch.cat([part[scale] for part in parts]).clone()[back] for scale in self.partition.ranges
        }


def probe_stack(loaded: LoadedModel, config: JointTrainingConfig) -> Stack:
    """Find out on a few tokens how a model is read.

    Args:
        loaded: The model.
        config: Says which stack.

    Returns:
        The stack.

    Raises:
        ModelError: When it cannot be read.
    """
    probe = loaded.tokenizer(PROBE_TEXT)["input_ids"][:_PROBE_TOKENS]
    return find_stack(loaded.network, probe, stack=config.stack)


def read_scales(
    loaded: LoadedModel, texts: Iterable[Any], *, partition: ScalePartition, config: JointTrainingConfig
) -> dict[Scale, Float[Tensor, "texts d_model"]]:
    """Give the states that a joint training sees: its cut at ``max_tokens``, its pooling, its quirk of padding.

    Args:
        loaded: The model, tuned or not.
        texts: Texts or documents; with the quirk, all are padded to the longest of these.
        partition: Which layers belong to which scale.
        config: Settings of the training.

    Returns:
        One row a text that has a token, for each scale.

    Raises:
        CorpusError: When no text has a token.
        ModelError: When the model cannot be read.
    """
    stack = probe_stack(loaded, config)
    rows = encode_texts(texts, loaded, stack, config=config).rows
    longest = max(len(row.ids) for row in rows)
    is_quirky = config.quirks.padding_in_means
    return ScaleReader(loaded.network, stack, partition, is_quirky, longest).read(rows)


def chunk_rows(rows: Sequence[Row], *, size: int, stack: Stack) -> list[list[int]]:
    """Cut rows, in the order given, into runs that may go through a model together.

    Args:
        rows: Token ids.
        size: Rows a run, at most.
        stack: Says whether lengths may be mixed.

    Returns:
        Positions of each run.
    """
    chunks: list[list[int]] = []
    for place, row in enumerate(rows):
        is_alike = bool(chunks) and (stack.padding.is_mixed or rows[chunks[-1][-1]].length == row.length)
        if is_alike and len(chunks[-1]) < size:
            chunks[-1].append(place)
        else:
            chunks.append([place])
    return chunks


def _widen(batch: Sequences, width: int, stack: Stack) -> Sequences:
    """Pad on the right to a width that does not depend on which texts came together."""
    extra = width - batch.ids.shape[1]
    if extra <= 0:
        return batch
    mask = batch.mask
    if mask is None and stack.padding.has_mask:
        mask = torch.ones_like(batch.ids)
    positions = batch.positions
    return replace(
        batch,
        ids=functional.pad(batch.ids, (0, extra), value=stack.pad_id),
        mask=None if mask is None else functional.pad(mask, (0, extra)),
        positions=None if positions is None else functional.pad(positions, (0, extra)),
    )
