"""The statements that seal events which are stored already."""

from collections.abc import Sequence
from uuid import UUID

from services.meshkit import db
from services.processor.stream.contents import CONTENTS, EVENT_PARTS, event_owner, is_sealed

_ROWS = 50
_BYTES = 4 * 1024 * 1024
# The sizes are read from the rows' heads without the values.
_NEXT = f"""
    SELECT position, coalesce(original_event_id, event_id) AS owner, basic, body, raw FROM (
        SELECT *, sum(octet_length(basic) + octet_length(body) + octet_length(raw))
            OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM (
            SELECT position, event_id, original_event_id, basic, body, raw FROM processor.events
            WHERE tenant_id = $1 AND position > $2 AND kind = ANY ($3::smallint[]) ORDER BY position LIMIT {_ROWS}
        ) AS first
    ) AS sized WHERE before IS NULL OR before < {_BYTES} ORDER BY position
"""  # noqa: S608 - constants
# An event that became a tombstone meanwhile is of no tenant any more, and stays one.
_REPLACE = """
    UPDATE processor.events AS e SET basic = sealed.basic, body = sealed.body, raw = sealed.raw
    FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[]) AS sealed (position, basic, body, raw)
    WHERE e.position = sealed.position AND e.tenant_id = $1 AND e.position BETWEEN $6 AND $7
"""


async def seal_events(
    connection: db.Connection, tenant_id: str, after: int, kinds: Sequence[int]
) -> tuple[int, int] | None:
    """Seal the next stored events of a tenant.

    Args:
        connection: A connection in a transaction.
        tenant_id: The tenant.
        after: The position behind which to go on.
        kinds: The kinds of events that have content.

    Returns:
        The last position that was checked, and the number of events that were sealed; None at the end.

    Raises:
        ContentKeyUnavailable: This process has not got the tenant's key.

    Safe to call again: yes; sealed events stay as they are.
    """
    rows = await connection.fetch(_NEXT, tenant_id, after, list(kinds))
    if not rows:
        return None
    plain = [row for row in rows if any(row[part] and not is_sealed(row[part]) for part in EVENT_PARTS)]
    if plain:
        columns = [[_sealed(tenant_id, row["owner"], part, row[part]) for row in plain] for part in EVENT_PARTS]
        positions = [row["position"] for row in plain]
        await connection.execute(_REPLACE, tenant_id, positions, *columns, positions[0], positions[-1])
    return rows[-1]["position"], len(plain)


def _sealed(tenant_id: str, event_id: UUID, part: str, value: bytes) -> bytes:
    return value if is_sealed(value) else CONTENTS.seal(tenant_id, value, *event_owner(event_id, part))
