"""Control of the calendars of accounts: those of Microsoft here, those of Google in their own fields."""

from collections.abc import Callable
from typing import Any

from simulator.control.actions import Actions, ControlError, account_of, flag
from simulator.control.google_calendars import GoogleCalendarControl
from simulator.http import JSON
from simulator.mailboxes.calendar_events import Calendar, CalendarEvent
from simulator.mailboxes.calendars import FIELDS, Calendars
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.graph import GraphMailbox
from simulator.microsoft.calendar_writes import invite
from simulator.state import World


class CalendarControl:
    """The actions on calendars and their events."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._google = GoogleCalendarControl(world)

    def register(self, actions: Actions) -> None:
        """Add the actions to the table."""
        many = "/control/accounts/{account}/calendars"
        events = f"{many}/{{calendar}}/events"
        actions.add("calendars.list", "GET", many, self._of("every"))
        actions.add("calendars.add", "POST", many, self._of("add"))
        actions.add("calendars.remove", "DELETE", f"{many}/{{calendar}}", self._of("remove"))
        actions.add("events.create", "POST", events, self._of("create"))
        actions.add("events.update", "PATCH", f"{events}/{{event}}", self._of("update"))
        actions.add("events.delete", "DELETE", f"{events}/{{event}}", self._of("delete"))
        actions.add("events.cancel", "POST", f"{events}/{{event}}/cancel", self._of("cancel"))
        actions.add("events.change", "POST", f"{events}/{{event}}/instances", self._of("change_instance"))

    def _of(self, name: str) -> Callable[[JSON], Any]:
        """Return an action that is carried out in the fields of the account's provider."""
        microsoft, google = getattr(self, name), getattr(self._google, name)

        def act(body: JSON) -> Any:
            is_google = isinstance(account_of(self._world, body).mailbox, GmailMailbox)
            return google(body) if is_google else microsoft(body)

        return act

    def every(self, body: JSON) -> list[JSON]:
        """Return an account's calendars with their events, and the notices of all its writes."""
        calendars = self._calendars(body)
        return [{**_shown(one), "told": calendars.told} for one in calendars.by_id.values()]

    def add(self, body: JSON) -> JSON:
        """Add a calendar: ``name``, ``owner`` for a shared one, ``canEdit``."""
        owner = str(body.get("owner") or account_of(self._world, body).address)
        can_edit = flag(body, "canEdit", default=True)
        return _shown(self._calendars(body).add(str(body.get("name", "Team")), owner, can_edit=can_edit))

    def remove(self, body: JSON) -> JSON:
        """Remove a calendar, as an owner who withdraws a share does."""
        calendars = self._calendars(body)
        return {"removed": calendars.by_id.pop(calendars.find(str(body["calendar"])).id).id}

    def create(self, body: JSON) -> JSON:
        """Add an event of Graph's fields; ``start`` and ``end`` are a wall clock in UTC, ``body`` is text.

        ``iCalUId`` is its UID, as an invitation from elsewhere gives it one.
        """
        uid = str(body.pop("iCalUId", ""))
        calendars, calendar = self._found(body)
        made = calendars.create(calendar, _fields(body), uid)
        invite(self._world, made, account_of(self._world, body).address)
        return _event(made)

    def update(self, body: JSON) -> JSON:
        """Change fields of an event."""
        calendars, calendar = self._found(body)
        event = calendars.event(calendar, str(body["event"]))
        return _event(calendars.update(calendar, event, _fields(body)))

    def delete(self, body: JSON) -> JSON:
        """Delete an event, a series with its instances, or one changed instance."""
        calendars, calendar = self._found(body)
        event = calendars.event(calendar, str(body["event"]))
        calendars.delete(calendar, event)
        return {"deleted": event.id}

    def cancel(self, body: JSON) -> JSON:
        """Delete the instance of a series on a local ``day``."""
        calendars, calendar = self._found(body)
        master = calendars.event(calendar, str(body["event"]))
        calendars.cancel(calendar, master, str(body["day"]))
        return _event(master)

    def change_instance(self, body: JSON) -> JSON:
        """Change the instance of a series on a local ``day`` that it begins at ``original``, in UTC."""
        calendars, calendar = self._found(body)
        master = calendars.event(calendar, str(body["event"]))
        day, original = str(body["day"]), str(body["original"])
        return _event(calendars.change_instance(calendar, master, day, original, _fields(body)))

    def _calendars(self, body: JSON) -> Calendars:
        mailbox = account_of(self._world, body).mailbox
        if not isinstance(mailbox, GraphMailbox):
            raise ControlError(400, "the account is not Microsoft's")
        return mailbox.calendars

    def _found(self, body: JSON) -> tuple[Calendars, Calendar]:
        calendars = self._calendars(body)
        return calendars, calendars.find(str(body["calendar"]))


def _fields(body: JSON) -> JSON:
    route = {"account", "calendar", "event", "day", "original", "provider"}
    if unknown := sorted(body.keys() - FIELDS - route):
        raise ControlError(400, f"no field {unknown[0]} of an event")
    return {name: value for name, value in body.items() if name in FIELDS}


def _shown(calendar: Calendar) -> JSON:
    return {
        "id": calendar.id,
        "name": calendar.name,
        "owner": calendar.owner,
        "isDefault": calendar.is_default,
        "events": [_event(one) for one in calendar.events.values()],
    }


def _event(event: CalendarEvent) -> JSON:
    return {
        "id": event.id,
        "type": event.kind,
        "version": event.version,
        "subject": event.fields["subject"],
        "response": event.fields["responseStatus"]["response"],
        "attendees": {
            one["emailAddress"]["address"]: one.get("status", {}).get("response", "none")
            for one in event.fields["attendees"]
        },
    }
