"""Pushes about calendars: read at once, read again by the poll when lost, and stated to Ingest."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from mailmesh.ingest.v1.inbox_item_pb2 import CalendarChanged
from mailmesh.ingest.v1.subscription_service_pb2 import SUBSCRIPTION_STATE_ACTIVE, SUBSCRIPTION_STATE_DELETING
from services.ingest.store.items import Kind
from services.meshkit.clock import SystemClock
from services.meshkit.errors import ServiceUnavailable
from services.processor.mailbox.lease import Lease
from services.processor.worker import running
from tests.store.processor.calendar.following import HASTE, FollowedCalendar
from tests.store.processor.ground import Ground

pytestmark = pytest.mark.timeout(300)
PUSHED = {**HASTE, "calendar_pushed_poll_seconds": 86_400, "calendar_list_seconds": 86_400}
"""Settings of workers for which pushes alone bring changes within a day."""
GOOGLE_EVENT = {
    "summary": "Review",
    "start": {"dateTime": "2026-11-30T14:00:00Z"},
    "end": {"dateTime": "2026-11-30T15:00:00Z"},
}


async def push(followed: FollowedCalendar, calendar_id: str | None = None) -> str:
    """Puts an item about the calendar into the inbox, as Ingest does when the provider pushes."""
    content = CalendarChanged(calendar_id=followed.row.calendar_id if calendar_id is None else calendar_id)
    return await followed.ground.put(followed.tenant, Kind.CALENDAR_CHANGED, content.SerializeToString())


async def subscriptions(followed: FollowedCalendar) -> dict[str, int]:
    """Reads the states of the tenant's subscriptions at Ingest, by calendar."""
    rows = await followed.ground.ingest.fetch(
        "SELECT calendar_id::text, state FROM ingest.subscriptions WHERE tenant_id = $1 AND resource = 2",
        followed.tenant.tenant_id,
    )
    return {row["calendar_id"]: row["state"] for row in rows}


async def activate(followed: FollowedCalendar) -> None:
    """Makes the calendar's subscription active, as Ingest does once the provider pushes, with its item."""
    await until(followed, lambda: subscriptions(followed), "the calendar is stated")
    await open_channels(followed)
    await push(followed)
    await until(followed, lambda: is_seldom_polled(followed), "the calendar is polled seldom")


async def open_channels(followed: FollowedCalendar) -> None:
    """Makes the tenant's subscriptions active, at Google each with a channel."""
    await followed.ground.ingest.execute(
        "INSERT INTO ingest.channels (tenant_id, channel_id, subscription_id, token_digest, expires_at)"
        " SELECT tenant_id, gen_random_uuid(), subscription_id, '', now() + interval '7 days'"
        " FROM ingest.subscriptions WHERE tenant_id = $1 AND provider = 'googlews'",
        followed.tenant.tenant_id,
    )
    await followed.ground.ingest.execute(
        "UPDATE ingest.subscriptions SET state = $2, expires_at = now() + interval '7 days' WHERE tenant_id = $1",
        followed.tenant.tenant_id,
        SUBSCRIPTION_STATE_ACTIVE,
    )


async def is_seldom_polled(followed: FollowedCalendar) -> bool:
    """Returns whether the calendar's next poll is hours away."""
    return bool(
        await followed.ground.processor.fetchval(
            "SELECT due_at > now() + interval '1 hour' FROM processor.calendars WHERE calendar_id = $1",
            followed.row.calendar_id,
        )
    )


async def until(followed: FollowedCalendar, check: Callable[[], Awaitable[Any]], what: str) -> None:
    """Waits until something is true."""

    async def is_true() -> bool:
        return bool(await check())

    await followed.ground.until(is_true, what=what)


