"""TokenVault's tables that may name a person: names that operators gave, and words of providers.

The address of an attempt to connect is that of an account; it may be another one than the tenant's in the end.
"""

from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.erasing_steps import Bound, rewriting
from services.meshkit.persons import Person, message, text


def _hint(value: str, person: Person) -> str:
    """Codec of an address that the provider's page shows."""
    return "" if person.is_in(value) else value


PERSONS = (
    rewriting("tenants", {"tenant_id": "uuid"}, {"display_name": text, "status_detail": text}, bound=Bound.START),
    rewriting("tenant_changes", {"position": "bigint"}, {"tenant": message(tenant_pb2.Tenant)}, bound=Bound.START),
    rewriting(
        "authorization_flows",
        {"flow_id": "uuid"},
        {"login_hint": _hint, "display_name": text, "detail": text},
        bound=Bound.START,
    ),
)
"""The steps."""

_WORD, _ID, _SEALED, _DIGEST = "a word of our own", "an id", "sealed", "a digest"
_ALLOWED = "the organisation's own mailboxes, which an operator has listed; each is the account of a tenant"
_KEYS = "of the installation or of an operator, of no tenant"
FREE = {
    "tenants": {
        "provider": _WORD,
        "directory_id": _ID,
        "external_account": "the tenant's own account",
        "external_tenant_id": _ID,
        "user_id": _ID,
        "address": "the tenant's own account",
        "status": _WORD,
        "status_reason": _WORD,
        "grant_fault": _WORD,
        "requested_abilities": _WORD,
    },
    "content_keys": {"key_encryption_key_id": _ID, "wrapped": _SEALED},
    "tenant_keys": {"key_encryption_key_id": _ID, "wrapped": _SEALED},
    "tenant_tokens": {
        "token_type": _WORD,
        "scopes": _WORD,
        "access_token": _SEALED,
        "refresh_token": _SEALED,
        "last_refresh_error": _WORD,
    },
    "tenant_changes": {"previous_status": _WORD, "correlation_id": _ID},
    "authorization_flows": {
        "provider": _WORD,
        "started_by": _ID,
        "step": _WORD,
        "kept": _SEALED,
        "ticket_digest": _DIGEST,
        "browser_digest": _DIGEST,
        "state_digest": _DIGEST,
        "reason": _WORD,
        "correlation_id": _ID,
        "abilities": _WORD,
        "directory_id": _ID,
        "allowed_addresses": _ALLOWED,
    },
    "people": {"person": "a digest of an operator's account, of no tenant"},
    "directories": {
        "provider": _WORD,
        "directory_id": _ID,
        "roles": _WORD,
        "allowed_addresses": _ALLOWED,
        "administrator": "the operator's contact of the organisation, an account of it",
    },
    "app_credentials": {
        "private_key": _SEALED,
        "wrapped": _SEALED,
        **dict.fromkeys(
            ("provider", "key_name", "account", "client_id", "certificate", "key_encryption_key_id"), _KEYS
        ),
    },
    "key_encryption_keys": {"key_id": _KEYS, "check_value": _KEYS},
    "writing_key": {"key_id": _KEYS},
    "processes": {"key_ids": _KEYS},
    "api_keys": dict.fromkeys(("display_name", "prefix", "digest", "role", "created_by", "abilities"), _KEYS),
    "request_ids": {"owner": _KEYS, "digest": _DIGEST},
    "sessions": {"digest": _DIGEST},
    "erasures": dict.fromkeys(("parts", "report", "signature", "certificate"), "counts, and their signature"),
    "person_erasures": {
        "address": "emptied at the end of the erasure",
        "address_digest": _DIGEST,
        "digest_key": "a random key, emptied at the end of the erasure",
        "progress": "names of tables, times and counts",
        **dict.fromkeys(("parts", "report", "signature", "certificate"), "counts, and their signature"),
    },
    "erased_tenants": {"removed": "counts"},
    "erased_persons": {
        "removed": "counts",
        **dict.fromkeys(("bounds", "reached"), "emptied at the end of the erasure"),
    },
    "audit_entries": {
        "actor": _ID,
        "action": _WORD,
        "outcome": _WORD,
        "detail": "ids, digests, and the notes of operators, which the log keeps until its retention ends",
        "correlation_id": _ID,
    },
}
"""The other columns of text or bytes, with the reason why they name no person; a test knows every column."""
