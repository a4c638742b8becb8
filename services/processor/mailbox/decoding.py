"""Decode the one base64url string of a JSON object while it arrives: Gmail has no other way to give content.

The answer is `{"data": "..."}`, asked for with `fields`, so that nothing else is in it.
"""

import binascii
import re
from collections.abc import AsyncIterator

_HEAD = re.compile(rb'\s*\{\s*"(?:data|raw)"\s*:\s*"')
_EMPTY = re.compile(rb'\s*\{\s*(?:"(?:data|raw)"\s*:\s*""\s*)?\}\s*')
_HEAD_MAX = 1024
_END = re.compile(rb'"\s*\}\s*')
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_FOREIGN = re.compile(rb"[^A-Za-z0-9+/=]")


class NotDecodableError(ValueError):
    """The answer is not a JSON object with one base64url string."""


async def decoded(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the bytes of the string, in order, each piece about as long as the piece that it came in.

    Raises:
        NotDecodableError: The answer has another form, or ended early.
    """
    held = b""
    async for piece in pieces:
        held += piece
        head = _HEAD.match(held)
        if head is not None and len(held) > head.end():
            held = held[head.end() :]
            break
        if len(held) > _HEAD_MAX:
            raise NotDecodableError
    else:
        if _EMPTY.fullmatch(held):
            return
        raise NotDecodableError
    async for content in _content(held, pieces):
        yield content


async def _content(held: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Decode whole groups of four characters, and keep the rest for the next piece."""
    while b'"' not in held:
        # Google writes "=" as an escape in some answers; one that is cut in two waits as well.
        text, held = _groups(held)
        if text:
            yield _bytes(text)
        piece = await anext(pieces, None)
        if piece is None:
            raise NotDecodableError
        held += piece
    text, _, end = held.partition(b'"')
    async for piece in pieces:
        end += piece
        if len(end) > _HEAD_MAX:
            raise NotDecodableError
    if not _END.fullmatch(b'"' + end):
        raise NotDecodableError
    if text:
        yield _bytes(text, is_last=True)


def _groups(held: bytes) -> tuple[bytes, bytes]:
    at = held.find(b"\\")
    whole = (len(held) if at < 0 else at) // 4 * 4
    if at >= 0 and len(held) - at > 2 * len(rb"\u003d") + 1:
        raise NotDecodableError  # padding stands at the end alone
    return held[:whole], held[whole:]


def _bytes(text: bytes, *, is_last: bool = False) -> bytes:
    plain = text.replace(rb"\u003d", b"=").translate(_TO_STANDARD) if is_last else text.translate(_TO_STANDARD)
    if _FOREIGN.search(plain):
        raise NotDecodableError
    if is_last:
        plain = plain.rstrip(b"=")
        plain += b"=" * (-len(plain) % 4)
    try:
        return binascii.a2b_base64(plain, strict_mode=bool(plain))
    except binascii.Error as exc:
        raise NotDecodableError from exc
