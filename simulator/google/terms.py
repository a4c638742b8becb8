"""The single terms of Gmail's search (Gmail help, search operators)."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone

from simulator.eml import Part, parsed
from simulator.google.errors import api_error
from simulator.google.render import size
from simulator.http import NotSimulatedError
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.gmail_mail import GmailMail

Test = Callable[[GmailMail, GmailMailbox], bool]
_WORD = re.compile(r'\s*([(){}|]|-(?=\S)|\w+:(?=[({])|\w+:"[^"]*"|"[^"]*"|[^\s(){}"|]+)')
_UNITS = {
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "m": timedelta(days=30),
    "y": timedelta(days=365),
}
_BYTES = {"": 1, "k": 1024, "kb": 1024, "m": 1024**2, "mb": 1024**2}
_PLACES = frozenset({"inbox", "trash", "spam", "sent", "draft", "drafts", "anywhere", "chats"})


def words(query: str) -> list[str]:
    """Return a query's terms and signs; a quoted phrase is one term and keeps its quotes."""
    found: list[str] = []
    at = 0
    while at < len(query.rstrip()):
        match = _WORD.match(query, at)
        if match is None:
            raise api_error(400, "invalidArgument", f"The query is malformed: {query[at:]}")
        found.append(match[1])
        at = match.end()
    return found


def any_of(tests: Iterable[Test]) -> Test:
    """Return the test that passes with one of these."""
    found = list(tests)
    return found[0] if len(found) == 1 else lambda mail, box: any(test(mail, box) for test in found)


def negated(test: Test) -> Test:
    """Return the opposite."""
    return lambda mail, box: not test(mail, box)


def term(text: str, operator: str = "") -> Test:
    """Return the test for one term; ``operator`` is that of the group around it.

    Raises:
        ApiError: 400, its value is malformed.
        NotSimulatedError: The simulator does not know its operator.
    """
    if text.startswith('"'):
        name, value = operator, text.strip('"')
    else:
        name, separator, value = text.lstrip("+").partition(":")
        if not separator or not re.fullmatch(r"\w+", name):
            name, value = operator, text.lstrip("+")
        value = value.strip('"')
    if not name:
        return _has_word(value)
    if name.lower() not in _OPERATORS:
        raise NotSimulatedError(f"the search operator {name}:")
    return _OPERATORS[name.lower()](value)


def _header(name: str) -> Callable[[str], Test]:
    return lambda text: lambda mail, _box: text.lower() in parsed(mail.source).header(name).lower()


def _has_word(word: str) -> Test:
    return lambda mail, _box: (
        word.lower() in mail.source.subject.lower()
        or any(word.lower() in text.lower() for text in _texts(parsed(mail.source)))
    )


def _texts(root: Part) -> Iterable[str]:
    yield from (root.header(name) for name in ("From", "To", "Cc", "Reply-To"))
    yield from (part.text() for part in root.walk() if part.content_type.startswith("text/"))
    yield from (part.filename for part in root.walk())


def _labelled(name: str) -> Test:
    """Return whether a mail has a label, by id or by name, where a hyphen may stand for a space or a slash."""
    upper, plain = name.upper(), _plain(name)
    return lambda mail, box: (
        upper in mail.labels
        or any(_plain(value) == plain and key in mail.labels for key, value in box.user_labels.items())
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s/]", "-", name.lower())


def _in(name: str) -> Test:
    if name.lower() == "anywhere":
        return lambda _mail, _box: True
    if name.lower() == "snoozed":
        raise NotSimulatedError("the search in:snoozed")
    return _labelled({"drafts": "DRAFT", "chats": "CHAT"}.get(name.lower(), name))


def _is(name: str) -> Test:
    if name.lower() == "read":
        return negated(_labelled("UNREAD"))
    if name.lower() not in {"unread", "starred", "important", "chat"} and name.lower() not in _PLACES:
        raise NotSimulatedError(f"the search is:{name}")
    return _in(name)


