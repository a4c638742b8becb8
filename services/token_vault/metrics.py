"""Metrics of TokenVault. Their labels are bounded: providers, outcomes, actions; never an id."""

from prometheus_client import Counter, Gauge, Histogram

TOKENS_ISSUED = Counter("mailmesh_vault_tokens_issued_total", "Tokens lent, or refused.", ["caller", "outcome"])
REFRESHES = Counter("mailmesh_vault_refreshes_total", "Refreshes at the provider.", ["provider", "outcome"])
REFRESH_SECONDS = Histogram(
    "mailmesh_vault_refresh_seconds",
    "Time that the provider took to refresh a token.",
    ["provider"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
REFRESH_LAG = Gauge("mailmesh_vault_refresh_lag_seconds", "How long the oldest due refresh has waited.")
CERTIFICATE_LEFT = Gauge(
    "mailmesh_vault_certificate_left_seconds",
    "Time until the last client certificate of the app at Microsoft ends; 0 without any, negative once it has ended.",
)
TENANTS = Gauge("mailmesh_vault_tenants", "Tenants by status.", ["status"])
FLOWS = Counter("mailmesh_vault_authorizations_total", "Attempts to connect an account.", ["provider", "outcome"])
SEALS_BROKEN = Counter("mailmesh_vault_seals_broken_total", "Credentials that did not open.")
API_KEY_CHECKS = Counter("mailmesh_vault_api_key_checks_total", "Checks of API keys for the edge.", ["outcome"])
DISCONNECTS = Counter("mailmesh_vault_disconnects_total", "Tenants whose credentials were destroyed.", ["revoked"])
PROBES = Counter("mailmesh_vault_probes_total", "Probes of accounts at their provider.", ["outcome"])
AUDIT_PRUNED = Counter("mailmesh_vault_audit_partitions_dropped_total", "Dropped months of the audit log.")
