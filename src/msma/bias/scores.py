"""What scores of language-model tests have in common: the model they name, their file, their table."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from jaxtyping import Float

from msma._version import __version__
from msma.errors import StorageError
from msma.models import LoadedModel
from msma.results import make_frame
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd


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


@dataclass(frozen=True, eq=False)
class ItemScores:
    """Scores that are saved as JSON by the names of their fields, and read again.

    Subclasses are dataclasses of items, then arrays, then ``provenance``, and say what their items are.
    """

    item_class: ClassVar[Callable[..., Any]]
    #: Name of the test that was scored, for errors.
    test_name: ClassVar[str]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write items, scores and provenance as JSON.

        Args:
            path: The file.

        Returns:
            The path written.
        """
        items, *arrays, provenance = (f.name for f in fields(self))
        content = {
            items: [asdict(item) for item in getattr(self, items)],
            **{name: getattr(self, name) for name in arrays},
            provenance: dict(getattr(self, provenance)),
        }
        return write_json(path, content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            The same scores.

        Raises:
            StorageError: When the file is missing or holds something else.
        """
        content = read_json(path)
        items, *arrays, provenance = (f.name for f in fields(cls))
        make: Callable[..., Self] = cls
        try:
            return make(
                tuple(cls.item_class(**values) for values in content[items]),
                *(np.array(content[name], dtype=np.float64) for name in arrays),
                content[provenance],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(
                f"'{path}' does not hold scores of {cls.test_name} ({error}); "
                f"give a file written by {cls.__name__}.save"
            ) from error
