"""Check the content of an event before it is stored: every value comes from outside."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.meshkit.text import check_name
from services.processor.calendar.errors import (
    CalendarFieldUnsupported,
    CalendarNotifyUnsupported,
    CalendarRuleUnsupported,
)
from services.processor.calendar.mapping.expansion import expand
from services.processor.calendar.mapping.graph_rules import recurrence_of
from services.processor.calendar.mapping.rules import Rule, RuleError, parse_rule
from services.processor.calendar.mapping.windows import windows_zone
from services.processor.calendar.mapping.zones import resolve
from services.providers.names import GOOGLEWS, MS365

KEY_CHARACTERS = 200
ATTENDEES_MAX = 200
CATEGORIES_MAX = 25
SUBJECT_CHARACTERS = 1000
BODY_BYTES = 64 * 1024
REMINDER_MINUTES = 40_320
_NAME_CHARACTERS = 200
_PLACE_CHARACTERS = 500
_CATEGORY_CHARACTERS = 255
_LONGEST = timedelta(days=366)
_YEARS = (1900, 2200)
_KEY = re.compile(rf"[!-~]{{1,{KEY_CHARACTERS}}}")
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64})*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_ADDRESS_CHARACTERS = 320
_ENUMS: Mapping[str, Any] = {
    "importance": event_pb2.EventImportance,
    "visibility": event_pb2.EventVisibility,
    "busy": event_pb2.EventBusy,
}
_OF_GOOGLE = frozenset({event_pb2.EVENT_BUSY_UNSPECIFIED, event_pb2.EVENT_BUSY_FREE, event_pb2.EVENT_BUSY_BUSY})
_NORMAL = frozenset({event_pb2.EVENT_IMPORTANCE_UNSPECIFIED, event_pb2.EVENT_IMPORTANCE_NORMAL})


def check_key(key: str) -> None:
    """Check an idempotency key. Raises `FieldInvalid`."""
    if not _KEY.fullmatch(key):
        raise FieldInvalid.of("idempotency_key", f"must have 1 to {KEY_CHARACTERS} printable ASCII characters")


def check_notify(notify: "pb2.CalendarNotify.ValueType") -> None:
    """Check that a caller says who is notified. Raises `FieldInvalid`."""
    if notify not in pb2.CalendarNotify.values() or notify == pb2.CALENDAR_NOTIFY_UNSPECIFIED:
        raise FieldInvalid.of("notify", "must say who is notified: ALL, EXTERNAL or NONE")


def check_event(event: pb2.NewCalendarEvent) -> None:
    """Check a new event.

    Raises:
        FieldInvalid: A field is missing, malformed or out of its range.
    """
    check_name("event.subject", event.subject, SUBJECT_CHARACTERS)
    check_name("event.location", event.location, _PLACE_CHARACTERS)
    check_name("event.online_meeting_provider", event.online_meeting_provider, 100)
    _check_body(event.body_text)
    _check_times(event)
    check_attendees("event.attendees", event.attendees)
    _check_categories(event)
    for name, enum in _ENUMS.items():
        if getattr(event, name) not in enum.values():
            raise FieldInvalid.of(f"event.{name}", "must be a value of the contract")
    if event.HasField("reminder_minutes") and not 0 <= event.reminder_minutes <= REMINDER_MINUTES:
        raise FieldInvalid.of("event.reminder_minutes", f"must be 0 to {REMINDER_MINUTES}")


def check_for(provider: str, event: pb2.NewCalendarEvent, notify: "pb2.CalendarNotify.ValueType") -> None:
    """Check that a provider can hold a new event, and tells those whom the caller chose.

    Args:
        provider: "ms365" or "googlews".
        event: An event that `check_event` has passed.
        notify: The choice.

    Raises:
        CalendarFieldUnsupported: The provider's events cannot have a value.
        CalendarRuleUnsupported: The provider cannot hold the rule.
        CalendarNotifyUnsupported: The provider does not let a caller choose in this way.
    """
    _check_rule(provider, event)
    if provider == GOOGLEWS:
        for name, is_held in (
            ("importance", event.importance in _NORMAL),
            ("categories", not event.categories),
            ("busy", event.busy in _OF_GOOGLE),
        ):
            if not is_held:
                raise CalendarFieldUnsupported(metadata={"provider": provider, "field": name})
        return
    for name, time in (("start", event.start), ("end", event.end)):
        if time.time_zone and not windows_zone(time.time_zone):
            raise CalendarFieldUnsupported(metadata={"provider": provider, "field": f"{name}.time_zone"})
    check_notify_of(provider, notify, has_attendees=bool(event.attendees))


def check_notify_of(provider: str, notify: "pb2.CalendarNotify.ValueType", *, has_attendees: bool) -> None:
    """Check that a provider lets a caller choose whom it tells. Microsoft tells all attendees, always.

    Raises:
        CalendarNotifyUnsupported: It does not.
    """
    is_held = notify == pb2.CALENDAR_NOTIFY_ALL or (notify == pb2.CALENDAR_NOTIFY_NONE and not has_attendees)
    if provider == MS365 and not is_held:
        raise CalendarNotifyUnsupported(metadata={"provider": provider, "notify": pb2.CalendarNotify.Name(notify)})


def check_addresses(name: str, addresses: Sequence[str], member: str = "") -> None:
    """Check the addresses of attendees, each in a member of an item of a field. Raises `FieldInvalid`."""
    if len(addresses) > ATTENDEES_MAX:
        raise FieldInvalid.of(name, f"must be at most {ATTENDEES_MAX}")
    for place, address in enumerate(addresses):
        if len(address) > _ADDRESS_CHARACTERS or not _ADDRESS.fullmatch(address):
            raise FieldInvalid.of(f"{name}[{place}]{member}", "must be local@domain in ASCII")


def rule_of(event: pb2.NewCalendarEvent) -> Rule | None:
    """Return the rule of a new series; None for a single event. Raises `RuleError`."""
    if not event.recurrence_rule:
        return None
    zone = "Etc/UTC" if event.start.date else event.start.time_zone
    return parse_rule(event.recurrence_rule, zone)


def first_day(event: pb2.NewCalendarEvent) -> date:
    """Return the local day on which an event begins."""
    return date.fromisoformat(event.start.date or event.start.local[:10])


def _check_rule(provider: str, event: pb2.NewCalendarEvent) -> None:
    zone = "Etc/UTC" if event.start.date else event.start.time_zone
    if event.recurrence_rule:
        check_rule(provider, event.recurrence_rule, zone, first_day(event))


def check_rule(provider: str, text: str, zone: str, day: date) -> Rule:
    """Check that a provider can hold a rule.

    Args:
        provider: "ms365" or "googlews".
        text: The rule.
        zone: The IANA zone in which it is expanded.
        day: The local day of the series' start.

    Raises:
        FieldInvalid: The start is no instance.
        CalendarRuleUnsupported: The provider cannot hold the rule.
    """
    try:
        rule = parse_rule(text, zone)
        if day not in list(expand(rule, day, day, day + timedelta(days=1))):
            raise FieldInvalid.of("event.recurrence_rule", "must have the start as an instance")
        if provider == MS365:
            recurrence_of(rule, day)
        return rule
    except RuleError as exc:
        raise CalendarRuleUnsupported(metadata={"provider": provider, "detail": str(exc)}) from exc


def _check_body(body: str) -> None:
    if len(body.encode()) > BODY_BYTES or "\0" in body:
        raise FieldInvalid.of("event.body_text", f"must have at most {BODY_BYTES} bytes, and no NUL")


def _check_times(event: pb2.NewCalendarEvent) -> None:
    start, end = _time("event.start", event.start), _time("event.end", event.end)
    if bool(event.start.date) != bool(event.end.date):
        raise FieldInvalid.of("event.end", "must be of the kind of the start: both all-day, or both with a time")
    # A zone's offset moves by hours at most, and an event from one zone to another by a day: the providers compare.
    least = timedelta(days=1) if event.start.date else timedelta()
    if event.start.time_zone == event.end.time_zone and not least <= end - start <= _LONGEST:
        raise FieldInvalid.of("event.end", f"must be after the start, by at most {_LONGEST.days} days")
    if not -timedelta(days=2) < end - start <= _LONGEST:
        raise FieldInvalid.of("event.end", "must be after the start")


def _time(field: str, time: pb2.NewEventTime) -> datetime:
    if bool(time.local) == bool(time.date):
        raise FieldInvalid.of(field, "must have either local or date")
    pattern, value = (_DAY, time.date) if time.date else (_LOCAL, time.local)
    try:
        moment = datetime.fromisoformat(value) if pattern.fullmatch(value) else None
    except ValueError:
        moment = None
    if moment is None or not _YEARS[0] <= moment.year <= _YEARS[1]:
        raise FieldInvalid.of(field, 'must be like "2026-03-08T09:00:00" or, of an all-day event, "2026-03-08"')
    zone = resolve(time.time_zone)
    if time.date and time.time_zone:
        raise FieldInvalid.of(f"{field}.time_zone", "must be empty for an all-day event")
    if not time.date and (zone is None or zone.iana != time.time_zone):
        raise FieldInvalid.of(f"{field}.time_zone", 'must be an IANA time zone, such as "America/New_York"')
    return moment


def check_attendees(name: str, attendees: Sequence[pb2.NewAttendee]) -> None:
    """Check attendees; `name` is that of their field. Raises `FieldInvalid`."""
    if len({one.address.lower() for one in attendees}) != len(attendees):
        raise FieldInvalid.of(name, f"must be at most {ATTENDEES_MAX}, each once")
    check_addresses(name, [one.address for one in attendees], ".address")
    for place, one in enumerate(attendees):
        field = f"{name}[{place}]"
        if one.role not in event_pb2.AttendeeRole.values():
            raise FieldInvalid.of(f"{field}.role", "must be a value of the contract")
        check_name(f"{field}.name", one.name, _NAME_CHARACTERS)


def _check_categories(event: pb2.NewCalendarEvent) -> None:
    if len(event.categories) > CATEGORIES_MAX or len(set(event.categories)) != len(event.categories):
        raise FieldInvalid.of("event.categories", f"must be at most {CATEGORIES_MAX}, each once")
    for place, name in enumerate(event.categories):
        check_name(f"event.categories[{place}]", name, _CATEGORY_CHARACTERS, least=1)
