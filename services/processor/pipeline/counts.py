"""The statements of GetPipelineStatus over Processor's tables."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.meshkit import db

_HOUR = 3_600 * 1_000_000

_EVENTS_LAST_HOUR = """
    SELECT count(*) FROM processor.events
    WHERE position > (extract(epoch FROM now()) * 1000000)::bigint - $1 AND ($2::uuid[] IS NULL OR tenant_id = ANY ($2))
"""
_UNENRICHED = """
    SELECT count(*) FROM processor.messages
    WHERE open_event_id IS NOT NULL AND ($1::uuid[] IS NULL OR tenant_id = ANY ($1))
"""
_WORKERS = """
    SELECT worker_id, started_at, seen_at, tenants_held FROM processor.workers
    WHERE seen_at > now() - interval '1 minute' ORDER BY worker_id LIMIT 1000
"""
_TENANTS = """
    SELECT t.tenant_id, t.provider, t.status, m.throttled_until, m.last_reconciled_at, last.position
    FROM processor.tenants t LEFT JOIN processor.mailboxes m USING (tenant_id) LEFT JOIN LATERAL (
        SELECT position FROM processor.events e WHERE e.tenant_id = t.tenant_id ORDER BY position DESC LIMIT 1
    ) AS last ON true
    WHERE ($1::uuid[] IS NULL OR t.tenant_id = ANY ($1)) AND ($2::uuid[] IS NULL OR t.tenant_id = ANY ($2))
    ORDER BY t.tenant_id LIMIT $3
"""
_NEWEST = """
    SELECT newest.position, newest.event_id FROM unnest($1::uuid[]) AS asked (tenant), LATERAL (
        SELECT position, event_id FROM processor.events
        WHERE tenant_id = asked.tenant AND position <= $2 ORDER BY position DESC LIMIT 1
    ) AS newest
    ORDER BY newest.position DESC LIMIT 1
"""


@dataclass(frozen=True)
class OwnCounts:
    """Counts over Processor's tables."""

    events_last_hour: int
    unenriched_pending: int
    workers: list[asyncpg.Record]


async def own_counts(connection: db.Connection, scope: list[str] | None) -> OwnCounts:
    """Count events, messages whose content is still being fetched, and workers."""
    return OwnCounts(
        events_last_hour=await connection.fetchval(_EVENTS_LAST_HOUR, _HOUR, scope),
        unenriched_pending=await connection.fetchval(_UNENRICHED, scope),
        workers=await connection.fetch(_WORKERS),
    )


async def newest_event(connection: db.Connection, scope: list[str], head: int) -> tuple[int, UUID] | None:
    """Return position and id of the newest event of these tenants, up to the head of the stream; None without one."""
    found = await connection.fetchrow(_NEWEST, scope, head)
    return None if found is None else (found["position"], found["event_id"])


async def tenant_rows(
    connection: db.Connection, scope: list[str] | None, wanted: list[str] | None, most: int
) -> list[asyncpg.Record]:
    """Read the state of tenants.

    Args:
        connection: Any connection.
        scope: The tenants that the caller may see; None means all.
        wanted: The tenants to read; None means any.
        most: The largest number of rows.
    """
    rows: list[asyncpg.Record] = await connection.fetch(_TENANTS, scope, wanted, most)
    return rows
