"""The statements over erasures of tenants."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from services.meshkit import db
from services.token_vault.store.tenants import Scope

_COLUMNS = """
    e.tenant_id::text AS tenant_id, e.requested_at, e.finished_at, e.backups_forget_at, e.parts, e.report, e.signature,
    e.certificate, t.status
"""
_SELECT = f"SELECT {_COLUMNS} FROM vault.erasures e LEFT JOIN vault.tenants t USING (tenant_id)"  # noqa: S608 - constants
_INSERT = """
    INSERT INTO vault.erasures (tenant_id, requested_at, confirmed_at) VALUES ($1, $2, $2) ON CONFLICT DO NOTHING
"""
# The row of a disconnected tenant never matches its account again: a new consent makes a new tenant. Until then it
# matches, and refuses the consent: Google revokes all grants of an account at once, and ends all its watches.
_UNBIND = """
    UPDATE vault.tenants t SET external_account = 'erased ' || t.tenant_id
    WHERE t.tenant_id = $1 AND t.status = 'disconnected'
        AND EXISTS (SELECT FROM vault.erasures e WHERE e.tenant_id = t.tenant_id)
"""
_PENDING = f"""
    {_SELECT} WHERE e.finished_at IS NULL AND t.status = 'disconnected' AND NOT e.parts ? $1
        AND ($2 = '' OR (e.parts ? $2 AND e.confirmed_at < $3))
    ORDER BY e.requested_at LIMIT $4
"""
_CONFIRM = """
    UPDATE vault.erasures SET parts = parts || jsonb_build_object($2::text, $3::text::jsonb), confirmed_at = $4
    WHERE tenant_id = $1 AND NOT parts ? $2
"""
_READY = f"{_SELECT} WHERE e.finished_at IS NULL AND e.parts ?& $1::text[] ORDER BY e.requested_at LIMIT $2"
_FINISH = """
    UPDATE vault.erasures SET finished_at = $2, backups_forget_at = $3, report = $4, signature = $5, certificate = $6
    WHERE tenant_id = $1 AND finished_at IS NULL
"""


@dataclass(frozen=True)
class ErasureRow:
    """An erasure.

    Args:
        tenant_id: The tenant's UUID.
        requested_at: The time of the request.
        finished_at: The time of its end, or None.
        backups_forget_at: The time when no backup holds the tenant any more, or None before the end.
        parts: The removed rows by service and table.
        report: The signed report; empty before the end.
        signature: Its signature, base64.
        certificate: The certificate of the signature's key, PEM.
        status: The tenant's status; None when its row is removed.
    """

    tenant_id: str
    requested_at: datetime
    finished_at: datetime | None
    backups_forget_at: datetime | None
    parts: Mapping[str, Mapping[str, int]]
    report: str
    signature: str
    certificate: str
    status: str | None


async def begin(connection: db.Connection, tenant_id: str, at: datetime) -> None:
    """Begin an erasure, and separate the tenant from its account if it is disconnected. Safe to call again."""
    await connection.execute(_INSERT, tenant_id, at)
    await separate(connection, tenant_id)


async def separate(connection: db.Connection, tenant_id: str) -> None:
    """Separate a disconnected tenant that is being erased from its account. Changes no other. Safe to call again."""
    await connection.execute(_UNBIND, tenant_id)


async def find(connection: db.Connection, tenant_id: str, scope: Scope) -> ErasureRow | None:
    """Read the erasure of a tenant in scope."""
    if scope is not None and tenant_id not in scope:
        return None
    found = await connection.fetchrow(f"{_SELECT} WHERE e.tenant_id = $1", tenant_id)
    return None if found is None else _row(found)


async def pending(connection: db.Connection, service: str, after: str, before: datetime, limit: int) -> list[str]:
    """List the disconnected tenants that a service has not erased.

    Args:
        connection: A connection.
        service: The service.
        after: The service that has to be done first; empty for none.
        before: The latest time of that one's confirmation.
        limit: The largest number of tenants.
    """
    return [row["tenant_id"] for row in await connection.fetch(_PENDING, service, after, before, limit)]


async def confirm(
    connection: db.Connection, tenant_id: str, service: str, removed: Mapping[str, int], at: datetime
) -> None:
    """Store what a service has removed. The first confirmation counts; safe to call again."""
    await connection.execute(_CONFIRM, tenant_id, service, json.dumps(dict(removed)), at)


async def ready(connection: db.Connection, services: list[str], limit: int) -> list[ErasureRow]:
    """Read the erasures that all services have confirmed and that are not finished."""
    return [_row(found) for found in await connection.fetch(_READY, services, limit)]


async def finish(
    connection: db.Connection, tenant_id: str, at: datetime, kept: timedelta, report: str, signed: tuple[str, str]
) -> bool:
    """Store the signed report, unless one is stored; return whether this call did. Safe to call again."""
    return bool(db.affected(await connection.execute(_FINISH, tenant_id, at, at + kept, report, *signed)))


def _row(found: asyncpg.Record) -> ErasureRow:
    return ErasureRow(**{**dict(found), "parts": json.loads(found["parts"])})
