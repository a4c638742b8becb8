"""Dead letters: listed, counted, and put back into the inbox. Every query takes the scope of the caller."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from mailmesh.ingest.v1.dead_letter_service_pb2 import DeadLetter, DeadLetterCount
from mailmesh.vault.v1.tenant_pb2 import TenantStatus
from services.ingest.errors import DeadLetterNotFound
from services.ingest.store.item_messages import attempts_of, item_of
from services.meshkit import db
from services.meshkit.ids import new_id

_CHUNK: Final = 500
_NEVER_RETRIED: Final = (TenantStatus.TENANT_STATUS_DISCONNECTING, TenantStatus.TENANT_STATUS_DISCONNECTED)

_CHOSEN = """
    ($1::uuid[] IS NULL OR letter.tenant_id = ANY($1::uuid[]))
    AND ($2::uuid IS NULL OR letter.tenant_id = $2::uuid)
    AND ($3::text = '' OR letter.reason = $3)
    AND ($4::timestamptz IS NULL OR letter.buried_at >= $4)
    AND ($5::timestamptz IS NULL OR letter.buried_at < $5)
"""
_LIST = f"""
SELECT letter.*, tenant.provider, tenant.external_tenant_id, tenant.user_id
FROM ingest.dead_letters AS letter JOIN ingest.tenants AS tenant USING (tenant_id)
WHERE {_CHOSEN} AND ($6 OR letter.retried_at IS NULL) AND ($7::uuid IS NULL OR letter.dead_letter_id < $7::uuid)
ORDER BY letter.dead_letter_id DESC
LIMIT $8
"""  # noqa: S608 - constants of this module
_COUNT = f"SELECT count(*) FROM ingest.dead_letters AS letter WHERE {_CHOSEN} AND letter.retried_at IS NULL"  # noqa: S608
_COUNT_REASONS = f"""
SELECT letter.reason, count(*) AS dead_letters, count(DISTINCT letter.tenant_id) AS tenants,
    min(letter.buried_at) AS oldest_buried_at, max(letter.buried_at) AS newest_buried_at,
    (sum(count(*)) OVER ())::bigint AS total
