"""Subscriptions to calendars: stated by Processor, apart from those to mail, counted by health."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as pb
from mailmesh.ingest.v1.inbox_item_pb2 import CalendarChanged
from mailmesh.ingest.v1.inbox_service_pb2 import TenantLease
from mailmesh.vault.v1 import tenant_pb2
from services.ingest.errors import MailboxHeld, PermissionMissing, SubscriptionOfCalendar
from services.ingest.store import calendar_subscriptions, channels, subscription_health, subscriptions, tenants
from services.ingest.store import subscription_leases as leases
from services.ingest.store.calendar_subscriptions import Followed
from services.ingest.store.claims import ClaimRequest, claim
from services.ingest.store.items import Kind
from services.ingest.store.subscription_rows import SubscriptionRow
from services.ingest.subscriptions.monitors import AddressMonitor, SilenceMonitor
from services.ingest.subscriptions.next_step import Step, next_step
from services.meshkit import db
from services.meshkit.clock import ManualClock
from services.meshkit.ids import new_id
from tests.store.ingest.subscriptions.conftest import NOW, Ground, tenant
from tests.store.ingest.subscriptions.test_reconciler import Play

MAIL, CALENDAR, LIST = (
    pb.SUBSCRIPTION_RESOURCE_MAIL,
    pb.SUBSCRIPTION_RESOURCE_CALENDAR,
    pb.SUBSCRIPTION_RESOURCE_CALENDAR_LIST,
)

_CHANNEL = """
INSERT INTO ingest.channels (tenant_id, channel_id, subscription_id, token_digest, expires_at)
VALUES ($1, $2, $3, '', now() + interval '1 day')
"""


class Account:
    """A tenant whose mailbox a worker holds.

    Args:
        ground: Ingest's database.
        provider: "ms365" or "googlews".
    """

    def __init__(self, ground: Ground, provider: str = "googlews") -> None:
        self.ground, self.provider, self.tenant_id, self.fence = ground, provider, new_id(), 0

    async def lease(self) -> TenantLease:
        """Leases the mailbox to a worker, and begins with the next fence."""
        async with db.transaction(self.ground.pool) as connection:
            await tenants.ensure(connection, tenant(self.tenant_id, provider=self.provider))
            await connection.execute("UPDATE ingest.mailboxes SET lease_until = NULL, out_item_ids = '{}'")
        wanted = ClaimRequest("worker", 100, 1, 60.0, self.tenant_id, includes_idle=True)
        (held,) = await claim(self.ground.pool, wanted, 5)
        self.fence = held.fence
        return held

    async def follow(self, *calendar_ids: str) -> int:
        """States the followed calendars."""
        followed = [Followed(one, f"at-google-{one}", is_default=False) for one in calendar_ids]
        return await calendar_subscriptions.set_followed(self.ground.pool, self.tenant_id, self.fence, followed, NOW)

    async def rows(self) -> list[SubscriptionRow]:
        """Reads the tenant's subscriptions that are not deleted."""
        async with db.connection(self.ground.pool) as connection:
            return await subscriptions.page(
                connection, None, tenant_id=self.tenant_id, states=(), after=None, limit=100
            )

    async def row(self, calendar_id: str) -> SubscriptionRow:
        """Reads the subscription of a calendar."""
        (found,) = [row for row in await self.rows() if row.calendar_id == calendar_id]
        return found

    async def calendar_items(self) -> list[str]:
        """Reads the calendars of the items that wait."""
        async with db.connection(self.ground.pool) as connection:
            found = await connection.fetch(
                "SELECT content FROM ingest.items WHERE tenant_id = $1 AND kind = $2",
                self.tenant_id,
                Kind.CALENDAR_CHANGED,
            )
        return sorted(CalendarChanged.FromString(row["content"]).calendar_id for row in found)


@pytest.fixture
async def account(ground: Ground) -> Account:
    """An account at Google whose mailbox a worker holds."""
    made = Account(ground)
    await made.lease()
    return made


async def test_each_followed_calendar_has_one_subscription_and_google_the_list_besides(account: Account) -> None:
    first, second = new_id(), new_id()

    assert [3, 0, 1, 2] == [
        await account.follow(first, second),
        await account.follow(second, first),
        await account.follow(first),
        await account.follow(),
    ]

    assert {(CALENDAR, first), (CALENDAR, second), (LIST, "")} == {
        (row.resource, row.calendar_id) for row in await account.rows()
    }
    assert {pb.SUBSCRIPTION_STATE_DELETING} == {row.state for row in await account.rows()}
    assert 3 == await account.follow(first, second)
    assert {pb.SUBSCRIPTION_STATE_PENDING} == {row.state for row in await account.rows()}


async def test_graph_has_no_subscription_to_the_list(ground: Ground) -> None:
    account = Account(ground, "ms365")
    await account.lease()

    assert 1 == await account.follow(new_id())
    assert [CALENDAR] == [row.resource for row in await account.rows()]


async def test_a_worker_whose_lease_is_over_changes_nothing(account: Account) -> None:
    account.fence -= 1

    with pytest.raises(MailboxHeld):
        await account.follow(new_id())
    assert [] == await account.rows()


