"""Everything that is stored about some messages, read in one statement before the commit about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from services.meshkit import db
from services.processor.mail.state import MessageState, ReportedChange
from services.processor.mail.store import lookups, messages, threads
from services.processor.mail.store.threads import ThreadFacts, ThreadQuestion

NO_QUESTION = ThreadQuestion()
"""Asks for no facts about threads."""
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
_READ_WITH_THREADS = f"""
    WITH {threads.RELATED}
    SELECT asked.message_id, m AS state, l AS lookup, t AS thread, NULL::text AS provider_thread_id,
        NULL::bytea AS digest, NULL::uuid AS thread_id, NULL::boolean AS is_own, NULL::text AS address,
        NULL::boolean AS has_written
    FROM unnest($5::text[]) AS asked (message_id) {_FACTS}
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, {threads.FACTS} FROM facts
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class MessageFacts:
    """The stored facts about some messages, each by message id and without the messages that have none.

    Args:
        states: The states.
        lookups: The pending lookups.
        threads: The rows of the threads that the messages are in.
        question: The question about other threads that was asked with them.
        related: The answer.
    """

    states: Mapping[str, MessageState]
    lookups: Mapping[str, ReportedChange]
    threads: Mapping[str, asyncpg.Record]
    question: ThreadQuestion
    related: ThreadFacts


async def read(
    connection: db.Connection, tenant_id: str, message_ids: Sequence[str], question: ThreadQuestion = NO_QUESTION
) -> MessageFacts:
    """Read the facts about some messages.

    Only the holder of the mailbox writes them, under its fence, and the raise of a fence waits for the last commit of
    the holder before. Facts that a holder reads thus stay true until its own next commit, or that commit is refused.

    Args:
        connection: A connection.
        tenant_id: The tenant's UUID.
        message_ids: The messages.
        question: The keys of the facts about threads that are read too.
    """
    ids = list(message_ids)
    if question == NO_QUESTION:
        rows = await connection.fetch(_READ, tenant_id, ids) if ids else []
        return _facts(rows, question, ThreadFacts())
    rows = await connection.fetch(_READ_WITH_THREADS, tenant_id, *question.columns(), ids)
    related = threads.facts_of(row for row in rows if row["message_id"] is None)
    return _facts([row for row in rows if row["message_id"] is not None], question, related)


def _facts(rows: Sequence[asyncpg.Record], question: ThreadQuestion, related: ThreadFacts) -> MessageFacts:
    return MessageFacts(
        {row["message_id"]: messages.state_of(row["state"]) for row in rows if row["state"] is not None},
        {row["message_id"]: lookups.change_of(row["lookup"]) for row in rows if row["lookup"] is not None},
        {row["message_id"]: row["thread"] for row in rows if row["thread"] is not None},
        question,
        related,
    )
