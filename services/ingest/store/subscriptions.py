"""Subscriptions in PostgreSQL: what is asked for, what is read, and what changes about them from outside of a step.

Steps are taken under leases (`subscription_leases`). What changes here while one is under way is not lost to it:
each change makes the row due, and a step that finds so at its end leaves the row due.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mailmesh.ingest.v1.subscription_service_pb2 import SUBSCRIPTION_STATE_DELETED, SUBSCRIPTION_STATE_DELETING
from services.ingest.store.connections import Connection
from services.ingest.store.subscription_rows import COLUMNS, row_of
from services.ingest.subscriptions.next_step import FIRST_STEP, SubscriptionRow
from services.meshkit.ids import new_id

Scope = frozenset[str] | None
"""The tenants that a key may see; None means all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new subscription is to be.

    Attributes:
        tenant_id: Whose.
        provider: "ms365" or "googlews".
        folder_id: The Graph folder; empty for all mail and at Google.
        label_ids: The Gmail labels, sorted; empty for all mail and at Microsoft.
        change_types: Sorted.
        delivery_mode: A value of `DeliveryMode`, never unspecified.
        state: The first state.
        now: When coverage begins.
    """

    tenant_id: str
    provider: str
    folder_id: str
    label_ids: tuple[str, ...]
    change_types: tuple[str, ...]
    delivery_mode: int
    state: int
    now: datetime

    @property
    def watched(self) -> str:
        """What makes two of a tenant's subscriptions the same."""
        if self.folder_id:
            return f"folder:{self.folder_id}"
        return f"labels:{','.join(self.label_ids)}" if self.label_ids else "all"


async def insert(connection: Connection, wanted: Wanted) -> tuple[SubscriptionRow, bool]:
    """Inserts a subscription, or finds the tenant's living one for the same. Safe to call again.

    Returns:
        The row, and whether it is new.
    """
    inserted = await connection.fetchrow(
        f"""
        INSERT INTO ingest.subscriptions (subscription_id, tenant_id, provider, state, folder_id, label_ids,
            change_types, watched, delivery_mode, reconcile_reason, covered_from, renew_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11)
        ON CONFLICT (tenant_id, watched) WHERE state <> 7 DO NOTHING
        RETURNING {COLUMNS}
        """,  # noqa: S608 - the columns are constants
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
        # Whoever inserts takes the first step. It is left to the loops once that one must have died.
        wanted.now + FIRST_STEP,
    )
    if inserted is not None:
        return row_of(inserted), True
    found = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM ingest.subscriptions WHERE tenant_id = $1 AND watched = $2 AND state <> 7",  # noqa: S608
        wanted.tenant_id,
        wanted.watched,
    )
    if found is None:  # deleted between the two statements
        return await insert(connection, wanted)
    return row_of(found), False


async def get(connection: Connection, subscription_id: str, scope: Scope) -> SubscriptionRow | None:
    """Reads one, or None when there is none in the scope."""
    found = await connection.fetchrow(
        f"""
        SELECT {COLUMNS} FROM ingest.subscriptions
        WHERE subscription_id = $1 AND ($2::uuid[] IS NULL OR tenant_id = ANY($2))
        """,  # noqa: S608
        subscription_id,
        _scope(scope),
    )
    return None if found is None else row_of(found)


async def page(
    connection: Connection,
    scope: Scope,
    *,
    tenant_id: str,
    states: Sequence[int],
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[SubscriptionRow]:
    """Reads a page by `created_at`, then id.

    Args:
        connection: Where.
        scope: The tenants that may be seen.
        tenant_id: One tenant, or empty for all.
        states: These states; empty for all but deleted.
        after: Where the page before ended.
        limit: How many at most.
    """
    moment, subscription_id = after or (None, None)
    found = await connection.fetch(
        f"""
        SELECT {COLUMNS} FROM ingest.subscriptions
        WHERE ($1::uuid[] IS NULL OR tenant_id = ANY($1))
          AND ($2::uuid IS NULL OR tenant_id = $2)
          AND CASE WHEN cardinality($3::smallint[]) = 0 THEN state <> 7 ELSE state = ANY($3) END
          AND ($4::timestamptz IS NULL OR (created_at, subscription_id) > ($4, $5::uuid))
        ORDER BY created_at, subscription_id
        LIMIT $6
        """,  # noqa: S608
        _scope(scope),
        tenant_id or None,
        list(states),
        moment,
        subscription_id,
        limit,
    )
    return [row_of(record) for record in found]


async def begin_deletion(connection: Connection, subscription_id: str, scope: Scope, now: datetime) -> bool:
    """Marks one for deletion, whose first step is left to whoever asks for it. Safe to call again.

    Returns:
        Whether there is one in the scope.
    """
    result = await connection.execute(
        """
        UPDATE ingest.subscriptions SET state = CASE WHEN state = $4 THEN state ELSE $5 END, updated_at = now(),
            renew_at = CASE WHEN state = $4 THEN renew_at ELSE $3 END
        WHERE subscription_id = $1 AND ($2::uuid[] IS NULL OR tenant_id = ANY($2))
        """,
        subscription_id,
        _scope(scope),
        now + FIRST_STEP,
        SUBSCRIPTION_STATE_DELETED,
        SUBSCRIPTION_STATE_DELETING,
    )
    return bool(result != "UPDATE 0")


async def forget(connection: Connection, subscription_id: str, now: datetime) -> bool:
    """Deletes one that the provider never had and that nobody works on. Safe to call again.

    Returns:
        False when somebody works on it: what comes of that is not known yet.
    """
    await connection.execute(
        """
        UPDATE ingest.subscriptions SET state = $3, renew_at = NULL, updated_at = now()
        WHERE subscription_id = $1 AND last_renewed_at IS NULL AND (lease_until IS NULL OR lease_until <= $2)
        """,
        subscription_id,
        now,
        SUBSCRIPTION_STATE_DELETED,
    )
    return not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM ingest.subscriptions WHERE subscription_id = $1 AND lease_until > $2)",
        subscription_id,
        now,
    )


async def tenant_changed(connection: Connection, tenant_id: str, reconcile_reason: int | None) -> None:
    """Puts a tenant's subscriptions forward, since its state changed. Safe to call again.

    Args:
        connection: The transaction in which the tenant's state is stored.
        tenant_id: Whose.
        reconcile_reason: Why the mailbox is compared once they work again; None when it need not be.
    """
    await connection.execute(
        """
        UPDATE ingest.subscriptions
        SET renew_at = now(), failures = 0, reconcile_reason = COALESCE(reconcile_reason, $2)
        WHERE tenant_id = $1 AND state <> $3
        """,
        tenant_id,
        reconcile_reason,
        SUBSCRIPTION_STATE_DELETED,
    )


def _scope(scope: Scope) -> list[str] | None:
    return None if scope is None else sorted(scope)
