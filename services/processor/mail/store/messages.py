"""The statements over the states of messages."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg
import orjson

from services.meshkit import db
from services.processor.mail.state import MessageState, State

_SAVE = """
    INSERT INTO processor.messages AS m (
        tenant_id, message_id, generation, state, version, folder_id, label_ids, field_digests, open_event_id,
        mail_received_at, seen_at, changed_at
    )
    SELECT $1, s.message_id, s.generation, s.state, s.version, s.folder_id,
        ARRAY(SELECT label FROM jsonb_array_elements_text(s.label_ids::jsonb) AS label),
        s.field_digests, s.open_event_id, s.mail_received_at, now(), now()
    FROM unnest($2::text[], $3::integer[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::bytea[],
        $9::uuid[], $10::timestamptz[])
        AS s (message_id, generation, state, version, folder_id, label_ids, field_digests, open_event_id,
            mail_received_at)
    WHERE {condition}
    ON CONFLICT (tenant_id, message_id) DO UPDATE SET
        generation = excluded.generation, state = excluded.state, version = excluded.version,
        folder_id = excluded.folder_id, label_ids = excluded.label_ids, field_digests = excluded.field_digests,
        open_event_id = excluded.open_event_id,
        mail_received_at = coalesce(excluded.mail_received_at, m.mail_received_at),
        seen_at = now(), changed_at = now()
"""
_SAVED = 9
_RECORD = """
    INSERT INTO processor.messages (
        tenant_id, message_id, generation, state, version, folder_id, mail_received_at, seen_at, changed_at
    )
    SELECT $1, entry.message_id, entry.generation, 1, entry.version, entry.folder_id, entry.mail_received_at, now(),
        now()
    FROM unnest($2::text[], $3::integer[], $4::text[], $5::text[], $6::timestamptz[])
        AS entry (message_id, generation, version, folder_id, mail_received_at)
    ON CONFLICT (tenant_id, message_id) DO NOTHING
"""
_COLUMNS = (
    "message_id, generation, state, version, folder_id, label_ids, field_digests, open_event_id, mail_received_at"
)


async def load(connection: db.Connection, tenant_id: str, message_ids: Sequence[str]) -> dict[str, MessageState]:
    """Read the states of messages, by id."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.messages WHERE tenant_id = $1 AND message_id = ANY($2::text[])",  # noqa: S608
        tenant_id,
        list(message_ids),
    )
    return {row["message_id"]: state_of(row) for row in rows}


def saving(condition: str = "true") -> str:
    """Return a statement that saves states, with the tenant's id as $1 and `save_columns` from $2 on.

    Args:
        condition: A condition without which nothing is saved.
    """
    return _SAVE.format(condition=condition)


async def save(connection: db.Connection, tenant_id: str, messages: Iterable[MessageState]) -> None:
    """Write the states of messages, each message once."""
    columns = save_columns(messages)
    if columns[0]:
        await connection.execute(saving(), tenant_id, *columns)


def save_columns(messages: Iterable[MessageState]) -> list[list[object]]:
    """Return the arguments of `saving` after the tenant's id."""
    rows = [
        (
            known.message_id, known.generation, int(known.state), known.version, known.folder_id,
            orjson.dumps(known.label_ids).decode(), known.digests, known.open_event_id or None, known.mail_received_at,
        )
        for known in messages
    ]  # fmt: skip
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(_SAVED)]


async def open_event(connection: db.Connection, tenant_id: str, message_id: str, event_id: str) -> None:
    """Store the event that awaits its message."""
    await connection.execute(
        "UPDATE processor.messages SET open_event_id = $3 WHERE tenant_id = $1 AND message_id = $2",
        tenant_id,
        message_id,
        event_id,
    )


async def record(connection: db.Connection, tenant_id: str, messages: Sequence[MessageState]) -> None:
    """Record messages of which no event tells, drafts and those from before coverage; known ones stay as they are."""
    if messages:
        await connection.execute(
            _RECORD,
            tenant_id,
            [known.message_id for known in messages],
            [known.generation for known in messages],
            [known.version for known in messages],
            [known.folder_id for known in messages],
            [known.mail_received_at for known in messages],
        )


async def mark_seen(connection: db.Connection, tenant_id: str, message_ids: Sequence[str]) -> None:
    """Mark messages as listed."""
    await connection.execute(
        "UPDATE processor.messages SET seen_at = now() WHERE tenant_id = $1 AND message_id = ANY($2::text[])",
        tenant_id,
        list(message_ids),
    )


async def unseen(
    connection: db.Connection, tenant_id: str, folder_id: str, since: datetime, after: str, limit: int
) -> list[str]:
    """Read the messages of a folder that a listing lacked, ordered by id, after one id.

    Messages that were announced without content are among them: their folder is unknown, and may be this one.
    """
    rows = await connection.fetch(
        """
        SELECT message_id FROM processor.messages
        WHERE tenant_id = $1 AND folder_id IN ($2, '') AND seen_at < $3 AND state < 3 AND message_id > $4
        ORDER BY message_id LIMIT $5
        """,
        tenant_id,
        folder_id,
        since,
        after,
        limit,
    )
    return [row["message_id"] for row in rows]


async def received_since(
    connection: db.Connection, tenant_id: str, since: datetime, unseen_since: datetime, after: str, limit: int
) -> list[str]:
    """Read the messages received since a time that a listing lacked, ordered by id, after one id."""
    rows = await connection.fetch(
        """
        SELECT message_id FROM processor.messages
        WHERE tenant_id = $1 AND coalesce(mail_received_at, 'infinity') >= $2 AND seen_at < $3 AND state < 3
            AND message_id > $4
        ORDER BY message_id LIMIT $5
        """,
        tenant_id,
        since,
        unseen_since,
        after,
        limit,
    )
    return [row["message_id"] for row in rows]


async def first_since(connection: db.Connection, tenant_id: str, since: datetime) -> str:
    """Read the id of the known message that was received first since a time; empty when there is none."""
    found = await connection.fetchval(
        """
        SELECT message_id FROM processor.messages
        WHERE tenant_id = $1 AND mail_received_at >= $2 AND state < 3 ORDER BY mail_received_at LIMIT 1
        """,
        tenant_id,
        since,
    )
    return str(found or "")


def state_of(row: asyncpg.Record) -> MessageState:
    """Return the state in a row of the table."""
    return MessageState(
        row["message_id"],
        row["generation"],
        State(row["state"]),
        row["version"],
        row["folder_id"],
        tuple(row["label_ids"]),
        row["field_digests"],
        str(row["open_event_id"] or ""),
        row["mail_received_at"],
    )
