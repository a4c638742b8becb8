"""The settings of tenants, each with its key and the place in the stream up to which its mail is indexed."""

from dataclasses import dataclass, field

from services.meshkit import db

TABLE = "processor.search_settings"
_COLUMNS = "is_enabled, is_clearing, key, cursor, mails"


@dataclass(frozen=True)
class Index:
    """A tenant's index.

    Args:
        is_enabled: Whether mail is indexed.
        is_clearing: Whether mails of an index that was disabled are left; they are deleted before others are indexed.
        key: The key of the digests.
        cursor: The cursor up to which events were read.
        mails: The number of indexed mails.
    """

    is_enabled: bool
    is_clearing: bool
    key: bytes = field(repr=False)
    cursor: str
    mails: int


async def read(connection: db.Connection, tenant_id: str, *, lock: bool = False) -> Index | None:
    """Read a tenant's index; None when it has none. With `lock`, it stays so until the transaction ends."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM processor.search_settings WHERE tenant_id = $1{' FOR UPDATE' if lock else ''}",  # noqa: S608 - constants
        tenant_id,
    )
    return None if row is None else Index(**dict(row))


async def is_indexed(connection: db.Connection, tenant_id: str) -> bool:
    """Return whether a tenant's mail is indexed."""
    found = await read(connection, tenant_id)
    return found is not None and found.is_enabled


async def enable(connection: db.Connection, tenant_id: str, key: bytes, cursor: str, position: int) -> None:
    """Begin an index at a place in the stream; one that is enabled stays as it is."""
    await connection.execute(
        """
        INSERT INTO processor.search_settings AS s
            (tenant_id, is_enabled, is_clearing, key, cursor, position, mails) VALUES ($1, true, false, $2, $3, $4, 0)
        ON CONFLICT (tenant_id) DO UPDATE
        SET is_enabled = true, key = excluded.key, cursor = excluded.cursor, position = excluded.position
        WHERE NOT s.is_enabled
        """,
        tenant_id,
        key,
        cursor,
        position,
    )


async def disable(connection: db.Connection, tenant_id: str) -> None:
    """End an index: its key is gone at once, its mails are deleted after that."""
    await connection.execute(
        """
        UPDATE processor.search_settings SET is_enabled = false, is_clearing = true, key = '', cursor = '', position = 0
        WHERE tenant_id = $1 AND is_enabled
        """,
        tenant_id,
    )


async def advance(connection: db.Connection, tenant_id: str, cursor: str, position: int, mails: int) -> None:
    """Store the place up to which a tenant's events were read, and by how many its mails have grown."""
    await connection.execute(
        "UPDATE processor.search_settings SET cursor = $2, position = $3, mails = mails + $4 WHERE tenant_id = $1",
        tenant_id,
        cursor,
        position,
        mails,
    )


async def shrink(connection: db.Connection, tenant_id: str, mails: int, *, is_clear: bool) -> None:
    """Count deleted mails. With `is_clear`, none is left of an index that was disabled."""
    await connection.execute(
        """
        UPDATE processor.search_settings SET mails = CASE WHEN $3 THEN 0 ELSE mails - $2 END,
            is_clearing = is_clearing AND NOT $3
        WHERE tenant_id = $1
        """,
        tenant_id,
        mails,
        is_clear,
    )
