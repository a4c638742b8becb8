"""A tenant that is being erased: nothing but its disconnection is written to the log of changes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.accounts.tenants import Tenants
from services.token_vault.errors import TenantDisconnected
from services.token_vault.store import directories, erasures, tenants
from services.token_vault.store.directories import DirectoryRow
from services.token_vault.store.tenants import ACTIVE, DISCONNECTED, DISCONNECTING
from tests.programs.postgres import TestDatabase

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DIRECTORY = "00000000-0000-4000-8000-000000000001"
LISTED = DirectoryRow(
    "ms365", DIRECTORY, ("a@example.com", "b@example.com"), allows_all=False, listed_at=NOW, roles=(), consented_at=NOW
)


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


async def test_an_erased_address_is_in_no_allow_list_of_its_organisation_or_of_an_open_consent(pool: db.Pool) -> None:
    other = "00000000-0000-4000-8000-000000000002"
    async with db.transaction(pool) as connection:
        for directory_id in (DIRECTORY, other):
            row = replace(LISTED, directory_id=directory_id)
            await directories.put(connection, row)
        await directories.forget_address(connection, DIRECTORY, "A@example.com")
        kept = {row.directory_id: row.allowed_addresses for row in await directories.page(connection, "", 10)}

    assert {DIRECTORY: ["b@example.com"], other: ["a@example.com", "b@example.com"]} == {
        directory_id: list(addresses) for directory_id, addresses in kept.items()
    }
