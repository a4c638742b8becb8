"""Key-encryption keys, by id: check values, which one is written with, who has which loaded, and re-wrapping.

The keys themselves are never here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.token_vault.keys.sealing import WrappedKey
from services.token_vault.tables import key_encryption_keys, processes, tenant_keys, writing_key


@dataclass(frozen=True)
class ProcessRow:
    """A process that serves, and the keys that it has loaded."""

    process_id: str
    key_ids: tuple[str, ...]
    seen_at: datetime


async def check_values(connection: AsyncConnection) -> dict[str, bytes]:
    """Reads the check values of all keys that were ever used."""
    query = sa.select(key_encryption_keys.c.key_id, key_encryption_keys.c.check_value)
    return {row.key_id: row.check_value for row in await connection.execute(query)}


async def add_check_value(connection: AsyncConnection, key_id: str, value: bytes, now: datetime) -> None:
    """Stores a key's check value, unless another process has just done it."""
    row = {"key_id": key_id, "check_value": value, "first_seen_at": now}
    await connection.execute(insert(key_encryption_keys).values(**row).on_conflict_do_nothing())


async def writing_key_id(connection: AsyncConnection, *, lock: bool = False) -> str:
    """Says which key wraps new data keys; empty before the first start.

    Args:
        connection: Where to read.
        lock: Keeps it from changing until the transaction ends: for whoever is about to write with it.
    """
    query = sa.select(writing_key.c.key_id)
    if lock:
        query = query.with_for_update(read=True)
    return (await connection.execute(query)).scalar_one_or_none() or ""


async def set_writing_key(connection: AsyncConnection, key_id: str, *, only_first: bool = False) -> None:
    """Says which key wraps new data keys from now on. Waits for writers that still use the one before.

    Args:
        connection: In a transaction.
        key_id: A key with a check value.
        only_first: Does nothing when there is one already.
    """
    statement = insert(writing_key).values(key_id=key_id)
    if only_first:
        await connection.execute(statement.on_conflict_do_nothing())
    else:
        await connection.execute(statement.on_conflict_do_update(index_elements=["is_only"], set_={"key_id": key_id}))


async def wrapped_counts(connection: AsyncConnection) -> dict[str, int]:
    """Counts data keys by the key that wraps them."""
    column = tenant_keys.c.key_encryption_key_id
    query = sa.select(column, sa.func.count()).group_by(column)
    return dict((await connection.execute(query)).tuples().all())


async def keys_not_wrapped_by(connection: AsyncConnection, key_id: str, after: str, limit: int) -> Sequence[WrappedKey]:
    """Reads data keys that another key wraps, by tenant id, behind one."""
    columns = tenant_keys.c
    query = (
        sa.select(tenant_keys).where(columns.key_encryption_key_id != key_id).order_by(columns.tenant_id).limit(limit)
    )
    if after:
        query = query.where(columns.tenant_id > after)
    return [
        WrappedKey(row.tenant_id, row.data_key_id, row.key_encryption_key_id, row.wrapped)
        for row in await connection.execute(query)
    ]


async def replace_wrapped(connection: AsyncConnection, old: WrappedKey, new: WrappedKey) -> bool:
    """Puts a data key that was wrapped anew in the place of the old one.

    Returns:
        False when the row is not the one that was read: the tenant was disconnected, or another rotates too.
    """
    columns = tenant_keys.c
    done = await connection.execute(
        tenant_keys.update()
        .where(
            columns.tenant_id == old.tenant_id, columns.data_key_id == old.data_key_id, columns.wrapped == old.wrapped
        )
        .values(key_encryption_key_id=new.key_encryption_key_id, wrapped=new.wrapped)
    )
    return done.rowcount == 1


async def announce_process(connection: AsyncConnection, process_id: str, key_ids: Sequence[str], now: datetime) -> None:
    """Says that a process lives, and which keys it has loaded."""
    row = {"process_id": process_id, "key_ids": list(key_ids), "started_at": now, "seen_at": now}
    statement = insert(processes).values(**row)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["process_id"], set_={"seen_at": now, "key_ids": list(key_ids)})
    )


async def retire_process(connection: AsyncConnection, process_id: str) -> None:
    """Says that a process ends."""
    await connection.execute(processes.delete().where(processes.c.process_id == process_id))


async def processes_since(connection: AsyncConnection, since: datetime) -> list[ProcessRow]:
    """Reads the processes that were seen since a time."""
    query = sa.select(processes).where(processes.c.seen_at >= since).order_by(processes.c.started_at)
    return [ProcessRow(row.process_id, tuple(row.key_ids), row.seen_at) for row in await connection.execute(query)]


async def prune_processes(connection: AsyncConnection, before: datetime) -> int:
    """Forgets processes that were last seen before a time."""
    done = await connection.execute(processes.delete().where(processes.c.seen_at < before))
    return done.rowcount
