"""What Ingest counts. Labels are words from the code, never from the outside."""

from prometheus_client import Counter, Gauge, Histogram

NOTIFICATIONS = Counter(
    "mailmesh_ingest_notifications_total",
    "Notifications by what became of them.",
    ["provider", "outcome"],
)
REFUSED = Counter(
    "mailmesh_ingest_refused_total", "Notifications answered 503, by the bound that was reached.", ["bound"]
)
GROUP_SIZE = Histogram(
    "mailmesh_ingest_group_notifications",
    "Notifications that one commit took.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
COMMIT_SECONDS = Histogram(
    "mailmesh_ingest_commit_seconds",
    "Time of one commit of the writer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2),
)
BUFFERED = Gauge("mailmesh_ingest_buffered_notifications", "Notifications that wait for a commit.")
CLAIMED = Counter("mailmesh_ingest_items_claimed_total", "Items that were given out.")
SETTLED = Counter("mailmesh_ingest_items_settled_total", "Items by how their attempt ended.", ["outcome"])
BURIED = Counter("mailmesh_ingest_items_buried_total", "Items that became dead letters.", ["reason"])
RETAINED = Counter("mailmesh_ingest_retention_total", "What retention removed.", ["what"])
TENANT_CHANGES = Counter("mailmesh_ingest_tenant_changes_total", "Changes of tenants that were followed.")
SUBSCRIPTION_STEPS = Counter(
    "mailmesh_ingest_subscription_steps_total",
    "Steps about subscriptions (make, renew, delete, ...) by how they ended: ok, or the reason of the failure.",
    ["provider", "step", "outcome"],
)
SUBSCRIPTIONS = Gauge(
    "mailmesh_ingest_subscriptions",
    "Subscriptions by state, deleted ones left out. Every process gives the number of all.",
    ["provider", "state"],
)
SUBSCRIPTION_EXPIRY = Gauge(
    "mailmesh_ingest_subscriptions_soonest_expiry_timestamp_seconds",
    "When the first of the subscriptions expires at the provider.",
    ["provider", "state"],
)
LIFECYCLE = Counter("mailmesh_ingest_lifecycle_worked_total", "Lifecycle notifications that were worked.", ["event"])
SILENCES = Counter("mailmesh_ingest_silences_total", "Subscriptions that were quiet for longer than they should be.")
