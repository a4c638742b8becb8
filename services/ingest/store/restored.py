"""The statements over watched mailboxes after a restore."""

from collections.abc import Sequence

from mailmesh.ingest.v1.subscription_service_pb2 import SUBSCRIPTION_STATE_DELETED
from services.meshkit import db

_BATCH = 500
_WATCHED = """
    SELECT DISTINCT tenant_id FROM ingest.subscriptions
    WHERE state <> $1 AND ($2::uuid IS NULL OR tenant_id > $2) ORDER BY tenant_id LIMIT $3
"""
_MAKE_DUE = """
    UPDATE ingest.subscriptions SET renew_at = now() WHERE tenant_id = ANY($1::uuid[]) AND renew_at > now()
"""


async def watched_tenants(pool: db.Pool, after: str | None) -> list[str]:
    """Read a batch of the tenants with a subscription that is not deleted, in the order of their ids.

    Args:
        pool: Connections to PostgreSQL.
        after: The tenant after which the batch begins; None begins with the first.
    """
    async with db.connection(pool) as connection:
        rows = await connection.fetch(_WATCHED, SUBSCRIPTION_STATE_DELETED, after, _BATCH)
    return [str(row["tenant_id"]) for row in rows]


async def make_due(pool: db.Pool, tenant_ids: Sequence[str]) -> None:
    """Make the next step of each subscription of these tenants due now. Safe to call again."""
    async with db.connection(pool) as connection:
        await connection.execute(_MAKE_DUE, list(tenant_ids))
