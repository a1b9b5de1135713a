"""One text to the states of its tokens at the three scales, and variants of it to pooled states."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from msma._types import SCALES, Scale
from msma.errors import CorpusError, ModelError
from msma.explanation.text_reading import ByScale, TextReading, place_tokens
from msma.extraction.batching import plan_batches
from msma.extraction.pooling import default_budget
from msma.extraction.tokens import PROBE_TEXT, Encoded, Record, Row, TextEncoder
from msma.models import LoadedModel, evaluating, find_stack, position_limit
from msma.scales import ScaleRepresentation
from msma.shards import Origin

__all__ = ["ByScale", "ScaleReader", "TextReading"]

_PROBE_TOKENS = 12


class ScaleReader:
    """Read texts one at a time, as the states of a study were read.

    Args:
        loaded: The model.
        origin: How the states were read: stack, final norm, tokens a text.
        representation: What makes scales of layers, fitted.

    Raises:
        ModelError: When the model cannot be read.
    """

    def __init__(self, loaded: LoadedModel, origin: Origin, representation: ScaleRepresentation) -> None:
        self.loaded = loaded
        self.representation = representation
        self.partition = representation.partition
        probe: list[int] = [int(i) for i in loaded.tokenizer(PROBE_TEXT)["input_ids"]]
        is_encoder_decoder = bool(getattr(loaded.network.config, "is_encoder_decoder", False))
        self.stack = find_stack(
            loaded.network,
            probe[:_PROBE_TOKENS],
            stack=origin.stack if is_encoder_decoder else "auto",  # type: ignore[arg-type]
            final_norm=origin.final_norm == "included",
        )
        self._encoder = TextEncoder(
            loaded.tokenizer,
            unit="token",
            max_tokens=origin.max_tokens,
            limit=position_limit(loaded.network),
            long="truncate",
            start_id=self.stack.start_id,
            n_tokens=self.stack.n_tokens,
        )

    def read(self, text: str) -> TextReading:
        """Read one text.

        Args:
            text: The text; what is longer than the model reads is cut.

        Returns:
            Its tokens, sentences and states.

        Raises:
            CorpusError: When it has no token.
            ModelError: When a state is not finite.
        """
        encoded, row = self._encode(text)
        places = np.flatnonzero(_owners(row) >= 0)
        spans = self._spans(text, encoded.texts)
        end = max((stop for _, stop in spans), default=len(text))
        read = text[:end] if any(encoded.truncated) else text
        tokens, sentences = place_tokens(read, spans)
        source = None if row.source is None else tuple(row.source)
        states = self._token_states(row.ids, source)
        return TextReading(
            text=read,
            ids=tuple(row.ids),
            source=source,
            places=places,
            tokens=tokens,
            sentences=sentences,
            states=states,
            is_cut=any(encoded.truncated),
        )

    def tokenise(self, text: str) -> tuple[list[int], int, int]:
        """Give the ids of a text's row, and where its ordinary tokens begin and end.

        Args:
            text: The text; what is longer than the model reads is cut.

        Returns:
            Ids with special ones, first ordinary token, one past the last.
        """
        row = self._encode(text)[1]
        places = np.flatnonzero(_owners(row) >= 0)
        return list(row.ids), int(places[0]), int(places[-1]) + 1

    def pool(
        self,
        rows: Sequence[Sequence[int]],
        *,
        source: Sequence[int] | None = None,
        give_way: Callable[[], None] | None = None,
    ) -> ByScale:
        """Pool rows of ids at the three scales: variants of a text, some tokens taken out or replaced.

        Args:
            rows: Ids, special ones included.
            source: What the encoder of a decoder's stack reads for all of them; each row itself when left out.
            give_way: Called before each batch, so that others may use the model; what it raises ends the reading.

        Returns:
            One row each.
        """
        found = {scale: np.empty((len(rows), self.stack.d_model)) for scale in SCALES}
        lengths = [max(len(row), len(source or ())) for row in rows]
        budget = default_budget(self.stack)
        with evaluating(self.loaded.network):
            for batch in plan_batches(lengths, budget=budget, is_mixed=self.stack.padding.is_mixed):
                if give_way is not None:
                    give_way()
                entries = self._run_batch([rows[number] for number in batch], source)
                for scale in SCALES:
                    found[scale][batch] = self._reduce(entries, scale).cpu().numpy()
        return found

    def differentiate(
        self,
        reading: TextReading,
        score: Callable[[Scale, Float[torch.Tensor, " d_model"]], Float[torch.Tensor, ""]],
        *,
        inputs: Float[np.ndarray, "row_tokens d_model"] | None = None,
    ) -> tuple[dict[Scale, Float[np.ndarray, "row_tokens d_model"]], Float[np.ndarray, "row_tokens d_model"]]:
        r"""Differentiate a number made of each scale's pooled state by the states that enter the first block.

        Args:
            reading: The text.
            score: From a scale and its pooled state (float64) to a number.
            inputs: States that enter the first block; the text's own :math:`h_0` when left out.

        Returns:
            :math:`\partial F_s / \partial h_0` for each scale, and :math:`h_0`; one row a token of the row.

        Raises:
            ModelError: When the model's blocks cannot be reached.
        """
        if not self.stack.blocks:
            raise ModelError(
                f"'{self.loaded.name}' shows its layers but not its blocks, so nothing can be differentiated by what "
                "enters them; use the method 'occlusion'"
            )
        entries: dict[int, torch.Tensor] = {}
        leaf: list[torch.Tensor] = []

        def enter(_module: Any, args: Any, kwargs: Any) -> Any:
            states = args[0] if args else next(v for v in kwargs.values() if isinstance(v, torch.Tensor))
            entering = states if inputs is None else torch.from_numpy(inputs)[None].to(states)
            leaf.append(entering.detach().clone().requires_grad_(True))
            if args:
                return (leaf[-1], *args[1:]), kwargs
            name = next(n for n, v in kwargs.items() if v is states)
            return args, {**kwargs, name: leaf[-1]}

        handle = self.stack.blocks[0].register_forward_pre_hook(enter, with_kwargs=True)
        try:
            with (
                evaluating(self.loaded.network),
                torch.inference_mode(False),
                torch.enable_grad(),
                self.stack.reading(entries.__setitem__) as run,
            ):
                sources = None if reading.source is None else [list(reading.source)]
                run(self.stack.collate([list(reading.ids)], sources=sources))
                layers = [entries[number][0].double().mean(dim=0) for number in range(self.stack.n_layers)]
                gradients = {}
                for scale in SCALES:
                    value = score(scale, self._reduce(torch.stack(layers)[:, None], scale)[0])
                    (found,) = torch.autograd.grad(value, leaf[0], retain_graph=True, allow_unused=True)
                    empty = torch.zeros_like(leaf[0])
                    gradients[scale] = (empty if found is None else found)[0].double().cpu().numpy()
        finally:
            handle.remove()
        return gradients, leaf[0][0].detach().double().cpu().numpy()

    def _encode(self, text: str) -> tuple[Encoded, Row]:
        if not isinstance(text, str):
            raise CorpusError(f"a {type(text).__name__} came; give one text as a string")
        encoded = self._encoder.encode([Record(position=0, text=text, document="", labels={})])
        if not encoded.rows:
            raise CorpusError(f"the text '{text[:40]}' has no token; give one that has words")
        return encoded, encoded.rows[0]

    def _spans(self, text: str, surfaces: Sequence[str]) -> list[tuple[int, int]]:
        """Tell where the tokens stand; where the tokenizer does not know, they are looked for one after another."""
        if self.loaded.tokenizer.is_fast:
            found = self.loaded.tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )
            return [(int(a), int(b)) for a, b in found["offset_mapping"][: len(surfaces)]]
        spans, here = [], 0
        for surface in surfaces:
            bare = surface.strip("▁Ġ #")
            start = text.find(bare, here) if bare else here
            start = here if start < 0 else start
            spans.append((start, start + len(bare)))
            here = spans[-1][1]
        return spans

    def _token_states(self, ids: Sequence[int], source: Sequence[int] | None) -> ByScale:
        entries: dict[int, torch.Tensor] = {}
        with evaluating(self.loaded.network), self.stack.reading(entries.__setitem__) as run:
            run(self.stack.collate([list(ids)], sources=None if source is None else [list(source)]))
            layers = torch.stack([entries[n][0].double().cpu() for n in range(self.stack.n_layers)])
        if not bool(torch.isfinite(layers).all()):
            raise ModelError(
                "the states of the text are not finite; the weights may be damaged, or the precision too low: try "
                "dtype='float32'"
            )
        return {scale: self._reduce(layers, scale).numpy() for scale in SCALES}

    def _run_batch(
        self, rows: Sequence[Sequence[int]], source: Sequence[int] | None
    ) -> Float[torch.Tensor, "layers rows d_model"]:
        sources = None if source is None else [list(source)] * len(rows)
        batch = self.stack.collate(rows, sources=sources)
        width = batch.ids.shape[1]
        starts, lengths = torch.tensor(batch.starts)[:, None], torch.tensor(batch.lengths)[:, None]
        columns = torch.arange(width)
        weights = ((columns >= starts) & (columns < starts + lengths)).double() / lengths
        entries: list[torch.Tensor] = []

        def visit(_number: int, states: torch.Tensor) -> None:
            entries.append(torch.einsum("rt,rtd->rd", weights.to(states.device), states.double()).cpu())

        with self.stack.reading(visit) as run:
            run(batch)
        return torch.stack(entries)

    def _reduce(
        self, layers: Float[torch.Tensor, "layers rows d_model"], scale: Scale
    ) -> Float[torch.Tensor, "rows d_model"]:
        """Make a scale's representation of its layers, as :class:`ScaleRepresentation` does of whole corpora."""
        numbers = list(self.partition[scale])
        chosen = numbers if self.representation.reduction == "mean" else numbers[-1:]
        kept = layers[chosen]
        means, spreads = self.representation.means_, self.representation.spreads_
        if means is not None and spreads is not None:
            shift = torch.from_numpy(means[chosen])[:, None].to(kept)
            kept = (kept - shift) / torch.from_numpy(spreads[chosen])[:, None, None].to(kept)
        return kept.mean(dim=0)


def _owners(row: Row) -> Int[np.ndarray, " row_tokens"]:
    """Give the number of each token; rows that were made of tokens always know it."""
    return np.zeros(0, dtype=np.int64) if row.samples is None else row.samples
