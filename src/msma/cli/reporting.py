"""The command that writes the report of a study again."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the program.

    Args:
        app: The program.
    """
    app.command()(report)


def report(
    study: Annotated[Path, typer.Argument(help="Folder written by 'msma analyze'.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file; inside the folder when left out.")] = None,
) -> None:
    """Write the report and the figures of a study again."""
    from msma.reporting import write_report

    typer.echo(f"report: {write_report(study, out=out)}")
