"""Metrics of Delivery. Labels are bounded: never an id or an address."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

ATTEMPTS = Counter("mailmesh_delivery_attempts_total", "Attempts to deliver a webhook, by outcome.", ["outcome"])
ATTEMPT_SECONDS = Histogram(
    "mailmesh_delivery_attempt_seconds", "From the start of an attempt to its answer or failure.", buckets=_SECONDS
)
EXHAUSTED = Counter("mailmesh_delivery_exhausted_total", "Deliveries that failed to the end of their schedule.")
ENDPOINTS_HELD = Gauge("mailmesh_delivery_endpoints_held", "Endpoints that this process delivers to now.")
ENDPOINTS_ENDED = Counter(
    "mailmesh_delivery_endpoints_ended_total", "Endpoints that became disabled or gone.", ["state"]
)
