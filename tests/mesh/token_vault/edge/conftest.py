"""A real edge in front of one TokenVault, for all tests of a module."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.render import render
from gateway.settings import EdgeSettings
from services.meshkit.settings import load
from stack.certificates import MeshCertificates
from stack.ports import free_ports
from stack.programs.envoy import EnvoyServer
from stack.programs.running import running
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.programs.simulator import RunningSimulator
from tests.programs.vault import VaultGround, VaultProcess, eventually, new_keys, vault_ground

ORGANISATION = "0f5c9e1e-1111-4222-8333-444455556666"
"""The directory in which people of the operator's own organisation have accounts."""
AUDIENCE = "7d1f0e5c-2222-4333-8444-555566667777"
"""The API that the organisation has registered for agents."""
SCOPE = f"api://{AUDIENCE}/mail"
FIRST = ("api_keys", "audit_entries")
"""Where the making of the first admin key leaves a row."""


@dataclass(frozen=True)
class Front:
    """An edge and one TokenVault behind it, which all tests of a module use, and the first admin key."""

    database: TestDatabase
    keys: str
    process: VaultProcess
    port: int
    door_port: int
    admin: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Edge:
    """An edge in front of one TokenVault that holds the first admin key and nothing else."""

    ground: VaultGround
    url: str
    port: int
    http: httpx.AsyncClient
    admin: str

    async def call(self, method: str, path: str, key: str = "", **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return await self.http.request(method, path, headers=headers, json=body or None)

    async def key(self, **wanted: Any) -> tuple[str, str]:
        """Makes a key with the admin key: its id and itself."""
        answer = await self.call("POST", "/v1/api-keys", self.admin, **{"displayName": "test", **wanted})
        assert answer.status_code == 200, answer.text
        return answer.json()["apiKey"]["apiKeyId"], answer.json()["secret"]


def edge_settings(
    port: int, metrics_port: int, vault_port: int, door_port: int, certificates: MeshCertificates
) -> EdgeSettings:
    identity = certificates.identity("envoy")
    return load(
        EdgeSettings,
        listen=f"127.0.0.1:{port}",
        metrics_listen=f"127.0.0.1:{metrics_port}",
        mesh_certificate=identity.certificate,
        mesh_key=identity.key,
        mesh_authority=identity.authority,
        token_vault=(f"127.0.0.1:{vault_port}",),
        # The route to agents exists, and TokenVault decides about its requests. Few tests start the door behind it.
        agents=(f"127.0.0.1:{door_port}",),
        public_url=f"http://127.0.0.1:{port}",
    )


def sign_in_settings(simulator: RunningSimulator) -> dict[str, str]:
    """The simulated Microsoft as the identity provider at which people sign in."""
    return {
        "MAILMESH_VAULT_SIGN_IN_ISSUER": f"{simulator.microsoft}/{ORGANISATION}/v2.0",
        "MAILMESH_VAULT_SIGN_IN_NAME": "Example GmbH",
        "MAILMESH_VAULT_SIGN_IN_CLIENT_ID": simulator.settings["MAILMESH_MS365_CLIENT_ID"],
        "MAILMESH_VAULT_SIGN_IN_CLIENT_SECRET": simulator.settings["MAILMESH_MS365_CLIENT_SECRET"],
        "MAILMESH_VAULT_SIGN_IN_AUDIENCE": AUDIENCE,
        "MAILMESH_VAULT_SIGN_IN_AGENT_SCOPES": SCOPE,
        "MAILMESH_VAULT_SIGN_IN_GROUPS": "admins=admin,support=operator:mail.read+mail.send,readers=reader",
    }


@pytest.fixture(scope="module")
def front(
    postgres: PostgresProgram,
    simulator: RunningSimulator,
    certificates: MeshCertificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Front]:
    database, keys = postgres.migrated_database("token_vault"), new_keys("k1")
    folder, (port, metrics_port, door_port) = tmp_path_factory.mktemp("front"), free_ports(3)

    async def start() -> Front:
        async with vault_ground(database, simulator, certificates, folder, keys) as ground:
            await ground.start(MAILMESH_PUBLIC_URL=f"http://127.0.0.1:{port}", **sign_in_settings(simulator))
            _, key, _ = await ground.run("create-admin-key", "--name", "first")
            for table in FIRST:
                await ground.fetch(f"CREATE TABLE first_{table} AS TABLE vault.{table}")
            return Front(database, keys, ground.lend(), port, door_port, key.strip())

    made = asyncio.run(start())
    configuration = render(edge_settings(port, metrics_port, made.process.port, door_port, certificates), folder)
    with running(EnvoyServer(configuration).program(), folder):
        yield made
    made.process.kill()
    postgres.drop(database)


@pytest.fixture
async def edge(
    front: Front, simulator: RunningSimulator, certificates: MeshCertificates, tmp_path: Path
) -> AsyncIterator[Edge]:
    async with (
        vault_ground(front.database, simulator, certificates, tmp_path, front.keys) as ground,
        httpx.AsyncClient(base_url=front.url, timeout=60, trust_env=False) as http,
    ):
        await ground.empty()
        for table in FIRST:
            await ground.fetch(f"INSERT INTO vault.{table} SELECT * FROM first_{table}")  # noqa: S608 - our own names
        ground.borrow(front.process)
        opened = Edge(ground, front.url, front.port, http, front.admin)

        async def is_up() -> bool:
            return (await opened.call("GET", "/v1/api-keys", opened.admin)).status_code == 200

        await eventually(is_up)
        yield opened
