"""Header fields of a mail: found by name, read as what the standards say they are."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from mailmesh.mail.v1 import message_pb2
from services.message.addresses import parse_addresses
from services.message.bounds import SHORT_CHARACTERS
from services.message.dates import parse_date
from services.message.fields import clean, text
from services.message.ids import answered_id, message_ids
from services.message.syntax import MAX_FIELD_CHARACTERS, Value, parse_value, without_comments
from services.message.words import decode_words

MAX_FIELDS = 5000
"""Header fields that are read of a mail; large providers refuse mails with fewer."""
MAX_PART_FIELDS = 200
"""Header fields that are read of a part of a mail."""
_FOLD = re.compile(r"\r?\n(?=[ \t])|\r|\n")

_HIGH = {"high", "urgent", "1", "2"}
_LOW = {"low", "non-urgent", "4", "5"}
_NORMAL = {"normal", "3"}


class Headers:
    """The header fields of a mail, in order.

    Args:
        fields: Objects with `name` and `value`, as both providers give them; other values are skipped.
        max_fields: Fields that are read.
    """

    def __init__(self, fields: Sequence[Any], max_fields: int = MAX_FIELDS) -> None:
        self.is_cut = len(fields) > max_fields
        self.fields: list[tuple[str, str]] = []
        self._by_name: dict[str, list[str]] = {}
        for field in fields[:max_fields]:
            if name := text(field, "name"):
                value = unfold(text(field, "value"))
                self.fields.append((name, value))
                self._by_name.setdefault(name.lower(), []).append(value)

    def first(self, name: str) -> str:
        """The value of the first field of a name, in any case; empty without one."""
        found = self._by_name.get(name.lower())
        return found[0].strip() if found else ""

    def all(self, name: str) -> list[str]:
        """The values of all fields of a name, in order."""
        return self._by_name.get(name.lower(), [])

    def has(self, name: str) -> bool:
        """Tells whether there is a field of a name."""
        return name.lower() in self._by_name

    def words(self, name: str) -> str:
        """The first value of a name with encoded words decoded and white space set right; 32 Ki characters of it."""
        return clean(" ".join(decode_words(self.first(name)[:SHORT_CHARACTERS]).split()))

    def message_ids(self, name: str) -> list[str]:
        """The message ids of the first field of a name, in order, with angle brackets."""
        return list(message_ids(self.first(name)))

    def answered_id(self) -> str:
        """The id of the mail that this one answers, with angle brackets; empty without one."""
        return answered_id(self.first("In-Reply-To"))

    def date(self) -> datetime | None:
        """When the author sent it; None when the mail does not say so, or says it in no form that leaves no doubt."""
        return parse_date(self.first("Date"))

    def value(self, name: str) -> Value:
        """The first field of a name, read as one with parameters."""
        return parse_value(self.first(name))

    def word(self, name: str) -> str:
        """The first word of the first field of a name, in lower case, without comments."""
        value = self.first(name)
        if not value:
            return ""
        bare = without_comments(value[:MAX_FIELD_CHARACTERS]).lower().replace(";", " ").split()
        return bare[0] if bare else ""


def unfold(value: str) -> str:
    """Undoes the folding of a header value."""
    return _FOLD.sub("", value) if "\n" in value or "\r" in value else value


def importance(headers: Headers) -> "message_pb2.Importance.ValueType":
    """Reads the sender's importance from Importance, X-Priority, X-MSMail-Priority and Priority, in this order."""
    for name in ("Importance", "X-Priority", "X-MSMail-Priority", "Priority"):
        if not headers.has(name):
            continue
        word = headers.word(name)
        for words, value in (
            (_HIGH, message_pb2.IMPORTANCE_HIGH),
            (_LOW, message_pb2.IMPORTANCE_LOW),
            (_NORMAL, message_pb2.IMPORTANCE_NORMAL),
        ):
            if word in words:
                return value
    return message_pb2.IMPORTANCE_UNSPECIFIED


_REPORTS = {
    "delivery-status": message_pb2.AUTOMATION_KIND_BOUNCE,
    "global-delivery-status": message_pb2.AUTOMATION_KIND_BOUNCE,
    "disposition-notification": message_pb2.AUTOMATION_KIND_RECEIPT,
    "global-disposition-notification": message_pb2.AUTOMATION_KIND_RECEIPT,
    "feedback-report": message_pb2.AUTOMATION_KIND_COMPLAINT,
}
_DAEMONS = frozenset({"mailer-daemon", "mail-daemon", "maildaemon", "mailerdaemon"})
_HOTMAIL_COMPLAINTS = "staff@hotmail.com"


