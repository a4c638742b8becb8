"""The queue of lookups: messages that were not there yet, are missing, failed, or were announced without content."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg
from google.protobuf.struct_pb2 import Struct

from services.meshkit import db
from services.processor.mail.state import BACKFILLED, ReportedChange
from services.processor.mailbox.store.due_queues import DueQueue

_COLUMNS = (
    "message_id, kinds, source, received_at, correlation_id, subscription_ids, version, notification, was_watched,"
    " missing_since, attempts, reason"
)
DUE = DueQueue("lookups", "SELECT tenant_id, due_at FROM processor.lookups WHERE due_at <= now()")
"""The lookups that are due."""
_ANNOUNCED = """EXISTS (
        SELECT FROM processor.messages AS m
        WHERE m.tenant_id = $1 AND m.message_id = l.message_id AND m.open_event_id IS NOT NULL)"""
_DELETE_BACKFILLED = f"""
    DELETE FROM processor.lookups AS l WHERE l.tenant_id = $1 AND l.kinds = ARRAY[$2::text] AND NOT {_ANNOUNCED}
"""  # noqa: S608 - constants
_FORGET_BACKFILL = f"""
    UPDATE processor.lookups AS l SET kinds = array_remove(l.kinds, $2::text)
    WHERE l.tenant_id = $1 AND $2::text = ANY(l.kinds) AND cardinality(l.kinds) > 1 AND NOT {_ANNOUNCED}
"""  # noqa: S608 - constants
_SAVE = """
    INSERT INTO processor.lookups (
        tenant_id, message_id, kinds, source, received_at, correlation_id, subscription_ids, version, notification,
        was_watched, missing_since, attempts, reason, due_at
    ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    ON CONFLICT (tenant_id, message_id) DO UPDATE SET
        kinds = excluded.kinds, source = excluded.source, received_at = excluded.received_at,
        correlation_id = excluded.correlation_id, subscription_ids = excluded.subscription_ids,
        version = excluded.version, notification = excluded.notification, was_watched = excluded.was_watched,
        missing_since = excluded.missing_since, attempts = excluded.attempts, reason = excluded.reason,
        due_at = excluded.due_at
"""


async def due(connection: db.Connection, tenant_id: str, limit: int) -> list[ReportedChange]:
    """Read the due lookups of one tenant, oldest first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.lookups WHERE tenant_id = $1 AND due_at <= now() ORDER BY due_at LIMIT $2",  # noqa: S608
        tenant_id,
        limit,
    )
    return [change_of(row) for row in rows]


async def save(connection: db.Connection, tenant_id: str, changes: Iterable[tuple[ReportedChange, datetime]]) -> None:
    """Store lookups, each with the time when it is due."""
    rows = [
        (
            tenant_id, reported.message_id, sorted(reported.kinds), reported.source, reported.received_at,
            reported.correlation_id,
            list(reported.subscription_ids), reported.version,
            None if reported.notification is None else reported.notification.SerializeToString(),
            reported.was_watched, reported.missing_since, reported.attempts, reported.reason, due_at,
        )
        for reported, due_at in changes
    ]  # fmt: skip
    if rows:
        await connection.executemany(_SAVE, rows)


async def postpone(connection: db.Connection, tenant_id: str, until: datetime) -> None:
    """Postpone all lookups of one tenant that are due before a time."""
    await connection.execute(
        "UPDATE processor.lookups SET due_at = $2 WHERE tenant_id = $1 AND due_at < $2", tenant_id, until
    )


async def remove(connection: db.Connection, tenant_id: str, message_ids: Sequence[str]) -> None:
    """Delete the lookups of messages that are settled."""
    if message_ids:
        await connection.execute(
            "DELETE FROM processor.lookups WHERE tenant_id = $1 AND message_id = ANY($2::text[])",
            tenant_id,
            list(message_ids),
        )


def change_of(row: asyncpg.Record) -> ReportedChange:
    """Return the reported change in a row of the table."""
    return ReportedChange(
        row["message_id"],
        frozenset(row["kinds"]),
        row["received_at"],
        row["correlation_id"],
        row["source"],
        tuple(row["subscription_ids"]),
        row["version"],
        None if row["notification"] is None else Struct.FromString(row["notification"]),
        row["was_watched"],
        row["missing_since"],
        row["attempts"],
        row["reason"],
    )


async def drop_backfilled(connection: db.Connection, tenant_id: str) -> None:
    """End what a backfill has reported, in a transaction: its mails are not looked up for it any more.

    A mail that an event has announced without content is still looked up for it, and so is one that something else has
    reported as well.
    """
    await connection.execute(_DELETE_BACKFILLED, tenant_id, BACKFILLED)
    await connection.execute(_FORGET_BACKFILL, tenant_id, BACKFILLED)
