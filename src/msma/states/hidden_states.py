"""The states of a corpus: read by layer, by batch or by split, saved and opened again."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Int

from msma._types import Split
from msma.corpora import group_duplicates, split_documents
from msma.errors import ShapeError
from msma.locking import folder_lock
from msma.shards import (
    AttentionSummary,
    Origin,
    Shard,
    ShardFolder,
    ShardWriter,
    check_folder,
    read_attention,
    read_manifest,
    read_origin,
)
from msma.states.arrays import make_shard

#: All layers of some samples; named, because pydoclint cannot read a shape inside an iterator.
LayerBatch: TypeAlias = Float32[np.ndarray, "layers n d_model"]


class Splits(NamedTuple):
    """Three parts of one set of states that share no document."""

    train: "HiddenStates"
    validation: "HiddenStates"
    test: "HiddenStates"


class HiddenStates:
    """Pooled hidden states of every layer for every sample of a corpus.

    Args:
        shards: The samples in corpus order, in one or more shards.
        origin: The model and settings they come from.
        attention: Attention statistics of some of the texts.
        index: Rows to keep, in order; all when left out.
        part: Which split these states are, when they are one.

    Raises:
        ShapeError: When shards disagree with the origin, or hold no sample.

    Examples:
        >>> states = HiddenStates.from_arrays(np.zeros((4, 6, 2)), documents=["a", "a", "b", "b", "c", "d"])
        >>> states.n_layers, states.n_samples, states.d_model
        (4, 6, 2)
        >>> [part.n_samples for part in states.split(fractions=(0.5, 0.25, 0.25))]
        [3, 1, 2]
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        origin: Origin,
        *,
        attention: AttentionSummary | None = None,
        index: Int[np.ndarray, " samples"] | None = None,
        part: Split | None = None,
    ) -> None:
        is_folder = isinstance(shards, ShardFolder)
        shapes = (
            shards.shapes if isinstance(shards, ShardFolder) else [shard.states.shape for shard in shards]
        )
        for number, shape in enumerate(shapes):
            if len(shape) != 3 or (shape[0], shape[2]) != (origin.n_layers, origin.d_model):
                raise ShapeError(
                    f"shard {number} came with shape {shape}; expected "
                    f"({origin.n_layers} layers, samples, {origin.d_model}); extract the states again"
                )
        # A run of texts without a token leaves an empty shard, which a folder does not show.
        self._shards = shards if is_folder else tuple(shard for shard in shards if len(shard))
        sizes = [shape[1] for shape in shapes if shape[1]]
        self.origin = origin
        self.part = part
        self._attention = attention
        self._index = index
        self._offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.n_samples = int(self._offsets[-1]) if index is None else len(index)
        if self.n_samples == 0:
            raise ShapeError("0 samples came; states need at least one: check that the corpus holds texts")

    @classmethod
    def from_arrays(
        cls,
        states: Float32[np.ndarray, "layers samples d_model"],
        *,
        texts: Sequence[str] | None = None,
        documents: Sequence[str] | None = None,
        labels: Mapping[str, Sequence[Any]] | None = None,
        attention: AttentionSummary | None = None,
        origin: Origin | None = None,
    ) -> Self:
        """Wrap an array of pooled states that something else computed.

        Args:
            states: Finite numbers, layer entry by sample by dimension.
            texts: One text a sample; numbered placeholders when left out.
            documents: The document of each sample; one document a sample when left out.
            labels: Columns of labels.
            attention: Attention statistics.
            origin: Where the states come from; "arrays" when left out.

        Returns:
            States held in memory.

        Raises:
            ShapeError: When the array is not three-dimensional and finite, or the columns differ in length.
        """
        shard = make_shard(states, texts=texts, documents=documents, labels=labels)
        if origin is None:
            n_layers, _, d_model = shard.states.shape
            origin = Origin(model="arrays", n_layers=n_layers, d_model=d_model)
        return cls([shard], origin, attention=attention)

    def __repr__(self) -> str:
        part = f", {self.part}" if self.part else ""
        return (
            f"HiddenStates({self.origin.model}{part}: {self.n_layers} layers x {self.n_samples} samples "
            f"x {self.d_model})"
        )

    def __len__(self) -> int:
        return self.n_samples

    @property
    def n_layers(self) -> int:
        """Number of layer entries, the embedding output included."""
        return self.origin.n_layers

    @property
    def d_model(self) -> int:
        """Width of one state."""
        return self.origin.d_model

    def _pieces(self) -> Iterator[tuple[Shard, Int[np.ndarray, " rows"] | slice]]:
        """Walk the shards that hold kept rows; rows come out in the order of ``index``."""
        if self._index is None:
            for shard in self._shards:
                yield shard, slice(None)
            return
        owner = np.searchsorted(self._offsets, self._index, side="right") - 1
        changes = np.flatnonzero(np.diff(owner)) + 1
        for run in np.split(np.arange(len(self._index)), changes):
            number = int(owner[run[0]])
            yield self._shards[number], self._index[run] - self._offsets[number]

    def layer(self, layer: int) -> Float32[np.ndarray, "samples d_model"]:
        """Read one layer entry.

        Args:
            layer: 0 (embedding output) to ``n_layers - 1``.

        Returns:
            One state a sample.

        Raises:
            ShapeError: When there is no such layer.
        """
        if not 0 <= layer < self.n_layers:
            raise ShapeError(
                f"layer {layer} was asked for; these states have layers 0 to {self.n_layers - 1}"
            )
        pieces = [np.asarray(shard.states[layer][rows]) for shard, rows in self._pieces()]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def layers(self, layers: Sequence[int]) -> Float32[np.ndarray, "layers samples d_model"]:
        """Read several layer entries.

        Args:
            layers: Their numbers.

        Returns:
            The states, stacked in the order asked for.
        """
        return np.stack([self.layer(layer) for layer in layers])

    def batches(self, size: int = 1024) -> Iterator[LayerBatch]:
        """Walk over all samples in order, a batch at a time, never holding more.

        Args:
            size: Samples a batch, at most.

        Yields:
            All layers of the next samples.
        """
        for shard, rows in self._pieces():
            positions = np.arange(len(shard))[rows]
            for start in range(0, len(positions), size):
                chunk = positions[start : start + size]
                yield np.asarray(shard.states[:, chunk])

    def _gather(self, read: Callable[[Shard], Sequence[Any]]) -> list[Any]:
        """Collect one value a sample; each shard is read once, however the kept rows are ordered."""
        columns: dict[int, Sequence[Any]] = {}
        values: list[Any] = []
        for shard, rows in self._pieces():
            if id(shard) not in columns:
                column = read(shard)
                columns[id(shard)] = column if isinstance(column, list | np.ndarray) else list(column)
            values.extend(columns[id(shard)][i] for i in np.arange(len(shard))[rows])
        return values

    def _column(self, name: str) -> list[Any]:
        return self._gather(lambda shard: getattr(shard, name))

    def _label(self, name: str) -> list[Any]:
        return self._gather(lambda shard: shard.labels[name])

    @cached_property
    def texts(self) -> list[str]:
        """The text of each sample."""
        return self._column("texts")

    @cached_property
    def document_ids(self) -> list[str]:
        """The document of each sample, by name; samples of identical text share one."""
        return group_duplicates(self._column("documents"), self.texts)

    @cached_property
    def documents(self) -> Int[np.ndarray, " samples"]:
        """The document of each sample, as an integer from 0."""
        return np.unique(np.asarray(self.document_ids, dtype=object).astype(str), return_inverse=True)[1]

    @cached_property
    def lengths(self) -> Int[np.ndarray, " samples"]:
        """Tokens pooled into each sample."""
        return np.asarray(self._column("lengths"), dtype=np.int64)

    @cached_property
    def truncated(self) -> Bool[np.ndarray, " samples"]:
        """Whether each sample's text was cut at the limit."""
        return np.asarray(self._column("truncated"), dtype=bool)

    @cached_property
    def positions(self) -> Int[np.ndarray, " samples"]:
        """Position in the corpus of the text each sample comes from."""
        return np.asarray(self._column("positions"), dtype=np.int64)

    @cached_property
    def labels(self) -> dict[str, list[Any]]:
        """Columns of labels, one value a sample."""
        return {name: self._label(name) for name in self._shards[0].labels}

    @property
    def attention(self) -> AttentionSummary | None:
        """Attention statistics of those of these texts that were looked at; ``None`` where there are none."""
        if self._attention is None or self._index is None:
            return self._attention
        kept = np.flatnonzero(np.isin(self._attention.texts, self.positions))
        return self._attention.subset(kept) if len(kept) else None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the texts, in order."""
        digest = hashlib.sha256()
        for text in self.texts:
            digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
        return digest.hexdigest()

    def subset(self, index: Int[np.ndarray, " k"], *, part: Split | None = None) -> "HiddenStates":
        """Keep some samples; the states themselves are not copied.

        Args:
            index: Positions among these samples.
            part: Name of the split, when the samples are one.

        Returns:
            A view.

        Raises:
            ShapeError: When a position does not exist.
        """
        index = np.asarray(index, dtype=np.int64)
        if len(index) and (index.min() < 0 or index.max() >= self.n_samples):
            raise ShapeError(
                f"position {int(index.max())} was asked for; there are {self.n_samples} samples, from 0"
            )
        base = index if self._index is None else self._index[index]
        return HiddenStates(self._shards, self.origin, attention=self._attention, index=base, part=part)

    def split(self, *, seed: int = 0, fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)) -> Splits:
        """Divide into train, validation and test by document, so that no document is in two parts.

        Args:
            seed: Fixes the division.
            fractions: Share of the documents in each part.

        Returns:
            The three parts.

        Raises:
            CorpusError: When there are too few documents.
        """
        parts = split_documents(self.document_ids, seed=seed, fractions=fractions)
        return Splits(*(self.subset(parts[name], part=name) for name in ("train", "validation", "test")))

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the states to a folder.

        Args:
            folder: Where to.

        Returns:
            The folder.

        Raises:
            StorageError: When it cannot be written, or holds states of another origin.
        """
        # Read before anything is written, which may be over the very files they are in.
        texts, documents, labels = self.texts, self._column("documents"), self.labels
        with folder_lock(folder, what="states being saved"):
            writer, n_shards, begin = ShardWriter(folder, self.origin), 0, 0
            for shard, rows in self._pieces():
                kept = np.arange(len(shard))[rows]
                part = slice(begin, begin + len(kept))
                made = Shard(
                    states=np.asarray(shard.states[:, kept]),
                    texts=texts[part],
                    documents=documents[part],
                    lengths=np.asarray(shard.lengths)[kept],
                    truncated=np.asarray(shard.truncated)[kept],
                    labels={name: column[part] for name, column in labels.items()},
                    positions=np.asarray(shard.positions)[kept],
                )
                writer.write_shard(n_shards, made)
                n_shards, begin = n_shards + 1, part.stop
            surplus = n_shards  # of larger states that were here before
            while writer.has_shard(surplus):
                writer.discard_shard(surplus)
                surplus += 1
            writer.close(attention=self.attention, n_shards=n_shards)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, verify: bool = True) -> "HiddenStates":
        """Open a folder of states; states and texts stay on disk and are read when asked for.

        Args:
            folder: Where they are.
            verify: Compare the checksum of every file, for which all bytes are read once (about 1 GB a second and
                core, four files at a time); otherwise only names and sizes are compared.

        Returns:
            The states.

        Raises:
            StorageError: When the folder does not hold whole states; what is missing, too much or changed is
                named.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        check_folder(folder, manifest, verify=verify)
        origin = Origin.from_dict(read_origin(folder)["origin"])
        shards = ShardFolder(folder, manifest.n_shards)
        attention = None
        if manifest.has_attention:
            attention = read_attention(folder)
        return cls(shards, origin, attention=attention)
