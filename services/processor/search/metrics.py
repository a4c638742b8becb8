"""Metrics of search. Labels are bounded: they are words of our own."""

from prometheus_client import Counter, Histogram

SEARCHES = Counter("mailmesh_processor_searches_total", "Pages of search, by outcome.", ["outcome"])
SEARCH_SECONDS = Histogram(
    "mailmesh_processor_search_seconds",
    "Time of one step of a page of search.",
    ["step"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
INDEXED = Counter("mailmesh_processor_search_mails_indexed_total", "Mails whose newest state was put into the index.")
