"""JSON files, for people to read, and sealed ones that know when a byte of them changed."""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from msma.errors import StorageError
from msma.storage.checksums import FileMark, mark_bytes
from msma.storage.writing import atomic_path, encode_text, write_text

#: The seal stands last in the file: a checksum of everything before it, and nothing after it.
_SEAL_BEGIN, _SEAL_END, _END = b',\n"sha256": "', b'"\n}\n', b"\n}\n"


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


def _to_json(path: str | os.PathLike[str], content: Any, *, indent: int | None = None) -> str:
    try:
        return json.dumps(content, default=_plain, allow_nan=False, ensure_ascii=False, indent=indent)
    except (TypeError, ValueError) as error:
        raise StorageError(
            f"could not write '{path}' as JSON: {error}; give plain numbers, strings, lists and mappings"
        ) from error


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
    return write_text(path, _to_json(path, content, indent=1) + "\n")


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
        return json.loads(_read_bytes(path).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise StorageError(f"could not read '{path}': {error}; check that it is a readable file") from error
    except json.JSONDecodeError as error:
        raise StorageError(
            f"'{path}' is not valid JSON (line {error.lineno}: {error.msg}); delete it and make it again"
        ) from error


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise StorageError(f"there is no file '{path}'; check the path, or make it again") from error
    except OSError as error:
        raise StorageError(f"could not read '{path}': {error}; check that it is a readable file") from error


def write_sealed_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> FileMark:
    """Write a mapping as JSON that ends with its own checksum, one line an entry, atomically.

    Args:
        path: The file.
        content: One entry or more, none of them called "sha256".

    Returns:
        Size and SHA-256 of the file.

    Raises:
        StorageError: When the content is not representable or the file cannot be written.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.json"
        >>> _ = write_sealed_json(path, {"n": 3})
        >>> read_sealed_json(path)
        {'n': 3}
        >>> _ = path.write_bytes(path.read_bytes().replace(b"3", b"4", 1))
        >>> read_sealed_json(path)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        msma.errors.StorageError: '...' is damaged: ...
    """
    lines = ",\n".join(f"{_to_json(path, str(key))}: {_to_json(path, content[key])}" for key in content)
    body = encode_text("{\n" + lines) + _END
    data = body[: -len(_END)] + _SEAL_BEGIN + mark_bytes(body).sha256.encode() + _SEAL_END
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return mark_bytes(data)


def read_sealed_json(
    path: str | os.PathLike[str],
    *,
    unsealed: Collection[str] = (),
    remedy: str = "delete it and make it again",
) -> dict[str, Any]:
    """Read what :func:`write_sealed_json` wrote, and accept not one byte that differs.

    Args:
        path: The file.
        unsealed: A file of exactly these entries is an older one, which has no seal, and is taken as it is.
        remedy: What to do about a damaged one, for the message.

    Returns:
        The content, without the seal.

    Raises:
        StorageError: When the file is missing, or any byte of it changed.
    """
    data = _read_bytes(path)
    length = len(_SEAL_BEGIN) + 64 + len(_SEAL_END)
    body = data[:-length] + _END
    if data == body[: -len(_END)] + _SEAL_BEGIN + mark_bytes(body).sha256.encode() + _SEAL_END:
        content = json.loads(data)
        del content["sha256"]
        return content
    try:
        content = json.loads(data)
    except ValueError:  # neither JSON nor UTF-8
        content = None
    if unsealed and isinstance(content, dict) and content.keys() == set(unsealed):
        return content
    raise StorageError(
        f"'{path}' is damaged: its {len(data)} bytes do not match the checksum they should end with; {remedy}"
    )
