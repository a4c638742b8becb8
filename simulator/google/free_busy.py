"""Google's `freeBusy.query`: when calendars are busy, with errors for each one that the account does not see."""

from datetime import UTC, datetime

from simulator.google.calendars import calendars_of
from simulator.google.errors import api_error
from simulator.google.gmail import AUTH
from simulator.http import JSON, Call, NotSimulatedError, Operations, Reply
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.google_calendars import GoogleCalendar
from simulator.mailboxes.mailbox import MailboxError
from simulator.state import World

_SCOPES = tuple(
    f"{AUTH}{name}" for name in ("calendar", "calendar.readonly", "calendar.freebusy", "calendar.events.freebusy")
)
_FIELDS = ("timeMin", "timeMax", "items")


class FreeBusy:
    """The resource `freeBusy`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the resource to the provider's table."""
        operations.add("calendar.freebusy.query", "POST", "/calendar/v3/freeBusy", self.query, scopes=_SCOPES)

    def query(self, call: Call) -> Reply:
        """Return the busy times of calendars: the account's own, and the primary ones of others."""
        body = call.fields(_FIELDS)
        begin, end = (datetime.fromisoformat(str(body[name])).astimezone(UTC) for name in ("timeMin", "timeMax"))
        if not begin < end:
            raise api_error(400, "timeRangeEmpty", "The specified time range is empty.")
        found = {str(one["id"]): self._calendar(call, str(one["id"]), begin, end) for one in body["items"]}
        times = {"timeMin": _shown(begin), "timeMax": _shown(end)}
        return Reply(200, {"kind": "calendar#freeBusy", **times, "calendars": found})

    def _calendar(self, call: Call, name: str, begin: datetime, end: datetime) -> JSON:
        calendar = self._found(call, name)
        if calendar is None:
            return {"errors": [{"domain": "global", "reason": "notFound"}], "busy": []}
        busy = []
        for event in calendar.events.values():
            if event["status"] == "cancelled" or event.get("transparency") == "transparent":
                continue
            if "recurrence" in event or "date" in event["start"]:
                raise NotSimulatedError("the times of a series or of an all-day event in freeBusy")
            starts, ends = (
                datetime.fromisoformat(event[side]["dateTime"]).astimezone(UTC) for side in ("start", "end")
            )
            if starts < end and ends > begin:
                busy.append({"start": _shown(max(starts, begin)), "end": _shown(min(ends, end))})
        return {"busy": sorted(busy, key=lambda one: one["start"])}

    def _found(self, call: Call, name: str) -> GoogleCalendar | None:
        try:
            return calendars_of(call).find(name)
        except MailboxError:
            other = self._world.account(name, "googlews")
        if other is None or not isinstance(other.mailbox, GmailMailbox):
            return None
        return other.mailbox.calendars.find(other.address)


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
