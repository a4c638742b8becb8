"""The outcome of a send: its state and its event, in one transaction."""

from datetime import datetime
from typing import Any

from services.meshkit import db
from services.processor.outbox.reports import waited
from services.processor.outbox.rows import UNSUBMITTED, MailCopy, SendRow, State
from services.processor.outbox.send_event import send_event
from services.processor.outbox.store import sends, uploads
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.store import tenants

_EVENTS = {
    State.SENT: "send.sent", State.DRAFTED: "send.drafted", State.FAILED: "send.failed",
    State.UNCERTAIN: "send.uncertain",
}  # fmt: skip
IN_DOUBT = "SEND_OUTCOME_UNKNOWN"
_DETAIL_CHARACTERS = 500


async def finish(
    connection: db.Connection,
    row: SendRow,
    state: State,
    at: datetime,
    *,
    reason: str = "",
    detail: str = "",
    copy: MailCopy | None = None,
    is_resolved: bool = False,
) -> SendRow | None:
    """Store the outcome of a send and publish its event, as the last step before the caller's commit.

    Bounces and complaints that came before the Message-ID of the sent copy was known are published with it.

    Args:
        connection: A connection in a transaction of the caller's.
        row: The send as the caller has read it.
        state: SENT, DRAFTED, FAILED, UNCERTAIN or CANCELLED; a cancelled send makes no event. A mail that is not sent
            stays due once more where a draft of it may exist: a worker deletes it. A mail that a person had sent again
            is never reported as not sent: its first submission is in doubt, so it becomes UNCERTAIN, and `detail` has
            why.
        at: The present time.
        reason: The reason from the error catalogue.
        detail: A sentence for people.
        copy: The sent copy, where it was found.
        is_resolved: Whether a person decided.

    Returns:
        The send, or None when another process has changed its state meanwhile: then nothing is published.
    """
    if row.resolutions and state in (State.FAILED, State.CANCELLED):
        detail = f"not sent again, and the first submission is in doubt: {reason} {detail}".rstrip()
        state, reason = State.UNCERTAIN, IN_DOUBT
    values: dict[str, Any] = {
        "state": state,
        "reason": reason,
        "detail": detail[:_DETAIL_CHARACTERS],
        "due_at": at if row.prepared_at is not None and state in (State.FAILED, State.CANCELLED) else None,
        "finished_at": at,
        "is_resolved": is_resolved,
    }
    if is_resolved:
        values["resolutions"] = row.resolutions + 1
    if copy is not None:
        values |= {
            "message_id": copy.message_id,
            "internet_message_id": copy.internet_message_id,
            "provider_thread_id": copy.thread_id,
        }
    if state is not State.UNCERTAIN:  # a person may still have it sent
        values["body"] = b""
    finished = await sends.change(connection, row.send_id, [row.state], values)
    if finished is not None and state is not State.UNCERTAIN and (row.content.attachments or row.is_broken):
        await uploads.detach(connection, row.send_id)
    if finished is not None and state in _EVENTS:
        late = await waited(connection, finished) if copy is not None and copy.internet_message_id else []
        await publish(connection, [await _event(connection, finished), *late])
    return finished


async def end(
    connection: db.Connection, row: SendRow, at: datetime, why: str, reason: str = "SEND_EXPIRED"
) -> SendRow | None:
    """End a send that is not acted on any more, as the last step before the caller's commit; see `finish`.

    Args:
        connection: A connection in a transaction of the caller's.
        row: The send as it is stored. One that has its outcome already keeps it, and its drafts.
        at: The present time.
        why: The last failure.
        reason: The reason for one that was not submitted.

    Returns:
        The send, or None when it had its outcome, or another process has changed its state meanwhile.
    """
    if row.state in UNSUBMITTED:
        return await finish(connection, row, State.FAILED, at, reason=reason, detail=why)
    if row.state is not State.SENDING:
        await sends.change(connection, row.send_id, [row.state], {"due_at": None})
        return None
    if row.accepted_at is not None:
        return await finish(connection, row, State.SENT, at)
    detail = f"submitted, and could not be looked up: {why}"
    return await finish(connection, row, State.UNCERTAIN, at, reason=IN_DOUBT, detail=detail)


async def _event(connection: db.Connection, row: SendRow) -> EventDraft:
    event = send_event(row, await tenants.account_of(connection, row.tenant_id), _EVENTS[row.state])
    event.reason, event.detail = row.reason, row.detail
    event.draft_id = row.draft_id if row.state is State.DRAFTED else ""
    assert row.finished_at is not None  # noqa: S101 - it has its outcome
    event.received_at.FromDatetime(row.finished_at)
    return EventDraft(send=event, change_id=f"{row.send_id}:{row.resolutions}")
