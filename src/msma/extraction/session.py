"""One walk over a corpus: windows out to workers, outcomes back in the order of the corpus."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from msma.errors import CorpusError
from msma.extraction.corpus import TextStream
from msma.extraction.engines import run_jobs
from msma.extraction.jobs import Description, Job, Outcome, Window, WorkerSetup
from msma.extraction.limits import Estimate, Limits
from msma.extraction.survey import Survey
from msma.extraction.tokens import Record
from msma.progress import Meter
from msma.shards import AttentionSummary

Say: TypeAlias = Callable[[str], None]


#: Bytes on disk from which what a run takes is said unasked.
_WORTH_SAYING = 1e9


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where the work is done.

    Args:
        kind: In this process, in several on this machine, or on a Ray cluster.
        workers: How many replicas of the model.
        address: That of a running cluster.
        devices: Devices of the replicas, in turn.
    """

    kind: Literal["local", "processes", "ray"] = "local"
    workers: int | None = None
    address: str | None = None
    devices: tuple[str, ...] | None = None


@dataclass
class Tally:
    """What there is to tell about a run.

    Args:
        n_windows: Windows, or blocks, of the corpus.
        n_found: Those that were there already.
        n_texts: Texts that hold something.
        n_samples: Samples of them.
        n_cut: Texts longer than allowed.
        n_empty: Texts without a token.
    """

    n_windows: int = 0
    n_found: int = 0
    n_texts: int = 0
    n_samples: int = 0
    n_cut: int = 0
    n_empty: int = 0

    def add(self, notes: Mapping[str, Any]) -> None:
        """Count a window.

        Args:
            notes: Its notes.
        """
        for name in ("n_texts", "n_samples", "n_cut", "n_empty"):
            setattr(self, name, getattr(self, name) + int(notes.get(name, 0)))


