"""The statements over the count of the bytes that callers' requests keep; triggers of the tables keep it."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.meshkit import db

ROW_BYTES = 1024
"""The bytes that each row counts besides its values; the number of the schema's 0009."""
# It waits for no submission, which locks its holders in their order.
_DELETE_EMPTY = """
    DELETE FROM processor.kept_bytes WHERE holder IN (
        SELECT holder FROM processor.kept_bytes WHERE bytes = 0 ORDER BY holder FOR UPDATE SKIP LOCKED
    )
"""


@dataclass(frozen=True)
class Kept:
    """The bytes that a tenant or an API key keeps.

    Args:
        total: The bytes of sends, uploads and modifications.
        uploads: The bytes of the uploads alone, without those of their rows.
    """

    total: int
    uploads: int


async def lock(connection: db.Connection, holders: Iterable[str]) -> dict[str, Kept]:
    """Read and lock the counts of tenants and keys: no other submission of theirs is counted before the commit.

    Args:
        connection: A connection in a transaction.
        holders: The UUIDs of tenants and API keys. They are locked in their order, as by the triggers.

    Returns:
        The counts by UUID.
    """
    rows = await connection.fetch(
        "INSERT INTO processor.kept_bytes AS kept (holder) SELECT unnest($1::uuid[])"
        " ON CONFLICT (holder) DO UPDATE SET bytes = kept.bytes RETURNING holder::text, bytes, upload_bytes",
        sorted(set(holders)),
    )
    return {row["holder"]: Kept(row["bytes"], row["upload_bytes"]) for row in rows}


async def delete_empty(connection: db.Connection) -> int:
    """Delete the counts of tenants and keys that keep nothing; return their number."""
    return db.affected(await connection.execute(_DELETE_EMPTY))
