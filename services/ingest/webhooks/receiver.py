"""Takes what the providers push: parse, match, commit. What is worth keeping is on disk when a method returns."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

from mailmesh.ingest.v1.inbox_item_pb2 import MailboxChanged
from services.ingest.inbox.writer import GroupWriter
from services.ingest.metrics import NOTIFICATIONS, REFUSED
from services.ingest.store.acceptance import ArrivalStore
from services.ingest.store.items import Arrivals, Kind, NewItem, NewLifecycle
from services.ingest.store.mail_content import pack
from services.ingest.store.matching import KnownMailbox, KnownSubscription
from services.ingest.webhooks.activity import WebhookActivity
from services.ingest.webhooks.google import parse_push
from services.ingest.webhooks.matcher import Claim, Matcher
from services.ingest.webhooks.microsoft import GraphChange, GraphLifecycle, parse_notifications
from services.ingest.webhooks.untrusted_json import UnreadableError
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlation_id
from services.meshkit.errors import MeshError
from services.meshkit.ids import is_id, new_id
from services.meshkit.tracing import traceparent

_MS365: Final = "ms365"
_GOOGLEWS: Final = "googlews"
_KEY_BYTES: Final = 16


class Receiver:
    """Gets notifications onto the disk.

    Args:
        matcher: Knows whom they belong to.
        writer: Commits items.
        store: Commits lifecycle notifications.
        sightings: Notes which subscriptions were heard of, and what was refused.
        clock: For `received_at`.
        on_unknown_address: Called when a push names a mailbox that nobody has.
        on_lifecycle: Called when lifecycle notifications are on disk.
        seconds: What a commit may take.
    """

    def __init__(
        self,
        matcher: Matcher,
        writer: GroupWriter,
        store: ArrivalStore,
        sightings: WebhookActivity,
        clock: Clock,
        *,
        on_unknown_address: Callable[[], None],
        on_lifecycle: Callable[[], None],
        seconds: float,
    ) -> None:
        self._matcher = matcher
        self._writer = writer
        self._store = store
        self._sightings = sightings
        self._clock = clock
        self._on_unknown_address = on_unknown_address
        self._on_lifecycle = on_lifecycle
        self._seconds = seconds

    async def graph(self, body: bytes, our_subscription_id: str) -> None:
        """Takes a POST of Graph, change and lifecycle notifications in any mixture. Safe to call again.

        What is unknown, forged or not understood is counted and dropped, and costs its neighbours nothing.

        Args:
            body: Untrusted bytes.
            our_subscription_id: Our id from the address that the POST came to; may be empty or anything.

        Raises:
            Overloaded: There is no room.
            StoreUnavailable: It could not be committed in time.
        """
        try:
            told = list(parse_notifications(body))
        except UnreadableError as exc:
            _count(_MS365, exc.cause)
            return
        with self._refusals(len(told)):
            await self._keep_graph(told, our_subscription_id)

    async def gmail(self, body: bytes, header_message_id: str) -> None:
        """Takes a push about Gmail whose token is proven. Safe to call again.

        Args:
            body: Untrusted bytes.
            header_message_id: Pub/Sub's id of an unwrapped push; may be empty.

        Raises:
            Overloaded: There is no room.
            StoreUnavailable: It could not be committed in time.
        """
        try:
            push = parse_push(body, header_message_id)
        except UnreadableError as exc:
            _count(_GOOGLEWS, exc.cause)
            return
        with self._refusals(1):
            self._writer.admit()
            mailboxes = await self._matcher.mailboxes(push.address)
            if not mailboxes:
                _count(_GOOGLEWS, "unknown")
                self._on_unknown_address()
                return
            await self._keep_push(push.history_id, push.message_id, mailboxes)

    async def _keep_graph(
        self, told: Sequence[GraphChange | GraphLifecycle | UnreadableError], our_subscription_id: str
    ) -> None:
        self._writer.admit(len(told))
        claims = {
            one: Claim(one.provider_subscription_id, one.client_state_digest)
            for one in told
            if not isinstance(one, UnreadableError)
        }
        ours = our_subscription_id.lower() if is_id(our_subscription_id) else ""
        found = await self._matcher.subscriptions(claims.values(), ours) if claims else {}
        arrivals = self._sorted(told, claims, found)
        if arrivals.lifecycle:
            await self._store.accept_lifecycle(arrivals.lifecycle, self._seconds)
            self._on_lifecycle()
        await self._writer.write(arrivals.items)
        _count(_MS365, "kept", len(arrivals))

    def _sorted(
        self,
        told: Iterable[GraphChange | GraphLifecycle | UnreadableError],
        claims: Mapping[GraphChange | GraphLifecycle, Claim],
        found: Mapping[Claim, KnownSubscription | None],
    ) -> Arrivals:
        arrivals, now, correlation, parent = Arrivals(), self._clock.now(), correlation_id() or new_id(), traceparent()
        for one in told:
            if isinstance(one, UnreadableError):
                _count(_MS365, one.cause)
                continue
            known = found[claims[one]]
            if known is None or not known.is_wanted:
                _count(_MS365, "unknown_or_forged" if known is None else "not_wanted")
                continue
            self._sightings.note(known.subscription_id, known.tenant_id, now)
            if isinstance(one, GraphChange):
                arrivals.items.append(_mail_item(one, known, now, correlation, parent))
            else:
                arrivals.lifecycle.append(
                    NewLifecycle(new_id(), known.subscription_id, known.tenant_id, one.event, now, correlation, parent)
                )
        return arrivals

    async def _keep_push(self, history_id: int, message_id: str, mailboxes: Sequence[KnownMailbox]) -> None:
        now, correlation, parent = self._clock.now(), correlation_id() or new_id(), traceparent()
        wanted = [mailbox for mailbox in mailboxes if mailbox.is_wanted]
        content = MailboxChanged(history_id=history_id, pubsub_message_id=message_id).SerializeToString()
        items = [
            NewItem(
                item_id=new_id(),
                tenant_id=mailbox.tenant_id,
                kind=Kind.MAILBOX_CHANGED,
                content=content,
                received_at=now,
                key=digest_key(mailbox.tenant_id, "history", str(history_id)),
                other_key=digest_key(mailbox.tenant_id, "push", message_id) if message_id else None,
                correlation_id=correlation,
                traceparent=parent,
            )
            for mailbox in wanted
        ]
        for mailbox in wanted:
            for subscription_id in mailbox.subscription_ids:
                self._sightings.note(subscription_id, mailbox.tenant_id, now)
        await self._writer.write(items)
        _count(_GOOGLEWS, "kept" if items else "not_wanted")

    def _refusals(self, notifications: int) -> "_Refusals":
        return _Refusals(self._sightings, self._clock, notifications)


class _Refusals:
    """Counts what is answered 503."""

    def __init__(self, sightings: WebhookActivity, clock: Clock, notifications: int) -> None:
        self._sightings = sightings
        self._clock = clock
        self._notifications = notifications

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, failure: BaseException | None, _trace: object) -> None:
        if isinstance(failure, MeshError):
            REFUSED.labels(failure.metadata.get("bound", "store")).inc(self._notifications)
            self._sightings.refuse(self._notifications, self._clock.now())


def digest_key(tenant_id: str, *parts: str) -> str:
    """Makes the key under which a repeat is known, as a UUID: what is the same has the same one.

    Args:
        tenant_id: Whose it is; nothing of one tenant is ever a repeat of another's.
        parts: What makes it the same.
    """
    digest = hashlib.blake2b(tenant_id.encode(), digest_size=_KEY_BYTES)
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.hexdigest()


def _mail_item(change: GraphChange, known: KnownSubscription, now: datetime, correlation: str, parent: str) -> NewItem:
    version = change.etag or hashlib.blake2b(change.content, digest_size=_KEY_BYTES).hexdigest()
    return NewItem(
        item_id=new_id(),
        tenant_id=known.tenant_id,
        kind=Kind.MAIL,
        content=pack(change, known.subscription_id),
        received_at=now,
        key=digest_key(known.tenant_id, "mail", change.message_id, change.change_type, version),
        correlation_id=correlation,
        traceparent=parent,
    )


_counted = lru_cache(maxsize=256)(NOTIFICATIONS.labels)


def _count(provider: str, outcome: str, count: int = 1) -> None:
    if count:
        _counted(provider, outcome).inc(count)
