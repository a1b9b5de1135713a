"""The program: its commands in the order shown, how each ends, what is written of it in the log."""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from msma._version import __version__
from msma.cli import (
    aligning,
    analyzing,
    bias,
    comparing,
    explaining,
    exploring,
    extracting,
    figures,
    interventions,
    learned,
    replicating,
    reporting,
    robustness,
    steering,
)
from msma.cli.leaving import Ending, ending_on_sigterm, explain, is_debugging, tell_usage
from msma.cli.saying import print_anything
from msma.progress import log_event, log_json


class _Commands(TyperGroup):
    """The group of commands: each ends in an exit code and at most one line, also in the log."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command.

        Args:
            ctx: Context of the call.

        Returns:
            What the command returned.

        Raises:
            Exit: With the code of the failure, where there was one.
        """
        with ExitStack() as stack:
            try:
                if (log := ctx.params.get("log_json")) is not None:
                    stack.enter_context(log_json(sys.stderr if str(log) == "-" else log))
                found = super().invoke(ctx)
            except Exception as error:
                if (code := getattr(error, "exit_code", None)) is not None:
                    # Typer's own: a wrong option, which it tells itself, or an orderly exit.
                    _log_ending(ctx, Ending(code, tell_usage(error)))
                    raise
                raise _leave(ctx, error) from error
            except (KeyboardInterrupt, SystemExit) as error:
                raise _leave(ctx, error) from error
            _log_ending(ctx, Ending(0))
            return found


def _leave(ctx: Any, error: BaseException) -> typer.Exit:
    if is_debugging() and isinstance(error, Exception):
        raise error
    ending = explain(error)
    _log_ending(ctx, ending)
    ending.show()
    return typer.Exit(ending.code)


def _log_ending(ctx: Any, ending: Ending) -> None:
    said = {"message": ending.message} if ending.message else {}
    event = "error" if ending.code else "done"
    log_event(event, label=ctx.invoked_subcommand, exit_code=ending.code, **said)


app = typer.Typer(
    name="msma",
    cls=_Commands,
    help="Show how a language model holds meaning at three scales: local, intermediate, global.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    log_json: Annotated[
        Path | None,
        typer.Option(help="Append events to this file, one JSON object a line; - for standard error."),
    ] = None,
) -> None:
    """Show how a language model holds meaning at three scales: local, intermediate, global."""
    log_event("start", label=context.invoked_subcommand, version=__version__)
    if version:
        typer.echo(f"msma {__version__}")
        raise typer.Exit


#: In the order in which ``msma --help`` shows them.
_COMMANDS = (
    analyzing,
    extracting,
    aligning,
    reporting,
    learned,
    interventions,
    steering,
    bias,
    robustness,
    explaining,
    exploring,
    comparing,
    figures,
    replicating,
)
for commands in _COMMANDS:
    commands.register(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and turn every failure into one line and an exit code.

    Args:
        arguments: What was typed; the process's own arguments when left out.

    Returns:
        0 when all went well, 2 for a mistake that can be put right, 130 when interrupted, 143 when told to
        end by a scheduler (SIGTERM), 1 for a defect of this program.

    Raises:
        BaseException: Whatever went wrong, where ``MSMA_DEBUG`` is set.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    print_anything()
    try:
        with ending_on_sigterm():
            app(args=list(arguments) if arguments is not None else None, standalone_mode=True)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if is_debugging() and isinstance(error, Exception):
            raise
        ending = explain(error)
        ending.show()
        return ending.code
    return 0
