"""Graph's calendars: their list, events, one event with its instances' changes, and `events/delta`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from simulator.http import JSON, ApiError, Call, NotSimulatedError, Operations, Reply
from simulator.mailboxes.calendars import Calendar, CalendarEvent
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.mailbox import MailboxError
from simulator.microsoft.errors import graph_error, graph_reply
from simulator.microsoft.filters import Filter, parse_time
from simulator.microsoft.graph import USER, mailbox_of, next_link
from simulator.microsoft.odata import applied, number, seal, selected, unseal
from simulator.state import World

READ = ("Calendars.Read", "Calendars.ReadBasic", "Calendars.ReadWrite")
"""The permissions of which a read needs one."""
_ON_REQUEST = frozenset({"originalStart", "cancelledOccurrences"})
"""The properties that only `$select` brings."""
_STUB = ("@odata.etag", "id", "type", "seriesMasterId", "start", "end", "changeKey")
_EXPAND = "exceptionOccurrences"
_PROPERTIES = "singleValueExtendedProperties"
_FILTERED: dict[str, type] = {_PROPERTIES: str, f"{_PROPERTIES}/id": str, f"{_PROPERTIES}/value": str}
"""The properties by which a listing can be filtered here."""
Objects = list[JSON]


class CalendarsApi:
    """The calendar resources."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the resources to the provider's table; delta must come before single events."""
        add, many = operations.add, f"{USER}/calendars"
        events = f"{many}/{{calendar}}/events"
        add("graph.calendars.list", "GET", many, self.list, scopes=READ, query=("$select", "$top", "$skiptoken"))
        add("graph.calendars.get", "GET", f"{many}/{{calendar}}", self.get, scopes=READ, query=("$select",))
        delta = ("startDateTime", "$deltatoken", "$skiptoken")
        add("graph.events.delta", "GET", f"{events}/delta", self.delta, scopes=READ, query=delta)
        listing = ("$select", "$top", "$skiptoken", "$filter")
        add("graph.events.list", "GET", events, self.events, scopes=READ, query=listing)
        add("graph.events.get", "GET", f"{events}/{{event}}", self.event, scopes=READ, query=("$select", "$expand"))

    def list(self, call: Call) -> Reply:
        """Return a page of the account's calendars."""
        mailbox = mailbox_of(call)
        return self._page(
            call, [_selected(call, _shown_calendar(one)) for one in mailbox.calendars.by_id.values()], 100
        )

    def get(self, call: Call) -> Reply:
        """Return one calendar."""
        return Reply(200, _selected(call, _shown_calendar(calendar_of(call))))

    def events(self, call: Call) -> Reply:
        """Return a page of single events and series; instances are not listed."""
        calendar = calendar_of(call)
        condition = Filter.read(call.first("$filter"), _FILTERED)
        kept = [one for one in calendar.events.values() if not one.master and condition.matches(_resolver(one))]
        found = [show(call, mailbox_of(call), one) for one in kept]
        return self._page(call, [_selected(call, one, without=_ON_REQUEST) for one in found], 100)

    def event(self, call: Call) -> Reply:
        """Return one event, a series with its changed instances where they are asked for."""
        calendar, mailbox = calendar_of(call), mailbox_of(call)
        event = event_of(call)
        mailbox.calendars.read(calendar, event)
        shown = _selected(call, show(call, mailbox, event), without=_ON_REQUEST)
        if expand := call.first("$expand"):
            if expand.startswith(f"{_PROPERTIES}("):
                return Reply(200, {**shown, _PROPERTIES: _asked_for(expand, event)}, applied(call))
            if expand != _EXPAND:
                raise NotSimulatedError(f"{expand} in $expand")
            if event.kind != "seriesMaster":
                raise graph_error(400, "ErrorInvalidRequest", f"{_EXPAND} is a property of series.")
            changed = [one for one in calendar.events.values() if one.master == event.id]
            # Without a $select of their own they lack what only $select brings.
            shown[_EXPAND] = [_without(show(call, mailbox, one), _ON_REQUEST) for one in changed]
        return Reply(200, shown, applied(call))

    def delta(self, call: Call) -> Reply:
        """Return one page of a round: all events first, then those that changed since; instances as stubs."""
        calendar, mailbox = calendar_of(call), mailbox_of(call)
        token = call.first("$deltatoken") or call.first("$skiptoken")
        state: JSON = (
            unseal(token) if token else {"e": mailbox.delta_epoch, "p": len(calendar.log), "n": 0, "s": _start(call)}
        )
        if state.get("e") != mailbox.delta_epoch:
            raise self._gone(mailbox)
        size = int(call.preferences().get("odata.maxpagesize", "0") or 0) or 10
        ids = _listed(calendar, state["s"]) if "n" in state else list(dict.fromkeys(calendar.log[int(state["p"]) :]))
        start = int(state.get("n", state.get("m", 0)) or 0)
        value = [self._entry(call, mailbox, calendar, one) for one in ids[start : start + size]]
        if start + size < len(ids):
            following = {**state, ("n" if "n" in state else "m"): start + size}
            link = next_link(self._world, call, seal(following), "$skiptoken", frozenset({"startDateTime"}))
            return Reply(200, {"value": value, "@odata.nextLink": link}, applied(call))
        position = state["p"] if "n" in state else len(calendar.log)
        done = seal({"e": state["e"], "p": position, "s": state["s"]})
        link = next_link(self._world, call, done, "$deltatoken", frozenset({"startDateTime"}))
        return Reply(200, {"value": value, "@odata.deltaLink": link}, applied(call))

    def _entry(self, call: Call, mailbox: GraphMailbox, calendar: Calendar, event_id: str) -> JSON:
        event = calendar.events.get(event_id)
        if event is None:
            return {"id": event_id, "@removed": {"reason": "deleted"}}
        shown = _without(show(call, mailbox, event), _ON_REQUEST)
        return {name: shown[name] for name in _STUB} if event.master else shown

    def _page(self, call: Call, found: Objects, default: int) -> Reply:
        top = number(call, "$top", default, 1000)
        start = int(unseal(call.first("$skiptoken")).get("n", 0)) if call.first("$skiptoken") else 0
        body: JSON = {"value": found[start : start + top]}
        if start + top < len(found):
            body["@odata.nextLink"] = next_link(self._world, call, seal({"n": start + top}))
        return Reply(200, body, applied(call))

    def _gone(self, mailbox: GraphMailbox) -> ApiError:
        status, code = mailbox.delta_failure
        return ApiError(graph_reply(status, code, "The sync state generation is not found."))


