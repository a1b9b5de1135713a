"""Gathers moments batch by batch, in memory that does not grow with them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from msma._types import Split
from msma.corpora import group_duplicates
from msma.errors import ConfigError, ShapeError
from msma.resampling import shuffle_documents
from msma.scale_moments.heldout import HeldoutSample, mark_copies
from msma.scale_moments.joining import check_same, join_sketches
from msma.scale_moments.moments import FINGERPRINTS, ScaleMoments
from msma.scale_moments.seen import FILTER_BITS, SeenTexts, mark_documents, mark_samples, mark_texts
from msma.scale_moments.settings import MomentSettings, check_scale_origin
from msma.scale_moments.splitting import DocumentCount, assign_split
from msma.scale_moments.sums import ScaleSums
from msma.scale_moments.waiting import WaitingRows
from msma.scales import ScalePartition
from msma.shards import Origin, Shard
from msma.sketches import LayerSketch

#: Rows that wait before they enter the sums: a product of large matrices costs more for its result than for its rows.
_WAITING_ROWS = 1024
#: Batches of held-out rows that wait before they are compared with those kept.
_WAITING_BATCHES = 32


class MomentsBuilder:
    """Take the representations of texts as they come, and keep only what :class:`ScaleMoments` holds.

    Pairs are shuffled within a batch, so batches should hold texts of many documents that have nothing in common:
    where a batch holds one document, it adds nothing to the null; where all its documents are of one kind, the null
    knows the kinds.

    Args:
        origin: Model and settings, with the layers of the three scales.
        partition: The same scales of the model's layers.
        seed: Fixes split, held-out sample, shuffled pairs, and what projected the layers.
        fractions: Share of the documents in train, validation and test.
        n_heldout: Held-out samples kept, at most, validation and test together.
        sketch_width: Columns of each projection of the layers; 0 for no sketch.
        filter_bits: Size of the filter that knows the training texts.

    Raises:
        ConfigError: When a setting is impossible.
        ScaleError: When origin and partition disagree.
    """

    def __init__(
        self,
        origin: Origin,
        partition: ScalePartition,
        *,
        seed: int = 0,
        fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
        n_heldout: int = 4096,
        sketch_width: int = 64,
        filter_bits: int = FILTER_BITS,
    ) -> None:
        check_scale_origin(origin, partition)
        self.settings = MomentSettings(
            seed=seed,
            fractions=fractions,
            n_heldout=n_heldout,
            sketch_width=sketch_width,
            filter_bits=filter_bits,
        )
        self.origin, self.partition = origin, partition
        self._sums = ScaleSums(origin.d_model)
        self._seen = SeenTexts(n_bits=filter_bits)
        self._documents = DocumentCount.of([])
        self._texts = 0
        self._sample = HeldoutSample.empty(origin.d_model, size=n_heldout)
        self._sketch: LayerSketch | None = None
        self._waiting = WaitingRows()
        self._candidates: list[HeldoutSample] = []
        # Arrays handed over by build() are copied before they are written to again.
        self._is_shared = False

    def add(
        self,
        scales: Float32[np.ndarray, "3 samples d_model"],
        *,
        texts: Sequence[str],
        documents: Sequence[str],
        lengths: Int[np.ndarray, " samples"] | None = None,
        truncated: Any = None,
        labels: Mapping[str, Sequence[Any]] | None = None,
        positions: Int[np.ndarray, " samples"] | None = None,
        record_texts: Sequence[str] | None = None,
        projected: tuple[Any, Any] | None = None,
    ) -> None:
        """Add a batch of samples.

        Args:
            scales: The three representations, local, intermediate, global.
            texts: One text a sample.
            documents: The document of each sample.
            lengths: Tokens pooled into each sample; 1 when left out.
            truncated: Whether each sample's text was cut; not when left out.
            labels: Columns of labels.
            positions: Position in the corpus of the text each sample comes from; from 0 when left out.
            record_texts: The whole text that each sample is part of; the sample's own when left out.
            projected: Both projections of every layer, layers x samples x width each; for no sketch left out.

        Raises:
            ConfigError: When projections came although none are kept, or the other way round.
            ShapeError: When shapes differ, or a number is not finite.
        """
        n = len(texts)
        shard = Shard(
            states=self._check_scales(scales, n),
            texts=texts,
            documents=[str(document) for document in documents],
            lengths=np.ones(n, dtype=np.int64) if lengths is None else np.asarray(lengths),
            truncated=np.zeros(n, dtype=bool) if truncated is None else np.asarray(truncated, dtype=bool),
            labels=labels or {},
            positions=np.arange(n) if positions is None else np.asarray(positions),
        )
        whole = texts if record_texts is None else record_texts
        _check_columns(shard, whole, n)
        self._check_projected(projected, n)
        if n == 0:
            return
        self._own()
        part_of: dict[str, Split] = {
            name: assign_split(name, seed=self.settings.seed, fractions=self.settings.fractions)
            for name in set(shard.documents)
        }
        is_train = np.array([part_of[name] == "train" for name in shard.documents])
        self._train(shard, np.flatnonzero(is_train), whole, projected)
        self._hold_out(shard, np.flatnonzero(~is_train), whole)

    def _check_scales(self, scales: Any, n: int) -> Float32[np.ndarray, "3 samples d_model"]:
        array = np.asarray(scales, dtype=np.float32)
        expected = (3, n, self.origin.d_model)
        if array.shape != expected:
            raise ShapeError(
                f"scales came with shape {array.shape}; expected {expected}, one state a scale and text"
            )
        if not np.isfinite(array).all():
            place, sample = np.argwhere(~np.isfinite(array))[0][:2]
            raise ShapeError(
                f"the state of sample {sample} at scale {place} of 3 is not finite; remove or repair it"
            )
        return array

    def _check_projected(self, projected: tuple[Any, Any] | None, n: int) -> None:
        width = self.settings.sketch_width
        if projected is None:
            if self._waiting.has_projections or self._sketch is not None:
                raise ConfigError(
                    "a batch without projections came after one with them; give projections with every batch"
                )
            return
        shapes = [np.shape(half) for half in projected]
        expected = (self.origin.n_model_layers, n, width)
        if width == 0:
            raise ConfigError(
                "projections came for moments without a sketch; leave them out, or set sketch_width"
            )
        if self._sums.n + self._waiting.n and self._sketch is None and not self._waiting.has_projections:
            raise ConfigError(
                "a batch with projections came after one without them; give projections with every batch"
            )
        if shapes != [expected, expected]:
            raise ShapeError(f"projections came with shapes {shapes}; expected two of {expected}")

    def _own(self) -> None:
        if self._is_shared:
            self._sums, self._seen, self._is_shared = self._sums.copy(), self._seen.copy(), False

    def _train(
        self,
        shard: Shard,
        rows: Int[np.ndarray, " train"],
        whole: Sequence[str],
        projected: tuple[Any, Any] | None,
    ) -> None:
        if not len(rows):
            return
        texts = [shard.texts[i] for i in rows]
        documents = [shard.documents[i] for i in rows]
        records = [whole[i] for i in rows]
        self._texts = (self._texts + sum(_fingerprint(text) for text in texts)) % FINGERPRINTS
        self._documents += DocumentCount.of(set(documents))
        self._remember(texts, documents, records)
        sources, targets = _shuffle(documents, texts, seed=self.settings.seed)
        halves = None if projected is None else tuple(np.asarray(half)[:, rows] for half in projected)
        self._waiting.put(shard.states[:, rows], sources, targets, halves)
        if self._waiting.n >= _WAITING_ROWS:
            self._flush()

    def _remember(self, texts: Sequence[str], documents: Sequence[str], records: Sequence[str]) -> None:
        marks = mark_texts(records)
        self._seen.add(marks)
        self._seen.add(mark_copies(texts, marks))
        if self.origin.unit != "text":
            # Short sentences recur honestly: an evaluation asks for them together with their document.
            self._seen.add(mark_samples(dict.fromkeys(texts)))
            self._seen.add(mark_documents(dict.fromkeys(documents)))

    def _flush(self) -> None:
        if not self._waiting.n:
            return
        rows, sources, targets, halves = self._waiting.take()
        self._sums.add(rows, sources, targets)
        if halves is not None:
            part = LayerSketch.from_projected(*halves, seed=self.settings.seed)
            self._sketch = join_sketches(self._sketch, part)

    def _hold_out(self, shard: Shard, rows: Int[np.ndarray, " heldout"], whole: Sequence[str]) -> None:
        seed, size = self.settings.seed, self.settings.n_heldout
        rows = rows[self._sample.has_room([shard.documents[i] for i in rows], seed=seed)]
        if not len(rows):
            return
        part = Shard(
            states=np.array(shard.states[:, rows]),
            texts=[shard.texts[i] for i in rows],
            documents=[shard.documents[i] for i in rows],
            lengths=shard.lengths[rows],
            truncated=shard.truncated[rows],
            labels={name: [column[i] for i in rows] for name, column in shard.labels.items()},
            positions=shard.positions[rows],
        )
        records = [whole[i] for i in rows]
        self._candidates.append(HeldoutSample.of(part, size=size, seed=seed, record_texts=records))
        n = sum(len(candidate) for candidate in self._candidates)
        if n > max(size // 4, _WAITING_ROWS // 4) or len(self._candidates) >= _WAITING_BATCHES:
            self._settle()

    def _settle(self) -> None:
        if self._candidates:
            self._sample, self._candidates = self._sample.merge(self._candidates), []

    def merge(self, part: ScaleMoments) -> None:
        """Take in the moments of other texts, without a copy of what is there.

        Args:
            part: Moments gathered with the same settings.

        Raises:
            OriginError: When model, scales or settings differ.
        """
        self._own()
        self._flush()
        check_same(self._moments(), part)
        self._sums.absorb(part.sums)
        self._seen.absorb(part.seen)
        self._documents += part.documents
        self._texts = (self._texts + part.texts) % FINGERPRINTS
        self._candidates.append(part.sample)
        self._settle()
        self._sketch = join_sketches(self._sketch, part.sketch)

    def build(self) -> ScaleMoments:
        """Give what was gathered so far; more may be added afterwards.

        Returns:
            The moments.
        """
        if self._waiting.n:
            self._own()
            self._flush()
        self._settle()
        self._is_shared = True
        return self._moments()

    def _moments(self) -> ScaleMoments:
        return ScaleMoments(
            origin=self.origin,
            partition=self.partition,
            settings=self.settings,
            sums=self._sums,
            documents=self._documents,
            texts=self._texts,
            seen=self._seen,
            sample=self._sample,
            sketch=self._sketch,
        )


def _check_columns(shard: Shard, whole: Sequence[str], n: int) -> None:
    names = ("documents", "lengths", "truncated", "positions")
    columns: dict[str, Any] = {name: getattr(shard, name) for name in names}
    for name, column in {**columns, **shard.labels, "record_texts": whole}.items():
        if len(column) != n:
            raise ShapeError(f"{len(column)} {name} came for {n} samples; give one a sample")


def _fingerprint(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest(), "little")


def _shuffle(documents: Sequence[str], texts: Sequence[str], *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pair samples with those of other documents; the pairs depend on the batch, not on when it comes."""
    names, codes = np.unique(group_duplicates(documents, texts), return_inverse=True)
    if len(names) < 2:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    digest = hashlib.blake2b(repr((seed, list(documents), list(texts))).encode(), digest_size=8).digest()
    order = shuffle_documents(codes, seed=int.from_bytes(digest, "little"))
    targets = np.flatnonzero(codes[order] != codes)
    return order[targets], targets
