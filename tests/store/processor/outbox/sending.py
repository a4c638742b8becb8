"""Sends in tests: accepted as a caller's, and read from the store and from the simulated mailboxes."""

import base64
from typing import Any
from urllib.parse import quote

from mailmesh.processor.v1 import event_pb2
from mailmesh.processor.v1 import send_service_pb2 as pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.clock import SystemClock
from services.meshkit.queue import WakeQueue
from services.processor.conversations.requests import Conversations
from services.processor.outbox.requests import Sends
from services.processor.outbox.rows import SendRow, State
from services.processor.stream.pages import EventReader
from tests.store.processor.ground import Ground, read_events

_GOOGLE = "https://www.googleapis.com/auth/gmail"
SCOPES = {
    "ms365": "openid profile email offline_access User.Read Mail.ReadWrite Mail.Send",
    "googlews": f"openid email {_GOOGLE}.compose {_GOOGLE}.readonly",
}
HASTE = {"send_settle_seconds": 2.0, "send_copy_seconds": 20.0}
"""Settings of workers that wait shorter than real ones."""
FINAL = (State.SENT, State.FAILED, State.UNCERTAIN, State.CANCELLED)


class Outgoing:
    """An account that sends, one that receives, and the callers' use cases between.

    Args:
        ground: Everything except the worker.
        tenant: The tenant that sends.
        recipient: The address that receives.
    """

    def __init__(self, ground: Ground, tenant: tenant_pb2.Tenant, recipient: str) -> None:
        self.ground = ground
        self.tenant = tenant
        self.recipient = recipient

    @classmethod
    async def of(cls, ground: Ground, provider: str = "ms365", **watch: Any) -> "Outgoing":
        """Add both accounts; the token of the sender has the scopes of sending."""
        tenant = await ground.tenant(provider, **watch)
        await ground.processor.execute(
            "UPDATE processor.tenants SET granted_abilities = $2 WHERE tenant_id = $1",
            tenant.tenant_id,
            ["mail.read", "mail.send"],
        )
        ground.vault.scopes[tenant.tenant_id] = SCOPES[provider]
        address = f"to-{tenant.tenant_id[-12:]}@contoso.test"
        await ground.control.create_account("ms365", address)
        return cls(ground, tenant, address)

    def sends(self, wakes: WakeQueue | None = None, **settings: Any) -> Sends:
        """Return the use cases."""
        queue = wakes or self.ground.wakes or _SilentQueue()
        pool, clock = self.ground.processor, SystemClock()
        answering = Conversations(pool, EventReader(pool), clock).answer
        return Sends(pool, queue, self.ground.worker_settings(**settings), clock, answering)  # type: ignore[arg-type]

    def request(self, key: str = "one", **mail: Any) -> pb2.SendRequest:
        """Return a request to send one mail to the recipient."""
        fields: dict[str, Any] = {"subject": "Offer", "text": "Thirty euros.", **mail}
        new = pb2.NewMail(to=[pb2.Recipient(address=self.recipient)], **fields)
        return pb2.SendRequest(idempotency_key=key, tenant_id=self.tenant.tenant_id, mail=new)

    async def accept(self, key: str = "one", **mail: Any) -> SendRow:
        """Commit a send."""
        row, _ = await self.sends().accept(self.request(key, **mail))
        return row

    async def answer(self, key: str = "one", *, is_draft_only: bool = False, **mail: Any) -> SendRow:
        """Commit an answer to a mail that the recipient has written."""
        fields = {"from": self.recipient, "to": [self.tenant.address], "subject": "Offer", "text": "How much?", **mail}
        original = await self.ground.control.deliver(self.tenant.address, **fields)
        reply = pb2.Reply(message_id=original["id"], text="Thirty euros.")
        request = pb2.SendRequest(
            idempotency_key=key, tenant_id=self.tenant.tenant_id, reply=reply, is_draft_only=is_draft_only
        )
        row, _ = await self.sends().accept(request)
        return row

    async def read(self, send_id: str) -> SendRow:
        """Read a send."""
        return await self.sends().get(send_id, None)

    async def ended(self, send_id: str, *states: State) -> SendRow:
        """Wait for one of the states, by default a final one."""

        async def is_there() -> SendRow | None:
            row = await self.read(send_id)
            return row if row.state in (states or FINAL) else None

        row: SendRow = await self.ground.until(is_there, what=f"send {send_id} ends")
        return row

    async def cleared(self, send_id: str) -> None:
        """Wait until no worker has anything left to do for a send."""

        async def is_there() -> bool:
            return (await self.read(send_id)).due_at is None

        await self.ground.until(is_there, what=f"send {send_id} is cleared")

    async def received(self) -> list[dict[str, Any]]:
        """Return the mails in the recipient's mailbox."""
        return list((await self.ground.control.truth(self.recipient))["messages"])

    async def eml(self, address: str, message_id: str) -> bytes:
        """Return the bytes of a mail in a simulated mailbox."""
        path = f"/accounts/{quote(address, safe='')}/messages/{quote(message_id, safe='')}/eml"
        return base64.b64decode((await self.ground.control.request("GET", path))["emlBase64"])

    async def own(self, *, drafts: bool) -> list[dict[str, Any]]:
        """Return the drafts or the other mails in the sender's mailbox."""
        found = (await self.ground.control.truth(self.tenant.address))["messages"]
        return [mail for mail in found if mail["isDraft"] is drafts]

    async def events(self) -> list[event_pb2.SendEvent]:
        """Return the tenant's events about sends, in order."""
        events = await read_events(self.ground.processor)
        return [
            event.send
            for event in events
            if event.WhichOneof("kind") == "send" and event.send.tenant_id == self.tenant.tenant_id
        ]


class _SilentQueue:
    """A queue for tests without Redis: the sweep finds the work."""

    def wake(self, _key: str, _after_seconds: float = 0.0) -> None:
        return None
