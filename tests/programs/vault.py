"""TokenVault as real processes, with the simulated providers behind it."""

import asyncio
import base64
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import asyncpg
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mailmesh.vault.v1 import tenant_service_pb2
from services.meshkit.channel import mesh_channel
from services.meshkit.errors import MeshError
from services.meshkit.identity.certificates import TlsFiles
from simulator.control_client import SimulatorControl
from stack.certificates import MeshCertificates
from stack.ports import free_ports
from tests.programs.postgres import TestDatabase
from tests.programs.simulator import RunningSimulator
from tests.programs.vault_clients import ADMIN, PUBLIC_URL, Stubs, Walk
from tests.programs.waiting import pause_seconds
from tools.suite.sandbox import tethered

START_SECONDS = 60.0
STOP_SECONDS = 40.0
POLL_SECONDS = 0.05
Result = TypeVar("Result")


def new_keys(*key_ids: str) -> str:
    """Random key-encryption keys as the settings want them."""
    return ",".join(f"{key_id}:{base64.b64encode(secrets.token_bytes(32)).decode()}" for key_id in key_ids)


async def eventually(ask: Callable[[], Awaitable[Result]], timeout_seconds: float = 90.0) -> Result:
    """Asks again and again until the answer is true, and returns it."""
    began = time.monotonic()
    while not (answer := await ask()):
        waited = time.monotonic() - began
        assert waited < timeout_seconds, f"not in {timeout_seconds:g} s; last answer {answer!r}"
        await asyncio.sleep(pause_seconds(waited, POLL_SECONDS))
    return answer


@dataclass
class VaultProcess:
    """One process of TokenVault."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def kill(self) -> None:
        """Ends it as a power cut would. Safe to call again."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ends it as a supervisor would, and returns its exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)


