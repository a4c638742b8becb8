"""The calls at the providers in the steps of subscriptions to calendars."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Final

import structlog

from services.ingest.errors import (
    CalendarNotPushed,
    MailboxUnavailable,
    PermissionMissing,
    ProviderUnavailable,
    SubscriptionRefused,
)
from services.ingest.store import channels as store
from services.ingest.store.channels import Channel, NewChannel
from services.ingest.store.subscription_rows import ProviderSubscription, SubscriptionRow
from services.ingest.subscriptions.channels import LIFETIME, GoogleChannels
from services.ingest.subscriptions.graph_calendars import GraphCalendarSubscriptions
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.providers.names import COMPANIES, GOOGLEWS, MS365

logger = structlog.get_logger(__name__)

_NEVER_PUSHED: Final = {GOOGLEWS: "pushNotSupportedForRequestedResource", MS365: "InvalidRequest"}
"""The code by which each provider refuses a calendar that it never pushes; any other refusal may pass."""


def may_be_pushed_later(row: SubscriptionRow, cause: CalendarNotPushed) -> bool:
    """Return whether the refusal of a calendar may pass: of missing rights, a used-up quota, or another subscription.

    Args:
        row: The subscription.
        cause: The refusal.
    """
    return cause.metadata.get("detail") != _NEVER_PUSHED.get(row.provider)


class CalendarSteps:
    """Creates, renews and ends subscriptions to calendars, or to the list of calendars, at the providers.

    Args:
        pool: Connections to PostgreSQL.
        graph: Subscriptions at Microsoft.
        channels: Channels at Google.
        clock: The time.
    """

    def __init__(
        self, pool: db.Pool, graph: GraphCalendarSubscriptions, channels: GoogleChannels, clock: Clock
    ) -> None:
        self._pool = pool
        self._graph = graph
        self._channels = channels
        self._clock = clock

    async def create(self, row: SubscriptionRow) -> ProviderSubscription:
        """Create it; at Google a further channel is opened.

        Raises:
            CalendarNotPushed: The provider does not push this calendar's changes.
            PublicUrlUnset: No push can arrive at this installation.
            MeshError: The error of the provider's answer.
        """
        self._channels.check_address()
        try:
            return await (self._open(row) if row.provider == GOOGLEWS else self._graph.create(row))
        except MailboxUnavailable:
            raise
        except SubscriptionRefused as exc:
            code = exc.metadata.get("detail", "")
            if row.provider == GOOGLEWS and code != _NEVER_PUSHED[GOOGLEWS] and not isinstance(exc, PermissionMissing):
                raise
            company = COMPANIES.get(row.provider, row.provider)
            raise CalendarNotPushed(
                f"{company} does not push this calendar's changes ({code}): it is polled.",
                subject=row.calendar_id,
                metadata={"provider": row.provider, "detail": code},
            ) from exc

    async def renew(self, row: SubscriptionRow) -> ProviderSubscription:
        """Renew it; a Google channel is replaced by a further one. Raises as `create`, and `GoneError`."""
        return await (self.create(row) if row.provider == GOOGLEWS else self._graph.renew(row))

    async def end(self, row: SubscriptionRow) -> None:
        """Delete it at the provider, at Google all of its channels. Safe to call again.

        Raises:
            MeshError: The error of the provider's answer.
        """
        if row.provider != GOOGLEWS:
            await self._graph.delete(row)
            return
        async with db.connection(self._pool) as connection:
            every = await store.of_subscription(connection, row.tenant_id, row.subscription_id)
        await self._stop(row, every)
        async with db.connection(self._pool) as connection:
            for one in await store.of_subscription(connection, row.tenant_id, row.subscription_id):
                # Google has named no resource to stop it by: it ends by itself, and its pushes are unknown until then.
                await store.forget(connection, row.tenant_id, one.channel_id)

    async def end_replaced(self, row: SubscriptionRow, current: str) -> None:
        """Stop the channels that another one has replaced. A failure is logged: they end by themselves.

        The lease is over, so that a later step may have opened a further channel, which stays.

        Args:
            row: The subscription.
            current: The id of the channel that stays.
        """
        if row.provider != GOOGLEWS:
            return
        try:
            async with db.connection(self._pool) as connection:
                older = await store.replaced(connection, row.tenant_id, row.subscription_id, current)
            await self._stop(row, older)
        except MeshError as exc:
            logger.warning("replaced channel not stopped", subscription_id=row.subscription_id, reason=exc.reason)

    async def _open(self, row: SubscriptionRow) -> ProviderSubscription:
        token, channel_id, now = Secret(secrets.token_urlsafe(48)), new_id(), self._clock.now()
        digest = hashlib.sha256(token.reveal().encode()).digest()
        async with db.transaction(self._pool) as connection:
            new = NewChannel(channel_id, digest, now + LIFETIME)
            is_leased = await store.insert(connection, row.tenant_id, row.subscription_id, row.lease_fence, new)
        if not is_leased:
            raise ProviderUnavailable("Another process holds the lease on the subscription.")
        try:
            made = await self._channels.open(row.tenant_id, row.provider_calendar_id, channel_id, token, now)
        except SubscriptionRefused:
            async with db.connection(self._pool) as connection:
                await store.forget(connection, row.tenant_id, channel_id)
            raise
        async with db.connection(self._pool) as connection:
            await store.opened(connection, row.tenant_id, channel_id, made.resource_id, made.expires_at)
        return ProviderSubscription(channel_id, made.expires_at)

    async def _stop(self, row: SubscriptionRow, channels: Sequence[Channel]) -> None:
        now = self._clock.now()
        for one in channels:
            if one.expires_at > now:
                if not one.resource_id:
                    continue
                await self._channels.stop(row.tenant_id, one.channel_id, one.resource_id)
            async with db.connection(self._pool) as connection:
                await store.forget(connection, row.tenant_id, one.channel_id)
