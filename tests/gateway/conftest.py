"""A real Envoy in front of small real gRPC servers over mutual TLS that record what reaches them."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
from google.api import httpbody_pb2
from google.protobuf import json_format
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from gateway.settings import EdgeSettings
from mailmesh.ingest.v1 import ingest_service_pb2, ingest_service_pb2_grpc
from mailmesh.processor.v1 import event_service_pb2_grpc
from mailmesh.vault.v1 import (
    authorization_service_pb2,
    authorization_service_pb2_grpc,
    tenant_service_pb2,
    tenant_service_pb2_grpc,
)
from services.meshkit.errors import ApiKeyInvalid, MeshError
from services.meshkit.header_bounds import METADATA_OPTIONS
from services.meshkit.settings import load
from services.token_vault.api_access.authorize import Allowed, Presented
from services.token_vault.api_access.origin import Origins
from services.token_vault.servicers.ext_authz import ExtAuthzServicer
from stack.certificates import Identity, MeshCertificates
from stack.ports import free_ports
from stack.programs.envoy import EnvoyServer
from tests.programs.envoy import StartEnvoy

ADMIN_KEY = "mm_admin"
READER_KEY = "mm_reader"
HOLD = b'"hold"'


@dataclass
class Seen:
    """The requests that reached the services: RPC, request, metadata."""

    calls: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    denial: MeshError | None = None
    held: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self) -> None:
        """Keep a request waiting until the test releases all of them."""
        self.held += 1
        await self.released.wait()

    def record(self, rpc: str, request: Any, context: grpc.aio.ServicerContext) -> None:
        """Record a call."""
        pairs = context.invocation_metadata() or ()
        self.calls.append((rpc, request, {key: value for key, value in pairs if isinstance(value, str)}))

    @property
    def last(self) -> tuple[str, Any, dict[str, str]]:
        return self.calls[-1]


class Tenants(tenant_service_pb2_grpc.TenantServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def ListTenants(self, request, context):
        self.seen.record("ListTenants", request, context)
        return tenant_service_pb2.ListTenantsResponse(next_page_token="more")

    async def GetTenant(self, request, context):
        self.seen.record("GetTenant", request, context)
        info = error_details_pb2.ErrorInfo(
            reason="TENANT_NOT_FOUND", domain="mailmesh", metadata={"tenant_id": request.tenant_id}
        )
        status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="No such tenant.")
        status.details.add().Pack(info)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        await context.abort(grpc.StatusCode.NOT_FOUND, "No such tenant.")

    async def DisconnectTenant(self, request, context):
        self.seen.record("DisconnectTenant", request, context)
        return tenant_service_pb2.DisconnectTenantResponse()

    async def StartAuthorization(self, request, context):
        self.seen.record("StartAuthorization", request, context)
        return tenant_service_pb2.StartAuthorizationResponse(authorization_url="https://edge/x")


class Authorizations(authorization_service_pb2_grpc.AuthorizationServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def OpenAuthorization(self, request, context):
        self.seen.record("OpenAuthorization", request, context)
        await context.send_initial_metadata(
            (("x-http-status", "302"), ("location", "https://login.example/"), ("set-cookie", "a=1; HttpOnly"))
        )
        return authorization_service_pb2.OpenAuthorizationResponse(page=httpbody_pb2.HttpBody(content_type="text/html"))


class Ingest(ingest_service_pb2_grpc.IngestServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def ReceiveGraphNotifications(self, request, context):
        self.seen.record("ReceiveGraphNotifications", request, context)
        if request.payload.data == HOLD:
            await self.seen.hold()
        if request.validation_token:
            body = httpbody_pb2.HttpBody(content_type="text/plain", data=request.validation_token.encode())
        else:
            await context.send_initial_metadata((("x-http-status", "202"),))
            body = httpbody_pb2.HttpBody(content_type="text/plain")
        return ingest_service_pb2.ReceiveGraphNotificationsResponse(payload=body)

    async def ReceiveCalendarPush(self, request, context):
        self.seen.record("ReceiveCalendarPush", request, context)
        await context.send_initial_metadata((("x-http-status", "204"),))
        return ingest_service_pb2.ReceiveCalendarPushResponse(payload=httpbody_pb2.HttpBody(content_type="text/plain"))

    async def ReceiveGmailPush(self, request, context):
        self.seen.record("ReceiveGmailPush", request, context)
        await context.send_initial_metadata((("x-http-status", "204"),))
        return ingest_service_pb2.ReceiveGmailPushResponse(payload=httpbody_pb2.HttpBody(content_type="text/plain"))


class Events(event_service_pb2_grpc.EventServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def TailEvents(self, request, context):
        self.seen.record("TailEvents", request, context)
        for number in range(3):
            yield httpbody_pb2.HttpBody(content_type="text/event-stream", data=b"id: %d\ndata: {}\n\n" % number)


class Authority(external_auth_pb2_grpc.AuthorizationServicer):
    """Answer Envoy as TokenVault does: by the key and the RPC's name."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def authorize(self, method: str, _presented: Presented) -> Allowed:
        raise self.seen.denial or ApiKeyInvalid

    async def Check(self, request, context):
        http = request.attributes.request.http
        self.seen.record("Check", http.path, context)
        if self.seen.denial is not None:
            return await ExtAuthzServicer(self, Origins("")).Check(request, context)
        key = http.headers.get("authorization", "").removeprefix("Bearer ")
        if key not in (ADMIN_KEY, READER_KEY):
            return _denied(401, code_pb2.UNAUTHENTICATED, "API_KEY_INVALID")
        if key == READER_KEY and http.path.endswith("/StartAuthorization"):
            return _denied(403, code_pb2.PERMISSION_DENIED, "ROLE_TOO_LOW")
        answer = external_auth_pb2.CheckResponse(status=status_pb2.Status(code=code_pb2.OK))
        for name, value in {"x-mailmesh-key-id": key, "x-mailmesh-role": "admin", "x-mailmesh-tenants": "*"}.items():
            answer.ok_response.headers.add().header.MergeFrom(_header(name, value))
        return answer


