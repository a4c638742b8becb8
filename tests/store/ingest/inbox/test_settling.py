"""Leased items are acknowledged, released or buried, once, by the holder of the lease."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import REGISTRY

from mailmesh.ingest.v1.inbox_item_pb2 import Reconcile, ReconcileReason
from services.ingest.errors import MailboxHeld, TenantDisconnected, TenantNotFound
from services.ingest.inbox.gauges import InboxGauges
from services.ingest.store import leases as lease_store
from services.ingest.store import reconciles
from services.ingest.store.dead_letter_writer import Burial
from services.ingest.store.leases import ItemRelease
from services.ingest.store.reconciles import ReconcileRequest
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import new_id
from tests.factories.ingest import add_tenant
from tests.store.ingest.inbox.conftest import Inbox, ids, until

GAUGES = ("pending_items", "oldest_due_seconds", "dead_letters")
MANUAL = ReconcileReason.RECONCILE_REASON_MANUAL


def back(item_id: str, seconds: float | None = None, *, is_forgiven: bool = False) -> ItemRelease:
    due = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    return ItemRelease(item_id, due, "PROVIDER_THROTTLED", "Come again.", is_forgiven)


async def test_acknowledging_again_is_no_mistake(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 2)
    [lease] = await inbox.claim()

    for _ in range(2):
        assert not await lease_store.ack(inbox.pool, tenant_id, lease.fence, put, is_kept=False)

    done = "SELECT count(*) FROM ingest.worked_items WHERE outcome = 'done' AND content = ''"
    assert 2 == await database.fetchval(done), "an event has the notification; the inbox keeps no second copy"
    assert 0 == await database.fetchval("SELECT count(*) FROM ingest.items")


async def test_a_kept_lease_goes_on_for_the_rest(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 3)
    [lease] = await inbox.claim()

    await lease_store.ack(inbox.pool, tenant_id, lease.fence, put[:1], is_kept=True)

    assert [] == await inbox.claim()
    assert not await lease_store.ack(inbox.pool, tenant_id, lease.fence, put[1:], is_kept=False)


async def test_what_was_not_settled_when_a_lease_is_ended_is_due_again(
    inbox: Inbox, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 3)
    [lease] = await inbox.claim()

    assert await lease_store.ack(inbox.pool, tenant_id, lease.fence, put[:1], is_kept=False)

    [again] = await inbox.claim()
    assert (put[1:], 2) == (ids(again), again.items[0].attempts)


async def test_items_of_others_are_not_acknowledged(inbox: Inbox, database: asyncpg.Connection) -> None:
    one, other = await add_tenant(database), await add_tenant(database)
    await inbox.put_new(one, 1)
    theirs = await inbox.put_new(other, 1)
    [lease] = await inbox.claim(tenant_id=one)

    await lease_store.ack(inbox.pool, one, lease.fence, [*theirs, new_id()], is_kept=True)

    [untouched] = await inbox.claim(tenant_id=other)
    assert theirs == ids(untouched)


async def test_an_item_given_back_comes_again_at_its_time(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 2)
    [lease] = await inbox.claim()

    assert not await lease_store.release(inbox.pool, tenant_id, lease.fence, [back(put[0], 3), back(put[1], 3600)])
    assert [] == await inbox.claim()

    async def is_given_again() -> bool:
        leases = await inbox.claim()
        return [put[:1]] == [ids(lease) for lease in leases]

    await until(is_given_again)


async def test_nothing_waits_behind_an_item_that_was_given_back(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 1)
    [lease] = await inbox.claim()
    await lease_store.release(inbox.pool, tenant_id, lease.fence, [back(put[0], 3600)])

    new = await inbox.put_new(tenant_id, 1)

    [lease] = await inbox.claim()
    assert new == ids(lease)


async def test_an_attempt_can_be_forgiven(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 2)
    [lease] = await inbox.claim()

    assert await lease_store.release(inbox.pool, tenant_id, lease.fence, [back(put[0]), back(put[1], is_forgiven=True)])

    [again] = await inbox.claim()
    assert [2, 1] == [item.attempts for item in again.items]


async def test_a_buried_item_leaves_a_gap_that_a_comparison_closes(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 2)
    [lease] = await inbox.claim()
    burials = [Burial(put[1], "MESSAGE_FORBIDDEN", "No."), Burial(put[0], "MESSAGE_UNREADABLE", "What?")]

    made, is_due = await lease_store.bury(inbox.pool, tenant_id, lease.fence, burials)
    again, _ = await lease_store.bury(inbox.pool, tenant_id, lease.fence, burials)

    assert (made, True) == (again, is_due)
    named = await database.fetch("SELECT dead_letter_id::text AS id, reason FROM ingest.dead_letters")
    assert {made[0]: "MESSAGE_FORBIDDEN", made[1]: "MESSAGE_UNREADABLE"} == {row["id"]: row["reason"] for row in named}
    assert await database.fetchval("SELECT gap_since FROM ingest.mailboxes") is not None
    [compare] = await inbox.claim()
    [item] = compare.items
    assert ReconcileReason.RECONCILE_REASON_GAP == item.reconcile.reason
    await lease_store.ack(inbox.pool, tenant_id, compare.fence, [item.item_id], is_kept=False)
    assert await database.fetchval("SELECT gap_since FROM ingest.mailboxes") is None


async def test_a_comparison_that_is_buried_is_tried_again_later(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    await reconciles.enqueue_for_tenant(inbox.pool, tenant_id, ReconcileRequest(MANUAL))
    [lease] = await inbox.claim()

    await lease_store.bury(inbox.pool, tenant_id, lease.fence, [Burial(ids(lease)[0], "MAILBOX_UNAVAILABLE", "No.")])

    assert [] == await inbox.claim()
    assert 1 == await database.fetchval(
        "SELECT count(*) FROM ingest.items WHERE due_at > now() + interval '50 minutes'"
    )


async def test_only_what_is_held_can_be_buried(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    await inbox.put_new(tenant_id, 1)
    [lease] = await inbox.claim()

    with pytest.raises(FieldInvalid):
        await lease_store.bury(inbox.pool, tenant_id, lease.fence, [Burial(new_id(), "MESSAGE_FORBIDDEN", "")])


async def test_a_history_keeps_the_last_twenty_attempts(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    [item_id] = await inbox.put_new(tenant_id, 1)
    for _ in range(22):
        [lease] = await inbox.claim()
        await lease_store.release(inbox.pool, tenant_id, lease.fence, [back(item_id)])

    assert 20 == await database.fetchval("SELECT jsonb_array_length(history) FROM ingest.items")
    assert 22 == await database.fetchval("SELECT attempts FROM ingest.items")


async def test_a_comparison_that_waits_is_not_doubled(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    late = ReconcileRequest(MANUAL, delay=timedelta(hours=1))

    first = await reconciles.enqueue_for_tenant(inbox.pool, tenant_id, late)
    second = await reconciles.enqueue_for_tenant(inbox.pool, tenant_id, ReconcileRequest(MANUAL))

    assert (False, False, True, True) == (first.was_waiting, first.is_due, second.was_waiting, second.is_due)
    assert first.item_id == second.item_id
    [lease] = await inbox.claim()
    assert [first.item_id] == [item.reconcile.reconcile_id for item in lease.items]


async def test_a_comparison_that_is_being_made_does_not_count_as_waiting(
    inbox: Inbox, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    await reconciles.enqueue_for_tenant(inbox.pool, tenant_id, ReconcileRequest(MANUAL))
    [lease] = await inbox.claim()

    enqueued = await reconciles.enqueue_for_tenant(inbox.pool, tenant_id, ReconcileRequest(MANUAL))

    assert not enqueued.was_waiting
    await lease_store.ack(inbox.pool, tenant_id, lease.fence, ids(lease), is_kept=False)
    [again] = await inbox.claim()
    assert [enqueued.item_id] == ids(again)


async def test_a_waiting_comparison_is_widened(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    for hours in (1, 3, 2):
        await reconciles.enqueue_for_tenant(
            inbox.pool, tenant_id, ReconcileRequest(MANUAL, since=now - timedelta(hours=hours))
        )

    [lease] = await inbox.claim()

    assert [now - timedelta(hours=3)] == [item.reconcile.since.ToDatetime(tzinfo=UTC) for item in lease.items]


async def test_no_comparison_is_made_of_nobody(inbox: Inbox, database: asyncpg.Connection) -> None:
    gone = await add_tenant(database, status="disconnected")

    with pytest.raises(TenantDisconnected):
        await reconciles.enqueue_for_tenant(inbox.pool, gone, ReconcileRequest(MANUAL))
    with pytest.raises(TenantNotFound):
        await reconciles.enqueue_for_tenant(inbox.pool, new_id(), ReconcileRequest(MANUAL))


async def test_nothing_is_settled_with_a_stale_fence(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 1)
    [lease] = await inbox.claim()
    await inbox.expire(tenant_id)
    [other] = await inbox.claim(worker="worker-2")

    for settle in (
        lease_store.ack(inbox.pool, tenant_id, lease.fence, put, is_kept=False),
        lease_store.release(inbox.pool, tenant_id, lease.fence, [back(put[0])]),
        lease_store.bury(inbox.pool, tenant_id, lease.fence, [Burial(put[0], "UNEXPECTED", "")]),
        lease_store.extend(inbox.pool, tenant_id, lease.fence, 60),
    ):
        with pytest.raises(MailboxHeld) as caught:
            await settle
        assert {"tenant_id": tenant_id, "fence": "1", "current_fence": str(other.fence)} == caught.value.metadata


async def test_a_waiting_scheduled_reconciliation_becomes_the_one_that_is_asked_for(
    inbox: Inbox, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    for reason in (ReconcileReason.RECONCILE_REASON_SCHEDULE, MANUAL, ReconcileReason.RECONCILE_REASON_SCHEDULE):
        await reconciles.enqueue_for_tenant(inbox.pool, tenant_id, ReconcileRequest(reason))

    (content,) = [row["content"] for row in await database.fetch("SELECT content FROM ingest.items")]
    assert MANUAL == Reconcile.FromString(content).reason


async def test_the_gauges_show_what_waits_and_what_is_dead(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    await inbox.put_new(tenant_id, 3)
    await database.execute("UPDATE ingest.items SET received_at = received_at - interval '90 seconds'")

    assert 0 == await InboxGauges(inbox.pool).round()
    shown = {name: REGISTRY.get_sample_value(f"mailmesh_ingest_{name}") for name in GAUGES}
    assert (3, 0) == (shown["pending_items"], shown["dead_letters"])
    assert 90 <= (shown["oldest_due_seconds"] or 0) < 900
