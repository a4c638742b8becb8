"""Periodic upkeep: prune tables, make partitions, set gauges."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.token_vault.metrics import AUDIT_PRUNED, REFRESH_LAG, TENANTS
from services.token_vault.store import api_keys, audit, authorization_flows, sessions, tenant_changes, tenants, tokens
from services.token_vault.tokens.eligibility import STATUSES

logger = structlog.get_logger(__name__)

FLOWS_KEPT = timedelta(days=1)
REQUEST_IDS_KEPT = timedelta(days=1)
MONTHS_AHEAD = 2


@dataclass(frozen=True)
class Upkeep:
    """Keeps tables small and gauges current.

    Args:
        pool: Connections to the database.
        clock: The time.
        audit_days: Retention of the audit log.
        changes_kept: Retention of the log of tenants' changes.
        sessions_idle: How long an idle session stays.
    """

    pool: db.Pool
    clock: Clock
    audit_days: int
    changes_kept: timedelta
    sessions_idle: timedelta

    async def prune(self) -> int:
        """Delete rows past their retention, and make the audit log's next months. For a loop."""
        now = self.clock.now()
        async with db.transaction(self.pool) as connection:
            pruned = {
                "flows": await authorization_flows.prune_flows(connection, now, FLOWS_KEPT),
                "request_ids": await api_keys.prune_requests(connection, now, REQUEST_IDS_KEPT),
                "sessions": await sessions.prune_sessions(connection, now, self.sessions_idle),
                "changes": await tenant_changes.prune_changes(connection, now, self.changes_kept),
            }
        async with db.transaction(self.pool) as connection:
            await audit.extend(connection, MONTHS_AHEAD)
            dropped = await audit.prune(connection, self.audit_days)
        AUDIT_PRUNED.inc(dropped)
        if dropped or any(pruned.values()):
            logger.info("pruned", audit_months=dropped, **pruned)
        return 0

    async def measure(self) -> int:
        """Set the gauges. For a loop."""
        now = self.clock.now()
        async with db.connection(self.pool) as connection:
            counts = await tenants.count_by_status(connection, now)
            since = await tokens.oldest_due(connection, now)
        for status in STATUSES | counts.keys():
            TENANTS.labels(status).set(counts.get(status, 0))
        REFRESH_LAG.set((now - since).total_seconds() if since else 0)
        return 0
