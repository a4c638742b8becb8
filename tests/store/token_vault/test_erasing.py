"""A tenant that is being erased: nothing but its disconnection is written to the log of changes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.accounts.tenants import Tenants
from services.token_vault.errors import TenantDisconnected
from services.token_vault.store import erasures, tenants
from services.token_vault.store.tenants import ACTIVE, DISCONNECTED, DISCONNECTING
from tests.programs.postgres import TestDatabase

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
async def pool(token_vault_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(token_vault_database.url), "tests") as opened:
        yield opened


async def erasing(pool: db.Pool, status: str) -> str:
    """Adds a tenant whose erasure has begun."""
    tenant_id = new_id()
    times = dict.fromkeys(("status_changed_at", "connected_at", "created_at", "updated_at"), NOW)
    account = {"provider": "ms365", "external_account": tenant_id, "address": "a@example.com", "display_name": "Name"}
    async with db.transaction(pool) as connection:
        await tenants.insert_tenant(connection, {"tenant_id": tenant_id, "status": status, **account, **times})
        await erasures.begin(connection, tenant_id, NOW)
    return tenant_id


async def changes(pool: db.Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM vault.tenant_changes"))


@pytest.mark.parametrize("status", [DISCONNECTING, DISCONNECTED])
@pytest.mark.parametrize("name", ["Name", "Other name"])
async def test_a_tenant_that_is_being_erased_cannot_be_renamed(pool: db.Pool, status: str, name: str) -> None:
    tenant_id, lender = await erasing(pool, status), None
    cases = Tenants(pool, lender, SystemClock())  # type: ignore[arg-type] - no token is lent

    with pytest.raises(TenantDisconnected):
        await cases.rename(tenant_id, None, name)
    assert 0 == await changes(pool)


@pytest.mark.parametrize("values", [{"address": "b@example.com"}, {"status": ACTIVE}])
async def test_no_write_reaches_the_log_of_changes_once_the_tenant_is_disconnected(
    pool: db.Pool, values: dict[str, Any]
) -> None:
    tenant_id = await erasing(pool, DISCONNECTED)

    with pytest.raises(TenantDisconnected):
        async with db.transaction(pool) as connection:
            before = await tenants.get_tenant(connection, tenant_id, None, lock=True)
            await tenants.change_tenant(connection, before, NOW, values)
    assert 0 == await changes(pool)


async def test_the_disconnection_itself_goes_on(pool: db.Pool) -> None:
    tenant_id = await erasing(pool, DISCONNECTING)
    async with db.transaction(pool) as connection:
        before = await tenants.get_tenant(connection, tenant_id, None, lock=True)
        after = await tenants.change_tenant(connection, before, NOW, {"status": DISCONNECTED})

    assert (DISCONNECTED, 1) == (after.status, await changes(pool))
