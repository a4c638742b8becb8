"""Meetings are counted by local day and kind, each instance of a series once, and within a bound on time."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from services.meshkit import db
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import new_id
from services.processor.calendar.errors import CalendarNotFollowed, CalendarNotFound, CalendarWindowTooLarge
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.meetings import MeetingCounter, days_zone
from services.processor.calendar.meetings_today import MeetingsToday
from services.processor.calendar.reading import CalendarReader, Place, Window
from services.processor.calendar.rows import State, StoredEvent
from services.processor.calendar.store import calendars, events
from services.processor.errors import TenantNotFound
from services.processor.metrics import MEETINGS_TODAY
from tests.store.processor.calendar.test_disconnecting import listed
from tests.unit.processor.calendar.graph_json import graph_event, weekly

TEAMS = {"isOnlineMeeting": True, "onlineMeetingProvider": "teamsForBusiness"}
UTC_DAYS = days_zone("")
MARCH = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


class StoppedClock:
    """Shows a time until the test changes it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def at(begins: str, hours: float = 1.0, **fields: Any) -> dict[str, Any]:
    """Return a single event of Graph at an instant in UTC."""
    end = datetime.fromisoformat(begins) + timedelta(hours=hours)
    start = {"dateTime": f"{begins}.0000000", "timeZone": "UTC"}
    return graph_event(
        id=new_id(), start=start, end={"dateTime": f"{end.isoformat()}.0000000", "timeZone": "UTC"}, **fields
    )


async def followed(pool: db.Pool, *found: dict[str, Any]) -> tuple[str, str]:
    """Store a followed calendar with events; return the ids of its tenant and of itself."""
    tenant_id = new_id()
    await pool.execute(
        "INSERT INTO processor.tenants (tenant_id, provider, status, changed_at) VALUES ($1, 'ms365', 'active', now())",
        tenant_id,
    )
    row = await listed(pool, tenant_id)
    facts = CalendarOfEvents(row.calendar_id)
    stored = [StoredEvent(map_event(one, facts), 1) for one in found]
    async with db.transaction(pool) as connection:
        await calendars.change(connection, row.calendar_id, row.follows, {"state": State.FOLLOWED})
        await events.save(connection, row.calendar_id, stored, 1, datetime.now(UTC))
    return tenant_id, row.calendar_id


async def test_meetings_are_counted_by_day_and_kind(pool: db.Pool) -> None:
    tenant_id, calendar_id = await followed(
        pool,
        at("2026-03-02T09:00:00", **TEAMS),
        at("2026-03-02T10:00:00", **TEAMS),
        at("2026-03-02T11:00:00"),
        at("2026-03-02T12:00:00", isCancelled=True),
        at("2026-02-28T23:30:00"),
        at("2026-03-10T23:30:00", **TEAMS),
        weekly(**TEAMS),
    )
    counter = MeetingCounter(pool, CalendarReader(pool))
    page = await CalendarReader(pool).page(calendar_id, None, MARCH, Place(), 1000, is_expanded=True)
    instances = [
        one.start.instant.ToDatetime(UTC) for one in page.events if one.kind == event_pb2.EVENT_KIND_OCCURRENCE
    ]
    assert len(instances) >= 3
    expected = {
        ("2026-03-02", "teamsForBusiness"): 2,
        ("2026-03-02", ""): 1,
        ("2026-03-10", "teamsForBusiness"): 1,
    }
    for one in instances:
        key = one.date().isoformat(), "teamsForBusiness"
        expected[key] = expected.get(key, 0) + 1

    assert expected == await counter.count(tenant_id, "", MARCH, UTC_DAYS, is_in_scope=True)
    assert expected == await counter.count(tenant_id, calendar_id, MARCH, UTC_DAYS, is_in_scope=True)
    tokyo = await counter.count(tenant_id, calendar_id, MARCH, days_zone("Asia/Tokyo"), is_in_scope=True)
    assert 1 == tokyo["2026-03-11", "teamsForBusiness"]


def whole_day(day: str, following: str) -> dict[str, Any]:
    """Return a whole-day event of Graph."""
    start, end = ({"dateTime": f"{one}T00:00:00.0000000", "timeZone": "UTC"} for one in (day, following))
    return graph_event(id=new_id(), isAllDay=True, start=start, end=end)


