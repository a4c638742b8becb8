"""The settings of tenants, each with the place in the stream up to which its mail is in conversations."""

from dataclasses import dataclass

import asyncpg

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from services.meshkit import db

TABLE = "processor.conversation_settings"


@dataclass(frozen=True)
class TenantSettings:
    """A tenant's settings.

    Args:
        settings: The settings.
        cursor: The cursor up to which its events were read.
    """

    settings: pb2.ConversationSettings
    cursor: str


async def read(connection: db.Connection, tenant_id: str) -> TenantSettings | None:
    """Read a tenant's settings; None when it has none."""
    return _of(
        await connection.fetchrow(
            "SELECT content, cursor FROM processor.conversation_settings WHERE tenant_id = $1", tenant_id
        )
    )


async def lock(connection: db.Connection, tenant_id: str) -> TenantSettings | None:
    """Read and lock a tenant's settings until the transaction ends: one change of its conversations at a time."""
    return _of(
        await connection.fetchrow(
            "SELECT content, cursor FROM processor.conversation_settings WHERE tenant_id = $1 FOR UPDATE", tenant_id
        )
    )


async def save(
    connection: db.Connection, tenant_id: str, settings: pb2.ConversationSettings, cursor: str, position: int
) -> None:
    """Store a tenant's settings; a tenant that was enabled before keeps its place in the stream."""
    await connection.execute(
        """
        INSERT INTO processor.conversation_settings AS s
            (tenant_id, is_enabled, position, cursor, content, retention_days, quarantine_days)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (tenant_id) DO UPDATE SET is_enabled = excluded.is_enabled, content = excluded.content,
            retention_days = excluded.retention_days, quarantine_days = excluded.quarantine_days,
            position = CASE WHEN s.is_enabled THEN s.position ELSE excluded.position END,
            cursor = CASE WHEN s.is_enabled THEN s.cursor ELSE excluded.cursor END
        """,
        tenant_id,
        settings.is_enabled,
        position,
        cursor,
        settings.SerializeToString(),
        settings.retention_days,
        settings.quarantine_retention_days or settings.retention_days,
    )


async def advance(connection: db.Connection, tenant_id: str, cursor: str, position: int) -> None:
    """Store the place up to which a tenant's events were read."""
    await connection.execute(
        "UPDATE processor.conversation_settings SET cursor = $2, position = $3 WHERE tenant_id = $1",
        tenant_id,
        cursor,
        position,
    )


def _of(row: asyncpg.Record | None) -> TenantSettings | None:
    return None if row is None else TenantSettings(pb2.ConversationSettings.FromString(row["content"]), row["cursor"])
