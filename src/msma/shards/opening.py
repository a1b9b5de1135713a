"""A shard whose columns, like its states, stay on disk until they are asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

from msma.errors import StorageError
from msma.shards.content import Shard
from msma.shards.files import read_columns, shard_names
from msma.storage import open_tensors

#: Shards that are open at a time; each holds four maps, of which a process may have some 65,000.
_MOST_OPEN = 64


def open_shard(folder: Path, number: int) -> Shard:
    """Open one shard without reading its texts, documents and labels, so that a large folder costs no memory.

    Args:
        folder: The folder.
        number: Number of the shard, from 0.

    Returns:
        The shard; it reads its columns when they are asked for, and refuses them where they were changed since.

    Raises:
        StorageError: When it is missing or damaged.
    """
    states, columns = shard_names(number)
    arrays, _ = open_tensors(folder / states)
    path = folder / columns
    try:
        file = _ColumnsFile(folder, number, _identify(path))
        return Shard(
            states=arrays["states"],
            lengths=arrays["lengths"],
            truncated=arrays["truncated"],
            positions=arrays["positions"],
            texts=_Column(file, ("texts",), len(arrays["lengths"])),
            documents=_Column(file, ("documents",), len(arrays["lengths"])),
            labels=_Labels(file, len(arrays["lengths"])),
        )
    except OSError as error:
        raise StorageError(f"could not read '{path}': {error.strerror}; check the folder") from error
    except KeyError as error:
        raise StorageError(f"'{folder / states}' lacks {error}; delete it and extract again") from error


class ShardFolder(Sequence[Shard]):
    """The shards of a folder that hold samples, opened when asked for and let go again, so that many cost no memory.

    Args:
        folder: The folder.
        n_shards: Its shards.

    Raises:
        StorageError: When one is missing or damaged, or, later, was changed since.
    """

    def __init__(self, folder: Path, n_shards: int) -> None:
        self._folder = folder
        self._numbers: list[int] = []
        self._identities: list[tuple[int, int, int]] = []
        self._open = lru_cache(maxsize=_MOST_OPEN)(self._reopen)
        shapes: list[tuple[int, ...]] = []
        for number in range(n_shards):
            shape = open_shard(folder, number).states.shape
            if len(shape) != 3 or shape[1]:
                shapes.append(shape)
                self._numbers.append(number)
                self._identities.append(_identify(folder / shard_names(number)[0]))
        #: Layers, samples and width of each.
        self.shapes = tuple(shapes)

    def _reopen(self, place: int) -> Shard:
        number = self._numbers[place]
        path = self._folder / shard_names(number)[0]
        try:
            is_same = _identify(path) == self._identities[place]
        except OSError:
            is_same = False
        if not is_same:
            raise StorageError(f"'{path}' was changed or removed after it was opened; open the states again")
        return open_shard(self._folder, number)

    def __len__(self) -> int:
        return len(self.shapes)

    @overload
    def __getitem__(self, index: int) -> Shard: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Shard]: ...
    def __getitem__(self, index: int | slice) -> Shard | Sequence[Shard]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._open(index % len(self))


def _identify(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True)
class _ColumnsFile:
    """The file of a shard's columns, as it was when the shard was opened."""

    folder: Path
    number: int
    identity: tuple[int, int, int]

    def read(self) -> Mapping[str, Any]:
        path = self.folder / shard_names(self.number)[1]
        try:
            is_same = _identify(path) == self.identity
        except OSError:
            is_same = False
        if not is_same:
            raise StorageError(f"'{path}' was changed or removed after it was opened; open the states again")
        return _read(self)


@lru_cache(maxsize=2)  # several columns of one shard are asked for one after the other
def _read(file: _ColumnsFile) -> Mapping[str, Any]:
    return read_columns(file.folder, file.number)


@dataclass(frozen=True)
class _Column(Sequence[Any]):
    """One column, found in the file by its path."""

    file: _ColumnsFile
    path: tuple[str, ...]
    length: int

    def _values(self) -> Sequence[Any]:
        values: Any = self.file.read()
        for name in self.path:
            if name not in values:
                raise StorageError(
                    f"shard {self.file.number} of '{self.file.folder}' lacks '{name}'; delete it and extract again"
                )
            values = values[name]
        return values

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._values()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values())


@dataclass(frozen=True)
class _Labels(Mapping[str, Sequence[Any]]):
    """Columns of labels, by name."""

    file: _ColumnsFile
    length: int

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self.file.read()["labels"]:
            raise KeyError(name)
        return _Column(self.file, ("labels", name), self.length)

    def __iter__(self) -> Iterator[str]:
        return iter(self.file.read()["labels"])

    def __len__(self) -> int:
        return len(self.file.read()["labels"])
