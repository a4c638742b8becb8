"""One transaction: what was found becomes events, and everything that led to them is noted with them, or nothing is.

The order within is fixed: the fence first, which locks the mailbox's row; then reading, deciding, threads, notes; the
events last, since publishing holds the stream until the commit.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import asyncpg
import structlog

from mailmesh.mail.v1 import event_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.clock import Clock
from services.meshkit.db import store_errors
from services.processor.connection import Connection
from services.processor.mail import threads
from services.processor.mail.coverage import Coverage
from services.processor.mail.decide import Happening, Patience, Verdict, decide
from services.processor.mail.message.bounds import fit
from services.processor.mail.sources.findings import Finding
from services.processor.mail.state import Hint
from services.processor.mail.store import lookups, messages
from services.processor.mailbox.store import mailboxes
from services.processor.metrics import EVENTS, FENCED, LAG_SECONDS, PUT_OFF, STEP_SECONDS
from services.processor.settings import ProcessorSettings
from services.processor.stream.publish import EventDraft, PublishedEvent, publish

logger = structlog.get_logger(__name__)

_WAIT_SECONDS = 5.0

AlsoCommitted = Callable[[Connection], Awaitable[None]]
"""Something that is to be committed together with the messages: a cursor, as a rule."""


@dataclass(frozen=True)
class Sighting:
    """What was told of a message, and what was found."""

    hint: Hint
    finding: Finding


class Commits:
    """Commits of one worker process.

    Args:
        pool: The process's connections.
        settings: Bounds and waits.
        clock: The time.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", settings: ProcessorSettings, clock: Clock) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """Gives a connection outside of any transaction. Raises `StoreUnavailable`."""
        with store_errors():
            async with self._pool.acquire(timeout=_WAIT_SECONDS) as connection:
                yield cast("Connection", connection)

    @asynccontextmanager
    async def holding(self, tenant_id: str, fence: int) -> AsyncIterator[Connection]:
        """Runs the block in a transaction that only the holder of the mailbox can commit.

        Raises:
            FencedError: Another worker holds the mailbox.
            StoreUnavailable: PostgreSQL is away or too slow.
        """
        async with self.reading() as connection, connection.transaction():
            try:
                await mailboxes.hold(connection, tenant_id, fence)
            except mailboxes.FencedError:
                FENCED.inc()
                raise
            yield connection

    async def messages(
        self,
        tenant: tenant_pb2.Tenant,
        fence: int,
        sightings: Sequence[Sighting],
        coverage: Coverage,
        also: AlsoCommitted | None = None,
    ) -> int:
        """Commits what was found about messages of a mailbox. Safe to call again: what is known makes no second event.

        Args:
            tenant: Whose mailbox.
            fence: Of the hold.
            sightings: One for each message, in the order in which they are to be told.
            coverage: What is watched.
            also: Committed with them.

        Returns:
            How many events were published.

        Raises:
            FencedError: Another worker holds the mailbox.
            StoreUnavailable: PostgreSQL is away or too slow; nothing is certain to be committed.
        """
        with STEP_SECONDS.labels("store").time():
            async with self.holding(tenant.tenant_id, fence) as connection:
                verdicts = await self._decided(connection, tenant.tenant_id, sightings, coverage)
                if also is not None:
                    await also(connection)
                published = await self._written(connection, tenant, verdicts)
        self._count(tenant.provider, verdicts)
        return published

    async def _decided(
        self, connection: Connection, tenant_id: str, sightings: Sequence[Sighting], coverage: Coverage
    ) -> list[tuple[Hint, Verdict]]:
        if not sightings:
            return []
        ids = [sighting.hint.message_id for sighting in sightings]
        known = await messages.load(connection, tenant_id, ids)
        waiting = await lookups.load(connection, tenant_id, ids)
        patience = Patience.waits(self._settings, self._clock.now())
        decided = []
        for sighting in sightings:
            message_id = sighting.hint.message_id
            hint = sighting.hint.merged(waiting.get(message_id))
            verdict = decide(hint, sighting.finding, known.get(message_id), coverage, patience)
            decided.append((hint, verdict))
        done = [hint.message_id for hint, verdict in decided if verdict.again_at is None and hint.message_id in waiting]
        await lookups.remove(connection, tenant_id, done)
        return decided

    async def _written(
        self, connection: Connection, tenant: tenant_pb2.Tenant, decided: Sequence[tuple[Hint, Verdict]]
    ) -> int:
        tenant_id = tenant.tenant_id
        await messages.save(connection, tenant_id, [verdict.known for _, verdict in decided if verdict.known])
        again = [(verdict.hint, verdict.again_at) for _, verdict in decided if verdict.hint and verdict.again_at]
        await lookups.save(connection, tenant_id, again)
        told = [(hint, happening) for hint, verdict in decided for happening in verdict.happenings]
        if not told:
            return 0
        await mailboxes.touch(connection, tenant_id, self._clock.now())
        mails = {hint.message_id: happening.mapped.message for hint, happening in told if happening.mapped is not None}
        conversations = await threads.Threads.of(connection, tenant_id, mails)
        drafts = [EventDraft(_event(conversations, tenant, hint, happening)) for hint, happening in told]
        await conversations.write(connection, tenant_id)
        published = await publish(connection, drafts)
        await self._note_open(connection, tenant_id, told, published)
        return sum(event.is_new for event in published)

    async def _note_open(
        self,
        connection: Connection,
        tenant_id: str,
        told: Sequence[tuple[Hint, Happening]],
        published: Sequence[PublishedEvent],
    ) -> None:
        """Events without their message are noted by their ids, which exist only now; they are few."""
        for (hint, happening), event in zip(told, published, strict=True):
            why = happening.not_enriched
            if why is not None and not why.is_final:
                await messages.open_event(connection, tenant_id, hint.message_id, event.event_id)

    def _count(self, provider: str, decided: Sequence[tuple[Hint, Verdict]]) -> None:
        now = self._clock.now()
        for hint, verdict in decided:
            if verdict.again_at is not None:
                PUT_OFF.labels(provider).inc()
            for happening in verdict.happenings:
                EVENTS.labels(provider, happening.event_type, str(happening.mapped is not None).lower()).inc()
                LAG_SECONDS.labels(provider).observe(max(0.0, (now - hint.received_at).total_seconds()))


def _event(
    conversations: threads.Threads, tenant: tenant_pb2.Tenant, hint: Hint, happening: Happening
) -> event_pb2.NormalizedMailEvent:
    event = event_pb2.NormalizedMailEvent(
        provider=tenant.provider,
        tenant_id=tenant.tenant_id,
        external_tenant_id=tenant.external_tenant_id,
        user_id=tenant.user_id,
        event_type=happening.event_type,
        message_id=hint.message_id,
        correlation_id=hint.correlation_id,
        generation=happening.generation,
        version=happening.version,
        enriched_event_id=happening.enriched_event_id,
        subscription_ids=hint.subscription_ids,
        source=hint.source,  # type: ignore[arg-type]
        change=happening.change,
        not_enriched=happening.not_enriched,
    )
    event.received_at.FromDatetime(hint.received_at)
    if happening.mapped is not None:
        _fill(conversations, event, happening)
    elif hint.notification is not None:
        event.raw.CopyFrom(hint.notification)
    return fit(event)


def _fill(conversations: threads.Threads, event: event_pb2.NormalizedMailEvent, happening: Happening) -> None:
    """Puts the message in; what the mapping made is left as it is, since the transaction may be repeated."""
    mapped = happening.mapped
    assert mapped is not None  # noqa: S101 - the caller has looked
    event.is_enriched = True
    event.message.CopyFrom(mapped.message)
    event.raw.CopyFrom(mapped.raw)
    if mapped.truncation is not None:
        event.truncation.CopyFrom(mapped.truncation)
    event.message.thread.CopyFrom(conversations.assign(event.message_id))