def _header(name: str, value: str) -> Any:
    return base_pb2.HeaderValue(key=name, value=value)


def _denied(http_status: int, code: int, reason: str) -> external_auth_pb2.CheckResponse:
    status = status_pb2.Status(code=code, message="No.")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="mailmesh"))
    answer = external_auth_pb2.CheckResponse(status=status)
    answer.denied_response.status.code = http_status
    answer.denied_response.body = json_format.MessageToJson(status)
    answer.denied_response.headers.add().header.MergeFrom(_header("content-type", "application/json"))
    return answer


@dataclass
class Edge:
    """A running edge."""

    port: int
    metrics_port: int
    server: EnvoyServer
    seen: Seen
    client: httpx.AsyncClient

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


StartEdge = Callable[..., Awaitable[Edge]]


@asynccontextmanager
async def _service(identity: Identity, port: int, add: Callable[[grpc.aio.Server], None]) -> AsyncIterator[None]:
    server = grpc.aio.server(options=METADATA_OPTIONS)
    add(server)
    health_servicer = health.aio.HealthServicer()
    await health_servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    credentials = grpc.ssl_server_credentials(
        [(identity.key.read_bytes(), identity.certificate.read_bytes())],
        root_certificates=identity.authority.read_bytes(),
        require_client_auth=True,
    )
    server.add_secure_port(f"127.0.0.1:{port}", credentials)
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


def _adding(handler: grpc.GenericRpcHandler, authority: "Authority") -> Callable[[grpc.aio.Server], None]:
    def add(server: grpc.aio.Server) -> None:
        external_auth_pb2_grpc.add_AuthorizationServicer_to_server(authority, server)
        server.add_generic_rpc_handlers((handler,))

    return add


