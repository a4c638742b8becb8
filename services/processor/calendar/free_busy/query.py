"""The question for the free and busy times of people: its bounds, and the answer for each of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import check_id
from services.processor.calendar.mapping.fields import timestamp
from services.processor.calendar.reading import Window, window_of

MAX_PEOPLE = 20
"""The number of mailboxes that one `getSchedule` takes; Google takes 50 calendars."""
LONGEST = timedelta(days=31)
MAX_TIMES = 1000
"""The largest number of busy times of one person in an answer."""
_ADDRESS_CHARACTERS = 320
Failure = pb2.FreeBusyFailure


@dataclass(frozen=True)
class Query:
    """A checked question.

    Args:
        tenant_id: The tenant whose account asks.
        addresses: The people, rooms and calendars, in the order of the request, each once.
        window: The window.
    """

    tenant_id: str
    addresses: tuple[str, ...]
    window: Window


@dataclass(frozen=True)
class Busy:
    """A busy time.

    Args:
        start: Its beginning.
        end: The time behind it.
        state: The state.
    """

    start: datetime
    end: datetime
    state: "event_pb2.EventBusy.ValueType"


def query_of(request: pb2.QueryFreeBusyRequest) -> Query:
    """Check a question.

    Raises:
        FieldInvalid: A field is missing, malformed or out of its range.
    """
    tenant_id, addresses = check_id("tenant_id", request.tenant_id), tuple(dict.fromkeys(request.addresses))
    if not 1 <= len(request.addresses) <= MAX_PEOPLE:
        raise FieldInvalid.of("addresses", f"must have 1 to {MAX_PEOPLE} addresses")
    if not all(_is_address(one) for one in addresses):
        raise FieldInvalid.of("addresses", "must be addresses local@domain in ASCII, of at most 320 characters")
    window = window_of(request.window_start, request.window_end)
    if not timedelta() < window.end - window.begin <= LONGEST:
        raise FieldInvalid.of("window_end", f"must be after window_start, by at most {LONGEST.days} days")
    return Query(tenant_id, addresses, window)


def schedule_of(address: str, found: Iterable[Busy], window: Window) -> pb2.FreeBusySchedule:
    """Return a person's busy times within a window, by start; at most `MAX_TIMES` of them."""
    inside = [
        Busy(max(one.start, window.begin), min(one.end, window.end), one.state)
        for one in found
        if one.start < window.end and one.end > window.begin
    ]
    inside.sort(key=lambda one: (one.start, one.end, one.state))
    made = pb2.FreeBusySchedule(address=address, is_cut=len(inside) > MAX_TIMES)
    for one in inside[:MAX_TIMES]:
        made.busy_times.add(start=timestamp(one.start), end=timestamp(one.end), busy=one.state)
    return made


def failed(address: str, code: str, failures: Mapping[str, "pb2.FreeBusyFailure.ValueType"]) -> pb2.FreeBusySchedule:
    """Return the answer for a person whose times the provider does not give.

    Args:
        address: The person.
        code: The provider's word; empty where it left the person out.
        failures: The failures by the provider's words, in lower case.
    """
    failure = failures.get(code.lower(), Failure.FREE_BUSY_FAILURE_UNAVAILABLE)
    detail = code or "the provider left the address out of its answer"
    return pb2.FreeBusySchedule(address=address, failure=failure, detail=detail)


def instant(moment: datetime) -> str:
    """Return a time in UTC as both providers take it."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def _is_address(value: str) -> bool:
    local, at, domain = value.partition("@")
    is_plain = value.isascii() and value.isprintable() and " " not in value
    return is_plain and bool(local and at and domain) and "@" not in domain and len(value) <= _ADDRESS_CHARACTERS
