"""The statements over the marks of processed mails."""

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.meshkit import db

_PUT = """
    INSERT INTO processor.processed_marks (tenant_id, mark, change) VALUES ($1, $2, $3)
    ON CONFLICT (tenant_id) DO UPDATE SET mark = excluded.mark, change = excluded.change
"""


async def put(connection: db.Connection, tenant_id: str, mark: pb2.ProcessedMark, change: pb2.MessageChange) -> None:
    """Store a tenant's mark."""
    await connection.execute(_PUT, tenant_id, mark.SerializeToString(), change.SerializeToString())


async def get(connection: db.Connection, tenant_id: str) -> tuple[pb2.ProcessedMark, pb2.MessageChange] | None:
    """Read a tenant's mark, and the change that it means; None when it has none."""
    row = await connection.fetchrow(
        "SELECT mark, change FROM processor.processed_marks WHERE tenant_id = $1", tenant_id
    )
    if row is None:
        return None
    return pb2.ProcessedMark.FromString(row["mark"]), pb2.MessageChange.FromString(row["change"])
