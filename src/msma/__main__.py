"""Run the command line: ``python -m msma`` or ``msma``."""

import sys


def main() -> None:
    """Start the command line, or say in one sentence what it needs.

    Raises:
        SystemExit: Always, with the exit code of the command.
    """
    try:
        from msma.cli import run
    except ImportError as error:
        if error.name not in ("typer", "rich", "click"):
            raise
        sys.stderr.write("the command line needs: pip install 'msma[cli]'\n")
        raise SystemExit(2) from error
    raise SystemExit(run())


if __name__ == "__main__":
    main()
