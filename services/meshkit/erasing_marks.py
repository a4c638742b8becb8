"""The stored progress of a schema's erasures of persons: table `erased_persons` of each schema.

A row has the cut-off, the last row of each step, the place that was reached, and the counts. Keys of rows may name
persons, so they are emptied at the end. One process at a time works on an erasure, by a lease that each page renews.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import uuid4

from services.meshkit import db
from services.meshkit.errors import Conflict

_LEASE_SECONDS = 60
_BEGIN = """
    INSERT INTO {schema}.erased_persons AS e (erasure_id, tenant_id) VALUES ($1, $2)
    ON CONFLICT (erasure_id) DO UPDATE SET cut_off_at = now(), step_at = now(), bounds = '{{}}'
    WHERE e.finished_at IS NULL AND NOT e.bounds ? 'cut_off'
"""
_BOUNDS = """
    UPDATE {schema}.erased_persons SET bounds = bounds || $3::text::jsonb WHERE erasure_id = $1 AND tenant_id = $2
"""
_READ = """
    SELECT cut_off_at, bounds, step, reached, checked, removed, finished_at IS NOT NULL AS is_done,
        extract(epoch FROM clock_timestamp() - step_at)::float8 AS step_seconds
    FROM {schema}.erased_persons WHERE erasure_id = $1 AND tenant_id = $2
"""
_CLAIM = """
    UPDATE {schema}.erased_persons SET holder = $3, leased_until = now() + $4 * interval '1 second'
    WHERE erasure_id = $1 AND tenant_id = $2 AND finished_at IS NULL
        AND (holder IS NULL OR holder = $3 OR leased_until < now())
"""
_HOLD = """
    SELECT FROM {schema}.erased_persons
    WHERE erasure_id = $1 AND tenant_id = $2 AND holder = $3 AND finished_at IS NULL FOR UPDATE
"""
_SAVE = """
    UPDATE {schema}.erased_persons SET reached = $4, checked = $5,
        step_at = CASE WHEN step = $3 THEN step_at ELSE clock_timestamp() END, step = $3,
        leased_until = now() + $8 * interval '1 second',
        removed = CASE WHEN $7 = 0 THEN removed ELSE removed
            || jsonb_build_object($6::text, coalesce((removed ->> $6::text)::bigint, 0) + $7::bigint) END
    WHERE erasure_id = $1 AND tenant_id = $2
"""
_FORGET = """
    UPDATE {schema}.erased_persons SET bounds = '{{"cut_off": [], "turn": []}}', reached = NULL
    WHERE erasure_id = $1 AND tenant_id = $2 AND holder = $3
"""
_FINISH = """
    UPDATE {schema}.erased_persons SET finished_at = now(), holder = NULL, leased_until = NULL
    WHERE erasure_id = $1 AND tenant_id = $2 AND holder = $3 AND step = $4
"""
# Never an end: a list may be older than the erasure, or that of a release which knows none.
_DROP = """
    UPDATE {schema}.erased_persons
    SET bounds = '{{}}', step = 0, reached = NULL, checked = 0, holder = NULL, leased_until = NULL
    WHERE finished_at IS NULL AND erasure_id <> ALL($1::uuid[]) AND (bounds ? 'cut_off' OR holder IS NOT NULL)
"""


@cache
def _process() -> str:
    """Return the holder of this process's leases. Processes may share the imported module, so none has it yet."""
    return str(uuid4())


@dataclass(frozen=True)
class PersonToErase:
    """The person whom an erasure removes.

    Args:
        erasure_id: The erasure's UUID.
        tenant_id: The tenant's UUID.
        address: The address as `addresses.plain` returns it.
    """

    erasure_id: str
    tenant_id: str
    address: str


