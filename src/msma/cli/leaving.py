"""How a command ends: its exit code, and one line that says why.

==== =====================================================================================
0    all went well
1    a defect of this program
2    a mistake that can be put right: an option, a file, a full disk, too little memory
130  interrupted from the keyboard (SIGINT)
143  told to end by a scheduler (SIGTERM)
==== =====================================================================================
"""

import errno
import os
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from msma._version import __version__
from msma.cli.saying import fall_silent, make_console
from msma.errors import MsmaError

DEFECT, MISTAKE, INTERRUPTED, TERMINATED = 1, 2, 130, 143

#: Set to 1, every exception but an interruption comes with its traceback.
DEBUG = "MSMA_DEBUG"

#: What torch says of memory that it did not get, and the bytes it asked for.
_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory", re.IGNORECASE)
_BYTES_ASKED = re.compile(r"allocate (\d+) bytes|allocate ([\d.]+ [KMGT]iB)")


class Terminated(KeyboardInterrupt):
    """The process was told to end (SIGTERM); everything that an interruption puts in order is put in order."""


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Args:
        code: The exit code.
        message: Why, in one line; empty where all went well.
    """

    code: int
    message: str = ""

    def show(self) -> None:
        """Write the message to standard error, if there is one."""
        if not self.message:
            return
        style = "yellow" if self.code in (INTERRUPTED, TERMINATED) else "red"
        make_console(is_error=True).print(self.message, style=style, markup=False, soft_wrap=True)


def is_debugging() -> bool:
    """Tell whether tracebacks are wanted.

    Returns:
        Whether ``MSMA_DEBUG`` is set to something other than 0.
    """
    return os.environ.get(DEBUG, "0") not in ("", "0")


def explain(error: BaseException) -> Ending:
    """Turn an exception into an exit code and one line.

    Args:
        error: What ended the command.

    Returns:
        How it ended. For a defect of ours the traceback is in a file that the line names.

    Examples:
        >>> explain(MsmaError("3 texts came; expected at least 4: give more"))
        Ending(code=2, message='error: 3 texts came; expected at least 4: give more')
        >>> explain(KeyboardInterrupt()).code
        130
    """
    if is_reader_gone(error):
        fall_silent(sys.stdout)
        return Ending(0)
    if isinstance(error, SystemExit) and error.code != signal.SIGTERM:
        return Ending(error.code if isinstance(error.code, int) else DEFECT * bool(error.code))
    if isinstance(error, Terminated | SystemExit):  # Ray makes the second of the first
        return Ending(TERMINATED, "told to end; the same command again goes on where this one stopped")
    if isinstance(error, KeyboardInterrupt):
        return Ending(INTERRUPTED, "interrupted; the same command again goes on where this one stopped")
    if isinstance(error, MsmaError):
        return Ending(MISTAKE, f"error: {_one_line(error)}")
    if is_memory_error(error):
        return Ending(MISTAKE, f"error: {_tell_memory(error)}")
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        # Python keeps a byte of the command line or of a file's name that is not UTF-8 as a lone surrogate.
        found = ascii(error.object[max(error.start - 20, 0) : error.end + 20])
        return Ending(MISTAKE, f"error: {found} came, which is not UTF-8; rename the file or type it anew")
    if isinstance(error, OSError) and error.errno is not None:
        return Ending(MISTAKE, f"error: {_tell_system(error)}")
    return Ending(DEFECT, _tell_defect(error))


def tell_usage(error: BaseException) -> str:
    """Say in one line what typer has against what was typed.

    Args:
        error: What it raised.

    Returns:
        Its message; empty where it has none.
    """
    tell = getattr(error, "format_message", None)
    return _one_line(tell()) if callable(tell) else ""


def is_reader_gone(error: BaseException) -> bool:
    """Tell whether a pipe broke because nobody reads our output any more (``msma ... | head``).

    Args:
        error: What was raised.

    Returns:
        Whether it is that; the pipe to a worker process may break too.
    """
    if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
        return True  # rich and typer make it of that, and have turned standard output away
    if not isinstance(error, BrokenPipeError):
        return False
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return True
    except (OSError, ValueError):
        return False
    return False


def is_memory_error(error: BaseException) -> bool:
    """Tell whether an exception means that there was not enough memory, in Python, numpy or torch.

    Args:
        error: The exception.

    Returns:
        Whether it does.

    Examples:
        >>> is_memory_error(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        True
    """
    is_torch = isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None
    return isinstance(error, MemoryError) or is_torch


def _tell_memory(error: BaseException) -> str:
    asked = ""
    if found := _BYTES_ASKED.search(str(error)):
        amount = f"{int(found[1]) / 1e9:.3g} GB" if found[1] else found[2]
        asked = f" ({amount} were asked for)"
    return (
        f"there was not enough memory{asked}; ask for fewer tokens a batch, fewer texts or a smaller model, "
        "or use a machine with more"
    )


def _tell_system(error: OSError) -> str:
    named = f"'{os.fsdecode(error.filename)}': " if isinstance(error.filename, str | bytes) else ""
    advice = {
        errno.ENOSPC: "make room and run the same command again",
        errno.EDQUOT: "make room and run the same command again",
        errno.EACCES: "check its permissions",
        errno.EROFS: "name a folder that can be written to",
    }.get(error.errno or 0, "check the path")
    return f"{named}{error.strerror or type(error).__name__}; {advice}"


def _tell_defect(error: BaseException) -> str:
    said = _one_line(error)
    what = f"{type(error).__name__}{f' ({said[:200]})' if said else ''}"
    path = _keep_traceback(error)
    how = f"with the file '{path}'" if path else f"with what {DEBUG}=1 shows"
    return f"error: {what}: this is a defect of msma, not a mistake of yours; report it to its makers, {how}"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _keep_traceback(error: BaseException) -> str | None:
    """Write the traceback to a file of its own in the temporary folder."""
    begin = f"msma-error-{time.strftime('%Y%m%dT%H%M%S')}-"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix=begin, suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(f"msma {__version__}, Python {sys.version}\n{sys.argv}\n\n")
            file.write("".join(traceback.format_exception(error)))
        return file.name
    except (OSError, RecursionError):
        return None


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Make SIGTERM raise :class:`Terminated` for as long as the block lasts, once.

    Yields:
        Nothing.
    """
    ours = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != ours:  # a forked worker ends as every process does
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        # What is put in order now is not to be interrupted by a second one.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
