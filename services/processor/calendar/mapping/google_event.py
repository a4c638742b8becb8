"""Google's `event` as a `CalendarEvent`."""

import html
import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.ids import event_uuid
from services.processor.calendar.mapping import google_rules
from services.processor.calendar.mapping.fields import (
    aware_time,
    flag,
    member,
    naive_time,
    number,
    objects,
    text,
    texts,
    timestamp,
)
from services.processor.calendar.mapping.parts import (
    MAX_ATTENDEES,
    MAX_BODY,
    MAX_DIAL_INS,
    MAX_NAME,
    MAX_SUBJECT,
    CalendarOfEvents,
    UnreadableEventError,
    cut_text,
    fit,
    names_of,
    provider_form,
    web_address,
)
from services.processor.calendar.mapping.rules import WEEKDAYS, RuleError
from services.processor.calendar.mapping.times import ZoneName, at_instant, on_day
from services.processor.calendar.mapping.zones import first_known, zone_info

_RESPONSES = {
    "needsaction": pb2.RESPONSE_STATUS_NOT_RESPONDED,
    "declined": pb2.RESPONSE_STATUS_DECLINED,
    "tentative": pb2.RESPONSE_STATUS_TENTATIVE,
    "accepted": pb2.RESPONSE_STATUS_ACCEPTED,
}
_STATUS = {"tentative": pb2.EVENT_STATUS_TENTATIVE, "cancelled": pb2.EVENT_STATUS_CANCELLED}
_VISIBILITY = {"private": pb2.EVENT_VISIBILITY_PRIVATE, "confidential": pb2.EVENT_VISIBILITY_CONFIDENTIAL}
_BUSY = {"outOfOffice": pb2.EVENT_BUSY_OUT_OF_OFFICE, "workingLocation": pb2.EVENT_BUSY_WORKING_ELSEWHERE}
_STATES = {"pending": pb2.ONLINE_MEETING_STATE_PENDING, "failure": pb2.ONLINE_MEETING_STATE_FAILED}
_TAG = re.compile(
    r"</?(?:a|b|br|i|u|p|ul|ol|li|span|div|strong|em|s|h[1-6]|html-blob|table|tbody|tr|td|hr|pre)\b[^<>]*>",
    re.IGNORECASE,
)
_BREAK = re.compile(r"<(?:br|/p|/li|/div|/tr|/h[1-6]|hr)\b[^<>]*>", re.IGNORECASE)
_LONGEST_REMINDER = 40_320
_MAX_LINES = 200


def map_event(found: Mapping[str, Any], calendar: CalendarOfEvents) -> pb2.CalendarEvent:
    """Return an event in our form; of a series without its changed instances.

    Args:
        found: The event's JSON.
        calendar: Its calendar.

    Raises:
        UnreadableEventError: It has no id, or no start or end that can be read.
    """
    provider_id = text(found, "id")
    if not provider_id:
        raise UnreadableEventError("the event has no id")
    cut = pb2.EventTruncation()
    event = pb2.CalendarEvent(
        calendar_event_id=event_uuid(calendar.calendar_id, provider_id),
        calendar_id=calendar.calendar_id,
        provider_event_id=provider_id,
        ical_uid=text(found, "iCalUID"),
        kind=_kind(found),
        status=_STATUS.get(text(found, "status"), pb2.EVENT_STATUS_CONFIRMED),
        subject=cut_text(text(found, "summary", MAX_SUBJECT + 1), MAX_SUBJECT, cut),
        body_text=_body(found, cut),
        is_organizer=flag(member(found, "organizer"), "self"),
        organizer=_person(member(found, "organizer"), cut),
        importance=pb2.EVENT_IMPORTANCE_NORMAL,
        visibility=_VISIBILITY.get(text(found, "visibility"), pb2.EVENT_VISIBILITY_DEFAULT),
        busy=_busy(found),
        has_attachments=bool(objects(found, "attachments")),
        web_url=web_address(text(found, "htmlLink")),
        created_at=timestamp(aware_time(text(found, "created"))),
        modified_at=timestamp(aware_time(text(found, "updated"))),
        version=text(found, "etag"),
        delegate_email=calendar.delegate_email,
        event_type=text(found, "eventType", 100),
    )
    event.start.CopyFrom(time_of(member(found, "start"), calendar))
    event.end.CopyFrom(time_of(member(found, "end"), calendar))
    event.is_all_day = bool(event.start.date)
    if event.is_all_day and event.end.date <= event.start.date:
        event.end.CopyFrom(on_day(date.fromisoformat(event.start.date) + timedelta(days=1)))
    _add_people(event, found, cut)
    _add_lists(event, found, cut)
    _add_series(event, found, calendar, cut)
    if (meeting := _meeting(found)) is not None:
        event.online_meeting.CopyFrom(meeting)
    fit(event, cut)
    if cut.ByteSize():
        event.truncation.CopyFrom(cut)
    return event


