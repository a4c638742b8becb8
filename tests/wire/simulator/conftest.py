"""Fixtures of the tests of the simulated providers: clients, accounts of their own, and somewhere to push to."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
import requests
from aiohttp import web

from simulator.control_client import SimulatorControl
from tests.programs.simulator import RunningSimulator
from tests.wire.simulator import google_schema, graph_schema, oauth_schema

_numbers = itertools.count(1)


@pytest.fixture
async def control(simulator: RunningSimulator) -> AsyncIterator[SimulatorControl]:
    """The control API, with settings, clock and faults put back before each test.

    The providers wait for an answer longer than they do by default: on a busy machine a push that takes more than three
    seconds would be repeated, late and out of order.
    """
    async with simulator.control() as client:
        await client.reset()
        await client.set(push_timeout_seconds=60, push_retry_timeout_seconds=60, pubsub_ack_deadline_seconds=60)
        yield client


@pytest.fixture
async def browser(simulator: RunningSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async def check(answer: httpx.Response) -> None:
        oauth_schema.check_answer(str(answer.url), answer.status_code, await answer.aread())

    async with simulator.browser() as client:
        client.event_hooks["response"].append(check)
        yield client


@pytest.fixture(autouse=True)
def held_tokens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The token endpoints' answers to MSAL and google-auth by address; each of them was held against its form."""
    held: list[str] = []
    send = requests.Session.send

    def watched(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        answer = send(session, request, **options)
        if oauth_schema.check_answer(answer.url, answer.status_code, answer.content):
            held.append(answer.url)
        return answer

    monkeypatch.setattr(requests.Session, "send", watched)
    return held


@dataclass
class Provider:
    """An account with a token, and its API; every answer is held against the provider's own description."""

    account: str
    facts: dict[str, Any]
    tokens: dict[str, Any]
    client: httpx.AsyncClient
    base: str
    check: Callable[[str, str, int, bytes, bytes], None]

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call the API; a full URL is taken as it is."""
        headers = {"authorization": f"Bearer {self.tokens['access_token']}", **options.pop("headers", {})}
        url = path if path.startswith("https://") else self.base + path
        answer = await self.client.request(method, url, headers=headers, **options)
        self.check(method, str(answer.url), answer.status_code, answer.content, answer.request.content)
        return answer

    async def get(self, path: str, status: int = 200, **options: Any) -> Any:
        """Read JSON, and expect a status."""
        answer = await self.call("GET", path, **options)
        assert status == answer.status_code, answer.text
        return answer.json()


@pytest.fixture
async def graph(simulator: RunningSimulator, control: SimulatorControl, browser: httpx.AsyncClient) -> Provider:
    """A new Microsoft account that may do everything."""
    account = f"m{next(_numbers)}@contoso.test"
    facts = await control.create_account("ms365", account)
    scopes = "openid profile email offline_access User.Read Mail.ReadWrite Mail.Send Calendars.ReadWrite"
    tokens = await control.issue_tokens(account, scopes=scopes)
    return Provider(account, facts, tokens, browser, f"{simulator.microsoft}/graph/v1.0", graph_schema.check_answer)


@pytest.fixture
async def gmail(simulator: RunningSimulator, control: SimulatorControl, browser: httpx.AsyncClient) -> Provider:
    """A new Google account that may do everything."""
    account = f"g{next(_numbers)}@fabrikam.test"
    facts = await control.create_account("googlews", account)
    tokens = await control.issue_tokens(account, scopes="openid email https://mail.google.com/")
    return Provider(
        account, facts, tokens, browser, f"{simulator.google}/gmail/v1/users/me", google_schema.check_answer
    )


@dataclass
class Post:
    """One push that arrived."""

    headers: dict[str, str]
    body: Any
    query: dict[str, str]


@dataclass
class Receiver:
    """A server of ours that the providers push to; `answer` may be replaced."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    validations: list[str] = field(default_factory=list)
    answer: Callable[[], Awaitable[int]] | None = None

    async def handle(self, request: web.Request) -> web.Response:
        if token := request.query.get("validationToken"):
            self.validations.append(token)
            return web.Response(text=token, content_type="text/plain")
        raw = await request.read()
        body = json.loads(raw) if raw else None
        self.posts.append(Post(dict(request.headers), body, dict(parse_qsl(request.query_string))))
        return web.Response(status=await self.answer() if self.answer else 202)

    def items(self) -> list[dict[str, Any]]:
        """All items of Graph's notifications so far."""
        return [item for post in self.posts for item in post.body["value"]]

    async def wait_for(self, count: int, seconds: float = 60.0) -> list[Post]:
        """Wait until so many posts have come."""
        async with asyncio.timeout(seconds):
            while len(self.posts) < count:
                await asyncio.sleep(0.01)
        return self.posts


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A plain HTTP server on loopback."""
    made = Receiver()
    application = web.Application()
    application.router.add_post("/{tail:.*}", made.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()