async def create(followed: FollowedCalendar, provider: str) -> None:
    """Adds an event at the provider."""
    if provider == "googlews":
        await followed.ground.control.create_event(followed.tenant.address, followed.provider_id, **GOOGLE_EVENT)
    else:
        await followed.create(subject="Review")


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_a_push_brings_the_change_that_no_poll_would_for_a_day(ground: Ground, provider: str) -> None:
    followed = await FollowedCalendar.of(ground, provider)
    async with running(ground.worker_settings(**PUSHED)):
        await followed.follow()
        await activate(followed)
        await create(followed, provider)
        await push(followed)
        await followed.awaited("event.created")
        await push(followed)
        await until(followed, lambda: is_settled(followed), "the repeated push is settled")

    assert ["connected", "event.created"] == await followed.types()


async def is_settled(followed: FollowedCalendar) -> bool:
    """Returns whether no item waits for the tenant."""
    return await followed.ground.pending(followed.tenant) == 0


async def test_an_account_without_mail_gets_its_pushes(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    ground.vault.scopes[followed.tenant.tenant_id] = "openid Calendars.Read Calendars.Read.Shared"
    async with running(ground.worker_settings(**PUSHED)):
        await followed.follow()
        await activate(followed)
        await followed.create(subject="Review")
        await push(followed)
        await followed.awaited("event.created")


async def test_a_lost_push_is_found_by_the_poll(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    async with running(ground.worker_settings(**{**PUSHED, "calendar_pushed_poll_seconds": 3601})):
        await followed.follow()
        await activate(followed)
        await followed.create(subject="Nobody told")
        await ground.processor.execute("UPDATE processor.calendars SET due_at = now() WHERE due_at > now()")
        await followed.awaited("event.created")


async def test_a_pushed_calendar_is_read_every_half_hour_beside_its_pushes(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)

    async def pause() -> float:
        return float(
            await ground.processor.fetchval(
                "SELECT extract(epoch FROM due_at - synced_at) FROM processor.calendars WHERE calendar_id = $1",
                followed.row.calendar_id,
            )
        )

    async def is_half_an_hour() -> bool:
        return 1800 == round(await pause())

    async with running(ground.worker_settings(**HASTE)):
        await followed.follow()
        before = await pause()
        await until(followed, lambda: subscriptions(followed), "the calendar is stated")
        await open_channels(followed)
        await push(followed)
        await until(followed, is_half_an_hour, "the calendar is polled every half hour")

    assert before < 1


async def test_pushes_in_a_burst_are_one_reading(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    async with running(ground.worker_settings(**{**PUSHED, "calendar_push_pause_seconds": 600})):
        await followed.follow()
        await activate_after_a_pause(followed)
        await ground.control.reset_calls()
        for _ in range(30):
            await push(followed)
        await until(followed, lambda: is_settled(followed), "the pushes are settled")
        read = await ground.control.calls(account=followed.tenant.address, endpoint="graph.events.delta")
        due = await ground.processor.fetchrow(
            "SELECT due_at - synced_at AS pause FROM processor.calendars WHERE calendar_id = $1",
            followed.row.calendar_id,
        )

    assert [] == read
    assert 600 == round(due["pause"].total_seconds())


async def activate_after_a_pause(followed: FollowedCalendar) -> None:
    """Makes the calendar's subscription active; its last reading was long ago."""
    await until(followed, lambda: subscriptions(followed), "the calendar is stated")
    await open_channels(followed)
    await until(followed, lambda: is_seldom_polled(followed), "the calendar is polled seldom")


async def test_a_push_does_not_shorten_the_pause_after_a_failure(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    async with running(ground.worker_settings(**PUSHED)):
        await followed.follow()
        await activate(followed)
        await ground.processor.execute(
            "UPDATE processor.calendars SET due_at = now() + interval '2 hours', reason = 'PROVIDER_THROTTLED'"
            " WHERE calendar_id = $1",
            followed.row.calendar_id,
        )
        await push(followed)
        await until(followed, lambda: is_settled(followed), "the push is settled")

    assert await is_seldom_polled(followed)


async def test_a_push_of_the_list_reads_the_list(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground, "googlews")
    async with running(ground.worker_settings(**PUSHED)):
        await followed.follow()
        await activate(followed)
        added = await ground.control.add_calendar(followed.tenant.address, "Team")
        await push(followed, "")

        async def is_listed() -> bool:
            return bool(
                await ground.processor.fetchval(
                    "SELECT count(*) FROM processor.calendars WHERE tenant_id = $1 AND provider_calendar_id = $2",
                    followed.tenant.tenant_id,
                    added["id"],
                )
            )

        await ground.until(is_listed, what="the new calendar is listed")


async def test_an_unfollowed_calendar_ends_its_subscription(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    async with running(ground.worker_settings(**PUSHED)):
        await followed.follow()
        await activate(followed)
        await followed.calendars.unfollow(followed.row.calendar_id, None)

        async def is_ending() -> bool:
            return set((await subscriptions(followed)).values()) == {SUBSCRIPTION_STATE_DELETING}

        await ground.until(is_ending, what="the subscription is being deleted")
        await push(followed)
        await until(followed, lambda: is_settled(followed), "a late push is settled")


async def test_an_unfollowed_calendar_that_could_not_be_stated_is_stated_later(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = await FollowedCalendar.of(ground)
    state, refused = Lease.set_followed_calendars, list[int]()

    async def refuse_once(lease: Lease, rows: Sequence[Any]) -> Any:
        if not refused:
            refused.append(len(rows))
            raise ServiceUnavailable
        return await state(lease, rows)

    async def is_read_soon() -> bool:
        """Returns whether the list was read and is read once more, not at once."""
        until = "SELECT due_at BETWEEN now() + interval '5 seconds' AND now() + interval '60 seconds'"
        query = f"{until} FROM processor.calendar_lists WHERE tenant_id = $1 AND read_at > $2"
        return bool(await ground.processor.fetchval(query, followed.tenant.tenant_id, asked_at))

    async def is_ending() -> bool:
        return set((await subscriptions(followed)).values()) == {SUBSCRIPTION_STATE_DELETING}

    async with running(ground.worker_settings(**PUSHED)):
        await followed.follow()
        await activate(followed)
        monkeypatch.setattr(Lease, "set_followed_calendars", refuse_once)
        asked_at = SystemClock().now()
        await followed.calendars.unfollow(followed.row.calendar_id, None)
        await ground.until(is_read_soon, what="the list is read once more")
        assert ([0], False) == (refused, await is_ending())
        await ground.processor.execute("UPDATE processor.calendar_lists SET due_at = now()")
        await ground.until(is_ending, what="the subscription is being deleted")


async def test_a_calendar_shows_whether_it_is_pushed_and_why_not(ground: Ground) -> None:
    followed = await FollowedCalendar.of(ground)
    tenant_id = followed.tenant.tenant_id

    async def shows(expected: str) -> None:
        async def is_shown() -> bool:
            found = await followed.calendars.page(tenant_id, None, 10, is_in_scope=True)
            (one,) = [row.message() for row in found.rows if row.calendar_id == followed.row.calendar_id]
            return f"{one.is_pushed} {one.poll_reason} {one.poll_detail}".strip() == expected

        await until(followed, is_shown, f"the calendar shows {expected}")

    async with running(ground.worker_settings(**HASTE)):
        await followed.follow()
        await until(followed, lambda: subscriptions(followed), "the calendar is stated")
        await shows("False")
        await ground.ingest.execute(
            "UPDATE ingest.subscriptions SET failure_reason = 'CALENDAR_NOT_PUSHED', failure_detail = 'It is polled.'"
            " WHERE tenant_id = $1 AND resource = 2",
            tenant_id,
        )
        await shows("False CALENDAR_NOT_PUSHED It is polled.")
        await open_channels(followed)
        await shows("True")
        await followed.calendars.unfollow(followed.row.calendar_id, None)
        await shows("False")
