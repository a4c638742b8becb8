"""The growth of the accepted rate with processes of Ingest, and with tenants and subscriptions."""

from collections.abc import Sequence

from bench import measure
from bench.ingest_machine import Machine, machine
from bench.measure import Figure, Options, median

PROCESSES, QUICK_PROCESSES = (1, 2, 4), (2,)
TENANTS = (10, 1_000, 100_000)
QUICK_TENANTS = (4,)
NAMED = 1_000
SIZES = (1, 20)
SECONDS, WARM_SECONDS = 4.0, 3.0
_DISK = """
SELECT sum(pg_total_relation_size(('ingest.' || name)::regclass))::bigint
FROM unnest(ARRAY['tenants', 'mailboxes', 'subscriptions']) AS name
"""


async def program(options: Options) -> Sequence[Figure]:
    """Measure each size in turn, with programs of its own."""
    found: list[Figure] = []
    for processes in QUICK_PROCESSES if options.is_quick else PROCESSES:
        async with machine(is_plain=False, processes=processes) as made:
            found += await _rates(made, f"processes, {processes}", options)
    for tenants in QUICK_TENANTS if options.is_quick else TENANTS:
        async with machine(min(tenants, NAMED), is_plain=False, strangers=max(0, tenants - NAMED)) as made:
            empty = made.ingest.memory_info().rss
            found += await _rates(made, f"tenants, {tenants:,}", options)
            grown = (made.ingest.memory_info().rss - empty) / 2**20
            found += [
                Figure(f"tenants, {tenants:,}: growth of Ingest's memory under load", grown, "MiB"),
                Figure(f"tenants, {tenants:,}: on disk per tenant", await made.query(_DISK) / tenants / 1024, "KiB"),
            ]
    return found


async def _rates(made: Machine, name: str, options: Options) -> list[Figure]:
    seconds = 0.3 if options.is_quick else SECONDS
    await made.send(made.edge_port, 1, min(seconds, WARM_SECONDS))
    figures = []
    for size in SIZES:
        rates = []
        for _ in range(options.repeats):
            outcome = await made.send(made.edge_port, size, seconds)
            rates.append(outcome.statuses.get("202", 0) * size / outcome.seconds)
        figures.append(Figure(f"{name}: accepted a second, {size} in a POST", median(rates), "1/s"))
    return figures


if __name__ == "__main__":
    measure.main(
        "grow_ingest",
        "How does the rate of accepted notifications grow with processes of Ingest, and with tenants?",
        "The machine is that of accept_webhooks without the plain design: load, Envoy, PostgreSQL and all"
        " processes of Ingest share it, so more processes than processors gain nothing. Every tenant has one"
        f" subscription; the notifications concern at most {NAMED:,} tenants. The disk space of a tenant is its"
        " rows and their indexes.",
        program,
    )