def lines_of(event: pb2.CalendarEvent) -> list[str]:
    """Return the lines of a mapped series' recurrence as Google gave them."""
    form = event.recurrence.provider_form
    return [value.string_value for value in form["recurrence"].values] if "recurrence" in form else []  # type: ignore[union-attr]


def time_of(given: dict[str, Any], calendar: CalendarOfEvents) -> pb2.EventTime:
    """Return a time: a date, or an instant in the event's own zone, else in the calendar's.

    Raises:
        UnreadableEventError: It cannot be read.
    """
    day, named = text(given, "date"), text(given, "timeZone")
    try:
        if day:
            return on_day(date.fromisoformat(day))
    except ValueError as exc:
        raise UnreadableEventError("the event has no date that can be read") from exc
    zone = ZoneName(first_known(named, calendar.zone), named)
    clock = naive_time(text(given, "dateTime"))
    stated = aware_time(text(given, "dateTime")) if clock is None else clock.replace(tzinfo=zone_info(zone.zone.iana))
    if stated is None or not 1600 <= stated.year <= 9900:  # noqa: PLR2004 - what every zone can shift
        raise UnreadableEventError("the event has no time that can be read")
    return at_instant(stated, zone)


def _kind(found: Mapping[str, Any]) -> "pb2.EventKind.ValueType":
    if text(found, "recurringEventId"):
        return pb2.EVENT_KIND_EXCEPTION
    return pb2.EVENT_KIND_MASTER if any(texts(found, "recurrence")) else pb2.EVENT_KIND_SINGLE


def _busy(found: Mapping[str, Any]) -> "pb2.EventBusy.ValueType":
    if text(found, "eventType") in _BUSY:
        return _BUSY[text(found, "eventType")]
    return pb2.EVENT_BUSY_FREE if text(found, "transparency") == "transparent" else pb2.EVENT_BUSY_BUSY


def _add_people(event: pb2.CalendarEvent, found: Mapping[str, Any], cut: pb2.EventTruncation) -> None:
    given = objects(found, "attendees")
    cut.are_attendees_cut = len(given) > MAX_ATTENDEES or flag(found, "attendeesOmitted")
    event.attendees.extend(_attendee(one, cut) for one in given[:MAX_ATTENDEES])
    own = next((one for one in given if flag(one, "self")), None)
    if own is not None:
        event.my_response = _response(own)
    elif event.is_organizer:
        event.my_response = pb2.RESPONSE_STATUS_ORGANIZER


def _add_lists(event: pb2.CalendarEvent, found: Mapping[str, Any], cut: pb2.EventTruncation) -> None:
    place = text(found, "location", MAX_NAME + 1)
    event.locations.extend(names_of([place] if place else [], cut))
    own = objects(member(found, "reminders"), "overrides")
    minutes = (number(one, "minutes", 0, _LONGEST_REMINDER) for one in own[:10])
    event.reminder_minutes.extend(sorted({one for one in minutes if one is not None}))


def _add_series(
    event: pb2.CalendarEvent, found: Mapping[str, Any], calendar: CalendarOfEvents, cut: pb2.EventTruncation
) -> None:
    if event.kind == pb2.EVENT_KIND_MASTER:
        event.recurrence.CopyFrom(_recurrence(event, list(texts(found, "recurrence", 10_000))[:_MAX_LINES], cut))
    if event.kind == pb2.EVENT_KIND_EXCEPTION:
        event.series_master_id = event_uuid(calendar.calendar_id, text(found, "recurringEventId"))
        event.original_start.CopyFrom(time_of(member(found, "originalStartTime"), calendar))


