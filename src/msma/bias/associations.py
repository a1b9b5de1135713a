"""Associations found, by test, layer and scale: a row and a table."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msma.errors import StorageError
from msma.results import Result, Row, make_frame
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


#: A corrected p below this is an association.
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class AssociationRow:
    """One test at one layer, or at one scale.

    Args:
        test: Name of the test.
        label: The test in a few words.
        layer: Layer entry; ``None`` for the scale as a whole.
        scale: The scale, or the one that the layer belongs to.
        effect: Effect size d, in standard deviations; positive when X goes with A. ``None`` where it does not exist.
        difference: The difference of mean associations that d divides by their spread, in cosines.
        low: Lower end of its 95 % interval over words.
        high: Upper end.
        p: Two-sided, by permuting words.
        p_holm: Corrected within its family: all tests and layers, or all tests and scales.
        p_greater: One-sided, for d > 0, as published; not corrected.
        floor: What chance alone shows: the 95 % quantile of |d| under permutation.
        n_words: Words of the four lists.
        n_sentences: Sentences of the four lists.
        is_exact: Whether every partition of the words was tried.
        note: What a reader must know.
        difference: The difference of mean associations that d divides by their spread, in cosines: how large it is.
    """

    test: str
    label: str
    layer: int | None
    scale: str
    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    p_greater: float | None
    floor: float | None
    n_words: int
    n_sentences: int
    is_exact: bool
    note: str | None = None
    difference: float | None = None

    @property
    def is_significant(self) -> bool:
        """Whether there is an association after correction."""
        return self.p_holm is not None and self.p_holm < LEVEL


_COLUMNS = tuple(f.name for f in fields(AssociationRow))


@dataclass(frozen=True)
class AssociationTable:
    """Association tests by layer and by scale.

    Args:
        rows: Test by test: its layers, then its three scales.
        provenance: Model, tests and settings.
    """

    rows: tuple[AssociationRow, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def significant(self) -> tuple[AssociationRow, ...]:
        """Give the rows with an association after correction.

        Returns:
            Rows with ``p_holm`` below 0.05, layers and scales.
        """
        return tuple(row for row in self.rows if row.is_significant)

    def to_result(self) -> Result:
        """Give the table as tidy rows; p stands in each row's note.

        Returns:
            A result named "associations", one row a test and layer or scale, its metric "association_TEST".
        """
        return Result("associations", tuple(_to_row(row) for row in self.rows), dict(self.provenance))

    def to_frame(self) -> "pd.DataFrame":
        """Give the rows as a pandas table, one column a field.

        Returns:
            A tidy ``DataFrame``.

        Raises:
            MissingExtraError: When pandas is not installed.
        """
        return make_frame([asdict(row) for row in self.rows], columns=_COLUMNS)

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw effect sizes by layer and scale.

        Args:
            ax: Axes to draw on; new ones when left out.

        Returns:
            The axes; nothing is shown.
        """
        from msma.plotting import plot_associations

        return plot_associations(self.rows, ax=ax)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as JSON.

        Args:
            path: The file.

        Returns:
            The path written.
        """
        rows = [asdict(row) for row in self.rows]
        return write_json(
            path, {"name": "associations", "provenance": dict(self.provenance), "associations": rows}
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            An equal table.

        Raises:
            StorageError: When the file is missing or holds no such table.
        """
        content = read_json(path)
        try:
            return cls(tuple(AssociationRow(**row) for row in content["associations"]), content["provenance"])
        except (KeyError, TypeError) as error:
            raise StorageError(
                f"'{path}' holds no association tests ({error}); give a file written by AssociationTable.save"
            ) from error


def _to_row(row: AssociationRow) -> Row:
    parts = [row.label]
    if row.p is not None and row.p_holm is not None:
        parts.append(f"p = {row.p:.2g} by permuting words, {row.p_holm:.2g} after Holm's correction")
    if row.note:
        parts.append(row.note)
    return Row(
        metric=f"association_{row.test}",
        value=row.effect,
        low=row.low,
        high=row.high,
        null=None if row.effect is None else 0.0,
        floor=row.floor,
        units="standard deviations",
        target=row.scale,
        layer=row.layer,
        n=row.n_words,
        interval=None if row.effect is None else "bootstrap",
        note="; ".join(parts),
    )
