"""Tenants: reading them in a key's scope, and changing them together with the log of changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailmesh.vault.v1 import tenant_pb2
from services.token_vault.errors import TenantNotFound
from services.token_vault.store.tenant_changes import record_change
from services.token_vault.tables import tenant_tokens, tenants

ACTIVE = "active"
NEEDS_REAUTHORIZATION = "needs_reauthorization"
ERROR = "error"
DISABLED = "disabled"
DISCONNECTING = "disconnecting"
DISCONNECTED = "disconnected"
TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a state that is told and never stored

Scope = frozenset[str] | None
"""The tenants that may be seen; None means all of them."""


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant with what is told about its tokens. No credential is in it."""

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
    scopes: tuple[str, ...] | None
    expires_at: datetime | None
    last_refreshed_at: datetime | None
    next_refresh_at: datetime | None
    last_refresh_error: str | None

    def told_status(self, now: datetime) -> str:
        """The status as it is told: active with a dead token that could not be refreshed is token_expired."""
        is_dead = self.expires_at is not None and self.expires_at <= now
        return TOKEN_EXPIRED if self.status == ACTIVE and is_dead and self.last_refresh_error else self.status


_TIMES = ("status_changed_at", "connected_at", "created_at", "updated_at")
_TOKEN_FIELDS = ("scopes", "expires_at", "last_refreshed_at", "next_refresh_at", "last_refresh_error")
_FIELDS = tuple(field.name for field in fields(TenantRow))
_selected = sa.select(
    *(tenants.c[name] for name in _FIELDS if name not in _TOKEN_FIELDS),
    *(tenant_tokens.c[name] for name in _TOKEN_FIELDS),
).select_from(tenants.outerjoin(tenant_tokens, tenants.c.tenant_id == tenant_tokens.c.tenant_id))


def tenant_row(record: Any) -> TenantRow:
    """Makes the value from a row of any driver that has its columns."""
    return TenantRow(**{name: record[name] for name in _FIELDS})


def tenant_message(row: TenantRow, now: datetime) -> tenant_pb2.Tenant:
    """Renders a tenant as the contract has it."""
    # The messages take times as they are, much faster than by a conversion of each; their type stubs do not know it.
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
        status=status_number(row.told_status(now)),
        status_reason=row.status_reason,
        status_detail=row.status_detail,
        granted_scopes=row.scopes or (),
        last_refresh_error=row.last_refresh_error or "",
        **times,
    )


def status_number(status: str) -> tenant_pb2.TenantStatus.ValueType:
    """The contract's number of a status; unspecified for an empty one."""
    return tenant_pb2.TenantStatus.Value(f"TENANT_STATUS_{status.upper() or 'UNSPECIFIED'}")


def status_name(number: int) -> str:
    """The name of one of the contract's numbers, as it is stored."""
    return tenant_pb2.TenantStatus.Name(number).removeprefix("TENANT_STATUS_").lower()  # type: ignore[arg-type]


async def get_tenant(connection: AsyncConnection, tenant_id: str, scope: Scope, *, lock: bool = False) -> TenantRow:
    """Reads one tenant.

    Args:
        connection: Where to read.
        tenant_id: Which.
        scope: What the caller may see.
        lock: Keeps others from changing it until the transaction ends.

    Raises:
        TenantNotFound: There is none, or it is outside of the scope.
    """
    if scope is not None and tenant_id not in scope:
        raise TenantNotFound.of(tenant_id)
    query = _selected.where(tenants.c.tenant_id == tenant_id)
    if lock:
        query = query.with_for_update(of=tenants)
    found = (await connection.execute(query)).mappings().first()
    if found is None:
        raise TenantNotFound.of(tenant_id)
    return tenant_row(found)


async def find_account(connection: AsyncConnection, provider: str, external_account: str) -> TenantRow | None:
    """Finds the tenant of an account and locks it."""
    query = _selected.where(tenants.c.provider == provider, tenants.c.external_account == external_account)
    found = (await connection.execute(query.with_for_update(of=tenants))).mappings().first()
    return None if found is None else tenant_row(found)


