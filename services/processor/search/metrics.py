"""Metrics of search. Labels are bounded: reasons, never a tenant or a word."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

from services.meshkit.errors import MeshError

REQUESTS = Counter("mailmesh_search_requests_total", "Searches of callers, by outcome.", ["outcome"])
SECONDS = Histogram(
    "mailmesh_search_seconds",
    "Time of a search.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
)
INDEXED = Counter(
    "mailmesh_search_mails_indexed_total", "Mails that were indexed, also those that were indexed before."
)
INDEX_FAILURES = Counter(
    "mailmesh_search_index_failures_total",
    "Turns of a tenant that ended without its next events being indexed, by reason.",
    ["reason"],
)
UNFORESEEN = "INTERNAL"
"""The reason of an exception that is no failure of the catalogue."""


@contextmanager
def measured() -> Iterator[None]:
    """Count a search, and its time."""
    started, outcome = time.perf_counter(), UNFORESEEN.lower()
    try:
        yield
        outcome = "ok"
    except MeshError as exc:
        outcome = exc.reason.lower()
        raise
    finally:
        REQUESTS.labels(outcome).inc()
        SECONDS.observe(time.perf_counter() - started)
