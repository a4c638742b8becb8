"""API keys, as digests, and the request ids that make creating one repeatable."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.token_vault.store.tenants import Scope
from services.token_vault.tables import api_keys, request_ids, tenants


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

    @property
    def scope(self) -> Scope:
        """The tenants that it may see; None means all."""
        return frozenset(self.tenant_ids) or None

    def is_good(self, now: datetime) -> bool:
        """Tells whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


async def insert_api_key(connection: AsyncConnection, key: ApiKeyRow) -> None:
    """Adds a key."""
    values = {column.name: getattr(key, column.name) for column in api_keys.columns}
    await connection.execute(api_keys.insert().values(**{**values, "tenant_ids": list(key.tenant_ids)}))


async def get_api_key(connection: AsyncConnection, api_key_id: str) -> ApiKeyRow | None:
    """Reads a key by its id."""
    return await _one(connection, api_keys.c.api_key_id == api_key_id)


async def find_prefix(connection: AsyncConnection, prefix: str) -> ApiKeyRow | None:
    """Reads a key by its visible beginning."""
    return await _one(connection, api_keys.c.prefix == prefix)


async def list_api_keys(
    connection: AsyncConnection,
    scope: Scope,
    after: tuple[str, str] | None,
    limit: int,
    only_good_at: datetime | None,
) -> list[ApiKeyRow]:
    """Lists keys by `created_at`, oldest first.

    Args:
        connection: Where to read.
        scope: Only keys that are limited to tenants among these; None means all keys.
        after: `created_at` in ISO form and id of the last one before.
        limit: The most to return.
        only_good_at: Leaves out what is revoked or expired then; None leaves out nothing.
    """
    columns = api_keys.c
    query = sa.select(api_keys).order_by(columns.created_at, columns.api_key_id).limit(limit)
    if scope is not None:
        limited = sa.func.cardinality(columns.tenant_ids) > 0
        query = query.where(limited, columns.tenant_ids.contained_by(sorted(scope)))
    if after is not None:
        last = sa.tuple_(datetime.fromisoformat(after[0]), sa.literal(after[1], columns.api_key_id.type))
        query = query.where(sa.tuple_(columns.created_at, columns.api_key_id) > last)
    if only_good_at is not None:
        query = query.where(
            columns.revoked_at.is_(None), sa.or_(columns.expires_at.is_(None), columns.expires_at > only_good_at)
        )
    return [_row(found) for found in (await connection.execute(query)).mappings()]


async def revoke_api_key(connection: AsyncConnection, api_key_id: str, now: datetime) -> bool:
    """Revokes a key.

    Returns:
        False when it was revoked before.
    """
    columns = api_keys.c
    done = await connection.execute(
        api_keys.update().where(columns.api_key_id == api_key_id, columns.revoked_at.is_(None)).values(revoked_at=now)
    )
    return done.rowcount == 1


async def note_used(connection: AsyncConnection, used: Mapping[str, datetime]) -> None:
    """Writes down when keys were last used."""
    columns = api_keys.c
    for api_key_id, used_at in sorted(used.items()):
        await connection.execute(
            api_keys.update()
            .where(columns.api_key_id == api_key_id, sa.func.coalesce(columns.last_used_at, used_at) <= used_at)
            .values(last_used_at=used_at)
        )


async def known_tenants(connection: AsyncConnection, tenant_ids: frozenset[str]) -> frozenset[str]:
    """Says which of these tenants exist."""
    query = sa.select(tenants.c.tenant_id).where(tenants.c.tenant_id.in_(tenant_ids))
    return frozenset((await connection.execute(query)).scalars())


async def remember_request(
    connection: AsyncConnection, owner: str, request_id: str, digest: bytes, result_id: str, now: datetime
) -> tuple[bytes, str] | None:
    """Remembers a request id; waits for another transaction that remembers the same one.

    Returns:
        None when it is new; digest and result of the request that came before with it otherwise.
    """
    row = {"owner": owner, "request_id": request_id, "digest": digest, "result_id": result_id, "created_at": now}
    done = await connection.execute(insert(request_ids).values(**row).on_conflict_do_nothing())
    if done.rowcount == 1:
        return None
    columns = request_ids.c
    query = sa.select(columns.digest, columns.result_id).where(columns.owner == owner, columns.request_id == request_id)
    before = (await connection.execute(query)).one()
    return before.digest, before.result_id


async def prune_requests(connection: AsyncConnection, now: datetime, keep: timedelta) -> int:
    """Forgets request ids that are older."""
    done = await connection.execute(request_ids.delete().where(request_ids.c.created_at < now - keep))
    return done.rowcount


async def _one(connection: AsyncConnection, condition: sa.ColumnElement[bool]) -> ApiKeyRow | None:
    found = (await connection.execute(sa.select(api_keys).where(condition))).mappings().first()
    return None if found is None else _row(found)


def _row(found: Any) -> ApiKeyRow:
    values = dict(found)
    values["tenant_ids"] = tuple(sorted(values["tenant_ids"]))
    return ApiKeyRow(**values)
