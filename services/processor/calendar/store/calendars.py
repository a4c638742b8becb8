"""The statements over calendars and lists of calendars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from mailmesh.calendar.v1 import calendar_pb2 as pb2
from mailmesh.ingest.v1 import inbox_service_pb2 as inbox_pb2
from services.meshkit import db
from services.meshkit.ids import new_id
from services.processor.calendar.rows import IN_USE, CalendarRow, Phase, State
from services.processor.mailbox.store.due_queues import DueQueue

_NAMES = tuple(field.name for field in fields(CalendarRow))
_UNREAD = """(SELECT count(*)::int FROM (SELECT FROM processor.calendar_unread u
    WHERE u.calendar_id = calendars.calendar_id LIMIT 1000) AS rows) AS unread"""
_COLUMNS = ", ".join(_UNREAD if name == "unread" else name for name in _NAMES)
_DELIVERED = """
    UPDATE processor.calendars c
    SET is_pushed = shown.is_pushed, poll_reason = shown.reason, poll_detail = shown.detail
    FROM unnest($2::uuid[], $3::boolean[], $4::text[], $5::text[]) AS shown (calendar_id, is_pushed, reason, detail)
    WHERE c.tenant_id = $1 AND c.calendar_id = shown.calendar_id
        AND (c.is_pushed, c.poll_reason, c.poll_detail) IS DISTINCT FROM (shown.is_pushed, shown.reason, shown.detail)
"""
DUE = DueQueue(
    "calendars",
    """
    SELECT tenant_id, due_at FROM processor.calendars WHERE due_at <= now()
    UNION ALL
    SELECT tenant_id, due_at FROM processor.calendar_lists WHERE due_at <= now()
    """,
)
"""The followed calendars, and the lists of accounts, that are due."""


@dataclass(frozen=True)
class ListRow:
    """The list of a tenant's calendars.

    Args:
        tenant_id: The tenant.
        due_at: When a worker reads it next, or None.
        read_at: When it was last read, or None.
        failures: The failed readings in a row.
        reason: The reason of the last failure; empty after a success.
        detail: A sentence about it.
    """

    tenant_id: str
    due_at: datetime | None
    read_at: datetime | None
    failures: int
    reason: str
    detail: str


async def due(connection: db.Connection, tenant_id: str, limit: int) -> list[CalendarRow]:
    """Read the due calendars of a tenant, longest due first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.calendars"  # noqa: S608
        " WHERE tenant_id = $1 AND due_at <= now() ORDER BY due_at, calendar_id LIMIT $2",
        tenant_id,
        limit,
    )
    return [_row(row) for row in rows]


async def is_any_followed(connection: db.Connection, tenant_id: str) -> bool:
    """Return whether a worker reads any calendar of a tenant."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM processor.calendars WHERE tenant_id = $1 AND state = ANY($2::smallint[]))",
            tenant_id,
            [int(state) for state in IN_USE],
        )
    )


async def followed(connection: db.Connection, tenant_id: str, limit: int) -> list[CalendarRow]:
    """Read the calendars of a tenant that a worker reads, in the order of their ids."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.calendars"  # noqa: S608
        " WHERE tenant_id = $1 AND state = ANY($2::smallint[]) ORDER BY calendar_id LIMIT $3",
        tenant_id,
        [int(state) for state in IN_USE],
        limit,
    )
    return [_row(row) for row in rows]


