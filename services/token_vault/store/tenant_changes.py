"""The log of tenants' changes, in the order in which they were committed.

The position comes from one row that is locked until the transaction ends, so a reader at a position sees everything
that is committed at or before it: positions become visible in their order and without gaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.correlation import correlation_id
from services.meshkit.ids import new_id
from services.token_vault.tables import change_position, tenant_changes


@dataclass(frozen=True)
class ChangeRow:
    """One change.

    Args:
        tenant: The tenant after it.
        previous_status: As stored; empty for a new tenant.
    """

    position: int
    change_id: str
    tenant: tenant_pb2.Tenant
    previous_status: str
    changed_at: datetime
    correlation_id: str
    is_reconnected: bool


async def record_change(
    connection: AsyncConnection,
    tenant: tenant_pb2.Tenant,
    previous_status: str,
    now: datetime,
    *,
    is_reconnected: bool,
) -> None:
    """Appends a change. Other changes wait until this transaction ends, so it is the last thing that one does."""
    next_position = change_position.update().values(position=change_position.c.position + 1)
    position = (await connection.execute(next_position.returning(change_position.c.position))).scalar_one()
    await connection.execute(
        tenant_changes.insert().values(
            position=position,
            change_id=new_id(),
            tenant_id=tenant.tenant_id,
            tenant=tenant.SerializeToString(),
            previous_status=previous_status,
            changed_at=now,
            correlation_id=correlation_id(),
            is_reconnected=is_reconnected,
        )
    )


async def current_position(connection: AsyncConnection) -> int:
    """The position of the last committed change."""
    position: int = (await connection.execute(sa.select(change_position.c.position))).scalar_one()
    return position


async def oldest_position(connection: AsyncConnection) -> int | None:
    """The position of the oldest change that is kept, None when none is."""
    query = sa.select(sa.func.min(tenant_changes.c.position))
    oldest: int | None = (await connection.execute(query)).scalar_one()
    return oldest


async def changes_after(connection: AsyncConnection, position: int, limit: int) -> Sequence[ChangeRow]:
    """Reads changes behind a position, in order."""
    columns = tenant_changes.c
    query = sa.select(tenant_changes).where(columns.position > position).order_by(columns.position).limit(limit)
    return [
        ChangeRow(
            row.position,
            row.change_id,
            tenant_pb2.Tenant.FromString(row.tenant),
            row.previous_status,
            row.changed_at,
            row.correlation_id,
            row.is_reconnected,
        )
        for row in await connection.execute(query)
    ]


async def prune_changes(connection: AsyncConnection, now: datetime, keep: timedelta) -> int:
    """Deletes changes that are older; readers that stayed away for so long start with every tenant again."""
    done = await connection.execute(tenant_changes.delete().where(tenant_changes.c.changed_at < now - keep))
    return done.rowcount
