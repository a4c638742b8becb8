"""A followed calendar of Google gives one event for each change, from entries that come apart and out of order."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.rows import State
from services.processor.worker import running
from tests.store.processor.calendar.following import HASTE, FollowedCalendar
from tests.store.processor.ground import Ground

pytestmark = pytest.mark.timeout(300)
ZONE = "America/New_York"


def at(day: str, hour: int = 9) -> dict[str, str]:
    """A time in New York's winter."""
    return {"dateTime": f"{day}T{hour:02}:00:00-05:00", "timeZone": ZONE}


TIMES = {"start": at("2026-11-30"), "end": at("2026-11-30", 10)}
MONDAYS = ["RRULE:FREQ=WEEKLY;COUNT=5;BYDAY=MO"]


async def create(followed: FollowedCalendar, **fields: Any) -> dict[str, Any]:
    """Add an event at Google."""
    return await followed.ground.control.create_event(
        followed.tenant.address, followed.provider_id, **{**TIMES, **fields}
    )


async def test_each_change_of_an_event_is_one_entry_of_the_stream(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground, "googlews")
    control, address, calendar = ground.control, followed.tenant.address, followed.provider_id
    await create(followed, summary="Old")
    async with running(ground.worker_settings(**HASTE)):
        row = await followed.follow()
        made = await create(followed, summary="Review", description="Bring <b>numbers</b>.<br>Thanks &amp; bye")
        await followed.awaited("event.created")
        await control.update_event(address, calendar, made["id"], summary="Second review", status="tentative")
        await followed.awaited("event.created", "event.updated")
        await control.delete_event(address, calendar, made["id"])
        created, updated, deleted = await followed.awaited("event.created", "event.updated", "event.deleted")
        listed = (await followed.page()).events

    assert ("Review", "Bring numbers.\nThanks & bye") == (created.event.subject, created.event.body_text)
    assert datetime(2026, 11, 30, 14, tzinfo=UTC) == created.event.start.instant.ToDatetime(UTC)
    assert ("2026-11-30T09:00:00", ZONE) == (created.event.start.local, created.event.start.iana_zone)
    assert (["status", "subject"], "Second review") == (list(updated.change.fields), updated.event.subject)
    assert ("Second review", "googlews") == (deleted.event.subject, deleted.provider)
    assert 1 == len({one.event.calendar_event_id for one in (created, updated, deleted)})
    assert ["Old"] == [one.subject for one in listed]
    assert (True, "Europe/Berlin") == (row.info.is_default, row.info.time_zone)


async def test_one_edit_of_a_series_is_one_update_that_names_its_instances(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground, "googlews")
    control, address, calendar = ground.control, followed.tenant.address, followed.provider_id
    master = await create(followed, summary="Weekly", recurrence=MONDAYS)
    await control.cancel_google(address, calendar, master["id"], at("2026-12-28"))
    async with running(ground.worker_settings(**HASTE)):
        await followed.follow()
        await control.cancel_google(address, calendar, master["id"], at("2026-12-07"))
        await followed.awaited("event.updated")
        await control.change_google(
            address, calendar, master["id"], at("2026-12-14"), summary="Moved",
            start=at("2026-12-15"), end=at("2026-12-15", 10),
        )  # fmt: skip
        await followed.awaited("event.updated", "event.updated")
        await control.update_event(address, calendar, master["id"], summary="Weekly review")
        await followed.awaited("event.updated", "event.updated", "event.updated")
        await control.change_google(address, calendar, master["id"], at("2026-12-07"), summary="Again")
        cancelled, changed, renamed, again = await followed.awaited(*["event.updated"] * 4)
        masters = (await followed.page()).events
        instances = (await followed.page(is_expanded=True)).events

    assert ["2026-12-07T09:00:00"] == [one.local for one in cancelled.change.cancelled_starts]
    (instance,) = changed.change.changed_instances
    assert ("Moved", "2026-12-15T09:00:00", "2026-12-14T09:00:00") == (
        instance.subject, instance.start.local, instance.original_start.local
    )  # fmt: skip
    assert ["subject"] == list(renamed.change.fields)
    assert ["Again"] == [one.subject for one in again.change.changed_instances]
    assert [pb2.EVENT_KIND_MASTER] == [one.kind for one in masters]
    assert ["2026-12-28"] == list(masters[0].cancelled_dates)
    assert ["11-30", "12-07", "12-15", "12-21"] == [one.start.local[5:10] for one in instances]


