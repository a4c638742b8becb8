"""Accounts that send at the simulated providers, for tests of the outbox's requests."""

import time
from datetime import UTC, datetime

from mailmesh.processor.v1 import send_service_pb2 as pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.mailbox.token_cache import LentToken
from services.processor.outbox.mailbox import SendingMailbox
from services.processor.outbox.rows import SendRow, State
from simulator.control_client import SimulatorControl


class OneToken:
    """Lends one token for every tenant and ability."""

    def __init__(self, token: str) -> None:
        self._lent = LentToken(Secret(token), tenant_pb2.Tenant(), time.monotonic() + 3600)

    async def of(self, _tenant_id: str, _ability: str) -> LentToken:
        return self._lent

    async def another(self, _tenant_id: str, _rejected: Secret, _ability: str) -> LentToken:
        return self._lent


class Outgoing:
    """A mailbox that sends, and the simulated providers behind it."""

    def __init__(self, control: SimulatorControl, mailbox: SendingMailbox, sender: str, recipient: str) -> None:
        self.control = control
        self.mailbox = mailbox
        self.sender = sender
        self.recipient = recipient

    def row(self, **mail: object) -> SendRow:
        """Return a new send to the recipient."""
        fields = {"subject": "Offer", "text": "Thirty euros.", **mail}
        content = pb2.SendRequest(mail=pb2.NewMail(to=[pb2.Recipient(address=self.recipient)], **fields))  # type: ignore[arg-type]
        now = datetime.now(UTC)
        return SendRow(
            send_id=new_id(), tenant_id=new_id(), idempotency_key="one", digest=b"", provider="ms365", content=content,
            state=State.QUEUED, reason="", detail="", correlation_id=new_id(), created_at=now, send_at=None, due_at=now,
            deadline_at=now, finished_at=None, attempts=0, prepared_at=now, draft_id="", history_anchor="",
            submitted_at=None, submissions=0, accepted_at=None, message_id="", internet_message_id="",
            provider_thread_id="", resolutions=0, is_resolved=False,
        )  # fmt: skip

    async def received(self) -> list[str]:
        """Return the subjects in the recipient's mailbox."""
        return [mail["subject"] for mail in (await self.control.truth(self.recipient))["messages"]]