def _has(name: str) -> Test:
    if name.lower() == "attachment":
        return lambda mail, _box: any(part.is_attachment() for part in parsed(mail.source).walk())
    if name.lower() in {"userlabels", "nouserlabels"}:
        wants = name.lower() == "userlabels"
        return lambda mail, box: bool(mail.labels & box.user_labels.keys()) == wants
    raise NotSimulatedError(f"the search has:{name}")


def _filename(text: str) -> Test:
    return lambda mail, _box: any(text.lower() in part.filename.lower() for part in parsed(mail.source).walk())


def _category(name: str) -> Test:
    known = {"primary": "personal"}.get(name.lower(), name.lower())
    return _labelled(f"CATEGORY_{known.upper()}")


def _message_id(text: str) -> Test:
    return lambda mail, _box: mail.source.message_id.strip("<>") == text.strip("<>")


def _before(moment_ms: int) -> Test:
    return lambda mail, _box: mail.received_ms < moment_ms


def moment(text: str) -> int:
    """Return a date or epoch seconds in milliseconds.

    Raises:
        ApiError: 400, it is neither.
    """
    if text.isdecimal() and len(text) > 4:
        return int(text) * 1000
    for form in ("%Y/%m/%d", "%m/%d/%Y"):
        try:
            given = datetime.strptime(text.replace("-", "/"), form)  # noqa: DTZ007 - its zone depends on the date
            return int(pacific(given).timestamp() * 1000)
        except ValueError:
            continue
    raise api_error(400, "invalidArgument", f"Invalid date {text}")


def pacific(midnight: datetime) -> datetime:
    """Return a midnight in the Pacific zone, which Gmail means by a date; summer lasts from March to November there."""
    first, last = _sunday(midnight.year, 3, 8), _sunday(midnight.year, 11, 1)
    hours = 7 if first < midnight <= last else 8
    return midnight.replace(tzinfo=timezone(-timedelta(hours=hours)))


def _sunday(year: int, month: int, day: int) -> datetime:
    """Return the first Sunday from a day on."""
    start = datetime(year, month, day)  # noqa: DTZ001 - compared with dates that have no zone yet
    return start + timedelta(days=6 - start.weekday())


def _span_ms(text: str) -> int:
    match = re.fullmatch(r"(\d+)([hdwmy])", text.lower())
    if match is None:
        raise api_error(400, "invalidArgument", f"Invalid span {text}")
    return int(int(match[1]) * _UNITS[match[2]].total_seconds() * 1000)


def _younger(text: str) -> Test:
    span = _span_ms(text)
    return lambda mail, box: mail.received_ms >= box.clock.milliseconds() - span


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)(kb?|mb?|)", text.lower())
    if match is None:
        raise api_error(400, "invalidArgument", f"Invalid size {text}")
    return int(match[1]) * _BYTES[match[2]]


def _larger(text: str) -> Test:
    least = _bytes(text)
    return lambda mail, _box: size(mail.source) >= least


_OPERATORS: dict[str, Callable[[str], Test]] = {
    "in": _in,
    "label": _labelled,
    "is": _is,
    "has": _has,
    "category": _category,
    "from": _header("From"),
    "to": _header("To"),
    "cc": _header("Cc"),
    "bcc": _header("Bcc"),
    "list": _header("List-Id"),
    "deliveredto": _header("Delivered-To"),
    "subject": lambda text: lambda mail, _box: text.lower() in mail.source.subject.lower(),
    "filename": _filename,
    "rfc822msgid": _message_id,
    "after": lambda text: negated(_before(moment(text))),
    "newer": lambda text: negated(_before(moment(text))),
    "before": lambda text: _before(moment(text)),
    "older": lambda text: _before(moment(text)),
    "newer_than": _younger,
    "older_than": lambda text: negated(_younger(text)),
    "larger": _larger,
    "size": _larger,
    "smaller": lambda text: negated(_larger(text)),
}
