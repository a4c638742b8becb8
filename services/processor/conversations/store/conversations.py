"""Read and write conversations, their messages and their relations. Each statement is of one tenant or in its scope."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import asyncpg

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from services.meshkit import db
from services.processor.conversations.kinship import MAX_HOPS, Card, Known, moment

_CARDS = "conversation_id, content, is_forwarded, reopenings, automatic"
_MAX_RELATED = 500


async def known(connection: db.Connection, tenant_id: str, digests: Sequence[bytes]) -> Known:
    """Read a mail's relations: the conversations that its digests name, and those that they were merged into."""
    rows = await connection.fetch(
        """
        SELECT digest, conversation_id, is_own FROM processor.conversation_links
        WHERE tenant_id = $1 AND digest = ANY ($2::bytea[]) ORDER BY is_own DESC, conversation_id LIMIT $3
        """,
        tenant_id,
        list(digests),
        _MAX_RELATED,
    )
    links: dict[bytes, list[tuple[str, bool]]] = {}
    for row in rows:
        links.setdefault(row["digest"], []).append((str(row["conversation_id"]), row["is_own"]))
    return Known(await followed(connection, tenant_id, {str(row["conversation_id"]) for row in rows}), links)


async def followed(connection: db.Connection, tenant_id: str, ids: Iterable[str]) -> dict[str, Card]:
    """Read conversations of a tenant, and those that they were merged into, over the merges that mail follows."""
    cards: dict[str, Card] = {}
    wanted = set(ids)
    for _ in range(MAX_HOPS + 1):
        if not wanted:
            break
        found = await load(connection, tenant_id, sorted(wanted))
        cards.update(found)
        wanted = {card.conversation.merged_into for card in found.values()} - cards.keys() - {""}
    return cards


async def load(connection: db.Connection, tenant_id: str, ids: Sequence[str]) -> dict[str, Card]:
    """Read conversations of a tenant by their ids."""
    rows = await connection.fetch(
        f"SELECT {_CARDS} FROM processor.conversations WHERE tenant_id = $1 AND conversation_id = ANY ($2::uuid[])",  # noqa: S608
        tenant_id,
        list(ids),
    )
    return {str(row["conversation_id"]): _card(row) for row in rows}


async def by_id(connection: db.Connection, identity: str, scope: list[str] | None) -> Card | None:
    """Read a conversation in a scope; None when there is none."""
    row = await connection.fetchrow(
        f"""
        SELECT {_CARDS} FROM processor.conversations
        WHERE conversation_id = $1 AND ($2::uuid[] IS NULL OR tenant_id = ANY ($2))
        """,  # noqa: S608 - constants
        identity,
        scope,
    )
    return None if row is None else _card(row)


async def page(
    connection: db.Connection, tenant_id: str, states: Sequence[int], before: tuple[datetime, str] | None, limit: int
) -> list[pb2.Conversation]:
    """Read conversations of a tenant, the newest first."""
    rows = await connection.fetch(
        """
        SELECT content FROM processor.conversations
        WHERE tenant_id = $1 AND (cardinality($2::smallint[]) = 0 OR state = ANY ($2))
            AND ($3::timestamptz IS NULL OR (last_message_at, conversation_id) < ($3, $4::uuid))
        ORDER BY last_message_at DESC, conversation_id DESC LIMIT $5
        """,
        tenant_id,
        list(states),
        None if before is None else before[0],
        None if before is None else before[1],
        limit,
    )
    return [pb2.Conversation.FromString(row["content"]) for row in rows]


async def save(connection: db.Connection, card: Card) -> None:
    """Store a conversation."""
    conversation = card.conversation
    await connection.execute(
        """
        INSERT INTO processor.conversations (conversation_id, tenant_id, state, last_message_at, merged_into,
            is_forwarded, reopenings, automatic, content, is_quarantined)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (conversation_id) DO UPDATE SET state = excluded.state,
            last_message_at = excluded.last_message_at, merged_into = excluded.merged_into,
            is_forwarded = excluded.is_forwarded, reopenings = excluded.reopenings, automatic = excluded.automatic,
            content = excluded.content, is_quarantined = excluded.is_quarantined
        """,
        conversation.conversation_id,
        conversation.tenant_id,
        conversation.state,
        moment(conversation.last_message_at),
        conversation.merged_into or None,
        card.is_forwarded,
        card.reopenings,
        card.automatic,
        conversation.SerializeToString(),
        conversation.is_quarantined,
    )


