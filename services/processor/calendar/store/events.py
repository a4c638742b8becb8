"""The statements over the events of followed calendars. A changed instance of a series is a row beside its series'."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2
from services.meshkit import db
from services.message.invitations import uid_digest
from services.processor.calendar.mapping.rules import RuleError, parse_rule
from services.processor.calendar.mapping.times import sort_instant
from services.processor.calendar.rows import IN_USE, Phase, StoredEvent

AT_ONCE = 2000
"""The number of events that one transaction deletes."""
_ENDLESS = datetime(9999, 1, 1, tzinfo=UTC)
_TWO_DAYS = timedelta(days=2)
_INSERT = """
    INSERT INTO processor.calendar_events (calendar_event_id, calendar_id, series_id, original_day, starts_at, ends_at,
        is_series, revision, round, deleted_at, content, uid_digest)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (calendar_event_id) DO UPDATE SET series_id = excluded.series_id, original_day = excluded.original_day,
        starts_at = excluded.starts_at, ends_at = excluded.ends_at, is_series = excluded.is_series,
        revision = excluded.revision, round = excluded.round, deleted_at = excluded.deleted_at,
        content = excluded.content, uid_digest = excluded.uid_digest
"""
_TOUCH = """
    UPDATE processor.calendar_events e SET round = $2,
        uid_digest = CASE WHEN same.uid_digest = '' THEN e.uid_digest ELSE same.uid_digest END
    FROM unnest($1::uuid[], $3::bytea[]) AS same (calendar_event_id, uid_digest)
    WHERE e.calendar_event_id = same.calendar_event_id
"""
# The index has only rows with a digest, and a statement that may use it says so.
_LINKED = """
    UPDATE processor.calendar_events e SET revision = revision + 1 WHERE calendar_event_id IN (
        SELECT calendar_event_id FROM processor.calendar_events
        WHERE calendar_id = $1 AND uid_digest = ANY($2::bytea[]) AND uid_digest <> ''
            AND series_id IS NULL AND deleted_at IS NULL
        ORDER BY calendar_event_id LIMIT $3)
    RETURNING content, revision
"""
# One row too many, so that the reader sees that more follow.
_PAGE = """
    SELECT content FROM (
    SELECT starts_at, calendar_event_id, content, row_number() OVER sorted AS place,
        sum(octet_length(content)) OVER sorted - octet_length(content) AS bytes_before
    FROM (
    SELECT calendar_event_id, starts_at, content FROM processor.calendar_events
    WHERE calendar_id = $1 AND series_id IS NULL AND deleted_at IS NULL AND starts_at < $3
        AND (ends_at > $2 OR (starts_at = ends_at AND starts_at >= $2)) AND ($6 OR NOT is_series)
        AND (starts_at, calendar_event_id) > ($4, $5)
    ORDER BY starts_at, calendar_event_id LIMIT $7
    ) AS found WINDOW sorted AS (ORDER BY starts_at, calendar_event_id)
    ) AS measured
    WHERE bytes_before <= $8 OR place <= 2 ORDER BY starts_at, calendar_event_id
"""
# One row too many, as above.
_SERIES = """
    SELECT calendar_event_id, bytes_before FROM (
    SELECT calendar_event_id,
        sum(octet_length(content)) OVER sorted - octet_length(content) AS bytes_before
    FROM (
    SELECT calendar_event_id, content FROM processor.calendar_events s
    WHERE calendar_id = $1 AND is_series AND deleted_at IS NULL AND calendar_event_id > $4
        AND ((starts_at < $3 AND ends_at > $2) OR EXISTS (
            SELECT FROM processor.calendar_events e
            WHERE e.series_id = s.calendar_event_id AND e.starts_at < $3 AND e.ends_at >= $2))
    ORDER BY calendar_event_id LIMIT $5
    ) AS found WINDOW sorted AS (ORDER BY calendar_event_id)
    ) AS measured
    ORDER BY calendar_event_id
