"""Decide the events of messages, and commit the decision and its causes in one transaction.

The facts are read first, and need no lock: only the holder of the fence writes them. One statement then checks the
fence, which locks the mailbox's row, and writes states, threads and events. Alone, it is a transaction of its own. When
other tables are written too, it is the last one of a transaction, since publishing locks the stream until the commit.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeAlias

from mailmesh.mail.v1 import event_pb2, message_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.meshkit.clock import Clock
from services.message.bounds import fit
from services.processor.mail import threads
from services.processor.mail.coverage import Coverage
from services.processor.mail.decide import decide
from services.processor.mail.decision import Decision, PendingEvent
from services.processor.mail.sources.findings import Finding, Found
from services.processor.mail.state import COMMAND, UPDATED, ReportedChange
from services.processor.mail.store import changes, facts, lookups, messages
from services.processor.mailbox.retry_policy import RetryPolicy
from services.processor.mailbox.seen_change import OwnChanges, SeenChange
from services.processor.mailbox.store import row_changes
from services.processor.mailbox.store.row_changes import RowChange
from services.processor.mailbox.transaction import AlsoCommitted, Transactions
from services.processor.metrics import EVENTS, LAG_SECONDS, PUT_OFF, STEP_SECONDS
from services.processor.settings import ProcessorSettings
from services.processor.stream.publish import EventDraft, PublishedEvent, publish

_MAIL_UPDATED = "mail.updated"

OwnMessages: TypeAlias = Callable[[db.Connection, str, Mapping[str, str]], Awaitable[Mapping[str, str]]]
"""Tells which marked messages of a tenant are the mail of its own sends: marks by message id in, ids of sends out."""

Reports: TypeAlias = Callable[
    [db.Connection, str, Mapping[str, message_pb2.MailMessage], Mapping[str, str], datetime],
    Awaitable[list[EventDraft]],
]
"""Stores the reports, in mails by their ids, that fit sends of a tenant, and the ids of own mails (ids of sends by
message id) that the sends lack; returns the events to publish."""

Invitations: TypeAlias = Callable[
    [db.Connection, tenant_pb2.Tenant, Mapping[str, str], datetime], Awaitable[list[EventDraft]]
]
"""Stores the threads of mails that invite to calendar events, by the events' UIDs; returns the events to publish."""


@dataclass(frozen=True)
class Observation:
    """A reported change of a message, and the result of looking for the message."""

    reported: ReportedChange
    finding: Finding