async def depth(connection: db.Connection, identity: str) -> int:
    """Return how many merges lead to a conversation, one after the other, up to the bound that mail follows."""
    return int(
        await connection.fetchval(
            """
            WITH RECURSIVE chain AS (
                SELECT $1::uuid AS conversation_id, 0 AS hops
                UNION ALL
                SELECT c.conversation_id, chain.hops + 1 FROM processor.conversations AS c
                JOIN chain ON c.merged_into = chain.conversation_id WHERE chain.hops < $2
            ) SELECT max(hops) FROM chain
            """,
            identity,
            MAX_HOPS,
        )
    )


async def of_message(connection: db.Connection, tenant_id: str, message_id: str) -> str | None:
    """Return the id of the conversation that a mail is in; None when it is in none."""
    found = await connection.fetchval(
        "SELECT conversation_id FROM processor.conversation_messages WHERE tenant_id = $1 AND message_id = $2",
        tenant_id,
        message_id,
    )
    return None if found is None else str(found)


async def leads_to(connection: db.Connection, tenant_id: str, identity: str, target: str) -> bool:
    """Tell whether a conversation is another one, or was merged into it over the merges that mail follows."""
    for _ in range(MAX_HOPS + 1):
        if identity == target:
            return True
        card = (await load(connection, tenant_id, [identity])).get(identity)
        if card is None or not card.conversation.merged_into:
            return False
        identity = card.conversation.merged_into
    return False


async def add_message(
    connection: db.Connection, tenant_id: str, message: pb2.ConversationMessage, own_id: bytes
) -> None:
    """Store a mail's entry."""
    await connection.execute(
        "INSERT INTO processor.conversation_messages VALUES ($1, $2, $3, $4, $5, $6)",
        tenant_id,
        message.message_id,
        message.conversation_id,
        moment(message.at),
        own_id,
        message.SerializeToString(),
    )


async def messages(
    connection: db.Connection, identity: str, after: tuple[datetime, str] | None, limit: int
) -> list[pb2.ConversationMessage]:
    """Read the messages of a conversation, the oldest first."""
    rows = await connection.fetch(
        """
        SELECT content FROM processor.conversation_messages
        WHERE conversation_id = $1 AND ($2::timestamptz IS NULL OR (sent_at, message_id) > ($2, $3))
        ORDER BY sent_at, message_id LIMIT $4
        """,
        identity,
        None if after is None else after[0],
        None if after is None else after[1],
        limit,
    )
    return [pb2.ConversationMessage.FromString(row["content"]) for row in rows]


async def link(connection: db.Connection, tenant_id: str, identity: str, links: Mapping[bytes, bool]) -> None:
    """Relate later mail to a conversation."""
    await connection.execute(
        """
        INSERT INTO processor.conversation_links
        SELECT $1, digest, $2, is_own FROM unnest($3::bytea[], $4::boolean[]) AS given (digest, is_own)
        ON CONFLICT (tenant_id, digest, conversation_id) DO UPDATE
        SET is_own = conversation_links.is_own OR excluded.is_own
        """,
        tenant_id,
        identity,
        list(links),
        list(links.values()),
    )


async def move_messages(
    connection: db.Connection, tenant_id: str, moved: Sequence[pb2.ConversationMessage], identity: str
) -> None:
    """Move messages, and the relation of their own ids, to another conversation of the tenant."""
    old = moved[0].conversation_id
    for message in moved:
        message.conversation_id, message.joined_by = identity, pb2.JOIN_REASON_MANUAL
        await connection.execute(
            """
            WITH moved AS (
                UPDATE processor.conversation_messages SET conversation_id = $3, content = $4
                WHERE tenant_id = $1 AND message_id = $2 RETURNING own_id
            )
            UPDATE processor.conversation_links SET conversation_id = $3
            WHERE tenant_id = $1 AND conversation_id = $5 AND digest IN (SELECT own_id FROM moved)
            """,
            tenant_id,
            message.message_id,
            identity,
            message.SerializeToString(),
            old,
        )


def _card(row: asyncpg.Record) -> Card:
    return Card(
        pb2.Conversation.FromString(row["content"]),
        row["is_forwarded"],
        list(row["reopenings"]),
        list(row["automatic"]),
    )
