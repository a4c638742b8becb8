"""The callers of TokenVault in tests: other identities of the mesh, and a person with a browser."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import grpc
from google.api import httpbody_pb2

from mailmesh.vault.v1 import (
    api_key_service_pb2_grpc,
    audit_service_pb2_grpc,
    authorization_service_pb2,
    authorization_service_pb2_grpc,
    directory_service_pb2_grpc,
    tenant_service_pb2_grpc,
    token_vault_service_pb2_grpc,
)
from simulator.browser import consent, read_form
from tests.programs.simulator import RunningSimulator

PUBLIC_URL = "http://mailmesh.test"
ADMIN = (
    ("x-mailmesh-key-id", "019a9f0e-7c1e-7000-8000-0000000000aa"),
    ("x-mailmesh-role", "admin"),
    ("x-mailmesh-tenants", "*"),
)


@dataclass(frozen=True)
class Stubs:
    """All of TokenVault's services, called by one identity."""

    channel: grpc.aio.Channel
    mesh: Any = field(init=False)
    tenants: Any = field(init=False)
    browser: Any = field(init=False)
    api_keys: Any = field(init=False)
    audit: Any = field(init=False)
    directories: Any = field(init=False)

    def __post_init__(self) -> None:
        for name, stub in (
            ("mesh", token_vault_service_pb2_grpc.TokenVaultServiceStub),
            ("tenants", tenant_service_pb2_grpc.TenantServiceStub),
            ("browser", authorization_service_pb2_grpc.AuthorizationServiceStub),
            ("api_keys", api_key_service_pb2_grpc.ApiKeyServiceStub),
            ("audit", audit_service_pb2_grpc.AuditServiceStub),
            ("directories", directory_service_pb2_grpc.DirectoryServiceStub),
        ):
            object.__setattr__(self, name, stub(self.channel))


@dataclass(frozen=True)
class Shown:
    """A page at the end of a walk."""

    status: str
    title: str
    html: str
    headers: Mapping[str, str]


OTHER_COOKIES = f'of[another]=1; a b=c; ;=; flag; quoted="x; json={{"a":"b"}}; large={"x" * 5000}; __Host-x=y'
"""Cookies that are ill-formed, or larger than ours, and that browsers send all the same."""


class Walk:
    """A browser, with TokenVault behind an edge that forwards the same headers as Envoy."""

    def __init__(self, edge: Stubs, simulator: RunningSimulator) -> None:
        self._edge = edge
        self._simulator = simulator
        self.cookies: dict[str, str] = {}

    async def whole(self, url: str, account: str, **how: Any) -> Shown:
        """Walks from our link over the provider's pages to our result page."""
        back = await self.consent(await self.open(url), account, **how)
        return await self.result(await self.complete(back))

    async def open(self, url: str) -> str:
        """Opens our link, presses the button, and returns the provider's address that it leads to."""
        headers, page = await self._opened(url)
        assert headers["x-http-status"] == "200", page
        headers, page = await self.press(url, page)
        assert headers["x-http-status"] == "303", page
        return headers["location"]

    async def look(self, url: str) -> Shown:
        """Opens our link and returns the page with the button."""
        return _shown(*await self._opened(url))

    async def press(self, url: str, page: str, **changed: str) -> tuple[dict[str, str], str]:
        """Presses the button of a page, and returns headers and page of the answer."""
        form = read_form(page)
        assert form is not None, page
        fields = urlencode({**dict(form.fields), **changed}).encode()
        body = httpbody_pb2.HttpBody(content_type="application/x-www-form-urlencoded", data=fields)
        request = authorization_service_pb2.ConfirmAuthorizationRequest(
            provider=urlsplit(url).path.split("/")[3], form=body
        )
        call = self._edge.browser.ConfirmAuthorization(request, metadata=self._sent())
        answer = await call
        return await self._received(call), answer.page.data.decode()

    async def open_badly(self, url: str) -> Shown:
        """Opens our link and returns the page that says why it leads nowhere."""
        headers, page = await self._opened(url)
        return _shown(headers, page)

    async def consent(self, provider_url: str, account: str, **how: Any) -> str:
        """Answers the provider's page and returns the address that it leads back to."""
        async with self._simulator.browser() as browser:
            last = await consent(provider_url, account, client=browser, stop_at=PUBLIC_URL, **how)
        return last.headers["location"]

    async def complete(self, url: str, **changed: str) -> str:
        """Comes back to us and returns the address of the result page."""
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changed
        known = {"code", "state", "error", "error_description", "error_subcode", "admin_consent", "tenant"}
        request = authorization_service_pb2.CompleteAuthorizationRequest(
            provider=parts.path.split("/")[3], **{name: value for name, value in query.items() if name in known}
        )
        call = self._edge.browser.CompleteAuthorization(request, metadata=self._sent())
        await call
        headers = await self._received(call)
        assert headers["x-http-status"] == "302"
        return headers["location"]

    async def result(self, url: str) -> Shown:
        """Reads the result page."""
        flow_id = parse_qs(urlsplit(url).query).get("flow_id", [""])[0]
        request = authorization_service_pb2.ShowAuthorizationResultRequest(flow_id=flow_id)
        call = self._edge.browser.ShowAuthorizationResult(request)
        answer = await call
        return _shown(await self._received(call), answer.page.data.decode())

    async def _opened(self, url: str) -> tuple[dict[str, str], str]:
        parts = urlsplit(url)
        ticket = parse_qs(parts.query).get("ticket", [""])[0]
        request = authorization_service_pb2.OpenAuthorizationRequest(provider=parts.path.split("/")[3], ticket=ticket)
        call = self._edge.browser.OpenAuthorization(request, metadata=self._sent())
        answer = await call
        return await self._received(call), answer.page.data.decode()

    def _sent(self) -> tuple[tuple[str, str], ...]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        # Other programs of the same host have set cookies, too.
        return (("cookie", f"{OTHER_COOKIES}; {cookie}"),) if cookie else ()

    async def _received(self, call: Any) -> dict[str, str]:
        received = [(name, str(value)) for name, value in await call.initial_metadata()]
        for cookie in (value for name, value in received if name == "set-cookie"):
            for name, morsel in SimpleCookie(cookie).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
        return dict(received)


def _shown(headers: dict[str, str], page: str) -> Shown:
    title = page.partition("<title>")[2].partition("</title>")[0]
    return Shown(headers["x-http-status"], title, page, headers)
