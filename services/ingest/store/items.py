"""Items of the inbox as they arrive, and the one statement that commits a group of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from services.ingest.store.dedicated_connection import DedicatedConnection
from services.meshkit import db

# A repeat finds its key and inserts nothing. While another process writes the same key, this statement waits for that
# commit, so a repeat too is acknowledged only when the item is on disk. Keys and mailboxes are locked in order, which
# rules out a deadlock.
#
# The mailbox is locked FOR KEY SHARE until the commit. A transaction that declares the mailbox empty takes FOR UPDATE,
# so one of the two waits for the other and no item is overlooked. A claim takes FOR NO KEY UPDATE and is not blocked.
_ACCEPT_ITEMS = """
WITH arrived AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::smallint[], $4::bytea[], $5::timestamptz[], $6::uuid[], $7::text[], $8::uuid[],
        $9::uuid[]
    ) AS arrived (item_id, tenant_id, kind, content, received_at, correlation_id, traceparent, key, other_key)
), fresh AS (
    INSERT INTO ingest.item_keys (key, seen_at)
    SELECT key, now() FROM (
        SELECT key FROM arrived UNION ALL SELECT other_key FROM arrived WHERE other_key IS NOT NULL
    ) AS keys
    ORDER BY key
    ON CONFLICT (key) DO NOTHING
    RETURNING key
), kept AS (
    INSERT INTO ingest.items (tenant_id, item_id, kind, received_at, content, correlation_id, traceparent)
    SELECT tenant_id, item_id, kind, received_at, content, correlation_id, traceparent
    FROM arrived
    WHERE key IN (SELECT key FROM fresh) AND (other_key IS NULL OR other_key IN (SELECT key FROM fresh))
    RETURNING tenant_id
), held AS MATERIALIZED (
    SELECT tenant_id, next_due_at, lease_until FROM ingest.mailboxes
    WHERE tenant_id IN (SELECT tenant_id FROM arrived)
    ORDER BY tenant_id
    FOR KEY SHARE
), woken AS (
    UPDATE ingest.mailboxes AS mailbox SET next_due_at = now()
    FROM held
    WHERE mailbox.tenant_id = held.tenant_id
        AND (held.next_due_at IS NULL OR (held.next_due_at > now() AND held.lease_until IS NULL))
        AND held.tenant_id IN (SELECT tenant_id FROM kept)
    RETURNING mailbox.tenant_id
)
SELECT (SELECT count(*) FROM kept) AS items, ARRAY(SELECT tenant_id::text FROM woken) AS tenant_ids
"""


class Kind(IntEnum):
    """The kind of an item: its field number in `InboxItem.content`."""

    MAIL = 7
    MAILBOX_CHANGED = 8
    MAILBOX_WATCHED = 9
    RECONCILE = 10
    CALENDAR_CHANGED = 11


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item that is not on disk yet.

    Args:
        item_id: UUIDv7, so that the order of ids is the order of arrival.
        tenant_id: The tenant whose mailbox the item is about.
        kind: The kind of the item.
        content: A Graph notification as JSON, or the serialized message of the contract.
        received_at: When Ingest received it.
        key: Digest of the properties that make it equal to another item.
        other_key: A second such digest; a match of either makes the item a repeat.
        correlation_id: Of the call that brought it.
        traceparent: Of the call that brought it; may be empty.
    """

    item_id: str
    tenant_id: str
    kind: Kind
    content: bytes
    received_at: datetime
    key: str
    other_key: str | None = None
    correlation_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The result of committing a group.

    Args:
        new_items: The number of items that were not repeats.
        due_tenant_ids: Tenants that had nothing due before.
    """

    new_items: int
    due_tenant_ids: Sequence[str]


async def accept_items(connection: DedicatedConnection, items: Sequence[NewItem], seconds: float) -> Accepted:
    """Commit items. Safe to call again: a repeat inserts nothing.

    Args:
        connection: The connection of the inbox writer.
        items: No two with the same key.
        seconds: The deadline. After it, the outcome of the commit is unknown.

    Raises:
        StoreUnavailable: The items may not be on disk.
    """
    row = await connection.fetchrow(_ACCEPT_ITEMS, *_columns(items), seconds=seconds)
    return Accepted(row["items"], row["tenant_ids"])


async def accept_in_transaction(connection: db.Connection, items: Sequence[NewItem]) -> None:
    """Insert items in the caller's transaction. Safe to call again: a repeat inserts nothing."""
    await connection.fetchrow(_ACCEPT_ITEMS, *_columns(items))


def _columns(items: Sequence[NewItem]) -> tuple[list[object], ...]:
    return (
        [item.item_id for item in items],
        [item.tenant_id for item in items],
        [item.kind for item in items],
        [item.content for item in items],
        [item.received_at for item in items],
        [item.correlation_id for item in items],
        [item.traceparent for item in items],
        [item.key for item in items],
        [item.other_key for item in items],
    )