@pytest.mark.parametrize("name", ["UTC", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kolkata"])
async def test_whole_day_events_count_on_their_day_in_every_zone(pool: db.Pool, name: str) -> None:
    tenant_id, _ = await followed(
        pool,
        whole_day("2026-03-02", "2026-03-03"),
        whole_day("2026-03-03", "2026-03-04"),
        whole_day("2026-03-04", "2026-03-05"),
    )
    zone = days_zone(name)
    begin = datetime(2026, 3, 3, tzinfo=zone)
    counter = MeetingCounter(pool, CalendarReader(pool))
    day = Window(begin, begin + timedelta(days=1))

    assert {("2026-03-03", ""): 1} == await counter.count(tenant_id, "", day, zone, is_in_scope=True)


async def test_the_ends_of_time_are_counted_too(pool: db.Pool) -> None:
    tenant_id, _ = await followed(pool, at("2026-03-02T09:00:00"))
    counter = MeetingCounter(pool, CalendarReader(pool))
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for window in (Window(first, first + timedelta(days=2)), Window(last - timedelta(days=2), last)):
        assert not await counter.count(tenant_id, "", window, UTC_DAYS, is_in_scope=True)


async def test_a_count_names_what_is_missing_and_ends_in_time(pool: db.Pool) -> None:
    tenant_id, calendar_id = await followed(pool, weekly())
    counter = MeetingCounter(pool, CalendarReader(pool))
    with pytest.raises(TenantNotFound):
        await counter.count(tenant_id, "", MARCH, UTC_DAYS, is_in_scope=False)
    with pytest.raises(CalendarNotFound):
        await counter.count(tenant_id, new_id(), MARCH, UTC_DAYS, is_in_scope=True)
    other, _ = await followed(pool)
    with pytest.raises(CalendarNotFound):
        await counter.count(other, calendar_id, MARCH, UTC_DAYS, is_in_scope=True)
    with pytest.raises(CalendarWindowTooLarge):
        await MeetingCounter(pool, CalendarReader(pool), -1.0).count(tenant_id, "", MARCH, UTC_DAYS, is_in_scope=True)
    await pool.execute("UPDATE processor.calendars SET state = 1 WHERE calendar_id = $1", calendar_id)
    with pytest.raises(CalendarNotFollowed):
        await counter.count(tenant_id, calendar_id, MARCH, UTC_DAYS, is_in_scope=True)


@pytest.mark.parametrize("name", ["Europe/Nowhere", "Eastern Standard Time", "../etc", "x" * 5000, "\0"])
def test_only_iana_zones_have_days(name: str) -> None:
    with pytest.raises(FieldInvalid):
        days_zone(name)


def test_the_zones_of_days_are_by_name() -> None:
    assert ("Etc/UTC", "Europe/Berlin") == (days_zone("").key, days_zone("Europe/Berlin").key)
    assert isinstance(days_zone("UTC"), ZoneInfo)


async def test_the_metric_shows_todays_meetings_of_all_calendars(
    pool: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.processor.calendar.meetings_today._AT_ONCE", 2)
    odd = {"isOnlineMeeting": True, "onlineMeetingProvider": "somethingNew"}
    for _ in range(3):
        await followed(
            pool, at("2026-03-02T09:00:00", **TEAMS), at("2026-03-02T10:00:00"), at("2026-03-02T11:00:00", **odd),
            at("2026-03-03T09:00:00", **TEAMS),
        )  # fmt: skip
    clock = StoppedClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
    counter = MeetingCounter(pool, CalendarReader(pool))
    counting, other = (MeetingsToday(pool, counter, clock) for _ in range(2))

    rounds = [await counting.round(), await other.round(), await counting.round(), await counting.round()]
    assert [2, 0, 0, 0] == rounds
    assert {"teamsForBusiness": 3, "none": 3, "other": 3} == _shown()
    clock.at += timedelta(hours=24)
    while await counting.round():
        pass
    assert {"teamsForBusiness": 3} == _shown()


def _shown() -> dict[str, float]:
    (metric,) = MEETINGS_TODAY.collect()
    return {one.labels["kind"]: one.value for one in metric.samples}


class ProcessesGauge:
    """The metric of one of several processes."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}
        self._names: tuple[str, ...] = ()

    def clear(self) -> None:
        self.values = {}

    def labels(self, *names: str) -> "ProcessesGauge":
        self._names = names
        return self

    def set(self, number: float) -> None:
        self.values[self._names] = number


async def test_one_of_two_processes_shows_the_metric(pool: db.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    await followed(pool, at("2026-03-02T09:00:00", **TEAMS))
    clock = StoppedClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
    counter = MeetingCounter(pool, CalendarReader(pool))
    gauges = {MeetingsToday(pool, counter, clock): ProcessesGauge() for _ in range(2)}

    async def round_of(process: MeetingsToday) -> None:
        monkeypatch.setattr("services.processor.calendar.meetings_today.MEETINGS_TODAY", gauges[process])
        await process.round()

    async def later(minutes: int) -> None:
        # The duty expires by the clock of PostgreSQL.
        clock.at += timedelta(minutes=minutes)
        passed = timedelta(minutes=minutes)
        await pool.execute("UPDATE processor.duties SET expires_at = expires_at - $1::interval", passed)

    await round_of(next(iter(gauges)))
    await later(7)
    for _ in range(60):
        for process in gauges:
            await round_of(process)
        assert 1 == sum(bool(gauge.values) for gauge in gauges.values())
        await later(1)
