"""Read a corpus into moments: blocks of texts become parts, parts are absorbed in order into a running total.

A part is written by whoever read it and lives until a total that holds it is on disk, so that nothing is lost
or counted twice wherever a run is killed; and because parts are always added in the same order, the sums do
not depend on who read what when.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msma.errors import StorageError
from msma.extraction.jobs import Outcome, Window
from msma.extraction.notes import add_notes, chain_hashes, hash_records, part_folder
from msma.extraction.session import Session
from msma.extraction.tokens import Record
from msma.resuming import check_settings
from msma.scale_moments import ScaleMoments
from msma.storage import read_json

#: Share of held-out texts lost to the filter from which it is worth saying.
_FILTER_ERRORS = 0.01


@dataclass(kw_only=True)
class MomentsSession(Session):
    """Read a corpus into moments.

    Args:
        block: Texts that become one part.
    """

    block: int = 16_384

    def __post_init__(self) -> None:
        super().__post_init__()
        self._total: ScaleMoments | None = None
        self._notes: dict[str, Any] = {}
        #: Parts that the total on disk holds.
        self._absorbed = 0
        #: Whether the total is the one that stands in the folder already.
        self._is_in_place = False
        self._chain = ""

    def open(self) -> None:
        """Open the folder, and the total that an earlier run left."""
        folder = self.setup.folder
        if folder is None:
            return
        origin = {key: value for key, value in asdict(self.description.origin).items() if key != "version"}
        settings = {**self.settings, "block": self.block, "moments": asdict(self.setup.moments)}
        settings["moments"]["fractions"] = list(self.setup.moments.fractions)
        check_settings(folder / "origin.json", {"origin": origin, "settings": settings}, what="moments")
        totals = sorted((folder / "parts").glob("total-*/notes.json"))
        if not totals and (folder / "notes.json").is_file():
            totals, self._is_in_place = [folder / "notes.json"], True
        if totals:
            self._notes = read_json(totals[-1])
            self._total = ScaleMoments.load(totals[-1].parent)
            self._absorbed = int(self._notes["n_blocks"])
            self.tally.add(self._notes)

    def group(self, windows: Iterator[list[Record]]) -> Iterator[tuple[Window, ...]]:
        """Put windows together until a block is full.

        Args:
            windows: Those of the corpus.

        Yields:
            The windows of a block.
        """
        held: list[Window] = []
        for window in windows:
            held.append(tuple(window))
            if sum(map(len, held)) >= self.block:
                yield tuple(held)
                held = []
        if held:
            yield tuple(held)

    def find(self, number: int, records: list[Record]) -> Mapping[str, Any] | None:
        """Look for the block in the total, and for its part.

        Args:
            number: Its number.
            records: Its records.

        Returns:
            Its notes, or ``None``.

        Raises:
            StorageError: When other texts were read before.
        """
        fingerprint = _fingerprint(records, self._window_size)
        if number < self._absorbed:
            self._chain = chain_hashes(self._chain, fingerprint)
            if number == self._absorbed - 1 and self._chain != self._notes["records"]:
                raise self._other_texts()
            return {}  # counted with the total
        if self.setup.folder is None:
            return None
        path = part_folder(self.setup.folder, number) / "notes.json"
        if not path.is_file():
            return None
        notes: dict[str, Any] = read_json(path)
        if notes["records"] != fingerprint:
            raise self._other_texts()
        return notes

    @property
    def _window_size(self) -> int:
        return int(self.settings["window"])

    def _other_texts(self) -> StorageError:
        return StorageError(
            f"'{self.setup.folder}' holds moments of other texts than came now; "
            "choose another folder, or delete that one"
        )

    def absorb(
        self, number: int, notes: Mapping[str, Any], records: list[Record], outcome: Outcome | None
    ) -> None:
        """Add a part to the total, and put the total in its place.

        Args:
            number: Its number.
            notes: Its notes.
            records: Its records.
            outcome: What came of it.
        """
        del records
        if number < self._absorbed:
            return
        folder = self.setup.folder
        if folder is None:
            if outcome is None or outcome.moments is None:
                raise RuntimeError("a part of the moments came without its numbers")
            part = outcome.moments
        else:
            part = ScaleMoments.load(part_folder(folder, number))
        self._total = part if self._total is None else self._total + part
        self._notes = {**add_notes(_counts(self._notes), _counts(notes)), "n_blocks": number + 1}
        if folder is not None:
            self._keep(folder, number)

    def _keep(self, folder: Path, number: int) -> None:
        """Put the total on disk; only then let go of what it holds."""
        if self._total is None:
            return
        place = folder / "parts" / f"total-{number + 1:06d}"
        self._total.save(place, notes=self._notes)
        self._is_in_place = False
        for older in (folder / "parts").glob("total-*"):
            if older != place:
                _remove(older)
        _remove(part_folder(folder, number))

    def report(self) -> None:
        """Say what a reader should know."""
        super().report()
        total = self._total
        if total is None:
            return
        if total.n_dropped:
            self.say(f"{total.n_dropped} held-out texts came elsewhere too and were left out")
        if total.seen.error_rate > _FILTER_ERRORS:
            self.say(
                f"the filter of training texts takes {total.seen.error_rate:.0%} of held-out texts for seen and "
                "leaves them out; a larger filter_bits takes fewer"
            )

    def finish(self) -> ScaleMoments:
        """Put the moments in their place and clear what they were made of.

        Returns:
            The moments.

        Raises:
            StorageError: When an earlier run read more texts than came now.
        """
        folder, total = self.setup.folder, self._total
        if total is None:
            raise RuntimeError("a walk ended without a part of the moments")
        if self.tally.n_windows < self._absorbed:
            raise self._other_texts()
        if folder is None:
            return total
        if (folder / "parts").is_dir():
            if not self._is_in_place:  # written again, it would for a moment be nowhere
                total.save(folder, notes=self._notes)
            # Cleared in any order, a total may lose its numbers and keep the sign of wholeness, and the next run
            # would trust it: signs first, that of the newest total last.
            for notes in sorted((folder / "parts").glob("*/notes.json")):
                notes.unlink(missing_ok=True)
            _clear(folder / "parts")
        return ScaleMoments.load(folder)


def _counts(notes: Mapping[str, Any]) -> dict[str, Any]:
    """What of the notes adds up; positions of readable texts would grow with the corpus."""
    names = ("n_texts", "n_samples", "n_tokens", "n_cut", "n_empty", "records")
    return {name: notes[name] for name in names if name in notes}


def _fingerprint(records: list[Record], window: int) -> str:
    """Chain the fingerprints of the windows of a block, as the worker does."""
    chain = ""
    for start in range(0, len(records), window):
        chain = chain_hashes(chain, hash_records(records[start : start + window]))
    return chain


def _remove(folder: Path) -> None:
    """Take the sign of wholeness away first, so that half a removed folder is never taken for a whole one."""
    (folder / "notes.json").unlink(missing_ok=True)
    _clear(folder)


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
