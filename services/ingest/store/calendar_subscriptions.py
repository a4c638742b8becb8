"""The subscriptions of followed calendars: inserted and deleted as Processor follows and unfollows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from mailmesh.ingest.v1.inbox_service_pb2 import CalendarDelivery
from mailmesh.ingest.v1.subscription_service_pb2 import (
    DELIVERY_MODE_POLL,
    DELIVERY_MODE_PUSH,
    SUBSCRIPTION_RESOURCE_CALENDAR,
    SUBSCRIPTION_RESOURCE_CALENDAR_LIST,
    SUBSCRIPTION_RESOURCE_MAIL,
    SUBSCRIPTION_STATE_ACTIVE,
    SUBSCRIPTION_STATE_DELETED,
    SUBSCRIPTION_STATE_DELETING,
    SUBSCRIPTION_STATE_PENDING,
)
from services.ingest.store import mailboxes
from services.meshkit import db
from services.meshkit.ids import new_id
from services.providers.names import GOOGLEWS

_PROVIDER = "SELECT provider FROM ingest.tenants WHERE tenant_id = $1"
_INSERT = """
INSERT INTO ingest.subscriptions (subscription_id, tenant_id, provider, state, change_types, watched, delivery_mode,
    reconcile_reason, covered_from, renew_at, resource, calendar_id, provider_calendar_id, is_default_calendar)
SELECT new.subscription_id, $1, $2, $3, '{created,deleted,updated}', new.watched, $4, 1, $5, $5, new.resource,
    new.calendar_id, new.provider_calendar_id, new.is_default
FROM unnest($6::uuid[], $7::text[], $8::smallint[], $9::uuid[], $10::text[], $11::boolean[])
    AS new (subscription_id, watched, resource, calendar_id, provider_calendar_id, is_default)
ON CONFLICT (tenant_id, watched) WHERE state <> 7 DO NOTHING
RETURNING 1
"""
_END_OTHERS = """
UPDATE ingest.subscriptions SET state = $3, renew_at = $4, updated_at = now()
WHERE tenant_id = $1 AND resource <> $2 AND state <> ALL ($5::smallint[]) AND watched <> ALL ($6::text[])
RETURNING 1
"""
# One that is being deleted keeps its place in the unique index: its calendar is followed again, and so is it.
_REVIVE = """
UPDATE ingest.subscriptions SET state = $3, renew_at = $4, updated_at = now(), delivery_mode = $7,
    reconcile_reason = COALESCE(reconcile_reason, 1)
WHERE tenant_id = $1 AND resource <> $2 AND state = $5 AND watched = ANY ($6::text[])
RETURNING 1
"""
_PUSH_AGAIN = """
UPDATE ingest.subscriptions SET delivery_mode = $3, renew_at = $4, reconcile_reason = COALESCE(reconcile_reason, 1)
WHERE tenant_id = $1 AND subscription_id = $2 AND resource <> $5
"""

# As in the function of claims: at Google a calendar is pushed only while it has a channel.
_DELIVERIES = """
SELECT calendar_id, failure_reason, failure_detail, state = $2 AND delivery_mode <> $3 AND expires_at > now()
    AND (provider <> $4 OR EXISTS (
        SELECT FROM ingest.channels WHERE channels.tenant_id = $1
            AND channels.subscription_id = subscriptions.subscription_id AND channels.expires_at > now())) AS is_pushed
