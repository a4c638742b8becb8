"""Google's pushes at the edge: the token is verified with keys that are really fetched over HTTPS."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator.control_client import SimulatorControl
from stack.certificates import MeshCertificates
from stack.ports import free_ports
from stack.programs.running import running
from stack.programs.simulator import simulator_program
from tests.gateway.conftest import Edge, StartEdge, error_of

AUDIENCE = "https://mesh.example/api/googlews/webhook"
ROTATION_SECONDS = 40


@dataclass
class PushEdge:
    """An edge that trusts the simulated Google."""

    edge: Edge
    google: SimulatorControl

    async def push(self, **forged: object) -> tuple[int, str]:
        """Post a push; return the HTTP status, and the reason when it was refused."""
        facts = await self.google.forge_push(address="anna@fabrikam.test", historyId=7, **forged)
        answer = await self.edge.client.post(
            "/api/googlews/webhook",
            content=json.dumps(facts["body"]),
            headers={"authorization": f"Bearer {facts['token']}"},
        )
        return answer.status_code, error_of(answer)[1] if answer.status_code >= 400 else ""


@pytest.fixture
async def pushes(start_edge: StartEdge, certificates: MeshCertificates, tmp_path: Path) -> AsyncIterator[PushEdge]:
    microsoft, google, control = free_ports(3)
    identity = certificates.identity("simulator")
    program = simulator_program({"microsoft": microsoft, "google": google, "control": control}, identity)
    with running(program, tmp_path):
        async with SimulatorControl(f"http://127.0.0.1:{control}") as client:
            await client.set_pubsub(audience=AUDIENCE)
            edge = await start_edge(
                public_url="https://mesh.example",
                push_certs_url=f"https://127.0.0.1:{google}/oauth2/v3/certs",
                push_keys_seconds=1,
                provider_ca=identity.authority,
            )
            yield PushEdge(edge, client)


async def test_genuine_push_is_taken_and_its_claims_reach_the_service(pushes: PushEdge) -> None:
    assert (204, "") == await pushes.push()

    metadata = pushes.edge.seen.last[2]
    text = metadata["x-mailmesh-push-claims"]
    claims = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert (AUDIENCE, True) == (claims["aud"], claims["email_verified"])
    assert "authorization" not in metadata


@pytest.mark.parametrize(
    "forged",
    [
        {"claims": {"iss": "https://accounts.example"}},
        {"claims": {"aud": "https://other.example/api/googlews/webhook"}},
        {"claims": {"aud": None}},
        {"claims": {"exp": 1_700_000_000}},
        {"claims": {"exp": None}},
        {"wrongKey": True},
    ],
    ids=["issuer", "audience", "no audience", "expired", "no expiry", "key"],
)
async def test_forged_push_is_refused_and_reaches_no_service(pushes: PushEdge, forged: dict[str, object]) -> None:
    assert (401, "PUSH_TOKEN_INVALID") == await pushes.push(**forged)
    assert [] == pushes.edge.seen.calls


async def test_unsigned_token_is_refused(pushes: PushEdge) -> None:
    header, claims = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (
        {"alg": "none", "typ": "JWT"}, {"iss": "https://accounts.google.com", "aud": AUDIENCE, "exp": 4_000_000_000}
    ))  # fmt: skip

    answer = await pushes.edge.client.post(
        "/api/googlews/webhook", content=b"{}", headers={"authorization": f"Bearer {header}.{claims}."}
    )

    assert 401 == answer.status_code


async def test_new_key_is_taken_up_without_a_restart(pushes: PushEdge) -> None:
    await pushes.google.rotate_keys("googlews")

    async with asyncio.timeout(ROTATION_SECONDS):
        while (await pushes.push())[0] != 204:
            await asyncio.sleep(0.2)
