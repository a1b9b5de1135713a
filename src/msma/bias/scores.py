"""What scores of language-model tests have in common: the model they name, their file, their table."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jaxtyping import Float

from msma._version import __version__
from msma.errors import StorageError
from msma.models import LoadedModel
from msma.results import make_frame
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from _typeshed import DataclassInstance

Scores = TypeVar("Scores", bound="DataclassInstance")


def describe_model(loaded: LoadedModel) -> dict[str, Any]:
    """Say which model was scored.

    Args:
        loaded: The model.

    Returns:
        Name, revision, fingerprint, architecture, head and the version of this package.
    """
    return {
        "model": loaded.name,
        "revision": loaded.revision,
        "fingerprint": loaded.fingerprint(),
        "architecture": loaded.architecture,
        "head": loaded.head,
        "msma": __version__,
    }


def seed_of(provenance: Mapping[str, Any], seed: int | None) -> int:
    """Choose the seed of intervals.

    Args:
        provenance: Where scores may have kept theirs.
        seed: The one asked for, if any.

    Returns:
        The seed asked for, else the one kept, else 0.

    Examples:
        >>> seed_of({"seed": 3}, None), seed_of({"seed": 3}, 5), seed_of({}, None)
        (3, 5, 0)
    """
    return int(provenance.get("seed", 0)) if seed is None else seed


def scores_frame(items: Sequence[Any], **columns: Float[np.ndarray, " items"]) -> "pd.DataFrame":
    """Give one row an item.

    Args:
        items: The items, dataclasses of one kind.
        **columns: What else stands in each row.

    Returns:
        The items' fields, then the columns.

    Raises:
        MissingExtraError: When pandas is not installed.
    """
    return make_frame([asdict(item) for item in items]).assign(**columns)


def write_scores(scores: "DataclassInstance", path: str | os.PathLike[str]) -> Path:
    """Write scores as JSON, by the names of their fields.

    Args:
        scores: A dataclass of items, arrays and ``provenance``, in this order.
        path: The file.

    Returns:
        The path written.
    """
    items, *arrays, provenance = (f.name for f in fields(scores))
    content = {
        items: [asdict(item) for item in getattr(scores, items)],
        **{name: getattr(scores, name) for name in arrays},
        provenance: dict(getattr(scores, provenance)),
    }
    return write_json(path, content)


def read_scores(
    path: str | os.PathLike[str], kind: type[Scores], item: Callable[..., Any], *, test: str
) -> Scores:
    """Read what :func:`write_scores` wrote.

    Args:
        path: The file.
        kind: The class of the scores.
        item: The class of their items.
        test: Name of the test that was scored, for errors.

    Returns:
        The same scores.

    Raises:
        StorageError: When the file is missing or holds something else.
    """
    content = read_json(path)
    items, *arrays, provenance = (f.name for f in fields(kind))
    make: Callable[..., Scores] = kind
    try:
        return make(
            tuple(item(**values) for values in content[items]),
            *(np.array(content[name], dtype=np.float64) for name in arrays),
            content[provenance],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"'{path}' does not hold scores of {test} ({error}); give a file written by {kind.__name__}.save"
        ) from error
