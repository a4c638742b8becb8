"""Content of any size from a provider: found, named, and read piece by piece."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.meshkit.errors import FieldInvalid


@dataclass(frozen=True)
class Download:
    """Content that is read piece by piece.

    Args:
        name: A safe file name.
        media_type: Its media type without parameters.
        size: The number of bytes of the whole; None when the provider does not name it.
        pieces: The bytes in order, from the offset on.
    """

    name: str
    media_type: str
    size: int | None
    pieces: AsyncIterator[bytes]


async def skipped(pieces: AsyncIterator[bytes], offset: int) -> AsyncIterator[bytes]:
    """Leave out the first bytes: neither provider documents ranges, so that they are read and dropped.

    Raises:
        FieldInvalid: There are fewer bytes.
    """
    left = offset
    async for piece in pieces:
        if left >= len(piece):
            left -= len(piece)
            continue
        yield piece[left:]
        left = 0
    if left:
        raise FieldInvalid.of("offset", "is beyond the end of the content")
