"""Replication slots of the archive in the embedded PostgreSQL: each keeps the log of a series until it is archived."""

from pathlib import Path

import asyncpg

from stack.backup.archive import SERIES, new_series
from stack.backup.manifest import BackupError

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
_SLOTS = "SELECT slot_name, wal_status, active FROM pg_replication_slots WHERE slot_type = 'physical'"
_BEHIND = """
    SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), coalesce(s.write_lsn, r.restart_lsn))::bigint
    FROM pg_replication_slots r LEFT JOIN pg_stat_replication s ON s.pid = r.active_pid WHERE r.slot_name = $1
"""


async def continued_series(url: str, archive: Path) -> str:
    """Returns the series that goes on; begins one when the server has dropped the log of the last one.

    Args:
        url: The server, as its superuser.
        archive: The folder of the archive.

    Raises:
        BackupError: The folder lacks the series for which the server keeps the log, as without its disk.
        asyncpg.PostgresError: The server refuses, such as while an earlier receiver still holds the slot.
        OSError: The server cannot be reached.

    Safe to call again: yes.
    """
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=STATEMENT_SECONDS)
    try:
        for slot in await _slots(connection):
            name = str(slot["slot_name"])
            if slot["wal_status"] == "lost":
                await connection.execute("SELECT pg_drop_replication_slot($1)", name)
            elif (archive / name).is_dir():
                return name
            else:
                # Without its slot the log up to the disk's return would be lost to the archive.
                raise BackupError(
                    f"{archive} lacks {name}: mount its disk; to begin a new archive, start once without --wal-archive"
                )
        name = new_series()
        await connection.execute("SELECT pg_create_physical_replication_slot($1, true)", name)
        return name
    finally:
        await connection.close()


async def drop_unused(url: str) -> None:
    """Drops the slots of archives that no receiver writes any more, so that the server keeps no log for them.

    Safe to call again: yes.
    """
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=STATEMENT_SECONDS)
    try:
        for slot in await _slots(connection):
            if not slot["active"]:
                await connection.execute("SELECT pg_drop_replication_slot($1)", slot["slot_name"])
    finally:
        await connection.close()


async def bytes_behind(url: str) -> int | None:
    """Returns how much of the log the archive lacks, in bytes; None while no receiver writes it.

    Args:
        url: The server, as its superuser.

    Raises:
        asyncpg.PostgresError: The server refuses.
        OSError: The server cannot be reached.
    """
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=STATEMENT_SECONDS)
    try:
        for slot in await _slots(connection):
            if slot["active"]:
                return int(await connection.fetchval(_BEHIND, slot["slot_name"]))
        return None
    finally:
        await connection.close()


async def _slots(connection: "asyncpg.Connection[asyncpg.Record]") -> "list[asyncpg.Record]":
    return [slot for slot in await connection.fetch(_SLOTS) if SERIES.fullmatch(slot["slot_name"])]
