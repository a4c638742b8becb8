"""Control of the calendars of Google accounts."""

from simulator.control.actions import ControlError, account_of, flag
from simulator.google.calendar_writes import invite
from simulator.http import JSON
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.google_calendars import FIELDS, GoogleCalendar, GoogleCalendars
from simulator.state import World

_ROUTE = frozenset({"account", "calendar", "event", "original", "provider"})


class GoogleCalendarControl:
    """The actions on calendars and their events, in Google's fields."""

    def __init__(self, world: World) -> None:
        self._world = world

    def every(self, body: JSON) -> list[JSON]:
        """Return an account's calendars with their events, and the notices of all its writes."""
        calendars = self._calendars(body)
        return [{**_shown(one), "told": calendars.told} for one in calendars.by_id.values()]

    def add(self, body: JSON) -> JSON:
        """Add a calendar: ``name``, ``owner`` for a shared one, ``role``, ``pushes``."""
        owner, role = str(body.get("owner") or account_of(self._world, body).address), str(body.get("role", "owner"))
        name, pushes = str(body.get("name", "Team")), flag(body, "pushes", default=True)
        return _shown(self._calendars(body).add(name, owner, role=role, pushes=pushes))

    def remove(self, body: JSON) -> JSON:
        """Remove a calendar, as an owner who withdraws a share does."""
        calendars = self._calendars(body)
        found = calendars.find(str(body["calendar"]))
        calendars.remove(found)
        return {"removed": found.id}

    def create(self, body: JSON) -> JSON:
        """Add an event of Google's fields; ``iCalUID`` is its UID, as an invitation from elsewhere gives it one."""
        uid = str(body.pop("iCalUID", ""))
        calendars, calendar = self._found(body)
        made = calendars.create(calendar, _fields(body), uid=uid)
        invite(self._world, made, calendar.id)
        return _event(made)

    def update(self, body: JSON) -> JSON:
        """Change fields of an event; null removes one."""
        calendars, calendar = self._found(body)
        return _event(calendars.update(calendar, calendars.event(calendar, str(body["event"])), _fields(body)))

    def delete(self, body: JSON) -> JSON:
        """Delete an event, or a series with its changed instances."""
        calendars, calendar = self._found(body)
        event = calendars.event(calendar, str(body["event"]))
        calendars.delete(calendar, event)
        return {"deleted": event["id"]}

    def cancel(self, body: JSON) -> JSON:
        """Cancel the instance of a series with the ``original`` start."""
        calendars, calendar = self._found(body)
        master = calendars.event(calendar, str(body["event"]))
        return _event(calendars.change_instance(calendar, master, body["original"], {"status": "cancelled"}))

    def change_instance(self, body: JSON) -> JSON:
        """Change the instance of a series with the ``original`` start."""
        calendars, calendar = self._found(body)
        master = calendars.event(calendar, str(body["event"]))
        return _event(calendars.change_instance(calendar, master, body["original"], _fields(body)))

    def _calendars(self, body: JSON) -> GoogleCalendars:
        mailbox = account_of(self._world, body).mailbox
        if not isinstance(mailbox, GmailMailbox):
            raise ControlError(400, "the account is not Google's")
        return mailbox.calendars

    def _found(self, body: JSON) -> tuple[GoogleCalendars, GoogleCalendar]:
        calendars = self._calendars(body)
        return calendars, calendars.find(str(body["calendar"]))


def _fields(body: JSON) -> JSON:
    if unknown := sorted(body.keys() - FIELDS - _ROUTE):
        raise ControlError(400, f"no field {unknown[0]} of an event")
    return {name: value for name, value in body.items() if name in FIELDS}


def _shown(calendar: GoogleCalendar) -> JSON:
    return {
        "id": calendar.id,
        "name": calendar.name,
        "owner": calendar.owner,
        "isDefault": calendar.is_primary,
        "events": [_event(one) for one in calendar.events.values()],
    }


def _event(event: JSON) -> JSON:
    return {
        "id": event["id"],
        "status": event["status"],
        "etag": event["etag"],
        "subject": event.get("summary", ""),
        "attendees": {one["email"]: one.get("responseStatus", "") for one in event.get("attendees", ())},
    }
