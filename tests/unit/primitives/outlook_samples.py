"""Mails in Outlook's formats, made for the tests: .msg by another package than the one that reads, TNEF by hand."""

import struct

from aspose.email_foss.msg import MapiMessage
from aspose.email_foss.msg.property_id import PropertyId
from compressed_rtf import compress

RTF = rb"{\rtf1\ansi\ansicpg1252 The body is RTF.\par}"


def message(subject: str = "Offer", body: str = "Thirty euros.", **properties: object) -> MapiMessage:
    """Return a message that is not written yet."""
    made = MapiMessage.create(subject, body)
    made.set_property(PropertyId.SENDER_NAME, "Ada")
    made.set_property(PropertyId.SENDER_EMAIL_ADDRESS, "ada@example.com")
    for name, value in properties.items():
        made.set_property(PropertyId[name], value)
    return made


def msg(subject: str = "Offer", body: str = "Thirty euros.", **files: bytes) -> bytes:
    """Return a message with files, whose names have a point for the first underscore."""
    made = message(subject, body)
    for name, content in files.items():
        made.add_attachment(name.replace("_", ".", 1), content, mime_type="application/octet-stream")
    return bytes(made.to_bytes())


def nested(depth: int) -> bytes:
    """Return a message in messages."""
    inner = message("Last", "The deepest text.")
    for number in range(depth):
        outer = message(f"Level {number}", f"Text {number}.")
        outer.add_embedded_message_attachment(inner)
        inner = outer
    return bytes(inner.to_bytes())


def attribute(level: int, identity: int, data: bytes) -> bytes:
    """Return an attribute of TNEF (MS-OXTNEF 2.1.3.3)."""
    return struct.pack("<BII", level, identity, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def prop(kind: int, identity: int, value: bytes, name: bytes = b"") -> bytes:
    """Return a property of variable length (MS-OXTNEF 2.1.3.4)."""
    padded = value + b"\0" * (-len(value) % 4)
    return struct.pack("<HH", kind, identity) + name + struct.pack("<II", 1, len(value)) + padded


def properties(*made: bytes) -> bytes:
    return struct.pack("<I", len(made)) + b"".join(made)


def file_attributes(name: str, content: bytes, long_name: str = "") -> bytes:
    made = attribute(2, 0x00069002, b"\0" * 14) + attribute(2, 0x00018010, name.encode() + b"\0")
    if long_name:
        made += attribute(2, 0x00069005, properties(prop(0x001F, 0x3707, f"{long_name}\0".encode("utf-16-le"))))
    return made + attribute(2, 0x0006800F, content)


def tnef(*files: bytes, rtf: bytes = RTF, subject: bytes = b"Offer\0") -> bytes:
    """Return a winmail.dat with a body in RTF, as Outlook makes it."""
    named = struct.pack("<16sII", b"\1" * 16, 0, 0x8233)
    string_named = struct.pack("<16sII", b"\1" * 16, 1, 6) + "ab\0".encode("utf-16-le") + b"\0\0"
    body = properties(
        struct.pack("<HHI", 0x0003, 0x0017, 1),
        struct.pack("<HHq", 0x0040, 0x0039, 133_000_000_000_000_000),
        struct.pack("<HH", 0x000B, 0x8001) + named + struct.pack("<I", 1),
        prop(0x001F, 0x8002, "x\0".encode("utf-16-le"), string_named),
        struct.pack("<HHIII", 0x1003, 0x6001, 2, 1, 2),
        prop(0x001E, 0x0C1A, b"Ada\0"),
        prop(0x0102, 0x1009, compress(rtf)),
    )
    head = b"\x78\x9f\x3e\x22\x01\x00" + attribute(1, 0x00089006, b"\0\0\1\0")
    head += attribute(1, 0x00069007, struct.pack("<II", 1252, 0)) + attribute(1, 0x00018004, subject)
    return head + attribute(1, 0x00069003, body) + b"".join(files)
