"""The subscriptions and addresses of tenants that notifications are matched against."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mailmesh.ingest.v1.subscription_service_pb2 import SubscriptionResource, SubscriptionState
from mailmesh.vault.v1.tenant_pb2 import TenantStatus
from services.meshkit import db

# Webhooks of tenants in these states are kept; those of a disabled or disconnected tenant are acknowledged and dropped.
KEPT_STATUSES = frozenset({
    TenantStatus.TENANT_STATUS_ACTIVE,
    TenantStatus.TENANT_STATUS_TOKEN_EXPIRED,
    TenantStatus.TENANT_STATUS_NEEDS_REAUTHORIZATION,
    TenantStatus.TENANT_STATUS_ERROR,
})  # fmt: skip
_LIVING_STATES = (
    SubscriptionState.SUBSCRIPTION_STATE_PENDING,
    SubscriptionState.SUBSCRIPTION_STATE_ACTIVE,
    SubscriptionState.SUBSCRIPTION_STATE_FAILING,
    SubscriptionState.SUBSCRIPTION_STATE_SUSPENDED,
)

_FIND_SUBSCRIPTIONS = """
SELECT s.subscription_id::text, s.tenant_id::text, s.provider_subscription_id, s.client_state_digest,
    s.previous_client_state_digest, s.state, t.status, s.calendar_id::text,
    s.certificate_id IS NOT NULL AS has_resource_data, t.external_tenant_id
FROM ingest.subscriptions s LEFT JOIN ingest.tenants t USING (tenant_id)
WHERE s.provider = 'ms365' AND s.provider_subscription_id = ANY($1::text[])
UNION ALL
SELECT s.subscription_id::text, s.tenant_id::text, s.provider_subscription_id, s.client_state_digest,
    s.previous_client_state_digest, s.state, t.status, s.calendar_id::text,
    s.certificate_id IS NOT NULL AS has_resource_data, t.external_tenant_id
FROM ingest.subscriptions s LEFT JOIN ingest.tenants t USING (tenant_id)
WHERE s.provider = 'ms365' AND s.subscription_id = ANY($2::uuid[])
"""

_FIND_CHANNEL = """
SELECT c.channel_id::text, s.subscription_id::text, c.tenant_id::text, c.token_digest, c.resource_id,
    s.calendar_id::text, s.state, t.status
FROM ingest.channels c JOIN ingest.subscriptions s USING (tenant_id, subscription_id)
    LEFT JOIN ingest.tenants t USING (tenant_id)
WHERE c.channel_id = $1
"""
_FIND_ADDRESS = """
SELECT t.tenant_id::text, t.status,
    ARRAY(
        SELECT s.subscription_id::text FROM ingest.subscriptions s
        WHERE s.tenant_id = t.tenant_id AND s.state = ANY($2::smallint[]) AND s.resource = $3
    ) AS subscription_ids
FROM ingest.tenants t
WHERE t.provider = 'googlews' AND t.address = $1
"""


@dataclass(frozen=True, slots=True)
class KnownSubscription:
    """A Graph subscription, as far as matching needs it.

    Args:
        subscription_id: Our id.
        tenant_id: The owner.
        provider_subscription_id: Graph's id; empty while the subscription is being created.
        digests: SHA-256 of the `clientState`, and of the previous one while a replaced subscription still sends.
        is_wanted: Whether its notifications are kept, by its own state and the tenant's state.
        calendar_id: mailmesh's id of the calendar that it is about; empty when it is about mail.
        has_resource_data: Whether the provider was asked for notifications with resource data.
        external_tenant_id: The owner's directory; empty when the owner is unknown.
    """

    subscription_id: str
    tenant_id: str
    provider_subscription_id: str
    digests: tuple[bytes, ...]
    is_wanted: bool
    calendar_id: str = ""
    has_resource_data: bool = False
    external_tenant_id: str = ""


@dataclass(frozen=True, slots=True)
class KnownChannel:
    """A Google channel, as far as matching needs it.

    Args:
        channel_id: Our id of the channel.
        subscription_id: Our id of its subscription.
        tenant_id: The owner.
        token_digest: SHA-256 of the channel's secret.
        resource_id: Google's id of the watched resource; empty until the call that opened the channel is answered.
        calendar_id: mailmesh's id of the calendar; empty for the list of calendars.
        is_wanted: Whether its pushes are kept, by the subscription's state and the tenant's state.
    """

    channel_id: str
    subscription_id: str
    tenant_id: str
    token_digest: bytes
    resource_id: str
    calendar_id: str
    is_wanted: bool


@dataclass(frozen=True, slots=True)
class KnownMailbox:
    """A Gmail mailbox, as far as matching needs it.

    Args:
        tenant_id: The owner.
        subscription_ids: Our ids of its subscriptions.
        is_wanted: Whether its pushes are kept: it has a subscription, and the tenant's state allows it.
    """

    tenant_id: str
    subscription_ids: tuple[str, ...]
    is_wanted: bool


async def find_subscriptions(
    connection: db.Connection, provider_ids: Collection[str], subscription_ids: Collection[str]
) -> Sequence[KnownSubscription]:
    """Find Graph subscriptions by either id.

    Args:
        connection: A connection to PostgreSQL.
        provider_ids: Graph's ids.
        subscription_ids: Our ids, UUIDs.
    """
    rows = await connection.fetch(_FIND_SUBSCRIPTIONS, list(provider_ids), list(subscription_ids))
    return [
        KnownSubscription(
            subscription_id=row["subscription_id"],
            tenant_id=row["tenant_id"],
            provider_subscription_id=row["provider_subscription_id"] or "",
            digests=tuple(filter(None, (row["client_state_digest"], row["previous_client_state_digest"]))),
            is_wanted=_is_wanted(row["state"], row["status"]),
            calendar_id=row["calendar_id"] or "",
            has_resource_data=row["has_resource_data"],
            external_tenant_id=row["external_tenant_id"] or "",
        )
        for row in rows
    ]


async def find_channel(connection: db.Connection, channel_id: str) -> KnownChannel | None:
    """Find a Google channel by its id, a UUID of ours."""
    row = await connection.fetchrow(_FIND_CHANNEL, channel_id)
    if row is None:
        return None
    values = dict(row)
    is_wanted = _is_wanted(values.pop("state"), values.pop("status"))
    return KnownChannel(**values | {"calendar_id": values["calendar_id"] or ""}, is_wanted=is_wanted)


async def find_mailboxes(connection: db.Connection, address: str) -> Sequence[KnownMailbox]:
    """Find Gmail mailboxes by their current address. An address that moved to another person can match two.

    Args:
        connection: A connection to PostgreSQL.
        address: In lower case.
    """
    rows = await connection.fetch(
        _FIND_ADDRESS, address, list(_LIVING_STATES), SubscriptionResource.SUBSCRIPTION_RESOURCE_MAIL
    )
    return [
        KnownMailbox(
            tenant_id=row["tenant_id"],
            subscription_ids=tuple(row["subscription_ids"]),
            is_wanted=bool(row["subscription_ids"]) and row["status"] in KEPT_STATUSES,
        )
        for row in rows
    ]


def _is_wanted(state: int, status: int | None) -> bool:
    # A subscription can be stored some milliseconds before the change of its tenant is followed.
    return state in _LIVING_STATES and (status is None or status in KEPT_STATUSES)
