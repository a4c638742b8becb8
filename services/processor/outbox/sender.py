"""Whether a tenant may send."""

from services.meshkit import db
from services.processor.errors import AbilityNotGranted, TenantNotFound
from services.processor.stream.store import tenants
from services.providers.abilities import MAIL_SEND, connect_command


async def provider_of_sender(connection: db.Connection, tenant_id: str) -> str:
    """Return the provider of a tenant that may send.

    Raises:
        TenantNotFound: It is unknown or disconnected.
        AbilityNotGranted: It has not granted sending.
    """
    found = await tenants.granted(connection, tenant_id)
    if found is None:
        raise TenantNotFound.of(tenant_id)
    provider, abilities = found
    if MAIL_SEND not in abilities:
        command = connect_command(provider, tenant_id, (MAIL_SEND,))
        metadata = {"ability": MAIL_SEND, "tenant_id": tenant_id, "command": command}
        message = f"The tenant has not granted {MAIL_SEND}. Connect its account again with this ability: {command}"
        raise AbilityNotGranted(message, subject=tenant_id, metadata=metadata)
    return provider
