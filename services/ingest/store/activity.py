"""The times of the last notifications by subscription and mailbox, and the counts of refused notifications."""

from collections.abc import Mapping
from datetime import datetime

from services.meshkit import db

_SEEN_SUBSCRIPTIONS = """
UPDATE ingest.subscriptions AS subscription SET last_notification_at = seen.at
FROM unnest($1::uuid[], $2::timestamptz[]) AS seen (subscription_id, at)
WHERE subscription.subscription_id = seen.subscription_id
    AND (subscription.last_notification_at IS NULL OR subscription.last_notification_at < seen.at)
"""
_SEEN_MAILBOXES = """
UPDATE ingest.mailboxes AS mailbox SET last_notification_at = seen.at
FROM (
    SELECT tenant_id, max(at) AS at FROM unnest($1::uuid[], $2::timestamptz[]) AS noted (tenant_id, at)
    GROUP BY tenant_id
) AS seen
WHERE mailbox.tenant_id = seen.tenant_id
    AND (mailbox.last_notification_at IS NULL OR mailbox.last_notification_at < seen.at)
"""
_REFUSED = """
INSERT INTO ingest.refusals (minute, notifications)
SELECT minute, notifications FROM unnest($1::timestamptz[], $2::bigint[]) AS noted (minute, notifications)
ORDER BY minute
ON CONFLICT (minute) DO UPDATE
SET notifications = refusals.notifications + excluded.notifications, is_answered = false
"""


async def write(pool: db.Pool, seen: Mapping[str, tuple[str, datetime]], refused: Mapping[datetime, int]) -> None:
    """Write the times of the last notifications, and add to the counts of refused notifications.

    Args:
        pool: Connections to PostgreSQL.
        seen: Tenant and time by our id of the subscription.
        refused: Counts by minute.

    Raises:
        StoreUnavailable: PostgreSQL is away or too slow. Either nothing was written, or everything.
    """
    if not seen and not refused:
        return
    async with db.transaction(pool) as connection:
        if seen:
            times = [at for _, at in seen.values()]
            await connection.execute(_SEEN_SUBSCRIPTIONS, list(seen), times)
            await connection.execute(_SEEN_MAILBOXES, [tenant_id for tenant_id, _ in seen.values()], times)
        if refused:
            await connection.execute(_REFUSED, list(refused), list(refused.values()))
