"""The statements over reports that came before the Message-ID of their send was known."""

from datetime import datetime

from mailmesh.mail.v1 import message_pb2
from services.meshkit import db

MAX_WAITING = 200
"""The number of waiting reports of one tenant; the oldest gives way to the newest, as the wait is for minutes."""
_MIGHT_FIT = """
    SELECT EXISTS (
        SELECT FROM processor.sends
        WHERE tenant_id = $1 AND internet_message_id = '' AND (submitted_at IS NOT NULL OR resolutions > 0))
"""
_KEEP = """
    INSERT INTO processor.waiting_reports (tenant_id, internet_message_id, report_message_id, report, reported_at)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""
_CUT = """
    DELETE FROM processor.waiting_reports
    WHERE tenant_id = $1 AND (internet_message_id, report_message_id) IN (
        SELECT internet_message_id, report_message_id FROM processor.waiting_reports WHERE tenant_id = $1
        ORDER BY reported_at DESC, internet_message_id, report_message_id OFFSET $2)
"""
_TAKE = """
    DELETE FROM processor.waiting_reports WHERE tenant_id = $1 AND internet_message_id = $2
    RETURNING report_message_id, report, reported_at
"""
_DELETE_OLD = """
    DELETE FROM processor.waiting_reports WHERE (tenant_id, internet_message_id, report_message_id) IN (
        SELECT tenant_id, internet_message_id, report_message_id FROM processor.waiting_reports
        WHERE reported_at < $1 ORDER BY reported_at LIMIT $2)
"""


async def might_fit(connection: db.Connection, tenant_id: str) -> bool:
    """Return whether a tenant has a submitted mail whose Message-ID is not known: only then is a report worth it."""
    return bool(await connection.fetchval(_MIGHT_FIT, tenant_id))


async def keep(
    connection: db.Connection, tenant_id: str, message_id: str, report: message_pb2.DeliveryReport, at: datetime
) -> None:
    """Keep a report under the one Message-ID that it cites. Safe to call again."""
    content = report.SerializeToString()
    await connection.execute(_KEEP, tenant_id, report.original_message_id, message_id, content, at)


async def cut(connection: db.Connection, tenant_id: str, most: int = MAX_WAITING) -> None:
    """Delete the oldest waiting reports of a tenant above a number."""
    await connection.execute(_CUT, tenant_id, most)


async def take(
    connection: db.Connection, tenant_id: str, internet_message_id: str
) -> list[tuple[str, message_pb2.DeliveryReport, datetime]]:
    """Delete and return the reports that cite a mail, oldest first: the id of each mail, the report, and its time."""
    rows = await connection.fetch(_TAKE, tenant_id, internet_message_id)
    found = [
        (row["report_message_id"], message_pb2.DeliveryReport.FromString(row["report"]), row["reported_at"])
        for row in rows
    ]
    return sorted(found, key=lambda one: (one[2], one[0]))


async def delete_old(connection: db.Connection, before: datetime, limit: int) -> int:
    """Delete reports that no send was found for since a time; return their number."""
    return db.affected(await connection.execute(_DELETE_OLD, before, limit))
