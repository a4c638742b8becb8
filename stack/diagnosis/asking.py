"""One request to a server that may be anybody's: within one deadline, and with a bounded part of its answer."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from stack.blocking import run_blocking

SECONDS = 10.0
# The longest answer that is compared is a token of some bytes.
MAX_BODY_BYTES = 4096


@dataclass(frozen=True)
class Answered:
    """An answer.

    Attributes:
        status: Its status code.
        headers: Its headers.
        body: Its first `MAX_BODY_BYTES` bytes and the rest of their piece, as they came.
        milliseconds: The duration of the request.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    milliseconds: float


def ask(
    method: str,
    url: str,
    *,
    params: Mapping[str, str] | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answered:
    """Make a request.

    Args:
        method: The HTTP method.
        url: The address.
        params: The query.
        body: The JSON body.
        headers: Further headers.

    Raises:
        httpx.HTTPError: There is no answer, or it does not end in time.
    """
    return run_blocking(_ask(method, url, params, body, headers or {}))


async def _ask(
    method: str, url: str, params: Mapping[str, str] | None, body: Any, headers: Mapping[str, str]
) -> Answered:
    begin = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS), httpx.AsyncClient(timeout=SECONDS) as client:
            # An unpacked answer has no bound.
            asked = client.stream(
                method, url, params=params, json=body, headers={"accept-encoding": "identity", **headers}
            )
            async with asked as answer:
                read = await _beginning(answer)
                return Answered(answer.status_code, answer.headers, read, 1000 * (time.monotonic() - begin))
    except TimeoutError as exc:
        raise httpx.ReadTimeout(f"the answer did not end within {SECONDS:g} s") from exc


async def _beginning(answer: httpx.Response) -> bytes:
    read = b""
    async for piece in answer.aiter_raw():
        read += piece
        if len(read) > MAX_BODY_BYTES:
            break
    return read
