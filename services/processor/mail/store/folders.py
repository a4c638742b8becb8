"""Folders of Microsoft mailboxes: how far each has been compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.meshkit import db


@dataclass(frozen=True)
class FolderCursor:
    """The progress of one folder's reconciliation.

    Args:
        folder_id: The folder's id.
        alias: The well-known name that a subscription uses for it; empty when none does.
        link: The link to continue with; empty to begin with everything in the folder.
        is_complete: Whether no round is under way: then `link` begins the next one.
        is_full: Whether the round under way lists everything in the folder, not only changes.
        has_baseline: Whether everything in the folder was listed once.
        round_started_at: When the round under way began.
        completed_at: When a round last ended.
    """

    folder_id: str
    alias: str
    link: str
    is_complete: bool
    is_full: bool
    has_baseline: bool
    round_started_at: datetime
    completed_at: datetime | None


_COLUMNS = "folder_id, alias, link, is_complete, is_full, has_baseline, round_started_at, completed_at"


async def load(connection: db.Connection, tenant_id: str) -> list[FolderCursor]:
    """Read all known folders of a mailbox."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.folder_cursors WHERE tenant_id = $1",  # noqa: S608 - constants
        tenant_id,
    )
    return [FolderCursor(**dict(row)) for row in rows]


async def add(connection: db.Connection, tenant_id: str, folder_id: str, alias: str) -> None:
    """Insert a folder; an existing one keeps its progress and gets the alias. Safe to call again."""
    await connection.execute(
        """
        INSERT INTO processor.folder_cursors AS f (tenant_id, folder_id, alias, is_complete, round_started_at)
        VALUES ($1, $2, $3, true, now())
        ON CONFLICT (tenant_id, folder_id) DO UPDATE SET alias = excluded.alias
        WHERE f.alias = '' AND excluded.alias <> ''
        """,
        tenant_id,
        folder_id,
        alias,
    )


async def move(connection: db.Connection, tenant_id: str, folder_id: str, link: str, started_at: datetime) -> None:
    """Store the next page of the round under way, and the time when the round began."""
    await connection.execute(
        """
        UPDATE processor.folder_cursors SET link = $3, is_complete = false, round_started_at = $4
        WHERE tenant_id = $1 AND folder_id = $2
        """,
        tenant_id,
        folder_id,
        link,
        started_at,
    )


async def complete(connection: db.Connection, tenant_id: str, folder_id: str, link: str, started_at: datetime) -> None:
    """End the round: the next one returns the changes from here on.

    Args:
        connection: A connection in a transaction.
        tenant_id: The tenant's UUID.
        folder_id: The folder's id.
        link: The link that begins the next round.
        started_at: When this round began: every change before this time is included.
    """
    await connection.execute(
        """
        UPDATE processor.folder_cursors
        SET link = $3, is_full = false, is_complete = true, has_baseline = true, completed_at = $4
        WHERE tenant_id = $1 AND folder_id = $2
        """,
        tenant_id,
        folder_id,
        link,
        started_at,
    )


async def restart(connection: db.Connection, tenant_id: str, folder_id: str) -> None:
    """Start again with everything in the folder, since the provider no longer knows the link."""
    await connection.execute(
        """
        UPDATE processor.folder_cursors SET link = '', is_full = true, is_complete = true
        WHERE tenant_id = $1 AND folder_id = $2
        """,
        tenant_id,
        folder_id,
    )


async def forget(connection: db.Connection, tenant_id: str, folder_ids: Sequence[str]) -> None:
    """Delete folders that are gone."""
    await connection.execute(
        "DELETE FROM processor.folder_cursors WHERE tenant_id = $1 AND folder_id = ANY($2::text[])",
        tenant_id,
        list(folder_ids),
    )
