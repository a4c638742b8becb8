"""The number of events a second that can be published when no event may become visible behind a reader."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from bench import measure
from bench.event_store import draft, event_store
from bench.measure import Figure, Options
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.store.event_log import EventRow

QUESTION = "How many events a second can be published, and how much does their order cost?"
METHOD = """Several connections publish events of about 6 KB, one mailbox each, for some seconds, into a real PostgreSQL
that waits for its disk at each commit. The comparison writes the same rows with positions from a sequence and without a
lock, so that events can become visible behind a reader. Writers and database share the machine."""

SECONDS = 4.0
QUICK_SECONDS = 0.2
WRITERS = (1, 4, 16)
BATCHES = (1, 20)
_TEXT = "The pallets come on Monday at seven, please keep the gate open. " * 30

_UNORDERED = """
    INSERT INTO processor.events (position, event_id, tenant_id, provider, event_type, kind, received_at,
        basic_size, body_size, raw_size, basic, body, raw)
    SELECT nextval('processor.bench_positions'), e.* FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[],
        $5::smallint[], $6::timestamptz[], $7::integer[], $7::integer[], $7::integer[], $8::bytea[], $9::bytea[],
        $10::bytea[]) AS e
"""

Write = Callable[[Any, Sequence[EventDraft]], Awaitable[object]]


async def program(options: Options) -> Sequence[Figure]:
    """Measure both ways in turn."""
    seconds = QUICK_SECONDS if options.is_quick else SECONDS
    figures = []
    async with (
        event_store(is_careless=False) as url,
        open_pool(Secret(url), "bench", DatabaseLimits(connections=max(WRITERS))) as pool,
    ):
        await pool.execute("CREATE SEQUENCE processor.bench_positions")
        for writers in WRITERS:
            for batch in BATCHES:
                ordered = await rate(pool, publish, writers, batch, seconds)
                unordered = await rate(pool, _publish_unordered, writers, batch, seconds)
                name = f"{writers} writers, {batch} in a transaction"
                figures.append(
                    Figure(f"{name}: published", ordered, "events/s", note=f"without order {unordered:,.0f}")
                )
                figures.append(Figure(f"{name}: share of the rate without order", ordered / unordered, "ratio"))
    return figures


async def rate(pool: Any, write: Write, writers: int, batch: int, seconds: float) -> float:
    """Let so many writers publish so many events a transaction. Return events a second."""
    ends_at = time.monotonic() + seconds
    began = time.monotonic()
    written = await asyncio.gather(*(_write(pool, write, batch, ends_at) for _ in range(writers)))
    return sum(written) / (time.monotonic() - began)


async def _write(pool: Any, write: Write, batch: int, ends_at: float) -> int:
    tenant_id, written = new_id(), 0
    async with pool.acquire() as connection:
        while time.monotonic() < ends_at:
            async with connection.transaction():
                await write(connection, [draft(tenant_id, _TEXT) for _ in range(batch)])
            written += batch
    return written


async def _publish_unordered(connection: Any, drafts: Sequence[EventDraft]) -> None:
    """Write the same rows and keys with positions from a sequence; no writer waits for another."""
    rows: list[EventRow] = [draft_.row(UUID(new_id())) for draft_ in drafts]
    await connection.execute(
        "INSERT INTO processor.event_keys (tenant_id, digest, event_id, is_permanent)"
        " SELECT *, true FROM unnest($1::uuid[], $2::bytea[], $3::uuid[])",
        [row.tenant_id for row in rows], [draft_.key() for draft_ in drafts], [row.event_id for row in rows],
    )  # fmt: skip
    await connection.execute(
        _UNORDERED, [row.event_id for row in rows], [row.tenant_id for row in rows], [row.provider for row in rows],
        [row.event_type for row in rows], [row.kind for row in rows], [row.received_at for row in rows],
        [0 for _ in rows], [row.payload.basic for row in rows], [row.payload.body for row in rows],
        [row.payload.raw for row in rows],
    )  # fmt: skip


if __name__ == "__main__":
    measure.main("publish_events", QUESTION, METHOD, program)
