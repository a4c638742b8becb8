"""Failures of what the wings store for a mailbox that a caller can act on."""

from services.meshkit.errors import ResourceExhausted


class TenantStorageFull(ResourceExhausted):
    """The tenant's sends, uploads and modifications keep too many bytes. Wait until old ones are deleted."""

    reason = "TENANT_STORAGE_FULL"


class KeyStorageFull(ResourceExhausted):
    """The API key's sends, uploads and modifications keep too many bytes. Wait until old ones are deleted."""

    reason = "KEY_STORAGE_FULL"
