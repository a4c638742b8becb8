"""The indexed mails: which ones have the terms of a query, the newest first. Each statement is of one tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.meshkit import db
from services.processor.errors import SearchTooSlow

WINDOW = 2000
"""The newest mails that are tried before the index of terms is asked: it reads all mails with a common word."""
STATEMENT_SECONDS = 2.0

_BOUNDS = f"""
    SET LOCAL statement_timeout = {round(STATEMENT_SECONDS * 1000)};
    SET LOCAL plan_cache_mode = force_custom_plan
"""
_RANGE = """
    ($3::timestamptz IS NULL OR received_at >= $3) AND ($4::timestamptz IS NULL OR received_at < $4)
    AND ($5::timestamptz IS NULL OR (received_at, position) < ($5, $6))
"""
_ORDER = "ORDER BY received_at DESC, position DESC"
_NEWEST = f"""
    SELECT message_id, received_at, position FROM (
        SELECT * FROM processor.search_mails WHERE tenant_id = $1 AND {_RANGE} {_ORDER} LIMIT {WINDOW}
    ) AS newest WHERE terms @> $2::integer[] {_ORDER} LIMIT $7
"""  # noqa: S608 - constants
# Without MATERIALIZED, a wrong estimate reads all mails of the tenant in their order.
_BY_TERMS = f"""
    WITH found AS MATERIALIZED (
        SELECT message_id, received_at, position FROM processor.search_mails
        WHERE tenant_id = $1 AND terms @> $2::integer[] AND {_RANGE}
    ) SELECT message_id, received_at, position FROM found {_ORDER} LIMIT $7
"""  # noqa: S608 - constants
_ALL = f"""
    SELECT message_id, received_at, position FROM processor.search_mails
    WHERE tenant_id = $1 AND $2::integer[] IS NOT NULL AND {_RANGE} {_ORDER} LIMIT $7
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class Wanted:
    """The mails that a query asks the index for.

    Args:
        tenant_id: The tenant.
        digests: The digests of all terms that a mail has.
        after: The earliest time of receipt; None means any.
        before: The time that all times of receipt are before; None means any.
    """

    tenant_id: str
    digests: Sequence[int]
    after: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class Entry:
    """A mail in the index.

    Args:
        message_id: The provider's id of the mail.
        received_at: When the mailbox received it.
        position: The position of its newest event.
        digests: The digests of its terms.
    """

    message_id: str
    received_at: datetime
    position: int
    digests: Sequence[int]


async def find(
    connection: db.Connection, wanted: Wanted, behind: tuple[datetime, int] | None, limit: int
) -> list[asyncpg.Record]:
    """Read message ids, times and positions of mails, the newest first.

    Args:
        connection: A connection in a transaction.
        wanted: The mails.
        behind: The time and position of the last mail of the page before; None for the first page.
        limit: The largest number of mails.

    Raises:
        SearchTooSlow: It took more than `STATEMENT_SECONDS`.
    """
    try:
        return await _find(connection, wanted, behind, limit)
    except asyncpg.QueryCanceledError as exc:
        raise SearchTooSlow from exc


async def _find(
    connection: db.Connection, wanted: Wanted, behind: tuple[datetime, int] | None, limit: int
) -> list[asyncpg.Record]:
    # A plan for any values would guess the same for rare and for common words.
    await connection.execute(_BOUNDS)
    at, position = behind or (None, None)
    values = (wanted.tenant_id, list(wanted.digests), wanted.after, wanted.before, at, position, limit)
    if not wanted.digests:
        return list(await connection.fetch(_ALL, *values))
    newest = await connection.fetch(_NEWEST, *values)
    return list(newest if len(newest) == limit else await connection.fetch(_BY_TERMS, *values))


async def save(connection: db.Connection, tenant_id: str, entries: Sequence[Entry]) -> int:
    """Store mails; return how many are new. A mail whose newer event is stored stays as it is."""
    rows = await connection.fetchmany(
        """
        INSERT INTO processor.search_mails AS m (tenant_id, message_id, received_at, position, terms)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (tenant_id, message_id) DO UPDATE
        SET received_at = excluded.received_at, position = excluded.position, terms = excluded.terms
        WHERE m.position < excluded.position
        RETURNING (xmax = 0) AS is_new
        """,
        [(tenant_id, one.message_id, one.received_at, one.position, list(one.digests)) for one in entries],
    )
    return sum(row["is_new"] for row in rows)


async def readable(connection: db.Connection, tenant_id: str, positions: Sequence[int]) -> frozenset[int]:
    """Return those positions at which the tenant still has an event: no erasure has buried it.

    The caller has the tenant's settings locked. An erasure locks them before it buries an event.
    """
    rows = await connection.fetch(
        "SELECT position FROM processor.events WHERE tenant_id = $1 AND position = ANY ($2::bigint[])",
        tenant_id,
        list(positions),
    )
    return frozenset(row["position"] for row in rows)


async def delete(connection: db.Connection, tenant_id: str, message_ids: Sequence[str]) -> int:
    """Delete mails by the provider's ids; return how many there were. Safe to call again."""
    return db.affected(
        await connection.execute(
            "DELETE FROM processor.search_mails WHERE tenant_id = $1 AND message_id = ANY ($2::text[])",
            tenant_id,
            list(message_ids),
        )
    )


async def delete_through(connection: db.Connection, tenant_id: str, position: int | None, limit: int) -> int:
    """Delete some mails whose newest event is at a position or before it, None means all; return how many."""
    return db.affected(
        await connection.execute(
            """
            DELETE FROM processor.search_mails WHERE tenant_id = $1 AND message_id IN (
                SELECT message_id FROM processor.search_mails
                WHERE tenant_id = $1 AND ($2::bigint IS NULL OR position <= $2) ORDER BY position LIMIT $3
            )
            """,
            tenant_id,
            position,
            limit,
        )
    )


async def behind_floor(connection: db.Connection, limit: int) -> list[tuple[str, int]]:
    """Return tenants with mails whose newest event retention has dropped, each with the last such position."""
    rows = await connection.fetch(
        """
        SELECT s.tenant_id, stream.floor FROM processor.search_settings AS s, processor.stream AS stream
        WHERE stream.id = 1 AND EXISTS (
            SELECT FROM processor.search_mails AS m WHERE m.tenant_id = s.tenant_id AND m.position <= stream.floor
        ) LIMIT $1
        """,
        limit,
    )
    return [(str(row["tenant_id"]), row["floor"]) for row in rows]
