"""Detect the fields that an update changed without keeping the message: a short digest of each field."""

import struct
import zlib

from mailmesh.mail.v1 import message_pb2

_ENTRY = struct.Struct("<BI")
_LEFT_OUT = frozenset({"thread"})
_NAMES = {field.number: field.name for field in message_pb2.MailMessage.DESCRIPTOR.fields}


def digests_of(message: message_pb2.MailMessage) -> bytes:
    """Return the digests of the fields that are set; the thread is ours and never changes."""
    entries = []
    for field, value in message.ListFields():
        if field.name in _LEFT_OUT:
            continue
        items = list(value) if field.is_repeated else [value]
        content = b"\x00".join(_bytes(item) for item in items)
        entries.append(_ENTRY.pack(field.number, zlib.crc32(content)))
    return b"".join(entries)


def differing(before: bytes | None, after: bytes) -> list[str]:
    """Return the names of the fields that differ, sorted; none when the earlier digests are unknown."""
    if before is None:
        return []
    old, new = dict(_ENTRY.iter_unpack(before)), dict(_ENTRY.iter_unpack(after))
    return sorted(
        _NAMES[number] for number in old.keys() | new.keys() if old.get(number) != new.get(number) and number in _NAMES
    )


def _bytes(value: object) -> bytes:
    if hasattr(value, "SerializeToString"):
        content: bytes = value.SerializeToString(deterministic=True)
        return content
    return str(value).encode("utf-8", "surrogatepass")
