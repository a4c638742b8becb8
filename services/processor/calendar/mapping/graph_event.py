"""Microsoft Graph's `event` as a `CalendarEvent`. The answers must be in UTC: no `Prefer: outlook.timezone`."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.ids import event_uuid
from services.processor.calendar.mapping import graph_rules
from services.processor.calendar.mapping.fields import (
    aware_time,
    clean,
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
    MAX_CANCELLED,
    MAX_DIAL_INS,
    MAX_NAME,
    MAX_REMINDER,
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
from services.processor.calendar.mapping.times import ZoneName, at_instant, local_day, on_day
from services.processor.calendar.mapping.zones import first_known, zone_info

_KINDS = {
    "singleinstance": pb2.EVENT_KIND_SINGLE,
    "seriesmaster": pb2.EVENT_KIND_MASTER,
    "occurrence": pb2.EVENT_KIND_OCCURRENCE,
    "exception": pb2.EVENT_KIND_EXCEPTION,
}
_RESPONSES = {
    "organizer": pb2.RESPONSE_STATUS_ORGANIZER,
    "tentativelyaccepted": pb2.RESPONSE_STATUS_TENTATIVE,
    "accepted": pb2.RESPONSE_STATUS_ACCEPTED,
    "declined": pb2.RESPONSE_STATUS_DECLINED,
    "notresponded": pb2.RESPONSE_STATUS_NOT_RESPONDED,
}
_ROLES = {
    "required": pb2.ATTENDEE_ROLE_REQUIRED,
    "optional": pb2.ATTENDEE_ROLE_OPTIONAL,
    "resource": pb2.ATTENDEE_ROLE_RESOURCE,
}
_IMPORTANCE = {"low": pb2.EVENT_IMPORTANCE_LOW, "high": pb2.EVENT_IMPORTANCE_HIGH}
_VISIBILITY = {
    "personal": pb2.EVENT_VISIBILITY_PRIVATE,
    "private": pb2.EVENT_VISIBILITY_PRIVATE,
    "confidential": pb2.EVENT_VISIBILITY_CONFIDENTIAL,
}
BUSY = {
    "free": pb2.EVENT_BUSY_FREE,
    "tentative": pb2.EVENT_BUSY_TENTATIVE,
    "busy": pb2.EVENT_BUSY_BUSY,
    "oof": pb2.EVENT_BUSY_OUT_OF_OFFICE,
    "workingelsewhere": pb2.EVENT_BUSY_WORKING_ELSEWHERE,
}
_NO_MEETING = frozenset({"", "unknown"})


def map_event(found: Mapping[str, Any], calendar: CalendarOfEvents) -> pb2.CalendarEvent:
    """Return an event in our form.

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
        ical_uid=text(found, "iCalUId"),
        kind=_KINDS.get(text(found, "type").lower(), pb2.EVENT_KIND_SINGLE),
        status=pb2.EVENT_STATUS_CANCELLED if flag(found, "isCancelled") else pb2.EVENT_STATUS_CONFIRMED,
        subject=cut_text(text(found, "subject", MAX_SUBJECT + 1), MAX_SUBJECT, cut),
        body_text=_body(found, cut),
        is_organizer=flag(found, "isOrganizer"),
        organizer=_person(member(found, "organizer"), cut),
        my_response=_RESPONSES.get(text(member(found, "responseStatus"), "response").lower(), 0),  # type: ignore[arg-type]
        importance=_IMPORTANCE.get(text(found, "importance").lower(), pb2.EVENT_IMPORTANCE_NORMAL),
        visibility=_VISIBILITY.get(text(found, "sensitivity").lower(), pb2.EVENT_VISIBILITY_DEFAULT),
        busy=BUSY.get(text(found, "showAs").lower(), 0),  # type: ignore[arg-type]
        has_attachments=flag(found, "hasAttachments"),
        is_draft=flag(found, "isDraft"),
        web_url=text(found, "webLink"),
        created_at=timestamp(aware_time(text(found, "createdDateTime"))),
        modified_at=timestamp(aware_time(text(found, "lastModifiedDateTime"))),
        version=text(found, "changeKey") or text(found, "@odata.etag"),
        delegate_email=calendar.delegate_email,
    )
    _add_times(event, found, calendar)
    _add_lists(event, found, cut)
    _add_series(event, found, calendar, cut)
    if (meeting := _meeting(found)) is not None:
        event.online_meeting.CopyFrom(meeting)
    fit(event, cut)
    if cut.ByteSize():
        event.truncation.CopyFrom(cut)
    return event


