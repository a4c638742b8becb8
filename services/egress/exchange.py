"""One request with its answer, bounded in time and size."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Final

import aiohttp
from yarl import URL

from services.egress.dialing import CONNECTION_IS_REUSED

KEPT_BYTES: Final = 1024
"""The part of an answer that is kept."""
READ_BYTES: Final = 64 * 1024
"""The part of an answer that is read, so that its connection serves again; a longer answer ends its connection."""
# The deadline covers the whole of a request; aiohttp's own timeouts begin with each part again.
_TIMEOUTS = aiohttp.ClientTimeout(total=None, sock_connect=10.0)
_MOST_RETRY_AFTER_CHARACTERS = 100


@dataclass(frozen=True)
class Answer:
    """A receiver's answer. Strangers wrote it.

    Args:
        status: The HTTP status, of any class: a redirect is an answer like others.
        retry_after: The header Retry-After, unchecked, 100 characters at most; empty without one.
        body: The first bytes of the body as received, 1,024 at most unless the request asks for more.
        is_complete: Whether `body` is the whole body.
        seconds: The time from the beginning of the request to the end of reading.
    """

    status: int
    retry_after: str
    body: bytes = field(repr=False)
    is_complete: bool
    seconds: float


class Exchange:
    """One request with its answer, on one connection or two.

    Args:
        session: The session of the pool.
        url: The address.
        body: The bytes to send.
        headers: All headers.
        tls: A context other than the pool's, for a client certificate.
        keep_bytes: The part of the answer to keep, up to 64 KiB.
        timeout_seconds: The deadline of everything, from now.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: URL,
        body: bytes,
        headers: Mapping[str, str],
        *,
        tls: SSLContext | None,
        keep_bytes: int,
        timeout_seconds: float,
    ) -> None:
        self._session = session
        self._url = url
        self._options: dict[str, Any] = {"data": body, "headers": headers, "ssl": tls or True}
        self._keep_bytes = keep_bytes
        self._began = time.monotonic()
        self._deadline = asyncio.get_running_loop().time() + timeout_seconds

    async def run(self) -> Answer:
        """Send the request, and once more if its kept connection turns out to be closed.

        Raises:
            aiohttp.ClientError, OSError, ValueError: There is no answer.
            TimeoutError: There is no answer in time.
        """
        CONNECTION_IS_REUSED.set(False)
        try:
            return await self._once()
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not CONNECTION_IS_REUSED.get():
                raise
        return await self._once()

    async def _once(self) -> Answer:
        async with asyncio.timeout_at(self._deadline):
            answer = await self._session.post(self._url, **self._options, allow_redirects=False, timeout=_TIMEOUTS)
        async with answer:
            body, is_complete = await self._read(answer)
        return Answer(
            status=answer.status,
            retry_after=answer.headers.get("retry-after", "")[:_MOST_RETRY_AFTER_CHARACTERS],
            body=body,
            is_complete=is_complete,
            seconds=time.monotonic() - self._began,
        )

    async def _read(self, answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        """Return the first bytes of a body, and whether they are all of it. A body that breaks ends its connection."""
        kept = bytearray()
        size = 0
        try:
            async with asyncio.timeout_at(self._deadline):
                async for part in answer.content.iter_any():
                    kept += part[: self._keep_bytes - len(kept)]
                    size += len(part)
                    if size > READ_BYTES:
                        break
            is_whole = answer.content.at_eof()
        except (aiohttp.ClientError, OSError):
            is_whole = False
        if not is_whole:
            answer.close()
        return bytes(kept), is_whole and size == len(kept)
