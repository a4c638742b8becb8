"""The erasure of a tenant beside a worker that commits, and a follower that reads old changes."""

import asyncio
from typing import Any

import pytest

from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from services.meshkit import db
from services.meshkit.erasing import erase_rows
from services.meshkit.ids import new_id
from services.processor.erasing import PLAN
from services.processor.mailbox.store.mailboxes import FencedError, lock_fenced, open_mailbox
from services.processor.stream.tenant_events import TenantStates


async def opened(pool: db.Pool, tenant_id: str, fence: int) -> None:
    async with db.connection(pool) as connection:
        await open_mailbox(connection, tenant_id, fence, None, is_polled=False, is_watched=True, reconcile_within=None)


async def rows(pool: db.Pool, table: str, tenant_id: str) -> int:
    statement = f"SELECT count(*) FROM processor.{table} WHERE tenant_id = $1"  # noqa: S608 - our own tables
    return int(await pool.fetchval(statement, tenant_id))


async def test_the_fence_goes_before_the_rows_that_a_worker_may_still_commit(pool: Any) -> None:
    tenant_id = new_id()
    await opened(pool, tenant_id, 1)
    await pool.execute("INSERT INTO processor.calendar_lists (tenant_id) VALUES ($1)", tenant_id)
    async with db.transaction(pool) as connection:
        await lock_fenced(connection, tenant_id, 1)
        erasing = asyncio.create_task(erase_rows(pool, PLAN, tenant_id))
        async with asyncio.timeout(30):
            while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.02)
        # `calendar_lists` is before `mailboxes` in the alphabet, and not touched while a worker holds the fence.
        assert 1 == await rows(pool, "calendar_lists", tenant_id)

    assert {"calendar_lists": 1, "mailboxes": 1} == await erasing
    with pytest.raises(FencedError):
        async with db.transaction(pool) as connection:
            await lock_fenced(connection, tenant_id, 1)
    with pytest.raises(FencedError):
        await opened(pool, tenant_id, 2)
    assert 0 == await rows(pool, "mailboxes", tenant_id)


async def test_a_change_that_is_followed_behind_the_erasure_brings_nothing_back(pool: Any) -> None:
    erased, kept = new_id(), new_id()
    await erase_rows(pool, PLAN, erased)
    changes = [
        vault_pb2.TenantChange(
            change_id=new_id(),
            tenant=tenant_pb2.Tenant(tenant_id=tenant_id, provider="ms365", status=tenant_pb2.TENANT_STATUS_DISABLED),
            previous_status=tenant_pb2.TENANT_STATUS_ACTIVE,
            correlation_id=new_id(),
        )
        for tenant_id in (erased, kept)
    ]
    await TenantStates(pool).apply(vault_pb2.ListTenantChangesResponse(changes=changes, next_cursor="2"), "")

    for table in ("tenants", "events"):
        assert (0, 1) == (await rows(pool, table, erased), await rows(pool, table, kept))
