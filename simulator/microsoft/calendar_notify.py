"""Graph's notifications about events of calendars."""

import uuid
from typing import Any

from simulator.accounts import Account
from simulator.http import JSON
from simulator.mailboxes.calendars import Calendar, CalendarEvent
from simulator.microsoft.calendars import key_of
from simulator.microsoft.notify import Notifier, moment
from simulator.microsoft.registry import Subscription, SubscriptionRegistry

_SPELLINGS = ("Users/{user}/Events/{id}", "Users('{user}')/events('{id}')")


class CalendarNotifier:
    """Turns changes of events into notifications: an edited instance notifies of its series, as Graph does."""

    def __init__(self, notifier: Notifier, registry: SubscriptionRegistry) -> None:
        self._notifier = notifier
        self._registry = registry
        self._sent = 0

    def changed(self, account: Account, calendar: Calendar, event: CalendarEvent, kind: str) -> None:
        """Notify every subscription to the calendar."""
        for subscription in self._registry.of(account):
            if subscription.calendar == calendar.id and not subscription.is_silenced and kind in subscription.kinds:
                item = self._item(account, event, kind, subscription)
                self._notifier.push("notify.graph.calendar", subscription.notification_url, account, item)

    def _item(self, account: Account, event: CalendarEvent, kind: str, subscription: Subscription) -> JSON:
        self._sent += 1
        path = _SPELLINGS[self._sent % 2].format(user=account.id, id=event.id)
        data: dict[str, Any] = {"@odata.type": "#Microsoft.Graph.Event", "@odata.id": path, "id": event.id}
        if kind != "deleted":
            data["@odata.etag"] = f'W/"{key_of(event)}"'
        return {
            "id": str(uuid.uuid4()),
            "subscriptionId": subscription.id,
            "subscriptionExpirationDateTime": moment(subscription.expires_at),
            "clientState": subscription.client_state or None,
            "changeType": kind,
            "tenantId": account.directory,
            "resource": path,
            "resourceData": data,
        }
