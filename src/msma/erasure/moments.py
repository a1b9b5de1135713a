"""Moments of a model's tokens with a concept that their texts carry, one layer at a time, never holding a token."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float

from msma.errors import CorpusError
from msma.extraction.batching import plan_batches
from msma.extraction.pooling import default_budget
from msma.extraction.tokens import Record, Row, TextEncoder
from msma.models import LoadedModel, Sequences, Stack, evaluating, position_limit
from msma.progress import progress


@dataclass(frozen=True, eq=False)
class ConceptMoments:
    r"""Moments of token states in which every text weighs alike, whatever its length.

    .. math:: \mu = \frac{1}{n} \sum_i \bar h_i, \quad
        \Sigma_{xx} = \frac{1}{n} \sum_i \frac{1}{T_i} \sum_t h_{it} h_{it}^\top - \mu \mu^\top, \quad
        \Sigma_{xz} = \frac{1}{n} \sum_i \bar h_i (z_i - \bar z)^\top

    An affine map that leaves nothing of :math:`\Sigma_{xz}` erases the concept from the tokens so weighted, and just
    as well from their mean :math:`\bar h_i`, which is what probes of pooled states read, because it acts on every
    token alike.

    Args:
        mean: :math:`\mu`.
        covariance: :math:`\Sigma_{xx}`.
        cross: Columns for the mean of a text's tokens, and for the one token that heads read it by: the first of an
            encoder, the last of a decoder.
    """

    mean: Float[torch.Tensor, " d_model"]
    covariance: Float[torch.Tensor, "d_model d_model"]
    cross: Float[torch.Tensor, "d_model columns"]


def encode_texts(loaded: LoadedModel, stack: Stack, texts: Sequence[str]) -> list[Row]:
    """Turn texts into rows of tokens, cut at the model's limit.

    Args:
        loaded: The model.
        stack: The stack that is read.
        texts: The texts.

    Returns:
        One row a text.

    Raises:
        CorpusError: When a text has no token.
    """
    encoder = TextEncoder(
        loaded.tokenizer,
        unit="text",
        max_tokens=None,
        limit=position_limit(loaded.network),
        long="truncate",
        start_id=stack.start_id,
        n_tokens=stack.n_tokens,
    )
    encoded = encoder.encode(
        [Record(position=i, text=text, document=str(i), labels={}) for i, text in enumerate(texts)]
    )
    if encoded.n_empty:
        found = {record.position for record in encoded.record_of_row}
        empty = next(i for i in range(len(texts)) if i not in found)
        raise CorpusError(f"text {empty} has no token ('{texts[empty][:40]}'); leave it out")
    return encoded.rows


def concept_moments(
    loaded: LoadedModel,
    stack: Stack,
    rows: Sequence[Row],
    concept: Float[torch.Tensor, "rows concepts"] | None,
    layer: int,
) -> ConceptMoments:
    """Read one layer of some texts, as the model runs now, interventions included.

    Args:
        loaded: The model.
        stack: The stack that is read.
        rows: The texts' tokens.
        concept: What each text carries; ``None`` where only mean and covariance are wanted.
        layer: The layer entry.

    Returns:
        The moments, in float64.
    """
    device = stack.device
    # Devices without double precision (mps) accumulate on the CPU.
    place = device if device.type in ("cpu", "cuda") else torch.device("cpu")
    n, d = len(rows), stack.d_model
    mean = torch.zeros(d, dtype=torch.float64, device=place)
    second = torch.zeros(d, d, dtype=torch.float64, device=place)
    apart = torch.zeros(n, 0) if concept is None else concept.double() - concept.double().mean(0)
    apart = apart.to(place)
    cross = torch.zeros(d, 2 * apart.shape[1], dtype=torch.float64, device=place)
    batches = plan_batches(
        [row.length for row in rows], budget=default_budget(stack), is_mixed=stack.padding.is_mixed
    )
    with evaluating(loaded.network):
        for batch in progress(batches, label=f"layer {layer}", unit="batch"):
            sequences = _collate(stack, [rows[i] for i in batch])
            states = _read_layer(stack, sequences, layer).to(place)
            for place_in_batch, number in enumerate(batch):
                start, length = sequences.starts[place_in_batch], sequences.lengths[place_in_batch]
                tokens = states[place_in_batch, start : start + length].double()
                pooled = tokens.mean(0)
                mean += pooled / n
                second.addmm_(tokens.T, tokens, alpha=1.0 / (n * length))
                if concept is not None:
                    read = tokens[-1 if stack.is_causal else 0]
                    sides = torch.cat(
                        [torch.outer(pooled, apart[number]), torch.outer(read, apart[number])], 1
                    )
                    cross += sides / n
    return ConceptMoments(mean, second - torch.outer(mean, mean), cross)


def _collate(stack: Stack, rows: Sequence[Row]) -> Sequences:
    sources = None if rows[0].source is None else [row.source or [] for row in rows]
    return stack.collate([row.ids for row in rows], sources=sources)


def _read_layer(stack: Stack, batch: Sequences, layer: int) -> Float[torch.Tensor, "rows tokens d_model"]:
    found: list[torch.Tensor] = []

    def visit(number: int, states: torch.Tensor) -> None:
        if number == layer:
            found.append(states)

    with stack.reading(visit) as run:
        run(batch)
    return found[0]
