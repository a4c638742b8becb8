"""Receives notifications: parses, matches and commits them; those worth keeping are on disk before the answer."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from mailmesh.ingest.v1.inbox_item_pb2 import RECONCILE_REASON_MISSED, CalendarChanged
from services.ingest.errors import TenantDisconnected, TenantNotFound
from services.ingest.metrics import REFUSED
from services.ingest.store import channels, lifecycle, mail_content, reconciles
from services.ingest.store.items import Kind, NewItem
from services.ingest.store.lifecycle import NewLifecycle
from services.ingest.store.matching import KnownSubscription
from services.ingest.webhooks.activity import WebhookActivity
from services.ingest.webhooks.gmail_receiver import GmailReceiver
from services.ingest.webhooks.google import parse_push
from services.ingest.webhooks.google_channels import SYNC, parse_channel_push
from services.ingest.webhooks.item_keys import KEY_BYTES, digest_key
from services.ingest.webhooks.item_writer import ItemWriter
from services.ingest.webhooks.matcher import GraphOrigin, Matcher
from services.ingest.webhooks.microsoft import GraphChange, GraphLifecycle, GraphPost, parse_post
from services.ingest.webhooks.outcomes import DATA_REFUSED, count
from services.ingest.webhooks.untrusted_json import UnreadableError
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlation_id
from services.meshkit.errors import MeshError
from services.meshkit.ids import is_id, new_id
from services.meshkit.secret import Secret
from services.meshkit.tracing import traceparent
from services.providers.names import GOOGLEWS, MS365


class ProofOfData(Protocol):
    """Checks the notifications of subscriptions with resource data."""

    async def check(
        self, changes: Mapping[GraphChange, str], tokens: Sequence[Secret]
    ) -> Mapping[GraphChange, GraphChange | str]:
        """Return by notification the one to keep, or the cause of its refusal."""


Decisions = Mapping[GraphChange, GraphChange | str]


@dataclass(slots=True)
class _Arrivals:
    """The notifications of one POST that are worth keeping."""

    items: list[NewItem] = field(default_factory=list)
    lifecycle: list[NewLifecycle] = field(default_factory=list)
    calendars: dict[KnownSubscription, list[GraphChange]] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    """The tenants whose genuine notifications could not be read: their mailboxes are compared instead."""

    def __len__(self) -> int:
        return len(self.items) + len(self.lifecycle) + len(self.calendars) + len(self.unreadable)


class Receiver:
    """Commits notifications to the inbox.

    Args:
        matcher: Finds the subscriptions and mailboxes of notifications.
        writer: Commits items.
        pool: Connections to PostgreSQL, for lifecycle notifications.
        activity: Notes which subscriptions sent notifications, and refused notifications.
        clock: For `received_at`.
        gmail: Commits Gmail's notifications.
        on_lifecycle: Called when lifecycle notifications are on disk.
        seconds: The deadline of a commit.
        data: Checks resource data; None where the installation accepts none.
    """

    def __init__(
        self,
        matcher: Matcher,
        writer: ItemWriter,
        pool: db.Pool,
        activity: WebhookActivity,
        clock: Clock,
        *,
        gmail: GmailReceiver,
        on_lifecycle: Callable[[], None],
        seconds: float,
        data: ProofOfData | None = None,
    ) -> None:
        self._matcher = matcher
        self._writer = writer
        self._pool = pool
        self._activity = activity
        self._clock = clock
        self._gmail = gmail
        self._on_lifecycle = on_lifecycle
        self._seconds = seconds
        self._data = data

    async def graph(self, body: bytes, our_subscription_id: str) -> None:
        """Receive a POST of Graph: change and lifecycle notifications in any mixture. Safe to call again.

        Unknown, forged and unreadable notifications are counted and dropped, without an effect on the others.

        Args:
            body: Untrusted bytes.
            our_subscription_id: Our id from the URL that the POST came to; untrusted, may be empty.

        Raises:
            FieldInvalid: The POST has more notifications than an honest one can have.
            Overloaded: The buffer is full.
            StoreUnavailable: The commit did not succeed in time.
            ProviderUnavailable: Resource data cannot be proven, because Microsoft's keys cannot be fetched.
        """
        try:
            arrivals = await self._proven(parse_post(body), our_subscription_id)
        except UnreadableError as exc:
            count(MS365, exc.cause)
            return
        with self._counting_refusals(len(arrivals)):
            await self._keep_graph(arrivals)

    async def gmail(self, body: bytes, header_message_id: str) -> None:
        """Receive a push about Gmail whose token is verified. Safe to call again.

        Args:
            body: Untrusted bytes.
            header_message_id: Pub/Sub's id of an unwrapped push; may be empty.

        Raises:
            Overloaded: The buffer is full.
            StoreUnavailable: The commit did not succeed in time.
        """
        try:
            push = parse_push(body, header_message_id)
        except UnreadableError as exc:
            count(GOOGLEWS, exc.cause)
            return
        with self._counting_refusals(1):
            await self._gmail.receive([push])

    async def calendar(self, headers: Mapping[str, str]) -> None:
        """Receive a push of a Google channel. Safe to call again: a repeat has the same number.

        A push of an unknown channel, or with another secret than the channel's, is counted and dropped.

        Args:
            headers: The untrusted headers that occur exactly once.

        Raises:
            Overloaded: The buffer is full.
            StoreUnavailable: The commit did not succeed in time.
        """
        try:
            push = parse_channel_push(headers)
        except UnreadableError as exc:
            count(GOOGLEWS, exc.cause)
            return
        with self._counting_refusals(1):
            known = await self._matcher.channel(push.channel_id, push.token_digest)
        if known is None or not known.is_wanted:
            count(GOOGLEWS, "unknown_or_forged" if known is None else "not_wanted")
            return
        with self._counting_refusals(1):
            if push.resource_id and not known.resource_id:
                async with db.connection(self._pool) as connection:
                    await channels.note_resource(connection, known.tenant_id, known.channel_id, push.resource_id)
            now = self._clock.now()
            self._activity.note(known.subscription_id, known.tenant_id, now)
            if push.state != SYNC:
                parts = ("channel", push.channel_id, push.number)
                await self._writer.write([_calendar_item(known.tenant_id, known.calendar_id, parts, now)])
        count(GOOGLEWS, "sync" if push.state == SYNC else "kept")

    async def _proven(self, post: GraphPost, our_subscription_id: str) -> _Arrivals:
        """Return the notifications that are ours. Nothing else takes room or counts as refused.

        When the lookup fails it is unknown which are ours. The POST then counts as one refusal, however many it claims.
        """
        parsed = list(post.notifications)
        origins = {
            notification: GraphOrigin(notification.provider_subscription_id, notification.client_state_digest)
            for notification in parsed
            if not isinstance(notification, UnreadableError)
        }
        ours = our_subscription_id.lower() if is_id(our_subscription_id) else ""
        with self._counting_refusals(1):
            found = await self._matcher.subscriptions(origins.values(), ours) if origins else {}
            decisions = await self._decisions(origins, found, post.validation_tokens)
        return self._sort(parsed, {one: found[origin] for one, origin in origins.items()}, decisions)

    async def _decisions(
        self,
        origins: Mapping[GraphChange | GraphLifecycle, GraphOrigin],
        found: Mapping[GraphOrigin, KnownSubscription | None],
        tokens: Sequence[Secret],
    ) -> Decisions:
        """Check the changes whose subscriptions have resource data. Unknown and forged ones cost no computing."""
        if self._data is None:
            return {}
        with_data = {
            one: known.external_tenant_id
            for one, origin in origins.items()
            if isinstance(one, GraphChange) and (known := found[origin]) and known.is_wanted and known.has_resource_data
        }
        return await self._data.check(with_data, tokens) if with_data else {}

    async def _keep_graph(self, arrivals: _Arrivals) -> None:
        now = self._clock.now()
        for known, changes in arrivals.calendars.items():
            # However many events of a calendar the POST names: the calendar is read once.
            arrivals.items.append(_calendar_item(known.tenant_id, known.calendar_id, _versions(changes), now))
        arrivals.calendars.clear()
        if arrivals.items:
            self._writer.admit(len(arrivals.items))
        for tenant_id in sorted(arrivals.unreadable):
            await self._compare(tenant_id)
        if arrivals.lifecycle:
            await lifecycle.accept(self._pool, arrivals.lifecycle, self._seconds)
            self._on_lifecycle()
        await self._writer.write(arrivals.items)
        count(MS365, "kept", len(arrivals) - len(arrivals.unreadable))

    async def _compare(self, tenant_id: str) -> None:
        """Have a mailbox compared with the provider, since a genuine notification of it could not be read."""
        try:
            wanted = reconciles.ReconcileRequest(RECONCILE_REASON_MISSED)
            await reconciles.enqueue_for_tenant(self._pool, tenant_id, wanted)
        except (TenantNotFound, TenantDisconnected):
            return

    def _sort(
        self,
        parsed: Iterable[GraphChange | GraphLifecycle | UnreadableError],
        found: Mapping[GraphChange | GraphLifecycle, KnownSubscription | None],
        decisions: Decisions,
    ) -> _Arrivals:
        arrivals, now, correlation, parent = _Arrivals(), self._clock.now(), correlation_id() or new_id(), traceparent()
        for stated in parsed:
            if isinstance(stated, UnreadableError):
                count(MS365, stated.cause)
                continue
            known = found[stated]
            if known is None or not known.is_wanted:
                count(MS365, "unknown_or_forged" if known is None else "not_wanted")
                continue
            if isinstance(stated, GraphChange) and stated.is_of_calendar != bool(known.calendar_id):
                count(MS365, "other_resource")
                continue
            notification = decisions.get(stated, stated) if isinstance(stated, GraphChange) else stated
            if isinstance(notification, str):
                count(MS365, notification)
                arrivals.unreadable.update([known.tenant_id] if notification == DATA_REFUSED else [])
                continue
            self._activity.note(known.subscription_id, known.tenant_id, now)
            if isinstance(notification, GraphChange) and known.calendar_id:
                arrivals.calendars.setdefault(known, []).append(notification)
            elif isinstance(notification, GraphChange):
                arrivals.items.append(_mail_item(notification, known, now, correlation, parent))
            else:
                ids = new_id(), known.subscription_id, known.tenant_id
                arrivals.lifecycle.append(NewLifecycle(*ids, notification.event, now, correlation, parent))
        return arrivals

    def _counting_refusals(self, notifications: int) -> "_RefusalCounter":
        return _RefusalCounter(self._activity, self._clock, notifications)


class _RefusalCounter:
    """Counts notifications that are answered 503, because the block around them failed."""

    def __init__(self, activity: WebhookActivity, clock: Clock, notifications: int) -> None:
        self._activity = activity
        self._clock = clock
        self._notifications = notifications

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, failure: BaseException | None, _trace: object) -> None:
        if isinstance(failure, MeshError):
            REFUSED.labels(failure.metadata.get("bound", "store")).inc(self._notifications)
            self._activity.note_refused(self._notifications, self._clock.now())


def _calendar_item(tenant_id: str, calendar_id: str, parts: Sequence[str], now: datetime) -> NewItem:
    return NewItem(
        item_id=new_id(),
        tenant_id=tenant_id,
        kind=Kind.CALENDAR_CHANGED,
        content=CalendarChanged(calendar_id=calendar_id).SerializeToString(),
        received_at=now,
        key=digest_key(tenant_id, "calendar", calendar_id, *parts),
        correlation_id=correlation_id() or new_id(),
        traceparent=traceparent(),
    )


def _versions(changes: Sequence[GraphChange]) -> list[str]:
    """Return the parts of a key by which a repeat of the same POST is recognized."""
    return [part for change in changes for part in (change.message_id, change.change_type, _version(change))]


def _version(change: GraphChange) -> str:
    return change.etag or hashlib.blake2b(change.content, digest_size=KEY_BYTES).hexdigest()


def _mail_item(change: GraphChange, known: KnownSubscription, now: datetime, correlation: str, parent: str) -> NewItem:
    return NewItem(
        item_id=new_id(),
        tenant_id=known.tenant_id,
        kind=Kind.MAIL,
        content=mail_content.pack(
            known.subscription_id, change.message_id, change.change_type, change.etag, change.content
        ),
        received_at=now,
        key=digest_key(known.tenant_id, "mail", change.message_id, change.change_type, _version(change)),
        correlation_id=correlation,
        traceparent=parent,
    )
