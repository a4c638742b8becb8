"""Lists of messages: filtered, searched, ordered and in pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from simulator.http import Call, NotSimulatedError
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.graph_mail import GraphMail
from simulator.mailboxes.mailbox import Timeline
from simulator.microsoft.errors import graph_error
from simulator.microsoft.filters import Filter, Resolve
from simulator.microsoft.odata import boolean, number, seal, skipped, unseal
from simulator.microsoft.render import rendered
from simulator.microsoft.search import read_search

_MAX_TOP = 1000
_SEARCH_MAX = 1000
_ORDERS = frozenset({"receivedDateTime", "lastModifiedDateTime"})
_ADDRESSES = ("from", "sender")
FIELDS: dict[str, type] = {
    **{f"{name}/emailAddress/{part}": str for name in _ADDRESSES for part in ("address", "name")},
    **dict.fromkeys(("createdDateTime", "lastModifiedDateTime", "receivedDateTime", "sentDateTime"), datetime),
    **dict.fromkeys(("isRead", "isDraft", "hasAttachments"), bool),
    **dict.fromkeys(("conversationId", "flag/flagStatus", "importance", "inferenceClassification"), str),
    **dict.fromkeys(("internetMessageId", "parentFolderId", "subject", "categories", "bodyPreview"), str),
    **dict.fromkeys(("singleValueExtendedProperties", "singleValueExtendedProperties/id"), str),
    "singleValueExtendedProperties/value": str,
}
_REFUSED = ("toRecipients", "ccRecipients", "bccRecipients", "internetMessageHeaders", "body")


def read_filter(text: str) -> Filter:
    """Read a $filter over messages.

    Raises:
        ApiError: 400, Graph refuses it too.
        NotSimulatedError: The filter uses a property or function that the simulator does not know.
    """
    if name := next((name for name in _REFUSED if f"{name}/" in text), ""):
        message = f"The property {name} does not support filtering."
        raise graph_error(400, "ErrorInvalidUrlQueryFilter", message)
    return Filter.read(text, FIELDS)


def resolver(mail: GraphMail, box: GraphMailbox) -> Resolve:
    """Return how a filter finds the properties of a mail."""

    def resolve(path: str) -> Any:
        if path in _OF_MAIL:
            return _OF_MAIL[path](mail, box)
        facts = rendered(mail.source).facts
        head, *below = path.split("/")
        value = facts["sentMs"] if path == "sentDateTime" else facts[head]
        for name in below:
            value = value[name] if value else None
        return value

    return resolve


_OF_MAIL: dict[str, Any] = {
    "createdDateTime": lambda mail, _box: mail.received_ms // 1000 * 1000,
    "receivedDateTime": lambda mail, _box: mail.received_ms // 1000 * 1000,
    "lastModifiedDateTime": lambda mail, _box: mail.modified_ms // 1000 * 1000,
    "isRead": lambda mail, _box: mail.is_read,
    "isDraft": lambda mail, _box: mail.is_draft,
    "importance": lambda mail, _box: mail.importance,
    "inferenceClassification": lambda mail, _box: mail.classification,
    "categories": lambda mail, _box: mail.categories,
    "flag/flagStatus": lambda mail, _box: mail.flag_status,
    "internetMessageId": lambda mail, _box: mail.source.message_id,
    "subject": lambda mail, _box: mail.source.subject,
    "conversationId": lambda mail, box: box.conversation_id(mail),
    "parentFolderId": lambda mail, _box: mail.folder,
    "singleValueExtendedProperties": lambda mail, _box: mail.property_list(),
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One page.

    Attributes:
        mails: The messages of the page.
        following: The parameter that leads to the next page, and its value; empty on the last one.
        count: The number of messages on all pages, where the query asks for it.
    """

    mails: list[GraphMail]
    following: tuple[str, str]
    count: int | None


