"""Threads in the store: which message is in which, which message ids they know, and who took part."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.processor.store.connection import Connection

_MAX_CANDIDATES = 200

_ASSIGNED = """
    SELECT thread_id, provider_thread_id, reason, reason_message_id FROM processor.thread_messages
    WHERE tenant_id = $1 AND message_id = $2
"""
_CANDIDATES = """
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
"""
_CONVERSATION = """
    SELECT thread_id FROM processor.thread_conversations WHERE tenant_id = $1 AND provider_thread_id = $2
"""
_ASSIGN = """
    INSERT INTO processor.thread_messages
        (tenant_id, message_id, thread_id, provider_thread_id, reason, reason_message_id)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, message_id) DO NOTHING
"""
_NOTE_CONVERSATION = """
    INSERT INTO processor.thread_conversations (tenant_id, provider_thread_id, thread_id) VALUES ($1, $2, $3)
    ON CONFLICT (tenant_id, provider_thread_id) DO NOTHING
"""
_NOTE_OWN_ID = """
    INSERT INTO processor.thread_ids (tenant_id, digest, thread_id, is_own) VALUES ($1, $2, $3, true)
    ON CONFLICT (tenant_id, digest, thread_id) DO UPDATE SET is_own = true
"""
# A message id that another thread has a message of is that thread's: a mail that was not let in there by its headers
# does not get a hold on it.
_NOTE_REFERENCES = """
    INSERT INTO processor.thread_ids (tenant_id, digest, thread_id, is_own)
    SELECT $1, named.digest, $3, false FROM unnest($2::bytea[]) AS named (digest)
    WHERE NOT EXISTS (
        SELECT FROM processor.thread_ids i WHERE i.tenant_id = $1 AND i.digest = named.digest AND i.is_own
    )
    ON CONFLICT (tenant_id, digest, thread_id) DO NOTHING
"""
_NOTE_PARTICIPANTS = """
    INSERT INTO processor.thread_participants AS known (tenant_id, thread_id, address, has_written)
    SELECT $1, $2, address, address = ANY ($4::text[]) FROM unnest($3::text[]) AS given (address)
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


async def assigned(connection: Connection, tenant_id: str, message_id: str) -> asyncpg.Record | None:
    """Reads the thread that a message was given; None when it was given none yet."""
    return await connection.fetchrow(_ASSIGNED, tenant_id, message_id)


async def candidates(
    connection: Connection, tenant_id: str, digests: Sequence[bytes], sender: str, people: Sequence[str]
) -> list[Candidate]:
    """Finds the threads that know message ids, those that own them first.

    Args:
        connection: In a transaction.
        tenant_id: The tenant's UUID.
        digests: Of the message ids.
        sender: The address to ask about; empty took part in nothing.
        people: The addresses to ask about.
    """
    rows = await connection.fetch(_CANDIDATES, tenant_id, digests, sender, people, _MAX_CANDIDATES)
    return [Candidate(**dict(row)) for row in rows]


async def conversation(connection: Connection, tenant_id: str, provider_thread_id: str) -> UUID | None:
    """Finds the thread that the provider's conversation began with."""
    if not provider_thread_id:
        return None
    thread_id: UUID | None = await connection.fetchval(_CONVERSATION, tenant_id, provider_thread_id)
    return thread_id


async def join(connection: Connection, tenant_id: str, message_id: str, membership: Membership) -> None:
    """Notes that a message is in a thread. Safe to call again: yes, the first thread stays."""
    m = membership
    await connection.execute(
        _ASSIGN, tenant_id, message_id, m.thread_id, m.provider_thread_id, m.reason, m.reason_message_id
    )
    if m.provider_thread_id:
        await connection.execute(_NOTE_CONVERSATION, tenant_id, m.provider_thread_id, m.thread_id)
    if m.own_id is not None:
        await connection.execute(_NOTE_OWN_ID, tenant_id, m.own_id, m.thread_id)
    if m.references:
        await connection.execute(_NOTE_REFERENCES, tenant_id, m.references, m.thread_id)
    if m.people:
        await connection.execute(_NOTE_PARTICIPANTS, tenant_id, m.thread_id, m.people, m.writers)
