"""What the command line prints: tables that fit 80 columns, or JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from msma.cli.saying import make_console
from msma.results import Result, Row, format_cell


def show_result(result: Result, *, title: str, as_json: bool) -> None:
    """Print a result as tables for people, or as JSON for machines.

    Args:
        result: What to print.
        title: A line above it.
        as_json: Whether JSON is wanted.
    """
    if as_json:
        content = {"name": result.name, "provenance": result.provenance, "rows": result.to_records()}
        typer.echo(json.dumps(content, default=str))
        return
    console = make_console()
    pairs = dict.fromkeys((row.source, row.target) for row in result if row.source)
    console.print(f"[bold]{title}[/bold]\n")
    if not pairs:
        console.print(_plain_table(result.rows))
    for source, target in pairs:
        console.print(_pair_table(result.where(source=source, target=target).rows), "")


def _plain_table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name, justify in (("measure", "left"), ("scale", "left"), ("value", "right"), ("note", "left")):
        table.add_column(name, justify=cast("Any", justify))
    for row in rows:
        table.add_row(row.metric, row.target or "", format_cell(row.value), row.note or "")
    return table


def _pair_table(rows: Sequence[Row]) -> Table:
    """Draw one pair of scales: a line a measure, before and after mapping side by side; fits 80 columns."""
    source, target = rows[0].source, rows[0].target
    before = {row.metric: row for row in rows if row.map == "none"}
    after = {row.metric: row for row in rows if row.map != "none"}
    name = next((row.map for row in after.values()), "none")
    table = Table(
        title=f"{source} → {target}", title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    table.add_column("measure", no_wrap=True)
    for heading in ("before", str(name), "95 % interval", "null", "floor", "ceil."):
        table.add_column(heading, justify="right", no_wrap=True)
    for metric in dict.fromkeys(row.metric for row in rows):
        shown = after.get(metric, before.get(metric))
        if shown is None:
            continue
        first = before[metric].value if metric in before else None
        arrow = {"higher": "↑", "lower": "↓"}.get(shown.better, "")
        interval = "–" if shown.low is None else f"{short(shown.low)} … {short(shown.high)}"
        units = ", nats" if shown.units == "nats" else ""
        cells = map(short, (shown.null, shown.floor, shown.ceiling))
        table.add_row(f"{metric}{units} {arrow}", short(first), short(shown.value), interval, *cells)
    return table


def short(value: float | None) -> str:
    """Write a number in at most six characters where it can be.

    Args:
        value: The number; ``None`` where there is none.

    Returns:
        Its digits, or a dash.

    Examples:
        >>> short(0.12345), short(12.345), short(12345.6), short(None)
        ('0.123', '12.3', '12346', '–')
    """
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


#: Measures in the table of `msma analyze`; all of them are in results.json and the report.
_HEADLINES = ("kl", "kl_classifier", "r2", "mi", "retention", "distance_correlation", "cka", "mutual_knn")


def show_study(console: Console, out: Path, report: Path) -> None:
    """Print the scales and the headline measures of a finished study.

    Args:
        console: Where to.
        out: The study's folder.
        report: The report written.
    """
    from msma.scales import ScalePartition

    partition = ScalePartition.load(out / "scales.json")
    console.print(f"\n[bold]{partition}[/bold]")
    if partition.stability is not None and partition.near is not None:
        shares = [
            f"{s:.0%} (within a layer: {n:.0%})"
            for s, n in zip(partition.stability, partition.near, strict=True)
        ]
        console.print(f"votes for the two boundaries: {shares[0]}; {shares[1]}", soft_wrap=True)
    evaluation = Result.load(out / "tables" / "evaluation.json")
    console.print("\nheld-out measures on the test split; the interval is that of the mapped states\n")
    for source, target in dict.fromkeys((row.source, row.target) for row in evaluation):
        rows = evaluation.where(source=source, target=target).rows
        console.print(_pair_table([row for row in rows if row.metric in _HEADLINES]), "")
    if any(row.metric == "retention" and (row.value or 0.0) > 1.0 for row in evaluation):
        console.print(
            "retention above 1 is error of the estimate: a map cannot add information\n", soft_wrap=True
        )
    console.print(f"report: [bold]{escape(str(report))}[/bold]", soft_wrap=True)
    console.print(f"all numbers: {out / 'results.json'}, {out / 'results.csv'}", soft_wrap=True, markup=False)


def write_csv(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write records as CSV, atomically.

    Args:
        path: The file.
        records: One or more, all with the keys of the first.
    """
    import csv
    import io

    from msma.storage import write_text

    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_text(path, buffer.getvalue())
