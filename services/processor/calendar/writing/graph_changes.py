"""Changes of events that a calendar has, by Microsoft Graph.

An answer is an action (`accept`, `tentativelyAccept`, `decline`), which Graph does not guard by a version: after a
doubt the event is read, and the action is repeated only if the event still has the version from before it. A 202 has no
event, so the event is read for the version that the answer made.

Other changes name the version from before them (`If-Match`) and leave a mark with the write's id.

A cancellation removes the event: an event that is gone after a doubt was cancelled, and one that is there was not.
Graph answers 404 for the events of a calendar out of reach as well, so that an event counts as gone only while its
calendar is there.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.mapping.fields import flag, member, objects, text
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.graph_rules import recurrence_of
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.mapping.rules import parse_rule
from services.processor.calendar.mapping.times import local_day
from services.processor.calendar.mapping.windows import windows_zone
from services.processor.calendar.write_rows import Kind, Made, Target, WriteRow
from services.processor.calendar.writing.graph_json import attendees_json, changes_json
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
from services.providers.marks import GRAPH_CALENDAR_CHANGE
from services.providers.names import MS365

_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_DIGITS = re.compile(r"\.\d+")
_ACCEPTED, _DELETED = 202, 204
_OUTDATED = 412
_UTC, _WINDOWS_UTC = "Etc/UTC", "UTC"
_LISTS = (
    "id,changeKey,type,attendees,start,end,isAllDay,originalStartTimeZone,originalEndTimeZone,recurrence,isOrganizer"
)
_FIELDS = "id,changeKey,type,isOrganizer,isCancelled,isOnlineMeeting,responseStatus"
_PROPERTIES = "singleValueExtendedProperties"
_QUERY = {"$select": _FIELDS, "$expand": f"{_PROPERTIES}($filter=id eq '{GRAPH_CALENDAR_CHANGE}')"}
_ACTIONS = {
    pb2.CALENDAR_ANSWER_ACCEPTED: ("accept", "accepted"),
    pb2.CALENDAR_ANSWER_TENTATIVE: ("tentativelyAccept", "tentativelyaccepted"),
    pb2.CALENDAR_ANSWER_DECLINED: ("decline", "declined"),
}
"""Graph's action of each answer, and the state that it leaves, in lower case."""


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
        if not row.provider_event_id:
            row = replace(row, provider_event_id=await self._occurrence(row))
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
        return Target(row.provider_event_id, version, was_given=_is_given(row, found))

    async def _occurrence(self, row: WriteRow) -> str:
        """Return the id of an occurrence; an instance that was changed meanwhile still has its original start.

        Graph shows the original start of a whole day in more than one form, so the start of an unchanged one counts.
        It shows a whole day at midnight in UTC, and compares the window with its midnight in the event's zone.
        """
        begin = datetime.fromisoformat(row.original_start).replace(tzinfo=UTC)
        before, after = (_MINUTE, _MINUTE) if "T" in row.original_start else (_DAY, 2 * _DAY)
        since, until = begin - min(before, begin - _FIRST), begin + min(after, _LAST - begin)
        window = {"startDateTime": _clock(since), "endDateTime": _clock(until)}
        url = f"{self._calendar_of(row)}/events/{quote(row.provider_series_id, safe='')}/instances"
        found = await self._found("calendar_instances", url, {**window, "$select": "id,type,start,originalStart"})
        for one in objects(found or {}, "value"):
            starts = {_clock_of(text(one, "originalStart"))}
            if text(one, "type").lower() == "occurrence":
                starts.add(_clock_of(text(member(one, "start"), "dateTime")))
            if begin in starts:
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
            return None if found is not None else found_cancelled(row, is_reached=await self._is_reached(row))
        if found is None:
            raise UnprovableError(GONE)
        version = text(found, "changeKey")
        if row.kind is Kind.UPDATE:
            return found_change(row, _mark_of(found), version)
        return found_answer(row, version, is_given=_is_given(row, found))

    async def _update(self, row: WriteRow) -> Made:
        mark = {"id": GRAPH_CALENDAR_CHANGE, "value": row.calendar_write_id}
        body = {**changes_json(row.changes.event), **await self._lists(row), "singleValueExtendedProperties": [mark]}
        guard = {"if-match": f'W/"{row.version_before}"'}
        made = await self._access.call("calendar_update", self._of(row), method="PATCH", body=body, headers=guard)
        return Made(row.provider_event_id, text(made, "changeKey"))

    async def _lists(self, row: WriteRow) -> JSON:
        """Return the lists after the changes, which Graph replaces whole: read in the version that is changed."""
        changes, made = row.changes.event, dict[str, Any]()
        changes_attendees = bool(changes.add_attendees or changes.remove_attendees)
        if not (changes_attendees or changes.recurrence_rule):
            return made
        found = await self._access.call("calendar_event", self._of(row), params={"$select": _LISTS})
        if text(found, "changeKey") != row.version_before:
            raise classify(MS365, _OUTDATED, ["read_another_version"])
        if changes_attendees:
            made["attendees"] = attendees_json(objects(found, "attendees"), changes)
        if changes.recurrence_rule:
            made["recurrence"] = _recurrence(row, found)
        return made

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

    async def _is_reached(self, row: WriteRow) -> bool:
        """Return whether the account can see the calendar."""
        return await self._found("calendar", self._calendar_of(row), {"$select": "id"}) is not None

    async def _read(self, row: WriteRow) -> JSON | None:
        return await self._found("calendar_event", self._of(row), _QUERY)

    async def _found(self, operation: str, url: str, params: dict[str, str]) -> JSON | None:
        try:
            return await self._access.call(operation, url, params=params)
        except SourceError as exc:
            if exc.remedy is Remedy.MISSING:
                return None
            raise

    def _of(self, row: WriteRow) -> str:
        return f"{self._calendar_of(row)}/events/{quote(row.provider_event_id, safe='')}"

    def _calendar_of(self, row: WriteRow) -> str:
        return f"{self._base}/me/calendars/{quote(row.provider_calendar_id, safe='')}"


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _clock_of(shown: str) -> datetime | None:
    """Return the instant of a time in UTC or with an offset, of which Graph shows seven digits; None for another."""
    try:
        moment = datetime.fromisoformat(_DIGITS.sub("", shown))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_given(row: WriteRow, found: JSON) -> bool:
    """Return whether an event has the answer of a write."""
    given = text(member(found, "responseStatus"), "response").lower()
    return row.kind is Kind.RESPOND and given == _ACTIONS[row.answer.answer][1]


def _recurrence(row: WriteRow, found: JSON) -> JSON:
    """Return the rule of a series in Graph's form, from the day and in the zone in which the series begins."""
    start = map_event(found, CalendarOfEvents(row.calendar_id)).start
    rule = parse_rule(row.changes.event.recurrence_rule, start.iana_zone or _UTC)
    return recurrence_of(rule, local_day(start), windows_zone(start.iana_zone) or _WINDOWS_UTC)


def _mark_of(found: JSON) -> str:
    """Return the id of the last write that changed an event."""
    marks = objects(found, _PROPERTIES)
    return text(marks[0], "value") if marks else ""