@dataclass(frozen=True)
class TenantFilter:
    """Which tenants to list. Empty means all."""

    provider: str = ""
    statuses: frozenset[str] = frozenset()
    address: str = ""


async def list_tenants(
    connection: AsyncConnection, wanted: TenantFilter, scope: Scope, after: tuple[str, str] | None, limit: int
) -> list[TenantRow]:
    """Lists tenants by `created_at`, then id.

    Args:
        connection: Where to read.
        wanted: Which.
        scope: What the caller may see.
        after: `created_at` in ISO form and id of the last one before.
        limit: The most to return.
    """
    query = _selected.order_by(tenants.c.created_at, tenants.c.tenant_id).limit(limit)
    if scope is not None:
        query = query.where(tenants.c.tenant_id.in_(scope))
    if after is not None:
        behind = sa.tuple_(tenants.c.created_at, tenants.c.tenant_id)
        query = query.where(
            behind > sa.tuple_(datetime.fromisoformat(after[0]), sa.literal(after[1], tenants.c.tenant_id.type))
        )
    for condition in _conditions(wanted):
        query = query.where(condition)
    return [tenant_row(found) for found in (await connection.execute(query)).mappings()]


async def insert_tenant(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Adds a tenant; the change is recorded by the caller with `changed` when its tokens are there too."""
    await connection.execute(tenants.insert().values(**values))


async def change_tenant(
    connection: AsyncConnection,
    before: TenantRow,
    now: datetime,
    values: Mapping[str, Any],
    *,
    is_reconnected: bool = False,
) -> TenantRow:
    """Changes a tenant that is locked, and records it in the log of changes.

    Args:
        connection: In a transaction that holds the lock.
        before: The tenant as it was read under the lock.
        now: The time of the change.
        values: Columns of `tenants`. A changed status stamps `status_changed_at`.
        is_reconnected: A person connected the account anew.

    Returns:
        The tenant after the change.
    """
    stamps = {"updated_at": now}
    if values.get("status", before.status) != before.status:
        stamps["status_changed_at"] = now
    await connection.execute(tenants.update().where(tenants.c.tenant_id == before.tenant_id).values(**stamps, **values))
    return await changed(connection, before.tenant_id, before.status, now, is_reconnected=is_reconnected)


async def changed(
    connection: AsyncConnection, tenant_id: str, previous_status: str, now: datetime, *, is_reconnected: bool = False
) -> TenantRow:
    """Records a tenant as it is now in the log of changes."""
    row = await get_tenant(connection, tenant_id, None)
    await record_change(connection, tenant_message(row, now), previous_status, now, is_reconnected=is_reconnected)
    return row


async def tenants_after(connection: AsyncConnection, tenant_id: str, limit: int) -> list[TenantRow]:
    """Reads tenants by id, for a reader that starts: all of them as they are now. Empty starts at the first."""
    query = _selected.order_by(tenants.c.tenant_id).limit(limit)
    if tenant_id:
        query = query.where(tenants.c.tenant_id > tenant_id)
    return [tenant_row(found) for found in (await connection.execute(query)).mappings()]


async def count_by_status(connection: AsyncConnection, now: datetime) -> dict[str, int]:
    """Counts tenants by the status that is told."""
    joined = tenants.outerjoin(tenant_tokens, tenants.c.tenant_id == tenant_tokens.c.tenant_id)
    told = _told(now).label("told")
    query = sa.select(told, sa.func.count()).select_from(joined).group_by(told)
    return dict((await connection.execute(query)).tuples().all())


def _conditions(wanted: TenantFilter) -> Iterable[sa.ColumnElement[bool]]:
    if wanted.provider:
        yield tenants.c.provider == wanted.provider
    if wanted.address:
        yield tenants.c.address == wanted.address.lower()
    if wanted.statuses:
        yield _told(sa.func.now()).in_(wanted.statuses)


def _told(now: Any) -> "sa.Case[Any]":
    """`TenantRow.told_status` in SQL."""
    is_dead = sa.and_(
        tenants.c.status == ACTIVE, tenant_tokens.c.expires_at <= now, tenant_tokens.c.last_refresh_error != ""
    )
    return sa.case((is_dead, TOKEN_EXPIRED), else_=tenants.c.status)
