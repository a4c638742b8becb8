"""The instances of a series of Google, by its lines of RFC 5545 in local time."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rruleset, rrulestr

from simulator.http import JSON, NotSimulatedError
from simulator.mailboxes.google_calendars import GoogleCalendar, unchanged_instance
from simulator.mailboxes.mailbox import MailboxError

_STAMP = "%Y%m%dT%H%M%S"
_STEPS = ("FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY")


def starts(master: JSON, until: datetime) -> Iterator[dict[str, str]]:
    """Yield the starts that a series gives its instances before a time, the cancelled and changed ones too.

    Args:
        master: The series; its start has a zone unless it is a day.
        until: A time with its zone.

    Raises:
        NotSimulatedError: A line is of a kind that this expansion does not know.
    """
    is_day, zone = "date" in master["start"], zone_of(master)
    first = _local(master["start"], zone)
    found = rruleset()
    found.rdate(first)  # the start is an instance, also beside the rule
    for line in master["recurrence"]:
        _add(found, line, first, zone, is_day=is_day)
    for clock in found:
        moment = clock.replace(tzinfo=zone)
        if moment.astimezone(UTC) >= until:
            return
        if is_day:
            yield {"date": clock.date().isoformat()}
        else:
            # Through UTC, since a change of the clocks leaves some wall clocks out.
            shown = moment.astimezone(UTC).astimezone(zone)
            yield {"dateTime": shown.isoformat(), "timeZone": master["start"]["timeZone"]}


def instances(calendar: GoogleCalendar, master: JSON, begin: datetime, end: datetime) -> list[JSON]:
    """Return the instances of a series that overlap a window, by start; cancelled ones are left out."""
    changed = [one for one in calendar.events.values() if one.get("recurringEventId") == master["id"]]
    found = [one for one in changed if one["status"] != "cancelled"]
    away = {one["id"] for one in changed}
    plain = (unchanged_instance(master, start) for start in starts(master, end))
    found += [one for one in plain if one["id"] not in away]
    kept = [one for one in found if moment_of(one["start"]) < end and moment_of(one["end"]) > begin]
    return sorted(kept, key=lambda one: moment_of(one["start"]))


def instance_of(master: JSON, instance_id: str) -> JSON:
    """Return the instance with an id, as the series has it.

    Raises:
        MailboxError: The series has no such instance.
    """
    stamp = instance_id.rpartition("_")[2]
    try:
        day = datetime.strptime(stamp[:8], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise MailboxError("not_found", f"no event {instance_id}") from error
    for start in starts(master, day + timedelta(days=2)):
        if (made := unchanged_instance(master, start))["id"] == instance_id:
            return made
    raise MailboxError("not_found", f"no event {instance_id}")


def zone_of(master: JSON) -> ZoneInfo:
    """Return the zone of a series; whole days are those of UTC."""
    return ZoneInfo("UTC" if "date" in master["start"] else master["start"]["timeZone"])


def moment_of(given: JSON) -> datetime:
    """Return the instant of a time with an offset, or of a day's begin in UTC."""
    if "date" in given:
        return datetime.combine(date.fromisoformat(given["date"]), time(), UTC)
    return datetime.fromisoformat(given["dateTime"]).astimezone(UTC)


def _local(given: JSON, zone: ZoneInfo) -> datetime:
    return moment_of(given).astimezone(zone).replace(tzinfo=None)


def _add(found: rruleset, line: str, first: datetime, zone: ZoneInfo, *, is_day: bool) -> None:
    head, _, value = line.partition(":")
    kind, *parameters = head.split(";")
    if kind == "RRULE":
        found.rrule(_rule(value, first, zone, is_day=is_day))
        return
    if kind not in ("EXDATE", "RDATE"):
        raise NotSimulatedError(f"{kind} in a recurrence")
    names = [one.partition("=")[2] for one in parameters if one.startswith("TZID=")]
    for text in value.split(","):
        clock = _clock(text, ZoneInfo(names[0]) if names else zone, zone)
        (found.exdate if kind == "EXDATE" else found.rdate)(clock)


def _rule(text: str, first: datetime, zone: ZoneInfo, *, is_day: bool) -> rrule:
    """Return a rule over wall clocks, whose UNTIL is one as well."""
    parts = text.split(";")
    if not any(part in _STEPS for part in parts) or "INTERVAL=0" in parts:
        raise NotSimulatedError(f"the rule {text}")
    for at, part in enumerate(parts):
        if part.startswith("UNTIL="):
            end = _clock(part.removeprefix("UNTIL="), zone, zone)
            # A day as the end of a series with times is that whole day.
            end += timedelta(hours=23, minutes=59, seconds=59) if "T" not in part and not is_day else timedelta()
            parts[at] = f"UNTIL={end:{_STAMP}}"
    rule = rrulestr(";".join(parts), dtstart=first)
    assert isinstance(rule, rrule)  # noqa: S101  one line is one rule, never a set
    return rule


def _clock(text: str, own: ZoneInfo, zone: ZoneInfo) -> datetime:
    """Return a value of a line as a wall clock in the zone of the series."""
    if "T" not in text:
        return datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007 - a wall clock
    clock = datetime.strptime(text.removesuffix("Z"), _STAMP)  # noqa: DTZ007 - its zone comes next
    return clock.replace(tzinfo=UTC if text.endswith("Z") else own).astimezone(zone).replace(tzinfo=None)
