"""Everything that is stored about some messages, read in one statement before the commit about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from services.meshkit import db
from services.processor.mail.state import MessageState, ReportedChange
from services.processor.mail.store import lookups, messages
from services.processor.mailbox.store.mailboxes import FencedError

# A row of a table is one value of the answer, NULL when there is none.
_FACTS = """
    LEFT JOIN processor.messages m ON m.tenant_id = $1 AND m.message_id = asked.message_id
    LEFT JOIN processor.lookups l ON l.tenant_id = $1 AND l.message_id = asked.message_id
    LEFT JOIN processor.thread_messages t ON t.tenant_id = $1 AND t.message_id = asked.message_id
"""
_READ = f"""
    SELECT asked.message_id, m AS state, l AS lookup, t AS thread
    FROM unnest($2::text[]) AS asked (message_id) {_FACTS}
"""  # noqa: S608 - constants
# The facts are those of the statement's beginning, before it waits for the lock. Only the holder of the mailbox writes
# them, and the raise of our fence has waited for the last commit of the holder before.
_READ_LOCKED = f"""
    WITH held AS MATERIALIZED (
        SELECT FROM processor.mailboxes WHERE tenant_id = $1 AND fence = $3 FOR NO KEY UPDATE
    )
    SELECT asked.message_id, m AS state, l AS lookup, t AS thread
    FROM held LEFT JOIN unnest($2::text[]) AS asked (message_id) ON true {_FACTS}
"""  # noqa: S608 - constants


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
    return _facts(await connection.fetch(_READ, tenant_id, list(message_ids)) if message_ids else [])


async def read_locked(
    connection: db.Connection, tenant_id: str, fence: int, message_ids: Sequence[str]
) -> MessageFacts:
    """Lock the mailbox's row for the transaction, and read the facts about some messages.

    Raises:
        FencedError: The fence is no longer ours.
    """
    rows = await connection.fetch(_READ_LOCKED, tenant_id, list(message_ids), fence)
    if not rows:
        raise FencedError
    return _facts(rows)


def _facts(rows: Sequence[asyncpg.Record]) -> MessageFacts:
    return MessageFacts(
        {row["message_id"]: messages.state_of(row["state"]) for row in rows if row["state"] is not None},
        {row["message_id"]: lookups.change_of(row["lookup"]) for row in rows if row["lookup"] is not None},
        {row["message_id"]: row["thread"] for row in rows if row["thread"] is not None},
    )
