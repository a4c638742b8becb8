"""The log of tenants' changes, in the order of their commits.

The position comes from one row that stays locked until the transaction ends. So a reader at a position sees every
change that is committed at or before it: positions become visible in order and without gaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.correlation import correlation_id
from services.meshkit.db import Connection, affected
from services.meshkit.ids import new_id


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


CHANNEL = "vault_tenant_changes"
"""The NOTIFY channel of the log's head; the payload is the new head."""

_NEXT_POSITION = "UPDATE vault.change_position SET position = position + 1 RETURNING position"
_INSERT = f"""
WITH appended AS (
  INSERT INTO vault.tenant_changes
    (position, change_id, tenant_id, tenant, previous_status, changed_at, correlation_id, is_reconnected)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING position
)
SELECT pg_notify('{CHANNEL}', position::text) FROM appended
"""  # noqa: S608 - the name of the channel is a constant
_CURRENT_POSITION = "SELECT position FROM vault.change_position"
_OLDEST_POSITION = "SELECT min(position) FROM vault.tenant_changes"
_AFTER = """
SELECT position, change_id::text AS change_id, tenant, previous_status, changed_at, correlation_id, is_reconnected
FROM vault.tenant_changes WHERE position > $1 ORDER BY position LIMIT $2
"""
_PRUNE = "DELETE FROM vault.tenant_changes WHERE changed_at < $1"


async def record_change(
    connection: Connection,
    tenant: tenant_pb2.Tenant,
    previous_status: str,
    now: datetime,
    *,
    is_reconnected: bool,
) -> None:
    """Append a change. Other changes wait until this transaction ends, so this is the transaction's last step."""
    await connection.execute(
        _INSERT,
        await connection.fetchval(_NEXT_POSITION),
        new_id(),
        tenant.tenant_id,
        tenant.SerializeToString(),
        previous_status,
        now,
        correlation_id(),
        is_reconnected,
    )


async def current_position(connection: Connection) -> int:
    """Return the position of the last committed change."""
    position: int = await connection.fetchval(_CURRENT_POSITION)
    return position


async def oldest_position(connection: Connection) -> int | None:
    """Return the position of the oldest change that is still stored, or None when the log is empty."""
    oldest: int | None = await connection.fetchval(_OLDEST_POSITION)
    return oldest


async def changes_after(connection: Connection, position: int, limit: int) -> Sequence[ChangeRow]:
    """Read changes behind a position, in order."""
    return [
        ChangeRow(**{**row, "tenant": tenant_pb2.Tenant.FromString(row["tenant"])})
        for row in await connection.fetch(_AFTER, position, limit)
    ]


async def prune_changes(connection: Connection, now: datetime, keep: timedelta) -> int:
    """Delete older changes. Readers that stayed away for longer start with every tenant again."""
    return affected(await connection.execute(_PRUNE, now - keep))
