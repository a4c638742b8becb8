"""Commits Gmail's notifications to the inbox, whether Pub/Sub pushed them or Ingest pulled them."""

from collections.abc import Callable, Sequence
from datetime import datetime

from mailmesh.ingest.v1.inbox_item_pb2 import MailboxChanged
from services.ingest.store.items import Kind, NewItem
from services.ingest.store.matching import KnownMailbox
from services.ingest.webhooks.activity import WebhookActivity
from services.ingest.webhooks.google import GmailPush
from services.ingest.webhooks.item_keys import digest_key
from services.ingest.webhooks.item_writer import ItemWriter
from services.ingest.webhooks.matcher import Matcher
from services.ingest.webhooks.outcomes import count
from services.meshkit.clock import Clock
from services.meshkit.correlation import correlation_id
from services.meshkit.ids import new_id
from services.meshkit.tracing import traceparent
from services.providers.names import GOOGLEWS


class GmailReceiver:
    """Commits Gmail's notifications.

    Args:
        matcher: Finds the mailboxes of addresses.
        writer: Commits items.
        activity: Notes which subscriptions sent notifications.
        clock: For `received_at`.
        on_unknown_address: Called when a notification names a mailbox that no tenant has.
    """

    def __init__(
        self,
        matcher: Matcher,
        writer: ItemWriter,
        activity: WebhookActivity,
        clock: Clock,
        on_unknown_address: Callable[[], None],
    ) -> None:
        self._matcher = matcher
        self._writer = writer
        self._activity = activity
        self._clock = clock
        self._on_unknown_address = on_unknown_address

    async def receive(self, pushes: Sequence[GmailPush]) -> None:
        """Return when the notifications are on disk, in one commit. Safe to call again: a repeat makes nothing.

        Args:
            pushes: Parsed notifications whose origin is proven. One of an unknown mailbox is counted and dropped.

        Raises:
            Overloaded: The buffer is full.
            StoreUnavailable: A lookup or the commit did not succeed in time.
        """
        items: list[NewItem] = []
        outcomes: list[str] = []
        for push in pushes:
            mailboxes = await self._matcher.mailboxes(push.address)
            if not mailboxes:
                self._on_unknown_address()
            made = self._items(push, [mailbox for mailbox in mailboxes if mailbox.is_wanted])
            items += made
            outcomes.append("kept" if made else "not_wanted" if mailboxes else "unknown")
        await self._writer.write(items)
        for outcome in outcomes:
            count(GOOGLEWS, outcome)

    def _items(self, push: GmailPush, wanted: Sequence[KnownMailbox]) -> list[NewItem]:
        now, correlation, parent = self._clock.now(), correlation_id() or new_id(), traceparent()
        for mailbox in wanted:
            for subscription_id in mailbox.subscription_ids:
                self._activity.note(subscription_id, mailbox.tenant_id, now)
        return [_item(push, mailbox.tenant_id, now, correlation, parent) for mailbox in wanted]


def _item(push: GmailPush, tenant_id: str, now: datetime, correlation: str, parent: str) -> NewItem:
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
