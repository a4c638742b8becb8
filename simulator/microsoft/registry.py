"""The Graph subscriptions that exist, by id and by account; the clock ends them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509

from simulator.accounts import Account
from simulator.clock import Clock


@dataclass(slots=True)
class Subscription:
    """One subscription; ``folder`` empty is the whole mailbox, ``calendar`` the id of a calendar instead.

    A silenced one lives on and sends nothing. One with a certificate sends resource data, encrypted for it.
    """

    id: str
    account: Account
    client_id: str
    resource: str
    folder: str
    kinds: frozenset[str]
    change_type: str
    notification_url: str
    lifecycle_url: str
    client_state: str
    expires_at: datetime
    is_immutable: bool
    is_silenced: bool = False
    calendar: str = ""
    certificate: x509.Certificate | None = None
    certificate_id: str = ""
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class SubscriptionRegistry:
    """All subscriptions, by id and by account."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_id: dict[str, Subscription] = {}
        self._by_account: dict[str, dict[str, Subscription]] = {}

    def of(self, account: Account) -> list[Subscription]:
        """Return the living subscriptions on an account's mailbox."""
        held = self._by_account.get(account.id)
        if not held:
            return []
        now = self._clock.now()
        for gone in [subscription for subscription in held.values() if subscription.expires_at <= now]:
            self.remove(gone)
        return list(held.values())

    def every(self) -> list[Subscription]:
        """Return all living subscriptions."""
        now = self._clock.now()
        return [subscription for subscription in self._by_id.values() if subscription.expires_at > now]

    def find(self, subscription_id: str) -> Subscription | None:
        """Return a living subscription."""
        found = self._by_id.get(subscription_id)
        return found if found and found.expires_at > self._clock.now() else None

    def put(self, subscription: Subscription) -> None:
        """Keep a subscription."""
        self._by_id[subscription.id] = subscription
        self._by_account.setdefault(subscription.account.id, {})[subscription.id] = subscription

    def remove(self, subscription: Subscription) -> None:
        """Remove a subscription without a notification."""
        self._by_id.pop(subscription.id, None)
        self._by_account.get(subscription.account.id, {}).pop(subscription.id, None)
