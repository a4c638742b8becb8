"""Meeting requests among the mails: Exchange keeps one with the global object id of its event (MS-OXOCAL 2.2.1.28)."""

import base64
import re
from functools import lru_cache

from simulator.eml import Eml, MailSource, parsed

MEETING_ID = "Binary {6ED8DA90-450B-101B-98DA-00AA003F1305} Id 0x23"
"""PidLidCleanGlobalObjectId, as Graph names it."""
REQUEST_TYPE = "#microsoft.graph.eventMessageRequest"
_GLOBAL = bytes.fromhex("040000008200E00074C5B7101A82E008")
_METHOD, _UID = (re.compile(rf"^{name}:(.+?)\s*$", re.MULTILINE) for name in ("METHOD", "UID"))


@lru_cache(maxsize=16384)
def meeting_of(source: MailSource) -> str:
    """Return the global object id of a meeting request in base64; empty for any other mail."""
    # Listings show many made-up mails, none of which is a request.
    if not isinstance(source, Eml) or b"text/calendar" not in source.raw():
        return ""
    for part in parsed(source).walk():
        if part.content_type == "text/calendar":
            text = re.sub(r"\r?\n[ \t]", "", part.text())
            method, uid = _METHOD.search(text), _UID.search(text)
            if method and method[1] == "REQUEST" and uid:
                return base64.b64encode(global_object_id(uid[1])).decode()
    return ""


def global_object_id(uid: str) -> bytes:
    """Return the global object id of an event; that of an event from elsewhere holds its UID."""
    if uid.upper().startswith(_GLOBAL.hex().upper()):
        return bytes.fromhex(uid)
    data = b"vCal-Uid\x01\0\0\0" + uid.encode() + b"\0"
    return _GLOBAL + bytes(20) + len(data).to_bytes(4, "little") + data
