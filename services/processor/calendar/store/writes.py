"""The statements over writes to calendars."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from services.meshkit import db
from services.processor.calendar.write_rows import CONTENTS, UNFINISHED, Kind, State, WriteRow
from services.processor.erased_requests import BY_KEY, IS_SAME
from services.processor.mailbox.store.due_queues import DueQueue

_NAMES = tuple(field.name for field in fields(WriteRow))
_COLUMNS = ", ".join(_NAMES)
_CHANGEABLE = {*_NAMES} - {"content"}
_UNFINISHED = [int(state) for state in UNFINISHED]
DUE = DueQueue("calendar_writes", "SELECT tenant_id, due_at FROM processor.calendar_writes WHERE due_at <= now()")
"""The writes that are due."""
_INSERT = f"""
    INSERT INTO processor.calendar_writes (calendar_write_id, tenant_id, calendar_id, provider_calendar_id,
        idempotency_key, digest, provider, kind, content, state, correlation_id, due_at, deadline_at, key_id,
        calendar_event_id, provider_event_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
    ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
    RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
_INSERTED = (
    "calendar_write_id", "tenant_id", "calendar_id", "provider_calendar_id", "idempotency_key", "digest", "provider",
    "kind", "content", "state", "correlation_id", "due_at", "deadline_at", "key_id", "calendar_event_id",
    "provider_event_id",
)  # fmt: skip
_OVERDUE = f"""
    SELECT {_COLUMNS} FROM processor.calendar_writes w
    WHERE due_at IS NOT NULL AND state = ANY($2::smallint[]) AND (
        deadline_at + $1::interval < now()
        OR EXISTS (SELECT FROM processor.tenants t WHERE t.tenant_id = w.tenant_id AND t.status = 'disconnected'))
    ORDER BY due_at LIMIT 1 FOR UPDATE OF w SKIP LOCKED
"""  # noqa: S608 - constants
_DELETE_OLD = """
    DELETE FROM processor.calendar_writes WHERE calendar_write_id IN (
        SELECT calendar_write_id FROM processor.calendar_writes
        WHERE finished_at < $1 AND state <> $3 ORDER BY finished_at LIMIT $2
    )
"""


async def insert(connection: db.Connection, row: Mapping[str, Any]) -> WriteRow | None:
    """Insert a write. Return None when the tenant has one with this key."""
    stored = {**row, "content": row["content"].SerializeToString(deterministic=True)}
    found = await connection.fetchrow(_INSERT, *(stored[name] for name in _INSERTED))
    return None if found is None else _row(found)


async def by_key(connection: db.Connection, tenant_id: str, key: str, digest: bytes) -> tuple[WriteRow, bool] | None:
    """Read the write with a key, and whether its content has the digest; an erased one is found as well."""
    found = await connection.fetchrow(
        f"SELECT {_COLUMNS}, {IS_SAME} FROM processor.calendar_writes WHERE tenant_id = $1 AND {BY_KEY}",  # noqa: S608
        tenant_id,
        key,
        digest,
    )
    return None if found is None else (_row(found), found["is_same"])


async def by_event(
    connection: db.Connection, event_id: str, key: str, digest: bytes, scope: list[str] | None
) -> tuple[WriteRow, bool] | None:
    """Read the write with a key about an event, which the calendar need not have any more; else as `by_key`."""
    found = await connection.fetchrow(
        f"SELECT {_COLUMNS}, digest IN ($3, processor.erased_digest(tenant_id, $3)) AS is_same"  # noqa: S608
        " FROM processor.calendar_writes WHERE calendar_event_id = $1"
        " AND idempotency_key IN ($2, processor.erased_key(tenant_id, $2))"
        " AND ($4::uuid[] IS NULL OR tenant_id = ANY($4))",
        event_id,
        key,
        digest,
        scope,
    )
    return None if found is None else (_row(found), found["is_same"])


async def by_id(
    connection: db.Connection, write_id: str, scope: list[str] | None, *, lock: bool = False
) -> WriteRow | None:
    """Read a write of a tenant in scope; None scopes mean all tenants."""
    found = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM processor.calendar_writes WHERE calendar_write_id = $1"  # noqa: S608
        f" AND ($2::uuid[] IS NULL OR tenant_id = ANY($2)){' FOR UPDATE' if lock else ''}",
        write_id,
        scope,
    )
    return None if found is None else _row(found)


async def page(
    connection: db.Connection, scope: list[str] | None, states: Sequence[int], before: str | None, limit: int
) -> list[WriteRow]:
    """Read a page of writes, newest first.

    Args:
        connection: A connection.
        scope: The tenants; None means all.
        states: The states; none means all.
        before: The id after which the page begins.
        limit: The largest number of writes.
    """
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.calendar_writes"  # noqa: S608
        " WHERE ($1::uuid[] IS NULL OR tenant_id = ANY($1)) AND ($2::smallint[] IS NULL OR state = ANY($2))"
        " AND ($3::uuid IS NULL OR calendar_write_id < $3) ORDER BY calendar_write_id DESC LIMIT $4",
        scope,
        list(states) or None,
        before,
        limit,
    )
    return [_row(row) for row in rows]


