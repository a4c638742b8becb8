"""Match bounces and complaints with sends: one counts only when it cites what we sent, to whom we sent it.

Anybody can write a report, and every recipient of a mail knows its Message-ID. A report counts for a recipient of that
very mail alone, once, and only in the mailbox that sent it.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.processor.outbox.rows import ReportRow, SendRow
from services.processor.outbox.store import reports, sends
from services.processor.stream.publish import EventDraft
from services.processor.stream.store import tenants


async def matched(
    connection: db.Connection, tenant_id: str, mails: Mapping[str, message_pb2.MailMessage], at: datetime
) -> list[EventDraft]:
    """Store the reports that fit sends of a tenant, as the last step before the caller publishes and commits.

    Args:
        connection: A connection in a transaction of the caller's.
        tenant_id: The tenant whose mailbox has the mails.
        mails: Mails with a report, by message id.
        at: The present time.

    Returns:
        The events "send.bounced" and "send.complained" of reports that are new. Safe to call again: a report of the
        same recipient is stored once.
    """
    cited = [mail.report.original_message_id for mail in mails.values() if mail.report.original_message_id]
    rows = await sends.by_internet_ids(connection, tenant_id, cited) if cited else []
    by_id = {row.internet_message_id: row for row in rows}
    fitting = [
        (row, report)
        for message_id, mail in mails.items()
        if (row := by_id.get(mail.report.original_message_id)) is not None
        for report in _fitting(row, message_id, mail.report, at)
    ]
    return [
        await _event(connection, row, report)
        for row, report in fitting
        if await reports.add(connection, tenant_id, report)
    ]


def _fitting(row: SendRow, message_id: str, report: message_pb2.DeliveryReport, at: datetime) -> Iterator[ReportRow]:
    mail = row.mail
    written = {one.address.lower(): one.address for one in (*mail.to, *mail.cc, *mail.bcc)}
    is_complaint = bool(report.feedback_type)
    for one in report.recipients:
        address = written.get(one.address.lower())
        if address is None or not (is_complaint or one.bounce):
            continue
        status = report.feedback_type if is_complaint else one.status
        yield ReportRow(row.send_id, address, is_complaint, one.bounce, status, one.diagnostic, at, message_id)


async def _event(connection: db.Connection, row: SendRow, report: ReportRow) -> EventDraft:
    external_tenant_id, user_id = await tenants.account_of(connection, row.tenant_id)
    kind = "send.complained" if report.is_complaint else "send.bounced"
    event = event_pb2.SendEvent(
        provider=row.provider,
        tenant_id=row.tenant_id,
        external_tenant_id=external_tenant_id,
        user_id=user_id,
        event_type=kind,
        correlation_id=row.correlation_id,
        diagnostic=report.diagnostic,
        send_id=row.send_id,
        idempotency_key=row.idempotency_key,
        message_id=row.message_id,
        internet_message_id=row.internet_message_id,
        provider_thread_id=row.provider_thread_id,
        recipient=report.recipient,
        bounce=report.bounce,  # type: ignore[arg-type]
        status=report.status,
        report_message_id=report.report_message_id,
    )
    event.received_at.FromDatetime(report.reported_at)
    return EventDraft(send=event, change_id=f"{row.send_id}:{report.recipient}")
