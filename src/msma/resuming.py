"""A folder that is gone on with must have been begun with the same settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msma.errors import StorageError
from msma.locking import holds_lock
from msma.storage import read_json, remove_leftovers, write_json


def plain_setting(value: Any) -> Any:
    """Write a parameter so that JSON gives it back equal.

    Args:
        value: A parameter of a map.

    Returns:
        The value itself where JSON knows it, else its text.

    Examples:
        >>> plain_setting(0.1), plain_setting(None), plain_setting((1, 2))
        (0.1, None, '(1, 2)')
    """
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def check_settings(path: Path, settings: Mapping[str, Any], *, what: str) -> None:
    """Keep the settings of a folder, or refuse others than those it holds.

    Where this process holds the folder's lock, temporary files that killed runs left are removed.

    Args:
        path: The file of settings.
        settings: Those of this run, as JSON knows them.
        what: What the folder holds, in a word or two.

    Raises:
        StorageError: When a setting differs, or the file is damaged.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "settings.json"
        >>> check_settings(path, {"seed": 0}, what="a search")
        >>> check_settings(path, {"seed": 0}, what="a search")
        >>> check_settings(path, {"seed": 1}, what="a search")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        msma.errors.StorageError: '...' holds a search with seed = 0, and this one has 1; choose ...
    """
    if holds_lock(path.parent):
        remove_leftovers(path.parent)
    if not path.is_file():
        if path.parent.exists() and not path.parent.is_dir():
            raise StorageError(f"'{path.parent}' is a file; give a folder for the results")
        write_json(path, settings)
        return
    found = read_json(path)
    if not isinstance(found, Mapping):
        raise StorageError(f"'{path}' holds no settings; delete it and run the same command again")
    for key, value in _flatten(settings).items():
        before = _flatten(found).get(key)
        if before != value:
            raise StorageError(
                f"'{path.parent}' holds {what} with {key} = {before!r}, and this one has {value!r}; "
                "choose another folder, or delete that one"
            )


def _flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give nested settings names of their own, so that a message names the one that differs."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{name}": part for name, part in value.items()}
        else:
            flat[key] = value
    return flat
