"""Counts of subscriptions by provider, resource and health."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from mailmesh.ingest.v1.subscription_service_pb2 import (
    DELIVERY_MODE_PUSH,
    SUBSCRIPTION_STATE_ACTIVE,
    SUBSCRIPTION_STATE_DELETED,
    SUBSCRIPTION_STATE_FAILING,
    SUBSCRIPTION_STATE_POLLING,
    SubscriptionResource,
)
from services.ingest.store.subscriptions import Scope
from services.meshkit import db

SOON: Final = timedelta(days=1)
"""A subscription that expires within it has not been renewed as it should."""

_READ = """
SELECT provider, resource, count(*) AS total,
    count(*) FILTER (WHERE is_active) AS active,
    count(*) FILTER (WHERE is_active AND (expires_at <= $4 OR renew_at + interval '5 minutes' < $3)) AS expiring,
    count(*) FILTER (WHERE delivery_mode = $5 AND expires_at <= $3) AS expired,
    count(*) FILTER (WHERE is_active AND silence_noted_at > GREATEST(last_notification_at, created_at)) AS silent,
    count(*) FILTER (WHERE state = $7) AS failing,
    count(*) FILTER (WHERE state = $8) AS polled
FROM (
    SELECT *, state = $6 AND expires_at > $3 AS is_active FROM ingest.subscriptions
    WHERE state <> $9 AND ($1::uuid[] IS NULL OR tenant_id = ANY($1)) AND ($2::uuid IS NULL OR tenant_id = $2)
) AS judged GROUP BY provider, resource ORDER BY provider, resource
"""


@dataclass(frozen=True, slots=True)
class Health:
    """The counts for one kind of resource at one provider; the names are those of the contract."""

    provider: str
    resource: int
    total: int
    active: int
    expiring: int
    expired: int
    silent: int
    failing: int
    polled: int

    @property
    def resource_name(self) -> str:
        """The resource as a word."""
        name = SubscriptionResource.Name(self.resource)  # type: ignore[arg-type]
        return name.removeprefix("SUBSCRIPTION_RESOURCE_").lower()

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return {name: value for name, value in asdict(self).items() if name not in ("provider", "resource")}


async def read(connection: db.Connection, scope: Scope, tenant_id: str, now: datetime) -> list[Health]:
    """Count the subscriptions that are not deleted.

    Args:
        connection: A connection to PostgreSQL.
        scope: The tenants that the caller may see; None means all.
        tenant_id: One tenant, or empty for all.
        now: The time.
    """
    rows = await connection.fetch(
        _READ,
        None if scope is None else sorted(scope),
        tenant_id or None,
        now,
        now + SOON,
        DELIVERY_MODE_PUSH,
        SUBSCRIPTION_STATE_ACTIVE,
        SUBSCRIPTION_STATE_FAILING,
        SUBSCRIPTION_STATE_POLLING,
        SUBSCRIPTION_STATE_DELETED,
    )
    return [Health(**row) for row in rows]
