"""Queries of the monitors of subscriptions: silence, the public address, pending releases, and counts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mailmesh.ingest.v1.subscription_service_pb2 import (
    DELIVERY_MODE_PUSH,
    SUBSCRIPTION_STATE_ACTIVE,
    SUBSCRIPTION_STATE_DELETED,
    SUBSCRIPTION_STATE_FAILING,
    SUBSCRIPTION_STATE_POLLING,
)
from services.ingest.store import cursors
from services.meshkit import db

_ADDRESS_CURSOR: Final = "public_address"
_AT_PROVIDER: Final = [SUBSCRIPTION_STATE_ACTIVE, SUBSCRIPTION_STATE_FAILING]

_NOTE_SILENT = """
UPDATE ingest.subscriptions SET silence_noted_at = $1 WHERE subscription_id IN (
    SELECT subscription_id FROM ingest.subscriptions
    WHERE state = ANY ($3::smallint[]) AND delivery_mode = $4
      AND GREATEST(last_notification_at, last_renewed_at, silence_noted_at, created_at)
        <= CASE WHEN resource = 1 THEN $2::timestamptz ELSE $6::timestamptz END
    ORDER BY subscription_id LIMIT $5 FOR UPDATE SKIP LOCKED
) RETURNING subscription_id::text, tenant_id::text, resource, COALESCE(calendar_id::text, '') AS calendar_id
"""
# Gmail pushes to a topic, which does not depend on the address.
_RENEW_ALL = """
UPDATE ingest.subscriptions SET renew_at = $1
WHERE provider_subscription_id IS NOT NULL AND state = ANY ($2::smallint[]) AND (provider = 'ms365' OR resource <> 1)
RETURNING 1
"""
_PUSH_AT_LAST = """
UPDATE ingest.subscriptions SET renew_at = $1, delivery_mode = $2
WHERE state = $3 AND failure_reason = 'PUBLIC_URL_UNSET' RETURNING 1
"""
_UNRELEASED = """
SELECT count(*) FROM ingest.subscriptions WHERE tenant_id = $1 AND state <> $2 AND renew_at IS NOT NULL
"""
_COUNTS = """
SELECT provider, state, count(*) AS subscriptions, min(expires_at) AS soonest_expiry
FROM ingest.subscriptions WHERE state <> $1 GROUP BY provider, state
"""


@dataclass(frozen=True, slots=True)
class Count:
    """The number of subscriptions in a state at a provider.

    Attributes:
        provider: "ms365" or "googlews".
        state: A value of `SubscriptionState`.
        subscriptions: Their number.
        soonest_expiry: The earliest expiry; None when none of them expires.
    """

    provider: str
    state: int
    subscriptions: int
    soonest_expiry: datetime | None


@dataclass(frozen=True, slots=True)
class Silent:
    """A subscription that was silent for too long.

    Attributes:
        subscription_id: The subscription.
        tenant_id: Its tenant.
        resource: A value of `SubscriptionResource`.
        calendar_id: Its calendar; empty for other resources.
    """

    subscription_id: str
    tenant_id: str
    resource: int
    calendar_id: str


async def note_silent(
    connection: db.Connection, now: datetime, quiet: timedelta, quiet_calendar: timedelta, limit: int
) -> list[Silent]:
    """Note the pushed subscriptions, failing ones included, that were silent for too long.

    Args:
        connection: In a transaction.
        now: The time.
        quiet: The longest silence of a subscription to mail.
        quiet_calendar: The same for other resources.
        limit: The most subscriptions.
    """
    found = await connection.fetch(
        _NOTE_SILENT, now, now - quiet, _AT_PROVIDER, DELIVERY_MODE_PUSH, limit, now - quiet_calendar
    )
    return [Silent(**record) for record in found]


async def note_address(connection: db.Connection, address: str, now: datetime) -> int:
    """Store the edge's public address. If it changed, make the subscriptions due that push to the old one.

    Calendars that are polled because a process had no address become due after any start with one, also with the same
    one as before.

    Args:
        connection: In a transaction.
        address: The public address.
        now: The time.

    Returns:
        The number of subscriptions made due.
    """
    before = await cursors.lock(connection, _ADDRESS_CURSOR)
    begun = await connection.fetch(_PUSH_AT_LAST, now, DELIVERY_MODE_PUSH, SUBSCRIPTION_STATE_POLLING)
    if before == address:
        return len(begun)
    await cursors.move(connection, _ADDRESS_CURSOR, address)
    moved = [] if before is None else await connection.fetch(_RENEW_ALL, now, _AT_PROVIDER)
    return len(begun) + len(moved)


async def count_unreleased(connection: db.Connection, tenant_id: str) -> int:
    """Count a tenant's subscriptions with a step still due: the change of the tenant's state made all of them due."""
    count: int = await connection.fetchval(_UNRELEASED, tenant_id, SUBSCRIPTION_STATE_DELETED)
    return count


async def counts(connection: db.Connection) -> list[Count]:
    """Count all subscriptions that are not deleted."""
    return [Count(**record) for record in await connection.fetch(_COUNTS, SUBSCRIPTION_STATE_DELETED)]
