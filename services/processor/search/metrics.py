"""Metrics of search. Labels are bounded: reasons and words of our own, never a tenant or a word of a mail."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

from services.meshkit.errors import MeshError

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
SEARCHES = Counter("mailmesh_processor_searches_total", "Searches of callers, by outcome.", ["outcome"])
SEARCH_SECONDS = Histogram("mailmesh_processor_search_seconds", "Time of a search.", buckets=_BUCKETS)
STEP_SECONDS = Histogram(
    "mailmesh_processor_search_step_seconds", "Time of one step of a search.", ["step"], buckets=_BUCKETS
)
INDEXED = Counter("mailmesh_processor_search_mails_indexed_total", "Mails whose newest state was put into the index.")
_UNFORESEEN = "internal"


@contextmanager
def measured() -> Iterator[None]:
    """Count a search, and its time."""
    started, outcome = time.perf_counter(), _UNFORESEEN
    try:
        yield
        outcome = "ok"
    except MeshError as exc:
        outcome = exc.reason.lower()
        raise
    finally:
        SEARCHES.labels(outcome).inc()
        SEARCH_SECONDS.observe(time.perf_counter() - started)
