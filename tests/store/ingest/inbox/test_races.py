"""Writers and workers at the same time: no item is overlooked, and none is leased twice at once."""

import asyncio
import json
from collections import Counter

import asyncpg
import pytest

from mailmesh.ingest.v1.inbox_item_pb2 import ReconcileReason
from services.ingest.store import claims, reconciles
from services.ingest.store import leases as lease_store
from services.ingest.store.claims import ClaimRequest
from services.ingest.store.dedicated_connection import DedicatedConnection
from services.ingest.store.items import accept_items
from services.ingest.store.leases import ItemRelease
from services.ingest.store.reconciles import ReconcileRequest
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret
from tests.factories.ingest import add_tenant
from tests.programs.postgres import TestDatabase
from tests.store.ingest.inbox.conftest import DEATHS, Inbox, ids, make_item

WRITERS = 3
GROUPS = 60
TENANTS = 6


class Floor:
    """The acts of the workers, and whether they were ever two at one mailbox."""

    def __init__(self) -> None:
        self.worked: Counter[str] = Counter()
        self.held: set[str] = set()
        self.is_over = asyncio.Event()


async def write(inbox: Inbox, tenants: list[str], number: int) -> list[str]:
    put = []
    for group in range(GROUPS):
        items = [make_item(tenants[(group * 7 + number + step) % TENANTS]) for step in range(1 + group % 4)]
        put += [item.item_id for item in items]
        await inbox.put(*items)
        # Now and then the workers get everything done, so that mailboxes fall idle while writers go on.
        if group % 5 == 0:
            await asyncio.sleep(0.01)
    return put


async def work(inbox: Inbox, floor: Floor, name: str) -> None:
    while not floor.is_over.is_set():
        leases = await inbox.claim(max_items=6, max_tenants=2, worker=name)
        for lease in leases:
            assert lease.tenant_id not in floor.held
            floor.held.add(lease.tenant_id)
        for lease in leases:
            given = ids(lease)
            floor.worked.update(given[1:] or given)
            floor.held.remove(lease.tenant_id)
            if given[1:]:
                back = [ItemRelease(given[0], None, "", "", is_forgiven=True)]
                await lease_store.release(inbox.pool, lease.tenant_id, lease.fence, back)
            await lease_store.ack(inbox.pool, lease.tenant_id, lease.fence, given[1:] or given, is_kept=False)
        if not leases:
            await asyncio.sleep(0.002)


@pytest.mark.timeout(300)
async def test_no_item_is_overlooked_and_none_is_worked_twice(
    inbox: Inbox, ingest_database: TestDatabase, database: asyncpg.Connection
) -> None:
    tenants = [await add_tenant(database) for _ in range(TENANTS)]
    floor = Floor()
    async with (
        open_pool(Secret(ingest_database.url), "writers", DatabaseLimits(connections=WRITERS)) as writer_pool,
        open_pool(Secret(ingest_database.url), "workers") as pool,
    ):
        connections = [DedicatedConnection(writer_pool) for _ in range(WRITERS)]
        inboxes = [Inbox(pool, connection) for connection in connections]
        workers = [asyncio.create_task(work(one, floor, f"worker-{number}")) for number, one in enumerate(inboxes)]
        written = await asyncio.gather(*(write(one, tenants, number) for number, one in enumerate(inboxes)))
        put = [item_id for items in written for item_id in items]
        async with asyncio.timeout(90):
            while await database.fetchval("SELECT count(*) FROM ingest.items"):
                await asyncio.sleep(0.05)
        floor.is_over.set()
        await asyncio.gather(*workers)
        for connection in connections:
            await connection.aclose()

    assert sorted(put) == sorted(floor.worked)
    assert {1} == set(floor.worked.values())
    assert 0 == await database.fetchval("SELECT count(*) FROM ingest.mailboxes WHERE next_due_at IS NOT NULL")