async def count_waiting(connection: db.Connection, tenant_id: str) -> int:
    """Count the writes of a tenant that a worker still has to act on."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM processor.calendar_writes WHERE tenant_id = $1 AND due_at IS NOT NULL", tenant_id
        )
    )


async def due(connection: db.Connection, tenant_id: str, limit: int) -> list[WriteRow]:
    """Read the due writes of a tenant, longest due first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.calendar_writes"  # noqa: S608
        " WHERE tenant_id = $1 AND due_at <= now() ORDER BY due_at, calendar_write_id LIMIT $2",
        tenant_id,
        limit,
    )
    return [_row(row) for row in rows]


async def change(
    connection: db.Connection, write_id: str, expected: State, values: Mapping[str, Any]
) -> WriteRow | None:
    """Change a write that is in the expected state; return None when it is in another."""
    if unknown := set(values) - _CHANGEABLE:
        msg = f"no columns of a write: {sorted(unknown)}"
        raise ValueError(msg)
    assigned = ", ".join(f"{name} = ${place}" for place, name in enumerate(values, start=3))
    found = await connection.fetchrow(
        f"UPDATE processor.calendar_writes SET {assigned} WHERE calendar_write_id = $1 AND state = $2"  # noqa: S608
        f" RETURNING {_COLUMNS}",
        write_id,
        int(expected),
        *values.values(),
    )
    return None if found is None else _row(found)


async def postpone(connection: db.Connection, tenant_id: str, until: datetime, reason: str, detail: str) -> None:
    """Postpone all due writes of a tenant; note why on those that have no outcome yet."""
    await connection.execute(
        "UPDATE processor.calendar_writes SET due_at = $2,"
        " reason = CASE WHEN finished_at IS NULL THEN $3 ELSE reason END,"
        " detail = CASE WHEN finished_at IS NULL THEN $4 ELSE detail END WHERE tenant_id = $1 AND due_at < $2",
        tenant_id,
        until,
        reason,
        detail,
    )


async def put_off(connection: db.Connection, write_id: str, until: datetime) -> WriteRow | None:
    """Postpone a due write after an unhandled failure, and note it on one without an outcome; return the write."""
    found = await connection.fetchrow(
        "UPDATE processor.calendar_writes SET due_at = $2, attempts = attempts + 1,"  # noqa: S608
        " reason = CASE WHEN finished_at IS NULL THEN 'UNEXPECTED' ELSE reason END,"
        " detail = CASE WHEN finished_at IS NULL THEN '' ELSE detail END"
        f" WHERE calendar_write_id = $1 AND due_at IS NOT NULL RETURNING {_COLUMNS}",
        write_id,
        until,
    )
    return None if found is None else _row(found)


async def of_events(connection: db.Connection, tenant_id: str, event_ids: Sequence[str]) -> list[WriteRow]:
    """Read the writes of a tenant that made or changed events."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.calendar_writes"  # noqa: S608
        " WHERE calendar_event_id = ANY($2::uuid[]) AND tenant_id = $1 ORDER BY calendar_write_id",
        tenant_id,
        list(event_ids),
    )
    return [_row(row) for row in rows]


async def read_calendar_soon(connection: db.Connection, calendar_id: str) -> None:
    """Make a followed calendar that reads without failures due now, so that its events tell of a change soon."""
    await connection.execute(
        "UPDATE processor.calendars SET due_at = least(due_at, now())"
        " WHERE calendar_id = $1 AND due_at IS NOT NULL AND failures = 0",
        calendar_id,
    )


async def lock_overdue(connection: db.Connection, grace: timedelta) -> WriteRow | None:
    """Lock a write that is past its deadline by a grace, or of a disconnected tenant; None when there is none."""
    found = await connection.fetchrow(_OVERDUE, grace, _UNFINISHED)
    return None if found is None else _row(found)


async def doubt_all(connection: db.Connection) -> int:
    """Put every write without an outcome in doubt: it is looked up before it is submitted. Return the number.

    An old deadline leaves an hour for the look-up; without it, the write would end unseen.
    """
    return db.affected(
        await connection.execute(
            "UPDATE processor.calendar_writes SET state = $2, submitted_at = coalesce(submitted_at, now()),"
            " due_at = now(), deadline_at = greatest(deadline_at, now() + interval '1 hour')"
            " WHERE state = ANY($1::smallint[])",
            _UNFINISHED,
            int(State.WRITING),
        )
    )


async def delete_finished(connection: db.Connection, before: datetime, limit: int) -> int:
    """Delete writes that had their outcome before a time; return their number. An uncertain one waits for a person."""
    return db.affected(await connection.execute(_DELETE_OLD, before, limit, int(State.UNCERTAIN)))


def _row(found: asyncpg.Record) -> WriteRow:
    values = {name: found[name] for name in _NAMES}
    for name in ("calendar_write_id", "tenant_id", "calendar_id"):
        values[name] = str(values[name])
    event_id, kind = values["calendar_event_id"], Kind(values["kind"])
    values |= {
        "calendar_event_id": None if event_id is None else str(event_id),
        "kind": kind,
        "content": CONTENTS[kind].FromString(values["content"]),
        "state": State(values["state"]),
        "meeting": event_pb2.OnlineMeeting.FromString(values["meeting"]),
    }
    return WriteRow(**values)
