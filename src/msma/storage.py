"""The only door to disk and Hub: JSON, text and tensors, written whole or not at all.

Every file is first written under a temporary name in its own folder, flushed, and renamed; a run that is
interrupted leaves either the old file or the new one, never half of one. Tensors use the safetensors format,
read back through a memory map, so that a terabyte of states costs no memory to open.
"""

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from msma.errors import StorageError

_CHECKSUM_KEY = "msma_sha256"
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, renamed to ``path`` when the body succeeds.

    Args:
        path: Where the finished file is to stand; missing folders are made.

    Yields:
        A path in the same folder, removed again when the body raises.

    Raises:
        StorageError: When the folder cannot be made, or writing or renaming fails (say, no space left).

    Examples:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a" / "b.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    final = Path(path)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(final)
    except StorageError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"could not write '{final}': {reason}; nothing half-written was left there. "
            "Free some space or choose another folder, then run the same command again"
        ) from error
    finally:
        with suppress(OSError):  # nothing to remove, or no such folder
            temporary.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a UTF-8 text file atomically.

    Args:
        path: The file.
        text: Its whole content.

    Returns:
        The path written.

    Raises:
        StorageError: When it cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def _plain(value: Any) -> Any:
    """Turn numpy values and paths into what JSON knows; a non-finite float has no place in JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, set, frozenset, range)):
        return list(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def write_json(path: str | os.PathLike[str], content: Any) -> Path:
    """Write JSON atomically; NaN and infinity are refused, because JSON has no word for them.

    Args:
        path: The file.
        content: Mappings, sequences, strings, numbers, numpy arrays.

    Returns:
        The path written.

    Raises:
        StorageError: When the content is not representable or the file cannot be written.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.json"
        >>> read_json(write_json(path, {"layers": np.arange(3)}))
        {'layers': [0, 1, 2]}
    """
    try:
        text = json.dumps(content, default=_plain, allow_nan=False, ensure_ascii=False, indent=1)
    except (TypeError, ValueError) as error:
        raise StorageError(
            f"could not write '{path}' as JSON: {error}; give plain numbers, strings, lists and mappings"
        ) from error
    return write_text(path, text + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        StorageError: When the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StorageError(f"there is no file '{path}'; check the path, or make it again") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"could not read '{path}': {error}; check that it is a readable file") from error
    except json.JSONDecodeError as error:
        raise StorageError(
            f"'{path}' is not valid JSON (line {error.lineno}: {error.msg}); delete it and make it again"
        ) from error


def file_checksum(path: str | os.PathLike[str]) -> str:
    """Compute the SHA-256 of a file, in hexadecimal.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.

    Raises:
        StorageError: When the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"could not read '{path}': {error.strerror}; check the path") from error


def _content_checksum(tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


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
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    for name, array in contiguous.items():
        if array.dtype.newbyteorder("<").str not in _DTYPES.values():
            raise StorageError(
                f"could not write '{path}': '{name}' has dtype {array.dtype}; give float, int, uint8 or bool"
            )
    header = {**(metadata or {}), _CHECKSUM_KEY: _content_checksum(contiguous)}
    with atomic_path(path) as temporary:
        try:
            save_file(contiguous, str(temporary), metadata=header)
        except Exception as error:  # safetensors wraps the operating system's error in its own
            if isinstance(error, OSError):
                raise
            raise OSError(None, str(error)) from error
        temporary.chmod(0o644)  # the library makes files that only their owner can read
    return Path(path)


def open_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Open a safetensors file as read-only memory maps.

    Args:
        path: The file.

    Returns:
        The arrays by name, none of them read yet, and the metadata.

    Raises:
        StorageError: When the file is missing, cut short or not in the safetensors format.
    """
    file = Path(path)
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = struct.unpack("<Q", stream.read(8))[0]
            if length > size:
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(length))
        metadata = header.pop("__metadata__", {})
        tensors = {
            name: _map_tensor(file, entry, offset=8 + length, size=size) for name, entry in header.items()
        }
    except FileNotFoundError as error:
        raise StorageError(f"there is no file '{path}'; check the path, or make it again") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise StorageError(
            f"'{path}' is not a whole safetensors file ({error}); delete it and make it again"
        ) from error
    metadata.pop(_CHECKSUM_KEY, None)
    return tensors, metadata


def _map_tensor(file: Path, entry: Mapping[str, Any], *, offset: int, size: int) -> np.ndarray:
    begin, end = entry["data_offsets"]
    if offset + end > size:
        raise ValueError(f"it ends after {size} bytes where {offset + end} were expected")
    shape = tuple(entry["shape"])
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype=_DTYPES[entry["dtype"]])
    return np.memmap(file, dtype=_DTYPES[entry["dtype"]], mode="r", offset=offset + begin, shape=shape)


def verify_tensors(path: str | os.PathLike[str]) -> None:
    """Check that a tensor file's content still has the checksum it was written with.

    Args:
        path: A file written by :func:`write_tensors`.

    Raises:
        StorageError: When the content changed, or the file is missing or damaged.
    """
    tensors, _ = open_tensors(path)
    with Path(path).open("rb") as stream:
        header = json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))
    expected = header.get("__metadata__", {}).get(_CHECKSUM_KEY)
    if expected is not None and expected != _content_checksum(tensors):
        raise StorageError(
            f"the content of '{path}' does not match its checksum; delete it and make it again"
        )


def upload_folder(folder: str | os.PathLike[str], repository: str, *, private: bool | None = None) -> str:
    """Push a folder to a repository on the Hub, made when it is not there.

    Args:
        folder: What to push.
        repository: Its name there, such as "you/gpt2-msma".
        private: Whether a new repository is private.

    Returns:
        Address of the commit.

    Raises:
        StorageError: When the Hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repository, folder_path=os.fspath(folder)))
    except (OSError, ValueError) as error:
        raise StorageError(
            f"could not push to '{repository}' ({_first_line(error)}); check the name, the connection and your login"
        ) from error


def download_folder(repository: str, *, revision: str | None = None) -> Path:
    """Fetch a repository from the Hub into its cache.

    Args:
        repository: Its name, such as "you/gpt2-msma".
        revision: Branch, tag or commit.

    Returns:
        The folder in the cache.

    Raises:
        StorageError: When it does not exist or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision))
    except (OSError, ValueError) as error:
        raise StorageError(
            f"'{repository}' is neither a folder nor a repository that could be reached ({_first_line(error)}); "
            "check the name and the connection"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