async def followed_after(connection: db.Connection, after: str, limit: int) -> list[CalendarRow]:
    """Read followed calendars of all tenants behind an id, in the order of their ids; empty reads the first ones."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.calendars"  # noqa: S608
        " WHERE state = $1 AND phase <> $2 AND ($3 = '' OR calendar_id > NULLIF($3, '')::uuid)"
        " ORDER BY calendar_id LIMIT $4",
        int(State.FOLLOWED),
        int(Phase.CLEAR),
        after,
        limit,
    )
    return [_row(row) for row in rows]


async def make_due(
    connection: db.Connection, tenant_id: str, calendar_ids: Sequence[str], now: datetime, pause: timedelta
) -> None:
    """Make followed calendars due, because their provider pushed. Safe to call again.

    Args:
        connection: In a transaction.
        tenant_id: The tenant.
        calendar_ids: The calendars. One whose last reading failed keeps its time, which respects the provider's wishes.
        now: The time.
        pause: The shortest time since the last reading.
    """
    await connection.execute(
        "UPDATE processor.calendars SET due_at = LEAST(due_at, GREATEST($3, synced_at + $4::interval))"
        " WHERE tenant_id = $1 AND calendar_id = ANY($2::uuid[]) AND due_at IS NOT NULL AND reason = ''",
        tenant_id,
        list(calendar_ids),
        now,
        pause,
    )


async def delivered(
    connection: db.Connection, tenant_id: str, deliveries: Sequence[inbox_pb2.CalendarDelivery]
) -> None:
    """Store how the changes of a tenant's followed calendars arrive. Safe to call again."""
    await connection.execute(
        _DELIVERED,
        tenant_id,
        [one.calendar_id for one in deliveries],
        [one.is_pushed for one in deliveries],
        [one.reason for one in deliveries],
        [one.detail for one in deliveries],
    )


async def list_of(connection: db.Connection, tenant_id: str) -> ListRow | None:
    """Read the state of a tenant's list; None before the first request."""
    row = await connection.fetchrow(
        "SELECT tenant_id, due_at, read_at, failures, reason, detail"
        " FROM processor.calendar_lists WHERE tenant_id = $1",
        tenant_id,
    )
    return None if row is None else ListRow(**{**dict(row), "tenant_id": str(row["tenant_id"])})


async def request_list(connection: db.Connection, tenant_id: str) -> None:
    """Make a tenant's list due now. Safe to call again."""
    await connection.execute(
        "INSERT INTO processor.calendar_lists AS l (tenant_id, due_at) VALUES ($1, now())"
        " ON CONFLICT (tenant_id) DO UPDATE SET due_at = LEAST(coalesce(l.due_at, now()), now())",
        tenant_id,
    )


async def list_read(connection: db.Connection, tenant_id: str, at: datetime, due_at: datetime | None) -> None:
    """Store that a list was read."""
    await connection.execute(
        "UPDATE processor.calendar_lists SET read_at = $2, due_at = $3, failures = 0, reason = '', detail = ''"
        " WHERE tenant_id = $1",
        tenant_id,
        at,
        due_at,
    )


async def list_failed(connection: db.Connection, tenant_id: str, until: datetime, reason: str, detail: str) -> None:
    """Postpone a tenant's list, and note why."""
    await connection.execute(
        "UPDATE processor.calendar_lists SET due_at = $2, failures = failures + 1, reason = $3, detail = $4"
        " WHERE tenant_id = $1",
        tenant_id,
        until,
        reason,
        detail,
    )


async def postpone_all(connection: db.Connection, tenant_id: str, until: datetime, reason: str, detail: str) -> None:
    """Postpone what is due of a tenant, and note why."""
    for table in ("calendars", "calendar_lists"):
        await connection.execute(
            f"UPDATE processor.{table} SET due_at = $2, reason = $3, detail = $4"  # noqa: S608
            " WHERE tenant_id = $1 AND due_at < $2",
            tenant_id,
            until,
            reason,
            detail,
        )


