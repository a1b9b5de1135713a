"""Read a corpus into shards, of all layers or of the three scales."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msma.errors import StorageError
from msma.extraction.attention import TextSample
from msma.extraction.jobs import Job, Outcome
from msma.extraction.notes import hash_records
from msma.extraction.session import Session
from msma.extraction.tokens import Record
from msma.shards import AttentionSummary
from msma.states import HiddenStates, StatesWriter


@dataclass(kw_only=True)
class ShardSession(Session):
    """Read a corpus into shards, of all layers or of the three scales.

    Args:
        attention_texts: Texts whose attention is looked at.
        seed: Fixes their choice.
    """

    attention_texts: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sample = TextSample(self.attention_texts, seed=self.seed)
        self._attention: AttentionSummary | None = None
        self._written = 0
        self._writer: StatesWriter | None = None

    @property
    def writer(self) -> StatesWriter:
        """Where shards go; there once the folder is open."""
        if self._writer is None:
            raise RuntimeError("a shard came before the folder was open")
        return self._writer

    def open(self) -> None:
        """Open the folder, refusing one of other settings."""
        self._writer = StatesWriter(self.setup.folder, self.description.origin, settings=self.settings)

    def find(self, number: int, records: list[Record]) -> Mapping[str, Any] | None:
        """Look for a whole shard; a damaged one is made again.

        Args:
            number: Its number.
            records: Its records.

        Returns:
            Its notes, or ``None``.

        Raises:
            StorageError: When it holds other texts.
        """
        if self.setup.folder is None or not self.writer.has_shard(number):
            return None
        if not self.writer.is_whole(number):
            self.say(f"shard {number} is damaged and is made again")
            self.writer.discard_shard(number)
            return None
        notes = self.writer.read_notes(number)
        if "records" not in notes:
            raise StorageError(
                f"shard {number} of '{self.setup.folder}' was not written by an extraction of this version, so it "
                "cannot be gone on with; choose another folder, or delete that one"
            )
        if notes["records"] != hash_records(records):
            raise StorageError(
                f"shard {number} of '{self.setup.folder}' holds other texts than came now; "
                "choose another folder, or delete that one"
            )
        return notes

    def absorb(
        self, number: int, notes: Mapping[str, Any], records: list[Record], outcome: Outcome | None
    ) -> None:
        """Keep the shard, where there is no folder, and show its texts to the sample.

        Args:
            number: Its number.
            notes: Its notes.
            records: Its records.
            outcome: What came of it.

        Raises:
            StorageError: When more was written than allowed, or a worker's shard is not to be seen here.
        """
        if outcome is not None and outcome.shard is not None:
            self.writer.write_shard(number, outcome.shard, notes)
        elif self.setup.folder is not None:
            self._watch(number)
        by_position = {record.position: record for record in records}
        for position in notes["readable"]:
            self._sample.offer(by_position[position])

    def _watch(self, number: int) -> None:
        if not self.writer.has_shard(number):
            raise StorageError(
                f"a worker wrote shard {number} of '{self.setup.folder}' and it is not there; "
                "all workers must see the same folder"
            )
        self._written += self.writer.shard_bytes(number)
        if self.limits.disk is not None and self._written > self.limits.disk:
            raise StorageError(
                f"{self._written:,} bytes of states are in '{self.setup.folder}' and max_disk is "
                f"{self.limits.disk:,}; nothing is lost: the same command with a higher limit goes on"
            )

    def last_jobs(self) -> Iterator[Job]:
        """Have attention looked at, unless an earlier run did it.

        Yields:
            At most one job.

        Raises:
            StorageError: When the folder holds more than this corpus.
        """
        n_windows = self.tally.n_windows
        if self.writer.has_shard(n_windows):
            raise StorageError(
                f"'{self.setup.folder}' holds states of more texts than the {self.stream.n_texts} that came "
                "now; choose another folder, or delete that one"
            )
        if self._sample.records and not self._is_finished():
            windows = (tuple(self._sample.records),)
            yield Job(number=n_windows, windows=windows, kind="attend")

    def _is_finished(self) -> bool:
        folder = self.setup.folder
        is_all_found = self.tally.n_found == self.tally.n_windows
        return is_all_found and folder is not None and (folder / "states.json").is_file()

    def take_attention(self, attention: AttentionSummary | None) -> None:
        """Take attention statistics.

        Args:
            attention: The statistics, where the model has any.
        """
        self._attention = attention

    def finish(self) -> HiddenStates:
        """Declare the states whole and open them.

        Returns:
            The states.
        """
        folder = self.setup.folder
        if folder is not None and self._is_finished():
            return HiddenStates.load(folder, verify=False)
        return self.writer.finish(attention=self._attention, n_shards=self.tally.n_windows)

    def report(self) -> None:
        """Say what a reader should know."""
        super().report()
        if self.tally.n_found:
            self.say(f"{self.tally.n_found} of {self.tally.n_windows} shards were there already")