FROM ingest.subscriptions
WHERE tenant_id = $1 AND resource = $5 AND calendar_id IS NOT NULL AND state <> ALL ($6::smallint[])
ORDER BY calendar_id
"""


@dataclass(frozen=True, slots=True)
class Followed:
    """A followed calendar.

    Args:
        calendar_id: mailmesh's id.
        provider_calendar_id: The provider's id.
        is_default: Whether it is the account's own default calendar.
    """

    calendar_id: str
    provider_calendar_id: str
    is_default: bool


async def set_followed(pool: db.Pool, tenant_id: str, fence: int, calendars: Sequence[Followed], now: datetime) -> int:
    """Give each followed calendar a subscription, and begin the deletion of the others'. Safe to call again.

    Args:
        pool: Connections to PostgreSQL.
        tenant_id: The tenant.
        fence: The fence of the lease on its mailbox.
        calendars: All of its followed calendars.
        now: The time.

    Returns:
        The number of subscriptions with a step that is due.

    Raises:
        TenantNotFound: There is no such tenant.
        MailboxHeld: The fence is stale.
    """
    async with db.transaction(pool) as connection:
        await mailboxes.lock_leased(connection, tenant_id, fence)
        provider = await connection.fetchval(_PROVIDER, tenant_id)
        wanted = _wanted(str(provider or ""), calendars) if provider else {}
        ending = [SUBSCRIPTION_STATE_DELETING, SUBSCRIPTION_STATE_DELETED]
        mail, watched = SUBSCRIPTION_RESOURCE_MAIL, list(wanted)
        ended = await connection.fetch(_END_OTHERS, tenant_id, mail, SUBSCRIPTION_STATE_DELETING, now, ending, watched)
        revived = await connection.fetch(
            _REVIVE,
            tenant_id,
            mail,
            SUBSCRIPTION_STATE_PENDING,
            now,
            SUBSCRIPTION_STATE_DELETING,
            watched,
            DELIVERY_MODE_PUSH,
        )
        begun = await connection.fetch(
            _INSERT,
            tenant_id,
            provider,
            SUBSCRIPTION_STATE_PENDING,
            DELIVERY_MODE_PUSH,
            now,
            [new_id() for _ in wanted],
            watched,
            [_resource(one) for one in wanted.values()],
            [one.calendar_id if one else None for one in wanted.values()],
            [one.provider_calendar_id if one else "" for one in wanted.values()],
            [one.is_default if one else False for one in wanted.values()],
        )
    return len(ended) + len(revived) + len(begun)


async def deliveries(connection: db.Connection, tenant_id: str) -> list[CalendarDelivery]:
    """Read how the changes of a tenant's followed calendars arrive."""
    rows = await connection.fetch(
        _DELIVERIES,
        tenant_id,
        SUBSCRIPTION_STATE_ACTIVE,
        DELIVERY_MODE_POLL,
        GOOGLEWS,
        SUBSCRIPTION_RESOURCE_CALENDAR,
        [SUBSCRIPTION_STATE_DELETING, SUBSCRIPTION_STATE_DELETED],
    )
    return [_delivery(row) for row in rows]


async def push_again(connection: db.Connection, tenant_id: str, subscription_id: str, now: datetime) -> None:
    """Make a subscription to a calendar due that was polled because pushes did not work. Safe to call again."""
    await connection.execute(
        _PUSH_AGAIN, tenant_id, subscription_id, DELIVERY_MODE_PUSH, now, SUBSCRIPTION_RESOURCE_MAIL
    )


def _wanted(provider: str, calendars: Sequence[Followed]) -> dict[str, Followed | None]:
    """Return the resources to watch; None is the list of calendars, of which Google alone pushes the changes."""
    wanted: dict[str, Followed | None] = {f"calendar:{one.calendar_id}": one for one in calendars}
    return wanted | ({"calendar_list": None} if wanted and provider == GOOGLEWS else {})


def _resource(one: Followed | None) -> int:
    return SUBSCRIPTION_RESOURCE_CALENDAR_LIST if one is None else SUBSCRIPTION_RESOURCE_CALENDAR


def _delivery(row: asyncpg.Record) -> CalendarDelivery:
    if row["is_pushed"]:
        return CalendarDelivery(calendar_id=str(row["calendar_id"]), is_pushed=True)
    return CalendarDelivery(
        calendar_id=str(row["calendar_id"]), reason=row["failure_reason"], detail=row["failure_detail"]
    )
