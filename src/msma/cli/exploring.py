"""The command of the explorer: a local web page on a finished study."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from msma.cli.saying import make_console
from msma.errors import MissingExtraError


def register(app: typer.Typer) -> None:
    """Add the command to the program.

    Args:
        app: The program.
    """
    app.command()(explore)


def explore(
    study: Annotated[Path, typer.Argument(help="Folder written by 'msma analyze'.")],
    model: Annotated[
        str | None, typer.Option(help="Name or folder of the model; the study's own when left out.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, ...; as in the study when left out.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any that is free.")] = 8765,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")] = False,
) -> None:
    """Explore a study in the browser: explain texts, see their places, act on a scale."""
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise MissingExtraError(package, extra="explore")
    from msma.explorer import serve

    console = make_console()

    def say(words: str) -> None:
        console.print(words, markup=False, soft_wrap=True)

    serve(
        study,
        host=host,
        port=port,
        model=model,
        device=device,
        opens_browser=not no_browser,
        say=say,
    )
