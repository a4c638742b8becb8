"""Everything that is stored about some messages, read in one statement before the commit about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from services.meshkit import db
from services.processor.mail.state import MessageState, ReportedChange
from services.processor.mail.store import lookups, messages

# A row of a table is one value of the answer, NULL when there is none.
_READ = """
    SELECT asked.message_id, m AS state, l AS lookup, t AS thread
    FROM unnest($2::text[]) AS asked (message_id)
    LEFT JOIN processor.messages m ON m.tenant_id = $1 AND m.message_id = asked.message_id
    LEFT JOIN processor.lookups l ON l.tenant_id = $1 AND l.message_id = asked.message_id
    LEFT JOIN processor.thread_messages t ON t.tenant_id = $1 AND t.message_id = asked.message_id
"""


@dataclass(frozen=True)
class MessageFacts:
    """The stored facts about some messages, each by message id and without the messages that have none.

    Args:
        states: The states.
        lookups: The pending lookups.
        threads: The rows of the threads that the messages are in.
    """

    states: Mapping[str, MessageState]
    lookups: Mapping[str, ReportedChange]
    threads: Mapping[str, asyncpg.Record]


async def read(connection: db.Connection, tenant_id: str, message_ids: Sequence[str]) -> MessageFacts:
    """Read the facts about some messages."""
    rows = await connection.fetch(_READ, tenant_id, list(message_ids)) if message_ids else []
    return MessageFacts(
        {row["message_id"]: messages.state_of(row["state"]) for row in rows if row["state"] is not None},
        {row["message_id"]: lookups.change_of(row["lookup"]) for row in rows if row["lookup"] is not None},
        {row["message_id"]: row["thread"] for row in rows if row["thread"] is not None},
    )
