"""A host of agents that knows only the address of /mcp: the SDK's client finds the provider, and a person signs in."""

import ssl
import uuid
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from simulator.browser import consent
from tests.mesh.token_vault.edge.conftest import ORGANISATION, SCOPE, Edge
from tests.mesh.token_vault.edge.test_agents_sign_in import door, serves  # noqa: F401 - a fixture
from tests.programs.vault import eventually

RETURN = "http://localhost:49152/return"
pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("door")]


class Host:
    """A host of agents: its registration at the provider, its tokens, and the browser of its person."""

    def __init__(self, edge: Edge, account: str) -> None:
        self.tokens: OAuthToken | None = None
        self._edge, self._account, self._landed = edge, account, ""

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull:
        """The registration by hand: the provider registers no clients by itself, as Entra ID does not."""
        settings = self._edge.ground.simulator.settings
        return OAuthClientInformationFull(
            client_id=settings["MAILMESH_MS365_CLIENT_ID"],
            client_secret=settings["MAILMESH_MS365_CLIENT_SECRET"],
            redirect_uris=[RETURN],
            token_endpoint_auth_method="client_secret_post",
        )

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        raise AssertionError(client_info)

    async def open(self, url: str) -> None:
        """Sign in at the provider as the person does."""
        async with self._edge.ground.simulator.browser() as browser:
            last = await consent(url, self._account, client=browser, stop_at=RETURN)
        assert last.has_redirect_location, last.text
        self._landed = last.headers["location"]

    async def landed(self) -> AuthorizationCodeResult:
        query = parse_qs(urlsplit(self._landed).query)
        return AuthorizationCodeResult(code=query["code"][0], state=query["state"][0])


async def test_the_sdks_client_signs_a_person_in_and_calls_a_tool(edge: Edge) -> None:
    address = f"h{uuid.uuid4().hex[:12]}@example.com"
    await edge.ground.control.create_account("ms365", address, directory=ORGANISATION, groups=["readers"])
    host, resource = Host(edge, address), f"{edge.url}/mcp"
    await eventually(lambda: serves(edge, edge.admin))
    oauth = OAuthClientProvider(
        resource, OAuthClientMetadata(redirect_uris=[RETURN], scope=SCOPE), host, host.open, host.landed
    )
    trust = ssl.create_default_context(cafile=str(edge.ground.simulator.ca_file))
    async with (
        httpx2.AsyncClient(auth=oauth, verify=trust, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(resource, http_client=http)) as client,
    ):
        names = {tool.name for tool in (await client.list_tools()).tools}
        accounts = await client.call_tool("list_accounts", {})

    assert host.tokens is not None
    assert "list_events" in names
    assert "send_mail" not in names
    assert not accounts.is_error
