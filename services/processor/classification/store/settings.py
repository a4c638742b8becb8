"""The settings of tenants, each with its place in the stream, and with what stops it there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mailmesh.processor.v1 import classification_service_pb2 as pb2
from services.meshkit import db

TABLE = "processor.classification_settings"
IS_PAUSED = "coalesce(retry_at > now(), false)"
"""The condition of tenants that wait for an attempt."""
_COLUMNS = "is_enabled, version, cursor, content, attempts, reason, retry_at"


@dataclass(frozen=True)
class Arrivals:
    """A tenant's settings and its place in the stream.

    Args:
        settings: The settings.
        version: The number of their updates.
        cursor: The cursor up to which events were read.
        attempts: The failed attempts in a row at this place.
        reason: Why the last attempt failed; empty when it did not.
        retry_at: When the next attempt may begin; None means now.
    """

    settings: pb2.ClassificationSettings
    version: int
    cursor: str
    attempts: int
    reason: str
    retry_at: datetime | None


async def read(connection: db.Connection, tenant_id: str, *, lock: bool = False) -> Arrivals | None:
    """Read a tenant's settings; None when it has none. With `lock`, they stay so until the transaction ends."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM processor.classification_settings WHERE tenant_id = $1{' FOR UPDATE' if lock else ''}",  # noqa: S608 - constants
        tenant_id,
    )
    if row is None:
        return None
    values = dict(row)
    settings = pb2.ClassificationSettings.FromString(values.pop("content"))
    settings.is_enabled = values.pop("is_enabled")
    return Arrivals(settings, **values)


async def save(
    connection: db.Connection, tenant_id: str, settings: pb2.ClassificationSettings, cursor: str, position: int
) -> None:
    """Store a tenant's settings; one that was enabled before keeps its place in the stream, and tries again at once."""
    await connection.execute(
        """
        INSERT INTO processor.classification_settings AS s
            (tenant_id, is_enabled, version, position, cursor, content, attempts, reason)
        VALUES ($1, $2, 1, $3, $4, $5, 0, '')
        ON CONFLICT (tenant_id) DO UPDATE SET is_enabled = excluded.is_enabled, content = excluded.content,
            version = s.version + 1, attempts = 0, reason = '', retry_at = NULL,
            position = CASE WHEN s.is_enabled THEN s.position ELSE excluded.position END,
            cursor = CASE WHEN s.is_enabled THEN s.cursor ELSE excluded.cursor END
        WHERE s.content <> excluded.content OR s.is_enabled <> excluded.is_enabled
        """,
        tenant_id,
        settings.is_enabled,
        position,
        cursor,
        settings.SerializeToString(deterministic=True),
    )


async def still_there(connection: db.Connection, tenant_id: str, event_ids: Sequence[str]) -> frozenset[str]:
    """Return those of a tenant's events that neither retention nor an erasure has removed."""
    rows = await connection.fetch(
        "SELECT event_id FROM processor.events WHERE tenant_id = $1 AND event_id = ANY ($2::uuid[])",
        tenant_id,
        list(event_ids),
    )
    return frozenset(str(row["event_id"]) for row in rows)


async def advance(connection: db.Connection, tenant_id: str, cursor: str, position: int) -> None:
    """Store the place up to which a tenant's events were read."""
    await connection.execute(
        """
        UPDATE processor.classification_settings
        SET cursor = $2, position = $3, attempts = 0, reason = '', retry_at = NULL WHERE tenant_id = $1
        """,
        tenant_id,
        cursor,
        position,
    )


async def put_off(connection: db.Connection, tenant_id: str, reason: str, attempts: int, seconds: float) -> None:
    """Let a tenant wait at its place, and say why, and after how many failed attempts."""
    await connection.execute(
        """
        UPDATE processor.classification_settings
        SET attempts = $3, reason = $2, retry_at = now() + make_interval(secs => $4) WHERE tenant_id = $1
        """,
        tenant_id,
        reason,
        attempts,
        seconds,
    )
