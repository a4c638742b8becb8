"""Bytes and encoded words to text: charsets that are named, wrong, unknown or missing."""

import base64
import binascii
import re

from services.processor.mail.message.fields import clean

# Text codecs of Python that no mail has, some of them slow on hostile input.
_NOT_FOR_MAIL = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
_STATEFUL = ("iso-2022", "iso2022", "utf-7", "utf7", "hz")
_ALIASES = {"unicode-1-1-utf-7": "utf-7", "x-sjis": "cp932", "ks_c_5601-1987": "cp949", "x-gbk": "gbk"}
_MAX_CHARSET_CHARACTERS = 40
_BASE64 = str.maketrans("-_", "+/", "\r\n\t ")
# RFC 2047 allows no "?" and no space within a word, which also keeps the search linear; senders do put spaces there.
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(?<=\?=)[ \t\r\n]+(?==\?[^?\s]{1,60}\?[bBqQ]\?)")


def decode_bytes(data: bytes, charset: str) -> str:
    """Makes text of a body or a word, whatever its charset claims.

    Valid UTF-8 is taken as UTF-8 unless the charset is one whose bytes look like ASCII, since hardly anything else is
    valid by chance and Gmail gives bodies as UTF-8 whatever the part says. Then the named charset counts, then
    Windows-1252, which has a meaning for nearly every byte.

    Args:
        data: As it was sent, transfer encoding undone.
        charset: As the mail names it; may be empty or nonsense.
    """
    name = _known(charset)
    if data.isascii() and not _needs_codec(name, data):
        return clean(data.decode("ascii"))
    order = (name, "utf-8") if _needs_codec(name, data) else ("utf-8", name)
    for candidate in order:
        decoded = _try(data, candidate)
        if decoded is not None:
            return clean(decoded)
    return clean(data.decode("cp1252", "replace"))


def decode_words(value: str) -> str:
    """Decodes the encoded words (RFC 2047) of a header value; what is no proper word stays as it is.

    Neighbours of one charset are joined before they are decoded, since senders split characters between words.
    """
    if "=?" not in value:
        return value
    pieces: list[str] = []
    pending, charset, position = b"", "", 0
    joined = _BETWEEN_WORDS.sub("", value)
    for word in _WORD.finditer(joined):
        name, data = word[1].partition("*")[0].lower(), _word_bytes(word[2], word[3])
        is_next = word.start() == position and name == charset
        if not is_next:
            pieces += (decode_bytes(pending, charset), joined[position : word.start()])
            pending = b""
        pending, charset, position = pending + data, name, word.end()
    pieces += (decode_bytes(pending, charset), joined[position:])
    return "".join(pieces)


def base64url(data: str, max_bytes: int) -> bytes:
    """Decodes base64 of either alphabet, padded or not, up to a number of bytes; nonsense decodes to nothing."""
    # Lines of base64 are about a fortieth line ends; what is cut short by them was more than enough.
    wanted = data[: (max_bytes + 2) // 3 * 4].translate(_BASE64).rstrip("=")
    # One character alone carries no byte: what was cut in the middle of a group loses its rest.
    whole = wanted[: len(wanted) - 1] if len(wanted) % 4 == 1 else wanted
    try:
        return base64.b64decode(whole + "=" * (-len(whole) % 4), validate=False)[:max_bytes]
    except (binascii.Error, ValueError):
        return b""


def _word_bytes(encoding: str, content: str) -> bytes:
    if encoding in "bB":
        return base64url(content, len(content))
    return binascii.a2b_qp(content.encode("ascii", "replace"), header=True)


def _known(charset: str) -> str:
    name = charset.strip().strip("'\"").lower()[:_MAX_CHARSET_CHARACTERS]
    name = _ALIASES.get(name, name)
    if not name.isascii() or name.replace("-", "_") in _NOT_FOR_MAIL:
        return ""
    return name


def _needs_codec(name: str, data: bytes) -> bool:
    """Tells whether bytes that are valid UTF-8 would still be misread as such."""
    return name.startswith(_STATEFUL) or (b"\0" in data and name.startswith(("utf-16", "utf-32")))


def _try(data: bytes, charset: str) -> str | None:
    if not charset:
        return None
    try:
        return data.decode(charset)
    except (LookupError, ValueError):  # a UnicodeError is a ValueError; a codec that makes no text is a LookupError
        return None
