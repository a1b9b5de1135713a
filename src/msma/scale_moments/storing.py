"""Moments as a folder: matrices, scales, the held-out sample as states, and last what they are known by."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from msma.errors import StorageError
from msma.scale_moments.heldout import HeldoutSample
from msma.scale_moments.moments import ScaleMoments
from msma.scale_moments.seen import SeenTexts
from msma.scale_moments.settings import MomentSettings
from msma.scale_moments.splitting import DocumentCount
from msma.scale_moments.sums import ScaleSums
from msma.scales import ScalePartition
from msma.shards import Origin, Shard, read_shard
from msma.sketches import LayerSketch
from msma.states import HiddenStates
from msma.storage import (
    mark_file,
    open_tensors,
    read_sealed_json,
    remove_file,
    write_json,
    write_sealed_json,
    write_tensors,
)

_INDEX, _TENSORS, _SCALES, _NOTES = "moments.json", "moments.safetensors", "scales.json", "notes.json"
#: Held-out samples to be scored, and those whose texts were trained on, which later moments must know of.
_FOLDERS = ("heldout", "dropped")


def write_moments(moments: ScaleMoments, folder: Path, *, notes: Mapping[str, Any] | None = None) -> Path:
    """Write moments to a folder; see :meth:`ScaleMoments.save`.

    Args:
        moments: The moments.
        folder: Where to.
        notes: Anything that is to be kept beside.

    Returns:
        The folder.

    Raises:
        StorageError: When it cannot be written.
    """
    # What is there is no longer whole from here on.
    remove_file(folder / _NOTES)
    remove_file(folder / _INDEX)
    rows = {"heldout": np.flatnonzero(~moments.is_dropped), "dropped": np.flatnonzero(moments.is_dropped)}
    for name in _FOLDERS:
        _write_sample(moments, folder / name, rows[name])
    order = np.concatenate([rows[name] for name in _FOLDERS])
    write_tensors(folder / _TENSORS, _to_arrays(moments, order))
    moments.partition.save(folder / _SCALES)
    files = {name: list(mark_file(folder / name)) for name in _list_files(folder)}
    content = {
        "origin": asdict(moments.origin),
        "settings": asdict(moments.settings),
        "n": moments.n,
        "n_shuffled": moments.n_shuffled,
        "texts": moments.fingerprint,
        "n_heldout": {name: len(rows[name]) for name in _FOLDERS},
        "files": files,
    }
    write_sealed_json(folder / _INDEX, content)
    if notes is not None:
        write_json(folder / _NOTES, notes)
    return folder


def _write_sample(moments: ScaleMoments, folder: Path, rows: Int[np.ndarray, " kept"]) -> None:
    sample = moments.sample.select(rows)
    # Read before the folder is cleared: it may be the one that these samples were read from.
    shard = replace(sample, states=np.array(sample.states)).to_shard()
    try:
        if folder.is_dir():
            shutil.rmtree(folder)
    except OSError as error:
        raise StorageError(
            f"could not clear '{folder}': {error.strerror or error}; check that the folder can be written to"
        ) from error
    if len(shard):
        HiddenStates([shard], moments.origin).save(folder)


def _list_files(folder: Path) -> list[str]:
    """Everything that belongs to the moments, but their index."""
    return [_TENSORS, _SCALES, *(name for part in _FOLDERS for name in _walk(folder, part))]


def _walk(folder: Path, part: str) -> Iterator[str]:
    for path in sorted((folder / part).glob("*")):
        if path.suffix in (".json", ".safetensors"):
            yield f"{part}/{path.name}"


def _to_arrays(moments: ScaleMoments, order: Int[np.ndarray, " samples"]) -> dict[str, np.ndarray]:
    sample = moments.sample
    arrays = {
        **{f"sums.{name}": array for name, array in moments.sums.to_arrays().items()},
        **{f"seen.{name}": array for name, array in moments.seen.to_arrays().items()},
        "documents": moments.documents.hashes.view(np.int64),
        "sample.keys": sample.keys[order].view(np.int64),
        "sample.marks": sample.marks[order].view(np.int64),
    }
    if moments.sketch is not None:
        arrays |= {f"sketch.{name}": array for name, array in moments.sketch.to_arrays().items()}
    return arrays


def read_moments(folder: str | os.PathLike[str]) -> ScaleMoments:
    """Read what :func:`write_moments` wrote.

    Args:
        folder: Where it is.

    Returns:
        Equal moments.

    Raises:
        StorageError: When a file is missing, damaged or cut short; it is named.
    """
    folder = Path(folder)
    if not (folder / _INDEX).is_file():
        raise StorageError(f"'{folder}' holds no whole moments; gather them (again) to the end")
    index = read_sealed_json(folder / _INDEX)
    for name, mark in index["files"].items():
        if not (folder / name).is_file():
            raise StorageError(f"'{folder / name}' is missing; gather these moments again")
        if list(mark_file(folder / name)) != mark:
            raise StorageError(
                f"'{folder / name}' is damaged or cut short: it does not match the checksum in "
                f"'{folder / _INDEX}'; delete the folder and gather these moments again"
            )
    arrays, _ = open_tensors(folder / _TENSORS)
    try:
        return _rebuild(folder, index, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"'{folder}' holds moments of another version ({error}); gather them again"
        ) from error


def _rebuild(folder: Path, index: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ScaleMoments:
    def group(name: str) -> dict[str, np.ndarray]:
        start = f"{name}."
        return {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}

    settings = dict(index["settings"])
    settings["fractions"] = tuple(settings["fractions"])
    origin = Origin.from_dict(index["origin"])
    sketch = group("sketch")
    return ScaleMoments(
        origin=origin,
        partition=ScalePartition.load(folder / _SCALES),
        settings=MomentSettings(**settings),
        sums=ScaleSums.from_parts(index["n"], index["n_shuffled"], group("sums")),
        documents=DocumentCount(np.asarray(arrays["documents"]).view(np.uint64)),
        texts=int(index["texts"], 16),
        seen=SeenTexts.from_arrays(group("seen")),
        sample=_read_sample(folder, index, group("sample"), d_model=origin.d_model),
        sketch=LayerSketch.from_arrays(sketch) if sketch else None,
    )


def _read_sample(
    folder: Path, index: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, d_model: int
) -> HeldoutSample:
    size = index["settings"]["n_heldout"]
    keys, marks = (np.asarray(arrays[name]).view(np.uint64) for name in ("keys", "marks"))
    sample = HeldoutSample.empty(d_model, size=size)
    parts, start = [], 0
    for name in _FOLDERS:
        count = index["n_heldout"][name]
        if not count:
            continue
        shard: Shard = read_shard(folder / name, 0)
        rows = slice(start, start + count)
        columns = {f: getattr(shard, f) for f in ("states", "texts", "documents", "labels")}
        columns |= {f: np.asarray(getattr(shard, f)) for f in ("lengths", "truncated", "positions")}
        parts.append(HeldoutSample(size=size, keys=keys[rows], marks=marks[rows], **columns))
        start += count
    return parts[0] if len(parts) == 1 else sample.merge(parts)
