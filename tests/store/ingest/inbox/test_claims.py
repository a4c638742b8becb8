"""Claims lease due mailboxes, each to one worker at a time."""

import asyncio

import asyncpg
import pytest

from services.ingest.errors import MailboxHeld
from services.ingest.store import leases as lease_store
from services.ingest.store.dead_letter_writer import Burial
from tests.factories.ingest import add_tenant, add_watched
from tests.store.ingest.inbox.conftest import DEATHS, Inbox, ids, make_item


async def test_items_come_oldest_first(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 5)

    [lease] = await inbox.claim(max_items=3)

    assert put[:3] == ids(lease)
    assert lease.has_more


async def test_a_mailbox_has_one_holder(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    await inbox.put_new(tenant_id, 5)

    [_] = await inbox.claim(max_items=1)

    assert [] == await inbox.claim(worker="worker-2")
    assert [] == await inbox.claim(worker="worker-2", tenant_id=tenant_id, includes_idle=True)


async def test_what_arrives_under_a_lease_waits_for_its_end(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    await inbox.put_new(tenant_id, 1)
    [lease] = await inbox.claim()
    late = await inbox.put_new(tenant_id, 1)

    assert [] == await inbox.claim()
    assert await lease_store.ack(inbox.pool, tenant_id, lease.fence, ids(lease), is_kept=False)
    [again] = await inbox.claim()
    assert (late, lease.fence + 1) == (ids(again), again.fence)


async def test_twenty_workers_that_claim_at_once_share_the_mailboxes(
    inbox: Inbox, database: asyncpg.Connection
) -> None:
    tenants = [await add_tenant(database) for _ in range(10)]
    for tenant_id in tenants:
        await inbox.put_new(tenant_id, 2)

    claimed = await asyncio.gather(*(inbox.claim(worker=f"worker-{number}") for number in range(20)))

    held = [lease.tenant_id for leases in claimed for lease in leases]
    assert sorted(tenants) == sorted(held)


async def test_a_mailbox_with_much_to_do_does_not_delay_the_others(inbox: Inbox, database: asyncpg.Connection) -> None:
    busy, quiet = await add_tenant(database), await add_tenant(database)
    await inbox.put_new(busy, 10)
    await inbox.put_new(quiet, 1)

    turns = []
    for _ in range(3):
        [lease] = await inbox.claim(max_items=2)
        turns.append(lease.tenant_id)
        await lease_store.ack(inbox.pool, lease.tenant_id, lease.fence, ids(lease), is_kept=False)

    assert [busy, quiet, busy] == turns


async def test_several_mailboxes_share_what_one_claim_may_take(inbox: Inbox, database: asyncpg.Connection) -> None:
    for _ in range(3):
        await inbox.put_new(await add_tenant(database), 10)

    leases = await inbox.claim(max_items=9, max_tenants=3)

    assert [3, 3, 3] == [len(lease.items) for lease in leases]


async def test_an_expired_lease_returns_by_itself_and_counts_the_attempt(
    inbox: Inbox, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 2)
    [first] = await inbox.claim()
    await inbox.expire(tenant_id)

    [second] = await inbox.claim(worker="worker-2")

    assert (put, 1) == (ids(first), first.items[0].attempts)
    assert (put, 2, first.fence + 1) == (ids(second), second.items[0].attempts, second.fence)
    with pytest.raises(MailboxHeld):
        await lease_store.ack(inbox.pool, tenant_id, first.fence, put, is_kept=False)
    with pytest.raises(MailboxHeld):
        await lease_store.extend(inbox.pool, tenant_id, first.fence, 60)


async def test_an_expired_lease_that_cannot_be_ended_keeps_no_other_from_the_worker(
    inbox: Inbox, database: asyncpg.Connection
) -> None:
    stuck, sound = await add_tenant(database), await add_tenant(database)
    [old] = await inbox.put_new(stuck, 1)
    await inbox.claim()
    await inbox.expire(stuck)
    [new] = await inbox.put_new(sound, 1)

    async with database.transaction():
        await database.execute("SELECT FROM ingest.items WHERE item_id = $1 FOR UPDATE", old)
        while_stuck = await inbox.claim(max_tenants=2)
    later = await inbox.claim(max_tenants=2)

    assert [(sound, [new])] == [(lease.tenant_id, ids(lease)) for lease in while_stuck]
    assert [(stuck, [old], 2)] == [(lease.tenant_id, ids(lease), lease.items[0].attempts) for lease in later]


async def test_an_item_whose_lease_expired_twice_is_given_out_alone(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    old = await inbox.put_new(tenant_id, 2)
    for _ in range(2):
        await inbox.claim()
        await inbox.expire(tenant_id)
    new = await inbox.put_new(tenant_id, 2)

    given = []
    for _ in range(3):
        [lease] = await inbox.claim()
        given.append(ids(lease))
        await lease_store.ack(inbox.pool, tenant_id, lease.fence, ids(lease), is_kept=False)

    assert [[old[0]], [old[1]], new] == given


async def test_an_item_that_takes_down_every_worker_is_buried(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    [killer] = await inbox.put_new(tenant_id, 1)
    for _ in range(DEATHS):
        [lease] = await inbox.claim()
        assert [killer] == ids(lease)
        await inbox.expire(tenant_id)

    [lease] = await inbox.claim()

    assert ["reconcile"] == [item.WhichOneof("content") for item in lease.items]
    row = await database.fetchrow("SELECT item_id::text, reason, attempts, history::text FROM ingest.dead_letters")
    assert row is not None
    assert (killer, "ITEM_POISONED", DEATHS) == (row["item_id"], row["reason"], row["attempts"])
    assert DEATHS == row["history"].count("LEASE_EXPIRED")


@pytest.mark.parametrize("status", ["needs_reauthorization", "error", "disabled"])
async def test_items_wait_for_the_state_of_their_tenant(
    inbox: Inbox, database: asyncpg.Connection, status: str
) -> None:
    tenant_id = await add_tenant(database, status=status)
    await inbox.put_new(tenant_id, 1)

    assert [] == await inbox.claim()
    assert [] == await inbox.claim(tenant_id=tenant_id, includes_idle=True)


async def test_an_idle_mailbox_can_be_held_and_let_go(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)

    [lease] = await inbox.claim(tenant_id=tenant_id, includes_idle=True)
    put = await inbox.put_new(tenant_id, 1)

    assert ([], False) == (ids(lease), lease.has_more)
    assert [] == await inbox.claim()
    assert await lease_store.ack(inbox.pool, tenant_id, lease.fence, [], is_kept=False)
    [again] = await inbox.claim()
    assert put == ids(again)


async def test_a_lease_tells_what_is_watched(inbox: Inbox, database: asyncpg.Connection) -> None:
    watched = await add_watched(database)
    gone = await add_watched(database, state="deleted", tenant_id=watched.tenant_id)
    await inbox.put_new(watched.tenant_id, 1)

    [lease] = await inbox.claim()

    assert [watched.subscription_id] == [watch.subscription_id for watch in lease.watches]
    assert gone.subscription_id != watched.subscription_id


async def test_an_extended_lease_lasts_longer(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    await inbox.put_new(tenant_id, 1)
    [lease] = await inbox.claim()

    until = await lease_store.extend(inbox.pool, tenant_id, lease.fence, 600)

    assert 500 < until.timestamp() - lease.lease_expires_at.seconds < 700


async def test_a_repeat_is_known_for_as_long_as_its_key_and_makes_nothing(
    inbox: Inbox, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 1)
    [lease] = await inbox.claim()
    await lease_store.ack(inbox.pool, tenant_id, lease.fence, put, is_kept=False)
    key = await database.fetchval("SELECT key::text FROM ingest.item_keys")

    accepted = await inbox.put(make_item(tenant_id, key=key), make_item(tenant_id, other_key=key))

    assert (0, []) == (accepted.new_items, list(accepted.due_tenant_ids))
    assert [] == await inbox.claim()


async def test_burying_needs_the_lease(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 1)
    [lease] = await inbox.claim()

    with pytest.raises(MailboxHeld):
        await lease_store.bury(inbox.pool, tenant_id, lease.fence - 1, [Burial(put[0], "MESSAGE_FORBIDDEN", "")])