def _recurrence(event: pb2.CalendarEvent, lines: list[str], cut: pb2.EventTruncation) -> pb2.Recurrence:
    made = pb2.Recurrence(iana_zone=event.start.iana_zone, is_start_included=True)
    form = provider_form({"recurrence": lines})
    cut.is_provider_form_cut = form is None
    if form is not None:
        made.provider_form.CopyFrom(form)
    event.cancelled_dates.extend(sorted(google_rules.left_out(lines, made.iana_zone)))
    try:
        rule = google_rules.rule_of(lines, event.start, made.iana_zone)
    except RuleError:
        return made
    made.rule = rule.text(made.iana_zone)
    made.frequency = pb2.RecurrenceFrequency.Value(f"RECURRENCE_FREQUENCY_{rule.frequency}")
    made.interval, made.count = rule.interval, rule.count
    made.days_of_week.extend(f"{place or ''}{WEEKDAYS[day]}" for place, day in rule.days)
    made.days_of_month.extend(rule.month_days)
    made.month = rule.months[0] if len(rule.months) == 1 else 0
    made.set_position = rule.positions[0] if len(rule.positions) == 1 else 0
    made.week_start = WEEKDAYS[rule.week_start] if rule.frequency == "WEEKLY" else ""
    made.until_date = rule.until.isoformat() if rule.until else ""
    return made


def _meeting(found: Mapping[str, Any]) -> pb2.OnlineMeeting | None:
    data = member(found, "conferenceData")
    doors, solution = objects(data, "entryPoints"), member(data, "conferenceSolution")
    request = member(data, "createRequest")
    kind = member(solution, "key") or member(request, "conferenceSolutionKey")
    videos = [text(one, "uri") for one in doors if text(one, "entryPointType") == "video"]
    url = web_address(next(iter(videos), text(found, "hangoutLink")))
    if not data and not url:
        return None
    state = _STATES.get(text(member(request, "status"), "statusCode"), pb2.ONLINE_MEETING_STATE_PENDING)
    phones = [_dial_in(one) for one in doors if text(one, "entryPointType") == "phone"]
    return pb2.OnlineMeeting(
        provider=text(kind, "type", 100) or "hangoutsMeet",
        state=pb2.ONLINE_MEETING_STATE_READY if url else state,
        join_url=url,
        conference_id=text(data, "conferenceId", 100),
        dial_ins=[one for one in phones if one][:MAX_DIAL_INS],
    )


def _dial_in(door: dict[str, Any]) -> str:
    uri, pin = text(door, "uri", 200), text(door, "pin", 50)
    if not uri.lower().startswith("tel:"):
        return ""
    return f"{uri},,{pin}#" if pin else uri


def _body(found: Mapping[str, Any], cut: pb2.EventTruncation) -> str:
    """Return the description as text: Google's may have simple HTML, and does not say so."""
    content = text(found, "description", MAX_BODY + 1)
    cut.is_body_cut = len(content) > MAX_BODY
    content = content[:MAX_BODY]
    if not _TAG.search(content):
        return content
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", content))).strip()[:MAX_BODY]


def _attendee(given: dict[str, Any], cut: pb2.EventTruncation) -> pb2.Attendee:
    role = pb2.ATTENDEE_ROLE_OPTIONAL if flag(given, "optional") else pb2.ATTENDEE_ROLE_REQUIRED
    return pb2.Attendee(
        person=_person(given, cut),
        role=pb2.ATTENDEE_ROLE_RESOURCE if flag(given, "resource") else role,
        response=_response(given),
    )


def _response(given: dict[str, Any]) -> "pb2.ResponseStatus.ValueType":
    return _RESPONSES.get(text(given, "responseStatus").lower(), pb2.RESPONSE_STATUS_UNSPECIFIED)


def _person(given: dict[str, Any], cut: pb2.EventTruncation) -> pb2.Person:
    address, name = text(given, "email", MAX_NAME + 1), text(given, "displayName", MAX_NAME + 1)
    return pb2.Person(address=cut_text(address, MAX_NAME, cut), name=cut_text(name, MAX_NAME, cut))
