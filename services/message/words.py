"""Encoded words of header fields (RFC 2047) and base64 of either alphabet."""

import base64
import binascii
import re

from services.message.charsets import codec_of, decode_bytes

_BASE64 = str.maketrans("-_", "+/", "\r\n\t ")
# RFC 2047 allows no "?" and no space within a word, which also keeps the search linear; senders do put spaces there.
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(?<=\?=)[ \t\r\n]+(?==\?[^?\s]{1,60}\?[bBqQ]\?)")
_NOT_ASCII = re.compile(r"([^\x00-\x7f]+)")


def decode_words(value: str) -> str:
    """Decodes the encoded words (RFC 2047) of a header value; anything that is no proper word stays as it is.

    Neighbours of one charset are joined before they are decoded, because senders split characters between words.
    """
    if "=?" not in value:
        return value
    pieces: list[str] = []
    pending, charset, position = b"", "", 0
    joined = _BETWEEN_WORDS.sub("", value)
    for word in _WORD.finditer(joined):
        name, content = word[1].partition("*")[0].lower(), _content(word)
        is_next = word.start() == position and name == charset and isinstance(content, bytes)
        if not is_next:
            pieces += (decode_bytes(pending, charset), joined[position : word.start()])
            pending = b""
        if isinstance(content, bytes):
            pending += content
        else:
            pieces.append(content)
        charset, position = name, word.end()
    pieces += (decode_bytes(pending, charset), joined[position:])
    return "".join(pieces)


def base64url(data: str, max_bytes: int) -> bytes:
    """Decodes base64 of either alphabet, padded or not, up to a number of bytes; nonsense decodes to nothing."""
    # Lines of base64 are about a fortieth line ends; a text that they cut short was longer than needed.
    wanted = data[: (max_bytes + 2) // 3 * 4].translate(_BASE64).rstrip("=")
    # One character alone carries no byte: a text that is cut in the middle of a group loses its rest.
    whole = wanted[: len(wanted) - 1] if len(wanted) % 4 == 1 else wanted
    try:
        return base64.b64decode(whole + "=" * (-len(whole) % 4), validate=False)[:max_bytes]
    except (binascii.Error, ValueError):
        return b""


def _content(word: re.Match[str]) -> bytes | str:
    """Returns the bytes of a word, or its text when it holds characters that no byte of its charset stands for."""
    if word[2] in "bB":
        return base64url(word[3], len(word[3]))
    if word[3].isascii():
        return binascii.a2b_qp(word[3].encode("ascii"), header=True)
    return _raw_q(word[3], word[1].partition("*")[0])


def _raw_q(content: str, charset: str) -> bytes | str:
    """Reads a Q word with raw 8-bit characters: bytes shown as Latin-1, or characters that a program has decoded."""
    codec = codec_of(charset) or "utf-8"
    if as_bytes := _valid(content, "latin-1", codec):
        return as_bytes
    if as_characters := _valid(content, codec, codec):
        return as_characters
    # The odd places are what the pattern captured: the raw characters.
    return "".join(
        piece if place % 2 else decode_bytes(binascii.a2b_qp(piece.encode("ascii"), header=True), charset)
        for place, piece in enumerate(_NOT_ASCII.split(content))
    )


def _valid(content: str, written_in: str, codec: str) -> bytes:
    """Returns the bytes of a word when they can be written and read; none otherwise."""
    try:
        data = binascii.a2b_qp(content.encode(written_in), header=True)
        data.decode(codec)
    except (UnicodeError, LookupError):
        return b""
    return data
