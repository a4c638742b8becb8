"""Migrations: up, down and up again, to what the tables say; and an audit log that only grows."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.meshkit import db
from services.meshkit.secret import Secret
from services.token_vault.migrate import migrations
from services.token_vault.store import audit
from services.token_vault.tables import metadata
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.store.schemas import differences

NOW = datetime.now(UTC)


@pytest.fixture
async def pool(token_vault_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(token_vault_database.url), "tests") as opened:
        yield opened


async def _objects(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT relkind::text || ' ' || relname AS what FROM pg_class WHERE relnamespace = 'vault'::regnamespace"
            " UNION ALL SELECT 'f ' || proname FROM pg_proc WHERE pronamespace = 'vault'::regnamespace ORDER BY 1"
        )
    finally:
        await connection.close()
    return [row["what"] for row in rows]


async def test_migrations_go_up_down_and_up_again(postgres: PostgresProgram) -> None:
    database = postgres.empty_database("token_vault")
    moves = migrations(Secret(database.url))

    await moves.upgrade()
    first = await _objects(database.admin_url)
    await moves.downgrade("base")
    empty = await _objects(database.admin_url)
    await moves.upgrade()
    await moves.upgrade()

    assert first == await _objects(database.admin_url)
    assert [what for what in empty if "alembic" not in what] == []


_OLD_ROWS = """
INSERT INTO vault.tenants (tenant_id, provider, external_account, status, status_changed_at, connected_at, created_at,
  updated_at) VALUES (gen_random_uuid(), 'ms365', 't.o', 'active', now(), now(), now(), now());
INSERT INTO vault.authorization_flows (flow_id, provider, started_by, step, ticket_digest, created_at, expires_at)
VALUES (gen_random_uuid(), 'ms365', 'key:1', 'started', 'x', now(), now());
INSERT INTO vault.api_keys (api_key_id, display_name, prefix, digest, role, tenant_ids, created_at, created_by)
SELECT gen_random_uuid(), role, role, 'x', role, '{}', now(), 'test' FROM unnest('{reader,operator,admin}'::text[]) role
"""


async def test_rows_of_an_older_release_read_mail_and_no_more_and_admins_keep_all(postgres: PostgresProgram) -> None:
    database = postgres.empty_database("token_vault")
    moves = migrations(Secret(database.url))
    await moves.upgrade("0001")
    connection = await asyncpg.connect(database.admin_url)
    try:
        await connection.execute(_OLD_ROWS)
        await moves.upgrade()
        tenants = await connection.fetchval("SELECT array_agg(requested_abilities::text) FROM vault.tenants")
        flows = await connection.fetchval("SELECT array_agg(abilities::text) FROM vault.authorization_flows")
        keys = await connection.fetch("SELECT role, abilities FROM vault.api_keys")
    finally:
        await connection.close()

    assert tenants == flows == ["{mail.read}"]
    assert {row["role"]: row["abilities"] for row in keys} == {
        "reader": ["mail.read"],
        "operator": ["mail.read"],
        "admin": ["*"],
    }


_NARROW_KEYS = """
INSERT INTO vault.api_keys
  (api_key_id, display_name, prefix, digest, role, tenant_ids, created_at, created_by, abilities)
SELECT gen_random_uuid(), role || ' ' || abilities, role || abilities, 'x', role, '{}', now(), 'test', abilities::text[]
FROM unnest('{reader,admin}'::text[]) role, unnest('{"{mail.read}","{mail.send}","{*}"}'::text[]) abilities
"""


async def test_the_way_back_revokes_the_keys_that_it_would_widen(postgres: PostgresProgram) -> None:
    database = postgres.empty_database("token_vault")
    moves = migrations(Secret(database.url))
    await moves.upgrade()
    connection = await asyncpg.connect(database.admin_url)
    try:
        await connection.execute(_NARROW_KEYS)
        await moves.downgrade("0001")
        good = await connection.fetch("SELECT display_name FROM vault.api_keys WHERE revoked_at IS NULL")
    finally:
        await connection.close()

    assert {"reader {mail.read}", "reader {*}", "admin {*}"} == {row["display_name"] for row in good}


async def test_the_migrated_schema_is_what_the_tables_say(token_vault_database: TestDatabase) -> None:
    assert [] == await differences(token_vault_database, metadata, partitions=["audit_entries_"])


async def _append(pool: db.Pool, occurred_at: datetime) -> None:
    async with db.transaction(pool) as connection:
        await audit.append(connection, audit.Entry("command", "test", occurred_at))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE vault.audit_entries SET outcome = 'forged'",
        "DELETE FROM vault.audit_entries",
        "TRUNCATE vault.audit_entries",
        "UPDATE vault.{partition} SET outcome = 'forged'",
        "DELETE FROM vault.{partition}",
        "TRUNCATE vault.{partition}",
        "DELETE FROM vault.audit_entries_other",
    ],
)
async def test_the_services_role_can_only_append_to_the_audit_log(
    pool: db.Pool, token_vault_database: TestDatabase, statement: str
) -> None:
    await _append(pool, NOW)
    connection = await asyncpg.connect(token_vault_database.url)

    try:
        table = await connection.fetchval("SELECT tableoid::regclass::text FROM vault.audit_entries")
        partition = table.rpartition(".")[2]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(partition=partition))
        assert 1 == await connection.fetchval("SELECT count(*) FROM vault.audit_entries")
    finally:
        await connection.close()


async def test_not_even_with_rights_are_entries_changed(token_vault_database: TestDatabase, pool: db.Pool) -> None:
    """A trigger stands behind the rights that the role lacks."""
    await _append(pool, NOW)
    connection = await asyncpg.connect(token_vault_database.admin_url)

    try:
        for statement in ("UPDATE vault.audit_entries SET outcome = 'forged'", "DELETE FROM vault.audit_entries"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever appended"):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_whole_months_past_the_retention_are_dropped_and_never_the_last_ninety_days(
    pool: db.Pool, token_vault_database: TestDatabase
) -> None:
    admin = await asyncpg.connect(token_vault_database.admin_url)
    try:
        for age in (100, 200, 300):
            month = (NOW - timedelta(days=age)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            following = (month + timedelta(days=32)).replace(day=1)
            await admin.execute(
                f"CREATE TABLE vault.audit_entries_{month:%Y%m} PARTITION OF vault.audit_entries"
                f" FOR VALUES FROM ('{month.isoformat()}') TO ('{following.isoformat()}');"
                f" ALTER TABLE vault.audit_entries_{month:%Y%m} OWNER TO mailmesh_vault"
            )
    finally:
        await admin.close()
    for age in (0, 80, 200, 300):
        await _append(pool, NOW - timedelta(days=age))

    async with db.transaction(pool) as connection:
        assert 1 == await audit.extend(connection, 3)
        dropped = await audit.prune(connection, 1)
    async with db.connection(pool) as connection:
        left = await audit.list_entries(connection, audit.EntryFilter(), None, None, 10)

    assert dropped >= 2
    assert [NOW, NOW - timedelta(days=80)] == [entry.occurred_at for entry in left]
