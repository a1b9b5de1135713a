"""Named arrays as safetensors files: written from memory without a copy, read through a memory map.

The format (https://github.com/huggingface/safetensors) is a length of 8 bytes, a JSON header of that length
that names type, shape and place of each array, and the arrays' bytes. It is written here and not by the
library, which copies every array once more in memory, orders the metadata by chance and gives the system's
errors without their number.
"""

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from msma.errors import StorageError
from msma.storage.checksums import FileMark
from msma.storage.writing import atomic_path

_CHECKSUM_KEY = "msma_sha256"
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    *,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write named arrays as one safetensors file, atomically, with a checksum of their content.

    Args:
        path: The file.
        tensors: Arrays of float, int, uint8 or bool.
        metadata: Strings kept in the header.

    Returns:
        The path written.

    Raises:
        StorageError: When the file cannot be written, or an array is of another type.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
        >>> tensors, metadata = open_tensors(write_tensors(path, {"x": np.ones(2)}, metadata={"by": "me"}))
        >>> tensors["x"].tolist(), metadata
        ([1.0, 1.0], {'by': 'me'})
    """
    write_marked_tensors(path, tensors, metadata=metadata)
    return Path(path)


def write_marked_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    *,
    metadata: Mapping[str, str] | None = None,
) -> FileMark:
    """Write named arrays like :func:`write_tensors` and tell what the file is known by.

    Args:
        path: The file.
        tensors: Arrays of float, int, uint8 or bool.
        metadata: Strings kept in the header.

    Returns:
        Size and SHA-256, taken of what was meant to be written, not read back.

    Raises:
        StorageError: When the file cannot be written, or an array is of another type.

    Examples:
        >>> import tempfile
        >>> from msma.storage import mark_file
        >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
        >>> write_marked_tensors(path, {"x": np.ones(2)}) == mark_file(path)
        True
    """
    arrays = {name: _to_plain_bytes_order(path, name, array) for name, array in tensors.items()}
    header = _make_header(arrays, {**(metadata or {}), _CHECKSUM_KEY: _content_checksum(arrays)})
    digest, size = hashlib.sha256(), 0
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for piece in _pieces(header, arrays):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
    return FileMark(size, digest.hexdigest())


def _to_plain_bytes_order(path: str | os.PathLike[str], name: str, array: np.ndarray) -> np.ndarray:
    dtype = array.dtype.newbyteorder("<")
    if dtype.str not in _NAMES:
        raise StorageError(
            f"could not write '{path}': '{name}' has dtype {array.dtype}; give float, int, uint8 or bool"
        )
    # Made contiguous, a single number would become a row of one.
    return np.ascontiguousarray(array, dtype=dtype).reshape(np.shape(array))


def _order(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Put wide types first, as the library does, so that every array begins at a multiple of its width."""
    return sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))


def _pieces(header: bytes, arrays: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    yield struct.pack("<Q", len(header))
    yield header
    for name in _order(arrays):
        yield arrays[name].reshape(-1).view(np.uint8).data


def _make_header(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    begin = 0
    for name in _order(arrays):
        array = arrays[name]
        end = begin + array.nbytes
        entries[name] = {
            "dtype": _NAMES[array.dtype.str],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    header = json.dumps(entries, separators=(",", ":")).encode()
    return header + b" " * (-len(header) % 8)


def _content_checksum(tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def open_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Open a safetensors file as read-only memory maps.

    Args:
        path: The file.

    Returns:
        The arrays by name, none of them read yet, and the metadata.

    Raises:
        StorageError: When the file is missing, cut short or not in the safetensors format.
    """
    tensors, metadata = _open(path)
    metadata.pop(_CHECKSUM_KEY, None)
    return tensors, metadata


def _open(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    file = Path(path)
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = struct.unpack("<Q", stream.read(8))[0]
            if length > size:
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(length))
        metadata = dict(header.pop("__metadata__", {}))
        tensors = {
            name: _map_tensor(file, entry, offset=8 + length, size=size) for name, entry in header.items()
        }
    except FileNotFoundError as error:
        raise StorageError(f"there is no file '{path}'; check the path, or make it again") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise StorageError(
            f"'{path}' is not a whole safetensors file ({error}); delete it and make it again"
        ) from error
    return tensors, metadata


def _map_tensor(file: Path, entry: Mapping[str, Any], *, offset: int, size: int) -> np.ndarray:
    begin, end = entry["data_offsets"]
    shape, dtype = tuple(entry["shape"]), np.dtype(_DTYPES[entry["dtype"]])
    if offset + end > size:
        raise ValueError(f"it ends after {size} bytes where {offset + end} were expected")
    if begin < 0 or math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError(f"its header gives {end - begin} bytes to an array of shape {shape}")
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype=dtype)
    return np.memmap(file, dtype=dtype, mode="r", offset=offset + begin, shape=shape)


def verify_tensors(path: str | os.PathLike[str]) -> None:
    """Check that a tensor file's content still has the checksum it was written with.

    Args:
        path: A file written by :func:`write_tensors`.

    Raises:
        StorageError: When the content changed, or the file is missing or damaged.
    """
    tensors, metadata = _open(path)
    expected = metadata.get(_CHECKSUM_KEY)
    if expected is not None and expected != _content_checksum(tensors):
        raise StorageError(
            f"the content of '{path}' does not match its checksum; delete it and make it again"
        )
