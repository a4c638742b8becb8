"""Names to addresses, on threads of their own, with every answer judged."""

import asyncio
import contextlib
import errno
import functools
import socket
import threading
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from services.egress.addresses import EgressRules
from services.egress.faults import DialRefused, Fault

LOOKUPS: Final = 32
"""Concurrent lookups. A silent name server holds one for each of its names: aiohttp asks for a name once at a time."""
LOOKUP_SECONDS: Final = 10.0
_MOST_ANSWERS = 32


class ThreadedLookup(AbstractResolver):
    """Asks the system by `getaddrinfo`, which knows the operator's hosts file, search domains and name service.

    Each lookup has a thread of its own: those of the event loop are few, and everything in the process waits for them.
    The threads end with the process, which waits for a pool's threads at its end, however long a name server is silent.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(LOOKUPS)

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            OSError: The name has no address, or the name server did not answer in time.
            DialRefused: Every lookup of this process is busy, or the machine has no thread left.
        """
        try:
            await asyncio.wait_for(self._free.acquire(), LOOKUP_SECONDS)
        except TimeoutError:
            raise DialRefused(Fault.MACHINE_BUSY) from None
        lookup: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        # A thread cannot be interrupted: its place is free when it returns, not when the caller stops waiting.
        lookup.add_done_callback(self._release)
        _start(lookup, host, family)
        try:
            found = await asyncio.wait_for(asyncio.shield(lookup), LOOKUP_SECONDS)
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "the name server did not answer in time") from None
        return [_result(host, address, port) for address in found[:_MOST_ANSWERS]]

    @override
    async def close(self) -> None:
        """Do nothing: a lookup in progress ends by itself."""

    def _release(self, lookup: "asyncio.Future[list[str]]") -> None:
        self._free.release()
        lookup.exception()  # Marks it as seen: the caller may be gone.


class JudgingResolver(AbstractResolver):
    """Refuses a name if one of its addresses is refused: an honest name is either public or the operator's own.

    Args:
        lookup: Resolves the names.
        rules: The operator's rules.
    """

    def __init__(self, lookup: AbstractResolver, rules: EgressRules) -> None:
        self._lookup = lookup
        self._rules = rules

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            OSError: The name has no address.
            DialRefused: One of its addresses is refused.
        """
        found = await self._lookup.resolve(host, port, family)
        if not found:
            raise OSError(errno.ENOENT, "the name has no address")
        if not all(self._rules.allows(answer["host"]) for answer in found):
            raise DialRefused(Fault.ADDRESS_REFUSED)
        return found

    @override
    async def close(self) -> None:
        """Close the lookup."""
        await self._lookup.close()


def _start(lookup: "asyncio.Future[list[str]]", host: str, family: int) -> None:
    """Let a thread answer a lookup."""
    thread = threading.Thread(target=_look_up, args=(lookup, host, family), name="lookup", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        lookup.set_exception(DialRefused(Fault.MACHINE_BUSY))


def _look_up(lookup: "asyncio.Future[list[str]]", host: str, family: int) -> None:
    try:
        settle = functools.partial(lookup.set_result, _addresses(host, family))
    # A name that no resolver can take is a UnicodeError.
    except (OSError, UnicodeError) as exc:
        settle = functools.partial(lookup.set_exception, exc)
    # The event loop may be closed by now.
    with contextlib.suppress(RuntimeError):
        lookup.get_loop().call_soon_threadsafe(settle)


def _addresses(host: str, family: int) -> list[str]:
    answers = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in answers]


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)
