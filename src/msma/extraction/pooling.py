"""Rows of tokens to pooled states: sums over each sample's tokens, taken while the model runs."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from msma._types import Unit
from msma.errors import ModelError
from msma.extraction.batching import plan_batches
from msma.extraction.keeping import AllLayers, Keeper, Stacked, Sums
from msma.extraction.tokens import Encoded, Row
from msma.models import LoadedModel, Sequences, Stack, evaluating
from msma.progress import progress

#: Bytes of pooled states a shard should have at most, and texts whatever their size.
_SHARD_BYTES, _MOST_TEXTS, _FEWEST_TEXTS = 2**28, 2048, 16
#: Samples a text is expected to give.
_SAMPLES = {"text": 1, "sentence": 8}


class BatchSums:
    """Collect, entry by entry, the sum of the states of each sample's tokens in one batch, in float32.

    Args:
        batch: The token ids.
        rows: The rows they come from.
        take: Given each entry's number and sums; they are kept in ``entries`` when left out.
    """

    def __init__(
        self, batch: Sequences, rows: Sequence[Row], *, take: Callable[[int, Sums], None] | None = None
    ) -> None:
        self.entries: list[Sums] = []
        self._take = take if take is not None else lambda _, sums: self.entries.append(sums)
        self._weights: Float32[torch.Tensor, "rows 1 tokens"] | None = None
        self._tokens: Int[torch.Tensor, " kept"] | None = None
        device, width = batch.ids.device, batch.ids.shape[1]
        if rows[0].samples is None:
            self.samples = np.array([row.sample for row in rows])
            if batch.is_padded:
                places = torch.arange(width)
                starts = torch.tensor(batch.starts)[:, None]
                inside = (places >= starts) & (places < starts + torch.tensor(batch.lengths)[:, None])
                self._weights = inside.float().unsqueeze(1).to(device)
            return
        owners = np.concatenate([row.samples for row in rows if row.samples is not None])
        tokens = np.concatenate(
            [i * width + start + np.arange(n) for i, (start, n) in enumerate(_places(batch))]
        )
        kept = owners >= 0
        self.samples, pooled = np.unique(owners[kept], return_inverse=True)
        self._tokens = torch.from_numpy(tokens[kept]).to(device)
        self._pooled = torch.from_numpy(pooled).to(device)

    def visit(self, number: int, states: Float[torch.Tensor, "rows tokens d_model"]) -> None:
        """Pool one layer entry.

        Args:
            number: Its number; entries come in order.
            states: Its states.
        """
        self._follow(states.device)
        if self._tokens is not None:
            flat = states.flatten(0, 1).index_select(0, self._tokens).float()
            sums = flat.new_zeros(len(self.samples), flat.shape[1]).index_add_(0, self._pooled, flat)
        elif self._weights is not None:
            sums = torch.bmm(self._weights, states.float()).squeeze(1)
        else:
            sums = states.sum(1, dtype=torch.float32)
        self._take(number, sums)

    def _follow(self, device: torch.device) -> None:
        """Go where the states are: blocks of a model that is spread out run on several devices."""
        if self._weights is not None:
            self._weights = self._weights.to(device)
        if self._tokens is not None:
            self._tokens, self._pooled = self._tokens.to(device), self._pooled.to(device)


def _places(batch: Sequences) -> list[tuple[int, int]]:
    return list(zip(batch.starts, batch.lengths, strict=True))


def default_budget(stack: Stack) -> int:
    """Tokens a batch should have where nobody says otherwise.

    Args:
        stack: The stack that is read.

    Returns:
        1,024 on a CPU, whose caches larger batches leave; 16,384 on an accelerator.
    """
    return 1024 if stack.device.type == "cpu" else 16_384


def default_window(stack: Stack, *, unit: Unit, max_tokens: int) -> int:
    """Texts that are sorted by length together and make one shard, where nobody says otherwise.

    Args:
        stack: The stack that is read.
        unit: What one sample is.
        max_tokens: Tokens a text may have.

    Returns:
        As many as make a quarter of a gigabyte of pooled states, from 16 to 2,048.
    """
    per_text = _SAMPLES.get(unit, max_tokens // 2) * stack.n_layers * stack.d_model * 4
    return int(min(_MOST_TEXTS, max(_FEWEST_TEXTS, _SHARD_BYTES // per_text)))


def pool_rows(
    loaded: LoadedModel,
    stack: Stack,
    encoded: Encoded,
    *,
    budget: int,
    unit: Unit,
    keeper: Keeper | None = None,
) -> dict[str, Stacked]:
    """Run rows through the model and pool every layer entry.

    Args:
        loaded: The model.
        stack: The stack that is read.
        encoded: Rows and samples.
        budget: Tokens a batch, padding included.
        unit: What one sample is, for messages.
        keeper: What is kept of the layers; all of them when left out.

    Returns:
        Means over each sample's tokens, by name: "states" and what else the keeper keeps.

    Raises:
        ModelError: When memory does not suffice or a state is not finite.
    """
    counts = encoded.counts
    sums: dict[str, Stacked] = {}
    lengths = [row.length for row in encoded.rows]
    batches = plan_batches(lengths, budget=budget, is_mixed=stack.padding.is_mixed)
    is_split = len(encoded.rows) > len({id(record) for record in encoded.record_of_row})
    keeper = AllLayers() if keeper is None else keeper
    with evaluating(loaded.network):
        for batch in progress(batches, label="reading", unit="batch"):
            rows = [encoded.rows[number] for number in batch]
            try:
                samples, kept = _pool_batch(stack, rows, keeper)
            except torch.cuda.OutOfMemoryError as error:
                raise ModelError(
                    f"the device ran out of memory on a batch of {len(rows)} rows of up to {rows[0].length} "
                    "tokens; ask for fewer: batch_tokens, or max_tokens"
                ) from error
            _check_finite(kept["states"], samples, encoded, unit=unit)
            for name, part in kept.items():
                if name not in sums:
                    sums[name] = np.zeros((part.shape[0], len(counts), part.shape[2]), dtype=np.float32)
                _add(sums[name], part, samples, is_split=is_split)
    for total in sums.values():
        total /= counts[None, :, None].astype(np.float32)
    return sums


def _add(total: Stacked, part: Stacked, samples: Int[np.ndarray, " pooled"], *, is_split: bool) -> None:
    if not is_split:
        total[:, samples] = part
        return
    # Several rows of one batch may belong to one sample, which += on the whole would count once.
    for place, sample in enumerate(samples):
        total[:, sample] += part[:, place]


def _pool_batch(
    stack: Stack, rows: Sequence[Row], keeper: Keeper
) -> tuple[Int[np.ndarray, " pooled"], dict[str, Stacked]]:
    sources = None if rows[0].source is None else [row.source or [] for row in rows]
    batch = stack.collate([row.ids for row in rows], sources=sources)
    keeper.start()
    sums = BatchSums(batch, rows, take=keeper.take)
    with stack.reading(sums.visit) as run:
        run(batch)
    return sums.samples, keeper.finish()


def _check_finite(
    states: Float32[np.ndarray, "layers pooled d_model"],
    samples: Int[np.ndarray, " pooled"],
    encoded: Encoded,
    *,
    unit: Unit,
) -> None:
    if np.isfinite(states).all():
        return
    layer, place = np.argwhere(~np.isfinite(states))[0][:2]
    text = encoded.texts[samples[place]]
    position = encoded.record_of_sample[samples[place]].position
    shown = text if len(text) <= 40 else text[:37] + "..."
    raise ModelError(
        f"the state of layer {layer} is not finite for the {unit} '{shown}' (text {position}); "
        "the weights may be damaged, or the precision too low: try dtype='float32'"
    )
