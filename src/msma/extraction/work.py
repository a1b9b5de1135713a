"""What a worker does: windows of texts in, shards or moments out; the same in one process, in many, on a cluster."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from msma._types import Stack as StackName
from msma._types import Unit
from msma.costs import ModelShape
from msma.errors import CorpusError
from msma.extraction.allocation import return_large_blocks
from msma.extraction.attention import FEWEST_TOKENS, measure_attention
from msma.extraction.keeping import AllLayers, Keeper, ThreeScales
from msma.extraction.pooling import default_budget, default_window, pool_rows
from msma.extraction.tokens import PROBE_TEXT, Encoded, Record, TextEncoder
from msma.models import LoadedModel, Stack, find_stack, load_model, position_limit
from msma.models.sizes import measure_network
from msma.progress import peak_memory
from msma.scale_moments import MomentsBuilder, MomentSettings, ScaleMoments
from msma.scales import Reduction, ScalePartition
from msma.shards import AttentionSummary, Origin, Shard, write_shard

Store: TypeAlias = Literal["states", "scales", "moments"]
Window: TypeAlias = tuple[Record, ...]

#: Tokens on which a model is tried out.
_PROBE_TOKENS = 12


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
        return Worker(self, device=device)


class Worker:
    """Hold a model and read windows of texts with it.

    Args:
        setup: Everything it needs.
        device: Where the model goes, in place of what the setup says.

    Raises:
        ModelError: When the model cannot be loaded or read.
        ConfigError: When a setting is impossible.
        ScaleError: When the partition is for another number of layers.
    """

    def __init__(self, setup: WorkerSetup, *, device: str | None = None) -> None:
        return_large_blocks()
        self._setup = setup
        loading = {**setup.loading, **({} if device is None else {"device": device})}
        self._loaded: LoadedModel = load_model(setup.model, **loading)
        probe = self._loaded.tokenizer(PROBE_TEXT)["input_ids"][:_PROBE_TOKENS]
        self._stack: Stack = find_stack(
            self._loaded.network,
            probe,
            stack=setup.stack,
            final_norm=setup.final_norm,
            padding_side=setup.padding_side,
        )
        self._encoder = TextEncoder(
            self._loaded.tokenizer,
            unit=setup.unit,
            max_tokens=setup.max_tokens,
            limit=position_limit(self._loaded.network),
            long=setup.long,
            start_id=self._stack.start_id,
            n_tokens=self._stack.n_tokens,
        )
        self._budget = default_budget(self._stack) if setup.batch_tokens is None else setup.batch_tokens
        self._keeper = self._make_keeper()

    def _make_keeper(self) -> Keeper:
        setup = self._setup
        if setup.partition is None:
            return AllLayers()
        width = setup.moments.sketch_width if setup.store == "moments" else 0
        return ThreeScales(
            setup.partition,
            n_layers=self._stack.n_layers,
            d_model=self._stack.d_model,
            reduction=setup.reduction,
            sketch_width=width,
            seed=setup.moments.seed,
        )

    @cached_property
    def origin(self) -> Origin:
        """Where its states come from."""
        setup, loaded, stack = self._setup, self._loaded, self._stack
        is_reduced = setup.partition is not None
        return Origin(
            model=loaded.name,
            revision=loaded.revision,
            architecture=loaded.architecture,
            stack=stack.kind,
            n_layers=3 if is_reduced else stack.n_layers,
            d_model=stack.d_model,
            unit=setup.unit,
            max_tokens=self._encoder.max_tokens,
            long=setup.long,
            final_norm=stack.final_norm,
            dtype=loaded.dtype,
            fingerprint=loaded.fingerprint(stack.module),
            note=stack.note,
            scales=None if setup.partition is None else setup.partition.written,
            reduction=setup.reduction if is_reduced else None,
        )

    def read(self, job: Job) -> Outcome:
        """Do one job.

        Args:
            job: What is to be done.

        Returns:
            What the driver must know.

        Raises:
            CorpusError: When a record has labels that the first one lacks, or cannot be tokenised.
            ModelError: When memory does not suffice or a state is not finite.
            StorageError: When a shard or part cannot be written.
        """
        if job.kind == "describe":
            return Outcome(number=job.number, kind="describe", description=self._describe(job))
        if job.kind == "attend":
            records = [record for window in job.windows for record in window]
            rows = [(record.position, self._encoder.encode([record]).rows[0]) for record in records]
            found = measure_attention(self._loaded, self._stack, rows)
            return Outcome(number=job.number, kind="attend", attention=found)
        return self._read_moments(job) if self._setup.store == "moments" else self._read_shard(job)

    def _describe(self, job: Job) -> Description:
        encoded = self._encoder.encode([record for window in job.windows for record in window])
        stack, parameters = self._stack, list(self._loaded.network.parameters())
        return Description(
            origin=self.origin,
            tokenizer=describe_tokenizer(self._loaded.tokenizer),
            window=default_window(stack, unit=self._setup.unit, max_tokens=self._encoder.max_tokens),
            batch_tokens=self._budget,
            shape=replace(
                measure_network(self._loaded.network, stack=self._setup.stack), n_layers=stack.n_layers
            ),
            weight_bytes=sum(p.numel() * p.element_size() for p in parameters),
            n_tokens=sum(row.length for row in encoded.rows),
            n_samples=len(encoded.texts),
        )

    def _read_shard(self, job: Job) -> Outcome:
        (window,) = job.windows
        encoded = self._encoder.encode(window)
        shard = Shard(states=self._pool(encoded)["states"], **_columns(encoded, job.columns))
        notes = make_notes(window, encoded)
        if self._setup.folder is None:
            return Outcome(number=job.number, notes=notes, shard=shard, peak_memory=peak_memory())
        write_shard(self._setup.folder, job.number, shard, notes=notes)
        return Outcome(number=job.number, notes=notes, peak_memory=peak_memory())

    def _read_moments(self, job: Job) -> Outcome:
        partition, settings = self._setup.partition, self._setup.moments
        if partition is None:
            raise CorpusError("moments are of scales, and none came; find them first")
        builder = MomentsBuilder(
            self.origin,
            partition,
            seed=settings.seed,
            fractions=settings.fractions,
            n_heldout=settings.n_heldout,
            sketch_width=settings.sketch_width,
            filter_bits=settings.filter_bits,
        )
        notes: dict[str, Any] = {}
        for window in job.windows:
            encoded = self._encoder.encode(window)
            notes = add_notes(notes, make_notes(window, encoded))
            if not encoded.texts:
                continue
            kept = self._pool(encoded)
            columns = _columns(encoded, job.columns)
            records = [record.text for record in encoded.record_of_sample]
            halves = (kept["first"], kept["second"]) if "first" in kept else None
            builder.add(kept["states"], **columns, record_texts=records, projected=halves)
        part = builder.build()
        if self._setup.folder is None:
            return Outcome(number=job.number, notes=notes, moments=part, peak_memory=peak_memory())
        part.save(part_folder(self._setup.folder, job.number), notes=notes)
        return Outcome(number=job.number, notes=notes, peak_memory=peak_memory())

    def _pool(self, encoded: Encoded) -> dict[str, np.ndarray]:
        if not encoded.texts:
            return {"states": np.zeros((self.origin.n_layers, 0, self.origin.d_model), dtype=np.float32)}
        return pool_rows(
            self._loaded,
            self._stack,
            encoded,
            budget=self._budget,
            unit=self._setup.unit,
            keeper=self._keeper,
        )


def part_folder(folder: Path, number: int) -> Path:
    """Tell where the moments of one block of texts stand until they are absorbed.

    Args:
        folder: Folder of the extraction.
        number: Number of the block.

    Returns:
        A folder.
    """
    return folder / "parts" / f"part-{number:05d}"


def make_notes(records: Sequence[Record], encoded: Encoded) -> dict[str, Any]:
    """Say of a window what a later run, and the driver, must know without reading it again.

    Args:
        records: The records.
        encoded: Their rows and samples.

    Returns:
        Numbers of texts, samples and tokens, of cut and empty texts, positions of the texts that are long
        enough for attention, and a fingerprint of the records.
    """
    first: dict[int, int] = {}
    for record, row in zip(encoded.record_of_row, encoded.rows, strict=True):
        first.setdefault(record.position, len(row.ids))
    return {
        "n_texts": len(records),
        "n_samples": len(encoded.texts),
        "n_tokens": sum(row.length for row in encoded.rows),
        "n_cut": encoded.n_cut,
        "n_empty": encoded.n_empty,
        "readable": [position for position, length in first.items() if length >= FEWEST_TOKENS],
        "records": hash_records(records),
    }


def add_notes(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Add up the notes of two runs of texts.

    Args:
        first: Notes; empty ones count as nothing.
        second: Notes of the texts after them.

    Returns:
        Notes of both, their fingerprints chained.

    Examples:
        >>> add_notes({}, {"n_texts": 2, "records": "a", "readable": [1]})["n_texts"]
        2
    """
    if not first:
        return dict(second)
    total: dict[str, Any] = {key: first[key] + second[key] for key in second if key != "records"}
    total["records"] = chain_hashes(first["records"], second["records"])
    return total


