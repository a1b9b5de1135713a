"""A bounded sample of held-out texts, the same whichever way they come."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt64

from msma.errors import ShapeError
from msma.scale_moments.seen import is_copy, mark_texts
from msma.scale_moments.splitting import keyed_hash
from msma.shards import Shard

_COLUMNS = ("lengths", "truncated", "positions", "keys", "marks")


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldoutSample:
    """At most so many samples of held-out texts: those whose documents have the smallest keyed hashes.

    The hash does not know when a document comes, so the sample is drawn evenly without replacement, whatever the
    order, and the sample of two parts of a corpus can be found from the samples of the parts. The last document
    that finds room may be there in part.

    Args:
        size: Samples kept, at most.
        states: The three representations.
        texts: One text a sample.
        documents: The document of each sample.
        lengths: Tokens pooled into each sample.
        truncated: Whether the sample's text was cut.
        labels: Columns of labels.
        positions: Position in the corpus of the text each sample comes from.
        keys: What samples are ranked by: hashes of document, text and states.
        marks: By what the whole text, and the sample's own where it is long enough, would be known again.

    Raises:
        ShapeError: When there is not one of everything a sample.
    """

    size: int
    states: Float32[np.ndarray, "3 samples d_model"]
    texts: Sequence[str]
    documents: Sequence[str]
    lengths: Int[np.ndarray, " samples"]
    truncated: Bool[np.ndarray, " samples"]
    labels: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    positions: Int[np.ndarray, " samples"]
    keys: UInt64[np.ndarray, "samples 3"]
    marks: UInt64[np.ndarray, "samples 2 2"]

    def __post_init__(self) -> None:
        n = len(self)
        columns: dict[str, Any] = {
            f.name: getattr(self, f.name) for f in fields(self)[2:] if f.name != "labels"
        }
        for name, column in {**columns, **self.labels}.items():
            if len(column) != n:
                raise ShapeError(f"{len(column)} {name} came for {n} held-out samples; give one a sample")

    def __len__(self) -> int:
        return int(self.states.shape[1])

    @classmethod
    def empty(cls, d_model: int, *, size: int) -> Self:
        """Begin without a sample.

        Args:
            d_model: Width of one state.
            size: Samples kept, at most.

        Returns:
            A sample of nothing.
        """
        nothing: list[str] = []
        return cls(
            size=size,
            states=np.zeros((3, 0, d_model), dtype=np.float32),
            texts=nothing,
            documents=nothing,
            lengths=np.zeros(0, dtype=np.int64),
            truncated=np.zeros(0, dtype=bool),
            positions=np.zeros(0, dtype=np.int64),
            keys=np.zeros((0, 3), dtype=np.uint64),
            marks=np.zeros((0, 2, 2), dtype=np.uint64),
        )

    @classmethod
    def of(cls, shard: Shard, *, size: int, seed: int = 0, record_texts: Sequence[str] | None = None) -> Self:
        """Draw from samples held in memory.

        Args:
            shard: Samples of held-out texts, three entries each.
            size: Samples kept, at most.
            seed: Fixes the draw.
            record_texts: The whole text that each sample is part of; the sample's own when left out.

        Returns:
            The sample.
        """
        states = np.asarray(shard.states, dtype=np.float32)
        whole = mark_texts(shard.texts if record_texts is None else record_texts)
        positions = np.asarray(shard.positions, dtype=np.int64)
        sample = cls(
            size=size,
            states=states,
            texts=list(shard.texts),
            documents=list(shard.documents),
            lengths=np.asarray(shard.lengths, dtype=np.int64),
            truncated=np.asarray(shard.truncated, dtype=bool),
            labels={name: list(column) for name, column in shard.labels.items()},
            positions=positions,
            keys=_rank(shard, positions, states, seed),
            marks=np.stack([whole, mark_copies(shard.texts, whole)], axis=1),
        )
        return sample._bounded()

    def __add__(self, other: "HeldoutSample") -> Self:
        return self.merge([other])

    def merge(self, others: Sequence["HeldoutSample"]) -> Self:
        """Draw from several samples at once.

        Args:
            others: Samples drawn with the same seed and size.

        Returns:
            The sample of all of their texts together.
        """
        parts: list[HeldoutSample] = [self, *others]
        names = sorted({name for part in parts for name in part.labels})
        labels: dict[str, list[Any]] = {name: [] for name in names}
        for part in parts:
            for name in names:
                labels[name].extend(part.labels.get(name, [None] * len(part)))
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS
        }
        merged = replace(
            self,
            states=np.concatenate([part.states for part in parts], axis=1),
            texts=[text for part in parts for text in part.texts],
            documents=[document for part in parts for document in part.documents],
            labels=labels,
            **columns,
        )
        return merged._bounded()

    def has_room(self, documents: Sequence[str], *, seed: int) -> Bool[np.ndarray, " samples"]:
        """Tell which samples might enter, from their documents alone.

        Args:
            documents: The document of each.
            seed: Fixes the draw.

        Returns:
            False where the sample is full and the document ranks behind all of it.
        """
        if len(self) < self.size:
            return np.full(len(documents), self.size > 0)
        if self.size == 0:
            return np.zeros(len(documents), dtype=bool)
        last = int(self.keys[:, 0].max())
        return np.array([_rank_document(document, seed) <= last for document in documents], dtype=bool)

    def select(self, rows: Int[np.ndarray, " kept"]) -> Self:
        """Keep some samples.

        Args:
            rows: Their positions among these.

        Returns:
            A smaller sample, in the order asked for.
        """
        return replace(
            self,
            states=self.states[:, rows],
            texts=[self.texts[i] for i in rows],
            documents=[self.documents[i] for i in rows],
            labels={name: [column[i] for i in rows] for name, column in self.labels.items()},
            **{name: getattr(self, name)[rows] for name in _COLUMNS},
        )

    def _bounded(self) -> Self:
        document, text, states = self.keys.T
        kept = np.lexsort((states, text, document))[: self.size]
        # Corpus order; the rest of the key decides where one text gave several samples, or two runs were merged.
        order = np.lexsort((states[kept], text[kept], document[kept], self.positions[kept]))
        return self.select(kept[order])

    def to_shard(self) -> Shard:
        """Give the samples as a shard of states.

        Returns:
            A shard of three layer entries.
        """
        return Shard(
            states=self.states,
            texts=self.texts,
            documents=self.documents,
            lengths=self.lengths,
            truncated=self.truncated,
            labels=self.labels,
            positions=self.positions,
        )


def mark_copies(
    texts: Sequence[str], whole: UInt64[np.ndarray, "samples 2"]
) -> UInt64[np.ndarray, "samples 2"]:
    """Mark texts that are long enough for a copy, and the others as the whole they are part of.

    Args:
        texts: One text a sample.
        whole: Marks of the texts they are part of.

    Returns:
        One mark a sample.
    """
    is_long = np.array([is_copy(text) for text in texts], dtype=bool)
    return np.where(is_long[:, None], mark_texts(texts), whole)


def _rank_document(document: str, seed: int) -> int:
    return keyed_hash(document, purpose="sample", seed=seed)


def _rank(
    shard: Shard, positions: Int[np.ndarray, " samples"], states: np.ndarray, seed: int
) -> UInt64[np.ndarray, "samples 3"]:
    keys = np.empty((len(shard), 3), dtype=np.uint64)
    for i, (document, text) in enumerate(zip(shard.documents, shard.texts, strict=True)):
        keys[i, 0] = _rank_document(document, seed)
        keys[i, 1] = keyed_hash(f"{positions[i]}:{text}", purpose="sample text", seed=seed)
        # Equal sentences of one text still differ in their states.
        digest = hashlib.blake2b(np.ascontiguousarray(states[:, i]).data, digest_size=8).digest()
        keys[i, 2] = int.from_bytes(digest, "little")
    return keys