@dataclass(kw_only=True)
class Session(ABC):
    """One walk over a corpus.

    Args:
        setup: What workers need.
        stream: The corpus.
        survey: What is known of it.
        engine: Where the work is done.
        limits: What it may take.
        window: Texts sorted by length together.
        settings: Whatever else decides the numbers.
        sketch_texts: Texts of the pass that found the scales, for the estimate.
        say: Told what a reader should know.
    """

    setup: WorkerSetup
    stream: TextStream
    survey: Survey
    engine: Engine
    limits: Limits
    window: int | None
    settings: dict[str, Any]
    sketch_texts: int = 0
    say: Say = field(default=lambda _: None)

    def __post_init__(self) -> None:
        self.tally = Tally()
        self.columns: tuple[str, ...] | None = None
        self._description: Description | None = None
        self._pending: dict[int, list[Record]] = {}
        self._done: dict[int, tuple[Mapping[str, Any], Outcome | None]] = {}
        self._next = 0

    @property
    def description(self) -> Description:
        """What the model says of itself; known once the first job came back."""
        if self._description is None:
            raise RuntimeError("a job was made before the model had been described")
        return self._description

    def walk(self) -> None:
        """Read the whole corpus."""
        engine = self.engine
        outcomes = run_jobs(
            self.setup,
            self._jobs(),
            engine=engine.kind,
            workers=engine.workers,
            address=engine.address,
            devices=engine.devices,
        )
        with (
            closing(outcomes),
            Meter(label="reading", total=self.survey.n_texts, unit="text") as self._meter,
        ):
            for outcome in outcomes:
                self._take(outcome)
        if self.tally.n_samples == 0:
            raise CorpusError(
                f"{self.stream.n_texts} texts came and none holds a token; give texts that are not empty"
            )

    def _jobs(self) -> Iterator[Job | None]:
        """Give the work piece by piece; ``None`` where the next piece depends on outcomes not yet there."""
        yield Job(number=-1, windows=(self.survey.sample,), kind="describe")
        while self._description is None:
            yield None
        estimate = Estimate(self.setup, self.description, self.survey, sketch_texts=self.sketch_texts)
        estimate.check_disk(self.setup.folder, self.limits)
        window = estimate.fit_window(self.limits, self.window)
        cost = estimate.cost(window=window)
        if cost is not None and (self.limits.is_set or cost.disk > _WORTH_SAYING):
            self.say(cost.describe())
        self.settings = {**self.settings, "window": window, "tokenizer": self.description.tokenizer}
        self.open()
        for number, windows in enumerate(self.group(self.stream.windows(window))):
            records = [record for window in windows for record in window]
            if self.columns is None:
                self.columns = _label_names(records[0], unit=self.setup.unit)
            self.tally.n_windows = number + 1
            notes = self.find(number, records)
            if notes is not None:
                self.tally.n_found += 1
                self._pending[number] = records
                self._settle(number, notes, None)
                continue
            self._pending[number] = records
            yield Job(number=number, windows=windows, columns=self.columns)
        while self._pending:
            yield None
        if self.stream.n_texts and self.tally.n_samples:
            yield from self.last_jobs()

    def _take(self, outcome: Outcome) -> None:
        if outcome.kind == "describe":
            self._description = outcome.description
        elif outcome.kind == "attend":
            self.take_attention(outcome.attention)
        else:
            self._settle(outcome.number, outcome.notes, outcome)

    def _settle(self, number: int, notes: Mapping[str, Any], outcome: Outcome | None) -> None:
        """Absorb what is done, in the order of the corpus, whatever order it came in."""
        self._done[number] = (notes, outcome)
        while self._next in self._done:
            notes, outcome = self._done.pop(self._next)
            records = self._pending.pop(self._next)
            self.tally.add(notes)
            self.absorb(self._next, notes, records, outcome)
            peak = {} if outcome is None else {"worker_peak_memory_bytes": outcome.peak_memory}
            self._meter.advance(len(records), **peak)
            self._next += 1

    def group(self, windows: Iterator[list[Record]]) -> Iterator[tuple[Window, ...]]:
        """Put windows together into jobs.

        Args:
            windows: Those of the corpus.

        Yields:
            One window a job, unless a session says otherwise.
        """
        for window in windows:
            yield (tuple(window),)

    @abstractmethod
    def open(self) -> None:
        """Open the folder, refusing one of other settings."""

    @abstractmethod
    def find(self, number: int, records: list[Record]) -> Mapping[str, Any] | None:
        """Look for what an earlier run left.

        Args:
            number: Number of the job.
            records: Its records.

        Returns:
            The notes of it, or ``None``.
        """

    @abstractmethod
    def absorb(
        self, number: int, notes: Mapping[str, Any], records: list[Record], outcome: Outcome | None
    ) -> None:
        """Take what is done, in order.

        Args:
            number: Number of the job.
            notes: Its notes.
            records: Its records.
            outcome: What came of it; ``None`` where an earlier run did it.
        """

    def last_jobs(self) -> Iterator[Job]:
        """Give the work that is left when all texts are read.

        Yields:
            Jobs, none of which another depends on.
        """
        yield from ()

    def take_attention(self, attention: AttentionSummary | None) -> None:
        """Take attention statistics.

        Args:
            attention: The statistics, where the model has any.
        """
        del attention

    def report(self) -> None:
        """Say what a reader should know."""
        tally, n_texts, origin = self.tally, self.stream.n_texts, self.description.origin
        n_empty = self.stream.n_empty + tally.n_empty
        if n_empty:
            self.say(f"{n_empty} of {n_texts} texts hold no token and were skipped")
        if tally.n_cut:
            done = "cut" if origin.long == "truncate" else "read in windows"
            self.say(
                f"{tally.n_cut} of {n_texts} texts are longer than {origin.max_tokens} tokens and were {done}"
            )
        if origin.note:
            self.say(origin.note)


def _label_names(record: Record, *, unit: str) -> tuple[str, ...]:
    """Names of the labels of the first sample."""
    names = dict.fromkeys(record.labels)
    if unit == "sentence" and record.sentences is not None and record.sentence_labels:
        names |= dict.fromkeys(record.sentence_labels[0])
    return tuple(names)
