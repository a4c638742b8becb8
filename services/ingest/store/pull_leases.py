"""The lease on the Pub/Sub subscription: of several processes, one pulls."""

from services.meshkit import db

_HOLD = """
INSERT INTO ingest.pull_leases (subscription, holder, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (subscription) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE pull_leases.holder = excluded.holder OR pull_leases.expires_at <= now()
RETURNING true
"""
_RELEASE = "DELETE FROM ingest.pull_leases WHERE subscription = $1 AND holder = $2"


async def hold(connection: db.Connection, subscription: str, holder: str, seconds: float) -> bool:
    """Take the lease, or extend it. Safe to call again.

    Args:
        connection: A connection to PostgreSQL, whose clock counts.
        subscription: The subscription's name.
        holder: The name of the process.
        seconds: The life of the lease.

    Returns:
        False when another process holds it.
    """
    return bool(await connection.fetchval(_HOLD, subscription, holder, seconds))


async def release(connection: db.Connection, subscription: str, holder: str) -> None:
    """End the lease, if this process holds it. Safe to call again."""
    await connection.execute(_RELEASE, subscription, holder)
