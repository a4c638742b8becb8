"""Graph's notifications: one item for each subscription that a change concerns, sent through the lanes."""

import uuid
from datetime import UTC, datetime
from typing import Any

from simulator.accounts import Account
from simulator.http import JSON
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.graph_mail import Change
from simulator.microsoft.registry import Subscription, SubscriptionRegistry
from simulator.microsoft.resource_data import ResourceData
from simulator.push import Rules
from simulator.spoil import spoiled
from simulator.state import World

_ACCEPTED = range(200, 300)
_SPELLINGS = {
    "plain": "Users/{user}/Messages/{id}",
    "lower": "users/{user}@{tenant}/messages/{id}",
    "quoted": "Users('{user}')/messages('{id}')",
}


class Notifier:
    """Turns changes into notifications."""

    def __init__(self, world: World, registry: SubscriptionRegistry, data: ResourceData) -> None:
        self._world = world
        self._resource_data = data
        self._registry = registry
        self._sent = 0

    def changed(self, account: Account, change: Change) -> None:
        """Notify every subscription that a change concerns."""
        for subscription in self._registry.of(account):
            if subscription.is_silenced or subscription.calendar or subscription.folder not in ("", change.folder):
                continue
            self._tell(account, change, subscription)

    def _tell(self, account: Account, change: Change, subscription: Subscription) -> None:
        if change.kind in subscription.kinds:
            self.push("notify.graph", subscription.notification_url, account, self._item(account, change, subscription))
        if change.kind == "created" and "updated" in subscription.kinds:
            for _ in range(self._world.knobs.graph_echo_updates):
                item = {**self._item(account, change, subscription), "changeType": "updated"}
                self.push("notify.graph", subscription.notification_url, account, item)

    def lifecycle(self, subscription: Subscription, event: str) -> bool:
        """Send a lifecycle notification; a removed subscription ends first.

        Returns:
            Whether the subscription has a URL for lifecycle notifications.
        """
        if event == "subscriptionRemoved":
            self._registry.remove(subscription)
        if not subscription.lifecycle_url:
            return False
        item = {
            "subscriptionId": subscription.id,
            "subscriptionExpirationDateTime": moment(subscription.expires_at),
            "tenantId": subscription.account.directory,
            "clientState": subscription.client_state or None,
            "lifecycleEvent": event,
        }
        self.push("notify.lifecycle", subscription.lifecycle_url, subscription.account, item)
        return True

    def push(self, kind: str, url: str, account: Account, item: JSON) -> None:
        """Queue an item, unless a fault drops, doubles or delays it."""
        for wait in spoiled(self._world, kind, account):
            if wait:
                self._world.pushes.put_later(wait, kind, url, item, self._rules)
            else:
                self._world.pushes.put(kind, url, item, self._rules)

    def _item(self, account: Account, change: Change, subscription: Subscription) -> JSON:
        mailbox = account.mailbox
        assert isinstance(mailbox, GraphMailbox)  # noqa: S101  the account is Microsoft's
        mail_id = mailbox.id_of(change.mail.serial, change.moves, is_immutable=subscription.is_immutable)
        path = self._path(account, mail_id)
        data: dict[str, Any] = {"@odata.type": self._type(), "@odata.id": path, "id": mail_id}
        if change.kind != "deleted" or self._world.knobs.graph_deleted_etag:
            data["@odata.etag"] = mailbox.etag(change.mail, change.version)
        item = {
            "id": str(uuid.uuid4()),
            "subscriptionId": subscription.id,
            "subscriptionExpirationDateTime": moment(subscription.expires_at),
            "clientState": subscription.client_state or None,
            "changeType": change.kind,
            "tenantId": account.directory,
            "resource": path,
            "resourceData": data,
        }
        return self._resource_data.add(subscription, item, data)

    def _path(self, account: Account, mail_id: str) -> str:
        spelling = self._world.knobs.graph_resource_spelling
        self._sent += 1
        names = tuple(_SPELLINGS)
        pattern = _SPELLINGS[names[self._sent % len(names)] if spelling == "mixed" else spelling]
        return pattern.format(user=account.id, tenant=account.directory, id=mail_id)

    def _type(self) -> str:
        is_capital = self._world.knobs.graph_resource_spelling == "plain" or self._sent % 2
        return "#Microsoft.Graph.Message" if is_capital else "#microsoft.graph.message"

    def _rules(self) -> Rules:
        knobs = self._world.knobs
        return Rules(
            compose=self._resource_data.compose,
            accepted=_ACCEPTED,
            batch_max=knobs.notification_batch_max,
            wait_seconds=knobs.notification_batch_wait_seconds,
            timeout_seconds=lambda attempts: (
                knobs.push_retry_timeout_seconds if attempts else knobs.push_timeout_seconds
            ),
            concurrency=knobs.push_concurrency,
            retry_first_seconds=knobs.push_retry_first_seconds,
            retry_max_seconds=knobs.push_retry_max_seconds,
            give_up_seconds=knobs.push_retry_for_seconds,
            pending_max=knobs.push_pending_max,
        )


def moment(at: datetime) -> str:
    """Return a time as notifications write it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0+00:00"
