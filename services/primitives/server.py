"""Composition of the process: `python -m services.primitives serve`."""

import asyncio
import platform
from dataclasses import replace
from functools import partial

import structlog

from mailmesh.primitives.v1 import (
    arrival_service_pb2,
    fetched_service_pb2,
    primitive_service_pb2,
    quote_service_pb2,
)
from mailmesh.primitives.v1.arrival_service_pb2_grpc import add_ArrivalServiceServicer_to_server
from mailmesh.primitives.v1.fetched_service_pb2_grpc import add_FetchedServiceServicer_to_server
from mailmesh.primitives.v1.primitive_service_pb2_grpc import add_PrimitiveServiceServicer_to_server
from mailmesh.primitives.v1.quote_service_pb2_grpc import add_QuoteServiceServicer_to_server
from services.meshkit.errors import ServiceUnavailable
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.process import observed
from services.meshkit.server import MeshServer, ServerLimits
from services.meshkit.settings import load
from services.primitives.documents.scans import data_folder
from services.primitives.failure import ContentError
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits
from services.primitives.sandbox.syscalls import refuse_inspection
from services.primitives.servicers.arrivals import ArrivalServicer
from services.primitives.servicers.classifying import Classifier
from services.primitives.servicers.fetched import FetchedServicer
from services.primitives.servicers.primitives import PrimitiveServicer, Readers
from services.primitives.servicers.quotes import QuoteServicer
from services.primitives.settings import PrimitivesSettings
from services.primitives.texts.budget import ModelBudget

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
    """Open the processes without rights, serve until `stop` is set, and end them.

    Raises:
        ServiceUnavailable: The processes do not start without rights.
    """
    refuse_inspection()
    bounds = Confinement(settings.memory_bytes, settings.cpu_seconds, settings.sandbox_uid)
    limits = partial(SandboxLimits, confinement=bounds)
    with_model = replace(bounds, has_model=True)
    text_limits = SandboxLimits(settings.text_processes, settings.text_seconds, with_model)
    folder = data_folder(settings.scan_data, settings.scan_languages)
    seeing = replace(
        bounds, cpu_seconds=settings.scan_seconds, scan_data=str(folder or ""), scan_languages=settings.scan_languages
    )
    scan_limits = SandboxLimits(settings.scan_processes, settings.scan_seconds, seeing)
    async with (
        Sandbox.open(limits(processes=settings.mail_processes, seconds=settings.mail_seconds)) as mails,
        Sandbox.open(limits(processes=settings.document_processes, seconds=settings.document_seconds)) as documents,
        Sandbox.open(text_limits) as texts,
        Sandbox.open(scan_limits) as scans,
    ):
        server = MeshServer(NAME, settings.listen, TlsFiles.of(settings), server_limits(settings))
        classifier = Classifier(texts, ModelBudget(settings.model_characters))
        readers = Readers(mails, documents, scans if folder is not None else None)
        servicer = PrimitiveServicer(readers, settings.content_bytes, classifier)
        server.add(
            add_PrimitiveServiceServicer_to_server,
            servicer,
            primitive_service_pb2.DESCRIPTOR.services_by_name["PrimitiveService"],
        )
        server.add(
            add_FetchedServiceServicer_to_server,
            FetchedServicer(servicer),
            fetched_service_pb2.DESCRIPTOR.services_by_name["FetchedService"],
        )
        server.add(
            add_ArrivalServiceServicer_to_server,
            ArrivalServicer(classifier),
            arrival_service_pb2.DESCRIPTOR.services_by_name["ArrivalService"],
        )
        server.add(
            add_QuoteServiceServicer_to_server,
            QuoteServicer(mails),
            quote_service_pb2.DESCRIPTOR.services_by_name["QuoteService"],
        )
        await probe(mails, documents, texts, scans)
        async with server.running():
            await stop.wait()


def server_limits(settings: PrimitivesSettings) -> ServerLimits:
    """Return the bounds of the server."""
    return ServerLimits(
        concurrent_rpcs=settings.calls,
        rpcs_per_key=settings.calls_per_key,
        request_bytes=settings.content_bytes + _ENVELOPE_BYTES,
    )


async def probe(*sandboxes: Sandbox) -> None:
    """Try what processes without rights can do: on Linux nothing; log it on other systems.

    Raises:
        ServiceUnavailable: On Linux, a process does not start, or it has rights.
    """
    for sandbox in sandboxes:
        try:
            possible = (await sandbox.run("probe", b"", is_alone=True)).decode()
        except ContentError as exc:
            raise ServiceUnavailable(f"the processes without rights do not start: {exc.cause}") from exc
        if possible and platform.system() == "Linux":
            raise ServiceUnavailable(f"the processes without rights have rights: {possible}")
        if possible:
            logger.warning("the processes without rights are not confined", possible=possible)
