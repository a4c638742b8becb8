"""Tenants: read them in a key's scope, and change them together with the log of changes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import asyncpg

from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.db import Connection
from services.providers.abilities import granted_abilities
from services.token_vault.errors import TenantDisconnected, TenantNotFound
from services.token_vault.store.statements import Parameters, assignments, where
from services.token_vault.store.tenant_changes import record_change

ACTIVE = "active"
NEEDS_REAUTHORIZATION = "needs_reauthorization"
ERROR = "error"
DISABLED = "disabled"
DISCONNECTING = "disconnecting"
DISCONNECTED = "disconnected"
TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a status that is reported and never stored

APP, DELEGATED = "app", "delegated"
"""The types of tokens: the app's own, by an administrator's consent, and those that a person granted."""

Scope = frozenset[str] | None
"""The tenants that a caller may see; None means all of them."""


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant with the state of its tokens. The row holds no credential."""

    tenant_id: str
    provider: str
    external_account: str
    external_tenant_id: str
    user_id: str
    address: str
    display_name: str
    status: str
    status_reason: str
    status_detail: str
    status_changed_at: datetime
    grant_fault: str
    probe_failures: int
    released_at: datetime | None
    connected_at: datetime
    created_at: datetime
    updated_at: datetime
    requested_abilities: tuple[str, ...]
    directory_id: str | None
    owner_tenant_id: str | None
    scopes: tuple[str, ...] | None
    expires_at: datetime | None
    last_refreshed_at: datetime | None
    next_refresh_at: datetime | None
    last_refresh_error: str | None

    @property
    def granted_abilities(self) -> tuple[str, ...]:
        """The requested abilities for which the granted scopes suffice, sorted."""
        return granted_abilities(self.provider, self.requested_abilities, self.scopes or ())

    @property
    def token_type(self) -> str:
        """Whose tokens it has: "app" or "delegated"."""
        return DELEGATED if self.directory_id is None else APP

    @property
    def missing_abilities(self) -> tuple[str, ...]:
        """The requested abilities that were not granted, sorted."""
        return tuple(sorted(set(self.requested_abilities) - set(self.granted_abilities)))

    def reported_status(self, now: datetime) -> str:
        """Return the status that callers see: an active tenant whose dead token failed to refresh is token_expired."""
        is_dead = self.expires_at is not None and self.expires_at <= now
        return TOKEN_EXPIRED if self.status == ACTIVE and is_dead and self.last_refresh_error else self.status


@dataclass(frozen=True)
class TenantFilter:
    """Which tenants to list. Empty means all."""

    provider: str = ""
    statuses: frozenset[str] = frozenset()
    address: str = ""


_TIMES = ("status_changed_at", "connected_at", "created_at", "updated_at")
_FIELDS = tuple(field.name for field in fields(TenantRow))
TENANT_COLUMNS = """
  t.tenant_id::text AS tenant_id, t.provider, t.external_account, t.external_tenant_id, t.user_id, t.address,
  t.display_name, t.status, t.status_reason, t.status_detail, t.status_changed_at, t.grant_fault, t.probe_failures,
  t.released_at, t.connected_at, t.created_at, t.updated_at, t.requested_abilities, t.directory_id,
  t.owner_tenant_id::text AS owner_tenant_id
"""
"""Columns of `vault.tenants t`. A row of them and of `REFRESH_COLUMNS` makes a `TenantRow`."""
REFRESH_COLUMNS = "o.scopes, o.expires_at, o.last_refreshed_at, o.next_refresh_at, o.last_refresh_error"
"""Columns of `vault.tenant_tokens o`."""

_SELECT = f"""
SELECT {TENANT_COLUMNS}, {REFRESH_COLUMNS} FROM vault.tenants t LEFT JOIN vault.tenant_tokens o USING (tenant_id)
"""  # noqa: S608 - constants only
_GET = f"{_SELECT} WHERE t.tenant_id = $1"
_LOCK = f"{_GET} FOR UPDATE OF t"
_OWNED = f"{_SELECT} WHERE t.owner_tenant_id = $1 ORDER BY t.tenant_id FOR UPDATE OF t"
_IS_ERASED = "SELECT EXISTS (SELECT FROM vault.erasures WHERE tenant_id = $1)"
_FIND_ACCOUNT = f"{_SELECT} WHERE t.provider = $1 AND t.external_account = $2 FOR UPDATE OF t"
_AFTER = f"{_SELECT} WHERE t.tenant_id > $1 ORDER BY t.tenant_id LIMIT $2"
_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"


