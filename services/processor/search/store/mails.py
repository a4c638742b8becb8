"""The rows of indexed mails: stored, and deleted. Each statement is of one tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.meshkit import db


@dataclass(frozen=True)
class Entry:
    """A mail in the index.

    Args:
        message_id: The provider's id of the mail.
        received_at: When the mailbox received it.
        position: The position of its newest event.
        digests: The digests of its terms, sorted, each once: the statements of `finding` rely on it.
    """

    message_id: str
    received_at: datetime
    position: int
    digests: Sequence[int]


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