async def test_mail_keeps_its_watch_its_union_and_its_coverage(account: Account, ground: Ground) -> None:
    mail = await ground.make(await ground.add_watch(account.tenant_id, "INBOX"))
    calendar = new_id()
    await account.follow(calendar)
    pushed = await ground.make(await account.row(calendar), at=NOW + timedelta(hours=1))

    assert (await ground.read(mail)).expires_at != pushed.expires_at
    async with db.connection(ground.pool) as connection:
        assert [("INBOX",)] == await leases.watched_labels(connection, account.tenant_id, new_id())
        assert not await leases.has_working_sibling(connection, mail)
        await connection.execute("UPDATE ingest.subscriptions SET expires_at = now() + interval '1 day'")
    # An Ingest of the release before makes Gmail's watch, and opens no channel.
    assert [(calendar, False)] == [(one.calendar_id, one.is_pushed) for one in (await account.lease()).calendar_watches]
    async with db.connection(ground.pool) as connection:
        await connection.execute(_CHANNEL, pushed.tenant_id, new_id(), pushed.subscription_id)
    held = await account.lease()
    assert [mail.subscription_id] == [watch.subscription_id for watch in held.watches]
    assert [(calendar, True)] == [(watch.calendar_id, watch.is_pushed) for watch in held.calendar_watches]
    async with db.connection(ground.pool) as connection:
        await connection.execute("UPDATE ingest.subscriptions SET expires_at = now() - interval '1 second'")
    assert [False] == [watch.is_pushed for watch in (await account.lease()).calendar_watches]


async def test_a_calendar_without_pushes_says_why_and_can_be_tried_again(account: Account, ground: Ground) -> None:
    calendar = new_id()
    await account.follow(calendar)
    held = await ground.lease(await account.row(calendar))
    assert held is not None
    async with db.transaction(ground.pool) as connection:
        assert await leases.record_not_pushed(connection, held, reason="CALENDAR_NOT_PUSHED", detail="it is polled")

    row = await account.row(calendar)
    assert (pb.SUBSCRIPTION_STATE_POLLING, True, "CALENDAR_NOT_PUSHED", None) == (
        row.state, row.is_polled, row.failure_reason, row.renew_at
    )  # fmt: skip
    await ground.change_tenant(account.tenant_id)
    changed = await account.row(calendar)
    assert changed.renew_at is not None
    assert Step.MAKE is next_step(changed, tenant_pb2.TENANT_STATUS_ACTIVE, NOW)
    async with db.connection(ground.pool) as connection:
        await calendar_subscriptions.push_again(connection, row.tenant_id, row.subscription_id, NOW)
    again = await account.row(calendar)
    assert (False, Step.MAKE) == (again.is_polled, next_step(again, tenant_pb2.TENANT_STATUS_ACTIVE, NOW))


@pytest.mark.parametrize(
    ("status", "step"),
    [
        (tenant_pb2.TENANT_STATUS_DISABLED, Step.LET_LAPSE),
        (tenant_pb2.TENANT_STATUS_DISCONNECTING, Step.DELETE),
        (tenant_pb2.TENANT_STATUS_DISCONNECTED, Step.FORGET),
    ],
)
async def test_a_parting_tenant_keeps_no_subscription_to_a_calendar(account: Account, status: int, step: Step) -> None:
    calendar = new_id()
    await account.follow(calendar)

    assert step is next_step(await account.row(calendar), status, NOW)


async def test_it_is_deleted_with_its_calendar_alone(account: Account, ground: Ground, clock: ManualClock) -> None:
    calendar = new_id()
    await account.follow(calendar)

    with pytest.raises(SubscriptionOfCalendar):
        await Play(ground, clock).use_cases("googlews").delete((await account.row(calendar)).subscription_id, None)
    assert pb.SUBSCRIPTION_STATE_PENDING == (await account.row(calendar)).state


async def test_a_silent_calendar_is_read_after_a_longer_time_than_mail(
    account: Account, ground: Ground, clock: ManualClock
) -> None:
    calendar = new_id()
    await account.follow(calendar)
    for row in await account.rows():
        await ground.make(row, at=clock.now())
    async with db.connection(ground.pool) as connection:
        await connection.execute("UPDATE ingest.subscriptions SET created_at = $1", clock.now())
    woken: list[str] = []
    watch = SilenceMonitor(ground.pool, timedelta(hours=4), timedelta(hours=24), clock, woken.append)
    clock.advance(timedelta(hours=5))
    assert 0 == await watch.round()
    clock.advance(timedelta(hours=20))

    assert [2, 0] == [await watch.round(), await watch.round()]

    assert ["", calendar] == await account.calendar_items()
    assert [account.tenant_id] == woken


