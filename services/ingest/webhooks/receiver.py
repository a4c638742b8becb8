"""Receives notifications: parses, matches and commits them; those worth keeping are on disk before the answer."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final, Protocol

from mailmesh.ingest.v1.inbox_item_pb2 import CalendarChanged, MailboxChanged
from services.ingest.metrics import NOTIFICATIONS, REFUSED
from services.ingest.store import channels, lifecycle, mail_content
from services.ingest.store.items import Kind, NewItem
from services.ingest.store.lifecycle import NewLifecycle
from services.ingest.store.matching import KnownMailbox, KnownSubscription
from services.ingest.webhooks.activity import WebhookActivity
from services.ingest.webhooks.google import GmailPush, parse_push
from services.ingest.webhooks.google_channels import SYNC, parse_channel_push
from services.ingest.webhooks.matcher import GraphOrigin, Matcher
from services.ingest.webhooks.microsoft import GraphChange, GraphLifecycle, parse_notifications
from services.ingest.webhooks.untrusted_json import UnreadableError
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlation_id
from services.meshkit.errors import MeshError
from services.meshkit.ids import is_id, new_id
from services.meshkit.tracing import traceparent
from services.providers.names import GOOGLEWS, MS365

_KEY_BYTES: Final = 16


class ItemWriter(Protocol):
    """The writer of the inbox."""

    def admit(self, count: int = 1) -> None:
        """Raise Overloaded when the buffer has no room for so many notifications."""

    async def write(self, items: Sequence[NewItem]) -> None:
        """Return when the items are on disk."""


@dataclass(slots=True)
class _Arrivals:
    """The notifications of one POST that are worth keeping."""

    items: list[NewItem] = field(default_factory=list)
    lifecycle: list[NewLifecycle] = field(default_factory=list)
    calendars: dict[KnownSubscription, list[GraphChange]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items) + len(self.lifecycle) + len(self.calendars)


class Receiver:
    """Commits notifications to the inbox.

    Args:
        matcher: Finds the subscriptions and mailboxes of notifications.
        writer: Commits items.
        pool: Connections to PostgreSQL, for lifecycle notifications.
        activity: Notes which subscriptions sent notifications, and refused notifications.
        clock: For `received_at`.
        on_unknown_address: Called when a push names a mailbox that no tenant has.
        on_lifecycle: Called when lifecycle notifications are on disk.
        seconds: The deadline of a commit.
    """

    def __init__(
        self,
        matcher: Matcher,
        writer: ItemWriter,
        pool: db.Pool,
        activity: WebhookActivity,
        clock: Clock,
        *,
        on_unknown_address: Callable[[], None],
        on_lifecycle: Callable[[], None],
        seconds: float,
    ) -> None:
        self._matcher = matcher
        self._writer = writer
        self._pool = pool
        self._activity = activity
        self._clock = clock
        self._on_unknown_address = on_unknown_address
        self._on_lifecycle = on_lifecycle
        self._seconds = seconds

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
        """
        try:
            parsed = list(parse_notifications(body))
        except UnreadableError as exc:
            _count(MS365, exc.cause)
            return
        arrivals = await self._proven(parsed, our_subscription_id)
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
            _count(GOOGLEWS, exc.cause)
            return
        with self._counting_refusals(1):
            mailboxes = await self._matcher.mailboxes(push.address)
        if not mailboxes:
            _count(GOOGLEWS, "unknown")
            self._on_unknown_address()
            return
        with self._counting_refusals(1):
            await self._keep_push(push, mailboxes)

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
            _count(GOOGLEWS, exc.cause)
            return
        with self._counting_refusals(1):
            known = await self._matcher.channel(push.channel_id, push.token_digest)
        if known is None or not known.is_wanted:
            _count(GOOGLEWS, "unknown_or_forged" if known is None else "not_wanted")
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
        _count(GOOGLEWS, "sync" if push.state == SYNC else "kept")

    async def _proven(
        self, parsed: Sequence[GraphChange | GraphLifecycle | UnreadableError], our_subscription_id: str
    ) -> _Arrivals:
        """Return the notifications that are ours. Nothing else takes room or counts as refused.

        When the lookup fails it is unknown which are ours. The POST then counts as one refusal, however many it claims.
        """
        origins = {
            notification: GraphOrigin(notification.provider_subscription_id, notification.client_state_digest)
            for notification in parsed
            if not isinstance(notification, UnreadableError)
        }
        ours = our_subscription_id.lower() if is_id(our_subscription_id) else ""
        with self._counting_refusals(1):
            found = await self._matcher.subscriptions(origins.values(), ours) if origins else {}
        return self._sort(parsed, origins, found)

    async def _keep_graph(self, arrivals: _Arrivals) -> None:
        now = self._clock.now()
        for known, changes in arrivals.calendars.items():
            # However many events of a calendar the POST names: the calendar is read once.
            arrivals.items.append(_calendar_item(known.tenant_id, known.calendar_id, _versions(changes), now))
        arrivals.calendars.clear()
        if arrivals.items:
            self._writer.admit(len(arrivals.items))
        if arrivals.lifecycle:
            await lifecycle.accept(self._pool, arrivals.lifecycle, self._seconds)
            self._on_lifecycle()
        await self._writer.write(arrivals.items)
        _count(MS365, "kept", len(arrivals))

    def _sort(
        self,
        parsed: Iterable[GraphChange | GraphLifecycle | UnreadableError],
        origins: Mapping[GraphChange | GraphLifecycle, GraphOrigin],
        found: Mapping[GraphOrigin, KnownSubscription | None],
    ) -> _Arrivals:
        arrivals, now, correlation, parent = _Arrivals(), self._clock.now(), correlation_id() or new_id(), traceparent()
        for notification in parsed:
            if isinstance(notification, UnreadableError):
                _count(MS365, notification.cause)
                continue
            known = found[origins[notification]]
            if known is None or not known.is_wanted:
                _count(MS365, "unknown_or_forged" if known is None else "not_wanted")
                continue
            if isinstance(notification, GraphChange) and notification.is_of_calendar != bool(known.calendar_id):
                _count(MS365, "other_resource")
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

    async def _keep_push(self, push: GmailPush, mailboxes: Sequence[KnownMailbox]) -> None:
        now, correlation, parent = self._clock.now(), correlation_id() or new_id(), traceparent()
        wanted = [mailbox for mailbox in mailboxes if mailbox.is_wanted]
        items = [_push_item(push, mailbox.tenant_id, now, correlation, parent) for mailbox in wanted]
        for mailbox in wanted:
            for subscription_id in mailbox.subscription_ids:
                self._activity.note(subscription_id, mailbox.tenant_id, now)
        await self._writer.write(items)
        _count(GOOGLEWS, "kept" if items else "not_wanted")

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


