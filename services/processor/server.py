"""Composition of the server process: `python -m services.processor serve`."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import grpc

from mailmesh.conversation.v1 import conversation_service_pb2
from mailmesh.conversation.v1.conversation_service_pb2_grpc import add_ConversationServiceServicer_to_server
from mailmesh.ingest.v1.inbox_service_pb2_grpc import InboxServiceAsyncStub
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
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.erasures.rows import add_tenant_rows
from services.meshkit import db
from services.meshkit.channel import mesh_channel
from services.meshkit.clock import Clock, SystemClock
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
"""The queue through which workers are woken."""
_LISTENERS = 2  # to the head of the stream, and to changed tenants
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


@dataclass(frozen=True)
class _Parts:
    """The parts that most services and loops share."""

    server: MeshServer
    settings: ProcessorSettings
    pool: db.Pool
    wakes: WakeQueue
    reader: EventReader
    head: HeadWatch
    clock: Clock


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
    at = _Parts(server, settings, pool, wakes, EventReader(pool), HeadWatch(pool), SystemClock())
    tail = Tail(at.reader, at.head)
    stub = TokenVaultServiceAsyncStub(vault)
    lent, quotas = TokenCache(stub, settings.token_seconds), Quotas(settings.read_units_per_minute)
    reads = Reads(pool, http, lent, settings, FreshMail(settings, quotas).fetch, quotas.take)
    conversations, timers = Conversations(pool, at.reader, at.clock), Timers(pool, at.clock)
    calendars, retention = CalendarReader(pool), Retention(pool, settings.retention_days, at.clock)
    meetings = MeetingCounter(pool, calendars)
    _add_stream(at, tail, InboxServiceAsyncStub(ingest), stub)
    _add_mail(at, reads, conversations)
    _add_calendars(at, reads, calendars, meetings)
    server.add(
        add_ConversationServiceServicer_to_server,
        ConversationServicer(conversations, timers),
        conversation_service_pb2.DESCRIPTOR.services_by_name["ConversationService"],
    )
    await retention.prepare()
    loops = (*_followers(at, timers), *_erasers(at, stub), *_upkeep(at, retention, meetings))
    async with (
        with_sealing(server, pool, vault),
        with_primitives(server, settings, pool, at.reader, at.head, reads),
        background(
            *(at.head.run(), tail.run(), _wake_at_the_end(server.stopping, tail), *(loop.run() for loop in loops)),
            *token_loops(pool, CHANGED, lent, settings.sweep_seconds),
        ),
    ):
        try:
            yield
        finally:
            LONG_MAILS.end()


def _add_stream(at: _Parts, tail: Tail, inbox: InboxServiceAsyncStub, tokens: TokenVaultServiceAsyncStub) -> None:
    """Add the services that read the stream, and the one that shows and repeats work."""
    limits = StreamLimits(
        at.settings.streams, at.settings.streams_per_key, write_seconds=at.settings.slow_reader_seconds
    )
    at.server.add(
        add_EventServiceServicer_to_server,
        EventServicer(at.reader, Following(at.reader, tail, KeyChecks(tokens), at.server.stopping, limits)),
        event_service_pb2.DESCRIPTOR.services_by_name["EventService"],
    )
    at.server.add(
        add_EventFeedServiceServicer_to_server,
        EventFeedServicer(at.reader, tail, at.server.stopping, at.pool),
        event_feed_service_pb2.DESCRIPTOR.services_by_name["EventFeedService"],
    )
    replays = Shares("replays", at.settings.replays, at.settings.replays_per_key)
    replaying = Replaying(at.pool, at.reader, replays, at.settings.replay_bytes_per_day)
    backfills = Backfills(at.pool, at.wakes, at.settings, at.clock)
    at.server.add(
        add_ProcessorServiceServicer_to_server,
        ProcessorServicer(replaying, Pipeline(at.pool, inbox, tokens), inbox, backfills),
        processor_service_pb2.DESCRIPTOR.services_by_name["ProcessorService"],
    )


def _add_mail(at: _Parts, reads: Reads, conversations: Conversations) -> None:
    """Add the services that send, read, change and find mail."""
    sends = Sends(at.pool, at.wakes, at.settings, at.clock, conversations.answer)
    at.server.add(
        add_SendServiceServicer_to_server,
        SendServicer(sends, Uploads(at.pool, at.settings, at.clock), reads),
        send_service_pb2.DESCRIPTOR.services_by_name["SendService"],
    )
    modifying = Modifications(at.pool, at.wakes, at.settings, at.clock)
    processed = ProcessedMails(at.pool, modifying)
    at.server.add(
        add_MessageServiceServicer_to_server,
        MessageServicer(modifying, reads, at.settings.slow_reader_seconds, processed, at.reader),
        message_service_pb2.DESCRIPTOR.services_by_name["MessageService"],
    )
    searches = Shares("searches", at.settings.searches, at.settings.searches_per_key)
    at.server.add(
        add_SearchServiceServicer_to_server,
        SearchServicer(Search(at.pool, at.reader), searches),
        search_service_pb2.DESCRIPTOR.services_by_name["SearchService"],
    )


def _add_calendars(at: _Parts, reads: Reads, calendars: CalendarReader, meetings: MeetingCounter) -> None:
    at.server.add(
        add_CalendarServiceServicer_to_server,
        CalendarServicer(
            Calendars(at.pool, at.wakes, at.clock),
            calendars,
            CalendarWrites(at.pool, at.wakes, at.settings, at.clock),
            reads,
            FreeBusy(at.settings),
            EventVersions(at.pool, at.reader),
            meetings,
        ),
        calendar_service_pb2.DESCRIPTOR.services_by_name["CalendarService"],
    )


def _followers(at: _Parts, timers: Timers) -> Iterator[PeriodicLoop]:
    """Yield the loops that follow the stream; a new event ends their longer waits."""
    rounds = {
        "conversations": Follower(at.pool, at.reader, at.clock).round,
        "search": Indexer(at.pool, at.reader).round,
    }
    for name, one in rounds.items():
        loop = PeriodicLoop(name, _FOLLOW_SECONDS, one, idle_factor=_FOLLOW_IDLE_FACTOR)
        at.head.call(loop.rouse)
        yield loop
    yield PeriodicLoop("timers", _FOLLOW_SECONDS, timers.round)


def _erasers(at: _Parts, vault: TokenVaultServiceAsyncStub) -> Iterator[PeriodicLoop]:
    tenants, persons = erasers(vault, at.pool)
    erasing = PeriodicLoop("erasing", _ERASE_SECONDS, tenants.round, idle_factor=_ERASE_IDLE_FACTOR)
    at.head.call(erasing.rouse)  # the end of a disconnect is an event
    yield erasing
    yield PeriodicLoop("erasing-persons", _ERASE_SECONDS, persons.round)


def _upkeep(at: _Parts, retention: Retention, meetings: MeetingCounter) -> Iterator[PeriodicLoop]:
    """Yield the loops that end, delete and count old rows."""
    rounds = {
        "retention": retention.round,
        "sends": SendRetention(at.pool, at.clock).round,
        "modifications": ModificationRetention(at.pool, at.clock).round,
        "search-retention": SearchRetention(at.pool).round,
        "conversation-retention": ConversationRetention(at.pool, at.clock, at.settings.retention_days).round,
        "calendars": CalendarClearing(at.pool).round,
        "calendar-writes": WriteRetention(at.pool, at.clock).round,
        "invitations": InvitationRetention(at.pool, at.clock).round,
        "meetings-today": MeetingsToday(at.pool, meetings, at.clock).round,
    }
    for name, one in rounds.items():
        yield PeriodicLoop(name, _RETENTION_SECONDS, one)
    yield PeriodicLoop("long-mails", LONG_MAILS.limits.idle_seconds, LONG_MAILS.round)


async def _wake_at_the_end(stopping: asyncio.Event, tail: Tail) -> None:
    """Tell the streams that wait for events at once that the server stops."""
    await stopping.wait()
    tail.wake()