def tenant_row(record: asyncpg.Record) -> TenantRow:
    """Make the value from a row that has its columns."""
    return TenantRow(**{name: record[name] for name in _FIELDS})


def tenant_message(row: TenantRow, now: datetime) -> tenant_pb2.Tenant:
    """Render a tenant as the contract defines it."""
    # The messages take times directly, much faster than by a conversion of each; their type stubs do not know it.
    times: dict[str, Any] = {name: getattr(row, name) for name in _TIMES}
    if row.last_refreshed_at is not None:
        times["last_refreshed_at"] = row.last_refreshed_at
        times["next_refresh_at"] = row.next_refresh_at
        times["token_expires_at"] = row.expires_at
    return tenant_pb2.Tenant(
        tenant_id=row.tenant_id,
        provider=row.provider,
        external_tenant_id=row.external_tenant_id,
        user_id=row.user_id,
        address=row.address,
        display_name=row.display_name,
        status=status_number(row.reported_status(now)),
        status_reason=row.status_reason,
        status_detail=row.status_detail,
        granted_scopes=row.scopes or (),
        last_refresh_error=row.last_refresh_error or "",
        requested_abilities=row.requested_abilities,
        granted_abilities=row.granted_abilities,
        token_type=row.token_type,
        owner_tenant_id=row.owner_tenant_id or "",
        **times,
    )


def status_number(status: str) -> tenant_pb2.TenantStatus.ValueType:
    """Return the contract's number of a status; unspecified for an empty one."""
    return tenant_pb2.TenantStatus.Value(f"TENANT_STATUS_{status.upper() or 'UNSPECIFIED'}")


def status_name(number: int) -> str:
    """Return the stored name of one of the contract's numbers."""
    return tenant_pb2.TenantStatus.Name(number).removeprefix("TENANT_STATUS_").lower()  # type: ignore[arg-type]


async def owned_by(connection: Connection, tenant_id: str) -> list[TenantRow]:
    """Read and lock the shared mailboxes that a tenant's grant opens, in the order of their ids."""
    return [tenant_row(record) for record in await connection.fetch(_OWNED, tenant_id)]


async def get_tenant(connection: Connection, tenant_id: str, scope: Scope, *, lock: bool = False) -> TenantRow:
    """Read one tenant.

    Args:
        connection: A connection to the database.
        tenant_id: The tenant.
        scope: The tenants that the caller may see.
        lock: Keeps others from changing the tenant until the transaction ends.

    Raises:
        TenantNotFound: The tenant does not exist, or is outside the scope.
    """
    if scope is not None and tenant_id not in scope:
        raise TenantNotFound.of(tenant_id)
    found = await connection.fetchrow(_LOCK if lock else _GET, tenant_id)
    if found is None:
        raise TenantNotFound.of(tenant_id)
    return tenant_row(found)


async def find_account(connection: Connection, provider: str, external_account: str) -> TenantRow | None:
    """Find the tenant of an account, and lock it."""
    found = await connection.fetchrow(_FIND_ACCOUNT, provider, external_account)
    return None if found is None else tenant_row(found)


async def list_tenants(
    connection: Connection, wanted: TenantFilter, scope: Scope, after: tuple[str, str] | None, limit: int
) -> list[TenantRow]:
    """List tenants by `created_at`, then id.

    Args:
        connection: A connection to the database.
        wanted: The filter.
        scope: The tenants that the caller may see.
        after: `created_at` in ISO form and id of the last tenant on the page before.
        limit: The most to return.
    """
    parameters = Parameters()
    conditions = _conditions(parameters, wanted, scope, after)
    text = f"{_SELECT}{where(conditions)} ORDER BY t.created_at, t.tenant_id LIMIT {parameters.add(limit)}"
    return [tenant_row(found) for found in await connection.fetch(text, *parameters.values)]


async def insert_tenant(connection: Connection, values: Mapping[str, object]) -> None:
    """Add a tenant. Once its tokens are stored too, the caller records the change with `changed`.

    Args:
        connection: In a transaction.
        values: Columns of `tenants`; their names must come from code.

    Raises:
        asyncpg.UniqueViolationError: Another transaction has added a tenant for the same account.
    """
    parameters = Parameters()
    placeholders = ", ".join(parameters.add(value) for value in values.values())
    text = f"INSERT INTO vault.tenants ({', '.join(values)}) VALUES ({placeholders})"  # noqa: S608 - names of columns
    await connection.execute(text, *parameters.values)


