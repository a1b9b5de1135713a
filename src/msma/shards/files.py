"""The two files of a shard: its states, and everything that is said of them."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from msma.errors import StorageError
from msma.shards.content import Shard
from msma.storage import (
    FileMark,
    mark_file,
    open_tensors,
    read_sealed_json,
    verify_tensors,
    write_marked_tensors,
    write_sealed_json,
)

ORIGIN = "origin.json"
#: What the files held before they were sealed.
_OLD_COLUMNS, _OLD_ORIGIN = ("texts", "documents", "labels"), ("origin", "settings")


def shard_names(number: int) -> tuple[str, str]:
    """Name the files of a shard.

    Args:
        number: Its number, from 0.

    Returns:
        The file of states, and that of columns.

    Examples:
        >>> shard_names(7)
        ('shard-00007.safetensors', 'shard-00007.json')
    """
    return f"shard-{number:05d}.safetensors", f"shard-{number:05d}.json"


def shard_remedy(number: int) -> str:
    """Say what to do about a damaged shard.

    Args:
        number: Its number.

    Returns:
        The end of a sentence.

    Examples:
        >>> shard_remedy(0)
        'delete shard-00000.safetensors and shard-00000.json and run the same extraction again, which makes only them'
    """
    states, columns = shard_names(number)
    return f"delete {states} and {columns} and run the same extraction again, which makes only them"


def read_origin(folder: Path) -> dict[str, Any]:
    """Read what a folder's states were made with.

    Args:
        folder: The folder.

    Returns:
        "origin" and "settings".

    Raises:
        StorageError: When it is missing or damaged.
    """
    remedy = "delete it and run the same extraction again, which writes it anew and keeps the shards"
    return read_sealed_json(folder / ORIGIN, unsealed=_OLD_ORIGIN, remedy=remedy)


def hash_origin(content: Mapping[str, Any]) -> str:
    """Reduce what states were made with to one short text, which every shard carries.

    Args:
        content: "origin" and "settings"; the package's version and what is ``None`` do not count.

    Returns:
        A SHA-256.

    Examples:
        >>> hash_origin({"origin": {"model": "a", "version": "1"}}) == hash_origin(
        ...     {"origin": {"model": "a", "note": None, "version": "2"}}
        ... )
        True
    """
    known = {
        group: {key: value for key, value in values.items() if key != "version" and value is not None}
        for group, values in content.items()
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def write_shard(
    folder: str | os.PathLike[str], number: int, shard: Shard, *, notes: Mapping[str, Any] | None = None
) -> None:
    """Write one shard into a folder of states, whose origin stands there already.

    The states are written first and the columns, which say what the states' file is known by, last; any number
    of processes may write shards of different numbers at once.

    Args:
        folder: The folder.
        number: Number of the shard, from 0.
        shard: Its samples; there may be none.
        notes: Anything to keep beside them, as JSON knows it.

    Raises:
        StorageError: When it cannot be written.
    """
    folder = Path(folder)
    origin = hash_origin(read_origin(folder)) if (folder / ORIGIN).is_file() else None
    states, columns = shard_names(number)
    arrays: dict[str, np.ndarray] = {
        "states": np.asarray(shard.states, dtype=np.float32),
        "lengths": np.asarray(shard.lengths, dtype=np.int64),
        "truncated": np.asarray(shard.truncated, dtype=bool),
        "positions": np.asarray(shard.positions, dtype=np.int64),
    }
    mark = write_marked_tensors(folder / states, arrays)
    write_sealed_json(
        folder / columns,
        {
            "texts": list(shard.texts),
            "documents": list(shard.documents),
            "labels": {name: list(column) for name, column in shard.labels.items()},
            "notes": dict(notes or {}),
            "states": mark._asdict(),
            "origin": origin,
        },
    )


def read_columns(folder: Path, number: int) -> dict[str, Any]:
    """Read what is said of a shard's states.

    Args:
        folder: The folder.
        number: Number of the shard.

    Returns:
        Texts, documents, labels; in all but older files also notes, "states" and "origin".

    Raises:
        StorageError: When it is missing, or any byte of it changed.
    """
    _, columns = shard_names(number)
    return read_sealed_json(folder / columns, unsealed=_OLD_COLUMNS, remedy=shard_remedy(number))


def read_shard(folder: str | os.PathLike[str], number: int) -> Shard:
    """Open one shard of a folder of states.

    Args:
        folder: The folder.
        number: Number of the shard, from 0.

    Returns:
        The shard, its states mapped and not read.

    Raises:
        StorageError: When it is missing or damaged.
    """
    folder = Path(folder)
    columns = read_columns(folder, number)
    states, _ = shard_names(number)
    arrays, _ = open_tensors(folder / states)
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
        raise StorageError(f"shard {number} of '{folder}' lacks {error}; {shard_remedy(number)}") from error


def read_notes(folder: str | os.PathLike[str], number: int) -> dict[str, Any]:
    """Read what was noted beside a shard.

    Args:
        folder: The folder.
        number: Number of the shard, from 0.

    Returns:
        The notes; none where an older version wrote the shard.

    Raises:
        StorageError: When it is missing or damaged.
    """
    return dict(read_columns(Path(folder), number).get("notes", {}))


def states_mark(folder: Path, number: int, columns: Mapping[str, Any]) -> FileMark:
    """Tell what a shard's file of states is known by.

    Args:
        folder: The folder.
        number: Number of the shard.
        columns: What is said of it.

    Returns:
        Size and SHA-256 as they were written; for an older shard those that are found.

    Raises:
        StorageError: When the file of an older shard cannot be read.
    """
    if "states" in columns:
        return FileMark(**columns["states"])
    return mark_file(folder / shard_names(number)[0])


def is_whole_shard(folder: str | os.PathLike[str], number: int, *, verify: bool = True) -> bool:
    """Tell whether a shard is there as it was written, and belongs to the states of this folder.

    Args:
        folder: The folder.
        number: Number of the shard, from 0.
        verify: Read the states too; otherwise only their size is compared.

    Returns:
        Whether nothing is wrong with it.
    """
    folder = Path(folder)
    path = folder / shard_names(number)[0]
    try:
        columns = read_columns(folder, number)
        if "states" not in columns:
            verify_tensors(path)
            return len(read_shard(folder, number)) == len(columns["texts"])
        mark = FileMark(**columns["states"])
        is_same_size = path.stat().st_size == mark.size
        if not is_same_size or (verify and mark_file(path) != mark):
            return False
        return columns["origin"] is None or columns["origin"] == hash_origin(read_origin(folder))
    except (OSError, KeyError, TypeError):  # not there, or not readable
        return False
