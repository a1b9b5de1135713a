"""What a certificate holds: rows of numbers, the curve over the blur, and the same in plain sentences."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msma.certificate.sentences import describe_pair
from msma.errors import StorageError
from msma.results import Result, Row
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """The bracket of one pair seen through one blur; everything in nats unless said otherwise.

    Args:
        source: Scale mapped from.
        target: Scale mapped to.
        share: The blur over the target's rms spread a dimension.
        sigma: The blur in units of the states.
        n_directions: Directions of the target whose spread is above the blur.
        is_chosen: Whether the rows of the certificate are for this blur.
        certified: Upper confidence limit of the paired bound.
        upper: The paired bound as estimated.
        upper_low: Lower end of its 95 % interval.
        upper_high: Upper end of its 95 % interval.
        gaussian: The bound from the W2 distance of Gaussian fits.
        gaussian_high: Upper end of its 95 % interval.
        estimate: Gaussian KL of the smoothed laws; ``None`` where it could not be computed.
        estimate_low: Lower end of its 95 % interval.
        estimate_high: Upper end of its 95 % interval.
        lower: Classifier bound on the KL of the smoothed laws; ``None`` where it could not be computed.
        lower_low: Lower end of its 95 % interval.
        lower_high: Upper end of its 95 % interval.
        null: What a map fitted on shuffled pairs is certified for.
    """

    source: str
    target: str
    share: float
    sigma: float
    n_directions: int
    is_chosen: bool
    certified: float
    upper: float
    upper_low: float
    upper_high: float
    gaussian: float
    gaussian_high: float
    estimate: float | None = None
    estimate_low: float | None = None
    estimate_high: float | None = None
    lower: float | None = None
    lower_low: float | None = None
    lower_high: float | None = None
    null: float | None = None


@dataclass(frozen=True)
class Certificate:
    """A two-sided bound on how far the mapped law of each scale is from the target's.

    Args:
        table: The numbers at the chosen blur, and those that need none, as tidy rows.
        curve: The bracket over blurs, for every pair.
        confidence: Coverage of each certified limit.

    Examples:
        >>> certificate = Certificate(Result("certificate", (Row(metric="error", value=2.0),)), (), 0.95)
        >>> certificate.value("error"), len(certificate)
        (2.0, 1)
    """

    table: Result
    curve: tuple[CurvePoint, ...]
    confidence: float

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.table)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The numbers."""
        return self.table.rows

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every pair of scales that was certified, source first."""
        return tuple(dict.fromkeys((str(row.source), str(row.target)) for row in self.table))

    def row(self, metric: str, **conditions: Any) -> Row:
        """Find the one row of a metric, as :meth:`msma.results.Result.row`.

        Args:
            metric: Name of the quantity.
            **conditions: Further columns, such as ``source`` and ``target``.

        Returns:
            The row.
        """
        return self.table.row(metric, **conditions)

    def value(self, metric: str, **conditions: Any) -> float | None:
        """Return the value of the one matching row.

        Args:
            metric: Name of the quantity.
            **conditions: Further columns, such as ``source`` and ``target``.

        Returns:
            The value, in the row's units.
        """
        return self.table.value(metric, **conditions)

    def to_frame(self) -> "pd.DataFrame":
        """Return the rows as a pandas table.

        Returns:
            A tidy ``DataFrame``, one column a field of :class:`msma.results.Row`.
        """
        return self.table.to_frame()

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw the bracket of every pair over the blur.

        Args:
            ax: Axes to draw on; new ones when left out.

        Returns:
            The axes; nothing is shown.
        """
        from msma.plotting import plot_certificate

        return plot_certificate(self.curve, ax=ax)

    def describe(self) -> str:
        """Say in plain sentences what is certified, what is estimated, and how far the best map could be.

        Returns:
            One paragraph a pair, separated by empty lines.
        """
        return "\n\n".join(
            describe_pair(self.table.where(source=source, target=target).rows, confidence=self.confidence)
            for source, target in self.pairs
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything as JSON.

        Args:
            path: The file.

        Returns:
            The path written.

        Raises:
            StorageError: When it cannot be written.
        """
        content = {
            "name": self.table.name,
            "confidence": self.confidence,
            "provenance": dict(self.table.provenance),
            "rows": self.table.to_records(),
            "curve": [asdict(point) for point in self.curve],
        }
        return write_json(path, content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            An equal certificate.

        Raises:
            StorageError: When the file is missing or is not a certificate.
        """
        content = read_json(path)
        try:
            curve = tuple(CurvePoint(**point) for point in content["curve"])
            return cls(Result.load(path), curve, content["confidence"])
        except (KeyError, TypeError) as error:
            names = ", ".join(field.name for field in fields(cls))
            raise StorageError(
                f"'{path}' does not hold a certificate ({error}; expected {names}); "
                "give a file written by Certificate.save"
            ) from error

    def _repr_html_(self) -> str:
        return self.table._repr_html_()
