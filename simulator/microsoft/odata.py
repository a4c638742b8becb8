"""The part of OData that Graph's mail answers to."""

import base64
import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator.http import Call
from simulator.mailboxes.graph import GraphMail, GraphMailbox
from simulator.mailboxes.mailbox import Timeline
from simulator.microsoft.errors import graph_error
from simulator.microsoft.render import View

_CONDITION = re.compile(r"\s*(\w+)\s+(eq|ne|ge|gt|le|lt)\s+('(?:[^']|'')*'|\S+)\s*", re.IGNORECASE)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
}
_MAX_TOP = 1000


def seal(state: dict[str, Any]) -> str:
    """Return an opaque token that holds a state."""
    return base64.urlsafe_b64encode(json.dumps(state, separators=(",", ":")).encode()).decode().rstrip("=")


def unseal(token: str) -> dict[str, Any]:
    """Return the state in an opaque token.

    Raises:
        ApiError: 400, the token is not one of ours.
    """
    try:
        state = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError as error:
        raise graph_error(400, "BadRequest", "The token is malformed.") from error
    if not isinstance(state, dict):
        raise graph_error(400, "BadRequest", "The token is malformed.")
    return state


def parse_time(text: str) -> datetime:
    """Read a time in any of the spellings Graph takes: offsets, and up to seven fractional digits.

    Raises:
        ValueError: It is not a time.
    """
    text = re.sub(r"(\.\d{6})\d+", r"\1", text.strip().strip("'"))
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def number(call: Call, name: str, default: int, most: int) -> int:
    """Return a number from the query, at least 1 and at most ``most``.

    Raises:
        ApiError: 400, it is not a number.
    """
    text = call.first(name)
    if text and not text.isdecimal():
        raise graph_error(400, "BadRequest", f"Invalid value '{text}' for {name}.")
    return max(1, min(int(text or default), most))


def selected(text: str) -> tuple[str, ...]:
    """Return the names in a $select."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def view_for(call: Call, mailbox: GraphMailbox, select: str | None = None) -> View:
    """Return the view that a request's preferences and $select ask for."""
    preferences = call.preferences()
    body_type = preferences.get("outlook.body-content-type", "").lower()
    return View(
        mailbox,
        is_immutable=wants_immutable(call),
        body_type=body_type if body_type in {"text", "html"} else "",
        select=selected(call.first("$select") if select is None else select),
    )


def wants_immutable(call: Call) -> bool:
    """Return whether the request prefers immutable ids."""
    return call.preferences().get("idtype", "").lower() == "immutableid"


def applied(call: Call) -> dict[str, str]:
    """Return the Preference-Applied header for a request."""
    names = [part.strip() for part in call.headers.get("prefer", "").split(",") if part.strip()]
    return {"preference-applied": ", ".join(names)} if names else {}


@dataclass(frozen=True, slots=True)
class Filter:
    """A conjunction of simple comparisons."""

    conditions: tuple[tuple[str, str, Any], ...]

    @classmethod
    def read(cls, text: str) -> "Filter":
        """Read a $filter.

        Raises:
            ApiError: 400, it says something that is not understood.
        """
        found = []
        for piece in re.split(r"\s+and\s+", text) if text.strip() else []:
            match = _CONDITION.fullmatch(piece.strip().removeprefix("(").removesuffix(")"))
            if match is None or match[1] not in _FIELDS:
                raise graph_error(
                    400, "ErrorInvalidUrlQueryFilter", f"The query filter contains one or more invalid nodes: {piece}"
                )
            found.append((match[1], match[2].lower(), _value(match[1], match[3])))
        return cls(tuple(found))

    def names(self) -> list[str]:
        """Return the fields it speaks of, in order."""
        return [name for name, _, _ in self.conditions]

    def matches(self, mail: GraphMail, mailbox: GraphMailbox) -> bool:
        """Return whether a mail passes."""
        return all(_COMPARE[compared](_FIELDS[name](mail, mailbox), value) for name, compared, value in self.conditions)

    def bound(self, *operators: str) -> int | None:
        """Return a bound on the time of receipt in milliseconds, if there is one by these operators."""
        return next(
            (
                int(value)
                for name, operator, value in self.conditions
                if name == "receivedDateTime" and operator in operators
            ),
            None,
        )


_FIELDS: dict[str, Callable[[GraphMail, GraphMailbox], Any]] = {
    "receivedDateTime": lambda mail, _box: mail.received_ms // 1000 * 1000,
    "isRead": lambda mail, _box: mail.is_read,
    "isDraft": lambda mail, _box: mail.is_draft,
    "importance": lambda mail, _box: mail.importance,
    "internetMessageId": lambda mail, _box: mail.source.message_id,
    "conversationId": lambda mail, box: box.conversation_id(mail),
    "parentFolderId": lambda mail, _box: mail.folder,
    "subject": lambda mail, _box: mail.source.subject,
}


def _value(name: str, text: str) -> Any:
    if name == "receivedDateTime":
        try:
            return int(parse_time(text).timestamp() * 1000)
        except ValueError as error:
            raise graph_error(400, "ErrorInvalidUrlQueryFilter", f"Invalid time {text}.") from error
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    return text[1:-1].replace("''", "'") if text.startswith("'") else text


def listed(call: Call, mailbox: GraphMailbox, timeline: Timeline, default_top: int = 10) -> tuple[list[GraphMail], str]:
    """Return one page of a list of messages and the token of the next page, empty at the end.

    Raises:
        ApiError: 400 for a query that Graph refuses too.
    """
    condition = Filter.read(call.first("$filter"))
    order = call.first("$orderby", "receivedDateTime desc").split()
    if order[0] not in {"receivedDateTime", "receivedDateTime,"} or (
        call.first("$orderby") and condition.conditions and condition.names()[0] != order[0]
    ):
        raise graph_error(400, "InefficientFilter", "The restriction or sort order is too complex for this operation.")
    is_ascending = len(order) < 2 or order[1].lower() == "asc"
    top = number(call, "$top", default_top, _MAX_TOP)
    start = unseal(call.first("$skiptoken")).get("k") if call.first("$skiptoken") else None
    return _scan(mailbox, timeline, condition, tuple(start) if start else None, top, is_ascending=is_ascending)


def _scan(
    mailbox: GraphMailbox,
    timeline: Timeline,
    condition: Filter,
    start: tuple[int, int] | None,
    top: int,
    *,
    is_ascending: bool,
) -> tuple[list[GraphMail], str]:
    """Walk the timeline from a position, or from the bound in the filter, and stop where nothing more can match."""
    low, high = condition.bound("ge", "gt"), condition.bound("le", "lt")
    if is_ascending:
        positions = timeline.oldest_first(start or ((low, -1) if low is not None else None))
    else:
        positions = timeline.newest_first(start or ((high + 1000, 0) if high is not None else None))
    found: list[GraphMail] = []
    last: tuple[int, int] | None = None
    for position in positions:
        if (is_ascending and high is not None and position[0] > high + 1000) or (
            not is_ascending and low is not None and position[0] < low
        ):
            break
        mail = mailbox.mails[position[1]]
        if not condition.matches(mail, mailbox):
            continue
        if len(found) == top:
            return found, seal({"k": last})
        found.append(mail)
        last = position
    return found, ""