async def change_tenant(
    connection: Connection,
    before: TenantRow,
    now: datetime,
    values: Mapping[str, Any],
    *,
    is_reconnected: bool = False,
) -> TenantRow:
    """Change a locked tenant, and record the change in the log of changes.

    Args:
        connection: In a transaction that holds the lock.
        before: The tenant as it was read under the lock.
        now: The time of the change.
        values: Columns of `tenants`; their names must come from code. A changed status stamps `status_changed_at`.
        is_reconnected: A person connected the account again.

    Returns:
        The tenant after the change.

    Raises:
        TenantDisconnected: The tenant is being erased. Only its disconnection goes on.
    """
    if before.status != DISCONNECTING:
        await refuse_erased(connection, before.tenant_id)
    stamps = {"updated_at": now}
    if values.get("status", before.status) != before.status:
        stamps["status_changed_at"] = now
    parameters = Parameters()
    text = f"UPDATE vault.tenants SET {assignments(parameters, {**values, **stamps})}"  # noqa: S608 - placeholders
    await connection.execute(f"{text} WHERE tenant_id = {parameters.add(before.tenant_id)}", *parameters.values)
    return await changed(connection, before.tenant_id, before.status, now, is_reconnected=is_reconnected)


async def refuse_erased(connection: Connection, tenant_id: str) -> None:
    """Refuse a tenant that is being erased: services that are done would take it in again from the log of changes.

    Args:
        connection: In a transaction that holds the tenant's lock.
        tenant_id: The tenant.

    Raises:
        TenantDisconnected: The tenant is being erased.
    """
    if await connection.fetchval(_IS_ERASED, tenant_id):
        raise TenantDisconnected(subject=tenant_id, metadata={"tenant_id": tenant_id})


async def changed(
    connection: Connection, tenant_id: str, previous_status: str, now: datetime, *, is_reconnected: bool = False
) -> TenantRow:
    """Record a tenant's current state in the log of changes."""
    row = await get_tenant(connection, tenant_id, None)
    await record_change(connection, tenant_message(row, now), previous_status, now, is_reconnected=is_reconnected)
    return row


async def tenants_after(connection: Connection, tenant_id: str, limit: int) -> list[TenantRow]:
    """Read tenants by id, for a reader that starts with all of them. An empty id starts at the first tenant."""
    return [tenant_row(found) for found in await connection.fetch(_AFTER, tenant_id or _BEFORE_ALL, limit)]


def _reported(now: str) -> str:
    """Write `TenantRow.reported_status` in SQL, for an expression of the time."""
    is_dead = f"t.status = '{ACTIVE}' AND o.expires_at <= {now} AND o.last_refresh_error <> ''"
    return f"CASE WHEN {is_dead} THEN '{TOKEN_EXPIRED}' ELSE t.status END"


_COUNT_BY_STATUS = f"""
SELECT {_reported("$1::timestamptz")} AS reported, count(*)
FROM vault.tenants t LEFT JOIN vault.tenant_tokens o USING (tenant_id) GROUP BY reported
"""  # noqa: S608 - constants only


async def count_by_status(connection: Connection, now: datetime) -> dict[str, int]:
    """Count tenants by reported status."""
    return {row[0]: row[1] for row in await connection.fetch(_COUNT_BY_STATUS, now)}


def _conditions(parameters: Parameters, wanted: TenantFilter, scope: Scope, after: tuple[str, str] | None) -> list[str]:
    conditions = []
    if scope is not None:
        conditions.append(f"t.tenant_id = ANY({parameters.add(sorted(scope))}::uuid[])")
    if after is not None:
        created_at, tenant_id = parameters.add(datetime.fromisoformat(after[0])), parameters.add(after[1])
        conditions.append(f"(t.created_at, t.tenant_id) > ({created_at}::timestamptz, {tenant_id}::uuid)")
    if wanted.provider:
        conditions.append(f"t.provider = {parameters.add(wanted.provider)}")
    if wanted.address:
        conditions.append(f"t.address = {parameters.add(wanted.address.lower())}")
    if wanted.statuses:
        conditions.append(f"{_reported('now()')} = ANY({parameters.add(sorted(wanted.statuses))}::text[])")
    return conditions
