"""Periodic upkeep: prune tables, make partitions, set gauges."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.token_vault.metrics import AUDIT_PRUNED, CERTIFICATE_LEFT, REFRESH_LAG, TENANTS
from services.token_vault.store import (
    api_keys,
    app_credentials,
    audit,
    authorization_flows,
    sessions,
    tenant_changes,
    tenants,
    tokens,
)
from services.token_vault.store.app_credentials import AppCredentialRow
from services.token_vault.tokens.eligibility import STATUSES

logger = structlog.get_logger(__name__)

FLOWS_KEPT = timedelta(days=1)
REQUEST_IDS_KEPT = timedelta(days=1)
MONTHS_AHEAD = 2
ENDS_SOON = timedelta(days=30)
"""How long before its end a certificate of the app is reported."""


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
        """Delete rows past their retention, make the audit log's next months, and warn of certificates. For a loop."""
        now = self.clock.now()
        async with db.transaction(self.pool) as connection:
            ending = await app_credentials.ending_before(connection, now, now + ENDS_SOON)
            pruned = {
                "flows": await authorization_flows.prune_flows(connection, now, FLOWS_KEPT),
                "request_ids": await api_keys.prune_requests(connection, now, REQUEST_IDS_KEPT),
                "sessions": await sessions.prune_sessions(connection, now, self.sessions_idle),
                "changes": await tenant_changes.prune_changes(connection, now, self.changes_kept),
            }
        for row in ending:
            logger.warning("app credential ends soon", provider=row.provider, key_name=row.key_name, ends_at=_day(row))
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
            last = await app_credentials.last_end(connection)
        for status in STATUSES | counts.keys():
            TENANTS.labels(status).set(counts.get(status, 0))
        CERTIFICATE_LEFT.set((last - now).total_seconds() if last else 0)
        REFRESH_LAG.set((now - since).total_seconds() if since else 0)
        return 0


def _day(row: AppCredentialRow) -> str:
    return row.expires_at.date().isoformat() if row.expires_at else ""