async def test_the_same_keys_written_at_once_make_one_item_each(
    inbox: Inbox, ingest_database: TestDatabase, database: asyncpg.Connection
) -> None:
    tenants = [await add_tenant(database) for _ in range(TENANTS)]
    keys = [(tenant_id, make_item(tenant_id).key) for tenant_id in tenants for _ in range(20)]
    async with open_pool(Secret(ingest_database.url), "writers", DatabaseLimits(connections=4)) as writer_pool:
        connections = [DedicatedConnection(writer_pool) for _ in range(4)]

        async def repeat(number: int) -> int:
            order = keys if number % 2 else keys[::-1]
            groups = [order[at : at + 30] for at in range(0, len(order), 30)]
            accepted = [
                await accept_items(connections[number], [make_item(tenant_id, key=key) for tenant_id, key in group], 5)
                for group in groups
            ]
            return sum(one.new_items for one in accepted)

        new = await asyncio.gather(*(repeat(number) for number in range(4)))
        for connection in connections:
            await connection.aclose()

    assert len(keys) == sum(new)
    assert len(keys) == await database.fetchval("SELECT count(*) FROM ingest.items")


async def test_a_comparison_asked_for_by_many_at_once_is_one(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    wanted = ReconcileRequest(ReconcileReason.RECONCILE_REASON_MANUAL)

    made = await asyncio.gather(*(reconciles.enqueue_for_tenant(inbox.pool, tenant_id, wanted) for _ in range(10)))

    assert 1 == len({one.item_id for one in made})
    assert 1 == sum(not one.was_waiting for one in made)


async def test_writing_is_not_hindered_by_whoever_holds_a_mailbox(inbox: Inbox, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    await inbox.put_new(tenant_id, 1)
    async with database.transaction():
        await database.execute("SELECT 1 FROM ingest.mailboxes WHERE tenant_id = $1 FOR NO KEY UPDATE", tenant_id)

        accepted = await accept_items(inbox.connection, [make_item(tenant_id)], 20.0)

    assert 1 == accepted.new_items


async def test_a_claim_does_not_wait_for_the_writer(
    inbox: Inbox, ingest_database: TestDatabase, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 1)
    async with database.transaction():
        await database.execute("SELECT 1 FROM ingest.mailboxes WHERE tenant_id = $1 FOR KEY SHARE", tenant_id)

        [lease] = await inbox.claim()

    assert put == ids(lease)


@pytest.mark.timeout(300)
async def test_a_claim_reads_as_little_from_a_full_inbox_as_from_an_empty_one(
    inbox: Inbox, database: asyncpg.Connection
) -> None:
    """The number of rows that are read, with a hundred thousand items of one mailbox, half of them for later."""
    full, other = await add_tenant(database), await add_tenant(database)
    await database.execute(
        "INSERT INTO ingest.items (tenant_id, item_id, kind, received_at, due_at, content, correlation_id)"
        " SELECT $1, gen_random_uuid(), 8, now(), CASE WHEN n % 2 = 0 THEN now() + interval '1 day' END, '', $2"
        " FROM generate_series(1, 100000) AS n",
        full,
        other,
    )
    await database.execute("UPDATE ingest.mailboxes SET next_due_at = now() WHERE tenant_id = $1", full)
    await database.execute("ANALYZE ingest.items")
    claim = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM ingest.claim_mailboxes('plan', 1, 100, '60s', $1, "
    async with database.transaction():
        # The first claim of a session also reads the catalogs.
        await database.execute(claim.replace("$1", f"'{other}'") + "true, 2)")
        [plan] = json.loads(await database.fetchval(f"{claim}false, 2)", full))
        due = "UPDATE ingest.mailboxes SET lease_until = NULL, out_item_ids = '{}', next_due_at = now()"
        await database.execute(f"{due} WHERE tenant_id = $1", full)

    buffers = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    assert buffers < 400
    [lease] = await claims.claim(inbox.pool, ClaimRequest("worker-1", 100, 1, 60), DEATHS)
    assert 100 == len(lease.items)
