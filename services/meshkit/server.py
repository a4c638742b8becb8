"""A gRPC server of the mesh: mutual TLS, the steps around every call, health, reflection, a graceful end.

server = MeshServer("echo", settings.listen, TlsFiles.of(settings))
server.add(add_EchoServiceServicer_to_server, EchoServicer(...), echo_pb2.DESCRIPTOR.services_by_name["EchoService"])
server.depends_on(Dependency("postgres", database.ping))
await server.serve(stop)
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.meshkit import reflection
from services.meshkit.access import ANY_IDENTITY, Access, ContractError, Door, access_table
from services.meshkit.header_bounds import METADATA_OPTIONS
from services.meshkit.health import Dependency, Health
from services.meshkit.identity.certificates import TlsFiles, server_credentials
from services.meshkit.interceptors.admission import Admission
from services.meshkit.interceptors.chain import CallInterceptor
from services.meshkit.interceptors.error_status import Explain, unexplained
from services.meshkit.settings import SettingsError

logger = structlog.get_logger(__name__)

_HANDSHAKE_MILLISECONDS = 10_000

AddToServer = Callable[[Any, Any], None]
"""A function that the generator writes: `add_XServicer_to_server(servicer, server)`."""


@dataclass(frozen=True)
class ServerLimits:
    """Bounds of a server.

    Args:
        concurrent_rpcs: Calls that run at the same time, open streams included; past it OVERLOADED at once.
        rpcs_per_key: Those of one API key; half of all unless it is given.
        rpcs_per_address: Those of one address outside that shows no key; half of all unless it is given.
        message_bytes: Largest message in either direction.
        request_bytes: Largest message that is taken; as `message_bytes` unless it is given.
        grace_seconds: The time that running calls get when the server stops.
        drain_seconds: Between NOT_SERVING and the last new call, for balancers to notice.
    """

    concurrent_rpcs: int = 1000
    rpcs_per_key: int = 0
    rpcs_per_address: int = 0
    message_bytes: int = 16 * 1024 * 1024
    request_bytes: int = 0
    grace_seconds: float = 10.0
    drain_seconds: float = 0.0


class MeshServer:
    """Collects services, then serves them until `stop` is set.

    Args:
        name: Our own mesh identity, for logs.
        listen: `host:port` or `unix:/path`; port 0 takes a free one.
        tls: Our certificate, its key, and the authority that clients' certificates must come from.
        limits: Bounds.
        health: Only to ping at another pace.
        quiet: Full names of methods (`/package.Service/Method`) whose calls are logged only when they fail.
        explain: Explains a failure that a handler has raised.

    Raises:
        SettingsError: Nothing can be bound to `listen`.
    """

    def __init__(
        self,
        name: str,
        listen: str,
        tls: TlsFiles,
        limits: ServerLimits | None = None,
        health: Health | None = None,
        quiet: Collection[str] = (),
        explain: Explain = unexplained,
    ) -> None:
        self.name = name
        self.stopping = asyncio.Event()
        """Set when the server begins to stop: long streams end by themselves with a position to resume from."""
        self.port = 0
        self._listen = listen
        self._limits = limits or ServerLimits()
        self._health = health or Health()
        self._table: dict[str, Access] = {}
        self._server = grpc.aio.server(
            interceptors=[CallInterceptor(self._table, _admission(self._limits), quiet, explain)],
            options=_options(self._limits),
            # The core's own refusal has no reason in it; it only stands behind ours.
            maximum_concurrent_rpcs=self._limits.concurrent_rpcs * 2,
        )
        self._bind(server_credentials(tls))
        self._add_health()

    def add(
        self,
        add_to_server: AddToServer,
        servicer: object,
        service: ServiceDescriptor,
        callers: Iterable[str] | None = None,
    ) -> None:
        """Add a service.

        Args:
            add_to_server: The generated function.
            servicer: The object that answers.
            service: The service's descriptor; its options name the permitted callers.
            callers: For a foreign contract without such options: the mesh identities that may call it.

        Raises:
            ContractError: The contract names no permitted callers for an RPC.
        """
        table = access_table(service) if callers is None else _access(service, Access(Door.MESH, frozenset(callers)))
        self._table.update(table)
        add_to_server(servicer, self._server)
        # The edge passes health checks of any name on, so the names of mesh services are answered with NOT_FOUND.
        if all(access.door is not Door.MESH for access in table.values()):
            self._health.announce([service.full_name])

    def reflect(self, services: Iterable[str], files: Iterable[FileDescriptorProto]) -> None:
        """Serve reflection in its versions v1 and v1alpha, as grpcurl and ghz ask for it.

        Args:
            services: Full names to list; health and reflection are listed beside them.
            files: The files that may be read, with all their imports.

        Raises:
            ContractError: A service to list is in none of the files.
        """
        listed = (*services, reflection.HEALTH, *reflection.SERVICES)
        index = reflection.FileIndex([*files, *reflection.own_files()])
        for service in listed:
            try:
                index.by_symbol(service)
            except KeyError as exc:
                msg = f"{service} or an import of its file is in none of the files to reflect"
                raise ContractError(msg) from exc
        self._table.update({f"/{service}/{reflection.METHOD}": ANY_IDENTITY for service in reflection.SERVICES})
        self._server.add_generic_rpc_handlers(reflection.ReflectionServicer(listed, index).handlers())

    def depends_on(self, dependency: Dependency) -> None:
        """Add a dependency whose ping decides whether the server reports SERVING."""
        self._health.watch(dependency)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block runs, then stop gracefully: NOT_SERVING, no new calls, grace for the running ones."""
        await self._server.start()
        await self._health.check()
        pings = asyncio.create_task(self._health.run(), name=f"{self.name} health")
        logger.info("serving", name=self.name, listen=self._listen, port=self.port)
        try:
            yield
        finally:
            pings.cancel()
            with suppress(asyncio.CancelledError):
                await pings
            await self._stop()

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until the event is set, then stop gracefully."""
        async with self.running():
            await stop.wait()

    async def _stop(self) -> None:
        logger.info("stopping", name=self.name)
        self.stopping.set()
        await self._health.stop()
        if self._limits.drain_seconds:
            await asyncio.sleep(self._limits.drain_seconds)
        await self._server.stop(self._limits.grace_seconds)
        logger.info("stopped", name=self.name)

    def _bind(self, credentials: grpc.ServerCredentials) -> None:
        try:
            self.port = self._server.add_secure_port(self._listen, credentials)
        except RuntimeError as exc:
            raise SettingsError([f"MAILMESH_LISTEN cannot be used: nothing can be bound to {self._listen}"]) from exc

    def _add_health(self) -> None:
        self._table.update(_access(health_pb2.DESCRIPTOR.services_by_name["Health"], ANY_IDENTITY))
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, self._server)


def _access(service: Any, access: Access) -> dict[str, Access]:
    return {f"/{service.full_name}/{method.name}": access for method in service.methods}


def _admission(limits: ServerLimits) -> Admission:
    half = max(limits.concurrent_rpcs // 2, 1)
    return Admission(limits.concurrent_rpcs, limits.rpcs_per_key or half, limits.rpcs_per_address or half)


def _options(limits: ServerLimits) -> list[tuple[str, int]]:
    return [
        *METADATA_OPTIONS,
        ("grpc.max_receive_message_length", limits.request_bytes or limits.message_bytes),
        # Identity alone: gRPC counts a compressed message before and after it is unpacked, and not on the way.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.max_send_message_length", limits.message_bytes),
        ("grpc.so_reuseport", 0),
        # A peer that connects and shows no certificate holds its connection, and a file descriptor, no longer.
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MILLISECONDS),
        # Dead peers are noticed within half a minute, and clients and the edge may ping us as often as every 5 s.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]
