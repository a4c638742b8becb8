"""Changes of events that a calendar has, by Microsoft Graph.

An answer is an action (`accept`, `tentativelyAccept`, `decline`), which Graph does not guard by a version: after a
doubt the event is read, and the action is repeated only if the event still has the version from before it. A 202 has no
event, so the event is read for the version that the answer made.

Other changes name the version from before them (`If-Match`) and leave a mark with the write's id.

A cancellation removes the event: an event that is gone after a doubt was cancelled, and one that is there was not.
"""

from urllib.parse import quote

from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.mapping.fields import flag, member, objects, text
from services.processor.calendar.write_rows import Kind, Made, Target, WriteRow
from services.processor.calendar.writing.graph_json import changes_json
from services.processor.calendar.writing.target import (
    ImpossibleError,
    UnprovableError,
    check_live,
    found_answer,
    found_change,
)
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.mailbox.provider_http import JSON
from services.providers.marks import GRAPH_CALENDAR_CHANGE

_ACCEPTED, _DELETED = 202, 204
_FIELDS = "id,changeKey,type,isOrganizer,isCancelled,isOnlineMeeting,responseStatus"
_PROPERTIES = "singleValueExtendedProperties"
_QUERY = {"$select": _FIELDS, "$expand": f"{_PROPERTIES}($filter=id eq '{GRAPH_CALENDAR_CHANGE}')"}
_ACTIONS = {
    pb2.CALENDAR_ANSWER_ACCEPTED: ("accept", "accepted"),
    pb2.CALENDAR_ANSWER_TENTATIVE: ("tentativelyAccept", "tentativelyaccepted"),
    pb2.CALENDAR_ANSWER_DECLINED: ("decline", "declined"),
}
"""Graph's action of each answer, and the state that it leaves, in lower case."""
_GONE = "the event is gone: a decline may remove it, and so may a deletion"


class GraphChanges:
    """The changes of events of one account at Graph.

    Args:
        access: The account's access to the provider.
        base_url: The base URL of Graph, with its version.
    """

    def __init__(self, access: MailboxAccess, base_url: str) -> None:
        self._access = access
        self._base = base_url

    async def target(self, row: WriteRow) -> Target:
        """See `WritableCalendars.target`."""
        found = await self._read(row)
        if found is None:
            raise ImpossibleError("CALENDAR_EVENT_NOT_FOUND", "the calendar does not have the event any more")
        version, is_organizer = text(found, "changeKey"), flag(found, "isOrganizer")
        if row.kind is not Kind.RESPOND:
            check_live(row, version, is_organizer=is_organizer)
        elif is_organizer:
            raise ImpossibleError("CALENDAR_EVENT_NOT_INVITED", "the calendar's owner is the organizer")
        if row.kind is Kind.UPDATE and row.changes.event.HasField("body_text") and flag(found, "isOnlineMeeting"):
            raise ImpossibleError("CALENDAR_BODY_HOLDS_MEETING", "another body would end the online meeting")
        return Target(row.provider_event_id, version)

    async def submit(self, row: WriteRow) -> Made:
        """See `WritableCalendars.submit`."""
        if row.kind is Kind.CANCEL:
            return await self._cancel(row)
        if row.kind is Kind.UPDATE:
            return await self._update(row)
        return await self._answer(row)

    async def _answer(self, row: WriteRow) -> Made:
        action = _ACTIONS[row.answer.answer][0]
        body: JSON = {"sendResponse": row.answer.notify == pb2.CALENDAR_NOTIFY_ALL}
        if row.answer.comment:
            body["comment"] = row.answer.comment
        url = f"{self._of(row)}/{action}"
        await self._access.call("calendar_respond", url, method="POST", body=body, success=_ACCEPTED)
        return await self._answered(row)

    async def find(self, row: WriteRow) -> Made | None:
        """See `WritableCalendars.find`."""
        found = await self._read(row)
        if row.kind is Kind.CANCEL:
            return Made(row.provider_event_id, "") if found is None else None
        if found is None:
            raise UnprovableError(_GONE)
        version = text(found, "changeKey")
        if row.kind is Kind.UPDATE:
            return found_change(row, _mark_of(found), version)
        given = text(member(found, "responseStatus"), "response").lower()
        return found_answer(row, version, is_given=given == _ACTIONS[row.answer.answer][1])

    async def _update(self, row: WriteRow) -> Made:
        mark = {"id": GRAPH_CALENDAR_CHANGE, "value": row.calendar_write_id}
        body = {**changes_json(row.changes.event), "singleValueExtendedProperties": [mark]}
        guard = {"if-match": f'W/"{row.version_before}"'}
        made = await self._access.call("calendar_update", self._of(row), method="PATCH", body=body, headers=guard)
        return Made(row.provider_event_id, text(made, "changeKey"))

    async def _cancel(self, row: WriteRow) -> Made:
        """Cancel the event; one without attendees is no meeting, and is deleted."""
        found = await self._access.call("calendar_event", self._of(row), params={"$select": "id,attendees"})
        if objects(found, "attendees"):
            body = {"comment": row.cancellation.comment}
            url = f"{self._of(row)}/cancel"
            await self._access.call("calendar_cancel", url, method="POST", body=body, success=_ACCEPTED)
        else:
            await self._access.call("calendar_cancel", self._of(row), method="DELETE", success=_DELETED)
        return Made(row.provider_event_id, "")

    async def _answered(self, row: WriteRow) -> Made:
        """Return the event after its answer, without its version where it cannot be read: the answer is given."""
        try:
            found = await self._read(row)
        except SourceError:
            found = None
        return Made(row.provider_event_id, "" if found is None else text(found, "changeKey"))

    async def _read(self, row: WriteRow) -> JSON | None:
        try:
            return await self._access.call("calendar_event", self._of(row), params=_QUERY)
        except SourceError as exc:
            if exc.remedy is Remedy.MISSING:
                return None
            raise

    def _of(self, row: WriteRow) -> str:
        calendar, event = quote(row.provider_calendar_id, safe=""), quote(row.provider_event_id, safe="")
        return f"{self._base}/me/calendars/{calendar}/events/{event}"


def _mark_of(found: JSON) -> str:
    """Return the id of the last write that changed an event."""
    marks = objects(found, _PROPERTIES)
    return text(marks[0], "value") if marks else ""