class MailCommitter:
    """Decides the events of messages, and commits the decisions.

    Args:
        transactions: The process's fenced transactions.
        settings: Bounds and waits.
        clock: The time.
        own_messages: Recognises the mail of the tenant's own sends.
        own_changes: Recognises the changes that the tenant's own modifications made.
        reports: Matches bounces and complaints with the tenant's own sends.
        invitations: Gives calendar events the threads of the mails that invite to them.
    """

    def __init__(
        self,
        transactions: Transactions,
        settings: ProcessorSettings,
        clock: Clock,
        own_messages: OwnMessages,
        own_changes: OwnChanges,
        reports: Reports,
        invitations: Invitations,
    ) -> None:
        self._invitations = invitations
        self._transactions = transactions
        self._own_messages = own_messages
        self._own_changes = own_changes
        self._reports = reports
        self._settings = settings
        self._clock = clock

    async def commit(
        self,
        tenant: tenant_pb2.Tenant,
        fence: int,
        observations: Sequence[Observation],
        coverage: Coverage,
        also: AlsoCommitted | None = None,
    ) -> int:
        """Commit the observations of a mailbox. Safe to call again: a known change makes no second event.

        Args:
            tenant: The mailbox's tenant.
            fence: The fence of the lease.
            observations: One for each message, in the order of their events.
            coverage: The coverage of the tenant's subscriptions.
            also: A change or a write that is committed with them.

        Returns:
            The number of events published.

        Raises:
            FencedError: Another worker holds the mailbox.
            StoreUnavailable: PostgreSQL cannot be reached or is too slow; the commit may or may not have happened.
        """
        with STEP_SECONDS.labels("store").time():
            known = await self._known(tenant.tenant_id, observations)
            decided = self._decided(observations, coverage, known)
            written = _Written(decided, known)
            row_change = also if isinstance(also, RowChange) else None
            is_alone = written.is_alone and (also is None or row_change is not None)
            opened = self._transactions.alone() if is_alone else self._transactions.fenced(tenant.tenant_id, fence)
            async with opened as connection:
                if also is not None and not isinstance(also, RowChange):
                    await also(connection)
                published = await self._write(connection, tenant, fence, written, row_change)
        self._count(tenant.provider, decided)
        return published

    async def _known(self, tenant_id: str, observations: Sequence[Observation]) -> facts.MessageFacts:
        """Read the facts about the messages, and those that decide the threads of the new ones."""
        new = [
            observation.finding.mapped.message
            for observation in observations
            if isinstance(observation.finding, Found) and observation.reported.kinds != {UPDATED}
        ]
        ids = [observation.reported.message_id for observation in observations]
        async with self._transactions.reading() as connection:
            return await facts.read(connection, tenant_id, ids, threads.question_about(new))

    def _decided(
        self, observations: Sequence[Observation], coverage: Coverage, known: facts.MessageFacts
    ) -> list[tuple[ReportedChange, Decision]]:
        retry_policy = RetryPolicy.from_settings(self._settings, self._clock.now())
        decided = []
        for observation in observations:
            message_id = observation.reported.message_id
            reported = observation.reported.merged(known.lookups.get(message_id))
            decision = decide(reported, observation.finding, known.states.get(message_id), coverage, retry_policy)
            decided.append((reported, decision))
        return decided

    async def _write(
        self,
        connection: db.Connection,
        tenant: tenant_pb2.Tenant,
        fence: int,
        written: "_Written",
        row_change: RowChange | None,
    ) -> int:
        tenant_id, drafted, mails = tenant.tenant_id, written.drafted, written.mails
        await lookups.remove(connection, tenant_id, written.done_lookups)
        await lookups.save(connection, tenant_id, written.later_lookups)
        if not drafted:
            if row_change is not None:
                await row_changes.save(connection, tenant_id, fence, row_change)
            await messages.save(connection, tenant_id, written.states)
            return 0
        conversations = await threads.Threads.of(connection, tenant_id, mails, written.known)
        own = await self._own_messages(connection, tenant_id, written.marks) if written.marks else {}
        modified = await self._own_changes(connection, tenant_id, written.seen_changes) if written.seen_changes else {}
        drafts = [
            EventDraft(_event(conversations, tenant, reported, event_to_publish, own, modified))
            for reported, event_to_publish in drafted
        ]
        telling = {
            message_id: mail for message_id, mail in mails.items() if mail.HasField("report") or message_id in own
        }
        if telling:
            drafts += await self._reports(connection, tenant_id, telling, own, self._clock.now())
        if written.invited:
            invited = {uid: conversations.assign(message_id).thread_id for message_id, uid in written.invited}
            drafts += await self._invitations(connection, tenant, invited, self._clock.now())
        additions, now = conversations.additions, self._clock.now()
        write = partial(changes.write, tenant_id, fence, written.states, additions, now, row_change)
        published = (await publish(connection, drafts, write))[: len(drafted)]
        await self._note_open(connection, tenant_id, drafted, published)
        return sum(event.is_new for event in published)

    async def _note_open(
        self,
        connection: db.Connection,
        tenant_id: str,
        drafted: Sequence[tuple[ReportedChange, PendingEvent]],
        published: Sequence[PublishedEvent],
    ) -> None:
        """Note the events that went out without their message, by their ids, which exist only now; they are few."""
        for (reported, event_to_publish), event in zip(drafted, published, strict=True):
            why = event_to_publish.not_enriched
            if why is not None and not why.is_final:
                await messages.open_event(connection, tenant_id, reported.message_id, event.event_id)

    def _count(self, provider: str, decided: Sequence[tuple[ReportedChange, Decision]]) -> None:
        now = self._clock.now()
        for reported, decision in decided:
            if decision.again_at is not None:
                PUT_OFF.labels(provider).inc()
            for event_to_publish in decision.pending:
                EVENTS.labels(
                    provider, event_to_publish.event_type, str(event_to_publish.mapped is not None).lower()
                ).inc()
                LAG_SECONDS.labels(provider).observe(max(0.0, (now - reported.received_at).total_seconds()))


