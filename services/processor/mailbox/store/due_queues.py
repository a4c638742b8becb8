"""The wings' own queues, asked together: which tenants have due entries, and in which queues."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.meshkit import db

# Each queue's tenants come in the order of their oldest entry, and the queues take turns, so that none keeps another
# from the room that there is.
_TENANTS = """
    SELECT tenant_id FROM (
        SELECT entry.tenant_id, min(entry.due_at) AS since,
            row_number() OVER (PARTITION BY entry.queue ORDER BY min(entry.due_at)) AS turn
        FROM ({}) AS entry
        LEFT JOIN processor.mailboxes m USING (tenant_id)
        LEFT JOIN processor.tenants t USING (tenant_id)
        WHERE coalesce(m.throttled_until, '-infinity') <= now()
            AND coalesce(t.status, 'active') IN ('active', 'token_expired')
        GROUP BY entry.queue, entry.tenant_id
    ) AS waiting
    GROUP BY tenant_id ORDER BY min(turn), min(since) LIMIT $1
"""


@dataclass(frozen=True)
class DueQueue:
    """A wing's own queue.

    Args:
        name: The wing.
        entries: SQL for the `tenant_id` and the `due_at` of the entries that are due now. It has no parameters, and
            an index finds the few due rows among all rows of a tenant and among those of all tenants.
    """

    name: str
    entries: str


async def due_tenants(connection: db.Connection, queues: Sequence[DueQueue], limit: int) -> list[str]:
    """Read the active, unthrottled tenants with due entries in any of the queues, in one statement."""
    entries = " UNION ALL ".join(
        f"SELECT {number} AS queue, q.tenant_id, q.due_at FROM ({queue.entries}) AS q"  # noqa: S608 - constants
        for number, queue in enumerate(queues)
    )
    return [str(row["tenant_id"]) for row in await connection.fetch(_TENANTS.format(entries), limit)]


def names_of_due(queues: Sequence[DueQueue], tenant: str) -> str:
    """Return an SQL expression: the names of the queues in which a tenant has due entries, as an array.

    Args:
        queues: The queues.
        tenant: The SQL expression of the tenant's id.
    """
    names = (
        f"CASE WHEN EXISTS (SELECT FROM ({queue.entries}) AS q WHERE q.tenant_id = {tenant}) THEN '{queue.name}' END"
        for queue in queues
    )
    return f"array_remove(ARRAY[{', '.join(names)}]::text[], NULL)"
