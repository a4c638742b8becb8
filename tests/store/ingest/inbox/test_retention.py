"""Retention removes old processed items, and nothing that is pending, leased or dead."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from mailmesh.ingest.v1.inbox_item_pb2 import ReconcileReason
from services.ingest.inbox.upkeep import Upkeep
from services.ingest.settings import IngestSettings
from services.ingest.store import leases as lease_store
from services.ingest.store.dead_letter_writer import Burial
from services.meshkit.clock import ManualClock
from services.meshkit.settings import load
from tests.factories.ingest import add_tenant, add_watched
from tests.store.ingest.inbox.conftest import Inbox, ids


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


def make_upkeep(inbox: Inbox, clock: ManualClock, **overrides: Any) -> Upkeep:
    values = {"database_url": "postgresql://x/y", "tls_cert": "c", "tls_key": "k", "tls_ca": "a"}
    settings = load(IngestSettings, **(values | overrides))
    return Upkeep(settings, inbox.pool, clock)


async def partitions(database: asyncpg.Connection) -> list[str]:
    rows = await database.fetch("SELECT tablename FROM pg_tables WHERE tablename LIKE 'worked_items_2%' ORDER BY 1")
    return [row["tablename"].removeprefix("worked_items_") for row in rows]


async def test_partitions_are_made_a_week_ahead_and_again_after_a_pause(
    inbox: Inbox, database: asyncpg.Connection, clock: ManualClock
) -> None:
    upkeep = make_upkeep(inbox, clock)
    today = clock.now().date()

    await upkeep.keep_partitions()
    await upkeep.keep_partitions()
    assert [f"{today + timedelta(days=ahead):%Y%m%d}" for ahead in range(8)] == await partitions(database)

    clock.advance(timedelta(days=20))
    await upkeep.keep_partitions()
    assert f"{today + timedelta(days=27):%Y%m%d}" == (await partitions(database))[-1]


async def test_processes_that_make_partitions_at_once_do_not_disturb_each_other(
    inbox: Inbox, database: asyncpg.Connection, clock: ManualClock
) -> None:
    upkeeps = [make_upkeep(inbox, clock) for _ in range(5)]

    await asyncio.gather(*(upkeep.keep_partitions() for upkeep in upkeeps))

    assert 8 == len(await partitions(database))


async def test_what_the_default_partition_took_moves_into_the_one_that_is_made_late(
    inbox: Inbox, database: asyncpg.Connection, clock: ManualClock
) -> None:
    tenant_id = await add_tenant(database)
    put = await inbox.put_new(tenant_id, 3)
    [lease] = await inbox.claim()
    await lease_store.ack(inbox.pool, tenant_id, lease.fence, put, is_kept=False)
    assert 3 == await database.fetchval("SELECT count(*) FROM ingest.worked_items_default")

    await make_upkeep(inbox, clock).keep_partitions()

    assert 0 == await database.fetchval("SELECT count(*) FROM ingest.worked_items_default")
    assert 3 == await database.fetchval("SELECT count(*) FROM ingest.worked_items")


async def test_only_what_is_worked_and_old_goes(inbox: Inbox, database: asyncpg.Connection, clock: ManualClock) -> None:
    upkeep = make_upkeep(inbox, clock)
    await upkeep.keep_partitions()
    tenants = [await add_tenant(database) for _ in range(4)]
    for tenant_id in tenants:
        await inbox.put_new(tenant_id, 1)
    # The third stays leased, the fourth is never given out.
    done, dead, _ = [await inbox.claim(tenant_id=tenant_id) for tenant_id in tenants[:3]]
    await lease_store.ack(inbox.pool, tenants[0], done[0].fence, ids(done[0]), is_kept=False)
    await lease_store.bury(inbox.pool, tenants[1], dead[0].fence, [Burial(ids(dead[0])[0], "MESSAGE_FORBIDDEN", "")])
    await database.execute("UPDATE ingest.items SET received_at = now() - interval '400 days'")
    await database.execute("UPDATE ingest.dead_letters SET buried_at = now() - interval '400 days'")

    clock.advance(timedelta(days=40))
    await upkeep.round()

    assert 0 == await database.fetchval("SELECT count(*) FROM ingest.worked_items")
    assert 1 == await database.fetchval("SELECT count(*) FROM ingest.dead_letters")
    waiting = {str(row["tenant_id"]) for row in await database.fetch("SELECT tenant_id FROM ingest.items")}
    assert {tenants[1], tenants[2], tenants[3]} == waiting


async def test_a_retried_dead_letter_goes_when_it_is_old(
    inbox: Inbox, database: asyncpg.Connection, clock: ManualClock
) -> None:
    tenant_id = await add_tenant(database)
    await inbox.put_new(tenant_id, 1)
    [lease] = await inbox.claim()
    await lease_store.bury(inbox.pool, tenant_id, lease.fence, [Burial(ids(lease)[0], "MESSAGE_FORBIDDEN", "")])
    await database.execute("UPDATE ingest.dead_letters SET retried_at = now() - interval '31 days'")

    await make_upkeep(inbox, clock).round()

    assert 0 == await database.fetchval("SELECT count(*) FROM ingest.dead_letters")


async def test_a_key_is_known_for_longer_than_any_provider_repeats(
    inbox: Inbox, database: asyncpg.Connection, clock: ManualClock
) -> None:
    await database.execute(
        "INSERT INTO ingest.item_keys SELECT gen_random_uuid(), now() - age * interval '1 day'"
        " FROM generate_series(1, 60) AS age, generate_series(1, 100)"
    )

    await make_upkeep(inbox, clock).round()

    oldest = await database.fetchval("SELECT max(now() - seen_at) FROM ingest.item_keys")
    assert timedelta(days=31) < oldest <= timedelta(days=32, minutes=1)


async def test_items_of_a_disconnected_tenant_are_discarded(
    inbox: Inbox, database: asyncpg.Connection, clock: ManualClock
) -> None:
    gone, kept = await add_tenant(database, status="disconnected"), await add_tenant(database, status="disabled")
    await inbox.put_new(gone, 3)
    await inbox.put_new(kept, 1)

    await make_upkeep(inbox, clock).round()

    assert [kept] == [str(row["tenant_id"]) for row in await database.fetch("SELECT tenant_id FROM ingest.items")]
    assert 3 == await database.fetchval("SELECT count(*) FROM ingest.worked_items WHERE outcome = 'discarded'")


async def test_mailboxes_are_compared_after_a_minute_of_refusals(
    inbox: Inbox, database: asyncpg.Connection, clock: ManualClock
) -> None:
    watched = await add_watched(database)
    await add_watched(database, state="polling")
    await database.execute(
        "INSERT INTO ingest.refusals (minute, notifications) VALUES (now() - interval '3 minutes', 60), (now(), 60)"
    )
    upkeep = make_upkeep(inbox, clock, reconcile_spread_seconds=0)

    await upkeep.round()
    await upkeep.round()

    [lease] = await inbox.claim(max_tenants=10)
    assert watched.tenant_id == lease.tenant_id
    assert [ReconcileReason.RECONCILE_REASON_REFUSED] == [item.reconcile.reason for item in lease.items]


async def test_refusals_that_go_on_make_one_comparison_an_hour(
    inbox: Inbox, database: asyncpg.Connection, clock: ManualClock
) -> None:
    watched = await add_watched(database)
    refused = "INSERT INTO ingest.refusals (minute, notifications) VALUES (now() - $1::interval, 60)"
    upkeep = make_upkeep(inbox, clock, reconcile_spread_seconds=0)
    await database.execute(refused, timedelta(minutes=5))
    await upkeep.round()
    await inbox.claim(max_tenants=10)
    requested = "SELECT count(*) FROM ingest.items WHERE tenant_id = $1"

    await database.execute(refused, timedelta(minutes=3))
    await upkeep.round()
    within = await database.fetchval(requested, watched.tenant_id)
    await database.execute("UPDATE ingest.refusals SET minute = minute - interval '1 hour'")
    await upkeep.round()

    assert (1, 2) == (within, await database.fetchval(requested, watched.tenant_id))
