"""Metrics of Primitives. Labels are bounded: never a name or content of a file."""

from prometheus_client import Counter, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)

CONTENTS = Counter(
    "mailmesh_primitives_contents_total", "Mails and documents that were read, by outcome.", ["operation", "outcome"]
)
CONTENT_SECONDS = Histogram(
    "mailmesh_primitives_content_seconds",
    "From a call to its answer, the wait for a process included.",
    ["operation"],
    buckets=_SECONDS,
)
