"""The channels of Google's calendars in PostgreSQL.

A channel's row is stored before the call that opens it, because Google can push before it answers.
"""

from dataclasses import dataclass
from datetime import datetime

from services.meshkit import db

_INSERT = """
INSERT INTO ingest.channels (tenant_id, channel_id, subscription_id, token_digest, expires_at)
SELECT tenant_id, $3, subscription_id, $4, $5 FROM ingest.subscriptions
WHERE tenant_id = $1 AND subscription_id = $2 AND lease_fence = $6
RETURNING channel_id
"""
_OPENED = """
UPDATE ingest.channels SET resource_id = $3, expires_at = $4 WHERE tenant_id = $1 AND channel_id = $2
"""
_NOTE_RESOURCE = """
UPDATE ingest.channels SET resource_id = $3 WHERE tenant_id = $1 AND channel_id = $2 AND resource_id = ''
"""
_ALL = """
SELECT channel_id::text, resource_id, expires_at FROM ingest.channels
WHERE tenant_id = $1 AND subscription_id = $2 ORDER BY created_at
"""
_REPLACED = """
SELECT older.channel_id::text, older.resource_id, older.expires_at FROM ingest.channels older
JOIN ingest.channels newer ON newer.tenant_id = older.tenant_id AND newer.channel_id = $3
WHERE older.tenant_id = $1 AND older.subscription_id = $2 AND older.created_at < newer.created_at
ORDER BY older.created_at
"""
_FORGET = "DELETE FROM ingest.channels WHERE tenant_id = $1 AND channel_id = $2"


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel.

    Args:
        channel_id: Our id.
        resource_id: Google's id of the watched resource; empty until an answer or a push has named it.
        expires_at: When it ends by itself.
    """

    channel_id: str
    resource_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A channel that is about to be opened.

    Args:
        channel_id: Our id.
        token_digest: SHA-256 of its secret.
        expires_at: When it ends by itself at the latest.
    """

    channel_id: str
    token_digest: bytes
    expires_at: datetime


async def insert(
    connection: db.Connection, tenant_id: str, subscription_id: str, fence: int, channel: NewChannel
) -> bool:
    """Store a channel of a leased subscription before it is opened. Returns whether the lease still holds."""
    return (
        await connection.fetchval(
            _INSERT, tenant_id, subscription_id, channel.channel_id, channel.token_digest, channel.expires_at, fence
        )
        is not None
    )


async def opened(
    connection: db.Connection, tenant_id: str, channel_id: str, resource_id: str, expires_at: datetime
) -> None:
    """Store Google's answer about a channel. Safe to call again."""
    await connection.execute(_OPENED, tenant_id, channel_id, resource_id, expires_at)


async def note_resource(connection: db.Connection, tenant_id: str, channel_id: str, resource_id: str) -> None:
    """Store the resource that a push named, unless it is known: without it the channel cannot be stopped."""
    await connection.execute(_NOTE_RESOURCE, tenant_id, channel_id, resource_id)


async def of_subscription(connection: db.Connection, tenant_id: str, subscription_id: str) -> list[Channel]:
    """Return the channels of a subscription, oldest first."""
    return [Channel(**row) for row in await connection.fetch(_ALL, tenant_id, subscription_id)]


async def replaced(connection: db.Connection, tenant_id: str, subscription_id: str, by: str) -> list[Channel]:
    """Return the channels of a subscription that were stored before one of them, oldest first.

    None when that one is gone: the step that replaced it saw to the others.
    """
    return [Channel(**row) for row in await connection.fetch(_REPLACED, tenant_id, subscription_id, by)]


async def forget(connection: db.Connection, tenant_id: str, channel_id: str) -> None:
    """Delete a channel's row: its pushes are unknown from now on. Safe to call again."""
    await connection.execute(_FORGET, tenant_id, channel_id)
