"""The bodies of other programs' answers, which may be as long as they like."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


async def bounded_body(response: "httpx.Response", most_bytes: int, too_long: Callable[[], Exception]) -> bytes:
    """Read the body of an answer that is streamed, unpacked, and close the answer.

    Args:
        response: The answer. httpx bounds each wait for bytes only: the caller has a deadline for the whole.
        most_bytes: The longest body.
        too_long: Makes the exception for a longer one.

    Raises:
        httpx.HTTPError: The connection ended, or the body cannot be unpacked.
    """
    body = bytearray()
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > most_bytes:
                raise too_long()
    finally:
        await response.aclose()
    return bytes(body)