def chain_hashes(first: str, second: str) -> str:
    """Chain the fingerprints of two runs of texts.

    Args:
        first: Fingerprint; empty at the start.
        second: Fingerprint of the texts after them.

    Returns:
        64 hexadecimal digits.
    """
    return second if not first else hashlib.sha256(f"{first}{second}".encode()).hexdigest()


def hash_records(records: Sequence[Record]) -> str:
    """Fingerprint records: positions, texts, documents, labels and sentences.

    Args:
        records: The records.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for record in records:
        content = (
            record.position,
            record.text,
            record.document,
            sorted((str(k), repr(v)) for k, v in record.labels.items()),
            None if record.sentences is None else [tuple(span) for span in record.sentences],
            None if record.sentence_labels is None else [sorted(s.items()) for s in record.sentence_labels],
        )
        digest.update(repr(content).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def describe_tokenizer(tokenizer: Any) -> str:
    """Tell tokenizers apart without walking over a whole vocabulary.

    Args:
        tokenizer: A transformers tokenizer.

    Returns:
        Its class, its size and a fingerprint of what it makes of a sentence.
    """
    ids = " ".join(map(str, tokenizer(PROBE_TEXT)["input_ids"]))
    digest = hashlib.sha256(ids.encode()).hexdigest()
    return f"{type(tokenizer).__name__} of {len(tokenizer)} tokens, {digest}"


def _columns(encoded: Encoded, names: Sequence[str]) -> dict[str, Any]:
    """Everything of a shard but its states."""
    records = encoded.record_of_sample
    return {
        "texts": encoded.texts,
        "documents": [record.document for record in records],
        "lengths": encoded.counts,
        "truncated": np.asarray(encoded.truncated, dtype=bool),
        "labels": _label_columns(records, names),
        "positions": np.asarray([record.position for record in records], dtype=np.int64),
    }


def _label_columns(records: Sequence[Record], names: Sequence[str]) -> dict[str, list[Any]]:
    """One column a label; ``None`` where a sample lacks it."""
    for record in records:
        unknown = record.labels.keys() - set(names)
        if unknown:
            raise CorpusError(
                f"text {record.position} has a label '{min(unknown)}' that the first sample lacks; "
                "give it to the first one too, None where it is not known"
            )
    return {name: [record.labels.get(name) for record in records] for name in names}
