"""The statements over endpoints, for callers."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import asyncpg

from services.delivery.store.rows import DELIVERING, EndpointRow, State
from services.meshkit import db

NAMES = tuple(field.name for field in fields(EndpointRow))
COLUMNS = ", ".join(NAMES)
_IN_SCOPE = """
    deleted_at IS NULL AND ($1::uuid[] IS NULL OR (tenant_ids <> '{}' AND tenant_ids <@ $1::uuid[]))
    AND NOT EXISTS (SELECT FROM unnest(event_types) AS one WHERE split_part(one, '.', 1) = ANY($2::text[]))
"""
_GET = f"SELECT {COLUMNS} FROM delivery.endpoints WHERE {_IN_SCOPE} AND endpoint_id = $3"  # noqa: S608 - constants
_PAGE = f"""
    SELECT {COLUMNS} FROM delivery.endpoints
    WHERE {_IN_SCOPE} AND ($3::uuid IS NULL OR endpoint_id < $3) AND ($4 = '' OR url = $4)
    ORDER BY endpoint_id DESC LIMIT $5
"""  # noqa: S608 - constants
_COUNTS = """
    SELECT endpoint_id, count(*) FILTER (WHERE due_at IS NOT NULL) AS waiting,
        count(*) FILTER (WHERE due_at IS NULL) AS exhausted
    FROM delivery.deliveries WHERE endpoint_id = ANY($1::uuid[]) GROUP BY endpoint_id
"""
_ERASE = """
    UPDATE delivery.endpoints
    SET deleted_at = now(), url = '', display_name = '', sealed_headers = '', header_names = '{}', sealed_keys = '',
        sealed_access = '', certificate_ends_at = NULL, token_url = '',
        revision = revision + 1, lease_id = NULL, leased_until = NULL
    WHERE endpoint_id = $1
"""


async def count(connection: db.Connection) -> int:
    """Count the endpoints of the mesh. The lock makes creations wait for each other, so that the limit holds."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('delivery.endpoints'))")
    return int(await connection.fetchval("SELECT count(*) FROM delivery.endpoints WHERE deleted_at IS NULL"))


async def insert(connection: db.Connection, values: Mapping[str, Any]) -> EndpointRow:
    """Insert an endpoint; the values are by column."""
    names = [*values]
    places = ", ".join(f"${place}" for place in range(1, len(names) + 1))
    found = await connection.fetchrow(
        f"INSERT INTO delivery.endpoints ({', '.join(names)}) VALUES ({places}) RETURNING {COLUMNS}",  # noqa: S608
        *values.values(),
    )
    assert found is not None  # noqa: S101 - an insert returns its row
    return row(found)


async def get(
    connection: db.Connection,
    endpoint_id: str,
    tenants: Sequence[str] | None,
    hidden: Sequence[str],
    *,
    lock: bool = False,
) -> EndpointRow | None:
    """Read an endpoint whose tenants are all in scope, and whose kinds of events are not hidden.

    Args:
        connection: A connection to PostgreSQL.
        endpoint_id: The endpoint.
        tenants: The tenants in scope; None means all.
        hidden: The kinds of events that the caller may not read.
        lock: Whether to lock the row until the end of the transaction.
    """
    found = await connection.fetchrow(_GET + (" FOR UPDATE" if lock else ""), tenants, hidden, endpoint_id)
    return None if found is None else row(found)


async def page(
    connection: db.Connection,
    tenants: Sequence[str] | None,
    hidden: Sequence[str],
    before: str | None,
    url: str,
    limit: int,
) -> list[EndpointRow]:
    """Read a page of endpoints in scope, newest first; an empty URL means all. The scope is that of `get`."""
    return [row(found) for found in await connection.fetch(_PAGE, tenants, hidden, before, url, limit)]


async def counts(connection: db.Connection, endpoint_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Count the waiting and the exhausted deliveries by endpoint; one without any is absent."""
    found = await connection.fetch(_COUNTS, endpoint_ids)
    return {str(one["endpoint_id"]): (one["waiting"], one["exhausted"]) for one in found}


async def change(connection: db.Connection, endpoint_id: str, values: Mapping[str, Any]) -> EndpointRow:
    """Change columns of an endpoint that is locked, for a caller; its deliverer notices."""
    return await _update(connection, endpoint_id, values, ", revision = revision + 1")


async def note(connection: db.Connection, endpoint_id: str, values: Mapping[str, Any]) -> EndpointRow:
    """Change columns of an endpoint that is locked, by its deliverer itself."""
    return await _update(connection, endpoint_id, values, "")


async def _update(connection: db.Connection, endpoint_id: str, values: Mapping[str, Any], more: str) -> EndpointRow:
    names = [*values]
    if unknown := {*names} - {*NAMES}:
        msg = f"no columns of an endpoint: {sorted(unknown)}"
        raise ValueError(msg)
    assigned = ", ".join(f"{name} = ${place}" for place, name in enumerate(names, start=2))
    found = await connection.fetchrow(
        f"UPDATE delivery.endpoints SET {assigned}{more} WHERE endpoint_id = $1 RETURNING {COLUMNS}",  # noqa: S608
        endpoint_id,
        *values.values(),
    )
    assert found is not None  # noqa: S101 - the row is locked
    return row(found)


async def erase(connection: db.Connection, endpoint_id: str) -> None:
    """Delete an endpoint for callers, and its secrets; its deliveries and attempts follow in the background."""
    await connection.execute(_ERASE, endpoint_id)


def row(found: asyncpg.Record) -> EndpointRow:
    """Return a record of `COLUMNS` as a row."""
    values = {name: found[name] for name in NAMES}
    values |= {
        "endpoint_id": str(values["endpoint_id"]),
        "tenant_ids": [str(one) for one in values["tenant_ids"]],
        "state": State(values["state"]),
    }
    return EndpointRow(**values)


def delivering() -> list[int]:
    """Return the states in which events are delivered, as the table has them."""
    return [int(state) for state in DELIVERING]
