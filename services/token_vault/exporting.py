"""How TokenVault's rows of a tenant are written in an export. Credentials never are."""

from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.exporting import Export
from services.meshkit.exporting_forms import DIGEST, SECRET, form
from services.token_vault.migrate import SCHEMA

FORMS = {
    "authorization_flows": form(
        left_out={"kept": SECRET, **dict.fromkeys(("ticket_digest", "browser_digest", "state_digest"), DIGEST)}
    ),
    "content_keys": form(left_out={"wrapped": SECRET}),
    "person_erasures": form(left_out={"digest_key": SECRET}),
    "tenant_changes": form({"tenant": tenant_pb2.Tenant}),
    "tenant_keys": form(left_out={"wrapped": SECRET}),
    "tenant_tokens": form(left_out={"access_token": SECRET, "refresh_token": SECRET}),
}
"""The forms of tables that have more than texts, numbers and times; a test knows every column of bytes."""
KEPT = ("audit_entries", "erasures")
"""The audit log, and the reports of erasures: they are the operator's, and stay when a tenant is erased."""
EXPORT = Export("vault", SCHEMA.head, FORMS, kept=KEPT)
