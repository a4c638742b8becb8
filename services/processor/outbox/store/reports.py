"""The statements over reports about sends."""

from collections.abc import Sequence

from services.meshkit import db
from services.processor.outbox.rows import ReportRow

_ADD = """
    INSERT INTO processor.send_reports (tenant_id, send_id, recipient, is_complaint, bounce, status, diagnostic,
        reported_at, report_message_id)
    SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::boolean[], $5::smallint[], $6::text[], $7::text[],
        $8::timestamptz[], $9::text[])
    ON CONFLICT DO NOTHING RETURNING send_id, recipient, is_complaint
"""


async def add(connection: db.Connection, tenant_id: str, rows: Sequence[ReportRow]) -> list[ReportRow]:
    """Store reports by one statement; return those that are the first of their kind about their recipient."""
    columns = [list(column) for column in zip(*(vars(row).values() for row in rows), strict=True)]
    if not columns:
        return []
    found = await connection.fetch(_ADD, tenant_id, *columns)
    first = {(str(row["send_id"]), row["recipient"], row["is_complaint"]) for row in found}
    return [row for row in rows if (row.send_id, row.recipient, row.is_complaint) in first]


async def of_send(connection: db.Connection, send_id: str) -> list[ReportRow]:
    """Read the reports about a send, oldest first; a send has at most two for each of its 500 recipients."""
    rows = await connection.fetch(
        """
        SELECT send_id::text, recipient, is_complaint, bounce, status, diagnostic, reported_at, report_message_id
        FROM processor.send_reports WHERE send_id = $1 ORDER BY reported_at, recipient, is_complaint
        """,
        send_id,
    )
    return [ReportRow(**row) for row in rows]
