"""Composition of the server process: `python -m services.processor serve`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import grpc

from mailmesh.conversation.v1 import conversation_service_pb2
from mailmesh.conversation.v1.conversation_service_pb2_grpc import add_ConversationServiceServicer_to_server
from mailmesh.ingest.v1.inbox_service_pb2_grpc import InboxServiceStub
from mailmesh.processor.v1 import (
    calendar_service_pb2,
    event_feed_service_pb2,
    event_service_pb2,
    message_service_pb2,
    processor_service_pb2,
    search_service_pb2,
    send_service_pb2,
)
from mailmesh.processor.v1.calendar_service_pb2_grpc import add_CalendarServiceServicer_to_server
from mailmesh.processor.v1.event_feed_service_pb2_grpc import add_EventFeedServiceServicer_to_server
from mailmesh.processor.v1.event_service_pb2_grpc import add_EventServiceServicer_to_server
from mailmesh.processor.v1.message_service_pb2_grpc import add_MessageServiceServicer_to_server
from mailmesh.processor.v1.processor_service_pb2_grpc import add_ProcessorServiceServicer_to_server
from mailmesh.processor.v1.search_service_pb2_grpc import add_SearchServiceServicer_to_server
from mailmesh.processor.v1.send_service_pb2_grpc import add_SendServiceServicer_to_server
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub, TokenVaultServiceStub
from services.erasures.rows import add_tenant_rows
from services.meshkit import db
from services.meshkit.channel import mesh_channel
from services.meshkit.clock import SystemClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.health import Dependency
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background, observed
from services.meshkit.queue import WakeQueue
from services.meshkit.server import MeshServer, ServerLimits
from services.meshkit.settings import load
from services.meshkit.shares import Shares
from services.processor.calendar.clearing import CalendarClearing
from services.processor.calendar.free_busy.asking import FreeBusy
from services.processor.calendar.invitations import InvitationRetention
from services.processor.calendar.meetings import MeetingCounter
from services.processor.calendar.meetings_today import MeetingsToday
from services.processor.calendar.reading import CalendarReader
from services.processor.calendar.requests import Calendars
from services.processor.calendar.versions import EventVersions
from services.processor.calendar.writing.requests import CalendarWrites
from services.processor.calendar.writing.retention import WriteRetention
from services.processor.conversations.follower import Follower
from services.processor.conversations.requests import Conversations
from services.processor.conversations.retention import ConversationRetention
from services.processor.conversations.timers import Timers
from services.processor.erasing import erasers
from services.processor.exporting import EXPORT
from services.processor.features import FeatureWatch
from services.processor.mail.backfill.requests import Backfills
from services.processor.mail.fresh import FreshMail
from services.processor.mail.sources.findings import LONG_MAILS
from services.processor.mail.sources.quotas import Quotas
from services.processor.mail.sources.reading import read_answer
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.token_cache import TokenCache
from services.processor.mailbox.token_dropper import token_loops
from services.processor.messages.processed import ProcessedMails
from services.processor.messages.reading.reads import Reads
from services.processor.messages.requests import Modifications
from services.processor.messages.retention import ModificationRetention
from services.processor.migrate import SCHEMA
from services.processor.outbox.requests import Sends
from services.processor.outbox.retention import SendRetention
from services.processor.outbox.uploads import Uploads
from services.processor.pipeline.status import Pipeline
from services.processor.primitives import with_primitives
from services.processor.sealing import RETRY_SAFE, with_sealing
from services.processor.search.indexer import Indexer, SearchRetention
from services.processor.search.requests import Search
from services.processor.servicers.calendars import CalendarServicer
from services.processor.servicers.conversations import ConversationServicer
from services.processor.servicers.events import EventServicer
from services.processor.servicers.feed import EventFeedServicer
from services.processor.servicers.grants import GrantExplainer
from services.processor.servicers.messages import MessageServicer
from services.processor.servicers.processor import ProcessorServicer
from services.processor.servicers.search import SearchServicer
from services.processor.servicers.sends import SendServicer
from services.processor.settings import ProcessorSettings
from services.processor.stream.head import HeadWatch
from services.processor.stream.key_checks import KeyChecks
from services.processor.stream.live import Following, StreamLimits
from services.processor.stream.pages import EventReader
from services.processor.stream.replay import Replaying
from services.processor.stream.retention import Retention
from services.processor.stream.store.tenants import CHANGED
from services.processor.stream.tail import Tail
from services.processor.stream.tenant_events import tenant_follower

NAME = "processor"
_WORKERS = "processor"
_LISTENERS = 2  # to the head of the stream, and to changed tenants
"""The queue through which workers are woken."""
_INGEST_RETRY_SAFE = (
    "/mailmesh.ingest.v1.InboxService/EnqueueReconcile",
    "/mailmesh.ingest.v1.InboxService/GetInboxStatus",
)
_VAULT = "/mailmesh.vault.v1.TokenVaultService"
_VAULT_RETRY_SAFE = (
    f"{_VAULT}/IssueToken",
    f"{_VAULT}/ListTenantChanges",
    f"{_VAULT}/CheckApiKey",
    f"{_VAULT}/GetVaultStatus",
    f"{_VAULT}/GetPendingErasures",
    f"{_VAULT}/ConfirmErasure",
    *RETRY_SAFE,
)
_OTHER_CONCURRENT_RPCS = 1000
_FOLLOW_SECONDS = 1.0
_FOLLOW_IDLE_FACTOR = 15.0  # a new event ends the longer waits
_RETENTION_SECONDS = 60.0
_ERASE_SECONDS = 5.0
_ERASE_IDLE_FACTOR = 3.0


async def serve(stop: asyncio.Event) -> None:
    """Serve events and follow the tenants' changes until `stop` is set."""
    settings = load(ProcessorSettings)
    async with observed(NAME, settings):
        await SCHEMA.check(settings.database_url)
        await run(settings, stop)