FROM ingest.dead_letters AS letter
WHERE {_CHOSEN} AND letter.retried_at IS NULL
GROUP BY letter.reason
ORDER BY dead_letters DESC, letter.reason
LIMIT $6
"""  # noqa: S608 - constants of this module
_CHOOSE = f"""
SELECT letter.dead_letter_id::text FROM ingest.dead_letters AS letter JOIN ingest.tenants AS tenant USING (tenant_id)
WHERE {_CHOSEN} AND letter.retried_at IS NULL AND tenant.status <> ALL($6::smallint[])
ORDER BY letter.dead_letter_id LIMIT $7
FOR UPDATE OF letter SKIP LOCKED
"""  # noqa: S608 - constants of this module
_FIND = """
SELECT dead_letter_id::text FROM ingest.dead_letters
WHERE ($1::uuid[] IS NULL OR tenant_id = ANY($1::uuid[])) AND dead_letter_id = ANY($2::uuid[])
"""
_CHOOSE_NAMED = """
SELECT letter.dead_letter_id::text FROM ingest.dead_letters AS letter JOIN ingest.tenants AS tenant USING (tenant_id)
WHERE letter.dead_letter_id = ANY($1::uuid[]) AND letter.retried_at IS NULL AND tenant.status <> ALL($2::smallint[])
ORDER BY letter.dead_letter_id
FOR UPDATE OF letter
"""
# The item gets a new id: the old one belongs to the dead letter, and a retry by hand is never taken for a repeat.
_PUT_BACK = """
WITH chosen AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS chosen (dead_letter_id, item_id)
), retried AS (
    UPDATE ingest.dead_letters AS letter SET retried_at = now()
    FROM chosen WHERE letter.dead_letter_id = chosen.dead_letter_id
    RETURNING chosen.item_id, letter.tenant_id, letter.kind, letter.received_at, letter.content, letter.correlation_id,
        letter.traceparent
), back AS (
    INSERT INTO ingest.items (tenant_id, item_id, kind, received_at, content, correlation_id, traceparent)
    SELECT tenant_id, item_id, kind, received_at, content, correlation_id, traceparent FROM retried
    RETURNING tenant_id
), held AS MATERIALIZED (
    SELECT tenant_id, next_due_at, lease_until FROM ingest.mailboxes
    WHERE tenant_id IN (SELECT tenant_id FROM ingest.dead_letters WHERE dead_letter_id = ANY($1::uuid[]))
    ORDER BY tenant_id FOR KEY SHARE
), woken AS (
    UPDATE ingest.mailboxes AS mailbox SET next_due_at = now()
    FROM held
    WHERE mailbox.tenant_id = held.tenant_id AND held.tenant_id IN (SELECT tenant_id FROM back)
        AND (held.next_due_at IS NULL OR (held.next_due_at > now() AND held.lease_until IS NULL))
    RETURNING mailbox.tenant_id
)
SELECT (SELECT count(*) FROM back) AS items, ARRAY(SELECT tenant_id::text FROM woken) AS tenant_ids
"""

Scope = frozenset[str] | None
"""The tenants that the caller may see; None means all."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A selection of dead letters.

    Args:
        tenant_id: One tenant; empty means all in scope.
        reason: One reason; empty means all.
        buried_from: Buried at this time or later; None means from the beginning.
        buried_before: Buried before this time; None means up to now.
    """

    tenant_id: str = ""
    reason: str = ""
    buried_from: datetime | None = None
    buried_before: datetime | None = None

    def values(self, scope: Scope) -> tuple[object, ...]:
        """Return the first five parameters of the statements."""
        scoped = None if scope is None else list(scope)
        return scoped, self.tenant_id or None, self.reason, self.buried_from, self.buried_before


@dataclass(frozen=True, slots=True)
class Retried:
    """The result of a retry.

    Args:
        count: Dead letters put back.
        due_tenant_ids: Tenants that had nothing due before.
    """

    count: int
    due_tenant_ids: Sequence[str]


async def page(
    connection: db.Connection, scope: Scope, choice: Choice, *, includes_retried: bool, before_id: str, limit: int
) -> list[DeadLetter]:
    """Return a page of dead letters, newest first.

    Args:
        connection: A connection to PostgreSQL.
        scope: The tenants that the caller may see.
        choice: The selection.
        includes_retried: Whether dead letters that were put back are included.
        before_id: Only those older than this one; empty starts at the newest.
        limit: The most to return.
    """
    rows = await connection.fetch(_LIST, *choice.values(scope), includes_retried, before_id or None, limit)
    return [_dead_letter(row) for row in rows]


async def count(connection: db.Connection, scope: Scope, choice: Choice) -> int:
    """Count the selected dead letters that were not put back."""
    return int(await connection.fetchval(_COUNT, *choice.values(scope)))


async def count_reasons(
    connection: db.Connection, scope: Scope, choice: Choice, *, limit: int
) -> tuple[list[DeadLetterCount], int]:
    """Count the selected dead letters that were not put back, by reason.

    Args:
        connection: A connection to PostgreSQL.
        scope: The tenants that the caller may see.
        choice: The selection.
        limit: The most reasons to return.

    Returns:
        The most frequent reasons with their counts, and the number of dead letters of all reasons.
    """
    rows = await connection.fetch(_COUNT_REASONS, *choice.values(scope), limit)
    return [_count_of(row) for row in rows], rows[0]["total"] if rows else 0


async def check(connection: db.Connection, scope: Scope, dead_letter_ids: Collection[str]) -> None:
    """Check that the caller may see all of these dead letters.

    Raises:
        DeadLetterNotFound: One does not exist, or is not in scope.
    """
    rows = await connection.fetch(_FIND, None if scope is None else list(scope), list(dead_letter_ids))
    missing = set(dead_letter_ids).difference(row["dead_letter_id"] for row in rows)
    if missing:
        raise DeadLetterNotFound.of(min(missing))


async def retry_named(pool: db.Pool, dead_letter_ids: Collection[str]) -> Retried:
    """Put dead letters back that the caller may see. Those already put back, or of a disconnected tenant, are skipped.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    async with db.transaction(pool) as connection:
        rows = await connection.fetch(_CHOOSE_NAMED, list(dead_letter_ids), list(_NEVER_RETRIED))
        return await _put_back(connection, [row["dead_letter_id"] for row in rows])


async def retry_chunk(pool: db.Pool, scope: Scope, choice: Choice) -> Retried:
    """Put back up to 500 dead letters, oldest first. A count of 0 means that none is left.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow.
    """
    async with db.transaction(pool) as connection:
        rows = await connection.fetch(_CHOOSE, *choice.values(scope), list(_NEVER_RETRIED), _CHUNK)
        return await _put_back(connection, [row["dead_letter_id"] for row in rows])


async def _put_back(connection: db.Connection, dead_letter_ids: Sequence[str]) -> Retried:
    if not dead_letter_ids:
        return Retried(0, ())
    row = await connection.fetchrow(_PUT_BACK, dead_letter_ids, [new_id() for _ in dead_letter_ids])
    assert row is not None  # noqa: S101 - the statement returns exactly one row
    return Retried(row["items"], row["tenant_ids"])


def _count_of(row: asyncpg.Record) -> DeadLetterCount:
    counted = DeadLetterCount(reason=row["reason"], dead_letters=row["dead_letters"], tenants=row["tenants"])
    counted.oldest_buried_at.FromDatetime(row["oldest_buried_at"])
    counted.newest_buried_at.FromDatetime(row["newest_buried_at"])
    return counted


def _dead_letter(row: asyncpg.Record) -> DeadLetter:
    letter = DeadLetter(
        dead_letter_id=str(row["dead_letter_id"]),
        item=item_of(row, row["attempts"]),
        reason=row["reason"],
        detail=row["detail"],
        attempts=attempts_of(row["history"]),
    )
    letter.buried_at.FromDatetime(row["buried_at"])
    if row["retried_at"] is not None:
        letter.retried_at.FromDatetime(row["retried_at"])
    return letter
