"""winmail.dat: the TNEF that Outlook wraps around a body and its attachments (MS-OXTNEF).

The package that reads it, tnefparse, is under the LGPL and raises `UnboundLocalError` on damaged input. The format is a
flat list of attributes, so it is read here, each length checked against what is left.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.primitives.documents import mapi
from services.primitives.documents.extracted import MAX_PARTS, Extracted
from services.primitives.documents.mapi import Properties, Value
from services.primitives.failure import ContentError

SIGNATURE = b"\x78\x9f\x3e\x22"
_ATTRIBUTE = struct.Struct("<BII")  # level, id, length; a checksum of two bytes follows the data
_START, _CHECKSUM = 6, 2
# The low half of an attribute's id names it; the high half is its type, which some writers get wrong.
_SUBJECT, _BODY, _PROPERTIES, _CODE_PAGE = 0x8004, 0x800C, 0x9003, 0x9007
_FILE, _FILE_TITLE, _FILE_DATA, _FILE_PROPERTIES = 0x9002, 0x8010, 0x800F, 0x9005
_MAX_PROPERTIES, _MAX_VALUES, _NAMED, _MULTIPLE = 4096, 1024, 0x8000, 0x1000
_TEXT8, _TEXT, _OBJECT, _BINARY = 0x001E, 0x001F, 0x000D, 0x0102
_VARIABLE = frozenset((_TEXT8, _TEXT, _OBJECT, _BINARY))
_SIZES = {
    0x0002: 4, 0x0003: 4, 0x0004: 4, 0x0005: 8, 0x0006: 8, 0x0007: 8, 0x000A: 4, 0x000B: 4, 0x0014: 8, 0x0040: 8,
    0x0048: 16,
}  # fmt: skip
"""The bytes of a value by its type, with the padding to four (MS-OXTNEF 2.1.3.4)."""
_INTERFACE = 16  # before the data of an object: the id of its interface
_CHARSETS = {
    932: "shift_jis", 936: "gbk", 949: "euc-kr", 950: "big5", 20127: "ascii", 28591: "iso-8859-1", 50220: "iso-2022-jp",
    51932: "euc-jp", 65001: "utf-8",
}  # fmt: skip


@dataclass
class File:
    """An attachment.

    Args:
        name: Its file name, as it stands there.
        media_type: Its media type; empty if it is not stated.
        content: Its bytes.
    """

    name: str = ""
    media_type: str = ""
    content: bytes = field(default=b"", repr=False)


class _Bytes:
    """Reads forward; each read is checked against what is left."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._content)

    def take(self, count: int) -> bytes:
        if count > len(self._content) - self._at:
            raise ContentError("malformed")
        self._at += count
        return self._content[self._at - count : self._at]

    def number(self) -> int:
        return int.from_bytes(self.take(4), "little")


def read_tnef(content: bytes, extracted: Extracted) -> list[File]:
    """Read the body and the facts; return the attachments, which the caller reads.

    Raises:
        ContentError: It is damaged.
    """
    files: list[File] = []
    facts: dict[int, Value] = {}
    code_page = 0
    for name, data in _attributes(content):
        if name == _CODE_PAGE:
            code_page = int.from_bytes(data[:4], "little")
        elif name == _PROPERTIES:
            facts |= _properties(data)
        elif name in (_SUBJECT, _BODY):
            facts.setdefault(mapi.SUBJECT if name == _SUBJECT else mapi.BODY, data.rstrip(b"\0"))
        elif name == _FILE:
            files.append(File())
        elif files:
            _take_file(files[-1], name, data)
        if len(files) > MAX_PARTS:
            extracted.answer.is_text_cut = True
            break
    charset = _CHARSETS.get(code_page, f"windows-{code_page}" if code_page else "")
    for fact, identity in (("subject", mapi.SUBJECT), ("from", mapi.SENDER_SMTP), ("from_name", mapi.SENDER_NAME)):
        extracted.fact(fact, _text(facts.get(identity, ""), charset))
    mapi.read_body(facts, charset, extracted)
    return files


def _attributes(content: bytes) -> Iterator[tuple[int, bytes]]:
    source = _Bytes(content)
    source.take(_START)
    while not source.is_at_end:
        _level, identity, length = _ATTRIBUTE.unpack(source.take(_ATTRIBUTE.size))
        yield identity & 0xFFFF, source.take(length)
        source.take(_CHECKSUM)


def _take_file(file: File, name: int, data: bytes) -> None:
    if name == _FILE_TITLE and not file.name:
        file.name = _text(data, "")
    elif name == _FILE_DATA:
        file.content = data
    elif name == _FILE_PROPERTIES:
        found = _properties(data)
        file.name = _text(found.get(mapi.LONG_FILE_NAME) or found.get(mapi.FILE_NAME) or file.name, "")
        file.media_type = _text(found.get(mapi.MEDIA_TYPE, ""), "")
        inner = found.get(mapi.DATA)
        if isinstance(inner, bytes) and not file.content:
            file.content = inner[_INTERFACE:] if inner[_INTERFACE:].startswith(SIGNATURE) else inner


def _properties(data: bytes) -> Properties:
    """Return the texts and bytes among the properties (MS-OXTNEF 2.1.3.4); the first value of several."""
    source, found = _Bytes(data), dict[int, Value]()
    count = source.number()
    if count > _MAX_PROPERTIES:
        raise ContentError("bomb")
    for _ in range(count):
        kind, identity = struct.unpack("<HH", source.take(4))
        if identity >= _NAMED:
            _skip_name(source)
        values = _values(source, kind)
        if values:
            found.setdefault(identity, values[0])
    return found


def _skip_name(source: _Bytes) -> None:
    source.take(16)  # the id of the set
    if source.number():
        _padded(source)
    else:
        source.take(4)


def _values(source: _Bytes, kind: int) -> list[Value]:
    """Read the values of a property; return those that are texts or bytes."""
    plain = kind & ~_MULTIPLE
    count = source.number() if kind & _MULTIPLE or plain in _VARIABLE else 1
    if count > _MAX_VALUES:
        raise ContentError("bomb")
    if plain not in _VARIABLE:
        if plain not in _SIZES:
            raise ContentError("malformed")
        source.take(count * _SIZES[plain])
        return []
    read = [_padded(source) for _ in range(count)]
    return [one.decode("utf-16-le", "replace") if plain == _TEXT else one for one in read]


def _padded(source: _Bytes) -> bytes:
    length = source.number()
    content = source.take(length)
    source.take(-length % 4)
    return content


def _text(value: Value, charset: str) -> str:
    return mapi.text_of(value, charset)[:1000]
