"""Composition of a worker process: `python -m services.processor work`."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial

import structlog

from mailmesh.ingest.v1.inbox_service_pb2_grpc import InboxServiceAsyncStub
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit import db, queue
from services.meshkit.channel import mesh_channel
from services.meshkit.clock import SystemClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.errors import MeshError
from services.meshkit.health import Dependency, Health
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.ids import new_id
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background, observed
from services.meshkit.settings import load
from services.processor.calendar.invitations import invited
from services.processor.calendar.pushes import CalendarPushes
from services.processor.calendar.requests import WAKE_PREFIX as CALENDAR_WAKE_PREFIX
from services.processor.calendar.work import CalendarWork
from services.processor.calendar.writing.requests import WAKE_PREFIX as CALENDAR_WRITE_PREFIX
from services.processor.calendar.writing.work import CalendarWriting
from services.processor.features import FeatureWatch
from services.processor.mail.announced import announced_categories
from services.processor.mail.backfill.requests import WAKE_PREFIX as BACKFILL_PREFIX
from services.processor.mail.backfill.work import BackfillWork
from services.processor.mail.commit import MailCommitter
from services.processor.mail.sources.findings import LONG_MAILS
from services.processor.mail.sources.quotas import Quotas
from services.processor.mail.sources.reading import read_answer, read_mail
from services.processor.mail.sync import MailSync
from services.processor.mailbox.dispatcher import Dispatcher
from services.processor.mailbox.inbox_client import InboxClient
from services.processor.mailbox.lease_endings import LeaseEndings
from services.processor.mailbox.poll_schedule import PollSchedule
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.store import workers
from services.processor.mailbox.token_cache import TokenCache
from services.processor.mailbox.token_dropper import token_loops
from services.processor.mailbox.transaction import Transactions
from services.processor.mailbox.worker import MailboxWorker
from services.processor.messages.requests import WAKE_PREFIX as MODIFICATION_PREFIX
from services.processor.messages.store import own_changes
from services.processor.messages.work import Modifying
from services.processor.migrate import SCHEMA
from services.processor.outbox.reports import matched
from services.processor.outbox.requests import WAKE_PREFIX
from services.processor.outbox.store import sends
from services.processor.outbox.work import Outbox
from services.processor.sealing import RETRY_SAFE, with_content_keys
from services.processor.settings import ProcessorSettings
from services.processor.stream.store.tenants import CHANGED
from services.processor.wings import BothWings

logger = structlog.get_logger(__name__)

NAME = "processor"
QUEUE = "processor"
"""The queue through which Ingest and Processor's server wake workers."""
_INBOX = "/mailmesh.ingest.v1.InboxService"
_LISTENERS = 1  # to changed tenants
_RETRY_SAFE = tuple(
    f"{_INBOX}/{method}" for method in ("ExtendLease", "AckItems", "ReleaseItems", "BuryItems", "SetFollowedCalendars")
)
_VAULT_RETRY_SAFE = ("/mailmesh.vault.v1.TokenVaultService/IssueToken", *RETRY_SAFE)
_SHOW_SECONDS = 5.0
_OWN_QUEUES = (WAKE_PREFIX, MODIFICATION_PREFIX, CALENDAR_WAKE_PREFIX, CALENDAR_WRITE_PREFIX, BACKFILL_PREFIX)
# The schedule is in minutes, and of other new work wake-ups tell.
_IDLE_FACTOR = 5.0


async def work(stop: asyncio.Event) -> None:
    """Process mailboxes until stopped, then finish the items in progress or release them."""
    settings = load(ProcessorSettings)
    async with observed(NAME, settings):
        await SCHEMA.check(settings.database_url)
        async with running(settings):
            await stop.wait()


