"""Domain-wide delegation without a key: the metadata server, `signJwt`, and our client of both."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google.auth
import google.auth.transport.requests
import jwt
import pytest
import requests
from aiohttp import web
from aiohttp.test_utils import TestServer
from google.auth.compute_engine import _metadata

from services.meshkit.errors import MeshError
from services.token_vault.issuers.app_keys import AppKey
from services.token_vault.issuers.blocking_pool import BlockingPool
from services.token_vault.issuers.google_app import GoogleApp, GoogleAppSettings
from services.token_vault.issuers.google_keyless import KeylessAssertions, KeylessSettings, PlatformIdentity
from services.token_vault.issuers.http import LibraryHttp, ProviderApi, trust
from services.token_vault.issuers.issuer import DelegationMissing
from simulator.control_client import SimulatorControl
from tests.programs.simulator import RunningSimulator
from tests.wire.simulator import google_schema

AUTH = "https://www.googleapis.com/auth/"
USERS = f"{AUTH}admin.directory.user.readonly"
BOSS = "boss@fabrikam.test"
FETCH, SIGN = "metadata.token", "iam.signJwt"


class NoKeys:
    """An installation without a key of a service account."""

    async def usable(self, provider: str) -> list[AppKey]:
        raise AssertionError(provider)


@dataclass
class Keyless:
    """The app on a machine with an identity of the platform."""

    simulator: RunningSimulator
    control: SimulatorControl
    app: GoogleApp
    client_id: str

    async def count(self, endpoint: str) -> int:
        """How often an operation was called since the last count."""
        total: int = (await self.control.request("GET", "/calls/counts", endpoint=endpoint))["total"]
        return total

    async def refused(self) -> MeshError:
        """Asks for a token, and returns the refusal."""
        with pytest.raises(MeshError) as caught:
            await self.app.directory_token("", BOSS)
        return caught.value


@pytest.fixture
async def keyless(
    simulator: RunningSimulator, control: SimulatorControl, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Keyless]:
    host = urlsplit(simulator.ready["controlUrl"]).netloc
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host)
    monkeypatch.setenv("GCE_METADATA_IP", host)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
    set_up = await control.set_platform_identity()
    if BOSS not in {one["address"] for one in await control.accounts("googlews")}:
        await control.create_account("googlews", BOSS, isAdmin=True)
    await control.delegate(set_up["clientId"], "fabrikam.test", [USERS])
    at = {name: simulator.settings[f"MAILMESH_GOOGLEWS_{name.upper()}"] for name in GoogleAppSettings.__annotations__}
    context = trust(simulator.ca_file)
    pool, http, api = (
        BlockingPool("googlews", 4, 30),
        LibraryHttp("googlews", context, 5),
        ProviderApi("googlews", context, 5),
    )
    settings = KeylessSettings(
        set_up["signs"], set_up["clientId"], simulator.settings["MAILMESH_GOOGLEWS_IAM_CREDENTIALS_URL"]
    )
    signing = KeylessAssertions(settings, PlatformIdentity(pool, http), api)
    app = GoogleApp(GoogleAppSettings(**at), NoKeys(), pool, http, api, signing)
    yield Keyless(simulator, control, app, set_up["clientId"])
    await app.close()
    await control.clear_faults()


async def test_the_platforms_identity_gets_a_users_token_without_a_key(keyless: Keyless) -> None:
    token = await keyless.app.directory_token("", BOSS)
    directory_id = await keyless.app.directory_of(token.access_token, BOSS)
    users, _ = await keyless.app.users(token.access_token, "", 10)

    assert directory_id.startswith("C")
    assert BOSS in {user.address for user in users}
    assert (USERS,) == token.scopes
    assert 3000 < token.expires_at.timestamp() - time.time() <= 3600


async def test_many_callers_fetch_the_platforms_token_once(keyless: Keyless) -> None:
    fetched, signed = await keyless.count(FETCH), await keyless.count(SIGN)
    tokens = await asyncio.gather(*(keyless.app.directory_token("", BOSS) for _ in range(20)))

    assert 20 == len({token.access_token.reveal() for token in tokens})
    assert (1, 20) == (await keyless.count(FETCH) - fetched, await keyless.count(SIGN) - signed)


async def test_a_revoked_token_of_the_platform_is_fetched_once_more(keyless: Keyless) -> None:
    await keyless.app.directory_token("", BOSS)
    fetched = await keyless.count(FETCH)
    await keyless.control.expire_access_tokens()
    await keyless.app.directory_token("", BOSS)

    assert 1 == await keyless.count(FETCH) - fetched


async def test_a_grant_that_lacks_is_named_by_the_numeric_client_id(keyless: Keyless) -> None:
    await keyless.control.delegate(keyless.client_id, "fabrikam.test", [])
    with pytest.raises(DelegationMissing) as caught:
        await keyless.app.directory_token("", BOSS)

    assert (keyless.client_id, (USERS,)) == (caught.value.client_id, caught.value.scopes)


@pytest.mark.parametrize(
    ("facts", "detail", "remedy"),
    [
        ({"maySign": False}, "signJwt PERMISSION_DENIED", "the role Service Account Token Creator on mailmesh@"),
        ({"apiEnabled": False}, "signJwt SERVICE_DISABLED", "Enable the API iamcredentials.googleapis.com"),
        ({"email": ""}, "no platform identity", "GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
async def test_a_platform_that_does_not_sign_is_named_with_its_remedy(
    keyless: Keyless, facts: dict[str, Any], detail: str, remedy: str
) -> None:
    await keyless.control.set_platform_identity(**facts)
    error = await keyless.refused()

    assert ("INSTALLATION_MISCONFIGURED", "googlews", detail) == (
        error.reason, error.metadata["provider"], error.metadata["detail"]
    )  # fmt: skip
    assert remedy in str(error)


async def test_no_metadata_server_means_no_identity(keyless: Keyless, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:9")
    error = await keyless.refused()

    assert ("INSTALLATION_MISCONFIGURED", "no platform identity") == (error.reason, error.metadata["detail"])


async def test_a_metadata_server_that_hangs_is_waited_for_a_bounded_time(
    keyless: Keyless, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: held.append(writer), "127.0.0.1", 0)
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", "127.0.0.1:{}".format(*server.sockets[0].getsockname()[1:]))
    pool, http = (
        BlockingPool("googlews", 1, 1.5),
        LibraryHttp("googlews", trust(keyless.simulator.ca_file), 0.3),
    )
    began = time.monotonic()
    with pytest.raises(MeshError) as caught:
        await PlatformIdentity(pool, http).token()
    took = time.monotonic() - began
    pool.close()
    for writer in held:
        writer.close()
    server.close()

    assert ("PROVIDER_UNAVAILABLE", True) == (caught.value.reason, took < 10)
    assert held


@pytest.mark.parametrize(("status", "reason"), [(429, "PROVIDER_THROTTLED"), (503, "PROVIDER_UNAVAILABLE")])
async def test_a_passing_failure_of_the_signer_passes(keyless: Keyless, status: int, reason: str) -> None:
    await keyless.control.add_fault(kind="status", endpoint=SIGN, status=status, retry_after=7, count=1)
    error = await keyless.refused()
    later = await keyless.app.directory_token("", BOSS)

    assert (reason, 7) == (error.reason, error.retry_after.total_seconds() if error.retry_after else 0)
    assert later.access_token


async def test_a_metadata_server_that_fails_once_is_asked_again(keyless: Keyless) -> None:
    await keyless.control.add_fault(kind="status", endpoint=FETCH, status=503, count=1)
    fetched = await keyless.count(FETCH)
    await keyless.app.directory_token("", BOSS)

    assert 2 == await keyless.count(FETCH) - fetched


async def test_googles_own_library_meets_the_same_metadata_server(keyless: Keyless) -> None:
    def asked() -> tuple[str, str]:
        session = requests.Session()
        session.verify, session.trust_env = str(keyless.simulator.ca_file), False
        request = google.auth.transport.requests.Request(session)
        found, project = google.auth.default(request=request)
        found.refresh(request)  # type: ignore[no-untyped-call]
        return str(found.token), str(project)

    token, project = await asyncio.to_thread(asked)

    assert token.startswith("ya29.")
    assert "mailmesh-simulator" == project


async def test_a_federated_workload_signs_by_the_token_that_it_exchanged(
    keyless: Keyless, browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = f"{keyless.simulator.ready['controlUrl']}/computeMetadata/v1/instance/service-accounts/default/token"
    lent = (await browser.get(metadata, headers={"metadata-flavor": "Google"})).json()["access_token"]
    asked: list[dict[str, Any]] = []

    async def exchange(request: web.Request) -> web.Response:
        asked.append(dict(await request.post()))
        kind = "urn:ietf:params:oauth:token-type:access_token"
        return web.json_response(
            {"access_token": lent, "issued_token_type": kind, "token_type": "Bearer", "expires_in": 3600}
        )

    sts = web.Application()
    sts.router.add_post("/v1/token", exchange)
    async with TestServer(sts) as server:
        (tmp_path / "subject").write_text("a token of the cluster")
        file = tmp_path / "federation.json"
        federation = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/c",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": str(server.make_url("/v1/token")),
            "credential_source": {"file": str(tmp_path / "subject")},
        }
        file.write_text(json.dumps(federation))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        fetched = await keyless.count(FETCH)
        token = await keyless.app.directory_token("", BOSS)
        file.unlink()
        again = await keyless.app.directory_token("", BOSS)

    assert "" not in {token.access_token.reveal(), again.access_token.reveal()}
    assert [("a token of the cluster", "https://www.googleapis.com/auth/iam")] == [
        (one["subject_token"], one["scope"]) for one in asked
    ]
    assert fetched == await keyless.count(FETCH)


@pytest.mark.parametrize("headers", [{}, {"metadata-flavor": "Google", "x-forwarded-for": "192.0.2.1"}])
async def test_the_metadata_server_refuses_what_a_page_or_a_proxy_sends(
    keyless: Keyless, browser: Any, headers: dict[str, str]
) -> None:
    url = f"{keyless.simulator.ready['controlUrl']}/computeMetadata/v1/instance/service-accounts/default/token"
    answer = await browser.get(url, headers=headers)

    assert (403, "Google") == (answer.status_code, answer.headers["metadata-flavor"])


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"iss": "me", "exp": 0}, 400),
        ({"iss": "me", "exp": 13 * 3600}, 400),
        ([1], 400),
        ({"iss": "me", "exp": 3600}, 200),
    ],
)
async def test_the_signer_signs_only_claims_with_a_near_end(
    keyless: Keyless, browser: Any, payload: Any, status: int
) -> None:
    metadata = f"{keyless.simulator.ready['controlUrl']}/computeMetadata/v1/instance/service-accounts/default"
    flavor = {"metadata-flavor": "Google"}
    email = (await browser.get(f"{metadata}/?recursive=true", headers=flavor)).json()["email"]
    token = (await browser.get(f"{metadata}/token", headers=flavor)).json()["access_token"]
    if isinstance(payload, dict) and payload["exp"]:
        payload = {**payload, "exp": int(time.time()) + payload["exp"]}
    url = f"{keyless.simulator.google}/v1/projects/-/serviceAccounts/{email}:signJwt"
    body = {"payload": json.dumps(payload)}
    answer = await browser.post(url, json=body, headers={"authorization": f"Bearer {token}"})

    assert status == answer.status_code
    if status == 200:
        schema = google_schema.document("iamcredentials.v1")["schemas"]["SignJwtResponse"]
        assert set(schema["properties"]) == set(answer.json())
        claims = jwt.decode(answer.json()["signedJwt"], options={"verify_signature": False})
        assert payload == claims
