"""The growth of reading and publishing times with the number of stored events."""

from collections.abc import Sequence
from typing import Any

from bench import measure
from bench.event_store import event_store
from bench.filled_events import fill, tenant, timed_pages
from bench.measure import Figure, Options, median, percentile
from bench.publish_events import rate
from mailmesh.processor.v1 import event_pb2
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret
from services.processor.stream.filter import Selection
from services.processor.stream.publish import publish

STORED = (10_000, 100_000, 1_000_000, 10_000_000)
QUICK_STORED = (500, 1_000)
PAGE, PAGES, QUICK_PAGES = 50, 300, 3
WRITERS, BATCH, SECONDS = 4, 20, 4.0
_BYTES = "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relname LIKE 'event%' AND relkind = 'r'"


async def program(options: Options) -> Sequence[Figure]:
    """Measure each size on a store of its own."""
    figures: list[Figure] = []
    for stored in QUICK_STORED if options.is_quick else STORED:
        async with event_store(is_careless=False) as url:
            await fill(url, stored)
            async with open_pool(Secret(url), "bench", DatabaseLimits(connections=WRITERS)) as pool:
                figures += await _of(pool, stored, options)
    return figures


async def _of(pool: Any, stored: int, options: Options) -> list[Figure]:
    pages = QUICK_PAGES if options.is_quick else PAGES
    each = await pool.fetchval(_BYTES) / stored
    found = [Figure(f"events, {stored:,}: on disk per event of about 2 KB", each, "bytes")]
    for name, selection in (("any mailbox", Selection(None)), ("one mailbox", Selection(frozenset({tenant(7)})))):
        took, _ = await timed_pages(pool, selection, event_pb2.EVENT_VIEW_BASIC, PAGE, pages)
        found += [
            Figure(f"events, {stored:,}: a page of {name}, p50", median(took), "ms"),
            Figure(f"events, {stored:,}: a page of {name}, p99", percentile(took, 99), "ms"),
        ]
    published = await rate(pool, publish, WRITERS, BATCH, 0.2 if options.is_quick else SECONDS)
    return [*found, Figure(f"events, {stored:,}: published by {WRITERS} writers", published, "events/s")]


if __name__ == "__main__":
    measure.main(
        "grow_events",
        "How do ten million stored events affect a reader and a writer?",
        "Stores contain events of 200 mailboxes over 30 days, one partition a day. The code that answers"
        f" `ListEvents` reads pages of {PAGE} events at random cursors, one after the other. Then {WRITERS}"
        f" connections publish {BATCH} events in a transaction, and PostgreSQL waits for its disk at each commit.",
        program,
    )
