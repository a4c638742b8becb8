"""The statements over reports about sends."""

from services.meshkit import db
from services.processor.outbox.rows import ReportRow


async def add(connection: db.Connection, tenant_id: str, row: ReportRow) -> bool:
    """Store a report; return whether it is the first of its kind about the recipient."""
    found = await connection.execute(
        """
        INSERT INTO processor.send_reports (tenant_id, send_id, recipient, is_complaint, bounce, status, diagnostic,
            reported_at, report_message_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
        """,
        tenant_id,
        *vars(row).values(),
    )
    return db.affected(found) > 0


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
