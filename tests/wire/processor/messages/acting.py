"""Accounts whose mail is changed and read at the simulated providers, for tests of these requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.meshkit.ids import new_id
from services.processor.mail.sources.reading import read_answer
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.provider_http import ProviderHttp
from simulator.control_client import SimulatorControl
from tests.programs.simulator import RunningSimulator
from tests.wire.processor.outbox.sending import DOMAINS, OneToken

SCOPES = {
    "ms365": "openid profile email offline_access User.Read Mail.ReadWrite",
    "googlews": "openid email https://www.googleapis.com/auth/gmail.modify",
}
URLS = {"ms365": "MAILMESH_MS365_GRAPH_URL", "googlews": "MAILMESH_GOOGLEWS_GMAIL_URL"}


class Acting:
    """A mailbox, and the simulated provider behind it."""

    def __init__(self, control: SimulatorControl, access: MailboxAccess, url: str, address: str) -> None:
        self.control = control
        self.access = access
        self.url = url
        self.address = address

    async def deliver(self, **mail: Any) -> str:
        """Delivers a mail and returns its id."""
        return str((await self.control.deliver(self.address, **{"subject": "Offer", **mail}))["id"])

    async def mails(self) -> dict[str, dict[str, Any]]:
        """Returns the mails of the mailbox by id."""
        return {mail["id"]: mail for mail in (await self.control.truth(self.address))["messages"]}


@asynccontextmanager
async def acting(simulator: RunningSimulator, provider: str, timeout_seconds: float = 5.0) -> AsyncIterator[Acting]:
    """Opens a new account at a provider, which has so long for each answer."""
    async with (
        simulator.control() as control,
        ProviderHttp.open(
            authority=simulator.ca_file,
            connections=8,
            timeout_seconds=timeout_seconds,
            max_bytes=2**23,
            read_long=read_answer,
        ) as http,
    ):
        address = f"a-{new_id()[-12:]}@{DOMAINS[provider]}"
        await control.create_account(provider, address)
        token = (await control.issue_tokens(address, scopes=SCOPES[provider]))["access_token"]
        access = MailboxAccess(http, OneToken(token), "tenant", provider, 4, "mail.mark")  # type: ignore[arg-type]
        yield Acting(control, access, simulator.settings[URLS[provider]], address)
        await control.reset()
