"""The edge for the clients' programs: the services' own plumbing behind a real Envoy, with data made by hand.

The data are few, but everything between is real: mutual TLS, the interceptors, the edge's configuration, and the
failures with their details.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
from google.api import httpbody_pb2
from google.protobuf.json_format import MessageToJson

from gateway.render import render
from gateway.settings import EdgeSettings
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import event_pb2, event_service_pb2, event_service_pb2_grpc
from mailmesh.vault.v1 import tenant_pb2, tenant_service_pb2, tenant_service_pb2_grpc
from services.meshkit.errors import OutOfRange, ShuttingDown
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.server import MeshServer
from services.meshkit.settings import load
from services.token_vault.api_access.edge_contract import load_contract
from services.token_vault.errors import TenantNotFound
from stack.certificates import MeshCertificates
from stack.ports import free_ports
from stack.programs.envoy import EnvoyServer
from stack.programs.running import running
from tests.gateway.conftest import ADMIN_KEY, READER_KEY, Authority, Seen

__all__ = ["ADMIN_KEY", "READER_KEY", "STALE_CURSOR", "ServedEdge", "serve"]

START_SECONDS = 60
# A cursor from before the oldest event.
STALE_CURSOR = "stale"


def tenant(number: int) -> tenant_pb2.Tenant:
    """Makes a tenant."""
    return tenant_pb2.Tenant(
        tenant_id=f"tenant-{number}",
        provider=("ms365", "googlews")[number % 2],
        address=f"person{number}@example.com",
        status=tenant_pb2.TENANT_STATUS_ACTIVE,
    )


class Tenants(tenant_service_pb2_grpc.TenantServiceServicer):
    """Five tenants, two to a page."""

    async def ListTenants(self, request, context):
        start = int(request.page_token or 0)
        more = str(start + 2) if start + 2 < 5 else ""
        tenants = [tenant(number) for number in range(start, min(start + 2, 5))]
        return tenant_service_pb2.ListTenantsResponse(tenants=tenants, next_page_token=more)

    async def GetTenant(self, request, context):
        known = {f"tenant-{number}": number for number in range(5)}
        if request.tenant_id not in known:
            raise TenantNotFound(resource=request.tenant_id, metadata={"tenant_id": request.tenant_id})
        return tenant_service_pb2.GetTenantResponse(tenant=tenant(known[request.tenant_id]))


def event(number: int) -> event_pb2.Event:
    """Makes the event at a position; every third is of a tenant."""
    position = str(number)
    if number % 3 == 0:
        changed = event_pb2.TenantEvent(event_type="tenant.disabled", tenant_id="tenant-1", status_reason="by_operator")
        return event_pb2.Event(position=position, tenant=changed)
    mail = mail_pb2.NormalizedMailEvent(
        event_type="mail.created", tenant_id="tenant-0", message=message_pb2.MailMessage(subject=f"Nr. {number}: ünï")
    )
    return event_pb2.Event(position=position, mail=mail)


class Events(event_service_pb2_grpc.EventServiceServicer):
    """Nine events; the stream is interrupted after each third, and a stale cursor is refused."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self.stopping = stopping

    async def ListEvents(self, request, context):
        start = 0 if request.cursor in {"", "earliest"} else int(request.cursor)
        page = range(start + 1, min(start + (request.page_size or 50), 9) + 1)
        events = [event(number) for number in page]
        return event_service_pb2.ListEventsResponse(
            events=events, next_cursor=str(start + len(page)), has_more=start + len(page) < 9
        )

    async def GetEvent(self, request, context):
        return event_service_pb2.GetEventResponse(event=event(int(request.event_id)))

    async def StreamEvents(self, request, context):
        if request.cursor == STALE_CURSOR:
            raise OutOfRange(reason="CURSOR_EXPIRED", metadata={"oldest_cursor": "6"})
        start = 0 if request.cursor in {"", "earliest"} else int(request.cursor)
        for number in range(start + 1, min(start + 3, 9) + 1):
            yield event_service_pb2.StreamEventsResponse(event=event(number))
        if start + 3 < 9:
            raise ShuttingDown(metadata={"position": str(start + 3)})
        yield event_service_pb2.StreamEventsResponse(heartbeat=event_service_pb2.Heartbeat(position="9"))
        await self.stopping.wait()

    async def TailEvents(self, request, context):
        for number in range(1, 10):
            frame = f"id: {number}\ndata: {MessageToJson(event(number), indent=None)}\n\n"
            yield httpbody_pb2.HttpBody(content_type="text/event-stream", data=frame.encode())
        await self.stopping.wait()


