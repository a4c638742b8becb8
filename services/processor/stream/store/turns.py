"""The tenants of a follower of the stream that have events which it did not read yet.

A follower has a table with a row for each tenant: `tenant_id`, `is_enabled`, the `position` up to which it read, and
`tried_at`, the time of its last turn. A row may be paused by a condition of the follower's own columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.meshkit import db

# Positions of the stream are microseconds since 1970.
_DUE = """
    WITH behind AS MATERIALIZED (
        SELECT * FROM (
            SELECT tenant_id, tried_at, {has_other_work} AS has_other_work, {is_paused} AS is_paused,
                CASE WHEN is_enabled THEN (
                    SELECT e.position FROM processor.events AS e
                    WHERE e.tenant_id = s.tenant_id AND e.position > s.position ORDER BY e.position LIMIT 1
                ) END AS unread
            FROM {table} AS s WHERE is_enabled OR {has_other_work}
        ) AS followed WHERE has_other_work OR unread IS NOT NULL
    )
    SELECT (SELECT min(unread) FROM behind) / 1000000.0 AS oldest, ARRAY(
        SELECT tenant_id FROM behind WHERE NOT is_paused ORDER BY tried_at NULLS FIRST, tenant_id LIMIT $1
    ) AS tenant_ids
"""
_IS_BEHIND = """
    SELECT EXISTS (SELECT FROM processor.events AS e WHERE e.tenant_id = $1 AND e.position > s.position)
    FROM {table} AS s WHERE s.tenant_id = $1
"""
_NOTE = "UPDATE {table} SET tried_at = now() WHERE tenant_id = $1"


@dataclass(frozen=True)
class Due:
    """The tenants that are due.

    Args:
        tenant_ids: Those whose turn is next.
        oldest: The time of the oldest event of all tenants, paused ones too, that was not read yet, in seconds since
            1970; None when all events were read.
    """

    tenant_ids: Sequence[str]
    oldest: float | None


async def due(connection: db.Connection, table: str, has_other_work: str, is_paused: str, limit: int) -> Due:
    """Return tenants that are due and not paused, the least recently tried first.

    Args:
        connection: Any connection.
        table: The follower's table, a constant.
        has_other_work: The SQL condition for rows that are due without unread events, a constant.
        is_paused: The SQL condition for rows that have no turn for now, a constant; it is never null.
        limit: The largest number of tenants.
    """
    statement = _DUE.format(table=table, has_other_work=has_other_work, is_paused=is_paused)
    row = await connection.fetchrow(statement, limit)
    assert row is not None  # noqa: S101 - a statement without FROM has one row
    return Due(list(map(str, row["tenant_ids"])), None if row["oldest"] is None else float(row["oldest"]))


async def is_behind(connection: db.Connection, table: str, tenant_id: str) -> bool:
    """Tell whether a tenant has events that were not read yet, enabled or not; False when the table lacks it.

    Args:
        connection: Any connection.
        table: The follower's table, a constant.
        tenant_id: The tenant.
    """
    return bool(await connection.fetchval(_IS_BEHIND.format(table=table), tenant_id))


async def note_turn(connection: db.Connection, table: str, tenant_id: str) -> None:
    """Move a tenant behind all others that are due. Called before its turn: one that fails has had it, too."""
    await connection.execute(_NOTE.format(table=table), tenant_id)
