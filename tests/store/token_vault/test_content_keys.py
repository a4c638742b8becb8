"""Keys of stored content on a real PostgreSQL: made once, lent, rotated, and no way to the key of tokens."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.erasing import Plan, erase_rows
from services.meshkit.identity.caller import Caller, calling_as
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.token_vault.accounts.content_keys import ContentKeys
from services.token_vault.errors import TenantNotFound
from services.token_vault.exporting import KEPT
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.registration import KeyRegistration
from services.token_vault.keys.rotate import KeyRotator
from services.token_vault.keys.sealing import new_data_key
from services.token_vault.store import data_keys, erasures, tenants
from services.token_vault.store.tenants import ACTIVE
from tests.programs.postgres import TestDatabase

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RING = KeyRing({"k1": b"1" * 32, "k2": b"2" * 32})


@pytest.fixture
async def pool(token_vault_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(token_vault_database.url), "tests") as opened:
        registration = KeyRegistration(opened, RING, SystemClock(), new_id(), lambda: RING)
        await registration.start()
        yield opened


@pytest.fixture(autouse=True)
def caller() -> Iterator[None]:
    with calling_as(Caller("processor")):
        yield


async def connected(pool: db.Pool, count: int = 1) -> list[str]:
    """Add tenants, each with a data key of its tokens."""
    made = []
    times = dict.fromkeys(("status_changed_at", "connected_at", "created_at", "updated_at"), NOW)
    for _ in range(count):
        tenant_id = new_id()
        account = {"provider": "ms365", "external_account": tenant_id, "address": "a@example.com"}
        async with db.transaction(pool) as connection:
            await tenants.insert_tenant(
                connection, {"tenant_id": tenant_id, "status": ACTIVE, "display_name": "", **account, **times}
            )
            await data_keys.insert_key(connection, new_data_key(RING, tenant_id, "k1")[1])
        made.append(tenant_id)
    return made


async def test_a_content_key_is_made_once_lent_and_recorded(pool: db.Pool) -> None:
    (tenant_id, other), keys = await connected(pool, 2), ContentKeys(pool, RING, SystemClock())
    await keys.create(tenant_id)
    await keys.create(tenant_id)
    (first,), (second,) = (
        await keys.lend([tenant_id, other]),
        await ContentKeys(pool, RING, SystemClock()).lend([tenant_id]),
    )
    entries = await pool.fetch("SELECT action, actor, outcome, detail FROM vault.audit_entries ORDER BY occurred_at")

    assert first.key is not None
    assert (32, first) == (len(first.key.key), second)
    assert ["content_key.create", "content_key.lend", "content_key.lend"] == [row["action"] for row in entries]
    assert {("mesh:processor", "ok")} == {(row["actor"], row["outcome"]) for row in entries}
    assert repr(first).find(repr(first.key.key)) == -1
    assert [] == await keys.lend([other])


async def test_the_key_of_tokens_is_not_lent_in_place_of_a_content_key(pool: db.Pool) -> None:
    (tenant_id,), keys = await connected(pool), ContentKeys(pool, RING, SystemClock())
    await keys.create(tenant_id)
    await pool.execute(
        "UPDATE vault.content_keys c SET wrapped = k.wrapped, data_key_id = k.data_key_id FROM vault.tenant_keys k"
        " WHERE k.tenant_id = c.tenant_id"
    )
    (lent,) = await keys.lend([tenant_id])

    assert (None, "SEAL_BROKEN") == (lent.key, lent.reason)


async def test_a_rotation_wraps_content_keys_too_and_changes_none(
    pool: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.token_vault.keys.rotate._BATCH", 3)
    made, keys = await connected(pool, 5), ContentKeys(pool, RING, SystemClock())
    for tenant_id in made:
        await keys.create(tenant_id)
    before = await keys.lend(made)
    rotation = await KeyRotator(pool, RING, SystemClock()).rotate("k2")
    left = KeyRing({"k2": b"2" * 32})
    after = await ContentKeys(pool, left, SystemClock()).lend(made)

    assert (10, {"k2": 10}) == (rotation.rewrapped, rotation.wrapped_by)
    assert sorted(before, key=lambda one: one.tenant_id) == sorted(after, key=lambda one: one.tenant_id)
    assert ["KEY_UNAVAILABLE"] * 5 == [
        one.reason for one in await ContentKeys(pool, KeyRing({"k1": b"1" * 32}), SystemClock()).lend(made)
    ]


async def test_an_erasure_destroys_the_content_key_says_so_and_lets_none_be_made(
    pool: db.Pool, token_vault_database: TestDatabase
) -> None:
    (tenant_id,), keys = await connected(pool), ContentKeys(pool, RING, SystemClock())
    await keys.create(tenant_id)
    async with db.transaction(pool) as connection:
        await erasures.begin(connection, tenant_id, NOW)
    with pytest.raises(TenantNotFound):
        await keys.create(tenant_id)
    async with db.open_pool(Secret(token_vault_database.admin_url), "owner") as owner:
        removed = await erase_rows(owner, Plan("vault", kept=KEPT), tenant_id)

    assert 1 == removed["content_keys"]
    assert [] == await keys.lend([tenant_id])
    assert "content_keys" in json.dumps(removed)


async def test_a_key_of_an_unknown_tenant_is_refused(pool: db.Pool) -> None:
    with pytest.raises(TenantNotFound):
        await ContentKeys(pool, RING, SystemClock()).create(new_id())