class GrpcAuthority(Authority):
    """Refuses a gRPC call as TokenVault does: the failure with its details in a trailer, instead of JSON."""

    async def Check(self, request, context):
        answer = await super().Check(request, context)
        if answer.HasField("denied_response"):
            answer.denied_response.body = answer.status.message
            details = base64.b64encode(answer.status.SerializeToString()).decode()
            header = base_pb2.HeaderValue(key="grpc-status-details-bin", value=details)
            answer.denied_response.headers.add().header.MergeFrom(header)
        return answer


@dataclass(frozen=True)
class ServedEdge:
    """A running edge."""

    url: str

    @property
    def address(self) -> str:
        """Its host and port."""
        return self.url.removeprefix("http://")


@asynccontextmanager
async def serve(certificates: MeshCertificates, folder: Path) -> AsyncIterator[ServedEdge]:
    """Serves TokenVault's and Processor's parts and an edge in front of them until the block ends."""
    vault_port, processor_port, ingest_port, edge_port, metrics_port = free_ports(5)
    async with AsyncExitStack() as stack:
        vault = _server(certificates, "token-vault", vault_port)
        add = tenant_service_pb2_grpc.add_TenantServiceServicer_to_server
        vault.add(add, Tenants(), tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"])
        authorization = external_auth_pb2.DESCRIPTOR.services_by_name["Authorization"]
        add_authority = external_auth_pb2_grpc.add_AuthorizationServicer_to_server
        contract = load_contract()
        vault.reflect(contract.services, contract.files)
        vault.add(add_authority, GrpcAuthority(Seen()), authorization, callers=["envoy"])
        processor = _server(certificates, "processor", processor_port)
        add_events = event_service_pb2_grpc.add_EventServiceServicer_to_server
        processor.add(
            add_events, Events(processor.stopping), event_service_pb2.DESCRIPTOR.services_by_name["EventService"]
        )
        for server in (vault, processor):
            await stack.enter_async_context(server.running())
        identity = certificates.identity("envoy")
        settings = load(
            EdgeSettings,
            listen=f"127.0.0.1:{edge_port}",
            metrics_listen=f"127.0.0.1:{metrics_port}",
            mesh_certificate=identity.certificate,
            mesh_key=identity.key,
            mesh_authority=identity.authority,
            token_vault=(f"127.0.0.1:{vault_port}",),
            ingest=(f"127.0.0.1:{ingest_port}",),
            processor=(f"127.0.0.1:{processor_port}",),
        )
        envoy = running(EnvoyServer(render(settings, folder)).program("envoy"), folder)
        stack.push(envoy.__exit__)
        await asyncio.to_thread(envoy.__enter__)
        edge = ServedEdge(f"http://127.0.0.1:{edge_port}")
        await _until_it_answers(edge)
        yield edge


def _server(certificates: MeshCertificates, name: str, port: int) -> MeshServer:
    identity = certificates.identity(name)
    files = TlsFiles(identity.certificate, identity.key, identity.authority)
    return MeshServer(name, f"127.0.0.1:{port}", files)


async def _until_it_answers(edge: ServedEdge) -> None:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with (
        asyncio.timeout(START_SECONDS),
        httpx.AsyncClient(base_url=edge.url, headers=headers, timeout=60) as client,
    ):
        for path in ("/v1/tenants", "/v1/events/1"):
            while (await client.get(path)).status_code == 503:
                await asyncio.sleep(0.05)
