"""A write to a calendar is one event or uncertain, and never two, after any answer and wherever its worker dies."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit.clock import SystemClock
from services.processor.calendar.errors import CalendarReadOnly, OnlineMeetingNotAllowed
from services.processor.calendar.write_rows import State, WriteRow
from services.processor.calendar.writing.requests import CalendarWrites
from services.processor.calendar.writing.retention import WriteRetention
from services.processor.errors import AbilityNotGranted, IdempotencyKeyReused
from services.processor.restored import doubt_writes
from services.processor.worker import running
from tests.store.processor.calendar.following import GOOGLE_SCOPES, HASTE, SCOPES, FollowedCalendar, _SilentQueue
from tests.store.processor.ground import PATIENCE, Ground
from tests.store.processor.workers import end_holds, worker_process

pytestmark = pytest.mark.timeout(300)
QUICK = {**HASTE, "calendar_write_settle_seconds": 1.0}
CREATE = {"ms365": "graph.events.create", "googlews": "calendar.events.insert"}
LOOK = {"ms365": "graph.events.list", "googlews": "calendar.events.get"}
ONCE = {"count": 1}
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "made, and the answer dropped": ("close", {"phase": "after", **ONCE}),
    "made, and answered 500": ("status", {"status": 500, "phase": "after", **ONCE}),
    "not made, and answered 504": ("status", {"status": 504, **ONCE}),
    "throttled": ("status", {"status": 429, "retry_after": 1, **ONCE}),
    "a token refused": ("status", {"status": 401, **ONCE}),
}


class Writer:
    """An account that lets mailmesh write to its calendar."""

    def __init__(self, followed: FollowedCalendar) -> None:
        self.followed = followed
        self.ground = followed.ground
        settings = self.ground.worker_settings(**QUICK)
        self.writes = CalendarWrites(self.ground.processor, _SilentQueue(), settings, SystemClock())  # type: ignore[arg-type]

    @classmethod
    async def of(cls, ground: Ground, provider: str) -> "Writer":
        followed = await FollowedCalendar.of(ground, provider)
        scopes = SCOPES if provider == "ms365" else GOOGLE_SCOPES
        wider = scopes.replace("Calendars.Read", "Calendars.ReadWrite").replace("events.readonly", "events")
        ground.vault.scopes[followed.tenant.tenant_id] = wider
        await ground.processor.execute(
            "UPDATE processor.tenants SET granted_abilities = $2 WHERE tenant_id = $1",
            followed.tenant.tenant_id,
            ["mail.read", "calendar.read", "calendar.write"],
        )
        return cls(followed)

    async def calendar(self) -> str:
        """List the calendars and return the id of the account's own."""
        found = await self.followed.calendars.page(self.followed.tenant.tenant_id, None, 100, is_in_scope=True)
        return next(row.calendar_id for row in found.rows if row.provider_calendar_id == self.followed.provider_id)

    async def create(self, calendar: str, key: str = "k", **fields: Any) -> WriteRow:
        """Commit a new event."""
        zone = {"time_zone": "Europe/Berlin"}
        times = {
            "start": {"local": "2026-12-01T09:00:00", **zone},
            "end": {"local": "2026-12-01T10:00:00", **zone},
        }
        event = pb2.NewCalendarEvent(subject="Review", **{**times, **fields})
        request = pb2.CreateCalendarEventRequest(
            idempotency_key=key, calendar_id=calendar, event=event, notify=pb2.CALENDAR_NOTIFY_ALL
        )
        return (await self.writes.create(request, None))[0]

    async def ended(self, row: WriteRow) -> WriteRow:
        """Wait for the outcome of a write."""

        async def is_ended() -> bool:
            return (await self.writes.get(row.calendar_write_id, None)).finished_at is not None

        await self.ground.until(is_ended, PATIENCE, what="the write has its outcome")
        return await self.writes.get(row.calendar_write_id, None)

    async def events(self) -> list[str]:
        """Return the provider's ids of the calendar's events."""
        (found, *_) = await self.ground.control.calendars(self.followed.tenant.address)
        return [one["id"] for one in found["events"]]


