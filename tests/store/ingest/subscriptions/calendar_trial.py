"""One account with a followed calendar at a simulated provider, and the real steps of its subscriptions."""

import ssl
from dataclasses import dataclass
from typing import Any

import httpx

from mailmesh.vault.v1.tenant_pb2 import TENANT_STATUS_ACTIVE
from mailmesh.vault.v1.token_vault_service_pb2 import IssueTokenRequest, IssueTokenResponse
from services.ingest.store import calendar_subscriptions, channels
from services.ingest.store import subscription_leases as leases
from services.ingest.store.calendar_subscriptions import Followed
from services.ingest.store.subscription_rows import SubscriptionRow
from services.ingest.subscriptions import google, microsoft
from services.ingest.subscriptions.calendar_steps import CalendarSteps
from services.ingest.subscriptions.channels import GoogleChannels
from services.ingest.subscriptions.graph_calendars import GraphCalendarSubscriptions
from services.ingest.subscriptions.next_step import Step, next_step
from services.ingest.subscriptions.provider_calls import ProviderCalls, TokenBorrower
from services.ingest.subscriptions.steps import Steps
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from simulator.control_client import SimulatorControl
from tests.programs.simulator import RunningSimulator
from tests.store.ingest.subscriptions.conftest import Ground, tenant
from tests.store.ingest.subscriptions.test_calendars import Account

SCOPES = {
    "ms365": "openid Calendars.Read Calendars.Read.Shared",
    "googlews": "openid https://www.googleapis.com/auth/calendar.calendarlist.readonly"
    " https://www.googleapis.com/auth/calendar.events.readonly",
}
DOMAINS = {"ms365": "contoso.test", "googlews": "fabrikam.test"}


@dataclass
class Trial:
    """One account with a followed calendar at a simulated provider, and the real steps."""

    ground: Ground
    control: SimulatorControl
    account: Account
    address: str
    user_id: str
    token: str
    steps: Steps
    abilities: list[str]
    calendars: CalendarSteps
    calendar_id: str = ""
    provider_id: str = ""

    async def follow(self, provider_id: str = "", *, is_default: bool = True) -> None:
        """States a calendar as followed; by default the account's own."""
        self.calendar_id = new_id()
        self.provider_id = provider_id or (await self.control.calendars(self.address))[0]["id"]
        await self.account.lease()
        one = Followed(self.calendar_id, self.provider_id, is_default)
        now = SystemClock().now()
        await calendar_subscriptions.set_followed(
            self.ground.pool, self.account.tenant_id, self.account.fence, [one], now
        )

    async def step(self) -> SubscriptionRow:
        """Takes the next step of the calendar's subscription, and returns it."""
        row = await self.account.row(self.calendar_id)
        held = await self.ground.lease(row, at=SystemClock().now())
        assert held is not None
        try:
            await self.steps.execute(next_step(held, TENANT_STATUS_ACTIVE, SystemClock().now()), held)
        except BaseException:
            async with db.connection(self.ground.pool) as connection:
                await leases.release(connection, held)
            raise
        return await self.ground.read(row)

    async def step_deletion(self) -> SubscriptionRow:
        """Takes the step that deletes the calendar's subscription, and returns it."""
        row = await self.account.row(self.calendar_id)
        held = await self.ground.lease(row, at=SystemClock().now())
        assert held is not None
        step = next_step(held, TENANT_STATUS_ACTIVE, SystemClock().now())
        assert step is Step.DELETE
        await self.steps.execute(step, held)
        return await self.ground.read(row)

    async def at_google(self) -> list[str]:
        """Returns the ids of the living channels at Google."""
        return [one["id"] for one in await self.control.channels() if one["account"] == self.address]

    async def known(self, deleted: SubscriptionRow | None = None) -> list[channels.Channel]:
        """Returns the stored channels of the calendar's subscription, which may be a deleted one."""
        row = deleted or await self.account.row(self.calendar_id)
        async with db.connection(self.ground.pool) as connection:
            return await channels.of_subscription(connection, row.tenant_id, row.subscription_id)

    async def at_graph(self) -> list[dict[str, Any]]:
        """Returns the living subscriptions at Microsoft."""
        return [one for one in await self.control.subscriptions() if one["account"] == self.address]

    async def issue(self, request: IssueTokenRequest) -> IssueTokenResponse:
        """Lends the account's token, as TokenVault does."""
        self.abilities.append(request.ability)
        lent = tenant(request.tenant_id, provider=self.account.provider, user_id=self.user_id)
        return IssueTokenResponse(access_token=self.token, tenant=lent)


class opened:  # noqa: N801 - reads as the statement that it is
    """Opens a trial: an account, a token, and the steps with a client that trusts the simulator."""

    def __init__(
        self, ground: Ground, control: SimulatorControl, simulator: RunningSimulator, edge: str, provider: str
    ) -> None:
        trust = ssl.create_default_context(cafile=str(simulator.ca_file))
        self._http = httpx.AsyncClient(verify=trust, trust_env=False)
        self._facts = (ground, control, simulator, edge, provider)

    async def __aenter__(self) -> Trial:
        ground, control, simulator, edge, provider = self._facts
        address = f"steps-{new_id()[-12:]}@{DOMAINS[provider]}"
        made = await control.create_account(provider, address)
        token = (await control.issue_tokens(address, scopes=SCOPES[provider]))["access_token"]
        trial = Trial(ground, control, Account(ground, provider), address, made["id"], token, None, [], None)  # type: ignore[arg-type]
        tokens, clock = TokenBorrower(trial.issue), SystemClock()
        calls = ProviderCalls(provider, self._http, tokens, "calendar.read")
        graph = microsoft.GraphSubscriptions(calls, f"{simulator.microsoft}/graph/v1.0", edge)
        opened = GoogleChannels(calls, f"{simulator.google}/calendar/v3", edge)
        calendars = CalendarSteps(
            ground.pool, GraphCalendarSubscriptions(ground.pool, graph, tokens, clock), opened, clock
        )
        trial.calendars = calendars
        gmail = google.GmailWatches(calls, simulator.google, "")
        trial.steps = Steps(ground.pool, graph, gmail, calendars, tokens, lambda _tenant: None, clock)
        return trial

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
