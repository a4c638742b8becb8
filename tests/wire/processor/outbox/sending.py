"""Accounts that send at the simulated providers, for tests of the outbox's requests."""

import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import quote

from mailmesh.processor.v1 import send_service_pb2 as pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.token_cache import LentToken
from services.processor.outbox.mailbox import SendingMailbox
from services.processor.outbox.rows import SendRow
from simulator.control_client import SimulatorControl
from tests.factories.sends import send_row
from tests.programs.simulator import RunningSimulator

DOMAINS = {"googlews": "fabrikam.test", "ms365": "contoso.test"}


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
        return send_row("ms365", content)

    async def answer(self, original: str, **reply: object) -> SendRow:
        """Return a send that answers a mail of the account, as it is when its original was read."""
        return await self.prepared(pb2.SendRequest(reply=pb2.Reply(message_id=original, text="Gladly.", **reply)))  # type: ignore[arg-type]

    async def forward(self, original: str, **fields: object) -> SendRow:
        """Return a send that forwards a mail of the account to the recipient, as it is when its original was read."""
        forward = pb2.Forward(message_id=original, to=[pb2.Recipient(address=self.recipient)], **fields)  # type: ignore[arg-type]
        return await self.prepared(pb2.SendRequest(forward=forward))

    async def prepared(self, content: pb2.SendRequest) -> SendRow:
        """Return a send whose anchor and recipients are committed."""
        row = replace(send_row("", content), history_anchor=await self.mailbox.anchor())
        return replace(row, addressed=await self.mailbox.address(row))

    async def arrived(self) -> bytes:
        """Return the one mail in the recipient's mailbox."""
        (mail,) = (await self.control.truth(self.recipient))["messages"]
        return await self.eml(self.recipient, mail["id"])

    async def eml(self, address: str, message_id: str) -> bytes:
        """Return the bytes of a mail."""
        path = f"/accounts/{quote(address, safe='')}/messages/{quote(message_id, safe='')}/eml"
        return base64.b64decode((await self.control.request("GET", path))["emlBase64"])

    async def received(self) -> list[str]:
        """Return the subjects in the recipient's mailbox."""
        return [mail["subject"] for mail in (await self.control.truth(self.recipient))["messages"]]


@asynccontextmanager
async def sending(
    simulator: RunningSimulator, provider: str, scopes: str, mailbox: Callable[[MailboxAccess], SendingMailbox]
) -> AsyncIterator[Outgoing]:
    """Opens a new account that sends at a provider, and one that receives."""
    async with (
        simulator.control() as control,
        ProviderHttp.open(
            authority=simulator.ca_file, connections=4, timeout_seconds=5.0, max_bytes=1024 * 1024
        ) as http,
    ):
        sender, recipient = f"s-{new_id()[-12:]}@{DOMAINS[provider]}", f"r-{new_id()[-12:]}@{DOMAINS['ms365']}"
        await control.create_account(provider, sender)
        await control.create_account("ms365", recipient)
        token = (await control.issue_tokens(sender, scopes=scopes))["access_token"]
        access = MailboxAccess(http, OneToken(token), "tenant", provider, 1, "mail.send")  # type: ignore[arg-type]
        yield Outgoing(control, mailbox(access), sender, recipient)
        await control.reset()