async def run(settings: ProcessorSettings, stop: asyncio.Event) -> None:
    """Open everything, serve until `stop` is set, and close everything in reverse order."""
    tls = TlsFiles.of(settings)
    async with (
        open_pool(settings.database_url, NAME, DatabaseLimits(settings.connections + _LISTENERS)) as pool,
        mesh_channel(settings.ingest_address, "ingest", tls, retry_safe=_INGEST_RETRY_SAFE) as ingest,
        mesh_channel(settings.token_vault_address, "token-vault", tls, retry_safe=_VAULT_RETRY_SAFE) as vault,
        WakeQueue.open(settings.redis_url, _WORKERS) as wakes,
        ProviderHttp.of(settings, read_answer) as http,
    ):
        limits = ServerLimits(concurrent_rpcs=settings.streams + _OTHER_CONCURRENT_RPCS)
        grants = GrantExplainer(TokenVaultServiceAsyncStub(vault))
        server = MeshServer(NAME, settings.listen, tls, limits, explain=grants.explain)
        server.depends_on(Dependency("postgres", partial(db.ping, pool)))
        add_tenant_rows(server, pool, EXPORT)
        follower = tenant_follower(pool, TokenVaultServiceAsyncStub(vault))
        watch = FeatureWatch(pool)
        await watch.check()
        async with (
            serving(server, settings, pool, ingest, vault, wakes, http),
            background(PeriodicLoop("tenants", _FOLLOW_SECONDS, follower.round).run(), watch.run()),
        ):
            await server.serve(stop)


