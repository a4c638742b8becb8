"""Threads in the store: which message is in which, which message ids they know, and who took part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.processor.store.connection import Connection

_MAX_CANDIDATES = 200

_ASSIGNED = """
    SELECT message_id, thread_id, provider_thread_id, reason, reason_message_id FROM processor.thread_messages
    WHERE tenant_id = $1 AND message_id = ANY ($2::text[])
"""
# One row at least: the conversation's thread is known or not, whether or not anything else is found.
_RELATED = """
    SELECT
        (
            SELECT thread_id FROM processor.thread_conversations WHERE tenant_id = $1 AND provider_thread_id = $6
        ) AS conversation,
        found.*
    FROM (VALUES (1)) AS once LEFT JOIN (
        SELECT i.digest, i.thread_id, i.is_own,
            EXISTS (
                SELECT FROM processor.thread_participants p
                WHERE p.tenant_id = $1 AND p.thread_id = i.thread_id AND p.address = $3
            ) AS has_sender,
            EXISTS (
                SELECT FROM processor.thread_participants p
                WHERE p.tenant_id = $1 AND p.thread_id = i.thread_id AND p.has_written AND p.address = ANY ($4::text[])
            ) AS has_writer_among_ours
        FROM processor.thread_ids i WHERE i.tenant_id = $1 AND i.digest = ANY ($2::bytea[])
        ORDER BY i.is_own DESC, i.thread_id LIMIT $5
    ) AS found ON true
    ORDER BY found.is_own DESC, found.thread_id
"""
# One statement, since a mail is worth one round trip. Its parts do not see each other's rows and need not: a mail never
# refers to its own id. A message id that another thread has a message of is that thread's: a mail that was not let in
# there by its headers does not get a hold on it.
_JOIN = """
    WITH assigned AS (
        INSERT INTO processor.thread_messages
            (tenant_id, message_id, thread_id, provider_thread_id, reason, reason_message_id)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, message_id) DO NOTHING
    ), conversation AS (
        INSERT INTO processor.thread_conversations (tenant_id, provider_thread_id, thread_id)
        SELECT $1, $4, $3 WHERE $4 <> ''
        ON CONFLICT (tenant_id, provider_thread_id) DO NOTHING
    ), own_id AS (
        INSERT INTO processor.thread_ids (tenant_id, digest, thread_id, is_own)
        SELECT $1, $7::bytea, $3, true WHERE $7 IS NOT NULL
        ON CONFLICT (tenant_id, digest, thread_id) DO UPDATE SET is_own = true
    ), named AS (
        INSERT INTO processor.thread_ids (tenant_id, digest, thread_id, is_own)
        SELECT $1, named.digest, $3, false FROM unnest($8::bytea[]) AS named (digest)
        WHERE NOT EXISTS (
            SELECT FROM processor.thread_ids i WHERE i.tenant_id = $1 AND i.digest = named.digest AND i.is_own
        )
        ON CONFLICT (tenant_id, digest, thread_id) DO NOTHING
    )
    INSERT INTO processor.thread_participants AS known (tenant_id, thread_id, address, has_written)
    SELECT $1, $3, address, address = ANY ($10::text[]) FROM unnest($9::text[]) AS given (address)
    ON CONFLICT (tenant_id, thread_id, address) DO UPDATE SET has_written = true
    WHERE excluded.has_written AND NOT known.has_written
"""


@dataclass(frozen=True)
class Candidate:
    """A thread that knows a message id.

    Args:
        digest: Of the message id.
        thread_id: The thread.
        is_own: A message of the thread has this id; otherwise one refers to it.
        has_sender: The sender who was asked about took part in the thread.
        has_writer_among_ours: Someone who wrote in the thread is among the people who were asked about.
    """

    digest: bytes
    thread_id: UUID
    is_own: bool
    has_sender: bool
    has_writer_among_ours: bool


@dataclass(frozen=True)
class Membership:
    """What is noted of a message that joins a thread.

    Args:
        thread_id: The thread.
        provider_thread_id: The provider's conversation; may be empty.
        reason: The contract's number of why.
        reason_message_id: The message id that the reason refers to.
        own_id: The digest of the message's own id; None without one.
        references: The digests of the ids that it refers to.
        people: Everyone named in it.
        writers: Those of them who wrote it.
    """

    thread_id: UUID
    provider_thread_id: str
    reason: int
    reason_message_id: str
    own_id: bytes | None
    references: Sequence[bytes]
    people: Sequence[str]
    writers: Sequence[str]


@dataclass(frozen=True)
class Related:
    """What a mail may belong to.

    Args:
        conversation: The thread that the provider's conversation began with; None when there is none.
        candidates: The threads that know the message ids, those that own them first.
    """

    conversation: UUID | None
    candidates: Sequence[Candidate]


async def assigned(connection: Connection, tenant_id: str, message_ids: Sequence[str]) -> Mapping[str, asyncpg.Record]:
    """Reads the threads that messages were given, by message; those that were given none yet are left out."""
    rows = await connection.fetch(_ASSIGNED, tenant_id, message_ids)
    return {row["message_id"]: row for row in rows}


async def related(
    connection: Connection,
    tenant_id: str,
    digests: Sequence[bytes],
    sender: str,
    people: Sequence[str],
    provider_thread_id: str,
) -> Related:
    """Finds what a mail may belong to.

    Args:
        connection: In a transaction.
        tenant_id: The tenant's UUID.
        digests: Of the message ids that it has and names.
        sender: The address to ask about; empty took part in nothing.
        people: The addresses to ask about.
        provider_thread_id: The provider's conversation; may be empty.
    """
    rows = await connection.fetch(_RELATED, tenant_id, digests, sender, people, _MAX_CANDIDATES, provider_thread_id)
    found = [dict(row) for row in rows]
    conversations = [row.pop("conversation") for row in found]
    return Related(conversations[0], [Candidate(**row) for row in found if row["thread_id"] is not None])


async def join(connection: Connection, tenant_id: str, message_id: str, membership: Membership) -> None:
    """Notes that a message is in a thread. Safe to call again: yes, the first thread stays."""
    m = membership
    await connection.execute(
        _JOIN, tenant_id, message_id, m.thread_id, m.provider_thread_id, m.reason, m.reason_message_id, m.own_id,
        m.references, m.people, m.writers,
    )  # fmt: skip
