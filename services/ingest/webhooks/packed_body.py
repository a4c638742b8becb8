"""Unpacks a webhook's body that a sender or a proxy packed (RFC 9110, section 8.4)."""

import zlib
from typing import Final

from services.meshkit.errors import FieldInvalid

ENCODING_HEADER: Final = "content-encoding"
MAX_UNPACKED: Final = 4 * 1024 * 1024
"""The most bytes of an unpacked body, as many as the edge takes of a plain one by default."""
_MAX_RATIO: Final = 50
_FREE_BYTES: Final = 64 * 1024
"""Notifications differ in their ids, which do not shrink: they pack to a tenth. Only bombs pack to a thousandth."""
_PLAIN: Final = frozenset({"", "identity"})
_PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32


def unpack(body: bytes, encoding: str) -> bytes:
    """Return the plain body.

    A body that cannot be unpacked is refused rather than dropped: its sender has to learn that it is lost.

    Args:
        body: Untrusted bytes.
        encoding: The request's `Content-Encoding`; empty when it has none.

    Raises:
        FieldInvalid: The encoding is not one of gzip and deflate, the body is not packed so, or it is too large.
    """
    encoding = encoding.strip().lower()
    if encoding in _PLAIN:
        return body
    if encoding not in _PACKED:
        raise FieldInvalid.of("payload", "has a content-encoding that is not taken; send gzip, deflate or plain bytes")
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
    most = min(MAX_UNPACKED, _FREE_BYTES + _MAX_RATIO * len(body))
    try:
        plain = unpacker.decompress(body, most + 1)
    except zlib.error as exc:
        raise FieldInvalid.of("payload", "is not packed as its content-encoding says") from exc
    if len(plain) > most:
        raise FieldInvalid.of("payload", f"unpacks to more than {most} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise FieldInvalid.of("payload", "is not packed as its content-encoding says")
    return plain
