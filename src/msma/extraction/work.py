"""What a worker does: windows of texts in, shards or moments out; the same in one process, in many, on a cluster."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from msma.errors import CorpusError
from msma.extraction.allocation import return_large_blocks
from msma.extraction.attention import measure_attention
from msma.extraction.jobs import Description, Job, Outcome, WorkerSetup
from msma.extraction.keeping import AllLayers, Keeper, ThreeScales
from msma.extraction.notes import add_notes, make_notes, part_folder
from msma.extraction.pooling import default_budget, default_window, pool_rows
from msma.extraction.tokens import PROBE_TEXT, Encoded, Record, TextEncoder
from msma.models import LoadedModel, Stack, find_stack, load_model, position_limit
from msma.models.sizes import measure_network
from msma.progress import peak_memory
from msma.scale_moments import MomentsBuilder
from msma.shards import Origin, Shard, write_shard

#: Tokens on which a model is tried out.
_PROBE_TOKENS = 12


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
