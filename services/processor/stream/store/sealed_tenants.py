"""The tenants whose stored content is sealed, and how far the content that was stored before is sealed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.meshkit import db
from services.processor.stream.contents import MAX_TENANTS, SealedTenant

LEAD = timedelta(seconds=5)
"""The time between the choice and the first sealed content: in it, each process gets the key."""
SETTLE = timedelta(seconds=60)
"""The time between the choice and the pass that seals stored content, in which earlier publishers end."""
# A tenant that is erased and another that makes its choice leave the number of tenants and the sum of versions as they
# were; digests of both together differ.
_SUMMARY = """
    SELECT count(*), coalesce(sum(hashtextextended(tenant_id::text, version)), 0)::text
    FROM processor.sealed_tenants
"""
_ALL = f"""
    SELECT tenant_id::text AS tenant_id, CASE WHEN is_enabled
        THEN greatest(0, extract(epoch FROM enabled_at + $1::interval - now()))::float8 END AS seals_in_seconds
    FROM processor.sealed_tenants ORDER BY tenant_id LIMIT {MAX_TENANTS}
"""  # noqa: S608 - constants
_COLUMNS = "is_enabled, enabled_at, position, is_complete, sealed"
_DUE = """
    SELECT tenant_id::text FROM processor.sealed_tenants
    WHERE is_enabled AND NOT is_complete AND enabled_at + $1::interval <= now() AND tenant_id <> ALL ($2::uuid[])
    ORDER BY enabled_at LIMIT $3
"""
_ENABLE = """
    INSERT INTO processor.sealed_tenants AS s
        (tenant_id, is_enabled, version, enabled_at, position, is_complete, sealed)
    VALUES ($1, true, 1, now(), 0, false, 0)
    ON CONFLICT (tenant_id) DO UPDATE
    SET is_enabled = true, version = s.version + 1, enabled_at = now(), position = 0, is_complete = false
    WHERE NOT s.is_enabled
"""
_DISABLE = """
    UPDATE processor.sealed_tenants SET is_enabled = false, version = version + 1 WHERE tenant_id = $1 AND is_enabled
"""
_ADVANCE = """
    UPDATE processor.sealed_tenants SET position = $2, sealed = sealed + $3 WHERE tenant_id = $1
"""
_COMPLETE = "UPDATE processor.sealed_tenants SET is_complete = true WHERE tenant_id = $1 AND enabled_at = $2"


@dataclass(frozen=True)
class Sealing:
    """A tenant's choice, and its progress.

    Args:
        is_enabled: Whether content is sealed.
        enabled_at: When that was chosen last.
        position: The position of the last stored event that was checked.
        is_complete: Whether all content that was stored before is sealed.
        sealed: The number of rows that were sealed after they were stored.
    """

    is_enabled: bool
    enabled_at: datetime
    position: int
    is_complete: bool
    sealed: int


async def summary(connection: db.Connection) -> tuple[int, str]:
    """Return the number of tenants, and a digest that differs after each change of the list."""
    row = await connection.fetchrow(_SUMMARY)
    assert row is not None  # noqa: S101 - an aggregate has one row
    return row[0], row[1]


async def all_of(connection: db.Connection) -> list[SealedTenant]:
    """Read the tenants that have a key."""
    return [SealedTenant(**row) for row in await connection.fetch(_ALL, LEAD)]


async def read(connection: db.Connection, tenant_id: str, *, lock: bool = False) -> Sealing | None:
    """Read a tenant's choice; None when it never made one. With `lock`, it stays so until the transaction ends."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM processor.sealed_tenants WHERE tenant_id = $1{' FOR UPDATE' if lock else ''}",  # noqa: S608 - constants
        tenant_id,
    )
    return None if row is None else Sealing(**row)


async def lock_list(connection: db.Connection) -> None:
    """Wait for other choices, so that the list does not grow until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('processor.sealing', 0))")


async def is_enabled(connection: db.Connection, tenant_id: str) -> bool:
    """Return whether stored content of a tenant is sealed."""
    found = await read(connection, tenant_id)
    return found is not None and found.is_enabled


async def enable(connection: db.Connection, tenant_id: str) -> None:
    """Seal the content of a tenant; one that is sealed stays as it is."""
    await connection.execute(_ENABLE, tenant_id)


async def disable(connection: db.Connection, tenant_id: str) -> None:
    """Store the content of a tenant in the clear from now on. Its key stays for what is sealed."""
    await connection.execute(_DISABLE, tenant_id)


async def due(connection: db.Connection, settle: timedelta, without: Sequence[str], limit: int) -> Sequence[str]:
    """Read tenants whose stored content is to be sealed, but for some; the longest waiting first."""
    return [row["tenant_id"] for row in await connection.fetch(_DUE, settle, list(without), limit)]


async def advance(connection: db.Connection, tenant_id: str, position: int, sealed: int) -> None:
    """Store how far a tenant's stored content is sealed, and by how many rows it went on."""
    await connection.execute(_ADVANCE, tenant_id, position, sealed)


async def complete(connection: db.Connection, tenant_id: str, enabled_at: datetime) -> None:
    """Note that all content is sealed which a tenant had stored before a choice, unless it has chosen again since."""
    await connection.execute(_COMPLETE, tenant_id, enabled_at)