def listed(call: Call, mailbox: GraphMailbox, timeline: Timeline) -> Listed:
    """Return one page of a list of messages.

    As at Graph, the next page of a list is a position in it, so that a message which changes its place between two
    pages comes twice or moves another past the reader. A search goes on from its last message.

    Raises:
        ApiError: 400 for a query that Graph refuses too.
        NotSimulatedError: The query asks for something that the simulator does not know.
    """
    condition = read_filter(call.first("$filter"))
    order, is_ascending = _order(call, condition)
    search = read_search(call.first("$search")) if call.first("$search") else None
    if search and (call.first("$filter") or call.first("$orderby")):
        raise graph_error(400, "SearchWithFilter", "The query parameter $search goes with no $filter and no $orderby.")
    token = unseal(call.first("$skiptoken")) if call.first("$skiptoken") else {}

    def passing(start: tuple[int, int] | None) -> Iterator[tuple[tuple[int, int], GraphMail]]:
        positions = (
            _positions(timeline, condition, start, is_ascending=is_ascending)
            if order == "receivedDateTime"
            else _changes(mailbox, timeline, is_ascending=is_ascending)
        )
        for position in positions:
            mail = mailbox.mails[position[1]]
            if mailbox.is_listed(mail) and condition.matches(resolver(mail, mailbox)) and (not search or search(mail)):
                yield position, mail

    def found(start: tuple[int, int] | None) -> Iterator[tuple[tuple[int, int], GraphMail]]:
        """Yield what passes from a position on; a search ends after a thousand messages, however many pages it has."""
        if not search:
            yield from passing(start)
            return
        first = islice(passing(None), _SEARCH_MAX)
        yield from (one for one in first if start is None or one[0] < start)

    top, skip = number(call, "$top", 10, _MAX_TOP), 0 if token else skipped(call)
    mails, last = _page(found(tuple(token["k"]) if token else None), top, skip)
    count = sum(1 for _ in found(None)) if boolean(call, "$count") else None
    following = ("$skiptoken", seal({"k": last})) if search else ("$skip", str(skip + top))
    return Listed(mails, following if last else ("", ""), count)


def _page(
    found: Iterator[tuple[tuple[int, int], GraphMail]], top: int, skip: int
) -> tuple[list[GraphMail], tuple[int, int] | None]:
    """Return the mails of a page, and the position of the last one when another page follows."""
    mails: list[GraphMail] = []
    last: tuple[int, int] | None = None
    for number_, (position, mail) in enumerate(found):
        if number_ < skip:
            continue
        if len(mails) == top:
            return mails, last
        mails.append(mail)
        last = position
    return mails, None


def _order(call: Call, condition: Filter) -> tuple[str, bool]:
    """Return the property of the order, which a filter must then name first, and whether it ascends."""
    text = call.first("$orderby", "receivedDateTime desc")
    name, _, direction = text.partition(" ")
    if name not in _ORDERS or direction.strip().lower() not in {"", "asc", "desc"}:
        raise NotSimulatedError(f"the order {text} in $orderby")
    if call.first("$orderby") and condition.names and condition.names[0] != name:
        raise graph_error(400, "InefficientFilter", "The restriction or sort order is too complex for this operation.")
    return name, direction.strip().lower() != "desc"


def _changes(mailbox: GraphMailbox, timeline: Timeline, *, is_ascending: bool) -> list[tuple[int, int]]:
    """Return the positions of a timeline in the order of the last change."""
    return sorted(
        timeline.newest_first(),
        key=lambda position: (mailbox.mails[position[1]].modified_ms, position[1]),
        reverse=not is_ascending,
    )


def _positions(
    timeline: Timeline, condition: Filter, start: tuple[int, int] | None, *, is_ascending: bool
) -> Iterator[tuple[int, int]]:
    """Walk the timeline from a position or the filter's bound to where nothing more can match."""
    low = condition.bound("receivedDateTime", "ge", "gt", "eq")
    high = condition.bound("receivedDateTime", "le", "lt", "eq")
    if is_ascending:
        for position in timeline.oldest_first(start or ((low, -1) if low is not None else None)):
            if high is not None and position[0] > high + 1000:
                return
            yield position
        return
    for position in timeline.newest_first(start or ((high + 1000, 0) if high is not None else None)):
        if low is not None and position[0] < low:
            return
        yield position
