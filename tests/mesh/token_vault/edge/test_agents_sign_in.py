"""Agents with access tokens of the organisation's identity provider, through the real edge and the real door."""

import asyncio
import base64
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import jwt
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from services.agents.server import serve_with
from services.agents.settings import AgentsSettings
from services.meshkit.settings import load
from stack.certificates import MeshCertificates
from tests.mesh.token_vault.edge.conftest import AUDIENCE, ORGANISATION, SCOPE, Edge, Front
from tests.programs.vault import eventually

pytestmark = pytest.mark.timeout(300)

WELL_KNOWN = "/.well-known/oauth-protected-resource"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"accept": "application/json, text/event-stream"}


@pytest.fixture
async def door(front: Front, certificates: MeshCertificates) -> AsyncIterator[None]:
    """The door of agents behind the module's edge."""
    identity, stop = certificates.identity("agents"), asyncio.Event()
    settings = load(
        AgentsSettings,
        listen=f"127.0.0.1:{front.door_port}",
        edge=front.url,
        tls_cert=identity.certificate,
        tls_key=identity.key,
        tls_ca=identity.authority,
    )
    serving = asyncio.create_task(serve_with(settings, stop))
    yield
    stop.set()
    await serving


@pytest.fixture(autouse=True)
async def _plain_provider(edge: Edge) -> AsyncIterator[None]:
    yield
    await edge.ground.control.clear_faults()
    await edge.ground.control.set(access_token_seconds=3599)


async def account(edge: Edge, *groups: str, directory: str = ORGANISATION) -> str:
    """An account of a directory, in these groups; returns its address."""
    address = f"a{uuid.uuid4().hex[:12]}@example.com"
    await edge.ground.control.create_account("ms365", address, directory=directory, groups=list(groups))
    return address


async def token(edge: Edge, address: str, *scopes: str) -> str:
    """An access token of an account, for the mesh unless the scopes name another resource."""
    issued = await edge.ground.control.issue_tokens(address, scopes=" ".join(scopes or (SCOPE,)))
    return str(issued["access_token"])


async def ask(edge: Edge, credential: str) -> httpx.Response:
    """List the tools with a bearer token."""
    return await edge.http.post("/mcp", json=LIST, headers=ACCEPT | {"authorization": f"Bearer {credential}"})


def reason(answer: httpx.Response) -> tuple[int, str, str]:
    """The status of a refusal, its reason, and the failed check."""
    info = answer.json()["details"][0]
    return answer.status_code, info["reason"], info.get("metadata", {}).get("detail", "")


def is_let_in(answer: httpx.Response) -> bool:
    """Tell whether TokenVault let a request in. Where no door stands behind the edge, the edge says so itself."""
    return answer.status_code == 200 or reason(answer)[:2] == (503, "SERVICE_UNAVAILABLE")


