"""Sealed tokens: reading many at once for lending, claiming a refresh, and storing what came of it.

A refresh is claimed by an owner until a time. Everything that a refresh writes is conditional on the claim and on the
version that it was made for, so whoever lost the claim, or was overtaken by a reconnect, writes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.token_vault.keys.sealing import WrappedKey
from services.token_vault.store.audit import Entry, entry_columns
from services.token_vault.store.tenants import ACTIVE, DISABLED, ERROR, TenantRow, tenant_row
from services.token_vault.tables import tenant_keys, tenant_tokens, tenants


@dataclass(frozen=True, slots=True)
class SealedTokens:
    """A tenant's tokens as they are stored, and who refreshes them."""

    data_key_id: str
    access_token: bytes = field(repr=False)
    refresh_token: bytes = field(repr=False)
    version: int
    refresh_owner: str | None
    refresh_until: datetime | None
    refresh_failures: int
    refresh_not_before: datetime | None


@dataclass(frozen=True, slots=True)
class Credential:
    """A tenant with its key and tokens; these are None once they are destroyed.

    Args:
        stamp: Names the versions of the rows that it was read from: another stamp, other rows.
    """

    tenant: TenantRow
    key: WrappedKey | None
    tokens: SealedTokens | None
    stamp: str


@dataclass(frozen=True)
class NewTokens:
    """What a connect or a refresh stores, sealed."""

    data_key_id: str
    access_token: bytes = field(repr=False)
    refresh_token: bytes = field(repr=False)
    scopes: tuple[str, ...]
    expires_at: datetime
    refresh_expires_at: datetime | None
    refreshed_at: datetime
    next_refresh_at: datetime

    def columns(self) -> dict[str, Any]:
        """The columns that a fresh token sets; what troubled the one before is over."""
        # A refresh does not tell the end of the grant again, a connect does.
        ends = {} if self.refresh_expires_at is None else {"refresh_expires_at": self.refresh_expires_at}
        return ends | {
            "data_key_id": self.data_key_id,
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "scopes": list(self.scopes),
            "expires_at": self.expires_at,
            "last_refreshed_at": self.refreshed_at,
            "next_refresh_at": self.next_refresh_at,
            "refresh_owner": None,
            "refresh_until": None,
            "refresh_failures": 0,
            "refresh_not_before": None,
            "last_refresh_error": "",
        }


_TENANT = """
  t.tenant_id::text AS tenant_id, t.provider, t.external_account, t.external_tenant_id, t.user_id, t.address,
  t.display_name, t.status, t.status_reason, t.status_detail, t.status_changed_at, t.grant_fault, t.probe_failures,
  t.released_at, t.connected_at, t.created_at, t.updated_at
"""
_TOKENS = """
  k.data_key_id::text AS key_id, k.key_encryption_key_id, k.wrapped, o.scopes, o.expires_at, o.last_refreshed_at,
  o.next_refresh_at, o.last_refresh_error, o.data_key_id::text AS data_key_id, o.access_token, o.refresh_token,
  o.version, o.refresh_owner::text AS refresh_owner, o.refresh_until, o.refresh_failures, o.refresh_not_before
"""
_STAMP = "concat(t.xmin, '.', k.xmin, '.', o.xmin)"
_READ_MANY = f"""
SELECT {_TENANT}, {_TOKENS}, {_STAMP} AS stamp
FROM vault.tenants t
LEFT JOIN vault.tenant_keys k USING (tenant_id)
LEFT JOIN vault.tenant_tokens o USING (tenant_id)
WHERE t.tenant_id = ANY($1::uuid[])
"""  # noqa: S608 - constants only

_CLAIM_DUE = f"""
WITH due AS (
  SELECT o.tenant_id FROM vault.tenant_tokens o JOIN vault.tenants t USING (tenant_id)
  WHERE o.next_refresh_at <= $3 AND (o.refresh_until IS NULL OR o.refresh_until < $3)
    AND (o.refresh_not_before IS NULL OR o.refresh_not_before <= $3)
    AND t.status = ANY($5::text[]) AND t.grant_fault = ''
    AND (t.status = 'active' OR o.last_refreshed_at <= $6)
  ORDER BY o.next_refresh_at LIMIT $4
  FOR UPDATE OF o SKIP LOCKED
), claimed AS (
  UPDATE vault.tenant_tokens o SET refresh_owner = $1, refresh_until = $2 FROM due
  WHERE o.tenant_id = due.tenant_id RETURNING o.*
)
SELECT {_TENANT}, {_TOKENS}, '' AS stamp
FROM claimed o JOIN vault.tenants t USING (tenant_id) LEFT JOIN vault.tenant_keys k USING (tenant_id)
ORDER BY o.next_refresh_at
"""  # noqa: S608 - constants only
REFRESHED_STATUSES = (ACTIVE, DISABLED, ERROR)
IDLE_REFRESH_EVERY = timedelta(hours=23)
"""Tokens that are not lent are refreshed only to keep the refresh token alive."""


