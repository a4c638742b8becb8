"""The work of Primitives for Processor: labels for arriving mail, contents at the provider, and quotes of a model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mailmesh.primitives.v1.arrival_service_pb2_grpc import ArrivalServiceAsyncStub
from mailmesh.primitives.v1.fetched_service_pb2_grpc import FetchedServiceAsyncStub
from mailmesh.primitives.v1.quote_service_pb2_grpc import QuoteServiceAsyncStub
from mailmesh.processor.v1 import classification_service_pb2, content_service_pb2
from mailmesh.processor.v1.classification_service_pb2_grpc import add_ClassificationServiceServicer_to_server
from mailmesh.processor.v1.content_service_pb2_grpc import add_ContentServiceServicer_to_server
from services.meshkit import db
from services.meshkit.channel import mesh_channel
from services.meshkit.clock import SystemClock
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background
from services.meshkit.server import MeshServer
from services.meshkit.shares import Shares
from services.processor.classification.arrivals import ArrivalClassifier
from services.processor.classification.requests import Classification
from services.processor.messages.reading.contents import Contents
from services.processor.messages.reading.reads import Reads
from services.processor.named_model import with_model
from services.processor.servicers.classification import ClassificationServicer
from services.processor.servicers.contents import ContentServicer
from services.processor.settings import ProcessorSettings
from services.processor.stream.head import HeadWatch
from services.processor.stream.pages import EventReader

_FOLLOW_SECONDS = 1.0
_FOLLOW_IDLE_FACTOR = 15.0  # a new event ends the longer waits
_ENVELOPE_BYTES = 64 * 1024


@asynccontextmanager
async def with_primitives(
    server: MeshServer,
    settings: ProcessorSettings,
    pool: db.Pool,
    reader: EventReader,
    head: HeadWatch,
    reads: Reads,
) -> AsyncIterator[None]:
    """Add the services that need Primitives, and label mail while the block runs; refuse both without its address.

    The named model is served in any case.

    Args:
        server: A server that is not started yet.
        settings: Processor's settings.
        pool: Connections to PostgreSQL.
        reader: Reads the stream.
        head: Knows of new events.
        reads: The reads at the providers.
    """
    shares = Shares("contents", settings.contents, settings.contents_per_key)
    is_available = bool(settings.primitives_address)
    server.add(
        add_ClassificationServiceServicer_to_server,
        ClassificationServicer(Classification(pool, reader, is_available=is_available)),
        classification_service_pb2.DESCRIPTOR.services_by_name["ClassificationService"],
    )

    def serve_contents(primitives: FetchedServiceAsyncStub | None) -> None:
        server.add(
            add_ContentServiceServicer_to_server,
            ContentServicer(Contents(reads, primitives, settings.content_bytes, shares)),
            content_service_pb2.DESCRIPTOR.services_by_name["ContentService"],
        )

    if not is_available:
        serve_contents(None)
        async with with_model(server, settings, pool, None):
            yield
        return
    most = settings.content_bytes + _ENVELOPE_BYTES
    tls = TlsFiles.of(settings)
    async with mesh_channel(settings.primitives_address, "primitives", tls, message_bytes=most) as primitives:
        serve_contents(FetchedServiceAsyncStub(primitives))
        classifier = ArrivalClassifier(pool, reader, ArrivalServiceAsyncStub(primitives), SystemClock())
        loop = PeriodicLoop("classification", _FOLLOW_SECONDS, classifier.round, idle_factor=_FOLLOW_IDLE_FACTOR)
        head.call(loop.rouse)
        async with with_model(server, settings, pool, QuoteServiceAsyncStub(primitives)), background(loop.run()):
            yield
