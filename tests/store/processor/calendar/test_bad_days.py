"""Refusals, throttling and several workers: each change is in the stream once, and no other calendar waits."""

from contextlib import AsyncExitStack

import pytest

from services.processor.calendar.rows import State
from services.processor.calendar.store import calendars, events
from services.processor.worker import running
from tests.store.processor.calendar.following import HASTE, MONDAYS, FollowedCalendar
from tests.store.processor.ground import Ground

pytestmark = pytest.mark.timeout(300)


async def test_two_workers_lose_and_double_no_change(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    control, address, calendar = ground.control, followed.tenant.address, followed.provider_id
    async with AsyncExitStack() as workers:
        for _ in range(2):
            await workers.enter_async_context(running(ground.worker_settings(**HASTE)))
        await followed.follow()
        made = [await followed.create(subject=f"Event {number}") for number in range(12)]
        for number, one in enumerate(made):
            await control.update_event(address, calendar, one["id"], subject=f"Edited {number}")
        for one in made[:6]:
            await control.delete_event(address, calendar, one["id"])

        async def is_settled() -> bool:
            return {f"Edited {number}" for number in range(6, 12)} == {
                event.subject for event in (await followed.page()).events
            }

        await ground.until(is_settled, what="the store has the last versions")
    told = await followed.told()
    last = {one.event.calendar_event_id: one for one in told[1:]}
    created = [one.event.calendar_event_id for one in told if one.event_type == "calendar.event.created"]

    assert len(created) == len(set(created)) == len(last)
    kept = {one.event.subject for one in last.values() if one.event_type != "calendar.event.deleted"}
    assert {f"Edited {number}" for number in range(6, 12)} == kept
    assert len(told) == len({one.event_id for one in told})
    for event_id in last:
        own = [one.event_type.rpartition(".")[2] for one in told if one.event.calendar_event_id == event_id]
        assert own[0] == "created"
        assert "deleted" not in own[:-1]
        assert own.count("updated") <= 1


async def test_a_calendar_that_is_refused_is_withdrawn_and_another_is_not(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    shared = await ground.control.add_calendar(followed.tenant.address, "Boss", owner="boss@contoso.test")
    async with running(ground.worker_settings(**HASTE)):
        lost = await followed.follow(shared["id"])
        facts = {"account": followed.tenant.address, "endpoint": "graph.events.delta"}
        fault = await ground.control.add_fault(kind="status", status=403, code="ErrorAccessDenied", count=1, **facts)

        async def is_withdrawn() -> bool:
            return "withdrawn" in await followed.types()

        await ground.until(is_withdrawn, what="the calendar is withdrawn")
        await ground.control.remove_fault(str(fault["id"]))
        await followed.follow()

    told = await followed.told()
    assert ["connected", "withdrawn", "connected"] == await followed.types()
    assert ("CALENDAR_FORBIDDEN", lost.calendar_id) == (told[1].reason, told[1].calendar.calendar_id)
    assert [] == ground.vault.faults


async def test_throttling_postpones_and_nothing_is_lost(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    async with running(ground.worker_settings(**HASTE)):
        row = await followed.follow()
        await ground.control.add_fault(
            kind="status",
            status=429,
            retry_after=2,
            count=3,
            endpoint="graph.events.*",
            account=followed.tenant.address,
        )
        await followed.create(subject="Later")

        async def is_postponed() -> bool:
            async with ground.processor.acquire() as connection:
                found = await calendars.by_id(connection, row.calendar_id, None)
            return found is not None and found.reason == "PROVIDER_THROTTLED" and found.state is State.FOLLOWED

        await ground.until(is_postponed, what="the calendar waits")
        await followed.awaited("event.created")


@pytest.mark.parametrize("status", [403, 410, 500])
async def test_a_series_that_cannot_be_read_stops_no_other_event(ground: Ground, status: int) -> None:
    followed = await FollowedCalendar.of(ground)
    await followed.create(subject="Bad", recurrence=MONDAYS)
    await followed.create(subject="Good")
    facts = {"account": followed.tenant.address, "endpoint": "graph.events.get"}
    await ground.control.add_fault(kind="status", status=status, code="ErrorItem", **facts)
    async with running(ground.worker_settings(**HASTE, retry_base_seconds=0.05)):
        row = await followed.follow()
        await followed.create(subject="Later")
        await followed.awaited("event.created")

    async with ground.processor.acquire() as connection:
        found = await calendars.by_id(connection, row.calendar_id, None)
    assert found is not None
    assert 1 == found.message().unreadable_events
    assert ["Good", "Later"] == sorted(one.subject for one in (await followed.page()).events)
    assert [] == ground.vault.faults


async def test_an_event_that_can_be_read_again_is_not_counted_any_more(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    bad = await followed.create(subject="Bad", recurrence=MONDAYS)
    facts = {"account": followed.tenant.address, "endpoint": "graph.events.get"}
    fault = await ground.control.add_fault(kind="status", status=403, code="ErrorItem", **facts)
    async with running(ground.worker_settings(**HASTE, retry_base_seconds=0.05)):
        await followed.follow()
        await ground.control.remove_fault(str(fault["id"]))
        await ground.control.update_event(followed.tenant.address, followed.provider_id, bad["id"], subject="Good")
        await followed.awaited("event.created")

    assert 0 == await ground.processor.fetchval("SELECT count(*) FROM processor.calendar_unread")


async def test_a_large_calendar_is_cleared_before_it_is_read_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "AT_ONCE", 3)
    followed = await FollowedCalendar.of(ground)
    made = [await followed.create(subject=f"Event {number}") for number in range(10)]
    async with running(ground.worker_settings(**HASTE)):
        row = await followed.follow()
        before = (await followed.page()).events
        await followed.calendars.unfollow(row.calendar_id, None)
        hidden = await followed.calendars.event(before[0].calendar_event_id, None)
        for one in made[1:]:
            await ground.control.delete_event(followed.tenant.address, followed.provider_id, one["id"])
        await followed.follow()

    assert hidden is None
    assert (10, ["Event 0"]) == (len(before), [one.subject for one in (await followed.page()).events])
    assert 1 == await ground.processor.fetchval("SELECT count(*) FROM processor.calendar_events")
