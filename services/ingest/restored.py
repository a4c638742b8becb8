"""Compare every mailbox with its provider after the database went back to a backup.

The provider may have announced changes after the backup, and may have renewed or dropped subscriptions. A comparison
finds the former; a renewal that is due at once finds the latter.
"""

from mailmesh.ingest.v1.inbox_item_pb2 import ReconcileReason
from services.ingest.errors import TenantDisconnected, TenantNotFound
from services.ingest.store import restored
from services.ingest.store.reconciles import ReconcileRequest, enqueue_for_tenant
from services.meshkit import db


async def compare_everything(pool: db.Pool) -> int:
    """Queue a comparison of every watched mailbox, and make every living subscription due for renewal.

    Run it after the migrations and before the services run. Safe to call again: yes; comparisons that are pending
    already are not duplicated.

    Args:
        pool: Connections to PostgreSQL.

    Returns:
        The number of mailboxes.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached.
    """
    wanted = ReconcileRequest(ReconcileReason.RECONCILE_REASON_MISSED)
    compared, after = 0, None
    while tenants := await restored.watched_tenants(pool, after):
        for tenant_id in tenants:
            compared += await _compare(pool, tenant_id, wanted)
        await restored.make_due(pool, tenants)
        after = tenants[-1]
    return compared


async def _compare(pool: db.Pool, tenant_id: str, wanted: ReconcileRequest) -> bool:
    """Queue one comparison, unless the tenant is gone or its items are discarded."""
    try:
        await enqueue_for_tenant(pool, tenant_id, wanted)
    except (TenantDisconnected, TenantNotFound):
        return False
    return True
