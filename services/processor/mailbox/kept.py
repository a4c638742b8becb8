"""The bound of the bytes that requests keep in the store: sends, uploads and modifications, waiting and ended."""

from services.meshkit import db
from services.processor.mailbox.errors import KeyStorageFull, TenantStorageFull
from services.processor.mailbox.store import kept_bytes
from services.processor.mailbox.store.kept_bytes import ROW_BYTES, Kept
from services.processor.settings import ProcessorSettings


async def reserve(
    connection: db.Connection, settings: ProcessorSettings, tenant_id: str, key_id: str | None, size: int
) -> Kept:
    """Refuse a request that would keep more than its tenant or its API key may; the counts stay locked.

    Args:
        connection: A connection in the transaction that stores the request.
        settings: The bounds.
        tenant_id: The tenant.
        key_id: The API key of the call; None for a call of the mesh.
        size: The bytes of the request.

    Returns:
        The bytes that the tenant keeps so far.

    Raises:
        TenantStorageFull: The tenant keeps too many bytes.
        KeyStorageFull: The API key keeps too many bytes.
    """
    kept = await kept_bytes.lock(connection, [tenant_id] if key_id is None else [tenant_id, key_id])
    if kept[tenant_id].total + ROW_BYTES + size > settings.tenant_kept_bytes:
        raise TenantStorageFull(metadata={"tenant_id": tenant_id})
    if key_id is not None and kept[key_id].total + ROW_BYTES + size > settings.key_kept_bytes:
        raise KeyStorageFull(metadata={"api_key_id": key_id})
    return kept[tenant_id]