@pytest.mark.parametrize("provider", CREATE)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_provider_makes_no_second_event(ground: Ground, fault: str, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    kind, facts = FAULTS[fault]
    async with running(ground.worker_settings(**QUICK)):
        calendar = await writer.calendar()
        account = writer.followed.tenant.address
        await ground.control.add_fault(kind, endpoint=CREATE[provider], account=account, **facts)
        done = await writer.ended(await writer.create(calendar))

    assert (State.DONE, [done.provider_event_id]) == (done.state, await writer.events())


@pytest.mark.parametrize("provider", CREATE)
@pytest.mark.parametrize("phase", ["before", "after"])
async def test_a_write_is_one_event_wherever_its_worker_dies(
    ground: Ground, tmp_path: Path, phase: str, provider: str
) -> None:
    writer = await Writer.of(ground, provider)
    async with running(ground.worker_settings(**QUICK)):
        calendar = await writer.calendar()
    account = writer.followed.tenant.address
    await ground.control.add_fault("hang", endpoint=CREATE[provider], account=account, phase=phase, seconds=90)
    row = await writer.create(calendar)
    with worker_process(ground, tmp_path, **QUICK) as worker:
        await ground.until(lambda: has_struck(ground), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**QUICK)):
        done = await writer.ended(row)

    assert (State.DONE, [done.provider_event_id]) == (done.state, await writer.events())


@pytest.mark.parametrize("provider", CREATE)
async def test_a_change_that_is_not_found_is_looked_up_again_before_it_is_repeated(
    ground: Ground, provider: str
) -> None:
    writer = await Writer.of(ground, provider)
    account = writer.followed.tenant.address
    async with running(ground.worker_settings(**QUICK | {"calendar_write_settle_seconds": 600.0})):
        calendar = await writer.calendar()
        await ground.control.add_fault("status", endpoint=CREATE[provider], account=account, status=504, **ONCE)
        row = await writer.create(calendar)

        async def is_looked_up() -> bool:
            return await ground.control.call_count(endpoint=LOOK[provider], account=account) >= 3

        await ground.until(is_looked_up, PATIENCE)

    kept = await writer.writes.get(row.calendar_write_id, None)
    calls = await ground.control.call_count(endpoint=CREATE[provider], account=account)
    assert (State.WRITING, 1, 1) == (kept.state, kept.submissions, calls)