def digest_key(tenant_id: str, *parts: str) -> str:
    """Return the key by which a repeat is recognized, as a UUID: equal parts have equal keys.

    Args:
        tenant_id: The tenant; an item of one tenant is never a repeat of another tenant's item.
        parts: The properties that make two items equal.
    """
    digest = hashlib.blake2b(tenant_id.encode(), digest_size=_KEY_BYTES)
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.hexdigest()


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
    return change.etag or hashlib.blake2b(change.content, digest_size=_KEY_BYTES).hexdigest()


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


def _push_item(push: GmailPush, tenant_id: str, now: datetime, correlation: str, parent: str) -> NewItem:
    content = MailboxChanged(history_id=push.history_id, pubsub_message_id=push.message_id)
    return NewItem(
        item_id=new_id(),
        tenant_id=tenant_id,
        kind=Kind.MAILBOX_CHANGED,
        content=content.SerializeToString(),
        received_at=now,
        key=digest_key(tenant_id, "history", str(push.history_id)),
        other_key=digest_key(tenant_id, "push", push.message_id) if push.message_id else None,
        correlation_id=correlation,
        traceparent=parent,
    )


_labelled = lru_cache(maxsize=256)(NOTIFICATIONS.labels)


def _count(provider: str, outcome: str, count: int = 1) -> None:
    if count:
        _labelled(provider, outcome).inc(count)
