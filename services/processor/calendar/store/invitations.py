"""The statements over invitations: the mail thread that first invited a tenant to an event, by the event's UID."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from services.meshkit import db

# One that a stored event still needs is kept for another while; a tenant has few due ones at a time.
_EXPIRE = """
    WITH due AS (
        SELECT tenant_id, uid_digest FROM processor.invitations WHERE kept_until < $1
        ORDER BY kept_until LIMIT $3 FOR UPDATE SKIP LOCKED
    ), needed AS (
        UPDATE processor.invitations i SET kept_until = $2 FROM due
        WHERE i.tenant_id = due.tenant_id AND i.uid_digest = due.uid_digest AND EXISTS (
            SELECT FROM processor.calendar_events e JOIN processor.calendars c USING (calendar_id)
            WHERE e.uid_digest = due.uid_digest AND e.uid_digest <> '' AND c.tenant_id = due.tenant_id)
        RETURNING i.tenant_id, i.uid_digest
    ), gone AS (
        DELETE FROM processor.invitations i USING due
        WHERE i.tenant_id = due.tenant_id AND i.uid_digest = due.uid_digest
            AND NOT EXISTS (SELECT FROM needed n WHERE n.tenant_id = due.tenant_id AND n.uid_digest = due.uid_digest)
        RETURNING 1
    )
    SELECT count(*) FROM gone
"""


async def add(
    connection: db.Connection, tenant_id: str, threads: Mapping[bytes, str], kept_until: datetime
) -> Sequence[bytes]:
    """Store the threads of events that have none yet; return the UIDs' digests of those. Safe to call again."""
    rows = await connection.fetch(
        "INSERT INTO processor.invitations (tenant_id, uid_digest, thread_id, kept_until)"
        " SELECT $1, new.uid_digest, new.thread_id, $4 FROM unnest($2::bytea[], $3::uuid[])"
        " AS new (uid_digest, thread_id) ON CONFLICT (tenant_id, uid_digest) DO NOTHING RETURNING uid_digest",
        tenant_id,
        list(threads),
        list(threads.values()),
        kept_until,
    )
    return [row["uid_digest"] for row in rows]


async def of_calendar(connection: db.Connection, calendar_id: str, digests: Sequence[bytes]) -> dict[bytes, str]:
    """Read the threads of a calendar's events, by the digests of their UIDs; those without one are left out."""
    rows = await connection.fetch(
        "SELECT uid_digest, thread_id FROM processor.invitations"
        " WHERE tenant_id = (SELECT tenant_id FROM processor.calendars WHERE calendar_id = $1)"
        " AND uid_digest = ANY($2::bytea[])",
        calendar_id,
        list(digests),
    )
    return {row["uid_digest"]: str(row["thread_id"]) for row in rows}


async def of_thread(connection: db.Connection, tenant_id: str, thread_id: str, limit: int) -> list[bytes]:
    """Read the digests of the UIDs of a thread's events."""
    rows = await connection.fetch(
        "SELECT uid_digest FROM processor.invitations WHERE tenant_id = $1 AND thread_id = $2"
        " ORDER BY uid_digest LIMIT $3",
        tenant_id,
        thread_id,
        limit,
    )
    return [row["uid_digest"] for row in rows]


async def expire(connection: db.Connection, before: datetime, kept_until: datetime, limit: int) -> int:
    """Delete invitations that were kept until a time and that no stored event has; return their number.

    Args:
        connection: A connection.
        before: The time.
        kept_until: The time until which the others are kept.
        limit: The largest number that is examined.
    """
    return int(await connection.fetchval(_EXPIRE, before, kept_until, limit))
