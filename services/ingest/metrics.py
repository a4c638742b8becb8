"""Metrics of Ingest. Label values are words from the code, never input from outside."""

from prometheus_client import Counter, Gauge, Histogram

NOTIFICATIONS = Counter(
    "mailmesh_ingest_notifications_total",
    "Notifications by outcome.",
    ["provider", "outcome"],
)
REFUSED = Counter(
    "mailmesh_ingest_refused_total", "Notifications answered 503, by the bound that was reached.", ["bound"]
)
GROUP_SIZE = Histogram(
    "mailmesh_ingest_group_notifications",
    "Notifications in one commit.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
COMMIT_SECONDS = Histogram(
    "mailmesh_ingest_commit_seconds",
    "Duration of one commit of the writer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2),
)
BUFFERED = Gauge("mailmesh_ingest_buffered_notifications", "Notifications that wait for a commit.")
CLAIMED = Counter("mailmesh_ingest_items_claimed_total", "Items leased to workers.")
SETTLED = Counter("mailmesh_ingest_items_settled_total", "Items by the end of their attempt.", ["outcome"])
BURIED = Counter("mailmesh_ingest_items_buried_total", "Items that became dead letters.", ["reason"])
PENDING = Gauge(
    "mailmesh_ingest_pending_items", "Items that wait or are being processed. Every process reports the same total."
)
OLDEST_DUE = Gauge(
    "mailmesh_ingest_oldest_due_seconds", "Age of the oldest item that is due. Every process reports the same."
)
DEAD_LETTERS = Gauge(
    "mailmesh_ingest_dead_letters", "Dead letters that were not retried. Every process reports the same total."
)
RETAINED = Counter("mailmesh_ingest_retention_total", "Rows and partitions removed by retention.", ["what"])
TENANT_CHANGES = Counter("mailmesh_ingest_tenant_changes_total", "Changes of tenants that were applied.")
VALIDATION_TOKENS = Counter(
    "mailmesh_ingest_validation_tokens_total",
    "Validation tokens of notifications with resource data: ok, or once for each refused POST the failed check (number,"
    " format, key_id, signature, time, audience, claims, issuer, publisher).",
    ["check"],
)
CERTIFICATE_EXPIRY = Gauge(
    "mailmesh_ingest_notification_certificate_expiry_timestamp_seconds",
    "The earliest end of a certificate for resource data that is in use. 0: there is none. Every process reports the"
    " same.",
)
CERTIFICATES = Counter(
    "mailmesh_ingest_notification_certificates_total", "Certificates for resource data: made, dropped.", ["change"]
)
SUBSCRIPTION_STEPS = Counter(
    "mailmesh_ingest_subscription_steps_total",
    "Steps of subscriptions (make, renew, delete, ...) by outcome: ok, or the reason of the failure.",
    ["provider", "step", "outcome"],
)
SUBSCRIPTIONS = Gauge(
    "mailmesh_ingest_subscriptions",
    "Subscriptions by state, without deleted ones. Every process reports the same total.",
    ["provider", "state"],
)
SUBSCRIPTION_HEALTH = Gauge(
    "mailmesh_ingest_subscription_health",
    "Subscriptions by resource and health (total, active, expiring, expired, silent, failing, polled); an active one"
    " may be expiring or silent too. Every process reports the same.",
    ["provider", "resource", "health"],
)
SUBSCRIPTION_EXPIRY = Gauge(
    "mailmesh_ingest_subscriptions_soonest_expiry_timestamp_seconds",
    "The earliest expiry of a subscription at the provider.",
    ["provider", "state"],
)
LIFECYCLE = Counter("mailmesh_ingest_lifecycle_worked_total", "Processed lifecycle notifications.", ["event"])
SILENCES = Counter("mailmesh_ingest_silences_total", "Subscriptions that were silent for too long.")
PULLS = Counter(
    "mailmesh_ingest_pulls_total",
    "Pulls from the Pub/Sub subscription by outcome: ok, or the reason of the failure of the pull, its commit or its"
    " acknowledgement.",
    ["outcome"],
)
LAST_PULL = Gauge(
    "mailmesh_ingest_last_pull_timestamp_seconds",
    "When this process last pulled nothing, or acknowledged what it had pulled and committed; at first its start. The"
    " largest of all processes counts: one pulls. 0: nothing is pulled.",
)