@asynccontextmanager
async def agent(edge: Edge, credential: str, mode: Any = "auto") -> AsyncIterator[Client]:
    """The SDK's client with a bearer token, once the edge knows that the door serves."""
    await eventually(lambda: serves(edge, credential))
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {credential}"}, timeout=60) as http,
        Client(streamable_http_client(f"{edge.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


async def serves(edge: Edge, credential: str) -> bool:
    return (await ask(edge, credential)).status_code == 200


@pytest.mark.parametrize("path", [f"{WELL_KNOWN}/mcp", WELL_KNOWN])
async def test_the_metadata_names_the_resource_and_the_identity_provider(edge: Edge, path: str) -> None:
    answer = await edge.http.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "resource": f"{edge.url}/mcp",
        "resource_name": "mailmesh",
        "authorization_servers": [f"{edge.ground.simulator.microsoft}/{ORGANISATION}/v2.0"],
        "bearer_methods_supported": ["header"],
        "scopes_supported": [SCOPE],
    }


async def test_a_request_without_a_token_is_led_to_the_metadata(edge: Edge) -> None:
    stranger = await edge.http.post("/mcp", json=LIST, headers=ACCEPT)
    elsewhere = await edge.http.get("/v1/tenants")

    assert reason(stranger)[:2] == (401, "API_KEY_INVALID")
    assert stranger.headers["www-authenticate"] == (
        f'Bearer resource_metadata="{edge.url}{WELL_KNOWN}/mcp", scope="{SCOPE}"'
    )
    assert elsewhere.headers["www-authenticate"] == "Bearer"


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_agent_has_the_rights_of_the_persons_groups(edge: Edge, mode: str) -> None:
    address = await account(edge, "support", "other")
    async with agent(edge, await token(edge, address), mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        accounts = await client.call_tool("list_accounts", {})

    assert "send_mail" in names
    assert "mark_messages" not in names, "the group has no mail.mark"
    assert not accounts.is_error, accounts.content
    keys = (await edge.call("GET", "/v1/api-keys", edge.admin)).json()["apiKeys"]
    (key,) = [one for one in keys if one["displayName"] == f"{address} (signed in)"]
    assert (key["role"], key["abilities"]) == ("ROLE_OPERATOR", ["mail.read", "mail.send"])


@pytest.mark.usefixtures("door")
async def test_a_token_serves_at_mcp_only(edge: Edge) -> None:
    good = await token(edge, await account(edge, "admins"))
    await eventually(lambda: serves(edge, good))

    refused = [await edge.call("GET", path, good) for path in ("/v1/tenants", "/v1/api-keys")]

    assert [reason(answer)[:2] for answer in refused] == [(401, "API_KEY_INVALID")] * 2


async def test_an_invented_pass_is_refused(edge: Edge) -> None:
    now = int(time.time())
    keys = (await edge.call("GET", "/v1/api-keys", edge.admin)).json()["apiKeys"]
    claims = {"sub": keys[0]["apiKeyId"], "aud": "mailmesh:tools", "iat": now, "exp": now + 60}
    forged = [
        jwt.encode(claims, b"k" * 32, algorithm="HS256", headers={"kid": "k1"}),
        jwt.encode(claims, b"k" * 32, algorithm="HS256"),
        jwt.encode(claims, "", algorithm="none", headers={"kid": "k1"}),
    ]

    answers = [await edge.call("GET", "/v1/tenants", one) for one in forged]

    assert [reason(answer)[:2] for answer in answers] == [(401, "API_KEY_INVALID")] * 3


def unsigned(good: str, algorithm: str) -> str:
    """The claims of a good token below another header."""
    key_id = jwt.get_unverified_header(good)["kid"]
    head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": key_id}).encode()).rstrip(b"=").decode()
    return ".".join((head, good.split(".")[1], ""))


async def signed_by_the_public_key(edge: Edge, good: str) -> str:
    """The oldest trick: the published key as a shared secret. The library that we use refuses to sign so."""
    async with edge.ground.simulator.browser() as browser:
        answer = await browser.get(f"{edge.ground.simulator.microsoft}/{ORGANISATION}/discovery/v2.0/keys")
    content = unsigned(good, "HS256").rpartition(".")[0]
    signature = hmac.digest(json.dumps(answer.json()["keys"][0]).encode(), content.encode(), "sha256")
    return f"{content}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("unsigned", "algorithm"),
        ("shared key", "algorithm"),
        ("another signature", "signature"),
        ("changed", "signature"),
        ("id token", "audience"),
        ("another resource", "audience"),
        ("another organisation", "issuer"),
        ("expired", "time"),
        ("nonsense", "format"),
        ("unknown key", "key_id"),
    ],
)
async def test_a_hostile_token_is_refused_by_the_name_of_the_check(edge: Edge, kind: str, check: str) -> None:
    address = await account(edge, "admins")
    presented = await hostile(edge, kind, address, await token(edge, address))

    answer = await ask(edge, presented)

    assert reason(answer) == (401, "ACCESS_TOKEN_INVALID", check)
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token", resource_metadata="')
    assert presented not in answer.text
    assert [] == await edge.ground.fetch("SELECT 1 FROM vault.people")


