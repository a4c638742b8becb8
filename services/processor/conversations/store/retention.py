"""The statements that delete old conversations.

One that another was merged into stays as long as that one, whose later mail it takes, and one with a timer until the
timer's event is published or given up.
"""

from collections.abc import Sequence
from datetime import datetime

from services.meshkit import db
from services.processor.conversations.store.timers import MAX_ATTEMPTS

_OLD = f"""
    c.last_message_at < $1::timestamptz - make_interval(days => greatest($2,
        CASE WHEN c.is_quarantined THEN s.quarantine_days ELSE s.retention_days END))
    AND CASE WHEN c.is_quarantined THEN s.quarantine_days ELSE s.retention_days END > 0
    AND NOT EXISTS (
        SELECT FROM processor.conversation_timers AS t
        WHERE t.tenant_id = c.tenant_id AND t.conversation_id = c.conversation_id AND t.attempts < {MAX_ATTEMPTS})
    AND NOT EXISTS (
        SELECT FROM processor.conversations AS m WHERE m.tenant_id = c.tenant_id AND m.merged_into = c.conversation_id)
"""  # noqa: S608 - constants
_TENANTS = f"""
    SELECT s.tenant_id FROM processor.conversation_settings AS s
    WHERE greatest(s.retention_days, s.quarantine_days) > 0 AND EXISTS (
        SELECT FROM processor.conversations AS c WHERE c.tenant_id = s.tenant_id AND {_OLD}
    ) ORDER BY s.tenant_id LIMIT $3
"""  # noqa: S608 - constants
_DELETE = f"""
    WITH old AS (
        SELECT c.conversation_id FROM processor.conversations AS c
        JOIN processor.conversation_settings AS s ON s.tenant_id = c.tenant_id
        WHERE c.tenant_id = $3 AND {_OLD} ORDER BY c.last_message_at, c.conversation_id LIMIT $4
    ), messages AS (
        DELETE FROM processor.conversation_messages
        WHERE tenant_id = $3 AND conversation_id IN (SELECT conversation_id FROM old)
    ), given_up AS (
        DELETE FROM processor.conversation_timers
        WHERE tenant_id = $3 AND conversation_id IN (SELECT conversation_id FROM old)
    ), links AS (
        DELETE FROM processor.conversation_links
        WHERE tenant_id = $3 AND conversation_id IN (SELECT conversation_id FROM old)
    )
    DELETE FROM processor.conversations WHERE tenant_id = $3 AND conversation_id IN (SELECT conversation_id FROM old)
"""  # noqa: S608 - constants


async def tenants(connection: db.Connection, now: datetime, event_days: int, limit: int) -> Sequence[str]:
    """Return tenants with conversations to delete."""
    return [str(row["tenant_id"]) for row in await connection.fetch(_TENANTS, now, event_days, limit)]


async def delete_old(connection: db.Connection, tenant_id: str, now: datetime, event_days: int, limit: int) -> int:
    """Delete a tenant's oldest conversations that it keeps no longer; return how many."""
    return db.affected(await connection.execute(_DELETE, now, event_days, tenant_id, limit))
