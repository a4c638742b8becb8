"""What Processor's server serves: composed here, started and stopped with the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import grpc

from mailmesh.ingest.v1.inbox_service_pb2_grpc import InboxServiceStub
from mailmesh.processor.v1 import event_service_pb2, processor_service_pb2
from mailmesh.processor.v1.event_service_pb2_grpc import add_EventServiceServicer_to_server
from mailmesh.processor.v1.processor_service_pb2_grpc import add_ProcessorServiceServicer_to_server
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceStub
from services.meshkit.clock import SystemClock
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background
from services.meshkit.server import MeshServer
from services.processor.event_servicer import EventServicer
from services.processor.following import Following, StreamLimits
from services.processor.head import HeadWatch
from services.processor.keys import KeyChecks
from services.processor.pipeline import Pipeline
from services.processor.processor_servicer import ProcessorServicer
from services.processor.reading import EventReader
from services.processor.replaying import Replaying
from services.processor.retention import Retention
from services.processor.settings import ProcessorSettings
from services.processor.tail import Tail

_RETENTION_SECONDS = 60.0


@asynccontextmanager
async def serving(
    server: MeshServer,
    settings: ProcessorSettings,
    pool: "asyncpg.Pool[Any]",
    ingest: "grpc.aio.Channel",
    vault: "grpc.aio.Channel",
) -> AsyncIterator[None]:
    """Adds EventService and ProcessorService to the server, and runs what they need while the block runs.

    Args:
        server: Not started yet.
        settings: Processor's.
        pool: PostgreSQL; one connection of it is kept for listening.
        ingest: A channel to Ingest.
        vault: A channel to TokenVault.
    """
    inbox, tokens = InboxServiceStub(ingest), TokenVaultServiceStub(vault)
    reader, head = EventReader(pool), HeadWatch(pool)
    limits = StreamLimits(streams=settings.streams, write_seconds=settings.slow_reader_seconds)
    tail = Tail(reader, head)
    following = Following(reader, tail, KeyChecks(tokens), server.stopping, limits)
    retention = Retention(pool, settings.retention_days, SystemClock())
    server.add(
        add_EventServiceServicer_to_server,
        EventServicer(reader, following),
        event_service_pb2.DESCRIPTOR.services_by_name["EventService"],
    )
    server.add(
        add_ProcessorServiceServicer_to_server,
        ProcessorServicer(Replaying(pool, reader), Pipeline(pool, inbox, tokens), inbox),
        processor_service_pb2.DESCRIPTOR.services_by_name["ProcessorService"],
    )
    await retention.prepare()
    loop = PeriodicLoop("retention", _RETENTION_SECONDS, retention.round)
    async with background(head.run(), tail.run(), loop.run(), _wake_at_the_end(server.stopping, tail)):
        yield


async def _wake_at_the_end(stopping: asyncio.Event, tail: Tail) -> None:
    """Streams that wait for events find out at once that the server stops."""
    await stopping.wait()
    tail.wake()
