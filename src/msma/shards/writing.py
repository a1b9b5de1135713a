"""Write states shard by shard, so that a run that was interrupted goes on where it stopped."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from msma.errors import StorageError
from msma.locking import holds_lock
from msma.shards.content import AttentionSummary, Origin, Shard
from msma.shards.files import (
    ORIGIN,
    is_whole_shard,
    read_notes,
    read_origin,
    shard_names,
    write_shard,
)
from msma.shards.manifest import ATTENTION, MANIFEST, count_shards, is_finished, write_manifest
from msma.storage import remove_file, remove_leftovers, write_sealed_json, write_tensors


class ShardWriter:
    """Write states shard by shard, so that an interrupted run goes on where it stopped.

    Where this process holds the folder's lock, temporary files that killed runs left are removed first. A
    manifest that does not fit the folder any more, because something of it was deleted, is removed too.

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
        self._notes: dict[int, dict[str, Any]] = {}
        if self.folder is None:
            return
        content = {"origin": asdict(origin), "settings": dict(settings or {})}
        if (self.folder / ORIGIN).is_file():
            self._check_same(read_origin(self.folder), content)
        if holds_lock(self.folder):
            remove_leftovers(self.folder)
        if not is_finished(self.folder):
            remove_file(self.folder / MANIFEST)
        if not (self.folder / ORIGIN).is_file():
            write_sealed_json(self.folder / ORIGIN, content)

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
        """Tell whether both files of a shard are there; see :meth:`is_whole` for what is in them.

        Args:
            number: Number of the shard, from 0.

        Returns:
            Whether it was written to the end.
        """
        if self.folder is None:
            return number in self._memory
        return all((self.folder / name).is_file() for name in shard_names(number))

    def is_whole(self, number: int, *, verify: bool = True) -> bool:
        """Tell whether a shard is there as it was written, and was made with this origin and these settings.

        Args:
            number: Number of the shard, from 0.
            verify: Read the states too; otherwise only their size is compared.

        Returns:
            Whether nothing is wrong with it.
        """
        if self.folder is None:
            return number in self._memory
        return is_whole_shard(self.folder, number, verify=verify)

    def write_shard(self, number: int, shard: Shard, notes: Mapping[str, Any] | None = None) -> None:
        """Write one shard.

        Args:
            number: Number of the shard, from 0.
            shard: Its samples; there may be none.
            notes: Anything to keep beside them, as JSON knows it.

        Raises:
            StorageError: When it cannot be written.
        """
        if self.folder is None:
            self._memory[number], self._notes[number] = shard, dict(notes or {})
            return
        remove_file(self.folder / MANIFEST)
        write_shard(self.folder, number, shard, notes=notes)

    def read_notes(self, number: int) -> dict[str, Any]:
        """Read what was noted beside a shard.

        Args:
            number: Number of the shard, from 0.

        Returns:
            The notes; none where an older version wrote the shard.

        Raises:
            StorageError: When it is missing or damaged.
        """
        return self._notes[number] if self.folder is None else read_notes(self.folder, number)

    def shard_bytes(self, number: int) -> int:
        """Tell how much of the disk a shard takes.

        Args:
            number: Number of the shard, from 0.

        Returns:
            Bytes of its files; 0 where there is none, or it is in memory.
        """
        if self.folder is None or not self.has_shard(number):
            return 0
        return sum((self.folder / name).stat().st_size for name in shard_names(number))

    def discard_shard(self, number: int) -> None:
        """Remove a shard, and the manifest that says it is there.

        Args:
            number: Number of the shard, from 0.

        Raises:
            StorageError: When it cannot be removed.
        """
        self._memory.pop(number, None)
        self._notes.pop(number, None)
        if self.folder is not None:
            for name in (MANIFEST, *reversed(shard_names(number))):
                remove_file(self.folder / name)

    def close(self, *, attention: AttentionSummary | None = None, n_shards: int | None = None) -> None:
        """Declare the folder whole.

        Args:
            attention: Attention statistics to keep with the states.
            n_shards: How many shards there must be; as many as there are, from 0 on, when left out.

        Raises:
            StorageError: When a shard is missing or too many, or the folder cannot be written.
        """
        if self.folder is None:
            n_shards = len(self._memory) if n_shards is None else n_shards
            if sorted(self._memory) != list(range(n_shards)):
                raise StorageError(
                    f"shards {sorted(self._memory)} came where 0 to {n_shards - 1} were expected; "
                    "write each of them once"
                )
            return
        remove_file(self.folder / MANIFEST)
        if attention is None:
            remove_file(self.folder / ATTENTION)
        else:
            write_tensors(self.folder / ATTENTION, attention.to_arrays())
        n_shards = count_shards(self.folder) if n_shards is None else n_shards
        write_manifest(self.folder, n_shards=n_shards, has_attention=attention is not None)

    @property
    def kept(self) -> list[Shard]:
        """The shards held in memory, in order; empty where they go to disk."""
        return [self._memory[number] for number in sorted(self._memory)]
