"""Texts to the three scales side by side, in hardly more than the forward pass itself."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from msma._types import SCALES
from msma._types import Stack as StackName
from msma.errors import CorpusError, ModelError, ScaleError
from msma.extraction.batching import plan_batches
from msma.extraction.pooling import BatchSums, default_budget
from msma.extraction.tokens import PROBE_TEXT, Record, Row, TextEncoder
from msma.models import LoadedModel, evaluating, find_stack, load_model, position_limit
from msma.scales import ScalePartition

_PROBE_TOKENS = 12
#: Texts tokenised together.
_WINDOW = 2048


class TextReader:
    """Read texts with one model; finding its blocks and trying its tokenizer are done once, not for every text.

    Args:
        loaded: The model.
        stack: Stack of an encoder-decoder.
        max_tokens: Tokens after which a text is cut; the model's own limit, at most 512, when left out.

    Attributes: ``probe``, the tokens of one fixed sentence, by which tokenizers are told apart.
    """

    def __init__(
        self, loaded: LoadedModel, *, stack: StackName = "auto", max_tokens: int | None = None
    ) -> None:
        self.loaded = loaded
        self.probe: list[int] = [int(i) for i in loaded.tokenizer(PROBE_TEXT)["input_ids"]]
        self.stack = find_stack(loaded.network, self.probe[:_PROBE_TOKENS], stack=stack)
        self._encoder = TextEncoder(
            loaded.tokenizer,
            unit="text",
            max_tokens=max_tokens,
            limit=position_limit(loaded.network),
            long="truncate",
            start_id=self.stack.start_id,
            n_tokens=self.stack.n_tokens,
        )

    @property
    def max_tokens(self) -> int:
        """Tokens after which a text is cut."""
        return self._encoder.max_tokens

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the parameters of the stack that is read."""
        return self.loaded.fingerprint(self.stack.module)

    def read(self, texts: Sequence[str], partition: ScalePartition) -> Float[np.ndarray, "texts width"]:
        """Pool every text at the three scales: the mean over its tokens, then over the layers of the scale.

        Args:
            texts: The texts.
            partition: Which layers belong to which scale.

        Returns:
            [local | intermediate | global], (texts, 3 d_model).

        Raises:
            CorpusError: When a single string came, no text, or one without a token.
            ModelError: When a state is not finite.
            ScaleError: When the partition is for another number of layers.
        """
        if partition.n_layers != self.stack.n_layers:
            raise ScaleError(
                f"a partition of {partition.n_layers} layers came for a model of {self.stack.n_layers}; find the "
                "scales of this model, or leave the partition out"
            )
        found = np.empty((len(check_texts(texts)), len(SCALES) * self.stack.d_model))
        for start in range(0, len(texts), _WINDOW):
            rows = self._encode(texts[start : start + _WINDOW], start=start)
            with self._still():
                for batch in self._batches(rows):
                    found[start + batch] = self._pool([rows[number] for number in batch], partition)
        if not np.isfinite(found).all():
            text = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
            raise ModelError(
                f"the states of text {text} are not finite; the weights may be damaged, or the precision too low: "
                "try dtype='float32'"
            )
        return found

    def _encode(self, texts: Sequence[str], *, start: int) -> list[Row]:
        records = [
            Record(position=start + i, text=text, document="", labels={}) for i, text in enumerate(texts)
        ]
        encoded = self._encoder.encode(records)
        if encoded.n_empty:
            found = {record.position for record in encoded.record_of_row}
            empty = next(record for record in records if record.position not in found)
            raise CorpusError(f"text {empty.position} has no token ('{empty.text[:40]}'); leave it out")
        return encoded.rows

    def _batches(self, rows: Sequence[Row]) -> Iterator[np.ndarray]:
        lengths = [row.length for row in rows]
        return iter(
            plan_batches(lengths, budget=default_budget(self.stack), is_mixed=self.stack.padding.is_mixed)
        )

    def _still(self) -> AbstractContextManager[Any]:
        """Switch dropout off where it is on; a service leaves it off, and then nothing has to be walked over."""
        is_training = any(module.training for module in self.stack.module.modules())
        return evaluating(self.loaded.network) if is_training else torch.inference_mode()

    def _pool(self, rows: Sequence[Row], partition: ScalePartition) -> Float[np.ndarray, "rows width"]:
        sources = None if rows[0].source is None else [row.source or [] for row in rows]
        batch = self.stack.collate([row.ids for row in rows], sources=sources)
        sums = BatchSums(batch, rows)
        with self.stack.reading(sums.visit) as run:
            run(batch)
        counts = np.array([len(row.ids) for row in rows], dtype=np.float32)[None, :, None]
        # Blocks of a spread model show their states where they are.
        layers = torch.stack([entry.cpu() for entry in sums.entries]).numpy() / counts
        return np.hstack([layers[list(partition[scale])].mean(axis=0, dtype=np.float64) for scale in SCALES])


def check_texts(texts: Sequence[str]) -> Sequence[str]:
    """Refuse a single string, and nothing at all.

    Args:
        texts: What came.

    Returns:
        The texts.

    Raises:
        CorpusError: When it is no sequence of strings.
    """
    if isinstance(texts, str) or not len(texts) or not all(isinstance(text, str) for text in texts):
        what = (
            "a single string" if isinstance(texts, str) else f"{len(texts)} texts, not all of them strings,"
        )
        raise CorpusError(f"{what} came; give a list of one or more strings")
    return texts


def take_model(model: Any, *, tokenizer: Any = None) -> LoadedModel:
    """Load a model, or take one that is loaded.

    Args:
        model: Name, folder, transformers model or ``LoadedModel``.
        tokenizer: The model's own when left out.

    Returns:
        Model and tokenizer.
    """
    if not isinstance(model, LoadedModel):
        return load_model(model, tokenizer=tokenizer)
    if tokenizer is None:
        return model
    return load_model(model.network, tokenizer=tokenizer, name=model.name, revision=model.revision)
