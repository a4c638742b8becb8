"""Find the messages that reports cite, and keep reports that came before the copy of their message."""

from datetime import datetime

from mailmesh.conversation.v1 import conversation_pb2 as pb2
from mailmesh.mail.v1 import message_pb2
from services.meshkit import db
from services.processor.conversations.bounces import Report

MAX_WAITING = 200
"""The number of waiting reports of one tenant; the oldest gives way to the newest, as the wait is for minutes."""


async def sent(connection: db.Connection, tenant_id: str, digest: bytes) -> pb2.ConversationMessage | None:
    """Return the message of a conversation that the mailbox sent with a Message-ID; None when there is none."""
    rows = await connection.fetch(
        """
        SELECT m.content FROM processor.conversation_links AS l
        JOIN processor.conversation_messages AS m
            ON m.tenant_id = l.tenant_id AND m.conversation_id = l.conversation_id AND m.own_id = l.digest
        WHERE l.tenant_id = $1 AND l.digest = $2 AND l.is_own ORDER BY m.message_id LIMIT 20
        """,
        tenant_id,
        digest,
    )
    found = [pb2.ConversationMessage.FromString(row["content"]) for row in rows]
    return next((one for one in found if one.direction == pb2.DIRECTION_OUTBOUND), None)


async def keep(connection: db.Connection, tenant_id: str, digest: bytes, report: Report, at: datetime) -> None:
    """Keep a report until its message comes. Safe to call again."""
    content = message_pb2.DeliveryReport(recipients=report.recipients).SerializeToString()
    await connection.execute(
        """
        INSERT INTO processor.conversation_reports (tenant_id, digest, message_id, report, reported_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
        """,
        tenant_id,
        digest,
        report.message_id,
        content,
        at,
    )
    await connection.execute(
        """
        DELETE FROM processor.conversation_reports WHERE tenant_id = $1 AND (digest, message_id) IN (
            SELECT digest, message_id FROM processor.conversation_reports WHERE tenant_id = $1
            ORDER BY reported_at DESC, digest, message_id OFFSET $2)
        """,
        tenant_id,
        MAX_WAITING,
    )


async def take(connection: db.Connection, tenant_id: str, digest: bytes) -> list[Report]:
    """Delete and return the reports that wait for a message."""
    rows = await connection.fetch(
        "DELETE FROM processor.conversation_reports WHERE tenant_id = $1 AND digest = $2 RETURNING message_id, report",
        tenant_id,
        digest,
    )
    found = [Report(row["message_id"], message_pb2.DeliveryReport.FromString(row["report"]).recipients) for row in rows]
    return sorted(found, key=lambda one: one.message_id)


async def delete_old(connection: db.Connection, before: datetime, limit: int) -> int:
    """Delete reports whose message has not come since a time; return their number."""
    return db.affected(
        await connection.execute(
            """
            DELETE FROM processor.conversation_reports WHERE (tenant_id, digest, message_id) IN (
                SELECT tenant_id, digest, message_id FROM processor.conversation_reports
                WHERE reported_at < $1 ORDER BY reported_at LIMIT $2)
            """,
            before,
            limit,
        )
    )
