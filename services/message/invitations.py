"""Invitations to calendar events: the iCalendar UID that a mail and its event share.

An invitation has an iCalendar object with the method REQUEST (RFC 5546, 3.2.2). Exchange names an event by a global
object id, which holds the UID of an event from elsewhere (MS-OXOCAL 2.2.1.27, MS-OXCICAL 2.1.3.1.1.20.26), and Graph
shows it in hexadecimal digits. A mail is a stranger's: the UID is its claim.
"""

import base64
import binascii
import hashlib
import re

from services.message.fields import clean

MAX_CALENDAR_BYTES = 256 * 1024
"""A longer iCalendar object is not read."""
MAX_UID_CHARACTERS = 1000
_MAX_LINES = 5000
_DIGEST_BYTES = 16
_FOLD = re.compile(r"\r?\n[ \t]")
_PROPERTY = re.compile(r"([A-Za-z0-9-]{1,60})(?:;[^:\r\n]{0,500})?:(.*)")
_GLOBAL = "040000008200E00074C5B7101A82E008"
"""The first 16 bytes of each global object id."""
_HEX = re.compile(r"[0-9A-Fa-f]{80,8000}")
_DATE = slice(32, 40)
"""The date of one instance of a series."""
_DATA = 80
_FOREIGN = "7643616C2D55696401000000"
"""The beginning of the data of an event from elsewhere: "vCal-Uid" and the number 1."""


def invited_uid(content: bytes) -> str:
    """Return the UID of the event that an iCalendar object invites to, as `event_uid` has it; empty when it has none.

    Args:
        content: The object, of any content; one longer than `MAX_CALENDAR_BYTES` is not read.
    """
    if len(content) > MAX_CALENDAR_BYTES:
        return ""
    method, uid, within = "", "", list[str]()
    for line in _FOLD.sub("", content.decode("utf-8", "replace")).splitlines()[:_MAX_LINES]:
        match = _PROPERTY.match(line)
        name, value = (match[1].upper(), match[2].strip()) if match else ("", "")
        if name == "BEGIN":
            within.append(value.upper())
        elif name == "END":
            within = within[:-1]
        elif name == "METHOD" and within == ["VCALENDAR"]:
            method = value.upper()
        elif name == "UID" and within == ["VCALENDAR", "VEVENT"]:
            uid = uid or value
    return event_uid(uid) if method == "REQUEST" else ""


def global_object_uid(value: str) -> str:
    """Return the UID in a global object id, as `event_uid` has it; empty when the value is no such id.

    Args:
        value: The id in base64, as Graph shows a binary property.
    """
    try:
        shown = base64.b64decode(value[: 2 * MAX_UID_CHARACTERS], validate=True).hex()
    except (binascii.Error, ValueError):
        return ""
    return event_uid(shown) if shown.upper().startswith(_GLOBAL) else ""


def event_uid(uid: str) -> str:
    """Return a UID in the form in which that of a mail equals that of its event; empty for one that is too long.

    Args:
        uid: The UID of an iCalendar object, of an event of Google, or of an event of Graph.
    """
    uid = clean(uid.strip())
    if len(uid) > MAX_UID_CHARACTERS:
        return ""
    shown = uid.upper()
    if not shown.startswith(_GLOBAL) or len(shown) % 2 or not _HEX.fullmatch(shown):
        return uid
    if shown[_DATA:].startswith(_FOREIGN):
        return clean(bytes.fromhex(shown[_DATA + len(_FOREIGN) :]).rstrip(b"\0").decode("utf-8", "replace"))
    return shown[: _DATE.start] + "0" * (_DATE.stop - _DATE.start) + shown[_DATE.stop :]


def uid_digest(uid: str) -> bytes:
    """Return the digest under which a UID is stored; empty for an empty one.

    Args:
        uid: A UID in any of the forms that `event_uid` takes.
    """
    same = event_uid(uid)
    return hashlib.blake2b(same.encode(), digest_size=_DIGEST_BYTES).digest() if same else b""
