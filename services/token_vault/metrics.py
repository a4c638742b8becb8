"""What TokenVault counts. Labels are bounded: providers, outcomes, actions; never an id."""

from prometheus_client import Counter, Gauge, Histogram

TOKENS_ISSUED = Counter("mailmesh_vault_tokens_issued_total", "Tokens lent, or refused.", ["caller", "outcome"])
REFRESHES = Counter("mailmesh_vault_refreshes_total", "Refreshes at the provider.", ["provider", "outcome"])
REFRESH_SECONDS = Histogram(
    "mailmesh_vault_refresh_seconds",
    "How long the provider took to refresh a token.",
    ["provider"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
REFRESH_LAG = Gauge("mailmesh_vault_refresh_lag_seconds", "How long the oldest due refresh has waited.")
TENANTS = Gauge("mailmesh_vault_tenants", "Tenants by status.", ["status"])
FLOWS = Counter("mailmesh_vault_authorizations_total", "Attempts to connect an account.", ["provider", "outcome"])
SEALS_BROKEN = Counter("mailmesh_vault_seals_broken_total", "Credentials that did not open.")
API_KEY_CHECKS = Counter("mailmesh_vault_api_key_checks_total", "Questions of the edge about API keys.", ["outcome"])
DISCONNECTS = Counter("mailmesh_vault_disconnects_total", "Tenants whose credentials were destroyed.", ["revoked"])
PROBES = Counter("mailmesh_vault_probes_total", "Times that a provider was asked about an account.", ["outcome"])
AUDIT_PRUNED = Counter("mailmesh_vault_audit_partitions_dropped_total", "Months of the audit log that were dropped.")
