"""Finds the subscription or mailbox that a notification belongs to, and checks that it is genuine.

Lookups are cached for a while. A miss or a mismatch reads the table before anything is dropped, because another process
may have created or replaced the subscription a moment ago.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.ingest.store import matching
from services.ingest.store.matching import KnownChannel, KnownMailbox, KnownSubscription
from services.meshkit import db
from services.meshkit.cache import BoundedCache


@dataclass(frozen=True, slots=True)
class GraphOrigin:
    """The origin that a Graph notification states; unproven.

    Args:
        provider_subscription_id: Graph's id of the subscription.
        client_state_digest: SHA-256 of its `clientState`; empty when there was none.
    """

    provider_subscription_id: str
    client_state_digest: bytes


class Matcher:
    """Matches notifications to subscriptions and mailboxes.

    Args:
        pool: Connections to PostgreSQL.
        entries: The most cached subscriptions, and the most cached addresses.
        seconds: How long a cached value is trusted.
    """

    def __init__(self, pool: db.Pool, entries: int, seconds: float) -> None:
        self._pool = pool
        self._subscriptions: BoundedCache[str, KnownSubscription] = BoundedCache(entries, seconds)
        self._mailboxes: BoundedCache[str, Sequence[KnownMailbox]] = BoundedCache(entries, seconds)
        self._channels: BoundedCache[str, KnownChannel] = BoundedCache(entries, seconds)

    async def subscriptions(
        self, origins: Iterable[GraphOrigin], our_subscription_id: str
    ) -> Mapping[GraphOrigin, KnownSubscription | None]:
        """Find the subscription of each origin.

        Args:
            origins: The origins of the notifications of one POST.
            our_subscription_id: Our id from the URL that the POST came to; empty when there was none.

        Returns:
            By origin its proven subscription, or None when it is unknown or forged.

        Raises:
            StoreUnavailable: A lookup was necessary and failed.
        """
        found = {origin: self._cached(origin) for origin in set(origins)}
        missing = [origin for origin, known in found.items() if known is None]
        if missing:
            found |= await self._look_up(missing, our_subscription_id)
        return found

    async def mailboxes(self, address: str) -> Sequence[KnownMailbox]:
        """Find the mailboxes of an address; none when no tenant has it.

        Raises:
            StoreUnavailable: A lookup was necessary and failed.
        """
        known = self._mailboxes.get(address)
        if known is None or not any(mailbox.is_wanted for mailbox in known):
            async with db.connection(self._pool) as connection:
                known = await matching.find_mailboxes(connection, address)
            if known:
                self._mailboxes.put(address, known)
        return known

    async def channel(self, channel_id: str, token_digest: bytes) -> KnownChannel | None:
        """Find the Google channel of a push.

        Args:
            channel_id: A UUID that the push names; unproven.
            token_digest: SHA-256 of the secret that it carries.

        Returns:
            The proven channel, or None when it is unknown or forged.

        Raises:
            StoreUnavailable: A lookup was necessary and failed.
        """
        known = self._channels.get(channel_id)
        if known is not None and not hmac.compare_digest(token_digest, known.token_digest):
            return None  # a channel's secret never changes
        if known is None or not known.is_wanted or not known.resource_id:
            async with db.connection(self._pool) as connection:
                known = await matching.find_channel(connection, channel_id)
            if known is not None:
                self._channels.put(channel_id, known)
        is_genuine = known is not None and hmac.compare_digest(token_digest, known.token_digest)
        return known if is_genuine else None

    def forget_all(self) -> None:
        """Clear the cache, after tenants or subscriptions have changed."""
        self._subscriptions.clear()
        self._mailboxes.clear()
        self._channels.clear()

    def _cached(self, origin: GraphOrigin) -> KnownSubscription | None:
        known = self._subscriptions.get(origin.provider_subscription_id)
        return known if known is not None and known.is_wanted and _is_genuine(origin, known) else None

    async def _look_up(
        self, origins: Sequence[GraphOrigin], our_subscription_id: str
    ) -> Mapping[GraphOrigin, KnownSubscription | None]:
        ours = [our_subscription_id] if our_subscription_id else []
        provider_ids = {origin.provider_subscription_id for origin in origins}
        async with db.connection(self._pool) as connection:
            rows = await matching.find_subscriptions(connection, provider_ids, ours)
        for row in rows:
            if row.provider_subscription_id:
                self._subscriptions.put(row.provider_subscription_id, row)
        return {origin: _choose(origin, rows, our_subscription_id) for origin in origins}


def _choose(origin: GraphOrigin, rows: Sequence[KnownSubscription], our_id: str) -> KnownSubscription | None:
    """Return the row of Graph's id, or of ours, which the URL contains before the create call has returned."""
    for row in rows:
        is_meant = row.provider_subscription_id == origin.provider_subscription_id or row.subscription_id == our_id
        if is_meant and _is_genuine(origin, row):
            return row
    return None


def _is_genuine(origin: GraphOrigin, known: KnownSubscription) -> bool:
    return any(hmac.compare_digest(origin.client_state_digest, digest) for digest in known.digests)
