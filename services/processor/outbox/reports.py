"""Match bounces and complaints with sends: one counts only when it cites what we sent, to whom we sent it.

Anybody can write a report, and every recipient of a mail knows its Message-ID. A report counts for a recipient of that
very mail alone, once, and only in the mailbox that sent it.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from mailmesh.mail.v1 import message_pb2
from services.meshkit import db
from services.processor.outbox.rows import MailCopy, ReportRow, SendRow
from services.processor.outbox.send_event import send_event
from services.processor.outbox.store import reports, sends, waiting_reports
from services.processor.stream.publish import EventDraft
from services.processor.stream.store import tenants


async def matched(
    connection: db.Connection,
    tenant_id: str,
    mails: Mapping[str, message_pb2.MailMessage],
    own: Mapping[str, str],
    at: datetime,
) -> list[EventDraft]:
    """Store the reports that fit sends of a tenant, as the last step before the caller publishes and commits.

    A report that fits no send waits while a send may still learn its Message-ID, see `waited`.

    Args:
        connection: A connection in a transaction of the caller's, which holds the mailbox.
        tenant_id: The tenant whose mailbox has the mails.
        mails: Mails with a report, and mails of the tenant's own sends, by message id.
        own: The ids of the sends by message id.
        at: The present time.

    Returns:
        The events "send.bounced" and "send.complained" of reports that are new. Safe to call again: a report of the
        same recipient is stored once.
    """
    drafts = []
    for message_id, send_id in own.items():
        drafts += await _late(connection, tenant_id, message_id, send_id, mails[message_id])
    cited = {
        message_id: mail.report
        for message_id, mail in mails.items()
        if mail.HasField("report") and mail.report.original_message_id
    }
    ids = [report.original_message_id for report in cited.values()]
    rows = await sends.by_internet_ids(connection, tenant_id, ids) if ids else []
    by_id = {row.internet_message_id: row for row in rows}
    for message_id, report in cited.items():
        if (row := by_id.get(report.original_message_id)) is not None:
            drafts += await _stored(connection, row, message_id, report, at)
    await _keep(
        connection, tenant_id, {key: one for key, one in cited.items() if one.original_message_id not in by_id}, at
    )
    return drafts


async def waited(connection: db.Connection, row: SendRow) -> list[EventDraft]:
    """Store the reports that came before a send's Message-ID was known; for the transaction that stores this id.

    Args:
        connection: A connection in a transaction of the caller's, which holds the mailbox.
        row: The send, with its Message-ID.

    Returns:
        The events of the reports, to be published after that of the outcome.
    """
    drafts = []
    for message_id, report, at in await waiting_reports.take(connection, row.tenant_id, row.internet_message_id):
        drafts += await _stored(connection, row, message_id, report, at)
    return drafts


async def _late(
    connection: db.Connection, tenant_id: str, message_id: str, send_id: str, mail: message_pb2.MailMessage
) -> list[EventDraft]:
    """Store the ids of a sent copy that appeared after the workers had stopped looking for it."""
    if mail.is_draft or not mail.internet_message_id:
        return []
    copy = MailCopy(
        message_id,
        is_draft=False,
        internet_message_id=mail.internet_message_id,
        thread_id=mail.thread.provider_thread_id,
    )
    row = await sends.stamp(connection, tenant_id, send_id, copy)
    return [] if row is None else await waited(connection, row)


async def _keep(
    connection: db.Connection, tenant_id: str, unknown: Mapping[str, message_pb2.DeliveryReport], at: datetime
) -> None:
    if not unknown or not await waiting_reports.might_fit(connection, tenant_id):
        return
    for message_id, report in unknown.items():
        await waiting_reports.keep(connection, tenant_id, message_id, report, at)
    await waiting_reports.cut(connection, tenant_id)


async def _stored(
    connection: db.Connection, row: SendRow, message_id: str, report: message_pb2.DeliveryReport, at: datetime
) -> list[EventDraft]:
    new = [one for one in _fitting(row, message_id, report, at) if await reports.add(connection, row.tenant_id, one)]
    if not new:
        return []
    account = await tenants.account_of(connection, row.tenant_id)
    return [_event(row, account, one) for one in new]


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


def _event(row: SendRow, account: tuple[str, str], report: ReportRow) -> EventDraft:
    event = send_event(row, account, "send.complained" if report.is_complaint else "send.bounced")
    event.diagnostic, event.recipient, event.status = report.diagnostic, report.recipient, report.status
    event.bounce = report.bounce  # type: ignore[assignment]
    event.report_message_id = report.report_message_id
    event.received_at.FromDatetime(report.reported_at)
    return EventDraft(send=event, change_id=f"{row.send_id}:{report.recipient}")
