"""Results: tidy rows of numbers, each with its interval, null and floor, and where they came from."""

import html
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msma.errors import ConfigError, MissingExtraError, StorageError
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number with everything needed to read it; ``None`` means "does not apply".

    Args:
        metric: Name of the quantity.
        value: The estimate, in ``units``; ``None`` where it is infinite or not computable (``note`` says why).
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        null: The same quantity where there is nothing to find (pairs shuffled).
        floor: The best value this sample can show (two halves of the target; noise).
        units: "nats", "1", "dimensions", ...
        better: Which direction is better: "higher", "lower" or "none".
        source: Scale mapped from.
        target: Scale mapped to, or the scale described.
        layer: Layer entry, 0 being the embeddings.
        split: Part of the texts it was computed on.
        map: Name of the map applied to the source.
        n: Number of samples.
        interval: How ``low`` and ``high`` were made: "bootstrap" or "jackknife", over documents.
        ceiling: The largest attainable value, where one is known.
        note: Anything a reader must know, in a sentence.
    """

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    null: float | None = None
    floor: float | None = None
    units: str = "1"
    better: str = "none"
    source: str | None = None
    target: str | None = None
    layer: int | None = None
    split: str | None = None
    map: str | None = None
    n: int | None = None
    interval: str | None = None
    ceiling: float | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        for name in ("value", "low", "high", "null", "floor", "ceiling"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise ConfigError(
                    f"row '{self.metric}' came with {name} = {number}; give a finite number, "
                    "or None with a note that says why there is none"
                )


_COLUMNS = tuple(f.name for f in fields(Row))


@dataclass(frozen=True)
class Result:
    """A named table of :class:`Row` with its provenance.

    Args:
        name: What was computed, as a slug ("evaluation", "geometry").
        rows: The numbers.
        provenance: Model, revision, texts fingerprint, seed, versions and settings; held once for all rows.

    Examples:
        >>> result = Result("demo", (Row(metric="r2", value=0.5, units="1", better="higher"),), {"seed": 0})
        >>> result.value("r2")
        0.5
        >>> len(result)
        1
    """

    name: str
    rows: tuple[Row, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def where(self, **conditions: Any) -> Self:
        """Keep the rows whose columns have the given values.

        Args:
            **conditions: Column names and the value each must have.

        Returns:
            A result of the same kind with fewer rows.

        Raises:
            ConfigError: When a column does not exist.
        """
        for column in conditions:
            if column not in _COLUMNS:
                raise ConfigError(f"a result has no column '{column}'; its columns are {', '.join(_COLUMNS)}")
        kept = tuple(row for row in self.rows if all(getattr(row, c) == v for c, v in conditions.items()))
        return replace(self, rows=kept)

    def row(self, metric: str, **conditions: Any) -> Row:
        """Find the one row of a metric.

        Args:
            metric: Name of the quantity.
            **conditions: Further columns, as in :meth:`where`.

        Returns:
            The row.

        Raises:
            ConfigError: When none or several rows match.
        """
        found = self.where(metric=metric, **conditions).rows
        if len(found) != 1:
            known = ", ".join(sorted({row.metric for row in self.rows}))
            raise ConfigError(
                f"{len(found)} rows match metric '{metric}' {conditions or ''}; one was expected: "
                f"name more columns, or one of the metrics {known}"
            )
        return found[0]

    def value(self, metric: str, **conditions: Any) -> float | None:
        """Return the value of the one matching row.

        Args:
            metric: Name of the quantity.
            **conditions: Further columns, as in :meth:`where`.

        Returns:
            The value, in the row's units.
        """
        return self.row(metric, **conditions).value

    def to_frame(self) -> "pd.DataFrame":
        """Return the rows as a pandas table, one column a field.

        Returns:
            A tidy ``DataFrame``.

        Raises:
            MissingExtraError: When pandas is not installed.
        """
        return make_frame([asdict(row) for row in self.rows], columns=_COLUMNS)

    def to_records(self) -> list[dict[str, Any]]:
        """Return the rows as plain dictionaries, ready for JSON.

        Returns:
            One dictionary a row.
        """
        return [asdict(row) for row in self.rows]

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw every value with its interval, null and floor.

        Args:
            ax: Axes to draw on; new ones when left out.

        Returns:
            The axes; nothing is shown.

        Raises:
            MissingExtraError: When matplotlib is not installed.
        """
        from msma.plotting import plot_rows

        return plot_rows(self.rows, ax=ax)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the result as JSON: the rows as a list, the provenance once.

        Args:
            path: The file.

        Returns:
            The path written.

        Raises:
            StorageError: When it cannot be written.
        """
        content = {"name": self.name, "provenance": dict(self.provenance), "rows": self.to_records()}
        return write_json(path, content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            An equal result.

        Raises:
            StorageError: When the file is missing or is not a result.
        """
        content = read_json(path)
        try:
            rows = tuple(Row(**row) for row in content["rows"])
            return cls(content["name"], rows, content["provenance"])
        except (KeyError, TypeError) as error:
            raise StorageError(
                f"'{path}' does not hold a result ({error}); give a file written by Result.save"
            ) from error

    def _repr_html_(self) -> str:
        shown = [c for c in _COLUMNS if any(getattr(row, c) is not None for row in self.rows)]
        head = "".join(f"<th>{html.escape(c)}</th>" for c in shown)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(format_cell(getattr(row, c)))}</td>" for c in shown) + "</tr>"
            for row in self.rows
        )
        return f"<table><caption>{html.escape(self.name)}</caption><tr>{head}</tr>{body}</table>"


def make_frame(
    records: Sequence[Mapping[str, Any]], *, columns: Sequence[str] | None = None
) -> "pd.DataFrame":
    """Make a pandas table of records; the one door to pandas.

    Args:
        records: One mapping a row.
        columns: Names and order of the columns; those of the records when left out.

    Returns:
        A ``DataFrame``.

    Raises:
        MissingExtraError: When pandas is not installed.

    Examples:
        >>> make_frame([{"a": 1, "b": 2}], columns=("b", "a")).columns.tolist()
        ['b', 'a']
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas", extra="report") from error
    return pd.DataFrame(list(records), columns=None if columns is None else list(columns))


def format_cell(value: Any) -> str:
    """Write one cell for people: four significant digits, an en dash for nothing.

    Args:
        value: A number, a string or ``None``.

    Returns:
        The text.

    Examples:
        >>> format_cell(0.123456), format_cell(None), format_cell(7), format_cell(12345.6)
        ('0.1235', '–', '7', '12346')
    """
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.2e}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def concatenate(name: str, results: "list[Result]", *, provenance: Mapping[str, Any] | None = None) -> Result:
    """Join the rows of several results under one name.

    Args:
        name: Name of the whole.
        results: The parts, in order.
        provenance: Provenance of the whole; the first part's when left out.

    Returns:
        One result.

    Raises:
        ConfigError: When there is nothing to join.

    Examples:
        >>> part = Result("a", (Row(metric="r2", value=1.0),))
        >>> len(concatenate("both", [part, part]))
        2
    """
    if not results:
        raise ConfigError("0 results came to be joined; give at least one")
    rows = tuple(row for result in results for row in result.rows)
    return Result(name, rows, dict(provenance if provenance is not None else results[0].provenance))
