"""A followed calendar gives one event for each change: of single events, of series, of the calendar itself."""

from datetime import UTC, datetime

import pytest

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.processor.calendar.errors import CalendarNotFollowed, CalendarNotFound
from services.processor.calendar.reading import Place
from services.processor.calendar.rows import State
from services.processor.errors import AbilityNotGranted, TenantNotFound
from services.processor.worker import running
from tests.store.processor.calendar.following import HASTE, MONDAYS, TIMES, WINDOW, FollowedCalendar
from tests.store.processor.ground import Ground

pytestmark = pytest.mark.timeout(300)
_ALL, _BEGIN = WINDOW, Place()


async def test_each_change_of_an_event_is_one_entry_of_the_stream(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    control, address, calendar = ground.control, followed.tenant.address, followed.provider_id
    await followed.create(subject="Old")
    async with running(ground.worker_settings(**HASTE)):
        await followed.follow()
        made = await followed.create(subject="Review", body="Bring numbers.")
        await followed.awaited("event.created")
        await control.update_event(address, calendar, made["id"], subject="Second review", isCancelled=True)
        await followed.awaited("event.created", "event.updated")
        await control.delete_event(address, calendar, made["id"])
        created, updated, deleted = await followed.awaited("event.created", "event.updated", "event.deleted")
        listed = (await followed.page()).events

    assert ("Review", "Bring numbers.") == (created.event.subject, created.event.body_text)
    assert datetime(2026, 11, 30, 14, tzinfo=UTC) == created.event.start.instant.ToDatetime(UTC)
    assert ("2026-11-30T09:00:00", "America/New_York") == (created.event.start.local, created.event.start.iana_zone)
    assert (["status", "subject"], "Second review") == (list(updated.change.fields), updated.event.subject)
    assert "Second review" == deleted.event.subject
    assert 1 == len({one.event.calendar_event_id for one in (created, updated, deleted)})
    assert followed.tenant.tenant_id == created.tenant_id == created.calendar.tenant_id
    assert ["Old"] == [one.subject for one in listed]


async def test_one_edit_of_a_series_is_one_update_that_names_its_instances(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    control, address, calendar = ground.control, followed.tenant.address, followed.provider_id
    master = await followed.create(subject="Weekly", recurrence=MONDAYS)
    async with running(ground.worker_settings(**HASTE)):
        await followed.follow()
        await control.cancel_instance(address, calendar, master["id"], "2026-12-07")
        await followed.awaited("event.updated")
        moved = await control.change_instance(
            address, calendar, master["id"], "2026-12-14", "2026-12-14T14:00:00Z", subject="Moved",
            start="2026-12-15T14:00:00", end="2026-12-15T15:00:00",
        )  # fmt: skip
        await followed.awaited("event.updated", "event.updated")
        await control.update_event(address, calendar, master["id"], subject="Weekly review")
        await followed.awaited("event.updated", "event.updated", "event.updated")
        await control.delete_event(address, calendar, moved["id"])
        cancelled, changed, renamed, off = await followed.awaited(*["event.updated"] * 4)
        masters = (await followed.page()).events
        instances = (await followed.page(is_expanded=True)).events
        own = await followed.reader.instances(masters[0].calendar_event_id, None, _ALL, _BEGIN, 2)
        rest = await followed.reader.instances(masters[0].calendar_event_id, None, _ALL, own.next or _BEGIN, 2)

    assert ["2026-12-07T09:00:00"] == [one.local for one in cancelled.change.cancelled_starts]
    (instance,) = changed.change.changed_instances
    assert ("Moved", "2026-12-15T09:00:00", "2026-12-14T09:00:00") == (
        instance.subject, instance.start.local, instance.original_start.local
    )  # fmt: skip
    assert ["subject"] == list(renamed.change.fields)
    assert ["2026-12-14T09:00:00"] == [one.local for one in off.change.cancelled_starts]
    assert [pb2.EVENT_KIND_MASTER] == [one.kind for one in masters]
    assert ["11-30", "12-21", "12-28"] == [one.start.local[5:10] for one in instances]
    assert [one.calendar_event_id for one in instances] == [
        one.calendar_event_id for one in (*own.events, *rest.events)
    ]
    assert rest.next is None


async def test_where_changes_cannot_be_listed_the_whole_calendar_is_compared(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    control, address, calendar = ground.control, followed.tenant.address, followed.provider_id
    gone = await followed.create(subject="Gone")
    master = await followed.create(subject="Weekly", recurrence=MONDAYS)
    await control.add_fault(
        kind="status", status=400, code="BadRequest", endpoint="graph.events.delta", account=address
    )
    async with running(ground.worker_settings(**HASTE)):
        await followed.follow()
        await control.delete_event(address, calendar, gone["id"])
        await followed.awaited("event.deleted")
        await control.cancel_instance(address, calendar, master["id"], "2026-12-07")
        deleted, updated = await followed.awaited("event.deleted", "event.updated")

    assert "Gone" == deleted.event.subject
    assert ["2026-12-07"] == list(updated.event.cancelled_dates)


async def test_a_lost_cursor_begins_a_round_that_announces_only_differences(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    control, address = ground.control, followed.tenant.address
    kept, gone = await followed.create(subject="Kept"), await followed.create(subject="Gone")
    async with running(ground.worker_settings(**HASTE)):
        await followed.follow()
        await control.expire_history(address)
        await control.delete_event(address, followed.provider_id, gone["id"])
        await control.update_event(address, followed.provider_id, kept["id"], subject="Kept still")
        found = await followed.awaited("event.updated", "event.deleted")

    assert [["subject"], []] == [list(one.change.fields) for one in found]


async def test_a_shared_calendar_that_is_lost_is_withdrawn_and_the_rest_goes_on(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    control, address = ground.control, followed.tenant.address
    shared = await control.add_calendar(address, "Boss", owner="boss@contoso.test")
    await control.create_event(address, shared["id"], subject="Board", **TIMES)
    async with running(ground.worker_settings(**HASTE)):
        lost = await followed.follow(shared["id"])
        (board,) = (await followed.page()).events
        own = await followed.follow()
        await control.remove_calendar(address, shared["id"])

        async def is_withdrawn() -> bool:
            return "withdrawn" in await followed.types()

        await ground.until(is_withdrawn, what="the calendar is withdrawn")
        await followed.create(subject="Own")

        async def goes_on() -> bool:
            return "event.created" in await followed.types()

        await ground.until(goes_on, what="the other calendar goes on")
        with pytest.raises(CalendarNotFollowed):
            await followed.reader.page(lost.calendar_id, None, _ALL, _BEGIN, 10, is_expanded=False)

    assert ("boss@contoso.test", lost.calendar_id) == (board.delegate_email, board.calendar_id)
    told = await followed.told()
    assert ["connected", "connected", "withdrawn", "event.created"] == await followed.types()
    assert ("CALENDAR_NOT_FOUND", lost.calendar_id) == (told[2].reason, told[2].calendar.calendar_id)
    assert own.calendar_id == told[3].calendar.calendar_id


async def test_a_second_calendar_has_changes_of_its_own(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    control, address = ground.control, followed.tenant.address
    second = await control.add_calendar(address, "Team")
    async with running(ground.worker_settings(**HASTE)):
        row = await followed.follow(second["id"])
        await control.create_event(address, second["id"], subject="Plan", **TIMES)
        (created,) = await followed.awaited("event.created")

    assert (row.calendar_id, "Plan") == (created.calendar.calendar_id, created.event.subject)


async def test_unfollowing_deletes_events_and_following_again_reads_afresh(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    await followed.create(subject="One")
    async with running(ground.worker_settings(**HASTE)):
        row = await followed.follow()
        before = (await followed.page()).events
        ended = await followed.calendars.unfollow(row.calendar_id, None)
        await followed.calendars.unfollow(row.calendar_id, None)
        assert 0 == await ground.processor.fetchval("SELECT count(*) FROM processor.calendar_events")
        await followed.follow()
        after = (await followed.page()).events

    assert State.AVAILABLE is ended.state
    assert ["connected", "withdrawn", "connected"] == await followed.types()
    assert "CALENDAR_UNFOLLOWED" == (await followed.told())[1].reason
    assert [one.calendar_event_id for one in before] == [one.calendar_event_id for one in after]


async def test_callers_see_only_their_tenants_and_only_with_the_ability(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    calendars, tenant_id = followed.calendars, followed.tenant.tenant_id
    async with running(ground.worker_settings(**HASTE)):
        row = await followed.follow()
    for call in (calendars.follow, calendars.unfollow):
        with pytest.raises(CalendarNotFound):
            await call(row.calendar_id, [])
    with pytest.raises(CalendarNotFound):
        await followed.reader.page(row.calendar_id, [], _ALL, _BEGIN, 10, is_expanded=True)
    with pytest.raises(TenantNotFound):
        await calendars.page(tenant_id, None, 10, is_in_scope=False)
    await ground.processor.execute(
        "UPDATE processor.tenants SET granted_abilities = '{mail.read}' WHERE tenant_id = $1", tenant_id
    )
    with pytest.raises(AbilityNotGranted) as refused:
        await calendars.page(tenant_id, None, 10, is_in_scope=True)
    assert f"mailmesh connect ms365 --tenant {tenant_id} --ability calendar.read" == refused.value.metadata["command"]


async def test_an_account_without_mail_follows_its_calendar_all_the_same(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    ground.vault.scopes[followed.tenant.tenant_id] = SCOPES_OF_CALENDARS
    async with running(ground.worker_settings(**HASTE)):
        await followed.follow()
        await followed.create(subject="Review")
        await followed.awaited("event.created")


SCOPES_OF_CALENDARS = "openid profile email offline_access User.Read Calendars.Read Calendars.Read.Shared"
