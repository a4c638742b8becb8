"""Data keys, each wrapped by a key-encryption key: one of each tenant, and one of each credential of the app."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from services.meshkit.db import Connection, affected


@dataclass(frozen=True)
class WrappedKey:
    """A data key as it is stored.

    Args:
        tenant_id: Its tenant, or the app's credential whose private key it seals.
        data_key_id: Its own id, a UUID.
        key_encryption_key_id: The key that wraps it.
        wrapped: The ciphertext.
    """

    tenant_id: str
    data_key_id: str
    key_encryption_key_id: str
    wrapped: bytes = field(repr=False)


_SELECT = """
SELECT tenant_id::text AS tenant_id, data_key_id::text AS data_key_id, key_encryption_key_id, wrapped
FROM vault.tenant_keys k
"""
_GET = f"{_SELECT} WHERE k.tenant_id = $1"
_OF_ALL = """
FROM (
  SELECT tenant_id, data_key_id, key_encryption_key_id, wrapped FROM vault.tenant_keys
  UNION ALL
  SELECT credential_id, data_key_id, key_encryption_key_id, wrapped FROM vault.app_credentials
) k
"""
_NOT_WRAPPED_BY = f"""
SELECT tenant_id::text AS tenant_id, data_key_id::text AS data_key_id, key_encryption_key_id, wrapped {_OF_ALL}
WHERE k.key_encryption_key_id <> $1 AND k.tenant_id > $2 ORDER BY k.tenant_id LIMIT $3
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


async def keys_not_wrapped_by(connection: Connection, key_id: str, after: str, limit: int) -> Sequence[WrappedKey]:
    """Read data keys that another key wraps, in the order of tenant ids, behind one tenant; empty for the first."""
    return [_key(found) for found in await connection.fetch(_NOT_WRAPPED_BY, key_id, after or _BEFORE_ALL, limit)]


async def replace_wrapped(connection: Connection, old: WrappedKey, new: WrappedKey) -> bool:
    """Replace a data key by the same key in its new wrapping.

    Returns:
        False when the row has changed since it was read: the tenant was disconnected, or another process rotates too.
    """
    values = (old.tenant_id, old.data_key_id, old.wrapped, new.key_encryption_key_id, new.wrapped)
    for statement in (_REPLACE, _REPLACE_OF_APP):
        if affected(await connection.execute(statement, *values)) == 1:
            return True
    return False


def _key(found: asyncpg.Record) -> WrappedKey:
    return WrappedKey(**found)