async def _until_healthy(server: EnvoyServer, healthy: int) -> None:
    async with asyncio.timeout(40):
        while True:
            clusters = (await asyncio.to_thread(server.ask, "/clusters?format=json"))["cluster_statuses"]
            states = [
                host["health_status"]
                for cluster in clusters
                if cluster["name"] in ("token_vault", "ingest", "processor", "delivery", "primitives", "workflows")
                for host in cluster["host_statuses"]
            ]
            if sum(state == {"eds_health_status": "HEALTHY"} for state in states) == healthy:
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def start_edge(certificates: MeshCertificates, start_envoy: StartEnvoy) -> AsyncIterator[StartEdge]:
    """Start six servers and Envoy: `await start_edge(limits...)`; `impostors` show another's certificate."""
    async with edges(certificates, start_envoy) as start:
        yield start


@asynccontextmanager
async def edges(certificates: MeshCertificates, start_envoy: StartEnvoy) -> AsyncIterator[StartEdge]:
    """Start edges for the length of a block."""
    async with AsyncExitStack() as stack:

        async def start(
            *,
            impostors: Mapping[str, Identity] | None = None,
            everything: Callable[[Seen], grpc.GenericRpcHandler] | None = None,
            **settings: Any,
        ) -> Edge:
            edge_port, metrics_port, vault, ingest, processor, delivery, primitives, workflows = free_ports(8)
            seen = Seen()

            def add_vault(server: grpc.aio.Server) -> None:
                tenant_service_pb2_grpc.add_TenantServiceServicer_to_server(Tenants(seen), server)
                authorization_service_pb2_grpc.add_AuthorizationServiceServicer_to_server(Authorizations(seen), server)
                external_auth_pb2_grpc.add_AuthorizationServicer_to_server(Authority(seen), server)

            services = [
                ("token-vault", vault, add_vault),
                (
                    "ingest",
                    ingest,
                    lambda server: ingest_service_pb2_grpc.add_IngestServiceServicer_to_server(Ingest(seen), server),
                ),
                (
                    "processor",
                    processor,
                    lambda server: event_service_pb2_grpc.add_EventServiceServicer_to_server(Events(seen), server),
                ),
                ("delivery", delivery, lambda _: None),
                ("primitives", primitives, lambda _: None),
                ("workflows", workflows, lambda _: None),
            ]
            for name, port, own in services:
                add = own if everything is None else _adding(everything(seen), Authority(seen))
                shown = (impostors or {}).get(name, certificates.identity(name))
                await stack.enter_async_context(_service(shown, port, add))
            identity = certificates.identity("envoy")
            edge_settings = load(
                EdgeSettings,
                listen=f"127.0.0.1:{edge_port}",
                metrics_listen=f"127.0.0.1:{metrics_port}",
                mesh_certificate=identity.certificate,
                mesh_key=identity.key,
                mesh_authority=identity.authority,
                token_vault=(f"127.0.0.1:{vault}",),
                ingest=(f"127.0.0.1:{ingest}",),
                processor=(f"127.0.0.1:{processor}",),
                delivery=(f"127.0.0.1:{delivery}",),
                primitives=(f"127.0.0.1:{primitives}",),
                workflows=(f"127.0.0.1:{workflows}",),
                **settings,
            )
            server = await asyncio.to_thread(start_envoy, edge_settings)
            await _until_healthy(server, len(services) - len(impostors or {}))
            scheme = "https" if settings.get("tls_certificate") else "http"
            client = await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=f"{scheme}://127.0.0.1:{edge_port}",
                    timeout=30,
                    verify=ssl.create_default_context(cafile=identity.authority),
                )
            )
            return Edge(edge_port, metrics_port, server, seen, client)

        yield start


@pytest.fixture
async def edge(start_edge: StartEdge) -> Edge:
    """An edge with the default limits."""
    return await start_edge()


def error_of(response: httpx.Response) -> tuple[int, str]:
    """Return the code and the reason of an error's body."""
    body = json.loads(response.content)
    return body["code"], body["details"][0]["reason"]