class _Written:
    """The writes of some decisions, besides the events.

    Args:
        decided: The decisions, with the changes that they are about.
        known: The stored facts.
    """

    def __init__(self, decided: Sequence[tuple[ReportedChange, Decision]], known: facts.MessageFacts) -> None:
        self.known = known
        self.states = [decision.known for _, decision in decided if decision.known]
        self.later_lookups = [
            (decision.reported, decision.again_at) for _, decision in decided if decision.reported and decision.again_at
        ]
        self.done_lookups = [
            reported.message_id
            for reported, decision in decided
            if decision.again_at is None and reported.message_id in known.lookups
        ]
        self.drafted = [
            (reported, event_to_publish) for reported, decision in decided for event_to_publish in decision.pending
        ]
        found = [
            (reported.message_id, event_to_publish.mapped)
            for reported, event_to_publish in self.drafted
            if event_to_publish.mapped is not None
        ]
        self.mails = {message_id: mapped.message for message_id, mapped in found}
        # Of several mails that invite to one event the first counts.
        self.invited = [(message_id, mapped.invitation) for message_id, mapped in reversed(found) if mapped.invitation]
        # The marks of sends: nearly all mail has none.
        self.marks = {message_id: mapped.send_mark for message_id, mapped in found if mapped.send_mark}
        self.seen_changes = [
            SeenChange(
                reported.message_id,
                event_to_publish.version,
                frozenset(change.fields) | ({"folder_id"} if change.previous_folder_id else set()),
                frozenset(change.label_ids_added),
                frozenset(change.label_ids_removed),
                event_to_publish.is_compared,
            )
            for reported, event_to_publish in self.drafted
            if event_to_publish.event_type == _MAIL_UPDATED and (change := event_to_publish.change) is not None
        ]

    @property
    def is_alone(self) -> bool:
        """Whether one statement writes everything."""
        is_more = self.marks or self.invited or self.seen_changes or self.later_lookups or self.done_lookups
        is_open = any(event_to_publish.not_enriched for _, event_to_publish in self.drafted)
        is_report = any(mail.HasField("report") for mail in self.mails.values())
        return bool(self.drafted) and not (is_more or is_open or is_report)


def _event(
    conversations: threads.Threads,
    tenant: tenant_pb2.Tenant,
    reported: ReportedChange,
    event_to_publish: PendingEvent,
    sends: Mapping[str, str],
    modifications: Mapping[str, str],
) -> event_pb2.NormalizedMailEvent:
    kind = event_to_publish.event_type
    # Of a send only the appearance of its mail is ours: later changes are those of others, or of a modification.
    send_id = sends.get(reported.message_id, "") if kind == "mail.created" else ""
    modification_id = modifications.get(reported.message_id, "") if kind == _MAIL_UPDATED else ""
    event = event_pb2.NormalizedMailEvent(
        provider=tenant.provider,
        tenant_id=tenant.tenant_id,
        external_tenant_id=tenant.external_tenant_id,
        user_id=tenant.user_id,
        event_type=kind,
        message_id=reported.message_id,
        correlation_id=reported.correlation_id,
        generation=event_to_publish.generation,
        version=event_to_publish.version,
        enriched_event_id=event_to_publish.enriched_event_id,
        subscription_ids=reported.subscription_ids,
        source=COMMAND if send_id or modification_id else reported.source,  # type: ignore[arg-type]
        send_id=send_id,
        modification_id=modification_id,
        change=event_to_publish.change,
        not_enriched=event_to_publish.not_enriched,
    )
    event.received_at.FromDatetime(reported.received_at)
    if event_to_publish.mapped is not None:
        _fill(conversations, event, event_to_publish)
    elif reported.notification is not None:
        event.raw.CopyFrom(reported.notification)
    return fit(event)


def _fill(conversations: threads.Threads, event: event_pb2.NormalizedMailEvent, event_to_publish: PendingEvent) -> None:
    """Copy the message into the event; the mapping's result stays unchanged, since the transaction may be repeated."""
    mapped = event_to_publish.mapped
    assert mapped is not None  # noqa: S101 - the caller has looked
    event.is_enriched = True
    event.message.CopyFrom(mapped.message)
    event.raw.CopyFrom(mapped.raw)
    if mapped.truncation is not None:
        event.truncation.CopyFrom(mapped.truncation)
    event.message.thread.CopyFrom(conversations.assign(event.message_id))
