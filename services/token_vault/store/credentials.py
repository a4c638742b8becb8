"""Credentials: tenants with their data keys and sealed tokens, read many at once, and refreshes claimed in bulk."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg

from services.meshkit.db import Connection
from services.token_vault.store.audit import Entry, entry_columns
from services.token_vault.store.data_keys import WrappedKey
from services.token_vault.store.tenants import REFRESH_COLUMNS, TENANT_COLUMNS, TenantRow, tenant_row
from services.token_vault.store.tokens import REFRESHED_STATUSES

IDLE_REFRESH_EVERY = timedelta(hours=23)
"""Tokens that are not lent are refreshed only to keep the refresh token alive."""


@dataclass(frozen=True, slots=True)
class SealedTokens:
    """A tenant's tokens as they are stored, and the claim on their refresh."""

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


_TOKENS = f"""
  k.data_key_id::text AS key_id, k.key_encryption_key_id, k.wrapped, {REFRESH_COLUMNS},
  o.data_key_id::text AS data_key_id, o.access_token, o.refresh_token, o.version,
  o.refresh_owner::text AS refresh_owner, o.refresh_until, o.refresh_failures, o.refresh_not_before
"""
_STAMP = "concat(t.xmin, '.', k.xmin, '.', o.xmin)"
_READ_MANY = f"""
SELECT {TENANT_COLUMNS}, {_TOKENS}, {_STAMP} AS stamp
FROM vault.tenants t
LEFT JOIN vault.tenant_keys k USING (tenant_id)
LEFT JOIN vault.tenant_tokens o USING (tenant_id)
WHERE t.tenant_id = ANY($1::uuid[])
"""  # noqa: S608 - constants only
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
RETURNING audit_entry_id::text AS audit_entry_id
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
SELECT {TENANT_COLUMNS}, {_TOKENS}, '' AS stamp
FROM claimed o JOIN vault.tenants t USING (tenant_id) LEFT JOIN vault.tenant_keys k USING (tenant_id)
ORDER BY o.next_refresh_at
"""  # noqa: S608 - constants only


async def read_many(connection: Connection, tenant_ids: Iterable[str]) -> dict[str, Credential]:
    """Read tenants with their sealed tokens by one statement.

    Returns:
        Credentials by tenant id, without the tenants that do not exist.
    """
    records = await connection.fetch(_READ_MANY, list(set(tenant_ids)))
    return {record["tenant_id"]: _credential(record) for record in records}


async def append_unchanged(connection: Connection, loans: Sequence[tuple[Entry, str]]) -> frozenset[str]:
    """Append the audit entries of loans whose rows are unchanged since the decision, by one statement.

    Args:
        connection: A connection to the database.
        loans: Entries, each with the stamp of the credential.

    Returns:
        The ids of the appended entries; the rows of the others have changed.
    """
    columns = zip(*((*entry_columns(entry), stamp) for entry, stamp in loans), strict=True)
    records = await connection.fetch(_APPEND_UNCHANGED, *(list(column) for column in columns))
    return frozenset(record["audit_entry_id"] for record in records)


async def claim_due(
    connection: Connection, owner: str, now: datetime, lease: timedelta, limit: int
) -> Sequence[Credential]:
    """Claim due refreshes, oldest first, and skip those that other processes claim."""
    idle = now - IDLE_REFRESH_EVERY
    records = await connection.fetch(_CLAIM_DUE, owner, now + lease, now, limit, list(REFRESHED_STATUSES), idle)
    return [_credential(record) for record in records]


def _credential(record: asyncpg.Record) -> Credential:
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