async def read_many(
    pool: "asyncpg.Pool[asyncpg.Record]", tenant_ids: Iterable[str], wait_seconds: float
) -> dict[str, Credential]:
    """Reads tenants with their sealed tokens by one statement.

    Returns:
        By tenant id. A tenant that does not exist is not in it.
    """
    async with pool.acquire(timeout=wait_seconds) as connection:
        records = await connection.fetch(_READ_MANY, list(set(tenant_ids)))
    return {record["tenant_id"]: _credential(record) for record in records}


_APPEND_UNCHANGED = f"""
INSERT INTO vault.audit_entries
  (audit_entry_id, occurred_at, actor, action, tenant_id, outcome, detail, correlation_id)
SELECT e.audit_entry_id, e.occurred_at, e.actor, e.action, e.tenant_id, e.outcome, e.detail, e.correlation_id
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::jsonb[], $8::text[],
  $9::text[]) AS e (audit_entry_id, occurred_at, actor, action, tenant_id, outcome, detail, correlation_id, stamp)
JOIN vault.tenants t USING (tenant_id)
JOIN vault.tenant_keys k USING (tenant_id)
JOIN vault.tenant_tokens o USING (tenant_id)
WHERE e.stamp = {_STAMP}
RETURNING audit_entry_id::text
"""  # noqa: S608 - constants only


async def append_unchanged(
    pool: "asyncpg.Pool[asyncpg.Record]", loans: Sequence[tuple[Entry, str]], wait_seconds: float
) -> frozenset[str]:
    """Appends audit entries of loans whose rows are still the ones that they were decided by. One statement, committed.

    Args:
        pool: Connections.
        loans: Entries, each with the stamp of the credential.
        wait_seconds: For a connection.

    Returns:
        The ids of the entries that were appended; the others' rows have changed.
    """
    columns = zip(*((*entry_columns(entry), stamp) for entry, stamp in loans), strict=True)
    async with pool.acquire(timeout=wait_seconds) as connection:
        records = await connection.fetch(_APPEND_UNCHANGED, *(list(column) for column in columns))
    return frozenset(record["audit_entry_id"] for record in records)


async def claim_due(
    pool: "asyncpg.Pool[asyncpg.Record]", owner: str, now: datetime, lease: timedelta, limit: int, wait_seconds: float
) -> Sequence[Credential]:
    """Claims refreshes that are due, oldest first. Refreshes that others claim are passed over."""
    async with pool.acquire(timeout=wait_seconds) as connection:
        idle = now - IDLE_REFRESH_EVERY
        records = await connection.fetch(_CLAIM_DUE, owner, now + lease, now, limit, list(REFRESHED_STATUSES), idle)
    return [_credential(record) for record in records]


async def claim(
    connection: AsyncConnection, tenant_id: str, version: int, owner: str, now: datetime, lease: timedelta
) -> bool:
    """Claims the refresh of one tenant's token.

    Returns:
        False when another has claimed it, or the version is not the current one.
    """
    columns = tenant_tokens.c
    is_free = sa.or_(columns.refresh_until.is_(None), columns.refresh_until < now)
    done = await connection.execute(
        tenant_tokens.update()
        .where(columns.tenant_id == tenant_id, columns.version == version, is_free)
        .values(refresh_owner=owner, refresh_until=now + lease)
    )
    return done.rowcount == 1


async def store_refreshed(
    connection: AsyncConnection, tenant_id: str, version: int, owner: str, new: NewTokens
) -> bool:
    """Stores what a refresh gave.

    Returns:
        False when the claim was lost; nothing is written then.
    """
    done = await connection.execute(
        tenant_tokens.update().where(_claimed(tenant_id, version, owner)).values(version=version + 1, **new.columns())
    )
    return done.rowcount == 1