@asynccontextmanager
async def running(settings: ProcessorSettings) -> AsyncIterator[Dispatcher]:
    """Run a worker while the block runs.

    Args:
        settings: The settings from the environment.

    Yields:
        The dispatcher, for tests.
    """
    tls = TlsFiles.of(settings)
    async with (
        open_pool(settings.database_url, "processor worker", DatabaseLimits(settings.connections + _LISTENERS)) as pool,
        mesh_channel(settings.ingest_address, "ingest", tls, retry_safe=_RETRY_SAFE) as ingest,
        mesh_channel(settings.token_vault_address, "token-vault", tls, retry_safe=_VAULT_RETRY_SAFE) as vault,
        ProviderHttp.of(settings, read_answer) as http,
        with_content_keys(pool, vault),
    ):
        watch = FeatureWatch(pool)
        await watch.check()
        clock = SystemClock()
        inbox = InboxClient(InboxServiceAsyncStub(ingest), worker_id(), settings.lease_seconds)
        endings = LeaseEndings(inbox)
        tokens = TokenCache(TokenVaultServiceAsyncStub(vault), settings.token_seconds)
        transactions = Transactions(pool)
        quotas = Quotas(settings.gmail_units_per_minute)
        committer = MailCommitter(
            transactions, settings, clock, sends.own_messages, own_changes.recognise, matched, invited
        )
        mail_sync = MailSync(http, tokens, transactions, settings, clock, committer, quotas)
        modifying = Modifying(http, tokens, transactions, settings, clock, quotas.take, announced_categories)
        outbox = Outbox(http, tokens, transactions, settings, clock, read_mail, quotas.wait)
        reading = BothWings(mail_sync, CalendarWork(http, tokens, transactions, settings, clock))
        backfills = BackfillWork(http, tokens, transactions, committer, settings, clock, quotas)
        writing = CalendarWriting(http, tokens, transactions, settings, clock)
        # First: the items of calendars are settled before mail settles the others.
        pushes = CalendarPushes(transactions, settings, clock)
        acting = BothWings(outbox, BothWings(writing, BothWings(modifying, reading)))
        work_of_wings = BothWings(pushes, BothWings(acting, backfills))
        mailbox_worker = MailboxWorker(inbox, endings, transactions, tokens, work_of_wings, settings, clock)
        # Without wake-ups, sweeps alone find new work.
        idle_factor = _IDLE_FACTOR if settings.redis_url is not None else 1.0
        dispatcher = Dispatcher(
            inbox, endings, mailbox_worker.due_tenants, mailbox_worker.process, settings, idle_factor
        )
        # Without a server no caller asks for this answer; it keeps the metric and the log true.
        health = Health()
        health.watch(Dependency("postgres", partial(db.ping, pool)))
        show = _Shown(transactions, inbox.worker_id, clock.now(), dispatcher)
        lookups = PeriodicLoop("lookups", settings.sweep_seconds, dispatcher.sweep, idle_factor=idle_factor)
        loops = [
            lookups.run(),
            *token_loops(pool, CHANGED, tokens, settings.sweep_seconds),
            PeriodicLoop(
                "schedule",
                settings.sweep_seconds,
                PollSchedule(transactions, inbox, settings).round,
                idle_factor=_IDLE_FACTOR,
            ).run(),
            PeriodicLoop("worker", _SHOW_SECONDS, show.round).run(),
            PeriodicLoop("long-mails", LONG_MAILS.limits.idle_seconds, LONG_MAILS.round).run(),
            health.run(),
            watch.run(),
        ]
        if settings.redis_url is not None:
            woken = partial(_woken, dispatcher, lookups)
            loops.append(queue.work(settings.redis_url, QUEUE, woken, at_once=100, job_seconds=10))
        try:
            async with _dispatching(dispatcher), background(*loops):
                yield dispatcher
        finally:
            LONG_MAILS.end()
        await show.leave()


def worker_id() -> str:
    """Return the name of this process: host, process id, and a suffix that a restart changes."""
    return f"{socket.gethostname()}-{os.getpid()}-{new_id()[-6:]}"


async def _woken(dispatcher: Dispatcher, lookups: PeriodicLoop, key: str) -> None:
    """Claim what is due in the inbox, or in Processor's own queues when the key says that work is due there.

    Without a key wake-ups may be lost: both are checked. Work on the inbox may leave lookups that fall due soon.
    """
    if not key or key.startswith(_OWN_QUEUES):
        lookups.wake()
    if not key.startswith(_OWN_QUEUES):
        lookups.rouse()
        await dispatcher.wake(key)


@asynccontextmanager
async def _dispatching(dispatcher: Dispatcher) -> AsyncIterator[None]:
    """Run the dispatcher; after the block it claims nothing more and ends its work, while the rest still runs."""
    task = asyncio.create_task(dispatcher.run(), name="dispatcher")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _Shown:
    """Shows this worker in the pipeline's view."""

    def __init__(self, transactions: Transactions, worker: str, started_at: datetime, dispatcher: Dispatcher) -> None:
        self._transactions = transactions
        self._worker = worker
        self._started_at = started_at
        self._desk = dispatcher

    async def round(self) -> int:
        async with self._transactions.reading() as connection:
            await workers.show(connection, self._worker, self._started_at, self._desk.held)
        return 0

    async def leave(self) -> None:
        try:
            async with self._transactions.reading() as connection:
                await workers.leave(connection, self._worker)
        except MeshError:
            logger.info("worker not unregistered")
