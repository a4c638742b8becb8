"""Lists: every filter, alone and together, against a real PostgreSQL, with values that look like SQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.meshkit import db
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.store import api_keys, audit, tenants
from services.token_vault.store.api_keys import ApiKeyRow
from services.token_vault.store.audit import Entry, EntryFilter
from services.token_vault.store.tenants import ACTIVE, DISABLED, ERROR, TenantFilter
from tests.programs.postgres import TestDatabase

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOSTILE = "x'); DELETE FROM vault.tenants; --"


@pytest.fixture
async def pool(token_vault_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(token_vault_database.url), "tests") as opened:
        yield opened


async def _tenants(pool: db.Pool, *statuses: str) -> list[str]:
    """Adds tenants a second apart, and returns their ids in the order of the list."""
    ids = []
    async with db.transaction(pool) as connection:
        for number, status in enumerate(statuses):
            at, tenant_id = NOW + timedelta(seconds=number), new_id()
            values = {
                "tenant_id": tenant_id,
                "provider": "ms365" if number % 2 == 0 else "googlews",
                "external_account": f"account {number}",
                "address": f"{number}@example.com",
                "status": status,
                "status_changed_at": at,
                "connected_at": at,
                "created_at": at,
                "updated_at": at,
            }
            await tenants.insert_tenant(connection, values)
            ids.append(tenant_id)
    return ids


async def test_tenants_are_listed_by_each_filter_and_by_all_of_them(pool: db.Pool) -> None:
    ids = await _tenants(pool, ACTIVE, ERROR, DISABLED, ACTIVE)
    after = ((NOW + timedelta(seconds=0)).isoformat(), ids[0])

    async def listed(
        wanted: TenantFilter, scope: tenants.Scope = None, after: tuple[str, str] | None = None
    ) -> list[int]:
        async with db.connection(pool) as connection:
            rows = await tenants.list_tenants(connection, wanted, scope, after, 10)
        return [ids.index(row.tenant_id) for row in rows]

    assert [0, 1, 2, 3] == await listed(TenantFilter())
    assert [1, 2, 3] == await listed(TenantFilter(), after=after)
    assert [0, 2] == await listed(TenantFilter(provider="ms365"))
    assert [1] == await listed(TenantFilter(address="1@EXAMPLE.com"))
    assert [0, 2, 3] == await listed(TenantFilter(statuses=frozenset({ACTIVE, DISABLED})))
    assert [2] == await listed(TenantFilter("ms365", frozenset({ACTIVE, DISABLED})), frozenset(ids[1:]), after)
    assert [] == await listed(TenantFilter(), frozenset())
    assert [] == await listed(TenantFilter(HOSTILE, frozenset({HOSTILE}), HOSTILE))
    assert [0, 1, 2, 3] == await listed(TenantFilter())


async def test_a_page_of_tenants_is_no_longer_than_its_limit(pool: db.Pool) -> None:
    ids = await _tenants(pool, ACTIVE, ACTIVE, ACTIVE)

    async with db.connection(pool) as connection:
        rows = await tenants.list_tenants(connection, TenantFilter(), None, None, 2)
        first = await tenants.tenants_after(connection, "", 2)
        rest = await tenants.tenants_after(connection, first[-1].tenant_id, 2)

    assert ids[:2] == [row.tenant_id for row in rows]
    assert sorted(ids) == [row.tenant_id for row in (*first, *rest)]


async def test_entries_are_listed_newest_first_by_each_filter(pool: db.Pool) -> None:
    tenant_id, times = new_id(), [NOW + timedelta(seconds=number) for number in range(4)]
    entries = [
        Entry("command", "token.issue", times[0], tenant_id=tenant_id, detail={"note": HOSTILE}),
        Entry("command", "token.refresh", times[1], tenant_id=tenant_id),
        Entry("command", "token.issue", times[2], tenant_id=new_id()),
        Entry("command", "api_key.create", times[3]),
    ]
    async with db.transaction(pool) as connection:
        await audit.append(connection, *entries)

    async def listed(
        wanted: EntryFilter, scope: tenants.Scope = None, before: tuple[str, str] | None = None
    ) -> list[Entry]:
        async with db.connection(pool) as connection:
            return await audit.list_entries(connection, wanted, scope, before, 10)

    assert entries[::-1] == await listed(EntryFilter())
    assert [entries[1], entries[0]] == await listed(EntryFilter(tenant_id=tenant_id))
    assert [entries[2], entries[0]] == await listed(EntryFilter(action="token.issue"))
    assert [entries[2], entries[1]] == await listed(EntryFilter(occurred_from=times[1], occurred_before=times[3]))
    assert [entries[1], entries[0]] == await listed(EntryFilter(), frozenset({tenant_id}))
    assert [] == await listed(EntryFilter(), frozenset())
    assert [] == await listed(EntryFilter(action=HOSTILE))
    behind = (times[2].isoformat(), entries[2].audit_entry_id)
    assert [entries[1], entries[0]] == await listed(EntryFilter(), None, behind)


async def test_keys_are_listed_by_scope_and_by_what_is_still_good(pool: db.Pool) -> None:
    (tenant_id,) = await _tenants(pool, ACTIVE)
    other = new_id()

    def key(number: int, tenant_ids: tuple[str, ...], expires_at: datetime | None = None) -> ApiKeyRow:
        at = NOW + timedelta(seconds=number)
        return ApiKeyRow(
            new_id(),
            f"key {number}",
            f"prefix{number}",
            b"d",
            "reader",
            tenant_ids,
            at,
            expires_at,
            None,
            None,
            "command",
            ("mail.read", "mail.send"),
        )

    keys = [key(0, ()), key(1, (tenant_id,)), key(2, tuple(sorted((tenant_id, other)))), key(3, (), NOW)]
    async with db.transaction(pool) as connection:
        for each in keys:
            await api_keys.insert_api_key(connection, each)
        assert await api_keys.revoke_api_key(connection, keys[0].api_key_id, NOW)
        assert not await api_keys.revoke_api_key(connection, keys[0].api_key_id, NOW)

    async with db.connection(pool) as connection:
        shown = [row.display_name for row in await api_keys.list_api_keys(connection, None, None, 10, None)]
        within = await api_keys.list_api_keys(connection, frozenset({tenant_id}), None, 10, None)
        good = await api_keys.list_api_keys(connection, None, None, 10, NOW)
        behind = (keys[1].created_at.isoformat(), keys[1].api_key_id)
        rest = await api_keys.list_api_keys(connection, None, behind, 10, NOW)

    assert ["key 0", "key 1", "key 2", "key 3"] == shown
    assert [keys[1]] == within
    assert keys[1:3] == good
    assert [keys[2]] == rest


async def test_the_last_use_of_a_key_never_moves_back(pool: db.Pool) -> None:
    row = ApiKeyRow(new_id(), "key", "prefix", b"d", "reader", (), NOW, None, None, None, "command", ("*",))
    later = NOW + timedelta(seconds=1)
    async with db.transaction(pool) as connection:
        await api_keys.insert_api_key(connection, row)
        await api_keys.note_used(connection, {row.api_key_id: later})
        await api_keys.note_used(connection, {row.api_key_id: NOW})
        found = await api_keys.get_api_key(connection, row.api_key_id)

    assert found is not None
    assert later == found.last_used_at
