"""The cost of accepting notifications and leasing items when the inbox is old and full."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from bench import measure
from bench.ingest_machine import Machine, machine
from bench.measure import Figure, Options, median
from services.ingest.store import claims, leases, upkeep
from services.ingest.store.claims import ClaimRequest
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret

OLD_ROWS, QUICK_ROWS = 5_000_000, 2_000
PENDING_ROWS, QUICK_PENDING = 1_000_000, 1_000
SECONDS, WARM_SECONDS = 5.0, 3.0
CLAIMS = 200

# Rows spread over a month, like the partitions and keys of an installation of that age.
AGE = (
    "SET synchronous_commit = off",
    """
    INSERT INTO ingest.worked_items
    SELECT tenant.tenant_id, gen_random_uuid(), 7, at, at, 'done', 1, decode(repeat('ab', 400), 'hex'),
        gen_random_uuid()
    FROM generate_series(1, {rows}) AS number
    CROSS JOIN LATERAL (SELECT now() - number % 30 * interval '1 day' AS at) AS age
    JOIN (SELECT tenant_id, row_number() OVER () - 1 AS place FROM ingest.tenants) AS tenant
        ON tenant.place = number % (SELECT count(*) FROM ingest.tenants)
    """,
    "ALTER TABLE ingest.item_keys DROP CONSTRAINT item_keys_pkey",
    """
    INSERT INTO ingest.item_keys
    SELECT gen_random_uuid(), now() - ({rows} - number) * interval '30 days' / {rows}
    FROM generate_series(1, {rows}) AS number
    """,
    "ALTER TABLE ingest.item_keys ADD PRIMARY KEY (key)",
    "VACUUM ANALYZE ingest.item_keys",
    "ANALYZE ingest.worked_items",
)
FILL = """
INSERT INTO ingest.items (tenant_id, item_id, kind, received_at, content, correlation_id)
SELECT tenant.tenant_id, gen_random_uuid(), 8, now(), '', gen_random_uuid()
FROM generate_series(1, {rows}) AS number
JOIN (SELECT tenant_id, row_number() OVER () - 1 AS place FROM ingest.tenants) AS tenant
    ON tenant.place = number % (SELECT count(*) FROM ingest.tenants)
"""
DUE = "UPDATE ingest.mailboxes SET next_due_at = now()"


async def program(options: Options) -> Sequence[Figure]:
    """Measure a new inbox and an old one in turn, then claim from one with a million waiting items."""
    rows = QUICK_ROWS if options.is_quick else OLD_ROWS
    seconds = 0.3 if options.is_quick else SECONDS
    async with machine(is_plain=False) as new, machine(is_plain=False) as old:
        await _make_old_partitions(old)
        await _execute(old, *(statement.format(rows=rows) for statement in AGE))
        fresh, aged = await _in_turn(new, old, seconds, options.repeats)
        few = await _claims(new, CLAIMS // 10 if options.is_quick else CLAIMS)
        pending = QUICK_PENDING if options.is_quick else PENDING_ROWS
        await _execute(old, FILL.format(rows=pending), DUE, "VACUUM ANALYZE ingest.items")
        many = await _claims(old, CLAIMS // 10 if options.is_quick else CLAIMS)
    return [
        Figure("accepted a second, empty inbox", fresh, "1/s"),
        Figure(f"accepted a second, {rows:,} old rows", aged, "1/s"),
        Figure("share of the empty inbox's rate", aged / fresh, "ratio", "" if options.is_quick else ">= 0.9"),
        Figure("claim and acknowledgement of 100 items", few, "ms"),
        Figure(f"the same with {pending:,} waiting items", many, "ms"),
    ]


async def _in_turn(new: Machine, old: Machine, seconds: float, repeats: int) -> tuple[float, float]:
    rates: dict[int, list[float]] = {new.edge_port: [], old.edge_port: []}
    for made in (new, old):
        await made.send(made.edge_port, 1, min(seconds, WARM_SECONDS))
    for _ in range(repeats + 2):
        for made in (new, old):
            outcome = await made.send(made.edge_port, 1, seconds)
            rates[made.edge_port].append(outcome.statuses.get("202", 0) / outcome.seconds)
    return median(rates[new.edge_port]), median(rates[old.edge_port])


async def _claims(made: Machine, count: int) -> float:
    """Claim and acknowledge as workers do, directly at the store. Return the median of a round, milliseconds."""
    async with open_pool(Secret(made.database_url), "bench", DatabaseLimits(connections=1)) as pool:
        took = []
        for _ in range(count):
            began = time.perf_counter()
            for lease in await claims.claim(pool, ClaimRequest("bench", 100, 1, 60), 5):
                item_ids = [item.item_id for item in lease.items]
                await leases.ack(pool, lease.tenant_id, lease.fence, item_ids, is_kept=False)
            took.append((time.perf_counter() - began) * 1000)
    return median(took)


async def _make_old_partitions(made: Machine) -> None:
    """Create the partitions that a month of operation would have left."""
    today = datetime.now(UTC).date()
    async with open_pool(Secret(made.database_url), "bench", DatabaseLimits(connections=1)) as pool:
        for weeks in range(1, 6):
            await upkeep.make_partitions(pool, today - timedelta(weeks=weeks))


async def _execute(made: Machine, *statements: str) -> None:
    connection = await asyncpg.connect(made.database_url)
    try:
        for statement in statements:
            async with asyncio.timeout(600):
                await connection.execute(statement, timeout=600)
    finally:
        await connection.close()


if __name__ == "__main__":
    measure.main(
        "old_inbox",
        "Does an old inbox cost more than a new one?",
        "Two machines as in accept_webhooks receive one notification in a POST, in turn: one has an empty inbox,"
        " the other has five million processed items in partitions and as many keys. Then items are claimed and"
        " acknowledged a hundred at a time, from the first, and from the second with a million more waiting items.",
        program,
    )
