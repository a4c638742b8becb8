"""Bounds the calls that run at the same time: of all callers, of one API key, of one address without a key."""

import ipaddress
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from services.meshkit.identity.caller import KEY_ID_HEADER, SOURCE_HEADER
from services.meshkit.interceptors.call import Call
from services.meshkit.interceptors.caller import EDGE
from services.meshkit.shares import Shares

_HEALTH = "/grpc.health.v1.Health/"
_NETWORK_BITS = 64


class Admission:
    """Refuses calls at once past a bound, so that none waits in a queue that grows.

    Args:
        total: The largest number of calls; health checks of the mesh are let through beyond it.
        per_key: The largest number of calls of one API key.
        per_address: The largest number of calls of one address outside that shows no key.
    """

    def __init__(self, total: int, per_key: int, per_address: int) -> None:
        self._all = Shares("concurrent_rpcs", total, per_key)
        self._keyless = Shares("concurrent_rpcs_without_key", total, per_address)

    def take(self, call: Call) -> AbstractContextManager[None]:
        """Run the block as a call.

        Raises:
            Overloaded: A bound is reached.
        """
        address = _outside(call)
        if call.method.startswith(_HEALTH) and not address:
            return nullcontext()
        if address and not call.headers.get(KEY_ID_HEADER):
            return self._without_key(address)
        return self._all.take(call.headers.get(KEY_ID_HEADER, "") if call.peer == EDGE else "")

    @contextmanager
    def _without_key(self, address: str) -> Iterator[None]:
        with self._keyless.take(address), self._all.take(""):
            yield


def _outside(call: Call) -> str:
    """Return the address outside that a call came from; empty for a call of the mesh. Only the edge is believed."""
    address = call.headers.get(SOURCE_HEADER, "") if call.peer == EDGE else ""
    if ":" not in address:
        return address
    try:  # a subscriber of IPv6 has a whole network
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/{_NETWORK_BITS}", strict=False))
    except ValueError:
        return address
