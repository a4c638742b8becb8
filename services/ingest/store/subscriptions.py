"""Subscriptions in PostgreSQL: insertion, queries, and the changes that happen outside of a step.

Steps run under leases (`subscription_leases`). A change made here during a step is not lost: it makes the row due at
another time, and a step that finds the time moved at its end leaves the row due.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mailmesh.ingest.v1.subscription_service_pb2 import (
    DELIVERY_MODE_PUSH,
    SUBSCRIPTION_RESOURCE_MAIL,
    SUBSCRIPTION_STATE_ACTIVE,
    SUBSCRIPTION_STATE_DELETED,
    SUBSCRIPTION_STATE_DELETING,
    SUBSCRIPTION_STATE_FAILING,
)
from services.ingest.store.subscription_rows import COLUMNS, SubscriptionRow, row_of
from services.meshkit import db
from services.meshkit.ids import new_id

FIRST_STEP: Final = timedelta(seconds=5)
"""The time that a request has for its own first step. After it the loops take over, as the request must have died."""

_INSERT = f"""
INSERT INTO ingest.subscriptions (subscription_id, tenant_id, provider, state, folder_id, label_ids,
    change_types, watched, delivery_mode, reconcile_reason, covered_from, renew_at, includes_resource_data)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11, $12)
ON CONFLICT (tenant_id, watched) WHERE state <> 7 DO NOTHING
RETURNING {COLUMNS}
"""  # noqa: S608 - constants of this package
_FIND_SAME = f"SELECT {COLUMNS} FROM ingest.subscriptions WHERE tenant_id = $1 AND watched = $2 AND state <> 7"  # noqa: S608
_GET = f"""
SELECT {COLUMNS} FROM ingest.subscriptions
WHERE subscription_id = $1 AND ($2::uuid[] IS NULL OR tenant_id = ANY($2))
"""  # noqa: S608 - constants of this package
_PAGE = f"""
SELECT {COLUMNS} FROM ingest.subscriptions
WHERE ($1::uuid[] IS NULL OR tenant_id = ANY($1))
  AND ($2::uuid IS NULL OR tenant_id = $2)
  AND CASE WHEN cardinality($3::smallint[]) = 0 THEN state <> 7 ELSE state = ANY($3) END
  AND ($4::timestamptz IS NULL OR (created_at, subscription_id) > ($4, $5::uuid))
ORDER BY created_at, subscription_id
LIMIT $6
"""  # noqa: S608 - constants of this package
_BEGIN_DELETION = """
UPDATE ingest.subscriptions SET state = CASE WHEN state = $4 THEN state ELSE $5 END, updated_at = now(),
    renew_at = CASE WHEN state = $4 THEN renew_at ELSE $3 END
