"""The statements over erasures of persons."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from services.meshkit import db
from services.meshkit.ids import new_id
from services.token_vault.store.tenants import Scope

_SELECT = """
    SELECT erasure_id::text AS erasure_id, tenant_id::text AS tenant_id, address, address_digest, digest_key,
        requested_at, finished_at, cancelled_at, backups_forget_at, parts, progress, report, signature, certificate
    FROM vault.person_erasures
"""
_INSERT = """
    INSERT INTO vault.person_erasures
        (erasure_id, tenant_id, address, address_digest, digest_key, requested_at, confirmed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT DO NOTHING
"""
_RUNNING = f"{_SELECT} WHERE tenant_id = $1 AND address = $2 AND finished_at IS NULL"
_FOUND = f"{_SELECT} WHERE erasure_id = $1 AND tenant_id = $2"
_PENDING = f"{_SELECT} WHERE finished_at IS NULL AND NOT parts ? $1 ORDER BY requested_at LIMIT $2"
_DUE = """
    SELECT erasure_id::text FROM vault.person_erasures
    WHERE finished_at IS NULL AND NOT parts ? $1 AND ($2 = '' OR (parts ? $2 AND confirmed_at < $3))
    ORDER BY requested_at LIMIT $4
"""
_NOTE = """
    UPDATE vault.person_erasures SET progress = progress || jsonb_build_object($2::text, $3::text::jsonb)
    WHERE erasure_id = $1 AND finished_at IS NULL AND NOT parts ? $2
"""
_CONFIRM = """
    UPDATE vault.person_erasures SET parts = parts || jsonb_build_object($2::text, $3::text::jsonb), confirmed_at = $4
    WHERE erasure_id = $1 AND finished_at IS NULL AND NOT parts ? $2
"""
_FORGET = "UPDATE vault.person_erasures SET address = '' WHERE erasure_id = $1"
_CANCEL = """
    UPDATE vault.person_erasures SET finished_at = $2, cancelled_at = $2, address = '', digest_key = ''
    WHERE erasure_id = $1 AND finished_at IS NULL AND address <> ''
"""
_READY = f"{_SELECT} WHERE finished_at IS NULL AND parts ?& $1::text[] ORDER BY requested_at LIMIT $2"
_FINISH = """
    UPDATE vault.person_erasures SET finished_at = $2, backups_forget_at = $3, report = $4,
        signature = $5, certificate = $6, digest_key = ''
    WHERE erasure_id = $1 AND finished_at IS NULL
"""


@dataclass(frozen=True)
class PersonErasureRow:
    """An erasure of a person.

    Args:
        erasure_id: Its UUID.
        tenant_id: The tenant's UUID.
        address: The address; empty once all services have removed it.
        address_digest: The HMAC-SHA-256 of the address, hexadecimal.
        digest_key: Its key, hexadecimal; empty at the end.
        requested_at: The time of the request.
        finished_at: The time of its end, or None.
        cancelled_at: The time when it was cancelled, or None.
        backups_forget_at: The time when no backup holds the address any more, or None before the end.
        parts: The removed and rewritten rows by service and table, of the services that are done.
        progress: The progress by service, as `Noted` has it.
        report: The signed report; empty before the end.
        signature: Its signature, base64.
        certificate: The certificate of the signature's key, PEM.
    """

    erasure_id: str
    tenant_id: str
    address: str
    address_digest: str
    digest_key: str
    requested_at: datetime
    finished_at: datetime | None
    cancelled_at: datetime | None
    backups_forget_at: datetime | None
    parts: Mapping[str, Mapping[str, int]]
    progress: Mapping[str, Mapping[str, Any]]
    report: str
    signature: str
    certificate: str


async def begin(
    connection: db.Connection, tenant_id: str, address: str, digest: str, key: str, at: datetime
) -> tuple[PersonErasureRow, bool]:
    """Begin an erasure, unless one of the address runs; return the running one, and whether it is new.

    The caller has the tenant's row locked.
    """
    added = db.affected(await connection.execute(_INSERT, new_id(), tenant_id, address, digest, key, at))
    (running,) = await connection.fetch(_RUNNING, tenant_id, address)
    return _row(running), bool(added)


async def find(connection: db.Connection, tenant_id: str, erasure_id: str, scope: Scope) -> PersonErasureRow | None:
    """Read an erasure of a tenant in scope."""
    if scope is not None and tenant_id not in scope:
        return None
    found = await connection.fetchrow(_FOUND, erasure_id, tenant_id)
    return None if found is None else _row(found)


async def pending(
    connection: db.Connection, service: str, after: str, before: datetime, limit: int
) -> tuple[list[PersonErasureRow], frozenset[str]]:
    """List the erasures that a service has not done, and the ids of those that it may begin; see `erasures.pending`."""
    rows = [_row(found) for found in await connection.fetch(_PENDING, service, limit)]
    due = await connection.fetch(_DUE, service, after, before, limit)
    return rows, frozenset(row["erasure_id"] for row in due)


async def note(connection: db.Connection, erasure_id: str, service: str, noted: Mapping[str, Any]) -> None:
    """Store the progress of a service: `cutOffAt`, `table`, `rowsChecked`, `removed`. Safe to call again."""
    await connection.execute(_NOTE, erasure_id, service, json.dumps(dict(noted)))


async def confirm(
    connection: db.Connection, erasure_id: str, service: str, removed: Mapping[str, int], at: datetime
) -> None:
    """Store what a service has removed. The first confirmation counts; safe to call again."""
    await connection.execute(_CONFIRM, erasure_id, service, json.dumps(dict(removed)), at)


async def cancel(connection: db.Connection, erasure_id: str, at: datetime) -> bool:
    """Cancel an erasure and forget the address; return False when it has ended, or every service has done its part."""
    return bool(db.affected(await connection.execute(_CANCEL, erasure_id, at)))


async def forget(connection: db.Connection, erasure_id: str) -> None:
    """Forget the address. Safe to call again."""
    await connection.execute(_FORGET, erasure_id)


async def ready(connection: db.Connection, services: list[str], limit: int) -> list[PersonErasureRow]:
    """Read the erasures that all services have confirmed and that are not finished."""
    return [_row(found) for found in await connection.fetch(_READY, services, limit)]


async def finish(
    connection: db.Connection, erasure_id: str, at: datetime, kept: timedelta, report: str, signed: tuple[str, str]
) -> bool:
    """Store the signed report, unless one is stored; return whether this call did. Safe to call again."""
    return bool(db.affected(await connection.execute(_FINISH, erasure_id, at, at + kept, report, *signed)))


def _row(found: asyncpg.Record) -> PersonErasureRow:
    parsed = {name: json.loads(found[name]) for name in ("parts", "progress")}
    return PersonErasureRow(**{**dict(found), **parsed})