@dataclass(frozen=True)
class Mark:
    """The progress of an erasure in a schema.

    Args:
        cut_off_at: When the cut-off was noted, by the database's clock.
        bounds: By step: the key of the last row, as texts, and the time at which it was noted.
        step: The number of the step.
        reached: The key of the last row that was checked in the step; None at its begin.
        checked: The number of rows that were checked.
        removed: The number of removed and rewritten rows by table.
        is_done: Whether the erasure of the schema has ended.
        step_seconds: The time since the end of the step before.
    """

    cut_off_at: datetime
    bounds: Mapping[str, Any]
    step: int
    reached: Sequence[str] | None
    checked: int
    removed: Mapping[str, int]
    is_done: bool
    step_seconds: float


async def begin(connection: db.Connection, schema: str, person: PersonToErase) -> bool:
    """Note the cut-off; return whether it is new, also behind `drop`. The caller adds its bounds with `cut_off`."""
    return bool(db.affected(await connection.execute(_BEGIN.format(schema=schema), *_key(person))))


async def add_bounds(connection: db.Connection, schema: str, person: PersonToErase, bounds: Mapping[str, Any]) -> None:
    """Store bounds of steps beside those that are stored."""
    await connection.execute(_BOUNDS.format(schema=schema), *_key(person), json.dumps(dict(bounds)))


async def read(connection: db.Connection, schema: str, person: PersonToErase) -> Mark:
    """Read the progress of an erasure that has begun, whose tenant is not erased.

    Raises:
        Conflict: The tenant was erased at this moment.
    """
    row = await connection.fetchrow(_READ.format(schema=schema), *_key(person))
    if row is None:
        raise Conflict(metadata={"tenant_id": person.tenant_id})
    removed = {table: int(count) for table, count in sorted(json.loads(row["removed"]).items())}
    return Mark(**{**dict(row), "bounds": json.loads(row["bounds"]), "removed": removed})


async def claim(pool: db.Pool, schema: str, person: PersonToErase) -> bool:
    """Lease the erasure; return False while another process has it, and behind its end."""
    async with db.connection(pool) as connection:
        statement = _CLAIM.format(schema=schema)
        return bool(db.affected(await connection.execute(statement, *_key(person), _process(), _LEASE_SECONDS)))


async def hold(connection: db.Connection, schema: str, person: PersonToErase) -> bool:
    """Lock the progress until the transaction ends; return False when the lease is lost or the erasure has ended."""
    return await connection.fetchrow(_HOLD.format(schema=schema), *_key(person), _process()) is not None


async def save(
    connection: db.Connection, schema: str, person: PersonToErase, mark: Mark, table: str, changed: int
) -> None:
    """Store how far a step came, add the changed rows of its table, and renew the lease.

    The caller has locked the progress.
    """
    values = (mark.step, mark.reached, mark.checked, table, changed, _LEASE_SECONDS)
    await connection.execute(_SAVE.format(schema=schema), *_key(person), *values)


async def forget(pool: db.Pool, schema: str, person: PersonToErase) -> None:
    """Empty the keys of rows, which may name persons, unless the lease is lost. Safe to call again."""
    async with db.connection(pool) as connection:
        await connection.execute(_FORGET.format(schema=schema), *_key(person), _process())


async def finish(pool: db.Pool, schema: str, person: PersonToErase, steps: int) -> Mark:
    """End the erasure of the schema if all steps are done and the lease is held. Safe to call again."""
    async with db.transaction(pool) as connection:
        await connection.execute(_FINISH.format(schema=schema), *_key(person), _process(), steps)
        return await read(connection, schema, person)


async def drop(pool: db.Pool, schema: str, pending: Sequence[str]) -> None:
    """Let erasures that have begun and are not pending begin at the first step again, if they are ever listed again.

    A cancelled one never is. The counts of what they have removed stay.
    """
    async with db.connection(pool) as connection:
        await connection.execute(_DROP.format(schema=schema), list(pending))


def _key(person: PersonToErase) -> tuple[str, str]:
    return person.erasure_id, person.tenant_id
