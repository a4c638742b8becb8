"""Free and busy times by Google Calendar's `freeBusy.query`. A calendar without an answer has errors inside the 200.

Source: the discovery document of calendar v3, `freebusy.query`. Google knows busy alone, without its kind.
"""

from collections.abc import Iterator

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.free_busy.query import Busy, Failure, Query, failed, instant, schedule_of
from services.processor.calendar.mapping.fields import aware_time, member, objects, text
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.provider_http import JSON

_GROUP = "group"
_FAILURES = {
    "notfound": Failure.FREE_BUSY_FAILURE_NOT_FOUND,
    "forbidden": Failure.FREE_BUSY_FAILURE_FORBIDDEN,
    "grouptoobig": Failure.FREE_BUSY_FAILURE_GROUP,
    _GROUP: Failure.FREE_BUSY_FAILURE_GROUP,
}


async def google_free_busy(access: MailboxAccess, base_url: str, query: Query) -> list[pb2.FreeBusySchedule]:
    """Ask for the times of people and calendars, in the order of the question.

    Raises:
        SourceError: The whole question failed.
    """
    body = {
        "timeMin": f"{instant(query.window.begin)}Z",
        "timeMax": f"{instant(query.window.end)}Z",
        "items": [{"id": one} for one in query.addresses],
    }
    answer = await access.call("calendar_free_busy", f"{base_url}/freeBusy", method="POST", body=body)
    found = {name.lower(): one for name, one in member(answer, "calendars").items() if isinstance(one, dict)}
    groups = {name.lower() for name in member(answer, "groups")}
    return [
        failed(address, _GROUP, _FAILURES)
        if address.lower() in groups
        else _schedule(address, found.get(address.lower()), query)
        for address in query.addresses
    ]


def _schedule(address: str, found: JSON | None, query: Query) -> pb2.FreeBusySchedule:
    if found is None:
        return failed(address, "", _FAILURES)
    if errors := objects(found, "errors"):
        return failed(address, text(errors[0], "reason", 100), _FAILURES)
    return schedule_of(address, _periods(found), query.window)


def _periods(found: JSON) -> Iterator[Busy]:
    for one in objects(found, "busy"):
        start, end = aware_time(text(one, "start")), aware_time(text(one, "end"))
        if start is not None and end is not None:
            yield Busy(start, end, event_pb2.EVENT_BUSY_BUSY)
