"""Join what separate runs of one model left: their shards, or their moments."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from msma.errors import ConfigError, OriginError
from msma.locking import folder_lock
from msma.progress import progress
from msma.scale_moments import ScaleMoments
from msma.shards import AttentionSummary, Origin, Shard, read_shard
from msma.states import HiddenStates, StatesWriter
from msma.storage import file_checksum, read_json

__all__ = ["merge"]

#: What may differ between runs of one model: what it is called, and who read it.
_FREE = ("model", "version", "note")


class _Run(NamedTuple):
    """One of the folders."""

    folder: Path
    origin: Origin
    tokenizer: str | None
    kind: str


def merge(
    folders: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]
) -> HiddenStates | ScaleMoments:
    """Join the shards, or the moments, of separate runs of one model over different texts.

    Texts keep their order, run by run; positions are counted on. Documents keep their names, so that one that
    was cut between runs stays one; where a run's documents are only numbered, the numbers are counted on too.

    Args:
        folders: Two or more folders written by ``extract`` or ``extract_moments``, all of one kind.
        out: Folder for the whole; an interrupted merge goes on there.

    Returns:
        The states, or the moments, of all texts.

    Raises:
        ConfigError: When fewer than two folders come, one comes twice, or states come with moments.
        OriginError: When the runs are of different models, revisions, tokenizers or settings; both are named.
        StorageError: When a folder is not whole or damaged, or ``out`` cannot be written.
    """
    paths = [Path(folder) for folder in folders]
    if len(paths) < 2:
        raise ConfigError(f"{len(paths)} folder came; give two or more to merge")
    resolved = [path.resolve() for path in (*paths, Path(out))]
    for path in paths:
        if resolved.count(path.resolve()) > 1:
            raise ConfigError(
                f"'{path}' came more than once; give each run once, and another folder for the whole"
            )
    runs = [_open(path) for path in paths]
    for run in runs[1:]:
        _check_same(runs[0], run)
    with folder_lock(out, what="a merge"):
        if runs[0].kind == "moments":
            return _merge_moments(runs, Path(out))
        return _merge_states(runs, Path(out))


def _open(folder: Path) -> _Run:
    if (folder / "moments.json").is_file():
        moments = ScaleMoments.load(folder)
        settings = read_json(folder / "origin.json").get("settings", {}) if _has_origin(folder) else {}
        return _Run(folder, moments.origin, settings.get("tokenizer"), "moments")
    states = HiddenStates.load(folder)
    settings = read_json(folder / "origin.json").get("settings", {})
    return _Run(folder, states.origin, settings.get("tokenizer"), "states")


def _has_origin(folder: Path) -> bool:
    return (folder / "origin.json").is_file()


def _check_same(first: _Run, other: _Run) -> None:
    if first.kind != other.kind:
        raise ConfigError(
            f"'{first.folder}' holds {first.kind} and '{other.folder}' {other.kind}; merge runs of one kind"
        )
    before, now = asdict(first.origin), asdict(other.origin)
    before |= {"tokenizer": first.tokenizer}
    now |= {"tokenizer": other.tokenizer}
    for key in before:
        if key in _FREE or before[key] == now[key]:
            continue
        if key == "revision" and None in (before[key], now[key]):
            continue  # not known of a folder; the fingerprint tells
        raise OriginError(
            f"'{first.folder}' is of model '{first.origin.model}' ({key} {before[key]!r}) and '{other.folder}' "
            f"of '{other.origin.model}' ({key} {now[key]!r}); merge runs of one model, revision, tokenizer and "
            "settings"
        )


def _merge_moments(runs: Sequence[_Run], out: Path) -> ScaleMoments:
    total = ScaleMoments.load(runs[0].folder)
    for run in runs[1:]:
        total = total + ScaleMoments.load(run.folder)
    total.save(out)
    return total


def _merge_states(runs: Sequence[_Run], out: Path) -> HiddenStates:
    settings = {
        "tokenizer": runs[0].tokenizer,
        "merged": [file_checksum(run.folder / "states.json") for run in runs],
    }
    writer = StatesWriter(out, runs[0].origin, settings=settings)
    names = _label_names(runs)
    n_shards = 0
    for shard in _walk(runs, names):
        if not (writer.has_shard(n_shards) and writer.is_whole(n_shards)):
            writer.write_shard(n_shards, shard)
        n_shards += 1
    return writer.finish(attention=_join_attention(runs), n_shards=n_shards)


def _walk(runs: Sequence[_Run], names: Sequence[str]) -> Iterator[Shard]:
    """All shards of all runs, texts counted on."""
    offset = 0
    for run in runs:
        n_shards, is_numbered = _count_shards(run.folder), _is_numbered(run.folder)
        last = offset
        for number in progress(range(n_shards), label=f"merging {run.folder.name}", unit="shard"):
            shard = read_shard(run.folder, number)
            positions = np.asarray(shard.positions) + offset
            last = max(last, int(positions.max(initial=-1)) + 1)
            documents = [str(p) for p in positions] if is_numbered else shard.documents
            nothing = [None] * len(shard)
            labels = {name: shard.labels.get(name, nothing) for name in names}
            yield replace(shard, positions=positions, documents=documents, labels=labels)
        offset = last


def _count_shards(folder: Path) -> int:
    return int(read_json(folder / "states.json")["n_shards"])


def _is_numbered(folder: Path) -> bool:
    """Tell whether documents are called by the positions of their texts, as they are when nobody names them."""
    shards = (read_shard(folder, number) for number in range(_count_shards(folder)))
    return all(
        document == str(position)
        for shard in shards
        for document, position in zip(shard.documents, shard.positions, strict=True)
    )


def _label_names(runs: Sequence[_Run]) -> list[str]:
    names: dict[str, None] = {}
    for run in runs:
        for number in range(_count_shards(run.folder)):
            names |= dict.fromkeys(read_shard(run.folder, number).labels)
    return list(names)


def _join_attention(runs: Sequence[_Run]) -> AttentionSummary | None:
    """Statistics of all texts that were looked at; nothing where a run has none."""
    found: list[Mapping[str, np.ndarray]] = []
    offset = 0
    for run in runs:
        states = HiddenStates.load(run.folder, verify=False)
        if states.attention is None:
            return None
        arrays: dict[str, Any] = states.attention.to_arrays()
        found.append({**arrays, "texts": arrays["texts"] + offset})
        offset += int(states.positions.max()) + 1
    return AttentionSummary(**{n: np.concatenate([part[n] for part in found], axis=-1) for n in found[0]})
