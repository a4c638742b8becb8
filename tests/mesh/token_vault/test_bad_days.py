"""The database goes away, and secrets are looked for where none may be."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from typing_extensions import override

from mailmesh.vault.v1 import api_key_service_pb2, tenant_service_pb2
from mailmesh.vault.v1.token_vault_service_pb2 import IssueTokenRequest
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from services.token_vault.keys.keyring import read_keys
from services.token_vault.keys.sealing import unwrap
from services.token_vault.store.data_keys import WrappedKey
from stack.certificates import MeshCertificates
from stack.ports import free_ports
from stack.programs.postgres import BINARIES
from tests.programs.postgres import PostgresProgram
from tests.programs.simulator import RunningSimulator
from tests.programs.vault import VaultGround, eventually, vault_ground
from tests.programs.vault_clients import ADMIN, Walk

pytestmark = pytest.mark.timeout(300)


async def test_without_a_database_it_says_so_and_comes_back_by_itself(
    durable_postgres: PostgresProgram, simulator: RunningSimulator, certificates: MeshCertificates, tmp_path: Path
) -> None:
    database = durable_postgres.migrated_database("token_vault")
    async with vault_ground(database, simulator, certificates, tmp_path) as ground:
        vault = await ground.start()
        edge, ingest = await ground.stubs(vault, "envoy"), await ground.stubs(vault, "ingest")
        account = (await ground.control.accounts("ms365"))[0]["address"]
        tenant_id = await ground.connect(edge, "ms365", account)
        request = IssueTokenRequest(tenant_id=tenant_id)
        health: Any = health_pb2_grpc.HealthStub(edge.channel)

        async def is_serving() -> bool:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        async def is_not_serving() -> bool:
            return not await is_serving()

        await asyncio.to_thread(durable_postgres.running.kill)
        with pytest.raises(MeshError) as refused:
            await ingest.mesh.IssueToken(request, timeout=20)
        await eventually(is_not_serving)
        await asyncio.to_thread(durable_postgres.running.restart)
        await eventually(is_serving)

        assert ("UNAVAILABLE", "STORE_UNAVAILABLE") == (refused.value.code, refused.value.reason)
        assert refused.value.retry_after
        assert (await ingest.mesh.IssueToken(request, timeout=20)).access_token


async def test_it_does_not_start_on_a_database_that_is_not_migrated(
    ground: VaultGround, postgres: PostgresProgram
) -> None:
    ground.database = postgres.empty_database("token_vault")

    code, _, errors = await ground.run("serve")

    assert 2 == code
    assert "run migrate" in errors


async def test_no_secret_is_found_where_none_may_be(ground: VaultGround) -> None:
    """Everything is done once, with the log at its most talkative; then all that was kept or said is searched."""
    (metrics_port,) = free_ports(1)
    async with collector() as (traces, otlp):
        vault = await ground.start(
            MAILMESH_METRICS_LISTEN=f"127.0.0.1:{metrics_port}",
            MAILMESH_OTLP_ENDPOINT=otlp,
            OTEL_BSP_SCHEDULE_DELAY="100",
        )
        secrets = await _live(ground)
        async with httpx.AsyncClient(trust_env=False) as http:
            metrics = (await http.get(f"http://127.0.0.1:{metrics_port}/metrics")).text
        arguments = await asyncio.to_thread(Path(f"/proc/{vault.process.pid}/cmdline").read_text)
        # Its last spans go to the collector, which needs this thread to take them.
        await asyncio.to_thread(vault.stop)
    dump = await asyncio.to_thread(_dump, ground.database.admin_url)
    places = {
        "log": vault.log.read_text(),
        "database": dump,
        "metrics": metrics,
        "arguments": arguments,
        "traces": "\n".join(traces),
    }

    found = [f"{name} in {place}" for place, text in places.items() for name, secret in secrets if secret in text]

    assert len(secrets) > 20
    assert "IssueToken" in places["traces"]
    assert [] == found
    shapes = re.compile(r"eyJ[\w-]{20,}\.|ya29\.[\w-]{10,}|mm_[A-Za-z0-9]{10}_[A-Za-z0-9]{10}")
    assert [] == [place for place, text in places.items() if shapes.search(text)]


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[list[str], str]]:
    """Takes traces as a collector does: what came, as text, and where to send it."""
    came: list[str] = []

    class Servicer(trace_service_pb2_grpc.TraceServiceServicer):
        @override
        async def Export(self, request: Any, context: Any) -> Any:
            came.append(str(request))
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield came, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(1)


async def _stored(ground: VaultGround) -> list[tuple[str, str]]:
    """The tokens that are stored now, opened."""
    ring, opened = read_keys(Secret(ground.keys), None), []
    for row in await ground.fetch(
        "SELECT tenant_id::text, k.data_key_id::text, key_encryption_key_id, wrapped, access_token, refresh_token"
        " FROM vault.tenant_keys k JOIN vault.tenant_tokens USING (tenant_id)"
    ):
        wrapped = WrappedKey(row["tenant_id"], row["data_key_id"], row["key_encryption_key_id"], row["wrapped"])
        key = unwrap(ring, wrapped)
        opened += [(name, key.open(name, row[name]).reveal()) for name in ("access_token", "refresh_token")]
    return opened


async def _live(ground: VaultGround) -> list[tuple[str, str]]:
    """A life with connects, refusals, refreshes, keys and a disconnect. Returns every secret that was seen."""
    vault = ground.processes[0]
    edge, ingest = await ground.stubs(vault, "envoy"), await ground.stubs(vault, "ingest")
    secrets: list[tuple[str, str]] = [("key-encryption key", part.partition(":")[2]) for part in ground.keys.split(",")]
    secrets += [(name, value) for name, value in ground.environment().items() if "CLIENT_SECRET" in name]
    code, key, _ = await ground.run("create-admin-key")
    assert code == 0
    secrets += [("API key", key.strip()), ("API key's secret", key.strip().split("_")[2])]
    for provider in ("ms365", "googlews"):
        secrets += await _connected(ground, edge, provider)
    secrets += await _stored(ground)
    for row in await ground.fetch("SELECT tenant_id::text FROM vault.tenants"):
        secrets += await _lent(ground, ingest, row["tenant_id"])
    secrets += await _stored(ground)
    create = api_key_service_pb2.CreateApiKeyRequest(display_name="n8n", role=1)
    with pytest.raises(MeshError):
        await edge.api_keys.CreateApiKey(create, metadata=ADMIN)  # a key that does not exist may not make one
    start = tenant_service_pb2.StartAuthorizationRequest(provider="ms365")
    started = await edge.tenants.StartAuthorization(start, metadata=ADMIN)
    secrets.append(("unused ticket", started.authorization_url.partition("ticket=")[2]))
    return secrets


async def _connected(ground: VaultGround, edge: Any, provider: str) -> list[tuple[str, str]]:
    account = (await ground.control.accounts(provider))[0]["address"]
    secrets: list[tuple[str, str]] = []
    for action in ("deny", "accept"):
        started = await ground.start_authorization(edge, provider)
        walk = Walk(edge, ground.simulator)
        url = await walk.open(started.authorization_url)
        secrets.append((f"{provider} cookie", next(iter(walk.cookies.values()))))
        back = await walk.consent(url, account, action=action)
        await walk.complete(back)
        await walk.complete(back)
        secrets.append((f"{provider} ticket", started.authorization_url.partition("ticket=")[2]))
        secrets += [
            (f"{provider} {name}", value)
            for name, value in httpx.URL(back).params.items()
            if name in {"code", "state", "client_info", "session_state"}
        ]
    return secrets


async def _lent(ground: VaultGround, ingest: Any, tenant_id: str) -> list[tuple[str, str]]:
    request = IssueTokenRequest(tenant_id=tenant_id)
    tokens = [(await ingest.mesh.IssueToken(request)).access_token]
    await ground.expire(tenant_id)
    tokens.append((await ingest.mesh.IssueToken(request)).access_token)
    await ground.expire(tenant_id)
    await ground.control.add_fault("invalid_grant", endpoint="*.token", count=1)
    with pytest.raises(MeshError):
        await ingest.mesh.IssueToken(request)
    return [("access token", token) for token in tokens]


def _dump(url: str) -> str:
    dumped = subprocess.run([str(BINARIES / "pg_dump"), url], check=True, capture_output=True, text=True).stdout
    return dumped + "\n".join(_as_text(dumped))


def _as_text(dump: str) -> Iterable[str]:
    """The content of bytea columns, read as text: a secret that is only encoded is found too."""
    for column in re.findall(r"\\\\x([0-9a-f]+)", dump):
        yield bytes.fromhex(column).decode("latin-1")