async def end_claim(connection: AsyncConnection, tenant_id: str, version: int, owner: str, **values: Any) -> bool:
    """Gives a claim back without new tokens.

    Args:
        connection: Where to write.
        tenant_id: Whose.
        version: As it was claimed.
        owner: Who claimed it.
        values: Columns that tell of the failure.

    Returns:
        False when the claim was lost; nothing is written then.
    """
    done = await connection.execute(
        tenant_tokens.update()
        .where(_claimed(tenant_id, version, owner))
        .values(refresh_owner=None, refresh_until=None, **values)
    )
    return done.rowcount == 1


async def was_limited_in_time(connection: AsyncConnection, tenant_id: str) -> bool:
    """Tells whether the provider gave the grant an end from the beginning."""
    query = sa.select(tenant_tokens.c.refresh_expires_at).where(tenant_tokens.c.tenant_id == tenant_id)
    return (await connection.execute(query)).scalar_one_or_none() is not None


async def put_tokens(connection: AsyncConnection, tenant_id: str, new: NewTokens) -> None:
    """Stores the tokens of a connect. A refresh that runs for the ones before can no longer write."""
    await connection.execute(
        sa.dialects.postgresql.insert(tenant_tokens)
        .values(tenant_id=tenant_id, token_type="delegated", **new.columns())  # noqa: S106 - a kind, not a token
        .on_conflict_do_update(
            index_elements=["tenant_id"],
            set_={
                **new.columns(),
                "refresh_expires_at": new.refresh_expires_at,
                "version": tenant_tokens.c.version + 1,
            },
        )
    )


async def get_key(connection: AsyncConnection, tenant_id: str) -> WrappedKey | None:
    """Reads a tenant's data key, wrapped."""
    found = (await connection.execute(sa.select(tenant_keys).where(tenant_keys.c.tenant_id == tenant_id))).first()
    return (
        None
        if found is None
        else WrappedKey(found.tenant_id, found.data_key_id, found.key_encryption_key_id, found.wrapped)
    )


async def insert_key(connection: AsyncConnection, key: WrappedKey) -> None:
    """Adds a tenant's data key."""
    await connection.execute(
        tenant_keys.insert().values(
            tenant_id=key.tenant_id,
            data_key_id=key.data_key_id,
            key_encryption_key_id=key.key_encryption_key_id,
            wrapped=key.wrapped,
        )
    )


async def destroy(connection: AsyncConnection, tenant_id: str) -> None:
    """Deletes a tenant's tokens and its data key. Safe to call again."""
    await connection.execute(tenant_tokens.delete().where(tenant_tokens.c.tenant_id == tenant_id))
    await connection.execute(tenant_keys.delete().where(tenant_keys.c.tenant_id == tenant_id))


async def oldest_due(connection: AsyncConnection, now: datetime) -> datetime | None:
    """Since when the oldest refresh has been due, None when none is."""
    query = (
        sa.select(sa.func.min(tenant_tokens.c.next_refresh_at))
        .join(tenants, tenants.c.tenant_id == tenant_tokens.c.tenant_id)
        .where(
            tenants.c.status.in_(REFRESHED_STATUSES),
            tenants.c.grant_fault == "",
            tenant_tokens.c.next_refresh_at <= now,
        )
    )
    since: datetime | None = (await connection.execute(query)).scalar_one()
    return since


def _claimed(tenant_id: str, version: int, owner: str) -> sa.ColumnElement[bool]:
    columns = tenant_tokens.c
    return sa.and_(columns.tenant_id == tenant_id, columns.version == version, columns.refresh_owner == owner)


def _credential(record: Any) -> Credential:
    row = tenant_row(record)
    key, tokens = None, None
    if record["key_id"] is not None:
        key = WrappedKey(row.tenant_id, record["key_id"], record["key_encryption_key_id"], record["wrapped"])
    if record["access_token"] is not None:
        tokens = SealedTokens(
            record["data_key_id"],
            record["access_token"],
            record["refresh_token"],
            record["version"],
            record["refresh_owner"],
            record["refresh_until"],
            record["refresh_failures"],
            record["refresh_not_before"],
        )
    return Credential(row, key, tokens, record["stamp"])
