"""Graph subscriptions on calendars.

`users/{id}/events` covers the default calendar alone. The path of another calendar's events is not documented as a
resource of subscriptions; where an account refuses it, the calendar is polled.
"""

from urllib.parse import quote

from services.ingest.store.subscription_rows import ProviderSubscription, SubscriptionRow
from services.ingest.subscriptions import microsoft
from services.ingest.subscriptions.client_states import new_client_state
from services.ingest.subscriptions.failures import GoneError
from services.ingest.subscriptions.provider_calls import TokenBorrower
from services.meshkit import db
from services.meshkit.clock import Clock


class GraphCalendarSubscriptions:
    """Subscriptions to calendars at Microsoft.

    Args:
        pool: Connections to PostgreSQL.
        graph: Subscriptions at Microsoft, by calls with tokens for calendars.
        tokens: The source of tenants' user ids.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, graph: microsoft.GraphSubscriptions, tokens: TokenBorrower, clock: Clock) -> None:
        self._pool = pool
        self._graph = graph
        self._tokens = tokens
        self._clock = clock

    async def create(self, row: SubscriptionRow) -> ProviderSubscription:
        """Create it. See `microsoft.GraphSubscriptions.create`."""
        client_state = await new_client_state(self._pool, row)
        return await self._graph.create(
            row.tenant_id,
            row.subscription_id,
            await self._resource(row),
            row.change_types,
            client_state,
            self._clock.now(),
        )

    async def renew(self, row: SubscriptionRow) -> ProviderSubscription:
        """Renew it. See `microsoft.GraphSubscriptions.renew`.

        One to another resource is replaced: an Ingest of a release without subscriptions to calendars takes the row
        for one to all mail, and creates that.
        """
        if row.provider_subscription_id is None:
            raise GoneError
        resource = await self._resource(row)
        return await self._graph.renew(row.tenant_id, row.provider_subscription_id, self._clock.now(), resource)

    async def delete(self, row: SubscriptionRow) -> None:
        """Delete it, or those that calls with lost answers may have created. Safe to call again."""
        if row.provider_subscription_id is not None:
            await self._graph.delete(row.tenant_id, row.provider_subscription_id)
        else:
            await self._graph.delete_all_of(row.tenant_id, row.subscription_id)

    async def _resource(self, row: SubscriptionRow) -> str:
        _, tenant = await self._tokens.borrow(row.tenant_id, row.ability)
        return resource_of(tenant.user_id, row.provider_calendar_id, is_default=row.is_default_calendar)


def resource_of(user_id: str, calendar_id: str, *, is_default: bool) -> str:
    """Return the resource of a calendar's events; tokens of apps have no "me".

    Args:
        user_id: The user's object id.
        calendar_id: Graph's id of the calendar.
        is_default: Whether it is the user's default calendar.
    """
    return (
        f"users/{user_id}/events" if is_default else f"users/{user_id}/calendars/{quote(calendar_id, safe='')}/events"
    )
