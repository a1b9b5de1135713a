"""Shards: what one run of samples holds, where it comes from, and how it is written and read.

A folder of states holds ``origin.json`` (the model and settings they were made with), pairs of
``shard-00000.safetensors`` (the states) and ``shard-00000.json`` (texts, documents, labels), optionally
``attention.safetensors``, and last ``states.json``, which says that all shards are there. A run that was
interrupted leaves whole shards and no ``states.json``; the same run again makes only what is missing.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Bool, Float32, Int

from msma._types import Unit
from msma._version import __version__
from msma.errors import StorageError
from msma.storage import open_tensors, read_json, write_json, write_tensors


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where states come from: the model, and every setting that changes a number.

    Args:
        model: Name or folder the model was loaded from.
        revision: Commit of the model, where known.
        architecture: Class name of the model's configuration family ("gpt2", "bert").
        stack: "encoder" or "decoder".
        n_layers: Layer entries, the embedding output h_0 included.
        d_model: Width of one state.
        unit: What one sample is.
        max_tokens: Tokens after which a text was cut or windowed.
        long: What happened to longer texts.
        final_norm: Whether the last entry is taken after the model's final norm ("none": it has none).
        dtype: Precision of the forward pass.
        fingerprint: SHA-256 over the model's parameters.
        version: Version of this package.
        note: Anything a reader must know about how the states were read.
    """

    model: str
    revision: str | None = None
    architecture: str = "unknown"
    stack: str = "encoder"
    n_layers: int
    d_model: int
    unit: Unit = "text"
    max_tokens: int | None = None
    long: Literal["truncate", "windows"] = "truncate"
    final_norm: Literal["none", "excluded", "included"] = "none"
    dtype: str = "float32"
    fingerprint: str = ""
    version: str = __version__
    note: str | None = None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild an origin from its dictionary, ignoring what a newer version may have added.

        Args:
            content: What ``dataclasses.asdict`` gave.

        Returns:
            The origin.
        """
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in content.items() if key in known})


@dataclass(frozen=True, kw_only=True)
class AttentionSummary:
    """How far each layer looks, text by text; row ``l`` belongs to layer entry ``l + 1``.

    Args:
        distance: Mean distance in tokens of the attended from the attending token, without the first token.
        distance_raw: The same with the first token, the attention sink, left in.
        distance_uniform: What uniform (in a decoder: uniform causal) attention gives for the same text.
        entropy: Mean entropy of the attention distribution without the first token, in nats.
        entropy_uniform: The same of uniform attention for the same text, in nats.
        sink_share: Share of the attention weight on the first token, 0 to 1.
        texts: Position in the corpus of each text looked at.
    """

    distance: Float32[np.ndarray, "layers texts"]
    distance_raw: Float32[np.ndarray, "layers texts"]
    distance_uniform: Float32[np.ndarray, "layers texts"]
    entropy: Float32[np.ndarray, "layers texts"]
    entropy_uniform: Float32[np.ndarray, "layers texts"]
    sink_share: Float32[np.ndarray, "layers texts"]
    texts: Int[np.ndarray, " texts"]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, ready to be written.

        Returns:
            One entry a field.
        """
        return {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}

    def subset(self, positions: Int[np.ndarray, " k"]) -> "AttentionSummary":
        """Keep the texts at some positions of this summary.

        Args:
            positions: Positions along the last axis.

        Returns:
            A smaller summary.
        """
        return AttentionSummary(**{name: array[..., positions] for name, array in self.to_arrays().items()})


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A run of consecutive samples.

    Args:
        states: The pooled states.
        texts: One text a sample.
        documents: The document each sample belongs to.
        lengths: Tokens pooled into each sample.
        truncated: Whether the sample's text was cut.
        labels: Columns of labels, one value a sample.
        positions: Position in the corpus of the text each sample comes from.
    """

    states: Float32[np.ndarray, "layers samples d_model"]
    texts: Sequence[str]
    documents: Sequence[str]
    lengths: Int[np.ndarray, " samples"]
    truncated: Bool[np.ndarray, " samples"]
    labels: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    positions: Int[np.ndarray, " samples"]

    def __len__(self) -> int:
        return int(self.states.shape[1])


def read_shard(folder: Path, number: int) -> Shard:
    """Open one shard of a folder of states.

    Args:
        folder: The folder.
        number: Number of the shard, from 0.

    Returns:
        The shard, its states mapped and not read.

    Raises:
        StorageError: When it is missing or damaged.
    """
    arrays, _ = open_tensors(folder / f"shard-{number:05d}.safetensors")
    columns = read_json(folder / f"shard-{number:05d}.json")
    try:
        return Shard(
            states=arrays["states"],
            lengths=arrays["lengths"],
            truncated=arrays["truncated"],
            positions=arrays["positions"],
            texts=columns["texts"],
            documents=columns["documents"],
            labels=columns["labels"],
        )
    except KeyError as error:
        raise StorageError(
            f"shard {number} of '{folder}' lacks {error}; delete it and extract again"
        ) from error


class ShardWriter:
    """Write states shard by shard, so that an interrupted run goes on where it stopped.

    Args:
        folder: Where to; ``None`` keeps the shards in memory.
        origin: The model and settings.
        settings: Whatever else decides the numbers (a corpus fingerprint, a window size); must be the same
            for a run to be continued.

    Raises:
        StorageError: When the folder holds states made with another origin or other settings.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        origin: Origin,
        *,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self.origin = origin
        self._memory: dict[int, Shard] = {}
        content = {"origin": asdict(origin), "settings": dict(settings or {})}
        if self.folder is None:
            return
        if (self.folder / "origin.json").is_file():
            self._check_same(read_json(self.folder / "origin.json"), content)
        else:
            write_json(self.folder / "origin.json", content)

    def _check_same(self, found: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        for group in ("origin", "settings"):
            before, now = found.get(group, {}), asked[group]
            for key in sorted({*before, *now} - {"version"}):
                if before.get(key) != now.get(key):
                    raise StorageError(
                        f"'{self.folder}' holds states made with {key} = {before.get(key)!r}; "
                        f"this run has {key} = {now.get(key)!r}: choose another folder, or delete that one"
                    )

    def has_shard(self, number: int) -> bool:
        """Tell whether a shard was already written whole.

        Args:
            number: Number of the shard, from 0.

        Returns:
            Whether it is there.
        """
        if self.folder is None:
            return number in self._memory
        stem = f"shard-{number:05d}"
        # The tensors are written last, so their presence means that the columns are whole too.
        return (self.folder / f"{stem}.safetensors").is_file() and (self.folder / f"{stem}.json").is_file()

    def write_shard(self, number: int, shard: Shard) -> None:
        """Write one shard.

        Args:
            number: Number of the shard, from 0.
            shard: Its samples.

        Raises:
            StorageError: When it cannot be written.
        """
        if self.folder is None:
            self._memory[number] = shard
            return
        stem = self.folder / f"shard-{number:05d}"
        columns = {"texts": list(shard.texts), "documents": list(shard.documents)}
        write_json(f"{stem}.json", {**columns, "labels": {k: list(v) for k, v in shard.labels.items()}})
        arrays: dict[str, np.ndarray] = {
            "states": np.asarray(shard.states, dtype=np.float32),
            "lengths": np.asarray(shard.lengths, dtype=np.int64),
            "truncated": np.asarray(shard.truncated, dtype=bool),
            "positions": np.asarray(shard.positions, dtype=np.int64),
        }
        write_tensors(f"{stem}.safetensors", arrays)

    def close(self, *, attention: AttentionSummary | None = None) -> None:
        """Declare the folder whole.

        Args:
            attention: Attention statistics to keep with the states.

        Raises:
            StorageError: When it cannot be written.
        """
        if self.folder is None:
            return
        if attention is not None:
            write_tensors(self.folder / "attention.safetensors", attention.to_arrays())
        n_shards = 0
        while self.has_shard(n_shards):
            n_shards += 1
        content = {"n_shards": n_shards, "has_attention": attention is not None}
        write_json(self.folder / "states.json", content)

    @property
    def kept(self) -> list[Shard]:
        """The shards held in memory, in order; empty where they go to disk."""
        return [self._memory[number] for number in sorted(self._memory)]
