"""Tenants that are due for work: for the next step of disconnecting, or for a probe of the account."""

from datetime import datetime, timedelta

from services.meshkit.db import Connection, affected

_DISCONNECTING = """
SELECT t.tenant_id::text AS tenant_id FROM vault.tenants t LEFT JOIN vault.tenant_tokens o USING (tenant_id)
WHERE t.status = 'disconnecting' AND (t.released_at IS NOT NULL OR t.status_changed_at <= $2)
  AND (o.tenant_id IS NULL
    OR ((o.refresh_until IS NULL OR o.refresh_until < $1)
      AND (o.refresh_not_before IS NULL OR o.refresh_not_before <= $1)))
ORDER BY t.status_changed_at LIMIT $3
"""
_CLAIM_PROBES = """
UPDATE vault.tenants SET probe_at = $2 WHERE tenant_id IN (
  SELECT tenant_id FROM vault.tenants WHERE probe_at <= $1 AND status IN ('active', 'error')
  ORDER BY probe_at LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING tenant_id::text AS tenant_id
"""
# A tenant that came into error while its probe ran keeps the probe that is scheduled for its error.
_SCHEDULE_PROBE = """
UPDATE vault.tenants SET probe_at = $2, probe_failures = $3
WHERE tenant_id = $1 AND ($2::timestamptz IS NOT NULL OR status <> 'error')
"""
_SCHEDULE_PROBES_OF = """
UPDATE vault.tenants SET probe_at = $2, address_checked_at = $2
WHERE provider = $1 AND status = 'active'
  AND NOT EXISTS (SELECT 1 FROM vault.tenants WHERE provider = $1 AND address_checked_at > $3)
"""


async def disconnecting(connection: Connection, now: datetime, begun_before: datetime, limit: int) -> list[str]:
    """Find tenants for the next step of disconnecting: released or started long enough ago, and unclaimed."""
    return [row["tenant_id"] for row in await connection.fetch(_DISCONNECTING, now, begun_before, limit)]


async def claim_probes(connection: Connection, now: datetime, lease: timedelta, limit: int) -> list[str]:
    """Claim tenants that are due for a probe. A probe without an outcome is due again after the lease."""
    return [row["tenant_id"] for row in await connection.fetch(_CLAIM_PROBES, now, now + lease, limit)]


async def schedule_probe(connection: Connection, tenant_id: str, at: datetime | None, failures: int) -> None:
    """Set the time of the next probe of an account; None for never."""
    await connection.execute(_SCHEDULE_PROBE, tenant_id, at, failures)


async def schedule_probes_of(connection: Connection, provider: str, at: datetime, again_after: timedelta) -> int:
    """Schedule a probe of all active accounts of a provider, unless one was scheduled a short time ago.

    Returns:
        The number of scheduled probes.
    """
    return affected(await connection.execute(_SCHEDULE_PROBES_OF, provider, at, at - again_after))
