"""Key-encryption keys by id: their check values, the one that wraps new data keys, and the processes that hold them.

The keys themselves are never stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.meshkit.db import Connection, affected


@dataclass(frozen=True)
class ProcessRow:
    """A process that serves, and the keys that it has loaded."""

    process_id: str
    key_ids: tuple[str, ...]
    seen_at: datetime


_CHECK_VALUES = "SELECT key_id, check_value FROM vault.key_encryption_keys"
_ADD_CHECK_VALUE = """
INSERT INTO vault.key_encryption_keys (key_id, check_value, first_seen_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
_WRITING_KEY = "SELECT key_id FROM vault.writing_key"
_LOCK_WRITING_KEY = f"{_WRITING_KEY} FOR SHARE"
_SET_FIRST_WRITING_KEY = "INSERT INTO vault.writing_key (key_id) VALUES ($1) ON CONFLICT DO NOTHING"
_SET_WRITING_KEY = """
INSERT INTO vault.writing_key (key_id) VALUES ($1) ON CONFLICT (is_only) DO UPDATE SET key_id = excluded.key_id
"""
_ANNOUNCE = """
INSERT INTO vault.processes (process_id, key_ids, started_at, seen_at) VALUES ($1, $2, $3, $3)
ON CONFLICT (process_id) DO UPDATE SET seen_at = excluded.seen_at, key_ids = excluded.key_ids
RETURNING (SELECT key_id FROM vault.writing_key)
"""
_RETIRE = "DELETE FROM vault.processes WHERE process_id = $1"
_PROCESSES_SINCE = """
SELECT process_id::text AS process_id, key_ids, seen_at FROM vault.processes WHERE seen_at >= $1 ORDER BY started_at
"""
_PRUNE_PROCESSES = "DELETE FROM vault.processes WHERE seen_at < $1"


async def check_values(connection: Connection) -> dict[str, bytes]:
    """Read the check values of all keys that were ever used."""
    return {row["key_id"]: row["check_value"] for row in await connection.fetch(_CHECK_VALUES)}


async def add_check_value(connection: Connection, key_id: str, value: bytes, now: datetime) -> None:
    """Store a key's check value, unless another process has just stored one."""
    await connection.execute(_ADD_CHECK_VALUE, key_id, value, now)


async def writing_key_id(connection: Connection, *, lock: bool = False) -> str:
    """Return the id of the key that wraps new data keys; empty before the first start.

    Args:
        connection: A connection to the database.
        lock: Keeps the key from changing until the transaction ends. Needed by a caller that is about to wrap with it.
    """
    return await connection.fetchval(_LOCK_WRITING_KEY if lock else _WRITING_KEY) or ""


async def set_writing_key(connection: Connection, key_id: str, *, only_first: bool = False) -> None:
    """Set the key that wraps new data keys from now on. Waits for writers that still use the one before.

    Args:
        connection: In a transaction.
        key_id: A key with a check value.
        only_first: Does nothing when there is one already.
    """
    await connection.execute(_SET_FIRST_WRITING_KEY if only_first else _SET_WRITING_KEY, key_id)


async def announce_process(connection: Connection, process_id: str, key_ids: Sequence[str], now: datetime) -> str:
    """Record that a process lives, and the keys that it has loaded; return the id of the key that wraps data keys."""
    return await connection.fetchval(_ANNOUNCE, process_id, list(key_ids), now) or ""


async def retire_process(connection: Connection, process_id: str) -> None:
    """Record that a process ends."""
    await connection.execute(_RETIRE, process_id)


async def processes_since(connection: Connection, since: datetime) -> list[ProcessRow]:
    """Read the processes that were seen since a time."""
    return [
        ProcessRow(row["process_id"], tuple(row["key_ids"]), row["seen_at"])
        for row in await connection.fetch(_PROCESSES_SINCE, since)
    ]


async def prune_processes(connection: Connection, before: datetime) -> int:
    """Forget processes that were last seen before a time."""
    return affected(await connection.execute(_PRUNE_PROCESSES, before))
