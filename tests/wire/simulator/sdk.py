"""Official clients, pointed at the simulator."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httplib2
import httpx
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build_from_document

from tests.programs.simulator import RunningSimulator
from tests.wire.simulator.google_schema import document


@asynccontextmanager
async def graph_client(graph: Any, simulator: RunningSimulator) -> AsyncIterator[Any]:
    """Microsoft's SDK for an account; it sends the token to Graph alone, not to the host that takes uploads."""
    from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator
    from kiota_abstractions.authentication import BaseBearerTokenAuthenticationProvider as Bearer
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph.graph_request_adapter import options
    from msgraph_core import GraphClientFactory

    class Token(AccessTokenProvider):
        async def get_authorization_token(self, uri: str, additional_authentication_context: Any = None) -> str:
            return str(graph.tokens["access_token"]) if uri.startswith(simulator.microsoft) else ""

        def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
            return AllowedHostsValidator(["127.0.0.1"])

    trust = ssl.create_default_context(cafile=str(simulator.ca_file))
    transport = httpx.AsyncHTTPTransport(verify=trust)
    async with transport, httpx.AsyncClient(transport=transport, trust_env=False, timeout=30) as http:
        wrapped = GraphClientFactory.create_with_default_middleware(client=http, options=options)
        adapter = GraphRequestAdapter(Bearer(Token()), client=wrapped)
        adapter.base_url = f"{simulator.microsoft}/graph/v1.0"
        yield GraphServiceClient(request_adapter=adapter)


@contextmanager
def gmail_client(gmail: Any, simulator: RunningSimulator) -> Iterator[Any]:
    """Google's client for an account."""
    described = {**document("gmail.v1"), "rootUrl": f"{simulator.google}/", "baseUrl": f"{simulator.google}/"}
    http = httplib2.Http(ca_certs=str(simulator.ca_file), timeout=30)
    http.redirect_codes = http.redirect_codes - {308}  # an upload's "go on", as the client's own build_http has it
    authorized = AuthorizedHttp(Credentials(gmail.tokens["access_token"]), http=http)
    yield build_from_document(described, http=authorized).users()
    http.close()


def people(*addresses: str) -> list[Any]:
    """Recipients as the SDK has them."""
    from msgraph.generated.models.email_address import EmailAddress
    from msgraph.generated.models.recipient import Recipient

    return [Recipient(email_address=EmailAddress(address=one)) for one in addresses]


def body_of(html: str) -> Any:
    """A body in HTML as the SDK has it."""
    from msgraph.generated.models.body_type import BodyType
    from msgraph.generated.models.item_body import ItemBody

    return ItemBody(content_type=BodyType.Html, content=html)
