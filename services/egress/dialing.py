"""The guard of connections: judges the address of each dial, and the peer before each request."""

import socket
import time
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakSet

import aiohttp
from aiohttp.connector import AddrInfoType
from typing_extensions import override

from services.egress.addresses import EgressRules
from services.egress.faults import DialRefused, EgressError, Fault

MOST_KEPT: Final = 2000
"""Above this number of open connections a request asks its receiver to close its connection. One takes about 50 KiB."""
CONNECTION_IS_REUSED: Final = ContextVar("CONNECTION_IS_REUSED", default=False)
"""Whether the last request of this task went over a kept connection, which its receiver may have closed meanwhile.

aiohttp's tracing tells this as well, at a fifth of the time of a whole request.
"""
_COUNT_SECONDS = 1.0


def dial_socket(rules: EgressRules, target: AddrInfoType) -> socket.socket:
    """Make the socket of a dial, if its address is allowed.

    The judged text is what the event loop connects to. A text that is no address is refused, so that no resolver is
    asked between this decision and the dial.

    Args:
        rules: The operator's rules.
        target: The dial's target as `getaddrinfo` describes it.

    Raises:
        DialRefused: The address or the port is refused.
        OSError: The machine has no socket left.
    """
    family, kind, protocol, _, (host, port, *_) = target
    if not rules.allows(str(host)) or not rules.allows_port(int(port)):
        raise DialRefused(Fault.ADDRESS_REFUSED)
    return socket.socket(family, kind, protocol)


def judging_request(rules: EgressRules) -> type[aiohttp.ClientRequest]:
    """Return a class of requests that judge the real peer of their connection before they send the first byte.

    This covers kept connections as well, and is the only check that knows both the peer and the scheme.

    Args:
        rules: The operator's rules.
    """
    used = UsedConnections()

    class JudgingRequest(aiohttp.ClientRequest):
        @override
        async def send(self, conn: Any) -> aiohttp.ClientResponse:
            peer = conn.transport.get_extra_info("peername") if conn.transport else None
            if not peer or not rules.allows(peer[0], is_encrypted=self.is_ssl()):
                raise EgressError(Fault.ADDRESS_REFUSED)
            CONNECTION_IS_REUSED.set(used.note(conn.protocol))
            if used.are_too_many():
                self.headers["connection"] = "close"
            return await super().send(conn)

    return JudgingRequest


class UsedConnections:
    """The connections of a pool that have carried a request: aiohttp bounds those in use, not those that it keeps."""

    def __init__(self) -> None:
        self._used: WeakSet[Any] = WeakSet()
        self._counted_at = 0.0

    def note(self, connection: Any) -> bool:
        """Note that a connection carries a request; return whether it carried one before.

        Args:
            connection: aiohttp's protocol of the connection, whose transport is None once it is closed.
        """
        was_used = connection in self._used
        self._used.add(connection)
        return was_used

    def are_too_many(self) -> bool:
        """Return whether more connections are open than are to be kept."""
        if len(self._used) > MOST_KEPT and time.monotonic() - self._counted_at > _COUNT_SECONDS:
            self._counted_at = time.monotonic()
            for connection in [one for one in self._used if one.transport is None]:
                self._used.discard(connection)
        return len(self._used) > MOST_KEPT
