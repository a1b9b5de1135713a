"""One mapped pair of scales on held-out samples, and the rows made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from jaxtyping import Float, Int

from msma._types import Pair
from msma.measures.projection import projection_width
from msma.resampling import Interval
from msma.results import Row
from msma.scales import Basis

Samples = Float[np.ndarray, "samples d"]
Rows = Int[np.ndarray, " kept"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A pair of scales under one map, on held-out samples.

    Args:
        pair: Source and target scale.
        map: Name of the map; "none" before mapping.
        source: The source representation.
        mapped: What is compared with the target.
        fitted: Output of the fitted map, also before mapping.
        target: The target representation.
        null_mapped: Output of the twin fitted on shuffled pairs; ``None`` before mapping.
        bases: Leading directions of source and target from the training states.
        documents: The document of each sample.
        groups: The jackknife group of each sample.
        shuffles: Permutations that pair no sample with its own document.
        split: Part of the texts.
        seed: Fixes halvings and draws.
    """

    pair: Pair
    map: str
    source: Samples
    mapped: Samples
    fitted: Samples
    target: Samples
    null_mapped: Samples | None
    bases: tuple[Basis, Basis]
    documents: Int[np.ndarray, " samples"]
    groups: Int[np.ndarray, " samples"]
    shuffles: Sequence[Int[np.ndarray, " samples"]]
    split: str
    seed: int

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.target)

    def row(self, metric: str, interval: Interval | None, **columns: object) -> Row:
        """Build a row of this case; what is not finite becomes ``None`` with a note.

        Args:
            metric: Name of the quantity.
            interval: Value with its interval; ``None`` where it could not be computed.
            **columns: Further columns of the row.

        Returns:
            The row.
        """
        numbers = {} if interval is None else interval._asdict()
        method = numbers.pop("method", None)
        for name in ("null", "floor", "ceiling"):
            if columns.get(name) is not None:
                numbers[name] = columns.pop(name)
        finite = {name: number for name, number in numbers.items() if isfinite(float(number))}
        note = columns.pop("note", None)
        if len(finite) < len(numbers):
            lost = ", ".join(name for name in numbers if name not in finite)
            note = "; ".join(str(part) for part in (note, f"not finite: {lost}") if part)
        base = Row(
            metric=metric,
            value=finite.pop("value", None),
            source=self.pair[0],
            target=self.pair[1],
            split=self.split,
            map=self.map,
            n=self.n,
            interval=method,
            note=str(note) if note else None,
        )
        return replace(base, **finite, **columns)  # type: ignore[arg-type]


def carried_width(case: Case) -> int:
    """Tell how many directions the samples can carry, of those that the training states gave.

    Args:
        case: The mapped pair.

    Returns:
        Their number; that of all dimensions where there are samples enough.
    """
    d = case.target.shape[1]
    width = projection_width(case.n, d)
    return width if width == d else min(width, *(basis.directions.shape[1] for basis in case.bases))
