"""The statements over modifications."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import asyncpg

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.meshkit import db
from services.processor.erased_requests import BY_KEY, IS_SAME
from services.processor.mailbox.store.due_queues import DueQueue
from services.processor.messages.rows import ModificationRow, State

_NAMES = tuple(field.name for field in fields(ModificationRow))
_COLUMNS = ", ".join(_NAMES)
_CHANGEABLE = {"state", "outcomes", "reason", "detail", "due_at", "finished_at", "attempts"}
_INSERT = f"""
    INSERT INTO processor.modifications (modification_id, tenant_id, idempotency_key, digest, provider, content, state,
        outcomes, correlation_id, due_at, deadline_at, key_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
    RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
DUE = DueQueue("modifications", "SELECT tenant_id, due_at FROM processor.modifications WHERE due_at <= now()")
"""The modifications that are due."""
_OVERDUE = f"""
    SELECT {_COLUMNS} FROM processor.modifications d
    WHERE due_at IS NOT NULL AND (deadline_at < $1 OR EXISTS (
        SELECT FROM processor.tenants t WHERE t.tenant_id = d.tenant_id AND t.status = 'disconnected'))
    ORDER BY due_at LIMIT $2 FOR UPDATE OF d SKIP LOCKED
"""  # noqa: S608 - constants
_EARLIER = f"""
    SELECT {_COLUMNS} FROM processor.modifications
    WHERE tenant_id = $1 AND due_at IS NOT NULL AND modification_id < $2 ORDER BY modification_id
"""  # noqa: S608 - constants
_AT_ONCE = 4
_DELETE_OLD = """
    DELETE FROM processor.modifications WHERE modification_id IN (
        SELECT modification_id FROM processor.modifications WHERE finished_at < $1 ORDER BY finished_at LIMIT $2
    )
"""


async def insert(connection: db.Connection, row: Mapping[str, Any]) -> ModificationRow | None:
    """Insert a modification. Return None when the tenant has one with this key."""
    names = ("modification_id", "tenant_id", "idempotency_key", "digest", "provider", "content", "state", "outcomes")
    values = [row[name] for name in (*names, "correlation_id", "due_at", "deadline_at", "key_id")]
    found = await connection.fetchrow(_INSERT, *values)
    return None if found is None else _row(found)


async def by_key(
    connection: db.Connection, tenant_id: str, key: str, digest: bytes
) -> tuple[ModificationRow, bool] | None:
    """Read the modification with a key, and whether its content has the digest; an erased one is found as well."""
    found = await connection.fetchrow(
        f"SELECT {_COLUMNS}, {IS_SAME} FROM processor.modifications WHERE tenant_id = $1 AND {BY_KEY}",  # noqa: S608
        tenant_id,
        key,
        digest,
    )
    return None if found is None else (_row(found), found["is_same"])


async def by_id(connection: db.Connection, modification_id: str, scope: list[str] | None) -> ModificationRow | None:
    """Read a modification of a tenant in scope; None scopes mean all tenants."""
    found = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM processor.modifications WHERE modification_id = $1"  # noqa: S608
        " AND ($2::uuid[] IS NULL OR tenant_id = ANY($2))",
        modification_id,
        scope,
    )
    return None if found is None else _row(found)


async def count_waiting(connection: db.Connection, tenant_id: str) -> int:
    """Count the unfinished modifications of a tenant."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM processor.modifications WHERE tenant_id = $1 AND due_at IS NOT NULL", tenant_id
        )
    )


async def is_pending(connection: db.Connection, modification_id: str) -> bool:
    """Tell whether a modification is unfinished, and lock it: no other process ends it within this transaction."""
    found = await connection.fetchval(
        "SELECT true FROM processor.modifications WHERE modification_id = $1 AND state = $2 FOR UPDATE",
        modification_id,
        int(State.PENDING),
    )
    return bool(found)


async def change(connection: db.Connection, modification_id: str, values: Mapping[str, Any]) -> ModificationRow | None:
    """Change an unfinished modification; return None when it is finished."""
    unknown = set(values) - _CHANGEABLE
    if unknown:
        msg = f"no columns of a modification: {sorted(unknown)}"
        raise ValueError(msg)
    assigned = ", ".join(f"{name} = ${place}" for place, name in enumerate(values, start=3))
    found = await connection.fetchrow(
        f"UPDATE processor.modifications SET {assigned} WHERE modification_id = $1 AND state = $2"  # noqa: S608
        f" RETURNING {_COLUMNS}",
        modification_id,
        int(State.PENDING),
        *values.values(),
    )
    return None if found is None else _row(found)


async def due(connection: db.Connection, tenant_id: str, limit: int) -> list[ModificationRow]:
    """Read the due modifications of one tenant, in the order in which callers asked for them."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.modifications"  # noqa: S608
        " WHERE tenant_id = $1 AND due_at <= now() ORDER BY modification_id LIMIT $2",
        tenant_id,
        limit,
    )
    return [_row(row) for row in rows]


async def earlier(
    connection: db.Connection, row: ModificationRow, message_ids: Collection[str]
) -> tuple[set[str], datetime | None]:
    """Find the mails that an earlier unfinished modification of the tenant changes as well, and when that is due.

    Args:
        connection: A connection in a transaction: contents are large, and are read a few at a time.
        row: The modification that would be made.
        message_ids: Its mails.

    Returns:
        Those of the mails that wait for their turn, and the latest time at which one of the earlier ones is due.
    """
    held: set[str] = set()
    due_at: datetime | None = None
    async for found in connection.cursor(_EARLIER, row.tenant_id, row.modification_id, prefetch=_AT_ONCE):
        common = _row(found).pending_of(message_ids)
        if common:
            held |= common
            due_at = max(found["due_at"], due_at or found["due_at"])
    return held, due_at


async def postpone(connection: db.Connection, tenant_id: str, until: datetime, reason: str, detail: str) -> None:
    """Postpone all due modifications of one tenant, and note why."""
    await connection.execute(
        "UPDATE processor.modifications SET due_at = $2, reason = $3, detail = $4 WHERE tenant_id = $1 AND due_at < $2",
        tenant_id,
        until,
        reason,
        detail,
    )


async def lock_overdue(connection: db.Connection, before: datetime, limit: int) -> list[ModificationRow]:
    """Lock modifications with a deadline before a time, and those of disconnected tenants."""
    return [_row(row) for row in await connection.fetch(_OVERDUE, before, limit)]


async def delete_finished(connection: db.Connection, before: datetime, limit: int) -> int:
    """Delete modifications that were finished before a time; return their number."""
    return db.affected(await connection.execute(_DELETE_OLD, before, limit))


def _row(found: asyncpg.Record) -> ModificationRow:
    values = {name: found[name] for name in _NAMES}
    values |= {
        "modification_id": str(values["modification_id"]),
        "tenant_id": str(values["tenant_id"]),
        "content": pb2.ModifyMessagesRequest.FromString(values["content"]),
        "state": State(values["state"]),
    }
    return ModificationRow(**values)