class VaultGround:
    """Starts processes on one database, and speaks with them.

    Args:
        database: Where they keep things.
        simulator: The providers.
        certificates: The mesh's identities.
        folder: For logs.
        keys: Key-encryption keys.
    """

    def __init__(
        self,
        database: TestDatabase,
        simulator: RunningSimulator,
        certificates: MeshCertificates,
        folder: Path,
        keys: str,
    ) -> None:
        self.database = database
        self.simulator = simulator
        self.keys = keys
        self.processes: list[VaultProcess] = []
        self._lent: list[VaultProcess] = []
        self.settings: dict[str, str] = {}
        self._certificates = certificates
        self._folder = folder
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.control: SimulatorControl = await self._stack.enter_async_context(self.simulator.control())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        for process in self.processes:
            if process not in self._lent:
                process.kill()

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a process."""
        identity = self._certificates.identity("token-vault")
        return {
            "PATH": os.environ["PATH"],
            **self.simulator.settings,
            "MAILMESH_DATABASE_URL": self.database.url,
            "MAILMESH_TLS_CERT": str(identity.certificate),
            "MAILMESH_TLS_KEY": str(identity.key),
            "MAILMESH_TLS_CA": str(identity.authority),
            "MAILMESH_PUBLIC_URL": PUBLIC_URL,
            "MAILMESH_PROVIDER_CA": str(self.simulator.ca_file),
            "MAILMESH_VAULT_KEYS": self.keys,
            "MAILMESH_LOG_LEVEL": "debug",
            **self.settings,
            **more,
        }

    async def run(self, *command: str, **more: str) -> tuple[int, str, str]:
        """Runs a command of TokenVault to its end: exit code, output, errors."""
        process = await asyncio.create_subprocess_exec(
            *_python(*command),
            env=self.environment(**more),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, output.decode(), errors.decode()

    async def start(self, *, module: str = "", **more: str) -> VaultProcess:
        """Starts a process and waits until it serves; another module than TokenVault's own where one is named."""
        (port,) = free_ports(1)
        log = self._folder / f"vault-{port}.log"
        environment = self.environment(MAILMESH_LISTEN=f"127.0.0.1:{port}", **more)
        command = (sys.executable, "-m", module) if module else _python("serve")
        process = _popen(command, environment, log)
        started = VaultProcess(process, port, log)
        self.processes.append(started)
        await self._until_serving(started)
        return started

    def borrow(self, process: VaultProcess) -> None:
        """Adopts a process that another ground started; it continues when this ground closes."""
        self.processes.append(process)
        self._lent.append(process)

    def lend(self) -> VaultProcess:
        """Hands over the newest process: it continues when this ground closes."""
        self._lent.append(self.processes[-1])
        return self.processes[-1]

    async def empty(self) -> None:
        """Deletes everything but the keys' check values, for another test on the same database."""
        await self.fetch(
            "TRUNCATE vault.tenants, vault.directories, vault.app_credentials, vault.tenant_keys, vault.tenant_tokens,"
            " vault.content_keys, vault.authorization_flows, vault.api_keys, vault.sessions, vault.people,"
            " vault.request_ids, vault.tenant_changes, vault.audit_entries"
        )

    async def stubs(self, process: VaultProcess, identity: str) -> Stubs:
        """Opens a channel as an identity; it is closed with the ground."""
        files = self._certificates.identity(identity)
        tls = TlsFiles(files.certificate, files.key, files.authority)
        channel = await self._stack.enter_async_context(mesh_channel(process.address, "token-vault", tls))
        return Stubs(channel)

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Asks the database as its superuser."""
        connection = await asyncpg.connect(self.database.admin_url)
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def expire(self, tenant_id: str) -> None:
        """Makes the stored token one that was fetched an hour ago and has expired."""
        await self.fetch(
            "UPDATE vault.tenant_tokens SET expires_at = now() - interval '1 second', next_refresh_at = now(),"
            " last_refreshed_at = now() - interval '1 hour' WHERE tenant_id = $1",
            tenant_id,
        )

    async def audit(self, action: str) -> list[tuple[str, str, str]]:
        """The entries of an action in order: who, whom, how it went."""
        rows = await self.fetch(
            "SELECT actor, coalesce(tenant_id::text, '') AS tenant_id, outcome FROM vault.audit_entries"
            " WHERE action = $1 ORDER BY occurred_at, audit_entry_id",
            action,
        )
        return [(row["actor"], row["tenant_id"], row["outcome"]) for row in rows]

    async def status(self, tenant_id: str) -> tuple[str, str]:
        """A tenant's status and its reason."""
        (row,) = await self.fetch("SELECT status, status_reason FROM vault.tenants WHERE tenant_id = $1", tenant_id)
        return row["status"], row["status_reason"]

    async def start_authorization(self, edge: Stubs, provider: str, **fields: Any) -> Any:
        """Begins to connect, with an unlimited admin key."""
        request = tenant_service_pb2.StartAuthorizationRequest(provider=provider, **fields)
        return await edge.tenants.StartAuthorization(request, metadata=ADMIN)

    async def connect(self, edge: Stubs, provider: str, account: str, **fields: Any) -> str:
        """Connects an account as a person with a browser does, and returns the tenant's id."""
        started = await self.start_authorization(edge, provider, **fields)
        walk = Walk(edge, self.simulator)
        result = await walk.whole(started.authorization_url, account)
        assert "connected" in result.title, result
        rows = await self.fetch(
            "SELECT tenant_id::text FROM vault.authorization_flows WHERE flow_id = $1", started.flow_id
        )
        return str(rows[0]["tenant_id"])

    async def _until_serving(self, started: VaultProcess) -> None:
        stubs = await self.stubs(started, "operator")
        health: Any = health_pb2_grpc.HealthStub(stubs.channel)
        request = health_pb2.HealthCheckRequest()

        async def is_serving() -> bool:
            assert started.is_running, started.log.read_text()
            try:
                answer = await health.Check(request, timeout=5)
            except MeshError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        await eventually(is_serving, START_SECONDS)


def _python(*command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "services.token_vault", *command)


def _popen(command: tuple[str, ...], environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        return subprocess.Popen(
            tethered(command), env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


@asynccontextmanager
async def vault_ground(
    database: TestDatabase, simulator: RunningSimulator, certificates: MeshCertificates, folder: Path, keys: str = ""
) -> AsyncIterator[VaultGround]:
    """Opens a ground; at its end its processes are killed and the simulator is put back."""
    async with VaultGround(database, simulator, certificates, folder, keys or new_keys("k1")) as ground:
        try:
            yield ground
        finally:
            await ground.control.reset()