def calendar_of(call: Call) -> Calendar:
    """Return the call's calendar.

    Raises:
        ApiError: 404, the account does not have it.
    """
    try:
        return mailbox_of(call).calendars.find(call.params["calendar"])
    except MailboxError as error:
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.") from error


def event_of(call: Call) -> CalendarEvent:
    """Return the call's event.

    Raises:
        ApiError: 404, the calendar does not have it.
    """
    calendar = calendar_of(call)
    try:
        return mailbox_of(call).calendars.event(calendar, call.params["event"])
    except MailboxError as error:
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.") from error


def _asked_for(expand: str, event: CalendarEvent) -> Objects:
    """Return the extended properties with the id that an expansion names."""
    return [one for one in event.properties if f"id eq '{one['id']}'" in expand]


def _resolver(event: CalendarEvent) -> Callable[[str], Any]:
    """Return the way in which a filter finds the properties of an event."""
    return lambda name: event.properties if name == _PROPERTIES else None


def _start(call: Call) -> str:
    text = call.first("startDateTime")
    return parse_time(text).isoformat() if text else ""


def _listed(calendar: Calendar, begins: str) -> list[str]:
    """Return the ids of all series and instances, and of single events from a time on."""
    first = datetime.fromisoformat(begins).replace(tzinfo=None) if begins else datetime.min  # noqa: DTZ901 - a wall clock
    return [
        one.id
        for one in calendar.events.values()
        if one.kind != "singleInstance" or datetime.fromisoformat(one.fields["start"]) >= first
    ]


def _shown_calendar(calendar: Calendar) -> JSON:
    name = calendar.owner.partition("@")[0].capitalize()
    return {
        "id": calendar.id,
        "name": calendar.name,
        "color": "auto",
        "hexColor": "",
        "isDefaultCalendar": calendar.is_default,
        "changeKey": "k" + calendar.id[-8:],
        "canShare": calendar.is_default,
        "canViewPrivateItems": True,
        "canEdit": calendar.can_edit,
        "isTallyingResponses": calendar.is_default,
        "isRemovable": not calendar.is_default,
        "allowedOnlineMeetingProviders": ["teamsForBusiness"],
        "defaultOnlineMeetingProvider": "teamsForBusiness",
        "owner": {"name": name, "address": calendar.owner},
    }


def show(call: Call, mailbox: GraphMailbox, event: CalendarEvent) -> JSON:
    """Return an event as Graph shows it, in UTC, with everything that `$select` can bring."""
    fields = event.fields
    organizer = fields["organizer"] or {"emailAddress": {"name": mailbox.address, "address": mailbox.address}}
    kind = "text" if call.preferences().get("outlook.body-content-type", "").lower() == "text" else "html"
    places = [{"displayName": name, "locationType": "default"} for name in fields["locations"]]
    kept = {name: value for name, value in fields.items() if name not in {"body", "start", "end", "locations"}}
    return {
        "@odata.etag": f'W/"{key_of(event)}"',
        "id": event.id,
        "changeKey": key_of(event),
        "iCalUId": event.uid,
        "type": event.kind,
        "seriesMasterId": event.master or None,
        "createdDateTime": f"{event.created:%Y-%m-%dT%H:%M:%S.0000000Z}",
        "lastModifiedDateTime": f"{event.modified:%Y-%m-%dT%H:%M:%S.0000000Z}",
        **kept,
        "organizer": organizer,
        "body": {"contentType": kind, "content": fields["body"] if kind == "text" else f"<p>{fields['body']}</p>"},
        "bodyPreview": fields["body"][:255],
        "start": {"dateTime": f"{fields['start']}.0000000", "timeZone": "UTC"},
        "end": {"dateTime": f"{fields['end']}.0000000", "timeZone": "UTC"},
        "location": places[0] if places else {"displayName": "", "locationType": "default"},
        "locations": places,
        "webLink": f"https://outlook.example.test/calendar/item/{event.id}",
        "originalStart": event.original[1] or None,
        "cancelledOccurrences": [f"OID.{event.id}.{day}" for day in event.cancelled],
    }


def key_of(event: CalendarEvent) -> str:
    """Return the change key of an event."""
    return f"{event.id[8:20]}{event.version:06d}=="


def _selected(call: Call, shown: JSON, without: frozenset[str] = frozenset()) -> JSON:
    names = selected(call.first("$select"))
    if unknown := [name for name in names if name not in shown]:
        raise NotSimulatedError(f"the property {unknown[0]} in $select")
    if not names:
        return _without(shown, without)
    return {name: value for name, value in shown.items() if name in names or name in {"id", "@odata.etag"}}


def _without(shown: JSON, names: frozenset[str]) -> JSON:
    return {name: value for name, value in shown.items() if name not in names}