async def test_a_new_address_replaces_channels_and_begins_pushes(
    account: Account, ground: Ground, clock: ManualClock
) -> None:
    pushed, polled = new_id(), new_id()
    await account.follow(pushed, polled)
    await ground.make(await account.row(pushed), at=clock.now())
    held = await ground.lease(await account.row(polled))
    assert held is not None
    async with db.transaction(ground.pool) as connection:
        await leases.record_not_pushed(connection, held, reason="PUBLIC_URL_UNSET", detail="no address")
        await connection.execute("UPDATE ingest.subscriptions SET renew_at = NULL WHERE resource = $1", LIST)
    for address in ("https://one.example", "https://two.example"):
        await AddressMonitor(ground.pool, address, lambda: None, clock).round()

    rows = {row.calendar_id: row for row in await account.rows()}
    assert {clock.now()} == {rows[pushed].renew_at, rows[polled].renew_at}
    assert not rows[polled].is_polled


async def test_calendars_are_pushed_after_a_start_without_an_address_when_the_same_one_returns(
    account: Account, ground: Ground, clock: ManualClock
) -> None:
    calendar = new_id()
    await AddressMonitor(ground.pool, "https://one.example", lambda: None, clock).round()
    await account.follow(calendar)
    held = await ground.lease(await account.row(calendar))
    assert held is not None
    async with db.transaction(ground.pool) as connection:
        await leases.record_not_pushed(connection, held, reason="PUBLIC_URL_UNSET", detail="no address")
    due: list[bool] = []

    await AddressMonitor(ground.pool, "", lambda: due.append(False), clock).round()
    assert (await account.row(calendar)).is_polled
    await AddressMonitor(ground.pool, "https://one.example", lambda: due.append(True), clock).round()

    row = await account.row(calendar)
    assert (False, clock.now(), [True]) == (row.is_polled, row.renew_at, due)


async def test_a_failing_renewal_reads_the_calendar_and_blames_no_account(
    account: Account, ground: Ground, clock: ManualClock
) -> None:
    calendar = new_id()
    await account.follow(calendar)
    row = await ground.make(await account.row(calendar), at=clock.now())
    play = Play(ground, clock)

    async def refuse(_: SubscriptionRow) -> None:
        raise PermissionMissing

    play.act = refuse
    assert await play.reconciler.process_quietly(row.subscription_id)

    assert ([], [calendar]) == (play.faults, await account.calendar_items())
    assert pb.SUBSCRIPTION_STATE_FAILING == (await account.row(calendar)).state


async def test_health_counts_by_provider_and_resource(account: Account, ground: Ground) -> None:
    calendars = [new_id() for _ in range(5)]
    await account.follow(*calendars)
    rows = [await ground.make(await account.row(one)) for one in calendars]
    changes: list[tuple[str, Any]] = [
        ("expires_at", NOW + timedelta(hours=3)),
        ("expires_at", NOW - timedelta(hours=3)),
        ("silence_noted_at", NOW + timedelta(days=3650)),
        ("state", pb.SUBSCRIPTION_STATE_FAILING),
    ]
    async with db.connection(ground.pool) as connection:
        for row, (column, value) in zip(rows, changes, strict=False):
            await connection.execute(
                f"UPDATE ingest.subscriptions SET {column} = $2 WHERE subscription_id = $1",  # noqa: S608
                row.subscription_id,
                value,
            )
        found = await subscription_health.read(connection, None, account.tenant_id, NOW)
        elsewhere = await subscription_health.read(connection, frozenset({new_id()}), "", NOW)

    of_calendars = {"total": 5, "active": 3, "expiring": 1, "expired": 1, "silent": 1, "failing": 1, "polled": 0}
    assert [
        {"provider": "googlews", "resource": CALENDAR, **of_calendars},
        {"provider": "googlews", "resource": LIST, **dict.fromkeys(of_calendars, 0), "total": 1},
    ] == [asdict(one) for one in found]
    assert [] == elsewhere


async def test_a_channels_row_needs_the_lease_and_is_replaced_by_its_successors_alone(
    account: Account, ground: Ground
) -> None:
    calendar = new_id()
    await account.follow(calendar)
    row = await ground.lease(await account.row(calendar))
    assert row is not None
    old, new, newest = (channels.NewChannel(new_id(), b"digest", NOW + timedelta(days=days)) for days in (1, 2, 3))
    async with db.connection(ground.pool) as connection:
        for one in (old, new, newest):
            assert await channels.insert(connection, row.tenant_id, row.subscription_id, row.lease_fence, one)
        assert not await channels.insert(connection, row.tenant_id, row.subscription_id, row.lease_fence - 1, old)
        await channels.opened(connection, row.tenant_id, old.channel_id, "resource", NOW)
        await channels.note_resource(connection, row.tenant_id, old.channel_id, "other")
        found = await channels.replaced(connection, row.tenant_id, row.subscription_id, new.channel_id)
        assert [(old.channel_id, "resource", NOW)] == [
            (one.channel_id, one.resource_id, one.expires_at) for one in found
        ]
        await channels.forget(connection, row.tenant_id, old.channel_id)
        left = await channels.of_subscription(connection, row.tenant_id, row.subscription_id)
        after = await channels.replaced(connection, row.tenant_id, row.subscription_id, old.channel_id)
    assert ([new.channel_id, newest.channel_id], []) == ([one.channel_id for one in left], after)
