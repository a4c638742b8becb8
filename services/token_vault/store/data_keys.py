"""Data keys, each wrapped by a key-encryption key.

Each tenant has one for its tokens, and one for its stored content once that is sealed; each credential of the app has
one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from services.meshkit.db import Connection, affected

TOKENS = "data-key"
"""The purpose of keys that seal tokens and private keys."""
CONTENT = "content-key"
"""The purpose of keys that seal stored content."""


@dataclass(frozen=True)
class WrappedKey:
    """A data key as it is stored.

    Args:
        tenant_id: Its tenant, or the app's credential whose private key it seals.
        data_key_id: Its own id, a UUID.
        key_encryption_key_id: The key that wraps it.
        wrapped: The ciphertext.
        purpose: Part of the wrapping, so that a key for content cannot be exchanged for the one that opens tokens.
    """

    tenant_id: str
    data_key_id: str
    key_encryption_key_id: str
    wrapped: bytes = field(repr=False)
    purpose: str = TOKENS


_SELECT = """
SELECT tenant_id::text AS tenant_id, data_key_id::text AS data_key_id, key_encryption_key_id, wrapped
FROM vault.tenant_keys k
"""
_GET = f"{_SELECT} WHERE k.tenant_id = $1"
_OF_ALL = """
FROM (
  SELECT tenant_id, data_key_id, key_encryption_key_id, wrapped, 'data-key' AS purpose FROM vault.tenant_keys
  UNION ALL
  SELECT credential_id, data_key_id, key_encryption_key_id, wrapped, 'data-key' FROM vault.app_credentials
  UNION ALL
  SELECT tenant_id, data_key_id, key_encryption_key_id, wrapped, 'content-key' FROM vault.content_keys
) k
"""
_NOT_WRAPPED_BY = f"""
SELECT tenant_id::text AS tenant_id, data_key_id::text AS data_key_id, key_encryption_key_id, wrapped, purpose {_OF_ALL}
WHERE k.key_encryption_key_id <> $1 AND (k.tenant_id, k.data_key_id) > ($2, $3)
ORDER BY k.tenant_id, k.data_key_id LIMIT $4
"""
_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"
_INSERT = """
INSERT INTO vault.tenant_keys (tenant_id, data_key_id, key_encryption_key_id, wrapped) VALUES ($1, $2, $3, $4)
"""
_WRAPPED_COUNTS = f"SELECT key_encryption_key_id, count(*) {_OF_ALL} GROUP BY key_encryption_key_id"
_REPLACE = """
UPDATE vault.tenant_keys SET key_encryption_key_id = $4, wrapped = $5
WHERE tenant_id = $1 AND data_key_id = $2 AND wrapped = $3
"""
_REPLACE_OF_APP = """
UPDATE vault.app_credentials SET key_encryption_key_id = $4, wrapped = $5
WHERE credential_id = $1 AND data_key_id = $2 AND wrapped = $3
"""
_REPLACE_OF_CONTENT = """
UPDATE vault.content_keys SET key_encryption_key_id = $4, wrapped = $5
WHERE tenant_id = $1 AND data_key_id = $2 AND wrapped = $3
"""
_INSERT_OF_CONTENT = """
INSERT INTO vault.content_keys (tenant_id, data_key_id, key_encryption_key_id, wrapped) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id) DO NOTHING
"""
_OF_CONTENT = """
SELECT tenant_id::text AS tenant_id, data_key_id::text AS data_key_id, key_encryption_key_id, wrapped,
  'content-key' AS purpose
FROM vault.content_keys WHERE tenant_id = ANY($1::uuid[])
"""


async def get_key(connection: Connection, tenant_id: str) -> WrappedKey | None:
    """Read a tenant's data key, wrapped."""
    found = await connection.fetchrow(_GET, tenant_id)
    return None if found is None else _key(found)


async def insert_key(connection: Connection, key: WrappedKey) -> None:
    """Add a tenant's data key."""
    await connection.execute(_INSERT, key.tenant_id, key.data_key_id, key.key_encryption_key_id, key.wrapped)


async def wrapped_counts(connection: Connection) -> dict[str, int]:
    """Count data keys by the key that wraps them."""
    return {row[0]: row[1] for row in await connection.fetch(_WRAPPED_COUNTS)}


async def keys_not_wrapped_by(
    connection: Connection, key_id: str, after: WrappedKey | None, limit: int
) -> Sequence[WrappedKey]:
    """Read data keys that another key wraps, in the order of tenants, behind one of them; None for the first."""
    behind = (_BEFORE_ALL, _BEFORE_ALL) if after is None else (after.tenant_id, after.data_key_id)
    return [_key(found) for found in await connection.fetch(_NOT_WRAPPED_BY, key_id, *behind, limit)]


async def insert_content_key(connection: Connection, key: WrappedKey) -> bool:
    """Add the key of a tenant's content; return False when the tenant has one."""
    values = (key.tenant_id, key.data_key_id, key.key_encryption_key_id, key.wrapped)
    return affected(await connection.execute(_INSERT_OF_CONTENT, *values)) == 1


async def content_keys(connection: Connection, tenant_ids: Sequence[str]) -> list[WrappedKey]:
    """Read the keys of tenants' content, wrapped; a tenant without one is left out."""
    return [_key(found) for found in await connection.fetch(_OF_CONTENT, list(tenant_ids))]


async def replace_wrapped(connection: Connection, old: WrappedKey, new: WrappedKey) -> bool:
    """Replace a data key by the same key in its new wrapping.

    Returns:
        False when the row has changed since it was read: the tenant was disconnected, or another process rotates too.
    """
    values = (old.tenant_id, old.data_key_id, old.wrapped, new.key_encryption_key_id, new.wrapped)
    for statement in (_REPLACE_OF_CONTENT,) if new.purpose == CONTENT else (_REPLACE, _REPLACE_OF_APP):
        if affected(await connection.execute(statement, *values)) == 1:
            return True
    return False


def _key(found: asyncpg.Record) -> WrappedKey:
    return WrappedKey(**found)