def _add_times(event: pb2.CalendarEvent, found: Mapping[str, Any], calendar: CalendarOfEvents) -> None:
    event.is_all_day = flag(found, "isAllDay")
    recurrence_zone = graph_rules.recurrence_zone(found.get("recurrence"))
    for name in ("start", "end"):
        given = text(found, f"original{name.capitalize()}TimeZone")
        zone = ZoneName(first_known(given, recurrence_zone, calendar.zone), given)
        getattr(event, name).CopyFrom(_time(member(found, name), zone, is_all_day=event.is_all_day))
    if event.is_all_day and event.end.date <= event.start.date:
        event.end.date = (date.fromisoformat(event.start.date) + timedelta(days=1)).isoformat()


def _time(given: dict[str, Any], zone: ZoneName, *, is_all_day: bool) -> pb2.EventTime:
    clock = naive_time(text(given, "dateTime"))
    if clock is None or not 1600 <= clock.year <= 9900:  # noqa: PLR2004 - what every zone can shift
        raise UnreadableEventError("the event has no time that can be read")
    if is_all_day:
        return on_day(clock.date())
    stated = first_known(text(given, "timeZone"))
    return at_instant(clock.replace(tzinfo=zone_info(stated.iana)), zone)


def _add_lists(event: pb2.CalendarEvent, found: Mapping[str, Any], cut: pb2.EventTruncation) -> None:
    attendees = objects(found, "attendees")
    cut.are_attendees_cut = len(attendees) > MAX_ATTENDEES
    event.attendees.extend(_attendee(one, cut) for one in attendees[:MAX_ATTENDEES])
    event.categories.extend(names_of(list(texts(found, "categories", MAX_NAME + 1)), cut))
    places = [text(one, "displayName", MAX_NAME + 1) for one in objects(found, "locations")]
    first = text(member(found, "location"), "displayName", MAX_NAME + 1)
    event.locations.extend(names_of(list(dict.fromkeys(place for place in (first, *places) if place)), cut))
    minutes = number(found, "reminderMinutesBeforeStart", -MAX_REMINDER, MAX_REMINDER)
    if flag(found, "isReminderOn") and minutes is not None:
        event.reminder_minutes.append(minutes)


def _add_series(
    event: pb2.CalendarEvent, found: Mapping[str, Any], calendar: CalendarOfEvents, cut: pb2.EventTruncation
) -> None:
    if event.kind == pb2.EVENT_KIND_MASTER:
        event.recurrence.CopyFrom(_recurrence(event, found.get("recurrence"), cut))
        days = sorted({day for word in texts(found, "cancelledOccurrences") if (day := _day_of_id(word))})
        cut.are_cancelled_dates_cut = len(days) > MAX_CANCELLED
        event.cancelled_dates.extend(days[-MAX_CANCELLED:])
    if event.kind in (pb2.EVENT_KIND_OCCURRENCE, pb2.EVENT_KIND_EXCEPTION):
        event.series_master_id = event_uuid(calendar.calendar_id, text(found, "seriesMasterId"))
        original = original_start(found, event)
        if original is not None:
            event.original_start.CopyFrom(original)


def original_start(found: Mapping[str, Any], event: pb2.CalendarEvent) -> pb2.EventTime | None:
    """Return the start that the rule gives an instance; None when the answer does not have it.

    It is UTC by the documentation, and was seen with the zone's offset. That of an all-day event was seen as the zone's
    midnight in UTC, so that its local day counts.
    """
    moment = aware_time(text(found, "originalStart"))
    if moment is None:
        return None
    given = text(found, "originalStartTimeZone")
    zone = ZoneName(first_known(given), given)
    return on_day(_midnight_day(moment, zone)) if event.is_all_day else at_instant(moment, zone)