def automation(headers: Headers, parts: Iterable[str] = ()) -> "message_pb2.AutomationKind.ValueType":
    """Tells what kind of machine wrote a mail, from its standard headers; the most telling mark wins.

    A report comes first, because reports carry the marks of automatic answers too (RFC 3834 5 leaves them to RFC 3464).
    The marks of the bounces of Exim, Google and Mail.ru come next for the same reason. The null reverse path alone
    comes after the explicit marks, because automatic answers are sent with it as well (RFC 3834 3.3).

    Args:
        headers: The mail's own fields.
        parts: The media types of the mail's parts, where the provider tells them: they name the kind of a report that
            does not name it itself.
    """
    report = _report(headers, parts)
    if report is None and _is_bounce_of_a_daemon(headers):
        return message_pb2.AUTOMATION_KIND_BOUNCE
    return _kind_by_marks(headers) if report is None else report


def _kind_by_marks(headers: Headers) -> "message_pb2.AutomationKind.ValueType":
    """The kind of a mail that is neither a report nor a bounce of a mailer daemon."""
    submitted = headers.word("Auto-Submitted")
    if submitted == "auto-replied" or _has_reply_marks(headers, submitted):
        return message_pb2.AUTOMATION_KIND_AUTO_REPLY
    if _has_null_path(headers):
        return message_pb2.AUTOMATION_KIND_BOUNCE
    if headers.has("List-Id") or headers.has("List-Unsubscribe"):
        return message_pb2.AUTOMATION_KIND_MAILING_LIST
    if submitted not in ("", "no") or headers.word("Precedence") in ("bulk", "junk"):
        return message_pb2.AUTOMATION_KIND_AUTO_GENERATED
    return message_pb2.AUTOMATION_KIND_UNSPECIFIED


def _report(headers: Headers, parts: Iterable[str]) -> "message_pb2.AutomationKind.ValueType | None":
    """The kind of a multipart/report (RFC 6522): delivery status, receipt (RFC 8098) or complaint (RFC 5965)."""
    content_type = headers.value("Content-Type")
    if content_type.main == "multipart/report":
        named = [content_type.word("report-type"), *(part.removeprefix("message/") for part in parts)]
        return next((_REPORTS[name] for name in named if name in _REPORTS), None)
    if content_type.main.startswith("message/"):
        return _REPORTS.get(content_type.main.removeprefix("message/"))
    is_hotmails = _HOTMAIL_COMPLAINTS in headers.first("From").lower() and headers.words("Subject").lower().startswith(
        "complaint"
    )
    return message_pb2.AUTOMATION_KIND_COMPLAINT if is_hotmails else None


def _is_bounce_of_a_daemon(headers: Headers) -> bool:
    """Marks of bounces that are no report, or that call themselves an automatic answer."""
    if headers.has("X-Failed-Recipients") or headers.has("X-MS-Exchange-Message-Is-Ndr"):
        return True
    is_from_nowhere = _has_null_path(headers) or not headers.has("Return-Path")
    if not is_from_nowhere or "daemon" not in headers.first("From").lower():
        return False
    return _author(headers).partition("@")[0] in _DAEMONS


def _author(headers: Headers) -> str:
    """The first address of From in lower case; of a daemon that gives no address, the name."""
    author = next(iter(parse_addresses(headers.first("From")[:MAX_FIELD_CHARACTERS], 1)), None)
    return (author.address or author.name).lower() if author else ""


def _has_null_path(headers: Headers) -> bool:
    if not headers.has("Return-Path"):
        return False
    path = without_comments(headers.first("Return-Path")[:MAX_FIELD_CHARACTERS])
    return "".join(path.split()) == "<>"


def _has_reply_marks(headers: Headers, submitted: str) -> bool:
    """`X-Auto-Response-Suppress` alone asks others to be silent; beside `Auto-Submitted` it is Exchange's answer."""
    if headers.word("X-Autoreply") not in ("", "no") or headers.first("X-Autorespond"):
        return True
    if headers.word("Precedence") in ("auto_reply", "auto-reply"):
        return True
    suppressed = {word.strip() for word in headers.first("X-Auto-Response-Suppress").lower().split(",")}
    return submitted == "auto-generated" and "all" in suppressed