async def save_list(connection: db.Connection, tenant_id: str, found: Sequence[pb2.Calendar]) -> list[CalendarRow]:
    """Store a list that was read; return the calendars that it does not have any more and that a worker reads."""
    await connection.execute("UPDATE processor.calendars SET is_listed = false WHERE tenant_id = $1", tenant_id)
    await connection.executemany(
        """
        INSERT INTO processor.calendars AS c (calendar_id, tenant_id, provider_calendar_id, info, state)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (tenant_id, provider_calendar_id) DO UPDATE SET info = excluded.info, is_listed = true
        """,
        [
            (new_id(), tenant_id, one.provider_calendar_id, one.SerializeToString(deterministic=True), State.AVAILABLE)
            for one in found
        ],
    )
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.calendars"  # noqa: S608
        " WHERE tenant_id = $1 AND NOT is_listed AND state = ANY($2::smallint[])",
        tenant_id,
        [int(state) for state in IN_USE],
    )
    return [_row(row) for row in rows]


async def page(connection: db.Connection, tenant_id: str, after: str | None, limit: int) -> list[CalendarRow]:
    """Read a page of a tenant's calendars, in the order of their ids: the listed ones and those in use."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.calendars WHERE tenant_id = $1"  # noqa: S608
        " AND (is_listed OR state <> $4) AND ($2::uuid IS NULL OR calendar_id > $2) ORDER BY calendar_id LIMIT $3",
        tenant_id,
        after,
        limit,
        int(State.AVAILABLE),
    )
    return [_row(row) for row in rows]


async def by_id(
    connection: db.Connection, calendar_id: str, scope: list[str] | None, *, lock: bool = False
) -> CalendarRow | None:
    """Read a calendar of a tenant in scope; None scopes mean all tenants."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM processor.calendars WHERE calendar_id = $1"  # noqa: S608
        f" AND ($2::uuid[] IS NULL OR tenant_id = ANY($2)){' FOR UPDATE' if lock else ''}",
        calendar_id,
        scope,
    )
    return None if row is None else _row(row)


async def lock_clearing(connection: db.Connection) -> CalendarRow | None:
    """Lock a calendar whose events are to be deleted and that no worker reads; None when there is none free."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM processor.calendars WHERE phase = 3 AND NOT state = ANY($1::smallint[])"  # noqa: S608
        " ORDER BY calendar_id LIMIT 1 FOR UPDATE SKIP LOCKED",
        [int(state) for state in IN_USE],
    )
    return None if row is None else _row(row)


async def cleared(connection: db.Connection, calendar_id: str) -> None:
    """Note that a calendar has no events any more; delete it when its account is disconnected."""
    await connection.execute(
        "DELETE FROM processor.calendars WHERE calendar_id = $1 AND NOT is_listed AND tenant_id IN ("
        "SELECT tenant_id FROM processor.tenants WHERE status = 'disconnected')",
        calendar_id,
    )
    await connection.execute("UPDATE processor.calendars SET phase = 0 WHERE calendar_id = $1", calendar_id)


async def change(
    connection: db.Connection, calendar_id: str, follows: int, values: Mapping[str, Any]
) -> CalendarRow | None:
    """Change a calendar; return None when it was followed again or unfollowed meanwhile.

    Args:
        connection: A connection.
        calendar_id: The calendar.
        follows: The number of the following to which the change belongs.
        values: The new values by column.
    """
    unknown = set(values) - set(_NAMES)
    if unknown:
        msg = f"no columns of a calendar: {sorted(unknown)}"
        raise ValueError(msg)
    assigned = ", ".join(f"{name} = ${place}" for place, name in enumerate(values, start=3))
    row = await connection.fetchrow(
        f"UPDATE processor.calendars SET {assigned} WHERE calendar_id = $1 AND follows = $2 RETURNING {_COLUMNS}",  # noqa: S608
        calendar_id,
        follows,
        *values.values(),
    )
    return None if row is None else _row(row)


def _row(found: asyncpg.Record) -> CalendarRow:
    values = {name: found[name] for name in _NAMES}
    values |= {
        "calendar_id": str(values["calendar_id"]),
        "tenant_id": str(values["tenant_id"]),
        "info": pb2.Calendar.FromString(values["info"]),
        "state": State(values["state"]),
        "phase": Phase(values["phase"]),
    }
    return CalendarRow(**values)
