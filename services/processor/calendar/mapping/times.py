"""Times of events: an instant with its wall clock and zone, or a date."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.mapping.fields import timestamp
from services.processor.calendar.mapping.zones import Zone, zone_info


@dataclass(frozen=True)
class ZoneName:
    """A zone with the provider's name of it.

    Args:
        zone: The zone.
        provider: The provider's name.
    """

    zone: Zone
    provider: str


def at_instant(moment: datetime, zone: ZoneName) -> pb2.EventTime:
    """Return the time of an instant, with its wall clock in a zone."""
    return pb2.EventTime(
        instant=timestamp(moment.astimezone(UTC)),
        local=_wall_clock(moment, zone.zone).isoformat(timespec="seconds"),
        iana_zone=zone.zone.iana,
        provider_zone=zone.provider,
        is_zone_approximate=zone.zone.is_approximate,
    )


def on_day(day: date) -> pb2.EventTime:
    """Return the time of a day of an all-day event, which has no zone and no instant."""
    return pb2.EventTime(date=day.isoformat())


def at_local(local: datetime, zone: ZoneName) -> pb2.EventTime:
    """Return the time of a wall clock.

    In the hour that spring leaves out it is one hour later, in the hour that autumn repeats it is the first of the two
    (RFC 5545, section 3.3.5).
    """
    moment = local.replace(tzinfo=zone_info(zone.zone.iana), fold=0)
    return at_instant(_within_time(moment), zone)


def zone_of(time: pb2.EventTime) -> ZoneName:
    """Return the zone of a time."""
    return ZoneName(Zone(time.iana_zone, time.is_zone_approximate), time.provider_zone)


def local_day(time: pb2.EventTime) -> date:
    """Return the local day of a time.

    Raises:
        ValueError: The time is empty.
    """
    return date.fromisoformat(time.date or time.local[:10])


def local_clock(time: pb2.EventTime) -> datetime:
    """Return the wall clock of a time; midnight for an all-day event.

    Raises:
        ValueError: The time is empty.
    """
    return datetime.fromisoformat(time.local or time.date)


def sort_instant(time: pb2.EventTime) -> datetime:
    """Return the instant by which lists are sorted; an all-day event counts in UTC.

    Raises:
        ValueError: The time is empty.
    """
    if time.HasField("instant"):
        return time.instant.ToDatetime(UTC)
    return datetime.fromisoformat(time.date).replace(tzinfo=UTC)


def start_text(time: pb2.EventTime) -> str:
    """Return an original start as text: an instant in UTC, or a date."""
    return time.date or f"{sort_instant(time):%Y-%m-%dT%H:%M:%SZ}"


def shifted(time: pb2.EventTime, span: timedelta, zone: ZoneName) -> pb2.EventTime:
    """Return the time after a span of wall-clock time; of an all-day event after a span of days.

    Raises:
        ValueError: The time is empty.
        OverflowError: The result is beyond the last year.
    """
    if time.date:
        return on_day(date.fromisoformat(time.date) + span)
    return at_local(local_clock(time) + span, zone)


def _wall_clock(moment: datetime, zone: Zone) -> datetime:
    try:
        return moment.astimezone(zone_info(zone.iana)).replace(tzinfo=None)
    except OverflowError:  # at the ends of time the offset leads outside
        return moment.astimezone(UTC).replace(tzinfo=None)


def _within_time(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)
