"""What goes to workers and comes back: jobs, outcomes, and what a worker is built from; all of it can be pickled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msma._types import Stack as StackName
from msma._types import Unit
from msma.costs import ModelShape
from msma.extraction.tokens import Record
from msma.scale_moments import MomentSettings, ScaleMoments
from msma.scales import Reduction, ScalePartition
from msma.shards import AttentionSummary, Origin, Shard

if TYPE_CHECKING:
    from msma.extraction.work import Worker

Store: TypeAlias = Literal["states", "scales", "moments"]
Window: TypeAlias = tuple[Record, ...]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One unit of work.

    Args:
        number: Its number, from 0; that of its shard, or of its part of the moments.
        windows: Records that are sorted by length together, one or more times.
        kind: To describe the model and the texts' lengths, to read, or to look at attention.
        columns: Names of the labels; a record with others is refused.
    """

    number: int
    windows: tuple[Window, ...]
    kind: Literal["describe", "read", "attend"] = "read"
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the driver must know of a model that only workers hold.

    Args:
        origin: Model and settings.
        tokenizer: What tells its tokenizer from others.
        window: Texts a window should have.
        batch_tokens: Tokens a batch has.
        shape: Its size.
        weight_bytes: Bytes of its parameters, as they are loaded.
        n_tokens: Tokens of the texts shown.
        n_samples: Samples of the texts shown.
    """

    origin: Origin
    tokenizer: str
    window: int
    batch_tokens: int
    shape: ModelShape
    weight_bytes: int
    n_tokens: int
    n_samples: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a job.

    Args:
        number: The job's number.
        kind: The job's kind.
        notes: What is written beside a shard or part: texts, samples, tokens, cut and empty texts, and which
            texts are long enough for their attention to be looked at.
        shard: The shard, where there is no folder.
        moments: The part of the moments, where there is no folder.
        description: The answer to "describe".
        attention: The answer to "attend".
        peak_memory: Most memory that the worker's process held, in bytes.
    """

    number: int
    kind: Literal["describe", "read", "attend"] = "read"
    notes: Mapping[str, Any] = field(default_factory=dict)
    shard: Shard | None = None
    moments: ScaleMoments | None = None
    description: Description | None = None
    attention: AttentionSummary | None = None
    peak_memory: int = 0


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """Everything a worker needs, so that it can be built in another process.

    Args:
        model: Name on the Hub, folder, or a transformers model.
        loading: Options of :func:`msma.models.load_model`.
        folder: Where shards or parts go; ``None`` sends them back.
        unit: What one sample is.
        stack: Stack of an encoder-decoder.
        max_tokens: Tokens after which a text is long.
        long: What happens to longer texts.
        batch_tokens: Tokens a batch.
        padding_side: Side on which batches are padded.
        final_norm: Whether the last entry is taken after the model's final norm.
        store: What is kept.
        partition: The scales, where not all layers are kept.
        reduction: What represents a scale.
        moments: Settings of the moments.
    """

    model: Any
    loading: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    unit: Unit = "text"
    stack: StackName = "auto"
    max_tokens: int | None = None
    long: Literal["truncate", "windows"] = "truncate"
    batch_tokens: int | None = None
    padding_side: Literal["right", "left"] = "right"
    final_norm: bool = False
    store: Store = "states"
    partition: ScalePartition | None = None
    reduction: Reduction = "mean"
    moments: MomentSettings = field(default_factory=MomentSettings)

    @property
    def is_portable(self) -> bool:
        """Whether another process can load the model by itself."""
        return isinstance(self.model, str | Path)

    def build(self, device: str | None = None) -> "Worker":
        """Load the model.

        Args:
            device: Where to, in place of what the setup says.

        Returns:
            A worker that reads.
        """
        from msma.extraction.work import Worker

        return Worker(self, device=device)
