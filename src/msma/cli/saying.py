"""What a command says while it works: to people on a console, and to the log."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from rich.console import Console

from msma.progress import log_event


class PatientConsole(Console):
    """A console whose reader may go away: the work goes on to its end, unheard."""

    def on_broken_pipe(self) -> None:
        """Say nothing from now on."""
        self.quiet = True
        fall_silent(self.file)


def fall_silent(stream: IO[str]) -> None:
    """Let everything written to a stream from now on vanish, what waits to be written too.

    Args:
        stream: Standard output, or standard error.
    """
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def print_anything() -> None:
    """Let a character that the terminal does not know be printed as its number, not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            with suppress(OSError):
                stream.reconfigure(errors="backslashreplace")


def make_console(*, is_quiet: bool = False, is_error: bool = False) -> Console:
    """Make a console for a command to write to.

    Args:
        is_quiet: Whether nothing is to be shown, as where JSON is wanted.
        is_error: Whether it writes to standard error.

    Returns:
        The console.
    """
    return PatientConsole(quiet=is_quiet, stderr=is_error, highlight=False)


def speak_on(console: Console) -> Callable[[str], None]:
    """Make the function through which a command says how far it is.

    Args:
        console: Where people read it.

    Returns:
        A function of one line; the line also goes to the log, if there is one.
    """

    def say(words: str) -> None:
        log_event("say", message=words)
        console.print(f"· {words}", style="dim", markup=False)

    return say
