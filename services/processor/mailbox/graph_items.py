"""The content of Graph's item attachments: a mail in MIME, an event in iCalendar, or a contact in vCard.

Graph does not name the kind beside the content, so that its beginning decides.
Source: https://learn.microsoft.com/graph/api/attachment-get, "Get the raw contents of a file or item attachment".
"""

from collections.abc import AsyncIterator
from typing import Final

_KINDS: Final = ((b"BEGIN:VCALENDAR", "ics", "text/calendar"), (b"BEGIN:VCARD", "vcf", "text/vcard"))
_MAIL: Final = ("eml", "message/rfc822")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_BEGINNING: Final = 64


def kind_of_item(beginning: bytes) -> tuple[str, str]:
    """Return the ending of a file name and the media type of an item by the beginning of its content."""
    text = beginning.removeprefix(_BYTE_ORDER_MARK).lstrip().upper()
    return next(((ending, kind) for begin, ending, kind in _KINDS if text.startswith(begin)), _MAIL)


async def begun(pieces: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """Read enough of a content for `kind_of_item`; return that, and the whole content piece by piece."""
    beginning = b""
    async for piece in pieces:
        beginning += piece
        if len(beginning) >= _BEGINNING:
            break
    return beginning, _joined(beginning, pieces)


async def _joined(beginning: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if beginning:
        yield beginning
    async for piece in rest:
        yield piece