WHERE subscription_id = $1 AND ($2::uuid[] IS NULL OR tenant_id = ANY($2))
"""
_FORGET = """
UPDATE ingest.subscriptions SET state = $3, renew_at = NULL, updated_at = now()
WHERE subscription_id = $1 AND last_renewed_at IS NULL AND (lease_until IS NULL OR lease_until <= $2)
"""
_IS_LEASED = "SELECT EXISTS (SELECT FROM ingest.subscriptions WHERE subscription_id = $1 AND lease_until > $2)"
_TENANT_CHANGED = """
UPDATE ingest.subscriptions
SET renew_at = now(), failures = 0, reconcile_reason = COALESCE(reconcile_reason, $2)
WHERE tenant_id = $1 AND state <> $3
"""
_PUSHED_TENANTS = """
SELECT DISTINCT tenant_id::text FROM ingest.subscriptions
WHERE delivery_mode = $1 AND state = ANY($2::smallint[]) AND resource = $3 ORDER BY 1
"""

Scope = frozenset[str] | None
"""The tenants that a key may see; None means all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A requested subscription.

    Attributes:
        tenant_id: The tenant.
        provider: "ms365" or "googlews".
        folder_id: The Graph folder; empty for all mail and at Google.
        label_ids: The Gmail labels, sorted; empty for all mail and at Microsoft.
        change_types: Sorted.
        delivery_mode: A value of `DeliveryMode`, never unspecified.
        state: The initial state.
        now: When coverage begins.
        includes_resource_data: Whether notifications shall contain resource data.
    """

    tenant_id: str
    provider: str
    folder_id: str
    label_ids: tuple[str, ...]
    change_types: tuple[str, ...]
    delivery_mode: int
    state: int
    now: datetime
    includes_resource_data: bool = False

    @property
    def watched(self) -> str:
        """The property by which two subscriptions of a tenant are the same."""
        if self.folder_id:
            return f"folder:{self.folder_id}"
        return f"labels:{','.join(self.label_ids)}" if self.label_ids else "all"


async def insert(connection: db.Connection, wanted: Wanted) -> tuple[SubscriptionRow, bool]:
    """Insert a subscription, or find the tenant's living one for the same folder or labels. Safe to call again.

    Returns:
        The row, and whether it is new.
    """
    inserted = await connection.fetchrow(
        _INSERT,
        new_id(),
        wanted.tenant_id,
        wanted.provider,
        wanted.state,
        wanted.folder_id,
        list(wanted.label_ids),
        list(wanted.change_types),
        wanted.watched,
        wanted.delivery_mode,
        wanted.now,
        # The request that inserts the row takes the first step itself.
        wanted.now + FIRST_STEP,
        wanted.includes_resource_data,
    )
    if inserted is not None:
        return row_of(inserted), True
    found = await connection.fetchrow(_FIND_SAME, wanted.tenant_id, wanted.watched)
    if found is None:  # deleted between the two statements
        return await insert(connection, wanted)
    return row_of(found), False


async def get(connection: db.Connection, subscription_id: str, scope: Scope) -> SubscriptionRow | None:
    """Return a subscription, or None when there is none in the scope."""
    found = await connection.fetchrow(_GET, subscription_id, _scope(scope))
    return None if found is None else row_of(found)


async def page(
    connection: db.Connection,
    scope: Scope,
    *,
    tenant_id: str,
    states: Sequence[int],
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[SubscriptionRow]:
    """Return a page of subscriptions by `created_at`, then id.

    Args:
        connection: A connection to PostgreSQL.
        scope: The tenants that the caller may see.
        tenant_id: One tenant, or empty for all.
        states: These states; empty for all but deleted.
        after: The end of the previous page.
        limit: The most to return.
    """
    moment, subscription_id = after or (None, None)
    found = await connection.fetch(
        _PAGE, _scope(scope), tenant_id or None, list(states), moment, subscription_id, limit
    )
    return [row_of(record) for record in found]


async def pushed_tenants(connection: db.Connection) -> list[str]:
    """Return the tenants whose mail reaches us by pushes."""
    states = [SUBSCRIPTION_STATE_ACTIVE, SUBSCRIPTION_STATE_FAILING]
    rows = await connection.fetch(_PUSHED_TENANTS, DELIVERY_MODE_PUSH, states, SUBSCRIPTION_RESOURCE_MAIL)
    return [row["tenant_id"] for row in rows]


async def begin_deletion(connection: db.Connection, subscription_id: str, scope: Scope, now: datetime) -> bool:
    """Mark a subscription for deletion; the caller takes the first step. Safe to call again.

    Returns:
        Whether there is one in the scope.
    """
    result = await connection.execute(
        _BEGIN_DELETION,
        subscription_id,
        _scope(scope),
        now + FIRST_STEP,
        SUBSCRIPTION_STATE_DELETED,
        SUBSCRIPTION_STATE_DELETING,
    )
    return bool(result != "UPDATE 0")


async def forget(connection: db.Connection, subscription_id: str, now: datetime) -> bool:
    """Delete a subscription that the provider never had and that is not leased. Safe to call again.

    Returns:
        False when it is leased: the result of that step is not known yet.
    """
    await connection.execute(_FORGET, subscription_id, now, SUBSCRIPTION_STATE_DELETED)
    return not await connection.fetchval(_IS_LEASED, subscription_id, now)


async def tenant_changed(connection: db.Connection, tenant_id: str, reconcile_reason: int | None) -> None:
    """Make a tenant's subscriptions due, because its state changed. Safe to call again.

    Args:
        connection: The transaction in which the tenant's state is stored.
        tenant_id: The tenant.
        reconcile_reason: Why the mailbox is reconciled once they work again; None when no reconciliation is needed.
    """
    await connection.execute(_TENANT_CHANGED, tenant_id, reconcile_reason, SUBSCRIPTION_STATE_DELETED)


def _scope(scope: Scope) -> list[str] | None:
    return None if scope is None else sorted(scope)