async def hostile(edge: Edge, kind: str, address: str, good: str) -> str:
    head, claims, signature = good.split(".")
    control = edge.ground.control
    if kind == "id token":
        issued = await control.issue_tokens(address, scopes=f"openid {SCOPE}")
        return str(issued["id_token"])
    if kind == "another resource":
        return await token(edge, address, "api://00000000-1111-4222-8333-444455556666/mail")
    if kind == "another organisation":
        return await token(edge, await account(edge, "admins", directory=str(uuid.uuid4())))
    if kind == "expired":
        await control.set(access_token_seconds=-400)
        return await token(edge, address)
    changed = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"groups": ["admins"], "sub": "another"}
    other = base64.urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b"=").decode()
    unknown = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": "invented"}).encode()).rstrip(b"=").decode()
    return {
        "unsigned": unsigned(good, "none"),
        "shared key": await signed_by_the_public_key(edge, good),
        "another signature": f"{head}.{claims}.{signature[4:8]}{signature[4:]}",
        "changed": f"{head}.{other}.{signature}",
        "nonsense": "a.b.c",
        "unknown key": f"{unknown}.{claims}.{signature}",
    }[kind]


async def test_an_issuer_that_does_not_answer_is_named_in_time_and_its_new_key_is_found(edge: Edge) -> None:
    control, address = edge.ground.control, await account(edge, "readers")
    await control.rotate_keys("ms365")
    await control.add_fault("hang", endpoint="ms.keys", seconds=30)
    seconds = []

    async def is_named() -> bool:
        """A key set that was read in the last half minute is not read again: until then the key is unknown."""
        began = time.monotonic()
        answer = await ask(edge, await token(edge, address))
        seconds.append(time.monotonic() - began)
        return reason(answer)[:2] == (503, "PROVIDER_UNAVAILABLE")

    await eventually(is_named)
    await control.clear_faults()

    async def is_known() -> bool:
        return is_let_in(await ask(edge, await token(edge, address)))

    await eventually(is_known)
    assert max(seconds) < 4
    assert await edge.ground.fetch("SELECT 1 FROM vault.people")


async def test_a_person_without_groups_is_refused_with_every_older_token(edge: Edge) -> None:
    address = await account(edge, "support")
    older = await token(edge, address)
    assert is_let_in(await ask(edge, older))
    await edge.ground.control.update_account(address, groups=["other"])
    await until_the_next_second()

    newer = await ask(edge, await token(edge, address))

    assert reason(newer) == (403, "SIGN_IN_NOT_ALLOWED", "groups")

    async def is_refused() -> bool:
        answer = await ask(edge, older)
        return answer.status_code == 403

    await eventually(is_refused)


async def test_an_older_token_does_not_bring_back_the_rights_of_then(edge: Edge) -> None:
    address = await account(edge, "admins")
    older = await token(edge, address)
    await edge.ground.control.update_account(address, groups=["readers"])
    await until_the_next_second()
    await ask(edge, await token(edge, address))

    await ask(edge, older)

    rows = await edge.ground.fetch(
        "SELECT role, abilities FROM vault.api_keys WHERE display_name LIKE $1", f"{address}%"
    )
    assert [("reader", ["mail.read"])] == [(row["role"], row["abilities"]) for row in rows]


async def test_a_revoked_key_ends_the_tokens_of_before(edge: Edge) -> None:
    address = await account(edge, "support")
    older = await token(edge, address)
    await ask(edge, older)
    (row,) = await edge.ground.fetch("SELECT api_key_id::text AS id FROM vault.people")
    answer = await edge.call("POST", f"/v1/api-keys/{row['id']}:revoke", edge.admin)
    assert answer.status_code == 200, answer.text

    async def is_revoked() -> bool:
        answer = await ask(edge, older)
        return answer.status_code == 401 and reason(answer) == (401, "ACCESS_TOKEN_INVALID", "revoked")

    await eventually(is_revoked)
    assert not is_let_in(await ask(edge, await token(edge, address)))  # another clock may have put it before
    await edge.ground.fetch(
        "UPDATE vault.api_keys SET revoked_at = revoked_at - interval '10 minutes' WHERE api_key_id = $1", row["id"]
    )
    assert is_let_in(await ask(edge, await token(edge, address)))
    (after,) = await edge.ground.fetch("SELECT api_key_id::text AS id FROM vault.people")
    assert after["id"] != row["id"]


async def until_the_next_second() -> None:
    """Times of tokens are whole seconds."""
    now = int(time.time())

    async def has_passed() -> bool:
        return int(time.time()) > now

    await eventually(has_passed)


def test_the_audience_of_the_tests_is_that_of_the_scope() -> None:
    assert SCOPE.startswith(f"api://{AUDIENCE}/")
