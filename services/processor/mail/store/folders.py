"""Folders of Microsoft mailboxes: how far each has been compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.processor.connection import Connection


@dataclass(frozen=True)
class FolderCursor:
    """How far one folder has been compared.

    Args:
        folder_id: The folder.
        alias: The well-known name by which a subscription calls it; empty when none does.
        link: Where to go on; empty to begin with all that is in the folder.
        is_complete: No round is under way: `link` begins the next one.
        is_full: The round under way lists all that is in the folder, not only what changed.
        has_baseline: All that was in the folder was listed once.
        round_started_at: When the round under way began.
        completed_at: When a round last came to its end.
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


async def load(connection: Connection, tenant_id: str) -> list[FolderCursor]:
    """Reads all folders of a mailbox that are known."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM processor.folder_cursors WHERE tenant_id = $1",  # noqa: S608 - constants
        tenant_id,
    )
    return [FolderCursor(**dict(row)) for row in rows]


async def add(connection: Connection, tenant_id: str, folder_id: str, alias: str) -> None:
    """Notes a folder; one that is there keeps what it has, and takes an alias. Safe to call again."""
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


async def move(connection: Connection, tenant_id: str, folder_id: str, link: str, started_at: datetime) -> None:
    """Notes the next page of the round under way, and when the round began."""
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


async def complete(connection: Connection, tenant_id: str, folder_id: str, link: str, started_at: datetime) -> None:
    """Ends the round: the next one gives what changes from here on.

    Args:
        connection: In a transaction.
        tenant_id: Whose.
        folder_id: The folder.
        link: Where the next round begins.
        started_at: When this round began: all that happened before is in.
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


async def restart(connection: Connection, tenant_id: str, folder_id: str) -> None:
    """Begins anew with all that is in the folder, since the provider has forgotten the link."""
    await connection.execute(
        """
        UPDATE processor.folder_cursors SET link = '', is_full = true, is_complete = true
        WHERE tenant_id = $1 AND folder_id = $2
        """,
        tenant_id,
        folder_id,
    )


async def forget(connection: Connection, tenant_id: str, folder_ids: Sequence[str]) -> None:
    """Forgets folders that are gone."""
    await connection.execute(
        "DELETE FROM processor.folder_cursors WHERE tenant_id = $1 AND folder_id = ANY($2::text[])",
        tenant_id,
        list(folder_ids),
    )