async def test_a_lost_token_begins_a_round_that_announces_only_differences(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground, "googlews")
    control, address, calendar = ground.control, followed.tenant.address, followed.provider_id
    kept, gone = await create(followed, summary="Kept"), await create(followed, summary="Gone")
    series = await create(followed, summary="Weekly", recurrence=MONDAYS)
    await control.cancel_google(address, calendar, series["id"], at("2026-12-28"))
    for number in range(210):  # the parts of the series lie on several pages
        await create(followed, summary=f"Event {number}")
    await control.change_google(address, calendar, series["id"], at("2026-12-14"), summary="Other")
    async with running(ground.worker_settings(**HASTE)):
        await followed.follow()
        await control.expire_history(address)
        await control.delete_event(address, calendar, gone["id"])
        await control.update_event(address, calendar, kept["id"], summary="Kept still")
        await control.cancel_google(address, calendar, series["id"], at("2026-12-21"))

        async def is_told() -> bool:
            return len(await followed.types()) >= 4

        await ground.until(is_told, what="the differences are told")
        await create(followed, summary="Live")

        async def is_live() -> bool:
            return "event.created" in await followed.types()

        await ground.until(is_live, what="changes go on")
        found = (await followed.told())[1:]

    by_name = {one.event.subject: one for one in found}
    assert {"Kept still": "updated", "Gone": "deleted", "Weekly": "updated", "Live": "created"} == {
        name: one.event_type.rpartition(".")[2] for name, one in by_name.items()
    }
    assert (4, ["2026-12-21"]) == (len(found), [one.local[:10] for one in by_name["Weekly"].change.cancelled_starts])
    assert [] == list(by_name["Weekly"].change.fields) or ["cancelled_dates"] == list(by_name["Weekly"].change.fields)
    assert 0 == await ground.processor.fetchval("SELECT count(*) FROM processor.calendar_staged")


async def test_a_series_that_is_ended_by_this_and_following_keeps_no_later_instance(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground, "googlews")
    control, address, calendar = ground.control, followed.tenant.address, followed.provider_id
    series = await create(followed, summary="Weekly", recurrence=MONDAYS)
    await control.change_google(address, calendar, series["id"], at("2026-12-21"), summary="Other")
    async with running(ground.worker_settings(**HASTE)):
        await followed.follow()
        ended = ["RRULE:FREQ=WEEKLY;UNTIL=20261214T135959Z;BYDAY=MO"]
        await control.update_event(address, calendar, series["id"], recurrence=ended)
        (updated,) = await followed.awaited("event.updated")
        instances = (await followed.page(is_expanded=True)).events

    assert "2026-12-13" == updated.event.recurrence.until_date
    assert ["11-30", "12-07"] == [one.start.local[5:10] for one in instances]


async def test_an_instance_without_its_series_stands_for_itself(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground, "googlews")
    control, address, calendar = ground.control, followed.tenant.address, followed.provider_id
    series = await create(followed, summary="Weekly", recurrence=MONDAYS)
    await control.change_google(address, calendar, series["id"], at("2026-12-14"), summary="Alone")
    fault = {"kind": "status", "status": 404, "code": "notFound", "endpoint": "calendar.events.get"}
    async with running(ground.worker_settings(**HASTE)):
        await control.add_fault(account=address, **fault)
        await ground.processor.execute("SELECT 1")
        await followed.follow()
        listed = (await followed.page()).events
    assert {"Weekly"} == {one.subject for one in listed}


async def test_only_free_and_busy_times_are_no_calendar_to_follow(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground, "googlews")
    busy = await ground.control.add_calendar(
        followed.tenant.address, "Boss", owner="boss@fabrikam.test", role="freeBusyReader"
    )
    found = []
    async with running(ground.worker_settings(**HASTE)):
        listed = await followed.calendars.page(followed.tenant.tenant_id, None, 100, is_in_scope=True)
        (row,) = [one for one in listed.rows if one.provider_calendar_id == busy["id"]]
        await followed.calendars.follow(row.calendar_id, None)

        async def is_withdrawn() -> bool:
            found[:] = [one for one in await followed.told() if one.event_type == "calendar.withdrawn"]
            return bool(found)

        await ground.until(is_withdrawn, what="the calendar is withdrawn")
    assert ("CALENDAR_FORBIDDEN", "boss@fabrikam.test", False) == (
        found[0].reason, found[0].calendar.owner_address, found[0].calendar.can_write
    )  # fmt: skip
    assert State.AVAILABLE is row.state
