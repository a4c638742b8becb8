"""API keys, as digests, and the request ids that make the creation of a key repeatable."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

import asyncpg

from services.meshkit.db import Connection, affected
from services.token_vault.store.statements import Parameters, where
from services.token_vault.store.tenants import Scope


@dataclass(frozen=True)
class ApiKeyRow:
    """An API key without its secret."""

    api_key_id: str
    display_name: str
    prefix: str
    digest: bytes = field(repr=False)
    role: str
    tenant_ids: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    created_by: str
    abilities: tuple[str, ...]

    @property
    def scope(self) -> Scope:
        """The tenants that the key may see; None means all."""
        return frozenset(self.tenant_ids) or None

    @property
    def is_unlimited(self) -> bool:
        """Whether the key is limited neither to tenants nor to abilities."""
        return not self.tenant_ids and self.abilities == ("*",)

    def is_good(self, now: datetime) -> bool:
        """Tell whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


_FIELDS = tuple(field.name for field in fields(ApiKeyRow))
_INSERT = """
INSERT INTO vault.api_keys
  (api_key_id, display_name, prefix, digest, role, tenant_ids, created_at, expires_at, last_used_at, revoked_at,
   created_by, abilities)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
_SELECT = """
SELECT api_key_id::text AS api_key_id, display_name, prefix, digest, role, tenant_ids::text[] AS tenant_ids,
  created_at, expires_at, last_used_at, revoked_at, created_by, abilities
FROM vault.api_keys
"""
_GET = f"{_SELECT} WHERE api_key_id = $1"
_OF_PREFIX = f"{_SELECT} WHERE prefix = $1"
_REVOKE = "UPDATE vault.api_keys SET revoked_at = $2 WHERE api_key_id = $1 AND revoked_at IS NULL"
_LOCK_ADMINS = "SELECT pg_advisory_xact_lock(hashtextextended('vault.admin_keys', 0))"
_HAS_OTHER_ADMIN = """
SELECT EXISTS (
  SELECT 1 FROM vault.api_keys WHERE api_key_id <> $1 AND role = 'admin' AND cardinality(tenant_ids) = 0
    AND abilities = '{*}' AND revoked_at IS NULL AND (expires_at IS NULL OR (expires_at > $2 AND expires_at >= $3))
    -- A person's key is no way in when the identity provider is away.
    AND NOT EXISTS (SELECT 1 FROM vault.people WHERE people.api_key_id = api_keys.api_key_id))
"""
_NOTE_USED = """
UPDATE vault.api_keys SET last_used_at = $2 WHERE api_key_id = $1 AND coalesce(last_used_at, $2) <= $2
"""
_KNOWN_TENANTS = "SELECT tenant_id::text AS tenant_id FROM vault.tenants WHERE tenant_id = ANY($1::uuid[])"
_REMEMBER = """
INSERT INTO vault.request_ids (owner, request_id, digest, result_id, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""
_REMEMBERED = """
SELECT digest, result_id::text AS result_id FROM vault.request_ids WHERE owner = $1 AND request_id = $2
"""
_PRUNE_REQUESTS = "DELETE FROM vault.request_ids WHERE created_at < $1"


async def insert_api_key(connection: Connection, key: ApiKeyRow) -> None:
    """Add a key."""
    await connection.execute(_INSERT, *(getattr(key, name) for name in _FIELDS))


async def get_api_key(connection: Connection, api_key_id: str) -> ApiKeyRow | None:
    """Read a key by its id."""
    found = await connection.fetchrow(_GET, api_key_id)
    return None if found is None else _row(found)


async def find_prefix(connection: Connection, prefix: str) -> ApiKeyRow | None:
    """Read a key by its visible prefix."""
    found = await connection.fetchrow(_OF_PREFIX, prefix)
    return None if found is None else _row(found)


async def list_api_keys(
    connection: Connection,
    scope: Scope,
    after: tuple[str, str] | None,
    limit: int,
    only_good_at: datetime | None,
) -> list[ApiKeyRow]:
    """List keys by `created_at`, oldest first.

    Args:
        connection: A connection to the database.
        scope: Only keys that are limited to tenants among these; None means all keys.
        after: `created_at` in ISO form and id of the last key on the page before.
        limit: The most to return.
        only_good_at: Leaves out keys that are revoked or expired at this time; None leaves out none.
    """
    parameters, conditions = Parameters(), []
    if scope is not None:
        conditions.append(f"cardinality(tenant_ids) > 0 AND tenant_ids <@ {parameters.add(sorted(scope))}::uuid[]")
    if after is not None:
        created_at, api_key_id = parameters.add(datetime.fromisoformat(after[0])), parameters.add(after[1])
        conditions.append(f"(created_at, api_key_id) > ({created_at}::timestamptz, {api_key_id}::uuid)")
    if only_good_at is not None:
        now = parameters.add(only_good_at)
        conditions.append(f"revoked_at IS NULL AND (expires_at IS NULL OR expires_at > {now})")
    # A row's `api_key_id` is text in the result; the order is that of the column.
    order = "ORDER BY api_keys.created_at, api_keys.api_key_id"
    text = f"{_SELECT}{where(conditions)} {order} LIMIT {parameters.add(limit)}"
    return [_row(found) for found in await connection.fetch(text, *parameters.values)]


async def has_other_admin(connection: Connection, key: ApiKeyRow, now: datetime) -> bool:
    """Tell whether another good admin key without limits lasts at least as long as a key.

    The answer holds until the transaction ends: two that ask at once wait for each other.
    """
    await connection.execute(_LOCK_ADMINS)
    return bool(await connection.fetchval(_HAS_OTHER_ADMIN, key.api_key_id, now, key.expires_at))


async def revoke_api_key(connection: Connection, api_key_id: str, now: datetime) -> bool:
    """Revoke a key.

    Returns:
        False when the key was revoked before.
    """
    return affected(await connection.execute(_REVOKE, api_key_id, now)) == 1


async def note_used(connection: Connection, used: Mapping[str, datetime]) -> None:
    """Record the last use of keys, in the order of their ids."""
    await connection.executemany(_NOTE_USED, sorted(used.items()))


async def known_tenants(connection: Connection, tenant_ids: frozenset[str]) -> frozenset[str]:
    """Return those of the tenants that exist."""
    return frozenset(row["tenant_id"] for row in await connection.fetch(_KNOWN_TENANTS, sorted(tenant_ids)))


async def remember_request(
    connection: Connection, owner: str, request_id: str, digest: bytes, result_id: str, now: datetime
) -> tuple[bytes, str] | None:
    """Remember a request id; wait for another transaction that remembers the same one.

    Returns:
        None for a new request id; otherwise digest and result of the earlier request with it.
    """
    if affected(await connection.execute(_REMEMBER, owner, request_id, digest, result_id, now)) == 1:
        return None
    before = await connection.fetchrow(_REMEMBERED, owner, request_id)
    assert before is not None  # noqa: S101 - the row stood in the way, and only old ones are pruned
    return before["digest"], before["result_id"]


async def prune_requests(connection: Connection, now: datetime, keep: timedelta) -> int:
    """Forget older request ids."""
    return affected(await connection.execute(_PRUNE_REQUESTS, now - keep))


def _row(found: asyncpg.Record) -> ApiKeyRow:
    sets = {name: tuple(sorted(found[name])) for name in ("tenant_ids", "abilities")}
    return ApiKeyRow(**{**found, **sets})
