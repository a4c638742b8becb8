"""Changes of events that a calendar has, by Google Calendar.

Every change names the version from before it (`If-Match`): of two submissions of one change at most one takes effect,
and a change by another program or person in between is never overwritten. A cancellation needs no such guard: an event
can be cancelled once, and one that is gone after a doubt was cancelled.
"""

from typing import Any
from urllib.parse import quote, urlencode

from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.mapping.fields import flag, member, objects, text
from services.processor.calendar.write_rows import Kind, Made, Target, WriteRow
from services.processor.calendar.writing.google_json import SEND_UPDATES, changes_json
from services.processor.calendar.writing.target import (
    ImpossibleError,
    UnprovableError,
    check_live,
    found_answer,
    found_change,
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
_GONE = "the event is gone"
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
        found = await self._read(row)
        if found is None:
            raise ImpossibleError("CALENDAR_EVENT_NOT_FOUND", "the calendar does not have the event any more")
        if row.kind is not Kind.RESPOND:
            check_live(row, text(found, "etag"), is_organizer=flag(member(found, "organizer"), "self"))
        elif _own(found) is None:
            raise ImpossibleError("CALENDAR_EVENT_NOT_INVITED", _NOT_INVITED)
        return Target(row.provider_event_id, text(found, "etag"))

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
            return Made(row.provider_event_id, "") if found is None else None
        if found is None:
            raise UnprovableError(_GONE)
        if row.kind is Kind.UPDATE:
            return found_change(row, text(_marks_of(found), GOOGLE_CALENDAR_CHANGE), text(found, "etag"))
        own = _own(found) or {}
        is_answer = text(own, "responseStatus") == _ANSWERS[row.answer.answer]
        is_given = is_answer and row.answer.comment in ("", text(own, "comment"))
        return found_answer(row, text(found, "etag"), is_given=is_given)

    async def _update(self, row: WriteRow) -> Made:
        mark = {"private": {GOOGLE_CALENDAR_CHANGE: row.calendar_write_id}}
        body = {**changes_json(row.changes.event), "extendedProperties": mark}
        query = urlencode({"conferenceDataVersion": _VERSION, "sendUpdates": SEND_UPDATES[row.changes.notify]})
        url, guard = f"{self._of(row)}?{query}", {"if-match": row.version_before}
        made = await self._access.call("calendar_update", url, method="PATCH", body=body, headers=guard)
        return Made(row.provider_event_id, text(made, "etag"))

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

    async def _read(self, row: WriteRow) -> JSON | None:
        try:
            found = await self._access.call("calendar_event", self._of(row))
        except SourceError as exc:
            if exc.remedy in (Remedy.MISSING, Remedy.CURSOR_LOST):  # 410: deleted
                return None
            raise
        return None if text(found, "status") == "cancelled" else found

    def _of(self, row: WriteRow) -> str:
        calendar, event = quote(row.provider_calendar_id, safe=""), quote(row.provider_event_id, safe="")
        return f"{self._base}/calendars/{calendar}/events/{event}"


def _own(found: JSON) -> JSON | None:
    """Return the attendee who is the calendar's owner; None for the organizer and where there is none."""
    if flag(member(found, "organizer"), "self"):
        return None
    return next((one for one in objects(found, "attendees") if flag(one, "self")), None)


def _marks_of(found: JSON) -> JSON:
    """Return the private properties of an event."""
    return member(member(found, "extendedProperties"), "private")
