"""The statements over threads: their messages, the message ids that they know, and their participants."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from services.meshkit import db

_MAX_THREADS = 50
"""The largest number of threads read for one message id; threads that contain its message come first."""

RELATED = f"""
    related AS MATERIALIZED (
        SELECT provider_thread_id, NULL::bytea AS digest, thread_id, false AS is_own
        FROM processor.thread_conversations WHERE tenant_id = $1 AND provider_thread_id = ANY ($2::text[])
        UNION ALL
        SELECT '', asked.digest, i.thread_id, i.is_own FROM unnest($3::bytea[]) AS asked (digest) CROSS JOIN LATERAL (
            SELECT thread_id, is_own FROM processor.thread_ids
            WHERE tenant_id = $1 AND digest = asked.digest
            ORDER BY is_own DESC, thread_id LIMIT {_MAX_THREADS}
        ) AS i
    ), facts AS (
        SELECT provider_thread_id, digest, thread_id, is_own, NULL::text AS address, NULL::boolean AS has_written
        FROM related
        UNION ALL
        SELECT '', NULL, thread_id, NULL, address, has_written FROM processor.thread_participants
        WHERE tenant_id = $1 AND thread_id IN (SELECT thread_id FROM related WHERE digest IS NOT NULL)
            AND address = ANY ($4::text[])
    )
"""  # noqa: S608 - a constant
"""Parts of a statement, with the tenant's id as $1 and `ThreadQuestion.columns` from $2 on; `facts` are the answer."""
FACTS = "provider_thread_id, digest, thread_id, is_own, address, has_written"
_READ = f"WITH {RELATED} SELECT {FACTS} FROM facts"  # noqa: S608 - constants
_JOIN = """
    assigned AS (
        INSERT INTO processor.thread_messages
            (tenant_id, message_id, thread_id, provider_thread_id, reason, reason_message_id)
        SELECT $1, * FROM unnest($11::text[], $12::uuid[], $13::text[], $14::smallint[], $15::text[])
        WHERE {condition}
        ON CONFLICT (tenant_id, message_id) DO NOTHING
    ), conversations AS (
        INSERT INTO processor.thread_conversations (tenant_id, provider_thread_id, thread_id)
        SELECT $1, * FROM unnest($16::text[], $17::uuid[])
        WHERE {condition}
        ON CONFLICT (tenant_id, provider_thread_id) DO NOTHING
    ), ids AS (
        INSERT INTO processor.thread_ids AS known (tenant_id, digest, thread_id, is_own)
        SELECT $1, * FROM unnest($18::bytea[], $19::uuid[], $20::boolean[])
        WHERE {condition}
        ON CONFLICT (tenant_id, digest, thread_id) DO UPDATE SET is_own = true
        WHERE excluded.is_own AND NOT known.is_own
    ), participants AS (
        INSERT INTO processor.thread_participants AS known (tenant_id, thread_id, address, has_written)
        SELECT $1, * FROM unnest($21::uuid[], $22::text[], $23::boolean[])
        WHERE {condition}
        ON CONFLICT (tenant_id, thread_id, address) DO UPDATE SET has_written = true
        WHERE excluded.has_written AND NOT known.has_written
    )
"""


def joining(condition: str) -> str:
    """Return parts of a statement, with the tenant's id as $1 and `join_columns` from $11 on.

    Args:
        condition: A condition without which nothing is written.
    """
    return _JOIN.format(condition=condition)


@dataclass(frozen=True)
class Membership:
    """The membership of a message in a thread, and its reason.

    Args:
        message_id: The provider's id of the message.
        thread_id: The thread's id.
        provider_thread_id: The provider's conversation id; may be empty.
        reason: The contract's number of the reason.
        reason_message_id: The message id that the reason refers to.
    """

    message_id: str
    thread_id: UUID
    provider_thread_id: str
    reason: int
    reason_message_id: str


@dataclass
class ThreadFacts:
    """Facts about threads: read for some messages, and in the same form to be written.

    Args:
        conversations: By the provider's conversation, the thread that it began with.
        ids: By the digest of a message id, the threads that know it, and whether they contain its message; otherwise
            one of their messages refers to it.
        people: By thread, the participants, and whether they wrote a message.
    """

    conversations: dict[str, UUID] = field(default_factory=dict)
    ids: dict[bytes, dict[UUID, bool]] = field(default_factory=dict)
    people: dict[UUID, dict[str, bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class ThreadAdditions:
    """The additions of one commit's mails to threads.

    Args:
        memberships: The memberships of the mails.
        learned: The facts that follow.
    """

    memberships: Sequence[Membership]
    learned: ThreadFacts


@dataclass(frozen=True)
class ThreadQuestion:
    """The keys of the facts that decide the threads of some mails.

    Args:
        conversations: The provider's conversations.
        digests: The digests of message ids.
        addresses: The addresses that may have taken part in the threads of those message ids.
    """

    conversations: frozenset[str] = frozenset()
    digests: frozenset[bytes] = frozenset()
    addresses: frozenset[str] = frozenset()

    def covers(self, other: "ThreadQuestion") -> bool:
        """Return whether the answer contains the answer to another question."""
        return (
            self.conversations >= other.conversations
            and self.digests >= other.digests
            and self.addresses >= other.addresses
        )

    def columns(self) -> list[list[object]]:
        """Return the arguments of `RELATED` after the tenant's id."""
        return [list(self.conversations), list(self.digests), list(self.addresses)]


async def facts(connection: db.Connection, tenant_id: str, question: ThreadQuestion) -> ThreadFacts:
    """Read the facts that a question asks for."""
    return facts_of(await connection.fetch(_READ, tenant_id, *question.columns()))


def facts_of(rows: Iterable[asyncpg.Record]) -> ThreadFacts:
    """Return the facts in rows with the columns `FACTS`."""
    found = ThreadFacts()
    for row in rows:
        if row["address"] is not None:
            found.people.setdefault(row["thread_id"], {})[row["address"]] = row["has_written"]
        elif row["digest"] is None:
            found.conversations[row["provider_thread_id"]] = row["thread_id"]
        else:
            found.ids.setdefault(row["digest"], {})[row["thread_id"]] = row["is_own"]
    return found


def join_columns(memberships: Sequence[Membership], learned: ThreadFacts) -> list[list[object]]:
    """Return the arguments of `joining`: memberships of messages, and the facts that follow. The first write stays."""
    joined = [
        (one.message_id, one.thread_id, one.provider_thread_id, one.reason, one.reason_message_id)
        for one in memberships
    ]
    ids = [(digest, thread, own) for digest, known in learned.ids.items() for thread, own in known.items()]
    people = [(thread, who, wrote) for thread, known in learned.people.items() for who, wrote in known.items()]
    conversations = [*learned.conversations.items()]
    return [*_columns(joined, 5), *_columns(conversations, 2), *_columns(ids, 3), *_columns(people, 3)]


def _columns(rows: Sequence[tuple[object, ...]], count: int) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]
