"""Read and write the timers of conversations. Each statement is of one tenant, but for the loop that finds due ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.meshkit import db


@dataclass(frozen=True)
class Timer:
    """A timer.

    Args:
        tenant_id: The tenant.
        conversation_id: The conversation.
        name: The consumer's name of it.
        due_at: When it is due.
    """

    tenant_id: str
    conversation_id: str
    name: str
    due_at: datetime


async def of_conversation(connection: db.Connection, tenant_id: str, conversation_id: str) -> list[Timer]:
    """Read the timers of a conversation, the next one first."""
    rows = await connection.fetch(
        """
        SELECT tenant_id, conversation_id, name, due_at FROM processor.conversation_timers
        WHERE tenant_id = $1 AND conversation_id = $2 ORDER BY due_at, name
        """,
        tenant_id,
        conversation_id,
    )
    return [Timer(str(row["tenant_id"]), str(row["conversation_id"]), row["name"], row["due_at"]) for row in rows]


async def save(connection: db.Connection, timer: Timer) -> None:
    """Store a timer, in the place of an earlier one of its name."""
    await connection.execute(
        """
        INSERT INTO processor.conversation_timers (tenant_id, conversation_id, name, due_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant_id, conversation_id, name) DO UPDATE SET due_at = excluded.due_at
        """,
        timer.tenant_id,
        timer.conversation_id,
        timer.name,
        timer.due_at,
    )


async def delete(connection: db.Connection, tenant_id: str, conversation_id: str, name: str) -> None:
    """Delete a timer. Safe to call again."""
    await connection.execute(
        "DELETE FROM processor.conversation_timers WHERE tenant_id = $1 AND conversation_id = $2 AND name = $3",
        tenant_id,
        conversation_id,
        name,
    )


async def take_due(connection: db.Connection, now: datetime, limit: int) -> Sequence[Timer]:
    """Delete and return timers that are due, the oldest first; those that another transaction holds stay with it."""
    rows = await connection.fetch(
        """
        DELETE FROM processor.conversation_timers AS t USING (
            SELECT tenant_id, conversation_id, name FROM processor.conversation_timers
            WHERE due_at <= $1 ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ) AS due
        WHERE t.tenant_id = due.tenant_id AND t.conversation_id = due.conversation_id AND t.name = due.name
        RETURNING t.tenant_id, t.conversation_id, t.name, t.due_at
        """,
        now,
        limit,
    )
    found = [Timer(str(row["tenant_id"]), str(row["conversation_id"]), row["name"], row["due_at"]) for row in rows]
    return sorted(found, key=lambda timer: (timer.due_at, timer.conversation_id, timer.name))
