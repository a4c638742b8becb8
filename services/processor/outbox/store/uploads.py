"""The statements over uploaded files."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.meshkit import db
from services.processor.stream.contents import CONTENTS


@dataclass(frozen=True)
class UploadRow:
    """An uploaded file, without its bytes.

    Args:
        upload_id: The file's UUID.
        tenant_id: The UUID of the tenant whose mails may have it.
        name: Its file name.
        content_type: Its media type.
        size_bytes: The size of the whole file.
        received_bytes: The number of bytes received, from the beginning without a gap.
        expires_at: When a send does not take it any more.
    """

    upload_id: str
    tenant_id: str
    name: str
    content_type: str
    size_bytes: int
    received_bytes: int
    expires_at: datetime


_COLUMNS = "upload_id::text, tenant_id::text, name, content_type, size_bytes, received_bytes, expires_at"


async def insert(connection: db.Connection, row: UploadRow, key_id: str | None) -> None:
    """Insert a file of which nothing was received."""
    await connection.execute(
        "INSERT INTO processor.uploads (upload_id, tenant_id, name, content_type, size_bytes, expires_at, key_id)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        row.upload_id,
        row.tenant_id,
        row.name,
        row.content_type,
        row.size_bytes,
        row.expires_at,
        key_id,
    )


async def lock(connection: db.Connection, tenant_id: str, upload_id: str) -> UploadRow | None:
    """Read and lock a file of a tenant that a send still takes."""
    found = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM processor.uploads"  # noqa: S608 - constants
        " WHERE upload_id = $1 AND tenant_id = $2 AND expires_at > now() FOR UPDATE",
        upload_id,
        tenant_id,
    )
    return None if found is None else UploadRow(**found)


async def append(connection: db.Connection, row: UploadRow, content: bytes) -> UploadRow:
    """Add a part at the end of what was received."""
    await connection.execute(
        "INSERT INTO processor.upload_parts (upload_id, start_byte, content, is_sealed) VALUES ($1, $2, $3, $4)",
        row.upload_id,
        row.received_bytes,
        CONTENTS.seal(row.tenant_id, content, *_owner(row.upload_id, row.received_bytes)),
        bool(content) and CONTENTS.is_sealing(row.tenant_id),
    )
    found = await connection.fetchrow(
        "UPDATE processor.uploads SET received_bytes = received_bytes + $2"  # noqa: S608 - constants
        f" WHERE upload_id = $1 RETURNING {_COLUMNS}",
        row.upload_id,
        len(content),
    )
    assert found is not None  # noqa: S101 - the caller has locked it
    return UploadRow(**found)


async def attach(connection: db.Connection, send_id: str, upload_ids: Sequence[str]) -> None:
    """Keep files until a send has its outcome."""
    await connection.execute(
        "INSERT INTO processor.send_files (send_id, upload_id) SELECT $1, unnest($2::uuid[])",
        send_id,
        list(upload_ids),
    )


async def detach(connection: db.Connection, send_id: str) -> None:
    """Let the files of a send go. Safe to call again."""
    await connection.execute("DELETE FROM processor.send_files WHERE send_id = $1", send_id)


async def bytes_of(connection: db.Connection, send_id: str) -> int:
    """Return the size of a send's files together."""
    return int(
        await connection.fetchval(
            "SELECT coalesce(sum(u.size_bytes), 0) FROM processor.uploads u JOIN processor.send_files f"
            " USING (upload_id) WHERE f.send_id = $1",
            send_id,
        )
    )


async def read(connection: db.Connection, send_id: str, upload_id: str) -> tuple[str, str, bytes] | None:
    """Read a file of a send: its name, its media type and its bytes."""
    found = await connection.fetchrow(
        """
        SELECT u.name, u.content_type, u.tenant_id
        FROM processor.uploads u JOIN processor.send_files f USING (upload_id)
        WHERE f.send_id = $1 AND u.upload_id = $2
        """,
        send_id,
        upload_id,
    )
    if found is None:
        return None
    parts = await connection.fetch(
        "SELECT upload_id, start_byte, content, is_sealed FROM processor.upload_parts"
        " WHERE upload_id = $1 ORDER BY start_byte",
        upload_id,
    )
    content = b"".join(opened_part(found["tenant_id"], part) for part in parts)
    return found["name"], found["content_type"], content


def opened_part(tenant_id: Any, row: Any) -> bytes:
    """Return the bytes of a part. Raises `ContentKeyUnavailable`, `SealBroken`."""
    content: bytes = row["content"]
    if not row["is_sealed"]:
        return content
    return CONTENTS.open_sealed(tenant_id, content, *_owner(row["upload_id"], row["start_byte"]))


async def seal_some(connection: db.Connection, tenant_id: str) -> int:
    """Seal some stored parts of a tenant's files; return how many. Raises `ContentKeyUnavailable`."""
    rows = await connection.fetch(
        """
        SELECT p.upload_id, p.start_byte, p.content FROM processor.upload_parts p
        JOIN processor.uploads u USING (upload_id)
        WHERE u.tenant_id = $1 AND NOT p.is_sealed AND p.content <> '' ORDER BY p.upload_id, p.start_byte
        LIMIT 4 FOR UPDATE OF p
        """,
        tenant_id,
    )
    for row in rows:
        sealed = CONTENTS.seal(tenant_id, row["content"], *_owner(row["upload_id"], row["start_byte"]))
        await connection.execute(
            "UPDATE processor.upload_parts SET content = $3, is_sealed = true WHERE upload_id = $1 AND start_byte = $2",
            row["upload_id"],
            row["start_byte"],
            sealed,
        )
    return len(rows)


def _owner(upload_id: Any, start_byte: int) -> tuple[str, str, str]:
    return "upload", str(upload_id), str(start_byte)


async def delete_expired(connection: db.Connection, limit: int) -> int:
    """Delete files that no send takes any more and none needs; return their number."""
    return db.affected(
        await connection.execute(
            """
            DELETE FROM processor.uploads WHERE upload_id IN (
                SELECT u.upload_id FROM processor.uploads u WHERE u.expires_at < now() AND NOT EXISTS (
                    SELECT FROM processor.send_files f WHERE f.upload_id = u.upload_id)
                ORDER BY u.expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
            """,
            limit,
        )
    )