"""


async def load(connection: db.Connection, calendar_id: str, event_ids: Sequence[str]) -> dict[str, StoredEvent]:
    """Read single events and series with their changed instances, by id; deleted ones too."""
    rows = await connection.fetch(
        """
        SELECT calendar_event_id, series_id, original_day, revision, deleted_at, content
        FROM processor.calendar_events
        WHERE calendar_id = $1 AND series_id IS NULL AND calendar_event_id = ANY($2::uuid[])
        UNION ALL
        SELECT calendar_event_id, series_id, original_day, revision, deleted_at, content
        FROM processor.calendar_events WHERE calendar_id = $1 AND series_id = ANY($2::uuid[])
        """,
        calendar_id,
        event_ids,
    )
    exceptions: dict[str, dict[str, pb2.CalendarEvent]] = {}
    for row in rows:
        if row["series_id"] is not None:
            exceptions.setdefault(str(row["series_id"]), {})[row["original_day"]] = _event(row)
    return {
        (event_id := str(row["calendar_event_id"])): StoredEvent(
            _event(row), row["revision"], row["deleted_at"] is not None, exceptions.get(event_id, {})
        )
        for row in rows
        if row["series_id"] is None
    }


async def save(
    connection: db.Connection, calendar_id: str, events: Sequence[StoredEvent], number: int, now: datetime
) -> None:
    """Store events and the changed instances of series, which replace the stored ones.

    Args:
        connection: A connection in a transaction.
        calendar_id: Their calendar.
        events: The events.
        number: The number of the calendar's last complete round.
        now: The time, which is stored for deleted ones.
    """
    ids = [one.event.calendar_event_id for one in events]
    await connection.execute("DELETE FROM processor.calendar_events WHERE series_id = ANY($1::uuid[])", ids)
    rows = []
    for one in events:
        rows.append(_values(calendar_id, one.event, one.revision, number, now if one.is_deleted else None))
        for day, exception in one.exceptions.items():
            values = _values(calendar_id, exception, one.revision, number, None)
            rows.append((*values[:2], one.event.calendar_event_id, day, *values[4:]))
    await connection.executemany(_INSERT, rows)


async def touch(connection: db.Connection, uids: Mapping[str, str], number: int) -> None:
    """Note that events were there in a complete round, and their UIDs.

    Args:
        connection: A connection in a transaction.
        uids: The iCalendar UIDs by event id; empty where it is not known.
        number: The number of the round.
    """
    await connection.execute(_TOUCH, list(uids), number, [uid_digest(uid) for uid in uids.values()])


async def calendars_of(connection: db.Connection, tenant_id: str, digests: Sequence[bytes]) -> list[str]:
    """Return the ids of a tenant's calendars with events of some UIDs, sorted."""
    if not digests:
        return []
    rows = await connection.fetch(
        "SELECT DISTINCT calendar_id FROM processor.calendar_events JOIN processor.calendars c USING (calendar_id)"
        " WHERE c.tenant_id = $1 AND uid_digest = ANY($2::bytea[]) AND uid_digest <> '' ORDER BY calendar_id",
        tenant_id,
        list(digests),
    )
    return [str(row["calendar_id"]) for row in rows]


async def linked(
    connection: db.Connection, calendar_id: str, digests: Sequence[bytes], limit: int
) -> list[tuple[pb2.CalendarEvent, int]]:
    """Count a change of the events of some UIDs, which have a conversation now; return them with their revisions."""
    rows = await connection.fetch(_LINKED, calendar_id, list(digests), limit)
    return [(_event(row), row["revision"]) for row in rows]


async def of_uids(
    connection: db.Connection, tenant_id: str, digests: Sequence[bytes], limit: int
) -> list[pb2.CalendarEvent]:
    """Read the single events and series of some UIDs in a tenant's followed calendars, by start."""
    rows = await connection.fetch(
        "SELECT e.content FROM processor.calendar_events e JOIN processor.calendars c USING (calendar_id)"
        " WHERE c.tenant_id = $1 AND c.state = ANY($4::smallint[]) AND c.phase <> $5"
        " AND e.uid_digest = ANY($2::bytea[]) AND e.uid_digest <> '' AND e.series_id IS NULL AND e.deleted_at IS NULL"
        " ORDER BY e.starts_at, e.calendar_event_id LIMIT $3",
        tenant_id,
        list(digests),
        limit,
        [int(state) for state in IN_USE],
        int(Phase.CLEAR),
    )
    return [_event(row) for row in rows]


async def missing(connection: db.Connection, calendar_id: str, number: int, limit: int) -> list[pb2.CalendarEvent]:
    """Read stored events that a complete round did not list."""
    rows = await connection.fetch(
        "SELECT content FROM processor.calendar_events WHERE calendar_id = $1 AND round < $2 AND series_id IS NULL"
        " AND deleted_at IS NULL ORDER BY calendar_event_id LIMIT $3",
        calendar_id,
        number,
        limit,
    )
    return [_event(row) for row in rows]


async def forget_deleted(connection: db.Connection, calendar_id: str, before: datetime) -> None:
    """Empty the last versions of events that were deleted at the provider before a time, `AT_ONCE` of them at most.

    The numbers of their changes stay, so that a restored event makes no change with an earlier number.
    """
    await connection.execute(
        "UPDATE processor.calendar_events SET content = '' WHERE calendar_event_id IN ("
        "SELECT calendar_event_id FROM processor.calendar_events"
        " WHERE calendar_id = $1 AND deleted_at < $2 AND content <> '' LIMIT $3)",
        calendar_id,
        before,
        AT_ONCE,
    )


