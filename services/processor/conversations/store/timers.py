"""Read and write the timers of conversations. Each statement is of one tenant, but for the loop that finds due ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.meshkit import db

MAX_ATTEMPTS = 10
"""Attempts to publish a timer's event; then it stays where callers see it, and is retried when it is set again."""


@dataclass(frozen=True)
class Timer:
    """A timer.

    Args:
        tenant_id: The tenant.
        conversation_id: The conversation.
        name: The consumer's name of it.
        due_at: When it is due.
        attempts: The failed attempts to publish its event.
        reason: Why the last one failed; empty when none did.
    """

    tenant_id: str
    conversation_id: str
    name: str
    due_at: datetime
    attempts: int = 0
    reason: str = ""


async def of_conversation(connection: db.Connection, tenant_id: str, conversation_id: str) -> list[Timer]:
    """Read the timers of a conversation, the next one first."""
    rows = await connection.fetch(
        """
        SELECT tenant_id, conversation_id, name, due_at, attempts, reason FROM processor.conversation_timers
        WHERE tenant_id = $1 AND conversation_id = $2 ORDER BY due_at, name
        """,
        tenant_id,
        conversation_id,
    )
    return [_timer(row) for row in rows]


async def save(connection: db.Connection, timer: Timer) -> None:
    """Store a timer, in the place of an earlier one of its name, whose failures are forgotten."""
    await connection.execute(
        """
        INSERT INTO processor.conversation_timers (tenant_id, conversation_id, name, due_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant_id, conversation_id, name) DO UPDATE
        SET due_at = excluded.due_at, attempts = 0, reason = '', retry_at = NULL
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
            WHERE due_at <= $1 AND attempts < $2 AND (retry_at IS NULL OR retry_at <= $1)
            ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
        ) AS due
        WHERE t.tenant_id = due.tenant_id AND t.conversation_id = due.conversation_id AND t.name = due.name
        RETURNING t.tenant_id, t.conversation_id, t.name, t.due_at, t.attempts, t.reason
        """,
        now,
        MAX_ATTEMPTS,
        limit,
    )
    return sorted(map(_timer, rows), key=lambda timer: (timer.due_at, timer.conversation_id, timer.name))


async def put_off(connection: db.Connection, timer: Timer, attempts: int, reason: str, retry_at: datetime) -> None:
    """Store the number of failed attempts, unless the timer was set again meanwhile."""
    await connection.execute(
        """
        UPDATE processor.conversation_timers SET attempts = $7, reason = $5, retry_at = $6
        WHERE tenant_id = $1 AND conversation_id = $2 AND name = $3 AND due_at = $4
        """,
        timer.tenant_id,
        timer.conversation_id,
        timer.name,
        timer.due_at,
        reason,
        retry_at,
        attempts,
    )


def _timer(row: asyncpg.Record) -> Timer:
    values = dict(row)
    return Timer(str(values.pop("tenant_id")), str(values.pop("conversation_id")), **values)