@asynccontextmanager
async def serving(
    server: MeshServer,
    settings: ProcessorSettings,
    pool: db.Pool,
    ingest: "grpc.aio.Channel",
    vault: "grpc.aio.Channel",
    wakes: WakeQueue,
    http: ProviderHttp,
) -> AsyncIterator[None]:
    """Add Processor's services to the server, and run their loops while the block runs.

    Args:
        server: A server that is not started yet.
        settings: Processor's settings.
        pool: Connections to PostgreSQL; one of them listens for new events.
        ingest: A channel to Ingest.
        vault: A channel to TokenVault.
        wakes: Wakes workers.
        http: Connections to the providers, for the calls that read mail.
    """
    inbox, tokens = InboxServiceStub(ingest), TokenVaultServiceStub(vault)
    reader, head = EventReader(pool), HeadWatch(pool)
    replays = Shares("replays", settings.replays, settings.replays_per_key)
    replaying = Replaying(pool, reader, replays, settings.replay_bytes_per_day)
    limits = StreamLimits(settings.streams, settings.streams_per_key, write_seconds=settings.slow_reader_seconds)
    tail = Tail(reader, head)
    following = Following(reader, tail, KeyChecks(tokens), server.stopping, limits)
    retention = Retention(pool, settings.retention_days, SystemClock())
    server.add(
        add_EventServiceServicer_to_server,
        EventServicer(reader, following),
        event_service_pb2.DESCRIPTOR.services_by_name["EventService"],
    )
    server.add(
        add_EventFeedServiceServicer_to_server,
        EventFeedServicer(reader, tail, server.stopping, pool),
        event_feed_service_pb2.DESCRIPTOR.services_by_name["EventFeedService"],
    )
    server.add(
        add_ProcessorServiceServicer_to_server,
        ProcessorServicer(
            replaying, Pipeline(pool, inbox, tokens), inbox, Backfills(pool, wakes, settings, SystemClock())
        ),
        processor_service_pb2.DESCRIPTOR.services_by_name["ProcessorService"],
    )
    clock = SystemClock()
    conversations, timers = Conversations(pool, reader, clock), Timers(pool, clock)
    stub = TokenVaultServiceAsyncStub(vault)
    tenant_eraser, person_eraser = erasers(stub, pool)
    lent = TokenCache(TokenVaultServiceAsyncStub(vault), settings.token_seconds)
    quotas = Quotas(settings.read_units_per_minute)
    reads = Reads(pool, http, lent, settings, FreshMail(settings, quotas).fetch, quotas.take)
    server.add(
        add_SendServiceServicer_to_server,
        SendServicer(Sends(pool, wakes, settings, clock, conversations.answer), Uploads(pool, settings, clock), reads),
        send_service_pb2.DESCRIPTOR.services_by_name["SendService"],
    )
    modifying = Modifications(pool, wakes, settings, clock)
    server.add(
        add_MessageServiceServicer_to_server,
        MessageServicer(modifying, reads, settings.slow_reader_seconds, ProcessedMails(pool, modifying), reader),
        message_service_pb2.DESCRIPTOR.services_by_name["MessageService"],
    )
    calendar_reader = CalendarReader(pool)
    meetings = MeetingCounter(pool, calendar_reader)
    server.add(
        add_CalendarServiceServicer_to_server,
        CalendarServicer(
            Calendars(pool, wakes, clock),
            calendar_reader,
            CalendarWrites(pool, wakes, settings, clock),
            reads,
            FreeBusy(settings),
            EventVersions(pool, reader),
            meetings,
        ),
        calendar_service_pb2.DESCRIPTOR.services_by_name["CalendarService"],
    )
    server.add(
        add_ConversationServiceServicer_to_server,
        ConversationServicer(conversations, timers),
        conversation_service_pb2.DESCRIPTOR.services_by_name["ConversationService"],
    )
    server.add(
        add_SearchServiceServicer_to_server,
        SearchServicer(Search(pool, reader), Shares("searches", settings.searches, settings.searches_per_key)),
        search_service_pb2.DESCRIPTOR.services_by_name["SearchService"],
    )
    await retention.prepare()
    followed = PeriodicLoop(
        "conversations", _FOLLOW_SECONDS, Follower(pool, reader, clock).round, idle_factor=_FOLLOW_IDLE_FACTOR
    )
    head.call(followed.rouse)
    timed = PeriodicLoop("timers", _FOLLOW_SECONDS, timers.round)
    indexed = PeriodicLoop("search", _FOLLOW_SECONDS, Indexer(pool, reader).round, idle_factor=_FOLLOW_IDLE_FACTOR)
    head.call(indexed.rouse)
    unindexed = PeriodicLoop("search-retention", _RETENTION_SECONDS, SearchRetention(pool).round)
    loop = PeriodicLoop("retention", _RETENTION_SECONDS, retention.round)
    sends = PeriodicLoop("sends", _RETENTION_SECONDS, SendRetention(pool, clock).round)
    modifications = PeriodicLoop("modifications", _RETENTION_SECONDS, ModificationRetention(pool, clock).round)
    upkeep_rounds = {
        "conversation-retention": ConversationRetention(pool, clock, settings.retention_days).round,
        "calendars": CalendarClearing(pool).round,
        "calendar-writes": WriteRetention(pool, clock).round,
        "invitations": InvitationRetention(pool, clock).round,
        "meetings-today": MeetingsToday(pool, meetings, clock).round,
    }
    long_mails = PeriodicLoop("long-mails", LONG_MAILS.limits.idle_seconds, LONG_MAILS.round)
    erasing = PeriodicLoop("erasing", _ERASE_SECONDS, tenant_eraser.round, idle_factor=_ERASE_IDLE_FACTOR)
    head.call(erasing.rouse)  # the end of a disconnect is an event
    persons = PeriodicLoop("erasing-persons", _ERASE_SECONDS, person_eraser.round)
    loops = (
        *(loop.run(), erasing.run(), persons.run(), sends.run(), modifications.run(), timed.run()),
        *(indexed.run(), unindexed.run(), long_mails.run(), followed.run()),
        *(PeriodicLoop(name, _RETENTION_SECONDS, one).run() for name, one in upkeep_rounds.items()),
        *token_loops(pool, CHANGED, lent, settings.sweep_seconds),
    )
    async with (
        with_sealing(server, pool, vault),
        with_primitives(server, settings, pool, reader, head, reads),
        background(head.run(), tail.run(), *loops, _wake_at_the_end(server.stopping, tail)),
    ):
        try:
            yield
        finally:
            LONG_MAILS.end()


async def _wake_at_the_end(stopping: asyncio.Event, tail: Tail) -> None:
    """Tell the streams that wait for events at once that the server stops."""
    await stopping.wait()
    tail.wake()
