"""Gmail's search: the operators that a program uses, over the mailbox from the newest mail on."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from simulator.eml import parsed
from simulator.google.errors import api_error
from simulator.mailboxes.gmail import GmailMail, GmailMailbox

Test = Callable[[GmailMail, GmailMailbox], bool]
_UNITS = {
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "m": timedelta(days=30),
    "y": timedelta(days=365),
}
_HIDDEN = frozenset({"SPAM", "TRASH"})


@dataclass(frozen=True, slots=True)
class Search:
    """A conjunction of tests; ``after_ms`` lets the walk end early."""

    tests: tuple[Test, ...]
    labels: frozenset[str]
    includes_trash: bool
    after_ms: int = 0

    @classmethod
    def read(cls, query: str, labels: list[str], *, includes_trash: bool) -> "Search":
        """Read a query.

        Raises:
            ApiError: 400, an operator is not understood.
        """
        tests: list[Test] = []
        after = 0
        try:
            words = shlex.split(query)
        except ValueError:
            words = query.split()
        for word in words:
            name, _, value = word.lstrip("-").partition(":")
            if name.lower() == "after" and not word.startswith("-"):
                after = max(after, _moment(value))
                continue
            test = _test(name.lower(), value) if value else _has_word(name)
            tests.append(_not(test) if word.startswith("-") else test)
        asks_for_trash = any(
            word.lower() in {"in:anywhere", "in:trash", "in:spam", "label:trash", "label:spam"} for word in words
        )
        return cls(
            tuple(tests), frozenset(labels), includes_trash or asks_for_trash or bool(_HIDDEN & set(labels)), after
        )

    def page(self, mailbox: GmailMailbox, token: str, size: int) -> tuple[list[GmailMail], str]:
        """Return one page of mails, newest first, and the token of the next, empty at the end."""
        start = _position(token) if token else None
        found: list[GmailMail] = []
        last = (0, 0)
        for position in mailbox.timeline.newest_first(start):
            if position[0] < self.after_ms:
                break
            mail = mailbox.mails[position[1]]
            if not self.matches(mail, mailbox):
                continue
            if len(found) == size:
                return found, f"{last[0]:020d}{last[1]}"
            found.append(mail)
            last = position
        return found, ""

    def matches(self, mail: GmailMail, mailbox: GmailMailbox) -> bool:
        """Return whether a mail passes."""
        if not self.includes_trash and _HIDDEN & mail.labels:
            return False
        return self.labels <= mail.labels and all(test(mail, mailbox) for test in self.tests)


def _position(token: str) -> tuple[int, int]:
    if not token.isdecimal() or len(token) < 21:
        raise api_error(400, "invalidArgument", "Invalid pageToken")
    return int(token[:20]), int(token[20:])


def _test(name: str, value: str) -> Test:
    simple: dict[str, Callable[[str], Test]] = {
        "in": _in,
        "label": _in,
        "is": _is,
        "from": lambda text: _in_header("From", text),
        "to": lambda text: _in_header("To", text),
        "cc": lambda text: _in_header("Cc", text),
        "subject": lambda text: lambda mail, _box: text.lower() in mail.source.subject.lower(),
        "rfc822msgid": lambda text: lambda mail, _box: mail.source.message_id.strip("<>") == text.strip("<>"),
        "has": lambda _text: lambda mail, _box: any(part.is_attachment() for part in parsed(mail.source).walk()),
        "before": lambda text: _before(_moment(text)),
        "older": lambda text: _before(_moment(text)),
        "newer": lambda text: _not(_before(_moment(text))),
        "newer_than": lambda text: lambda mail, box: mail.received_ms >= box.clock.milliseconds() - _span_ms(text),
        "older_than": lambda text: lambda mail, box: mail.received_ms < box.clock.milliseconds() - _span_ms(text),
    }
    if name not in simple:
        raise api_error(400, "invalidArgument", f"The simulator does not know the search operator {name}:")
    return simple[name](value)


def _not(test: Test) -> Test:
    return lambda mail, box: not test(mail, box)


def _before(moment_ms: int) -> Test:
    return lambda mail, _box: mail.received_ms < moment_ms


def _has_word(word: str) -> Test:
    return lambda mail, _box: (
        word.lower() in mail.source.subject.lower() or word.encode().lower() in mail.source.raw().lower()
    )


def _in_header(name: str, text: str) -> Test:
    return lambda mail, _box: text.lower() in parsed(mail.source).header(name).lower()


def _in(name: str) -> Test:
    if name.lower() == "anywhere":
        return lambda _mail, _box: True
    upper = name.upper()
    return lambda mail, box: (
        upper in mail.labels
        or any(value.lower() == name.lower() and key in mail.labels for key, value in box.user_labels.items())
    )


def _is(name: str) -> Test:
    if name.lower() == "read":
        return lambda mail, _box: "UNREAD" not in mail.labels
    return _in(name)


def _moment(text: str) -> int:
    """Return a date or epoch seconds in milliseconds; Gmail's dates are Pacific midnight, here they are UTC."""
    if text.isdecimal():
        return int(text) * 1000
    try:
        return int(datetime.strptime(text.replace("-", "/"), "%Y/%m/%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError as error:
        raise api_error(400, "invalidArgument", f"Invalid date {text}") from error


def _span_ms(text: str) -> int:
    match = re.fullmatch(r"(\d+)([hdwmy])", text)
    if match is None:
        raise api_error(400, "invalidArgument", f"Invalid span {text}")
    return int(int(match[1]) * _UNITS[match[2]].total_seconds() * 1000)
