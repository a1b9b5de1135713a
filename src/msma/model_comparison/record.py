"""What a comparison of two models found: rows, the similarity of all layers, and the texts that differ."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msma._types import Scale
from msma.errors import StorageError
from msma.model_comparison.sentences import say_comparison
from msma.plotting.style import COLUMN
from msma.results import Result, make_frame
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_RECORD, _TABLE = "comparison.json", "results.json"
#: Boundaries of one model's scales.
_Boundaries = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class TextDifference:
    """One text under one map in both models.

    Args:
        document: Its document.
        position: Its position in the document, from 0.
        text: The text.
        source: Scale mapped from.
        target: Scale mapped to.
        first: Squared distance of the mapped state from its target in the first model, over the mean squared
            deviation of the targets from their mean: 0 is perfect, 1 is as bad as the mean for a usual text.
        second: The same in the second model.
        difference: Second less first.
        overlap_local: Share of the text's nearest neighbours that both models have at the local scale.
        overlap_intermediate: The same at the intermediate scale.
        overlap_global: The same at the global scale.
    """

    document: str
    position: int
    text: str
    source: Scale
    target: Scale
    first: float
    second: float
    difference: float
    overlap_local: float
    overlap_intermediate: float
    overlap_global: float


@dataclass(frozen=True, kw_only=True)
class StudyComparison:
    """Two studies beside each other, on the texts that both held out.

    Args:
        names: What the two are called.
        table: Every number with its interval; ``map`` says which side or direction a row is of, "difference" is
            the second less the first.
        texts: Every text and pair of scales, those that differ most first.
        similarity: Debiased linear CKA: one row a layer of the first, one column a layer of the second; ``None``
            where a layer does not vary.
        boundaries: First layer of the intermediate and of the global scale, of either.
        provenance: Both studies, and what was compared.
    """

    names: tuple[str, str]
    table: Result
    texts: tuple[TextDifference, ...]
    similarity: tuple[tuple[float | None, ...], ...]
    boundaries: tuple[_Boundaries, _Boundaries]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"StudyComparison({self.names[0]} and {self.names[1]}: {len(self.table)} rows, "
            f"{len(self.texts)} differences of texts)"
        )

    def describe(self) -> str:
        """Say in a few sentences where the two agree and where they differ.

        Returns:
            The sentences.
        """
        return " ".join(self.sentences())

    def sentences(self) -> list[str]:
        """Say the same as :meth:`describe`, one sentence an element.

        Returns:
            The sentences.
        """
        return say_comparison(self)

    def to_result(self) -> Result:
        """Give every number.

        Returns:
            The table.
        """
        return self.table

    def to_frame(self) -> "pd.DataFrame":
        """Give the rows of the table as a pandas table.

        Returns:
            A tidy ``DataFrame``.
        """
        return self.table.to_frame()

    def texts_to_frame(self) -> "pd.DataFrame":
        """Give the differences of the texts as a pandas table, one row a text and pair of scales.

        Returns:
            A tidy ``DataFrame``, the largest difference first.

        Raises:
            MissingExtraError: When pandas is not installed.
        """
        return make_frame(
            [asdict(text) for text in self.texts], columns=tuple(TextDifference.__annotations__)
        )

    def plot(self, *, ax: "Axes | None" = None, width: float = COLUMN) -> "Axes":
        """Draw how alike every layer of one model is to every layer of the other.

        Args:
            ax: Axes to draw on; new ones when left out.
            width: Width of a new figure in inches.

        Returns:
            The axes; nothing is shown.
        """
        from msma.plotting.cross_similarity import plot_cross_similarity

        values = [[float("nan") if v is None else v for v in line] for line in self.similarity]
        return plot_cross_similarity(values, self.boundaries, names=self.names, ax=ax, width=width)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the comparison to a folder.

        Args:
            folder: Where; made when it is not there.

        Returns:
            The folder.

        Raises:
            StorageError: When it cannot be written.
        """
        place = Path(folder)
        self.table.save(place / _TABLE)
        content = {
            "names": self.names,
            "boundaries": self.boundaries,
            "similarity": self.similarity,
            "provenance": dict(self.provenance),
            "said": self.describe(),
            "texts": [asdict(text) for text in self.texts],
        }
        # Written last: its presence says that the folder is whole.
        write_json(place / _RECORD, content)
        return place

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            folder: The folder.

        Returns:
            An equal comparison.

        Raises:
            StorageError: When a file is missing or damaged.
        """
        place = Path(folder)
        content = read_json(place / _RECORD)
        try:
            first, second = content["names"]
            one, other = (tuple(pair) for pair in content["boundaries"])
            return cls(
                names=(first, second),
                table=Result.load(place / _TABLE),
                texts=tuple(TextDifference(**text) for text in content["texts"]),
                similarity=tuple(tuple(line) for line in content["similarity"]),
                boundaries=(one, other),
                provenance=content["provenance"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(
                f"'{place / _RECORD}' is no comparison ({error}); run 'msma compare' again"
            ) from error
