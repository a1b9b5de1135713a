"""How far and how evenly each block looks, text by text, without keeping any attention map."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from msma.extraction.tokens import Record, Row
from msma.models import LoadedModel, Stack, recording_attention
from msma.progress import progress
from msma.states import AttentionSummary

#: Below this many tokens there is nothing to look at but the first token and oneself.
FEWEST_TOKENS = 4


class AttentionStatistics(NamedTuple):
    """What is kept of one attention map, as means over heads and attending tokens.

    Args:
        distance: Mean distance in tokens of the attended token, the first token left out.
        distance_raw: The same with the first token.
        entropy: Entropy in nats of the weights, the first token left out.
        sink_share: Weight on the first token, 0 to 1.
    """

    distance: float
    distance_raw: float
    entropy: float
    sink_share: float


def summarise_map(
    weights: Float[torch.Tensor, "heads tokens tokens"], *, is_causal: bool
) -> AttentionStatistics:
    r"""Reduce the attention weights of one text to four numbers.

    With :math:`a_{ij}` the weight that token :math:`i` gives to token :math:`j`, both from 0, and
    :math:`b_{ij} = a_{ij} / \sum_{k \ge 1} a_{ik}` the weights without the first token, on which many models
    park what they do not need (attention sinks; Xiao et al. 2023):

    .. math:: \text{distance}_i = \sum_{j \ge 1} b_{ij} |i - j|, \quad
              \text{entropy}_i = -\sum_{j \ge 1} b_{ij} \log b_{ij}

    In a causal model the first token sees nothing but itself, so its row is left out of every mean.

    Args:
        weights: Attention weights of all heads.
        is_causal: Whether a token sees only what came before it.

    Returns:
        Distances in tokens, entropy in nats, a share.

    Examples:
        >>> uniform_map(4, is_causal=True)[0].tolist()[2]  # doctest: +ELLIPSIS
        [0.333..., 0.333..., 0.333..., 0.0]
        >>> summarise_map(uniform_map(4, is_causal=True), is_causal=True).distance
        0.5
    """
    weights = weights.float()[:, 1:] if is_causal else weights.float()
    n_tokens = weights.shape[2]
    places = torch.arange(n_tokens, device=weights.device)
    gaps = (places[n_tokens - weights.shape[1] :, None] - places).abs().float()
    rest = weights[..., 1:]
    mass = rest.sum(-1, keepdim=True)
    shares = rest / mass.clamp_min(torch.finfo(torch.float32).tiny)
    # A row whose whole weight is on the first token says nothing about the others.
    is_seen = mass.squeeze(-1) > 0
    means = (
        (shares * gaps[:, 1:]).sum(-1)[is_seen].mean(),
        (weights * gaps).sum(-1).mean(),
        torch.special.entr(shares).sum(-1)[is_seen].mean(),
        weights[..., 0].mean(),
    )
    return AttentionStatistics(*torch.stack(means).nan_to_num(0.0).tolist())


def uniform_map(n_tokens: int, *, is_causal: bool) -> Float[torch.Tensor, "1 tokens tokens"]:
    """Make the map of a head that looks at everything it can see alike.

    Args:
        n_tokens: Length of the text.
        is_causal: Whether a token sees only what came before it.

    Returns:
        Weights, every row adding up to 1.
    """
    seen = torch.ones(n_tokens, n_tokens)
    if is_causal:
        seen = seen.tril()
    return (seen / seen.sum(1, keepdim=True)).unsqueeze(0)


class TextSample:
    """Keep a random part of the texts that stream by, every text alike likely (Vitter 1985, algorithm R).

    Args:
        size: Texts to keep.
        seed: Fixes the choice.

    Examples:
        >>> sample = TextSample(2, seed=0)
        >>> for position in range(100):
        ...     sample.offer(Record(position=position, text="It rains.", document="a", labels={}))
        >>> len(sample.records)
        2
    """

    def __init__(self, size: int, *, seed: int) -> None:
        self.size = size
        self._generator = np.random.default_rng(seed)
        self._n_offered = 0
        self._kept: list[Record] = []

    def offer(self, record: Record) -> None:
        """Show one text.

        Args:
            record: The text.
        """
        if self.size == 0:
            return
        self._n_offered += 1
        if len(self._kept) < self.size:
            self._kept.append(record)
            return
        place = int(self._generator.integers(self._n_offered))
        if place < self.size:
            self._kept[place] = record

    @property
    def records(self) -> list[Record]:
        """The texts kept, in corpus order."""
        return sorted(self._kept, key=lambda record: record.position)


def measure_attention(
    loaded: LoadedModel, stack: Stack, rows: Sequence[tuple[int, Row]]
) -> AttentionSummary | None:
    """Run a sample of texts with attention written out and reduce each map as it passes.

    Args:
        loaded: The model; its attention implementation is what it was afterwards.
        stack: The stack that is read.
        rows: Position in the corpus and tokens of each text.

    Returns:
        Statistics by block and text; ``None`` where the model has no attention maps, or no text is long enough.
    """
    if not rows:
        return None
    n_blocks, n_texts = stack.n_layers - 1, len(rows)
    found = np.zeros((4, n_blocks, n_texts), dtype=np.float32)
    uniform = np.zeros((4, n_blocks, n_texts), dtype=np.float32)
    column = 0

    def visit(number: int, weights: torch.Tensor) -> None:
        found[:, number - 1, column] = summarise_map(weights[0], is_causal=stack.is_causal)

    with recording_attention(loaded.network, stack, visit, ids=rows[0][1].ids) as run:
        if run is None:
            return None
        texts = progress(rows, label="reading attention", unit="text")
        for column, (_, row) in enumerate(texts):
            batch = stack.collate([row.ids], sources=None if row.source is None else [row.source])
            run(batch)
            even = uniform_map(batch.ids.shape[1], is_causal=stack.is_causal)
            statistics = summarise_map(even, is_causal=stack.is_causal)
            uniform[:, :, column] = np.asarray(statistics, dtype=np.float32)[:, None]
    return AttentionSummary(
        distance=found[0],
        distance_raw=found[1],
        distance_uniform=uniform[0],
        entropy=found[2],
        entropy_uniform=uniform[2],
        sink_share=found[3],
        texts=np.array([position for position, _ in rows], dtype=np.int64),
    )
