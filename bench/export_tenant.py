"""The export of a tenant with a hundred thousand events: time, and the memory of the process that reads them."""

import time
from collections.abc import Sequence

import psutil

from bench import measure
from bench.event_store import event_store
from bench.filled_events import fill
from bench.measure import Figure, Options
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.exporting import Place, TenantRows
from services.meshkit.secret import Secret
from services.processor.exporting import EXPORT

QUESTION = "How long does the export of a tenant with 100,000 events take, and what memory does it need?"
METHOD = """A real PostgreSQL contains 100,000 events of one mailbox over 30 days. The code that answers
TokenVault reads all pages of this mailbox, one after the other, in a process that does nothing else. Growth is from the
end of the first fifth."""
EVENTS, QUICK_EVENTS = 100_000, 500
MIB = 2**20
_GIVE = "UPDATE processor.events SET tenant_id = $1"
TENANT = "019a9f0e-0000-7000-8000-000000000000"


async def program(options: Options) -> Sequence[Figure]:
    """Fill the store and export it."""
    count = QUICK_EVENTS if options.is_quick else EVENTS
    async with event_store(is_careless=True) as url:
        await fill(url, count)
        async with open_pool(Secret(url), "bench", DatabaseLimits(connections=2, statement_seconds=300)) as pool:
            await pool.execute(_GIVE, TENANT)
            await pool.execute("ANALYZE processor.events")
            rows, process = TenantRows(pool, EXPORT), psutil.Process()
            memory, sizes, took, exported = [], [], [], 0
            place: Place | None = Place("events")
            began = time.monotonic()
            while place is not None and place.table == "events":
                start = time.monotonic()
                page = await rows.page(TENANT, place)
                took.append(1000 * (time.monotonic() - start))
                exported += len(page.rows)
                sizes.append(sum(len(row.encode()) for row in page.rows))
                memory.append(process.memory_info().rss / MIB)
                place = page.following
            seconds = time.monotonic() - began
    first = memory[len(memory) // 5]
    return [
        Figure("events", exported, "events"),
        Figure("size", sum(sizes) / MIB, "MiB"),
        Figure("time", seconds, "s"),
        Figure("events a second", exported / seconds, "1/s"),
        Figure("a page: p50", measure.median(took), "ms", note=f"{sum(sizes) / len(sizes) / MIB:.2f} MiB"),
        Figure("a page: p99", measure.percentile(took, 99), "ms"),
        Figure("resident memory after a fifth", first, "MiB"),
        Figure("growth after that", max(memory) - first, "MiB", "" if options.is_quick else "<= 24"),
    ]


if __name__ == "__main__":
    measure.main("export_tenant", QUESTION, METHOD, program)
