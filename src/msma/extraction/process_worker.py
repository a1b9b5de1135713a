"""The far end of a pipe: a process that builds one worker and does the jobs it is sent.

It is run as a script of its own that needs nothing but the standard library, so a user's script needs no
``if __name__ == "__main__"`` guard, and nothing of this package is loaded before the setup asks for it. When the
pipe closes, because the driver is done or was killed, the process ends, even in the middle of a job.
"""

import importlib
import os
import pickle
import queue
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

#: Seconds that a process has to tidy up once its driver is gone.
GRACE = 3.0
_LENGTH = struct.Struct("<Q")


def send(stream: BinaryIO, content: bytes) -> None:
    """Write one message to an unbuffered stream.

    Args:
        stream: The stream.
        content: The message.

    Raises:
        OSError: When nobody is at the other end.
    """
    for piece in (_LENGTH.pack(len(content)), content):
        view = memoryview(piece)
        while view:
            view = view[stream.write(view) :]


def receive(stream: BinaryIO) -> bytes:
    """Read one message from an unbuffered stream.

    Args:
        stream: The stream.

    Returns:
        The message.

    Raises:
        EOFError: When the other end was closed before or within a message.
    """
    return bytes(_read(stream, _LENGTH.unpack(_read(stream, _LENGTH.size))[0]))


def _read(stream: Any, n_bytes: int) -> bytearray:
    content = bytearray(n_bytes)
    view = memoryview(content)
    while view:
        n_read = stream.readinto(view)
        if not n_read:
            raise EOFError("the other end of the pipe is closed")
        view = view[n_read:]
    return content


def pack_error(error: Exception) -> dict[str, Any]:
    """Take an error apart, so that it can be raised in another process.

    Args:
        error: The error, with its traceback.

    Returns:
        Plain values that can always be pickled.
    """
    packed: dict[str, Any] = {
        "pickled": None,
        "module": type(error).__module__,
        "name": type(error).__qualname__,
        "message": str(error),
        "state": {},
        "traceback": "".join(traceback.format_exception(error)),
    }
    try:
        pickled = pickle.dumps(error)
        copy = pickle.loads(pickled)
        if type(copy) is type(error) and str(copy) == str(error):
            packed["pickled"] = pickled
    except Exception:  # an error may hold anything, and its class may want other arguments than it kept
        packed["state"] = {k: v for k, v in vars(error).items() if isinstance(v, str | int | float)}
    return packed


def unpack_error(packed: dict[str, Any]) -> Exception:
    """Put an error together again: same class, same message, the worker's traceback as a note.

    Args:
        packed: What :func:`pack_error` gave.

    Returns:
        The error; a RuntimeError where its class is not known here.

    Examples:
        >>> unpack_error(pack_error(KeyError("a")))
        KeyError('a')
    """
    try:
        error = pickle.loads(packed["pickled"]) if packed["pickled"] else _rebuild(packed)
    except Exception:  # its class cannot be imported here, or will not be made
        error = RuntimeError(f"{packed['name']}: {packed['message']}")
    error.add_note("In the worker:\n" + packed["traceback"].rstrip())
    return error


def _rebuild(packed: dict[str, Any]) -> Exception:
    kind = getattr(importlib.import_module(packed["module"]), packed["name"])
    error = kind.__new__(kind, packed["message"])
    vars(error).update(packed["state"])
    if not isinstance(error, Exception) or str(error) != packed["message"]:
        raise TypeError(packed["name"])
    return error


def respond(kind: str, act: Callable[[], Any]) -> bytes:
    """Do something and pack what came of it.

    Args:
        kind: What to call it when it succeeds.
        act: What to do.

    Returns:
        A pickled pair: the kind and the result, or "failure" and the packed error.
    """
    try:
        return pickle.dumps((kind, act()))
    except Exception as error:  # whatever it is, the driver must hear of it
        return pickle.dumps(("failure", pack_error(error)))


class Post:
    """A worker that is spoken to in bytes, and answers in bytes whatever happens."""

    def __init__(self) -> None:
        self._worker: Any = None

    def build(self, setup: bytes, device: str | None) -> bytes:
        """Build the worker.

        Args:
            setup: A pickled setup.
            device: Where its model goes; where the setup says when left out.

        Returns:
            What :func:`respond` makes of it: "ready" and nothing.
        """

        def act() -> None:
            self._worker = pickle.loads(setup).build(device)

        return respond("ready", act)

    def read(self, job: bytes) -> bytes:
        """Do a job.

        Args:
            job: A pickled job.

        Returns:
            What :func:`respond` makes of it: "outcome" and the outcome.
        """
        return respond("outcome", lambda: self._worker.read(pickle.loads(job)))


def _serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answer messages until there are no more: first search path, setup and device, then jobs."""
    inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, inbox), daemon=True).start()
    first = inbox.get()
    if first is None:
        return
    sys.path[:], setup, device = pickle.loads(first)
    post = Post()
    send(outgoing, post.build(setup, device))
    while (job := inbox.get()) is not None:
        send(outgoing, post.read(job))


def _listen(incoming: BinaryIO, inbox: queue.SimpleQueue[bytes | None]) -> None:
    """Pass messages on; when the pipe closes, end this process, by force if it is busy for too long."""
    try:
        while True:
            inbox.put(receive(incoming))
    except (EOFError, OSError):
        inbox.put(None)
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)
    time.sleep(GRACE)
    os._exit(1)


def _take_channels() -> tuple[BinaryIO, BinaryIO]:
    """Keep stdin and stdout for messages alone: whatever a library prints goes to stderr."""
    incoming = os.fdopen(os.dup(0), "rb", buffering=0)
    outgoing = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return incoming, outgoing


def main() -> None:
    """Serve whoever started this process."""
    # Set by hand: a process that was started in the background may have inherited that it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Both mean that the driver is gone; whatever was half-written is removed by now.
    with suppress(KeyboardInterrupt, BrokenPipeError):
        _serve(*_take_channels())


if __name__ == "__main__":
    main()
