"""The command that compares two models, or two checkpoints of one, on the same texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from msma._types import SCALES
from msma.cli.options import AsJson, Seed
from msma.cli.saying import make_console, speak_on
from msma.cli.tables import short, show_result
from msma.results import Row

if TYPE_CHECKING:
    from msma.model_comparison import StudyComparison

_LONGEST = 56


def register(app: typer.Typer) -> None:
    """Add the command to the program.

    Args:
        app: The program.
    """
    app.command()(compare)


def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder written by 'msma analyze'.")],
    run_b: Annotated[Path, typer.Argument(help="Another one, over the same texts and unit.")],
    out: Annotated[Path, typer.Option(help="Folder for numbers, texts and figure.")] = Path("comparison"),
    top: Annotated[int, typer.Option(min=0, help="Texts shown that differ most.")] = 5,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare two models on the same texts: scales, layers, maps, measures, and the texts that differ most."""
    from msma.model_comparison import compare_studies
    from msma.reporting.comparison import write_comparison_report

    console = make_console(is_quiet=as_json)
    comparison = compare_studies(run_a, run_b, seed=seed, say=speak_on(console))
    comparison.save(out)
    page = write_comparison_report(comparison, out)
    if as_json:
        show_result(comparison.table, title="comparison", as_json=True)
        return
    show_comparison(console, comparison, top=top)
    console.print(
        f"page: {page}; all numbers: {out / 'results.json'}; texts: {out / 'comparison.json'}",
        soft_wrap=True,
        markup=False,
    )


def show_comparison(console: Console, comparison: "StudyComparison", *, top: int) -> None:
    """Print scales side by side, the key rows and the texts that differ most.

    Args:
        console: Where to.
        comparison: The comparison.
        top: How many texts.
    """
    first, second = comparison.names
    console.print(f"\nA is {first}, B is {second}; differences are B − A.\n", soft_wrap=True, markup=False)
    for table in (_scale_table(comparison), _cross_table(comparison), _map_table(comparison)):
        console.print(table, "")
    for sentence in comparison.sentences():
        console.print(sentence, soft_wrap=True, markup=False)
    console.print()
    if top and comparison.texts:
        console.print(_text_table(comparison, top=top), "")


def _scale_table(comparison: "StudyComparison") -> Table:
    table = _table("scales: layers", "A", "B")
    spans = [comparison.provenance["scales"][name] for name in comparison.names]
    for scale in SCALES:
        table.add_row(scale, *(_span(span[scale]) for span in spans))
    return table


def _cross_table(comparison: "StudyComparison") -> Table:
    table = _table("same scale in both", "CKA", "95 %", "null", "kNN", "null", "R2 A→B", "R2 B→A")
    rows = comparison.table
    first, second = comparison.names
    for scale in SCALES:
        cka = rows.row("cross_cka", source=scale, target=scale)
        knn = rows.row("cross_knn", source=scale, target=scale)
        there = rows.row("cross_r2", source=scale, map=f"{first} → {second}")
        back = rows.row("cross_r2", source=scale, map=f"{second} → {first}")
        cells = (short(cka.value), _ends(cka), short(cka.null), short(knn.value), short(knn.null))
        table.add_row(scale, *cells, short(there.value), short(back.value))
    return table


def _map_table(comparison: "StudyComparison") -> Table:
    table = _table("maps, on the common texts", "A", "B", "B − A", "95 %, paired")
    first, second = comparison.names
    rows = [row for row in comparison.table if row.split == "common test" and row.map == "difference"]
    for metric in ("r2", "cosine"):
        for row in (row for row in rows if row.metric == metric):
            place = {"source": row.source, "target": row.target, "split": row.split}
            one, other = (comparison.table.row(metric, map=name, **place) for name in (first, second))
            name = f"{metric}: {row.source} → {row.target}"
            table.add_row(name, short(one.value), short(other.value), short(row.value), _ends(row))
    return table


def _text_table(comparison: "StudyComparison", *, top: int) -> Table:
    table = _table("texts that differ most in error", "A", "B", "B − A")
    for text in comparison.texts[:top]:
        words = " ".join(text.text.split())
        words = words if len(words) <= _LONGEST else words[:_LONGEST].rstrip() + "…"
        cells = (short(text.first), short(text.second), f"{text.difference:+.3f}")
        table.add_row(f"{text.source} → {text.target}\n{escape(words)}", *cells)
    return table


def _table(name: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(name)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _span(ends: Sequence[int]) -> str:
    first, last = ends
    return str(first) if first == last else f"{first}–{last}"


def _ends(row: Row) -> str:
    return "–" if row.low is None else f"{short(row.low)} … {short(row.high)}"
