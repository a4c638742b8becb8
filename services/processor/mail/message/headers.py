"""Header fields of a mail: found by name, read as what the standards say they are."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from mailmesh.mail.v1 import message_pb2
from services.processor.mail.message.fields import clean, text
from services.processor.mail.message.words import decode_words

MAX_MESSAGE_ID_CHARACTERS = 998
"""The longest line of a mail; what is longer is no message id."""
_MAX_DATE_CHARACTERS = 200
_MAX_REFERENCES = 200
_MAX_IDS_CHARACTERS = 256 * 1024
_FOLD = re.compile(r"\r?\n(?=[ \t])|\r|\n")
_ID = re.compile(r"<([^<>]{1,1200})>")

_HIGH = {"high", "urgent", "1", "2"}
_LOW = {"low", "non-urgent", "4", "5"}
_NORMAL = {"normal", "3"}


class Headers:
    """The header fields of a mail, in order.

    Args:
        fields: Objects with `name` and `value`, as both providers give them; what is no such object is passed over.
    """

    def __init__(self, fields: Iterable[Any]) -> None:
        self.fields = tuple((name, unfold(text(field, "value"))) for field in fields if (name := text(field, "name")))
        self._by_name: dict[str, list[str]] = {}
        for name, value in self.fields:
            self._by_name.setdefault(name.lower(), []).append(value)

    def first(self, name: str) -> str:
        """The value of the first field of a name, in any case; empty without one."""
        return self._by_name.get(name.lower(), [""])[0].strip()

    def all(self, name: str) -> list[str]:
        """The values of all fields of a name, in order."""
        return self._by_name.get(name.lower(), [])

    def has(self, name: str) -> bool:
        """Tells whether there is a field of a name."""
        return name.lower() in self._by_name

    def words(self, name: str) -> str:
        """The first value of a name with encoded words decoded and white space set right."""
        return clean(" ".join(decode_words(self.first(name)).split()))

    def message_ids(self, name: str) -> list[str]:
        """The message ids of the first field of a name, in order, with angle brackets."""
        return list(message_ids(self.first(name)))

    def date(self) -> datetime | None:
        """When the author sent it; None when the mail does not say or what it says is no date."""
        value = self.first("Date")
        if not value or len(value) > _MAX_DATE_CHARACTERS:
            return None
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def unfold(value: str) -> str:
    """Undoes the folding of a header value."""
    return _FOLD.sub("", value) if "\n" in value or "\r" in value else value


def message_ids(value: str) -> Iterator[str]:
    """Finds the message ids in a header value. One that has lost its brackets is found when it stands alone.

    Yields:
        At most 200, those that stand last; each with angle brackets and without white space.
    """
    found = [f"<{''.join(match[1].split())}>" for match in _ID.finditer(value[-_MAX_IDS_CHARACTERS:])]
    if not found and "<" not in value and "@" in value:
        found = [f"<{word}>" for word in value[-_MAX_IDS_CHARACTERS:].split() if "@" in word]
    kept = [message_id for message_id in found if len("<>") < len(message_id) <= MAX_MESSAGE_ID_CHARACTERS]
    yield from kept[-_MAX_REFERENCES:]


def importance(headers: Headers) -> "message_pb2.Importance.ValueType":
    """Reads the sender's importance from Importance, X-Priority, X-MSMail-Priority and Priority, in this order."""
    for name in ("Importance", "X-Priority", "X-MSMail-Priority", "Priority"):
        word = headers.first(name).lower().partition(" ")[0].partition("(")[0]
        for words, value in (
            (_HIGH, message_pb2.IMPORTANCE_HIGH),
            (_LOW, message_pb2.IMPORTANCE_LOW),
            (_NORMAL, message_pb2.IMPORTANCE_NORMAL),
        ):
            if word in words:
                return value
    return message_pb2.IMPORTANCE_UNSPECIFIED


def automation(headers: Headers) -> "message_pb2.AutomationKind.ValueType":
    """Tells what kind of machine wrote a mail, from its standard headers; the most telling mark wins.

    A report comes before all, since reports carry the marks of automatic answers too; the null reverse path comes
    after the explicit marks, since automatic answers are sent with it as well.
    """
    submitted = headers.first("Auto-Submitted").lower()
    if _is_delivery_report(headers):
        return message_pb2.AUTOMATION_KIND_BOUNCE
    if submitted.startswith("auto-replied") or _has_reply_marks(headers, submitted):
        return message_pb2.AUTOMATION_KIND_AUTO_REPLY
    if headers.first("Return-Path") == "<>":
        return message_pb2.AUTOMATION_KIND_BOUNCE
    if headers.has("List-Id") or headers.has("List-Unsubscribe"):
        return message_pb2.AUTOMATION_KIND_MAILING_LIST
    if (submitted and not submitted.startswith("no")) or headers.first("Precedence").lower() in ("bulk", "junk"):
        return message_pb2.AUTOMATION_KIND_AUTO_GENERATED
    return message_pb2.AUTOMATION_KIND_UNSPECIFIED


def _is_delivery_report(headers: Headers) -> bool:
    content_type = headers.first("Content-Type").lower()
    return content_type.startswith("multipart/report") and "delivery-status" in content_type


def _has_reply_marks(headers: Headers, submitted: str) -> bool:
    """`X-Auto-Response-Suppress` alone asks others to be silent; beside `Auto-Submitted` it is Exchange's answer."""
    if headers.first("X-Autoreply").lower() not in ("", "no") or headers.first("X-Autorespond"):
        return True
    suppressed = {word.strip() for word in headers.first("X-Auto-Response-Suppress").lower().split(",")}
    return submitted.startswith("auto-generated") and "all" in suppressed