@pytest.mark.parametrize("provider", CREATE)
async def test_after_a_doubt_a_throttled_repetition_does_not_count(ground: Ground, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    account = writer.followed.tenant.address
    async with running(ground.worker_settings(**QUICK, send_submissions=2)):
        calendar = await writer.calendar()
        await ground.control.add_fault("status", endpoint=CREATE[provider], account=account, status=504, **ONCE)
        await ground.control.add_fault(
            "status", endpoint=CREATE[provider], account=account, status=429, skip=1, count=3
        )
        done = await writer.ended(await writer.create(calendar))

    calls = await ground.control.call_count(endpoint=CREATE[provider], account=account)
    assert (State.DONE, 2, 5) == (done.state, done.submissions, calls)


async def test_one_throttled_write_holds_the_others_of_its_account_back(ground: Ground) -> None:
    writer = await Writer.of(ground, "ms365")
    account = writer.followed.tenant.address
    async with running(ground.worker_settings(**QUICK)):
        calendar = await writer.calendar()
    await ground.control.add_fault("status", endpoint=CREATE["ms365"], account=account, status=429, retry_after=600)
    rows = [await writer.create(calendar, key=str(number)) for number in range(3)]
    async with running(ground.worker_settings(**QUICK)):

        async def are_held() -> bool:
            found = [await writer.writes.get(row.calendar_write_id, None) for row in rows]
            return all(one.reason == "PROVIDER_THROTTLED" for one in found)

        await ground.until(are_held, PATIENCE)

    assert 1 == await ground.control.call_count(endpoint=CREATE["ms365"], account=account)


async def test_the_writes_of_a_withdrawn_ability_wait_a_minute(ground: Ground) -> None:
    writer = await Writer.of(ground, "ms365")
    async with running(ground.worker_settings(**QUICK)):
        calendar = await writer.calendar()
    rows = [await writer.create(calendar, key=str(number)) for number in range(2)]
    ground.vault.refusals[writer.followed.tenant.tenant_id] = "ABILITY_NOT_GRANTED"
    async with running(ground.worker_settings(**QUICK)):

        async def are_held() -> list[WriteRow] | None:
            found = [await writer.writes.get(row.calendar_write_id, None) for row in rows]
            return found if all(one.reason == "ABILITY_NOT_GRANTED" for one in found) else None

        held: list[WriteRow] = await ground.until(are_held, PATIENCE)

    least = SystemClock().now() + timedelta(seconds=20)
    assert [(State.PENDING, 0, True)] * 2 == [
        (one.state, one.submissions, one.due_at is not None and one.due_at > least) for one in held
    ]


async def test_what_the_provider_cannot_tell_is_uncertain_until_a_person_decides(ground: Ground) -> None:
    writer = await Writer.of(ground, "ms365")
    account = writer.followed.tenant.address
    async with running(ground.worker_settings(**QUICK, send_submissions=1)):
        calendar = await writer.calendar()
        await ground.control.add_fault("status", endpoint=CREATE["ms365"], account=account, status=504)
        uncertain = await writer.ended(await writer.create(calendar))
        await ground.control.clear_faults()
        await writer.writes.resolve(uncertain.calendar_write_id, pb2.CALENDAR_WRITE_RESOLUTION_WRITE_AGAIN, None)
        done = await writer.ended(uncertain)

    assert (State.UNCERTAIN, "CALENDAR_WRITE_UNKNOWN") == (uncertain.state, uncertain.reason)
    assert (State.DONE, [done.provider_event_id]) == (done.state, await writer.events())


async def test_an_event_of_a_write_says_so_and_one_of_somebody_else_does_not(ground: Ground) -> None:
    writer = await Writer.of(ground, "ms365")
    async with running(ground.worker_settings(**QUICK)):
        row = await writer.followed.follow()
        await writer.ended(made := await writer.create(row.calendar_id))
        await ground.until(lambda: _types(writer, "event.created"), PATIENCE)
        await writer.followed.create(subject="Somebody else's")
        await ground.until(lambda: _types(writer, "event.created", "event.created"), PATIENCE)

    own, other = [one for one in await writer.followed.told() if one.event_type == "calendar.event.created"]
    assert (mail_pb2.EVENT_SOURCE_COMMAND, made.calendar_write_id) == (own.source, own.calendar_write_id)
    assert (mail_pb2.EVENT_SOURCE_RECONCILIATION, "") == (other.source, other.calendar_write_id)


async def test_a_write_is_refused_by_name_before_anything_is_stored(ground: Ground) -> None:
    writer = await Writer.of(ground, "ms365")
    address = writer.followed.tenant.address
    theirs = await ground.control.add_calendar(address, "Boss", owner="boss@contoso.test", canEdit=False)
    async with running(ground.worker_settings(**QUICK)):
        calendar = await writer.calendar()
    found = await writer.followed.calendars.page(writer.followed.tenant.tenant_id, None, 100, is_in_scope=True)
    read_only = next(row.calendar_id for row in found.rows if row.provider_calendar_id == theirs["id"])
    with pytest.raises(CalendarReadOnly):
        await writer.create(read_only)
    with pytest.raises(OnlineMeetingNotAllowed):
        await writer.create(calendar, online_meeting_provider="hangoutsMeet")
    await writer.create(calendar)
    with pytest.raises(IdempotencyKeyReused):
        await writer.create(calendar, location="Room 2")
    await ground.processor.execute(
        "UPDATE processor.tenants SET granted_abilities = $2 WHERE tenant_id = $1",
        writer.followed.tenant.tenant_id,
        ["mail.read", "calendar.read"],
    )
    with pytest.raises(AbilityNotGranted):
        await writer.create(calendar, key="another")


async def is_in_doubt(writer: Writer, row: WriteRow) -> bool:
    """Return whether a write waits to be looked up."""
    found = await writer.writes.get(row.calendar_write_id, None)
    return found.state is State.WRITING and found.attempts > 0


async def has_struck(ground: Ground) -> bool:
    return any(fault["struck"] for fault in await ground.control.request("GET", "/faults"))


async def _types(writer: Writer, *wanted: str) -> bool:
    return [one for one in await writer.followed.types() if one.startswith("event.")] == list(wanted)


async def test_after_a_restore_a_write_that_was_made_since_the_backup_is_found_and_not_made_again(
    ground: Ground,
) -> None:
    writer = await Writer.of(ground, "ms365")
    async with running(ground.worker_settings(**QUICK)):
        made = await writer.ended(await writer.create(await writer.calendar()))
    await ground.processor.execute(
        "UPDATE processor.calendar_writes SET state = 1, due_at = now(), finished_at = NULL, submitted_at = NULL,"
        " deadline_at = now() - interval '1 day',"
        " submissions = 0, calendar_event_id = NULL, provider_event_id = ''"
    )
    await doubt_writes(ground.processor)
    ended = await WriteRetention(ground.processor, SystemClock()).round()
    async with running(ground.worker_settings(**QUICK)):
        found = await writer.ended(made)

    assert (State.DONE, [found.provider_event_id]) == (found.state, await writer.events())
    assert (0, 0) == (ended, found.submissions)
