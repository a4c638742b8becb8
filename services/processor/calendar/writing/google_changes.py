"""Changes of events that a calendar has, by Google Calendar.

Every change names the version from before it (`If-Match`): of two submissions of one change at most one takes effect,
and a change by another program or person in between is never overwritten. A cancellation needs no such guard: an event
can be cancelled once, and one that is gone after a doubt was cancelled. Google answers 404 for the events of a calendar
out of reach as well, so that an event counts as gone only while its calendar is there.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.mapping.fields import flag, member, objects, text, texts
from services.processor.calendar.mapping.google_event import time_of
from services.processor.calendar.mapping.parts import CalendarOfEvents, UnreadableEventError
from services.processor.calendar.mapping.rules import parse_rule
from services.processor.calendar.mapping.times import start_text
from services.processor.calendar.write_rows import Kind, Made, Target, WriteRow
from services.processor.calendar.writing.google_json import SEND_UPDATES, attendees_json, changes_json, recurrence_json
from services.processor.calendar.writing.target import (
    GONE,
    ImpossibleError,
    UnprovableError,
    check_live,
    found_answer,
    found_cancelled,
    found_change,
    no_occurrence,
)
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.provider_http import JSON
from services.providers.marks import GOOGLE_CALENDAR_CHANGE
from services.providers.names import GOOGLEWS

_VERSION = 1
_OUTDATED = 412
_DELETED = 204
_ANSWERS = {
    pb2.CALENDAR_ANSWER_ACCEPTED: "accepted",
    pb2.CALENDAR_ANSWER_TENTATIVE: "tentative",
    pb2.CALENDAR_ANSWER_DECLINED: "declined",
}
_UTC = "Etc/UTC"
_NOT_INVITED = "the calendar's owner is no attendee, or the organizer"


class GoogleChanges:
    """The changes of events of one account at Google.

    Args:
        access: The account's access to the provider.
        base_url: The base URL of the API, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = base_url

    async def target(self, row: WriteRow) -> Target:
        """See `WritableCalendars.target`."""
        if not row.provider_event_id:
            row = replace(row, provider_event_id=await self._occurrence(row))
        found = await self._read(row)
        if found is None:
            raise ImpossibleError("CALENDAR_EVENT_NOT_FOUND", "the calendar does not have the event any more")
        if row.kind is not Kind.RESPOND:
            check_live(row, text(found, "etag"), is_organizer=flag(member(found, "organizer"), "self"))
        elif _own(found) is None:
            raise ImpossibleError("CALENDAR_EVENT_NOT_INVITED", _NOT_INVITED)
        if row.kind is Kind.UPDATE and flag(found, "attendeesOmitted") and _changes_attendees(row):
            raise ImpossibleError("CALENDAR_FIELD_UNSUPPORTED", "Google does not show all attendees of the event")
        return Target(row.provider_event_id, text(found, "etag"), was_given=_is_given(row, found))

    async def _occurrence(self, row: WriteRow) -> str:
        """Return the id of an occurrence, changed or not.

        The answer is not trusted to have only the one that was asked for: the change of another would be irreversible.
        """
        series = f"{self._calendar_of(row)}/events/{quote(row.provider_series_id, safe='')}"
        url = f"{series}/instances?{urlencode({'originalStart': row.original_start})}"
        try:
            found = objects(await self._access.call("calendar_instances", url), "items")
        except SourceError as exc:
            if exc.remedy not in (Remedy.MISSING, Remedy.CURSOR_LOST):
                raise
            found = []
        for one in found:
            if _original_start(one, row) == row.original_start and text(one, "status") != "cancelled":
                return text(one, "id")
        raise no_occurrence()

    async def submit(self, row: WriteRow) -> Made:
        """See `WritableCalendars.submit`."""
        if row.kind is Kind.CANCEL:
            return await self._cancel(row)
        if row.kind is Kind.UPDATE:
            return await self._update(row)
        return await self._answer(row)

    async def _answer(self, row: WriteRow) -> Made:
        """Answer the invitation. The attendee's other values are sent as they are: Google replaces them."""
        found = await self._read(row)
        own = None if found is None else _own(found)
        if own is None or text(found, "etag") != row.version_before:
            raise classify(GOOGLEWS, _OUTDATED, ["read_another_version"])
        answered: dict[str, Any] = {**own, "responseStatus": _ANSWERS[row.answer.answer]}
        if row.answer.comment:
            answered["comment"] = row.answer.comment
        body = {"attendeesOmitted": True, "attendees": [answered]}
        query = urlencode({"conferenceDataVersion": _VERSION, "sendUpdates": SEND_UPDATES[row.answer.notify]})
        url, guard = f"{self._of(row)}?{query}", {"if-match": row.version_before}
        made = await self._access.call("calendar_respond", url, method="PATCH", body=body, headers=guard)
        return Made(row.provider_event_id, text(made, "etag"))

    async def find(self, row: WriteRow) -> Made | None:
        """See `WritableCalendars.find`."""
        found = await self._read(row)
        if row.kind is Kind.CANCEL:
            return None if found is not None else found_cancelled(row, is_reached=await self._is_reached(row))
        if found is None:
            raise UnprovableError(GONE)
        if row.kind is Kind.UPDATE:
            return found_change(row, text(_marks_of(found), GOOGLE_CALENDAR_CHANGE), text(found, "etag"))
        return found_answer(row, text(found, "etag"), is_given=_is_given(row, found))

    async def _update(self, row: WriteRow) -> Made:
        mark = {"private": {GOOGLE_CALENDAR_CHANGE: row.calendar_write_id}}
        body = {**changes_json(row.changes.event), **await self._lists(row), "extendedProperties": mark}
        query = urlencode({"conferenceDataVersion": _VERSION, "sendUpdates": SEND_UPDATES[row.changes.notify]})
        url, guard = f"{self._of(row)}?{query}", {"if-match": row.version_before}
        made = await self._access.call("calendar_update", url, method="PATCH", body=body, headers=guard)
        return Made(row.provider_event_id, text(made, "etag"))

    async def _lists(self, row: WriteRow) -> JSON:
        """Return the lists after the changes, which Google replaces whole: read in the version that is changed."""
        changes, made = row.changes.event, dict[str, Any]()
        if not (_changes_attendees(row) or changes.recurrence_rule):
            return made
        found = await self._read(row)
        if found is None or text(found, "etag") != row.version_before:
            raise classify(GOOGLEWS, _OUTDATED, ["read_another_version"])
        if _changes_attendees(row):
            made["attendees"] = attendees_json(objects(found, "attendees"), changes)
        if changes.recurrence_rule:
            zone = text(member(found, "start"), "timeZone")
            rule = parse_rule(changes.recurrence_rule, zone or _UTC).text(zone)
            made["recurrence"] = recurrence_json(list(texts(found, "recurrence")), rule)
        return made

    async def _cancel(self, row: WriteRow) -> Made:
        """Cancel the event. Google deletes a series or a single event, and keeps a cancelled instance."""
        updates = {"sendUpdates": SEND_UPDATES[row.cancellation.notify]}
        found = await self._access.call("calendar_event", self._of(row))
        if text(found, "recurringEventId"):
            query = urlencode({"conferenceDataVersion": _VERSION, **updates})
            url, body = f"{self._of(row)}?{query}", {"status": "cancelled"}
            await self._access.call("calendar_cancel", url, method="PATCH", body=body, is_empty=True)
        else:
            url = f"{self._of(row)}?{urlencode(updates)}"
            await self._access.call("calendar_cancel", url, method="DELETE", success=_DELETED)
        return Made(row.provider_event_id, "")

    async def _is_reached(self, row: WriteRow) -> bool:
        """Return whether the account can see the calendar's events."""
        url = f"{self._calendar_of(row)}/events?{urlencode({'maxResults': 1})}"
        try:
            await self._access.call("calendar_events", url)
        except SourceError as exc:
            if exc.remedy is Remedy.MISSING:
                return False
            raise
        return True

    async def _read(self, row: WriteRow) -> JSON | None:
        try:
            found = await self._access.call("calendar_event", self._of(row))
        except SourceError as exc:
            if exc.remedy in (Remedy.MISSING, Remedy.CURSOR_LOST):  # 410: deleted
                return None
            raise
        return None if text(found, "status") == "cancelled" else found

    def _of(self, row: WriteRow) -> str:
        return f"{self._calendar_of(row)}/events/{quote(row.provider_event_id, safe='')}"

    def _calendar_of(self, row: WriteRow) -> str:
        return f"{self._base}/calendars/{quote(row.provider_calendar_id, safe='')}"


def _original_start(found: JSON, row: WriteRow) -> str:
    """Return the original start of an instance, in the form of a write; empty where it cannot be read."""
    try:
        return start_text(time_of(member(found, "originalStartTime"), CalendarOfEvents(row.calendar_id)))
    except UnreadableEventError:
        return ""


def _is_given(row: WriteRow, found: JSON) -> bool:
    """Return whether an event has the answer of a write, with its comment."""
    if row.kind is not Kind.RESPOND:
        return False
    own = _own(found) or {}
    is_answer = text(own, "responseStatus") == _ANSWERS[row.answer.answer]
    return is_answer and row.answer.comment in ("", text(own, "comment"))


def _own(found: JSON) -> JSON | None:
    """Return the attendee who is the calendar's owner; None for the organizer and where there is none."""
    if flag(member(found, "organizer"), "self"):
        return None
    return next((one for one in objects(found, "attendees") if flag(one, "self")), None)


def _changes_attendees(row: WriteRow) -> bool:
    return bool(row.changes.event.add_attendees or row.changes.event.remove_attendees)


def _marks_of(found: JSON) -> JSON:
    """Return the private properties of an event."""
    return member(member(found, "extendedProperties"), "private")
