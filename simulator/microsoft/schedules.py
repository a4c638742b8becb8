"""Graph's `getSchedule`: when people are busy, with an error for each one who has no mailbox here."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from simulator.http import JSON, Call, NotSimulatedError, Operations, Reply
from simulator.mailboxes.calendar_events import CalendarEvent
from simulator.mailboxes.graph import GraphMailbox
from simulator.microsoft.calendar_writes import utc_clock
from simulator.microsoft.errors import graph_error
from simulator.microsoft.graph import USER
from simulator.state import World

_READ = ("Calendars.ReadBasic", "Calendars.Read", "Calendars.ReadWrite")
_FIELDS = ("schedules", "startTime", "endTime", "availabilityViewInterval")
_PEOPLE_MAX = 20
_INTERVALS = (5, 1440)
_USUAL_INTERVAL = 30
_VIEW = {"free": "0", "tentative": "1", "busy": "2", "oof": "3", "workingElsewhere": "4"}
_WORKING_HOURS: JSON = {
    "daysOfWeek": ["monday", "tuesday", "wednesday", "thursday", "friday"],
    "startTime": "08:00:00.0000000",
    "endTime": "17:00:00.0000000",
    "timeZone": {"@odata.type": "#microsoft.graph.timeZoneBase", "name": "Pacific Standard Time"},
}


class Schedules:
    """The action `getSchedule`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the action to the provider's table."""
        operations.add("graph.schedules.get", "POST", f"{USER}/calendar/getSchedule", self.get, scopes=_READ)

    def get(self, call: Call) -> Reply:
        """Return the times of people, each with an error of its own where there are none."""
        body = call.fields(_FIELDS, in_any_case=True)
        begin, end = (datetime.fromisoformat(utc_clock(body[name])[0]) for name in ("startTime", "endTime"))
        step = int(body.get("availabilityViewInterval", _USUAL_INTERVAL))
        names = [str(name) for name in body["schedules"]]
        if not begin < end or not _INTERVALS[0] <= step <= _INTERVALS[1] or len(names) > _PEOPLE_MAX:
            raise graph_error(400, "ErrorInvalidParameter", "The period, the interval or the number is out of range.")
        value = [self._schedule(name, begin, end, timedelta(minutes=step)) for name in names]
        return Reply(200, {"value": value})

    def _schedule(self, name: str, begin: datetime, end: datetime, step: timedelta) -> JSON:
        account = self._world.account(name, "ms365")
        if account is None or not isinstance(account.mailbox, GraphMailbox):
            error = {"message": f"Unable to resolve {name}.", "responseCode": "ErrorMailRecipientNotFound"}
            return {"scheduleId": name, "error": error}
        calendar = next(iter(account.mailbox.calendars.by_id.values()))
        events = [one for one in calendar.events.values() if _overlaps(one, begin, end)]
        if any(one.kind == "seriesMaster" for one in events):
            raise NotSimulatedError("the times of a series in getSchedule")
        return {
            "scheduleId": name,
            "availabilityView": _view(events, begin, end, step),
            "scheduleItems": [_item(one) for one in events],
            "workingHours": _WORKING_HOURS,
        }


def _overlaps(event: CalendarEvent, begin: datetime, end: datetime) -> bool:
    starts, ends = _times(event)
    return not event.fields["isCancelled"] and starts < end and ends > begin


def _times(event: CalendarEvent) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(event.fields["start"]), datetime.fromisoformat(event.fields["end"])


def _item(event: CalendarEvent) -> JSON:
    times = {name: {"dateTime": f"{event.fields[name]}.0000000", "timeZone": "UTC"} for name in ("start", "end")}
    return {"isPrivate": False, "status": event.fields["showAs"], "subject": event.fields["subject"], **times}


def _view(events: Sequence[CalendarEvent], begin: datetime, end: datetime, step: timedelta) -> str:
    """Return one digit for each interval: that of the busiest event in it."""
    digits = []
    while begin < end:
        found = [_VIEW.get(one.fields["showAs"], "0") for one in events if _overlaps(one, begin, begin + step)]
        digits.append(max(found, default="0"))
        begin += step
    return "".join(digits)
