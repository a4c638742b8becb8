"""Sends for tests of the outbox."""

from datetime import UTC, datetime

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit.ids import new_id
from services.processor.outbox.rows import SendRow, State


def send_row(provider: str, content: pb2.SendRequest) -> SendRow:
    """Makes a send that a worker has prepared and not submitted."""
    now = datetime.now(UTC)
    return SendRow(
        send_id=new_id(), tenant_id=new_id(), idempotency_key="one", digest=b"", provider=provider, content=content,
        addressed=pb2.NewMail(),
        state=State.QUEUED, reason="", detail="", correlation_id=new_id(), created_at=now, send_at=None, due_at=now,
        deadline_at=now, finished_at=None, attempts=0, prepared_at=now, draft_id="", history_anchor="",
        submitted_at=None, submissions=0, accepted_at=None, message_id="", internet_message_id="",
        provider_thread_id="", resolutions=0, is_resolved=False,
    )  # fmt: skip
