"""What a shard of states holds, and what states say of where they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Bool, Float32, Int

from msma._types import Unit
from msma._version import __version__


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
        scales: Where only the three scales' representations are kept, the layers of each ("0-2|3-5|6");
            ``n_layers`` is then 3.
        reduction: How those were made of their layers ("mean", "last").
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
    scales: str | None = None
    reduction: str | None = None

    @property
    def n_model_layers(self) -> int:
        """Layer entries of the model, whether all are kept or only the scales made of them."""
        if self.scales is None:
            return self.n_layers
        return int(self.scales.split("|")[-1].split("-")[-1]) + 1

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
