"""The manifest of a folder of states: written last, complete, and itself under a checksum."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from msma.errors import StorageError
from msma.progress import progress
from msma.shards.content import AttentionSummary
from msma.shards.files import ORIGIN, read_columns, shard_names, shard_remedy, states_mark
from msma.storage import FileMark, file_checksum, mark_file, open_tensors, read_sealed_json, write_sealed_json

MANIFEST, ATTENTION = "states.json", "attention.safetensors"
_OLD_MANIFEST = ("n_shards", "has_attention")
#: Files whose checksums are taken at the same time.
_N_READERS = 4
_SHARD = re.compile(r"shard-(\d+)\.(safetensors|json)")
_AGAIN = "delete it and run the same extraction again, which makes only what is missing"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What belongs to a folder of states.

    Args:
        n_shards: Its shards, numbered from 0.
        n_samples: Samples of all of them; ``None`` in an older folder.
        has_attention: Whether attention statistics belong to it.
        files: What each file is known by; empty in an older folder.
    """

    n_shards: int
    n_samples: int | None = None
    has_attention: bool
    files: Mapping[str, FileMark] = field(default_factory=dict)


def count_shards(folder: Path) -> int:
    """Count the shards of a folder, gaps included, so that a missing one is found.

    Args:
        folder: The folder.

    Returns:
        One more than the highest number.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "shard-00002.json").write_text("")
        >>> count_shards(folder)
        3
    """
    found = [_SHARD.fullmatch(path.name) for path in folder.iterdir()]
    return max((int(shard[1]) + 1 for shard in found if shard), default=0)


def write_manifest(folder: Path, *, n_shards: int, has_attention: bool) -> Manifest:
    """Declare a folder of states whole.

    Args:
        folder: The folder.
        n_shards: Its shards; there may be neither fewer nor more.
        has_attention: Whether attention statistics belong to it.

    Returns:
        The manifest written.

    Raises:
        StorageError: When a shard is missing, damaged or too many, or the manifest cannot be written.
    """
    n_samples, files = 0, {ORIGIN: mark_file(folder / ORIGIN)}
    for number in range(n_shards):
        columns = read_columns(folder, number)
        for name, mark in zip(shard_names(number), (states_mark(folder, number, columns), None), strict=True):
            files[name] = mark or mark_file(folder / name)
        n_samples += len(columns["texts"])
    if has_attention:
        files[ATTENTION] = mark_file(folder / ATTENTION)
    found = Manifest(n_shards=n_shards, n_samples=n_samples, has_attention=has_attention, files=files)
    check_folder(folder, found, verify=False)
    content = {"n_shards": n_shards, "n_samples": n_samples, "has_attention": has_attention}
    marks = {name: mark._asdict() for name, mark in files.items()}
    write_sealed_json(folder / MANIFEST, {**content, "files": marks})
    return found


def read_manifest(folder: Path) -> Manifest:
    """Read what belongs to a folder of states.

    Args:
        folder: The folder.

    Returns:
        The manifest.

    Raises:
        StorageError: When there is none, or any byte of it changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        state = "an interrupted extraction" if (folder / ORIGIN).is_file() else "no states"
        raise StorageError(f"'{folder}' holds {state}; run the extraction (again) to the end")
    content = read_sealed_json(path, unsealed=_OLD_MANIFEST, remedy=_AGAIN)
    try:
        return Manifest(
            n_shards=int(content["n_shards"]),
            n_samples=content.get("n_samples"),
            has_attention=bool(content["has_attention"]),
            files={name: FileMark(**mark) for name, mark in content.get("files", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"'{path}' was written by another version of this package ({error!r}); {_AGAIN}"
        ) from error


def check_folder(folder: Path, manifest: Manifest, *, verify: bool) -> None:
    """Compare a folder of states with its manifest.

    Args:
        folder: The folder.
        manifest: What belongs to it.
        verify: Compare checksums, for which every byte is read; otherwise only names and sizes.

    Raises:
        StorageError: When a file is missing, too many, of another length, or changed; it is named.
    """
    numbers = range(manifest.n_shards)
    names = [ORIGIN, *(name for number in numbers for name in shard_names(number))]
    names += [ATTENTION] if manifest.has_attention else []
    for name in names:
        _check_size(folder / name, manifest.files.get(name))
    if not manifest.files:  # an older folder, of which no more is known
        return
    for path in sorted(folder.iterdir()):
        if _SHARD.fullmatch(path.name) and path.name not in names:
            raise StorageError(
                f"'{path}' does not belong to these states, which have {manifest.n_shards} shards; remove it"
            )
    if verify:
        _check_contents(folder, {name: manifest.files[name] for name in names})


def _check_contents(folder: Path, marks: Mapping[str, FileMark]) -> None:
    """Read every file, several at a time, and name the first of those that changed."""
    with ThreadPoolExecutor(max_workers=_N_READERS) as pool:
        sums = pool.map(file_checksum, [folder / name for name in marks])
        seen = zip(marks, progress(sums, label="checking files", total=len(marks), unit="file"), strict=True)
        damaged = [name for name, found in seen if found != marks[name].sha256]
    if damaged:
        others = f" (nor does that of {', '.join(damaged[1:])})" if damaged[1:] else ""
        raise StorageError(
            f"the content of '{folder / damaged[0]}' does not match its checksum{others}; {_remedy(damaged[0])}"
        )


def _check_size(path: Path, mark: FileMark | None) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        again = "run the same extraction again, which makes only what is missing"
        raise StorageError(f"there is no file '{path}', which belongs to these states; {again}") from error
    except OSError as error:
        raise StorageError(f"could not read '{path}': {error.strerror}; check the folder") from error
    if mark is not None and size != mark.size:
        raise StorageError(
            f"'{path}' holds {size} bytes where {mark.size} were written; {_remedy(path.name)}"
        )


def _remedy(name: str) -> str:
    shard = _SHARD.fullmatch(name)
    return _AGAIN if shard is None else shard_remedy(int(shard[1]))


def read_attention(folder: Path) -> AttentionSummary:
    """Read the attention statistics of a folder of states.

    Args:
        folder: The folder.

    Returns:
        The statistics.

    Raises:
        StorageError: When they are missing or damaged.
    """
    path = folder / ATTENTION
    arrays, _ = open_tensors(path)
    try:
        return AttentionSummary(**arrays)
    except TypeError as error:
        raise StorageError(f"'{path}' holds no attention statistics ({error}); {_AGAIN}") from error


def is_finished(folder: Path) -> bool:
    """Tell whether a folder holds states with a sound manifest and files of the right names and sizes.

    Args:
        folder: The folder.

    Returns:
        Whether they can be opened; what is in the files is not looked at.
    """
    try:
        check_folder(folder, read_manifest(folder), verify=False)
    except StorageError:
        return False
    return True
