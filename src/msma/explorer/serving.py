"""Serve the explorer: take the port first, open the study, tell the address, and end quietly."""

import errno
import os
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from msma.errors import ConfigError
from msma.explorer.application import make_app
from msma.explorer.guarding import is_loopback

Say = Callable[[str], None]
#: Seconds that an answer under way may take when the server is told to end.
_PATIENCE = 5


def serve(
    study: str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    model: str | None = None,
    device: str | None = None,
    opens_browser: bool = True,
    say: Say | None = None,
) -> None:
    """Serve the explorer of a study until it is interrupted from the keyboard.

    Args:
        study: Folder that a study filled.
        host: Address to listen on; the default can be reached from this machine only.
        port: Port; 0 for any that is free.
        model: Name or folder of the model, where the study's own cannot be found.
        device: Where the model goes; as in the study when left out.
        opens_browser: Whether the page is opened in the browser.
        say: Called with one line at a time.

    Raises:
        ConfigError: When host and port cannot be listened on.
        StorageError: When the study is missing or damaged.
        ModelError: When the model cannot be loaded, or not on the device.
        KeyboardInterrupt: When the process is told to end otherwise than from the keyboard.
    """
    tell = say or (lambda _words: None)
    with listen(host, port) as taken:
        from msma.explanation.explainer import Explainer

        address = tell_address(host, taken.getsockname()[1])
        explainer = Explainer.open(Path(study), model=model, device=device, say=say).prepare()
        server = _Server(
            make_app(explainer, host=host), lambda: _announce(address, host, opens_browser, tell)
        )
        try:
            server.run(sockets=[taken])
        except KeyboardInterrupt as ending:
            if type(ending) is not KeyboardInterrupt:  # told to end by a scheduler
                raise
        tell("stopped")


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, app: object, announce: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_PATIENCE,
                lifespan="off",
                ws="none",
            )
        )
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell.

        Args:
            sockets: What to listen on.
        """
        await super().startup(sockets)
        self._announce()


def _announce(address: str, host: str, opens_browser: bool, tell: Say) -> None:
    tell(f"explorer: {address} (Ctrl-C ends it)")
    if not is_loopback(host):
        tell(f"it listens on {host}: whoever can reach this machine can use it, without a password")
    if opens_browser:
        webbrowser.open(address)


def listen(host: str, port: int) -> socket.socket:
    """Take a port, before anything slow is done.

    Args:
        host: Name or address.
        port: Port; 0 for any that is free.

    Returns:
        A bound socket.

    Raises:
        ConfigError: When it is in use, not allowed, or no address of this machine.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"port {port} came; expected 0 to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"host '{host}' came, which is no address of this machine; try 127.0.0.1"
        ) from error
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen()
    except OSError as error:
        taken.close()
        reason = {
            errno.EADDRINUSE: "is in use; give another, or 0 for any that is free",
            errno.EACCES: "needs an administrator; give one above 1023",
            errno.EADDRNOTAVAIL: "cannot be taken: the host is no address of this machine; try 127.0.0.1",
        }.get(error.errno or 0, f"cannot be taken ({error.strerror}); give another")
        raise ConfigError(f"port {port} of {host} {reason}") from error
    return taken


def tell_address(host: str, port: int) -> str:
    """Write the address that a browser opens.

    Args:
        host: What is listened on.
        port: The port.

    Returns:
        The address.

    Examples:
        >>> tell_address("127.0.0.1", 8765), tell_address("::1", 80), tell_address("0.0.0.0", 80)
        ('http://127.0.0.1:8765/', 'http://[::1]:80/', 'http://127.0.0.1:80/')
    """
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"
