"""Free and busy times by Microsoft Graph's `getSchedule`. A person without an answer has an error inside the 200.

Source: learn.microsoft.com, "calendar: getSchedule". The times are asked and answered in UTC; unlike a calendar view,
the answer has all-day events at the instants of their midnights.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.free_busy.query import Busy, Failure, Query, failed, instant, schedule_of
from services.processor.calendar.mapping.fields import clean, member, naive_time, objects, text, texts
from services.processor.calendar.mapping.graph_event import BUSY
from services.processor.calendar.mapping.graph_rules import DAYS
from services.processor.calendar.mapping.rules import WEEKDAYS
from services.processor.calendar.mapping.zones import resolve
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.provider_http import JSON

_UTC = "UTC"
_STEP = timedelta(minutes=30)
_ITEMS = {word: state for word, state in BUSY.items() if word != "free"} | {"unknown": event_pb2.EVENT_BUSY_UNSPECIFIED}
_VIEW = {
    "1": event_pb2.EVENT_BUSY_TENTATIVE,
    "2": event_pb2.EVENT_BUSY_BUSY,
    "3": event_pb2.EVENT_BUSY_OUT_OF_OFFICE,
    "4": event_pb2.EVENT_BUSY_WORKING_ELSEWHERE,
}
"""The states of `availabilityView`; 0 is free."""
_FAILURES = {
    "errormailrecipientnotfound": Failure.FREE_BUSY_FAILURE_NOT_FOUND,
    "errorinvalidsmtpaddress": Failure.FREE_BUSY_FAILURE_NOT_FOUND,
    "errornofreebusyaccess": Failure.FREE_BUSY_FAILURE_FORBIDDEN,
    "erroraccessdenied": Failure.FREE_BUSY_FAILURE_FORBIDDEN,
    "errorfreebusydllimitreached": Failure.FREE_BUSY_FAILURE_GROUP,
}


async def graph_free_busy(access: MailboxAccess, base_url: str, query: Query) -> list[pb2.FreeBusySchedule]:
    """Ask for the times of people, in the order of the question.

    Raises:
        SourceError: The whole question failed.
    """
    body = {
        "schedules": list(query.addresses),
        "startTime": {"dateTime": instant(query.window.begin), "timeZone": _UTC},
        "endTime": {"dateTime": instant(query.window.end), "timeZone": _UTC},
        "availabilityViewInterval": int(_STEP / timedelta(minutes=1)),
    }
    url = f"{base_url}/me/calendar/getSchedule"
    answer = await access.call("calendar_free_busy", url, method="POST", body=body)
    found = {text(one, "scheduleId").lower(): one for one in objects(answer, "value")}
    return [_schedule(address, found.get(address.lower()), query) for address in query.addresses]


def _schedule(address: str, found: JSON | None, query: Query) -> pb2.FreeBusySchedule:
    if found is None or member(found, "error"):
        code = text(member(found, "error"), "responseCode", 100)
        return failed(address, code, _FAILURES)
    times = list(_items(found)) or list(_viewed(text(found, "availabilityView"), query.window.begin))
    made = schedule_of(address, times, query.window)
    if hours := member(found, "workingHours"):
        made.working_hours.CopyFrom(_working_hours(hours))
    return made


def _items(found: JSON) -> Iterator[Busy]:
    for one in objects(found, "scheduleItems"):
        state = _ITEMS.get(text(one, "status").lower())
        start, end = (naive_time(text(member(one, name), "dateTime")) for name in ("start", "end"))
        if state is not None and start is not None and end is not None:
            yield Busy(start.replace(tzinfo=UTC), end.replace(tzinfo=UTC), state)


def _viewed(view: str, begin: datetime) -> Iterator[Busy]:
    """Yield the times of a view, which has one digit for each half hour; some people show no more than it."""
    start = 0
    for place in range(1, len(view) + 1):
        if place == len(view) or view[place] != view[start]:
            if view[start] in _VIEW:
                yield Busy(begin + start * _STEP, begin + place * _STEP, _VIEW[view[start]])
            start = place


def _working_hours(hours: JSON) -> pb2.WorkingHours:
    name = clean(text(member(hours, "timeZone"), "name", 100))
    zone, days = resolve(name), {one.lower() for one in texts(hours, "daysOfWeek", 20)}
    return pb2.WorkingHours(
        days_of_week=[WEEKDAYS[number] for day, number in DAYS.items() if day in days],
        start=_clock(hours, "startTime"),
        end=_clock(hours, "endTime"),
        iana_zone="" if zone is None else zone.iana,
        provider_zone=name,
    )


def _clock(hours: JSON, name: str) -> str:
    """Return a wall clock without its fractions, "08:00:00"; empty when it is malformed."""
    moment = naive_time(f"2000-01-01T{text(hours, name, 20)}")
    return "" if moment is None else moment.time().isoformat(timespec="seconds")