def _midnight_day(moment: datetime, zone: ZoneName) -> date:
    if (moment.hour, moment.minute) == (0, 0):
        return moment.date()
    return local_day(at_instant(moment, zone))


def _recurrence(event: pb2.CalendarEvent, given: Any, cut: pb2.EventTruncation) -> pb2.Recurrence:
    named = graph_rules.recurrence_zone(given) or event.start.provider_zone
    zone = first_known(named, event.start.iana_zone)
    made = pb2.Recurrence(iana_zone="" if event.is_all_day else zone.iana)
    form = provider_form(given)
    cut.is_provider_form_cut = form is None
    if form is not None:
        made.provider_form.CopyFrom(form)
    try:
        rule = graph_rules.rule_of(given)
    except RuleError:
        return made
    made.rule = rule.text(made.iana_zone)
    made.frequency = pb2.RecurrenceFrequency.Value(f"RECURRENCE_FREQUENCY_{rule.frequency}")
    made.interval, made.count = rule.interval, rule.count
    made.days_of_week.extend(WEEKDAYS[day] for _, day in rule.days)
    made.days_of_month.extend(rule.month_days)
    made.month = rule.months[0] if rule.months else 0
    made.set_position = rule.positions[0] if rule.positions else 0
    if rule.frequency == "WEEKLY":
        made.week_start = WEEKDAYS[rule.week_start]
    made.until_date = rule.until.isoformat() if rule.until else ""
    return made


def _meeting(found: Mapping[str, Any]) -> pb2.OnlineMeeting | None:
    info, provider = member(found, "onlineMeeting"), text(found, "onlineMeetingProvider")
    if not flag(found, "isOnlineMeeting") or (provider.lower() in _NO_MEETING and not info):
        return None
    url, number_of = web_address(text(info, "joinUrl")), text(info, "conferenceId", 100)
    tolls = [text(info, "tollNumber", 100), *texts(info, "tollFreeNumbers", 100)]
    tolls += [text(phone, "number", 100) for phone in objects(info, "phones")]
    dial_ins = [f"tel:{toll},,{number_of}#" if number_of else f"tel:{toll}" for toll in dict.fromkeys(tolls) if toll]
    return pb2.OnlineMeeting(
        provider=provider,
        state=pb2.ONLINE_MEETING_STATE_READY if url else pb2.ONLINE_MEETING_STATE_PENDING,
        join_url=url,
        conference_id=number_of,
        dial_ins=dial_ins[:MAX_DIAL_INS],
    )


def _body(found: Mapping[str, Any], cut: pb2.EventTruncation) -> str:
    """Return the body as text. HTML in spite of the request for text is left out: it is not ours to show."""
    body = member(found, "body")
    if text(body, "contentType").lower() != "text":
        return text(found, "bodyPreview")
    content = text(body, "content", MAX_BODY + 1)
    cut.is_body_cut = len(content) > MAX_BODY
    return content[:MAX_BODY]


def _attendee(given: dict[str, Any], cut: pb2.EventTruncation) -> pb2.Attendee:
    status = member(given, "status")
    return pb2.Attendee(
        person=_person(given, cut),
        role=_ROLES.get(text(given, "type").lower(), 0),  # type: ignore[arg-type]
        response=_RESPONSES.get(text(status, "response").lower(), 0),  # type: ignore[arg-type]
        responded_at=timestamp(aware_time(text(status, "time"))),
    )


def _person(owner: dict[str, Any], cut: pb2.EventTruncation) -> pb2.Person:
    given = member(owner, "emailAddress")
    address, name = text(given, "address", MAX_NAME + 1), text(given, "name", MAX_NAME + 1)
    return pb2.Person(address=cut_text(address, MAX_NAME, cut), name=cut_text(name, MAX_NAME, cut))


def _day_of_id(occurrence: str) -> str:
    """Return the local day at the end of the id of a cancelled occurrence, "OID.<master>.<yyyy-mm-dd>"."""
    try:
        return date.fromisoformat(clean(occurrence)[-10:]).isoformat()
    except ValueError:
        return ""
