"""Composition of the process: `python -m services.primitives serve`."""

import asyncio
from functools import partial

import structlog

from mailmesh.primitives.v1 import primitive_service_pb2
from mailmesh.primitives.v1.primitive_service_pb2_grpc import add_PrimitiveServiceServicer_to_server
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.process import observed
from services.meshkit.server import MeshServer, ServerLimits
from services.meshkit.settings import load
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits
from services.primitives.servicers.primitives import PrimitiveServicer
from services.primitives.settings import PrimitivesSettings

logger = structlog.get_logger(__name__)

NAME = "primitives"
# A message is its content and a few fields.
_ENVELOPE_BYTES = 64 * 1024


async def serve(stop: asyncio.Event) -> None:
    """Serve the primitives until `stop` is set."""
    settings = load(PrimitivesSettings)
    async with observed(NAME, settings):
        await run(settings, stop)


async def run(settings: PrimitivesSettings, stop: asyncio.Event) -> None:
    """Open the processes without rights, serve until `stop` is set, and end them."""
    bounds = Confinement(settings.memory_bytes, settings.cpu_seconds, settings.sandbox_uid)
    limits = partial(SandboxLimits, confinement=bounds)
    async with (
        Sandbox.open(limits(processes=settings.mail_processes, seconds=settings.mail_seconds)) as mails,
        Sandbox.open(limits(processes=settings.document_processes, seconds=settings.document_seconds)) as documents,
    ):
        server = MeshServer(NAME, settings.listen, TlsFiles.of(settings), server_limits(settings))
        server.add(
            add_PrimitiveServiceServicer_to_server,
            PrimitiveServicer(mails, documents, settings.content_bytes),
            primitive_service_pb2.DESCRIPTOR.services_by_name["PrimitiveService"],
        )
        async with server.running():
            await probe(mails)
            await stop.wait()


def server_limits(settings: PrimitivesSettings) -> ServerLimits:
    """Return the bounds of the server."""
    return ServerLimits(
        concurrent_rpcs=settings.calls,
        rpcs_per_key=settings.calls_per_key,
        request_bytes=settings.content_bytes + _ENVELOPE_BYTES,
    )


async def probe(sandbox: Sandbox) -> None:
    """Log whether a process without rights can reach a network, as it may on other systems than Linux."""
    possible = (await sandbox.run("probe", b"")).decode()
    if possible:
        logger.warning("the processes without rights are not confined", possible=possible)
