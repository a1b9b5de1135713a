"""What readers of an audit's folder have in common; each says in one sentence what is damaged."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msma._types import SCALES
from msma.errors import StorageError
from msma.results import Result
from msma.storage import read_json


def read_record(path: Path, *, audit: str, again: str) -> Mapping[str, Any]:
    """Read the record of an audit, with what it said and what it warned of.

    Args:
        path: The file.
        audit: What was audited, for errors: "bias audit".
        again: What to do where the file is damaged, for errors.

    Returns:
        What the file holds; "said" and "cautions" are lists of sentences.

    Raises:
        StorageError: When the file is missing, or one of these lists.
    """
    content = read_json(path)
    for key in ("said", "cautions"):
        lines = content.get(key)
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise StorageError(f"'{path}' holds no whole {audit} (no list of sentences '{key}'); {again}")
    return content


def load_rows(path: Path, *, again: str) -> Result:
    """Read a table that must not be empty.

    Args:
        path: The file.
        again: What to do where the file is damaged, for errors.

    Returns:
        The rows, one or more.

    Raises:
        StorageError: When the file is missing or damaged, or holds no row.
    """
    result = Result.load(path)
    if not result.rows:
        raise StorageError(f"'{path}' holds no row; {again}")
    return result


def check_scale(path: Path, scale: str, *, again: str, known: Sequence[str] = SCALES) -> None:
    """Refuse a scale that a report cannot name.

    Args:
        path: The file that names it, for errors.
        scale: The scale.
        again: What to do where the file is damaged, for errors.
        known: What it may be.

    Raises:
        StorageError: When it is none of these.

    Examples:
        >>> check_scale(Path("rows.json"), "middle", again="make it again", known=("none", "local"))
        Traceback (most recent call last):
        msma.errors.StorageError: 'rows.json' names the scale 'middle', expected one of none, local; make it again
    """
    if scale not in known:
        raise StorageError(f"'{path}' names the scale '{scale}', expected one of {', '.join(known)}; {again}")
