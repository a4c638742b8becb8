"""The guard of connections: judges the address of each dial, and the peer before each request."""

import socket
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakSet

import aiohttp
from aiohttp.connector import AddrInfoType
from typing_extensions import override

from services.delivery.egress.addresses import EgressRules
from services.delivery.egress.faults import DialRefused, EgressError, Fault

CONNECTION_IS_REUSED: Final = ContextVar("CONNECTION_IS_REUSED", default=False)
"""Whether the last request of this task went over a kept connection, which its receiver may have closed meanwhile.

aiohttp's tracing tells this as well, at a fifth of the time of a whole request.
"""


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
    used: WeakSet[Any] = WeakSet()

    class JudgingRequest(aiohttp.ClientRequest):
        @override
        async def send(self, conn: Any) -> aiohttp.ClientResponse:
            peer = conn.transport.get_extra_info("peername") if conn.transport else None
            if not peer or not rules.allows(peer[0], is_encrypted=self.is_ssl()):
                raise EgressError(Fault.ADDRESS_REFUSED)
            CONNECTION_IS_REUSED.set(conn.protocol in used)
            used.add(conn.protocol)
            return await super().send(conn)

    return JudgingRequest