async def forget(connection: db.Connection, calendar_id: str) -> bool:
    """Delete events of a calendar, `AT_ONCE` at most; return whether it has none any more."""
    left = AT_ONCE
    for table in ("calendar_unread", "calendar_events"):
        deleted = await connection.execute(
            f"DELETE FROM processor.{table} WHERE calendar_event_id IN ("  # noqa: S608 - constants
            f"SELECT calendar_event_id FROM processor.{table} WHERE calendar_id = $1 LIMIT $2)",
            calendar_id,
            left,
        )
        left -= db.affected(deleted)
    if left > 0:
        await connection.execute(
            "DELETE FROM processor.calendar_staged WHERE calendar_id = $1 AND ctid IN ("
            "SELECT ctid FROM processor.calendar_staged WHERE calendar_id = $1 LIMIT $2)",
            calendar_id,
            left,
        )
        left *= not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM processor.calendar_staged WHERE calendar_id = $1)", calendar_id
        )
    return left > 0


async def by_id(connection: db.Connection, event_id: str, scope: list[str] | None) -> pb2.CalendarEvent | None:
    """Read one event, series or changed instance of a tenant in scope; None when it is deleted or unknown."""
    row = await connection.fetchrow(
        "SELECT e.content FROM processor.calendar_events e JOIN processor.calendars c USING (calendar_id)"
        " WHERE e.calendar_event_id = $1 AND e.deleted_at IS NULL AND ($2::uuid[] IS NULL OR c.tenant_id = ANY($2))"
        " AND c.state = ANY($3::smallint[]) AND c.phase <> $4",
        event_id,
        scope,
        [int(state) for state in IN_USE],
        int(Phase.CLEAR),
    )
    return None if row is None else _event(row)


async def page(
    connection: db.Connection,
    calendar_id: str,
    window: tuple[datetime, datetime],
    after: tuple[datetime, str],
    limit: int,
    size: int,
    *,
    with_series: bool,
) -> list[pb2.CalendarEvent]:
    """Read the events that overlap a window, behind a position, by start; series at their first start.

    The page ends with the event that makes it larger than `size` bytes, or with the one after it.
    """
    rows = await connection.fetch(_PAGE, calendar_id, *window, *after, with_series, limit, size)
    return [_event(row) for row in rows]


async def series(
    connection: db.Connection, calendar_id: str, window: tuple[datetime, datetime], after: str, limit: int, size: int
) -> tuple[list[StoredEvent], str]:
    """Read some series that may have instances in a window, with their changed instances, by id.

    Args:
        connection: A connection.
        calendar_id: The calendar.
        window: The window.
        after: The id behind which reading goes on.
        limit: The largest number of series.
        size: The bytes after which no further series is read.

    Returns:
        The series, and the id behind which further ones follow; empty at the end.
    """
    rows = await connection.fetch(_SERIES, calendar_id, *window, after, limit + 1)
    ids = [str(row["calendar_event_id"]) for row in rows if row["bytes_before"] <= size][:limit]
    stored = await load(connection, calendar_id, ids)
    return list(stored.values()), ids[-1] if len(ids) < len(rows) else ""


def _values(
    calendar_id: str, event: pb2.CalendarEvent, revision: int, number: int, deleted_at: datetime | None
) -> tuple[object, ...]:
    starts = sort_instant(event.start)
    is_series = event.kind == pb2.EVENT_KIND_MASTER
    ends = _end_of_series(event) if is_series else max(starts, sort_instant(event.end))
    content = event.SerializeToString(deterministic=True)
    return (
        event.calendar_event_id, calendar_id, None, "", starts, ends, is_series, revision, number, deleted_at, content,
        uid_digest(event.ical_uid),
    )  # fmt: skip


def _end_of_series(master: pb2.CalendarEvent) -> datetime:
    """Return a time after the last instance that the rule gives."""
    try:
        rule = parse_rule(master.recurrence.rule, master.recurrence.iana_zone or "Etc/UTC")
    except RuleError:
        return sort_instant(master.end)
    if rule.until is None:
        return _ENDLESS
    length = sort_instant(master.end) - sort_instant(master.start)
    last = datetime(rule.until.year, rule.until.month, rule.until.day, tzinfo=UTC)
    return last + length + _TWO_DAYS if length < _ENDLESS - _TWO_DAYS - last else _ENDLESS


def _event(row: asyncpg.Record) -> pb2.CalendarEvent:
    return pb2.CalendarEvent.FromString(row["content"])
