"""The command that writes a study's figures for a paper."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class WidthChoice(StrEnum):
    """How wide figures are."""

    own = "own"
    column = "column"
    page = "page"


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Args:
        app: The application.
    """
    app.command()(figures)


def figures(
    study: Annotated[Path, typer.Argument(help="Folder written by 'msma analyze'.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the figures; 'figures' inside the study when left out.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="What they are written as, joined by commas: png, svg, pdf.")
    ] = "pdf,svg,png",
    width: Annotated[
        WidthChoice, typer.Option(help="One column (3.5 in), two (7 in), or what each figure was made for.")
    ] = WidthChoice.own,
) -> None:
    """Write the figures of a study for a paper, with captions in Markdown and LaTeX."""
    from msma.plotting import COLUMN, PAGE
    from msma.reporting import save_figures

    inches = {WidthChoice.own: None, WidthChoice.column: COLUMN, WidthChoice.page: PAGE}[width]
    names = tuple(dict.fromkeys(part.strip() for part in formats.split(",") if part.strip()))
    files = save_figures(study, out=out, formats=names, width=inches)
    typer.echo(f"{len(files) - 2} figures and their captions: {files[-1].parent}")
