"""The statements over attempts, and over what is kept for a time only."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime

from services.delivery.store.rows import AttemptRow
from services.meshkit import db

_NAMES = tuple(field.name for field in fields(AttemptRow))
_COLUMNS = ", ".join(_NAMES)
_INSERT = f"""
    INSERT INTO delivery.attempts (endpoint_id, {_COLUMNS})
    SELECT $1, a.* FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::integer[], $7::timestamptz[],
        $8::integer[], $9::boolean[], $10::integer[], $11::text[], $12::bytea[], $13::timestamptz[]) AS a
    ON CONFLICT (attempt_id) DO NOTHING
"""  # noqa: S608 - constants
_PAGE = f"""
    SELECT {_COLUMNS} FROM delivery.attempts
    WHERE endpoint_id = $1 AND ($2::uuid IS NULL OR attempt_id < $2) {{}}
    ORDER BY attempt_id DESC LIMIT $3
"""  # noqa: S608 - constants
_OLD = """
    DELETE FROM delivery.attempts WHERE attempt_id IN (
        SELECT attempt_id FROM delivery.attempts WHERE started_at < $1 ORDER BY started_at LIMIT $2)
"""
_OLD_EXHAUSTED = """
    DELETE FROM delivery.deliveries WHERE (endpoint_id, event_id) IN (
        SELECT endpoint_id, event_id FROM delivery.deliveries WHERE exhausted_at < $1 ORDER BY exhausted_at LIMIT $2)
"""
_OF_OTHERS = (
    "DELETE FROM delivery.deliveries WHERE endpoint_id = $1 AND tenant_id <> ALL($2::uuid[])",
    "DELETE FROM delivery.attempts WHERE endpoint_id = $1 AND tenant_id <> ALL($2::uuid[])",
)
_DELETED = "SELECT endpoint_id FROM delivery.endpoints WHERE deleted_at IS NOT NULL ORDER BY deleted_at LIMIT 1"
_OF_DELETED = (
    """
    DELETE FROM delivery.attempts WHERE attempt_id IN (
        SELECT attempt_id FROM delivery.attempts WHERE endpoint_id = $1 LIMIT $2)
    """,
    """
    DELETE FROM delivery.deliveries WHERE endpoint_id = $1 AND event_id IN (
        SELECT event_id FROM delivery.deliveries WHERE endpoint_id = $1 LIMIT $2)
    """,
)


async def insert(connection: db.Connection, endpoint_id: str, rows: Sequence[AttemptRow]) -> None:
    """Keep attempts. Safe to call again: a commit whose answer was lost is repeated."""
    await connection.execute(_INSERT, endpoint_id, *([getattr(row, name) for row in rows] for name in _NAMES))


async def page(
    connection: db.Connection, endpoint_id: str, event_id: str, before: str | None, limit: int
) -> list[AttemptRow]:
    """Read a page of an endpoint's attempts, newest first; an empty event means all."""
    chosen = "AND event_id = $4" if event_id else ""
    more = (event_id,) if event_id else ()
    found = await connection.fetch(_PAGE.format(chosen), endpoint_id, before, limit, *more)
    return [
        AttemptRow(**{**one, **{name: str(one[name]) for name in ("attempt_id", "event_id", "tenant_id")}})
        for one in map(dict, found)
    ]


async def event_of(connection: db.Connection, endpoint_id: str, attempt_id: str) -> str | None:
    """Read the event of an attempt; None when the endpoint has no such attempt."""
    found = await connection.fetchval(
        "SELECT event_id FROM delivery.attempts WHERE endpoint_id = $1 AND attempt_id = $2", endpoint_id, attempt_id
    )
    return None if found is None else str(found)


async def delete_of_others(connection: db.Connection, endpoint_id: str, tenant_ids: Sequence[str]) -> None:
    """Delete the deliveries and attempts of an endpoint that belong to other tenants than these."""
    for statement in _OF_OTHERS:
        await connection.execute(statement, endpoint_id, tenant_ids)


async def delete_old(connection: db.Connection, before: datetime, limit: int) -> int:
    """Delete attempts and exhausted deliveries from before a time; return their number."""
    gone = [await connection.execute(statement, before, limit) for statement in (_OLD, _OLD_EXHAUSTED)]
    return sum(map(db.affected, gone))


async def delete_of_deleted(connection: db.Connection, limit: int) -> int:
    """Delete what is left of one deleted endpoint, the endpoint itself last; return the number of rows."""
    endpoint_id = await connection.fetchval(_DELETED)
    if endpoint_id is None:
        return 0
    gone = sum([db.affected(await connection.execute(statement, endpoint_id, limit)) for statement in _OF_DELETED])
    if not gone:
        await connection.execute("DELETE FROM delivery.endpoints WHERE endpoint_id = $1", endpoint_id)
    return gone + 1
