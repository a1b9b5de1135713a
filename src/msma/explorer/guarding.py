"""Who may ask: only pages of this server, called by a name of this machine.

A page from elsewhere, opened in the same browser, could otherwise use the explorer: by a name of its own that it
turns to this machine (DNS rebinding), or by posting a form. No answer carries leave for other origins.
"""

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from msma.explorer.answers import JsonAnswer

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses what does not come from a page of this server, and puts the headers on every answer.

    Args:
        app: The application behind it.
        host: Address that the server listens on.
    """

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1") -> None:
        self._app, self._is_local, self._names = app, is_loopback(host), own_names(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on.

        Args:
            scope: The request.
            receive: Gives its body.
            send: Takes the answer.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = self._refuse(str(scope["method"]), Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, send_guarded)
            return
        status, sentence = refusal
        await JsonAnswer({"error": sentence}, status_code=status)(scope, receive, send_guarded)

    def _refuse(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not is_own(host, self._names, is_local=self._is_local):
            return (
                403,
                "the page was asked for by a name that is not this machine's; open the address printed",
            )
        if method in ("GET", "HEAD"):
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "the question came from a page of another site; only this server's own page may ask"
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            # A form of another site cannot send this type without asking first, and is told nothing.
            return 415, "the question did not come as application/json; send it as the page does"
        return None


def own_names(host: str) -> frozenset[str]:
    """List the names that this server goes by, addresses aside.

    Args:
        host: What it listens on.

    Returns:
        Names in lower case.
    """
    names = {"localhost"}
    if not is_loopback(host):
        names |= {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


def is_own(header: str, names: Collection[str], *, is_local: bool) -> bool:
    """Tell whether a Host header names this server.

    Args:
        header: The header.
        names: Names it goes by.
        is_local: Whether only this machine can reach it.

    Returns:
        Whether the host is one of the names, or an address: nobody can turn an address to another machine.

    Examples:
        >>> is_own("127.0.0.1:8765", ["localhost"], is_local=True)
        True
        >>> is_own("evil.example:8765", ["localhost"], is_local=True)
        False
        >>> is_own("[::1]:8765", ["localhost"], is_local=True)
        True
    """
    try:
        name = (urlsplit(f"//{header}").hostname or "").rstrip(".")
    except ValueError:
        return False
    address = _address(name)
    if address is not None:
        return address.is_loopback or not is_local
    return name in names


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address.

    Args:
        host: Name or address.

    Returns:
        Whether it is a loopback address.

    Examples:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
