"""Keeps web pages of other origins away from the loopback ports: Host and Origin are checked before anything else."""

import json
from collections.abc import Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class Guard:
    """An ASGI application behind a check of Host and Origin.

    A page in a browser can post to loopback without asking, and a name that resolves to 127.0.0.1 can read answers too.
    Host must therefore be a loopback name, and Origin, where there is one, the server's own.

    Args:
        app: The application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        """Serve one request, or refuse it with 403."""
        if scope["type"] == "http" and (reason := refusal(scope["scheme"], scope["headers"])):
            await _refuse(send, reason)
        else:
            await self._app(scope, receive, send)


def refusal(scheme: str, headers: list[tuple[bytes, bytes]]) -> str:
    """Return why a request is refused, empty when it is not."""
    given = {name: value.decode("latin-1") for name, value in headers}
    host, origin = given.get(b"host", ""), given.get(b"origin", "")
    if _name(f"//{host}") not in _HOSTS:
        return f"The Host {host!r} is no loopback address."
    if origin and origin != f"{scheme}://{host}":
        return f"The Origin {origin!r} is not this server."
    return ""


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


async def _refuse(send: Callable[[Any], Any], reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
