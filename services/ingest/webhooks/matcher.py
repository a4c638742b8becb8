"""Finds whom a notification belongs to, and whether it is genuine.

What was looked up is remembered for a while. A miss or a mismatch reads the table before anything is dropped: a
subscription may have been made or replaced a moment ago, by another process.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.ingest.store.matching import KnownMailbox, KnownSubscription, MatchingStore
from services.ingest.webhooks.cache import BoundedCache


@dataclass(frozen=True, slots=True)
class Claim:
    """What a Graph notification says of where it comes from.

    Args:
        provider_subscription_id: Graph's id of the subscription.
        client_state_digest: SHA-256 of its `clientState`; empty when there was none.
    """

    provider_subscription_id: str
    client_state_digest: bytes


class Matcher:
    """Matches notifications to subscriptions and mailboxes.

    Args:
        store: Where they are.
        entries: How many of each kind are remembered at most.
        seconds: How long what is remembered is believed.
    """

    def __init__(self, store: MatchingStore, entries: int, seconds: float) -> None:
        self._store = store
        self._subscriptions: BoundedCache[KnownSubscription] = BoundedCache(entries, seconds)
        self._mailboxes: BoundedCache[Sequence[KnownMailbox]] = BoundedCache(entries, seconds)

    async def subscriptions(
        self, claims: Iterable[Claim], our_subscription_id: str
    ) -> Mapping[Claim, KnownSubscription | None]:
        """Finds the subscription of each claim.

        Args:
            claims: What the notifications of one POST say.
            our_subscription_id: Our id from the address that the POST came to; empty when there was none.

        Returns:
            By claim the subscription that it proves to belong to, or None: unknown or forged.

        Raises:
            StoreUnavailable: It had to be looked up and could not.
        """
        found = {claim: self._remembered(claim) for claim in set(claims)}
        missing = [claim for claim, known in found.items() if known is None]
        if missing:
            found |= await self._look_up(missing, our_subscription_id)
        return found

    async def mailboxes(self, address: str) -> Sequence[KnownMailbox]:
        """Finds the mailboxes of an address; none when nobody has it.

        Raises:
            StoreUnavailable: It had to be looked up and could not.
        """
        known = self._mailboxes.get(address)
        if known is None or not any(mailbox.is_wanted for mailbox in known):
            known = await self._store.mailboxes(address)
            if known:
                self._mailboxes.put(address, known)
        return known

    def forget_all(self) -> None:
        """Forgets what is remembered, after tenants or subscriptions have changed."""
        self._subscriptions.forget_all()
        self._mailboxes.forget_all()

    def _remembered(self, claim: Claim) -> KnownSubscription | None:
        known = self._subscriptions.get(claim.provider_subscription_id)
        return known if known is not None and known.is_wanted and _is_genuine(claim, known) else None

    async def _look_up(
        self, claims: Sequence[Claim], our_subscription_id: str
    ) -> Mapping[Claim, KnownSubscription | None]:
        ours = [our_subscription_id] if our_subscription_id else []
        rows = await self._store.subscriptions({claim.provider_subscription_id for claim in claims}, ours)
        for row in rows:
            if row.provider_subscription_id:
                self._subscriptions.put(row.provider_subscription_id, row)
        return {claim: _choose(claim, rows, our_subscription_id) for claim in claims}


def _choose(claim: Claim, rows: Sequence[KnownSubscription], our_subscription_id: str) -> KnownSubscription | None:
    """The row under Graph's id, or under ours: the address tells it before the create call has returned."""
    for row in rows:
        is_meant = (
            row.provider_subscription_id == claim.provider_subscription_id or row.subscription_id == our_subscription_id
        )
        if is_meant and _is_genuine(claim, row):
            return row
    return None


def _is_genuine(claim: Claim, known: KnownSubscription) -> bool:
    return any(hmac.compare_digest(claim.client_state_digest, digest) for digest in known.digests)
