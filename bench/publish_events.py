"""The number of events a second that can be published when no event may become visible behind a reader."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import psutil

from bench import measure
from bench.event_store import draft, event_store
from bench.measure import Figure, Options, processor_seconds
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.stream.publish import EventDraft, publish
from services.processor.stream.store.event_log import EventRow

QUESTION = "How many events a second can be published, and how much does their order cost?"
METHOD = """Several connections publish events of about 6 KB, one mailbox each, for some seconds, into a real PostgreSQL
that waits for its disk at each commit, by one statement that is a transaction of its own, as the worker does. The
comparison writes the same rows with positions from a sequence and without a lock, so that events can become visible
behind a reader: the plain way by a statement for the keys and one for the rows in a transaction, and also at once, by
one statement as we do. Writers and database share the machine, and the three ways run in turn. CPU is that of all
processes of PostgreSQL for an event, which other load disturbs less than the rates."""

SECONDS = 4.0
QUICK_SECONDS = 0.2
WRITERS = (1, 4, 16)
BATCHES = (1, 20)
_TEXT = "The pallets come on Monday at seven, please keep the gate open. " * 30

_KEYS = """
    INSERT INTO processor.event_keys (tenant_id, digest, event_id, is_permanent)
    SELECT *, true FROM unnest(${}::uuid[], ${}::bytea[], ${}::uuid[])
"""
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
                figures += await _compared(pool, writers, batch, seconds)
    return figures


async def _compared(pool: Any, writers: int, batch: int, seconds: float) -> list[Figure]:
    postgres = psutil.Process(await pool.fetchval("SELECT pg_backend_pid()")).ppid()
    rates, spent = [], []
    for write in (publish, _publish_unordered, _publish_unordered_at_once):
        before = processor_seconds(postgres)
        rates.append(await rate(pool, write, writers, batch, seconds))
        spent.append((processor_seconds(postgres) - before) / (rates[-1] * seconds) * 1e6)
    name, without = f"{writers} writers, {batch} in a transaction", "without order {:,.0f}, at once {:,.0f}"
    return [
        Figure(f"{name}: published", rates[0], "events/s", note=without.format(*rates[1:])),
        Figure(f"{name}: share of the rate without order", rates[0] / rates[1], "ratio"),
        Figure(f"{name}: share of the rate without order, at once", rates[0] / rates[2], "ratio"),
        Figure(f"{name}: CPU of PostgreSQL", spent[0], "us", note=without.format(*spent[1:])),
    ]


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
            await write(connection, [draft(tenant_id, _TEXT) for _ in range(batch)])
            written += batch
    return written


async def _publish_unordered(connection: Any, drafts: Sequence[EventDraft]) -> None:
    """Write the same rows and keys with positions from a sequence; no writer waits for another."""
    rows, keys = _columns(drafts)
    async with connection.transaction():
        await connection.execute(_KEYS.format(1, 2, 3), *keys)
        await connection.execute(_UNORDERED, *rows)


async def _publish_unordered_at_once(connection: Any, drafts: Sequence[EventDraft]) -> None:
    """Write the same by one statement."""
    rows, keys = _columns(drafts)
    await connection.execute(f"WITH keys AS ({_KEYS.format(11, 12, 13)}) {_UNORDERED}", *rows, *keys)


def _columns(drafts: Sequence[EventDraft]) -> tuple[list[list[object]], list[list[object]]]:
    rows: list[EventRow] = [draft_.row(UUID(new_id())) for draft_ in drafts]
    stored: list[list[object]] = [
        [row.event_id for row in rows], [row.tenant_id for row in rows], [row.provider for row in rows],
        [row.event_type for row in rows], [row.kind for row in rows], [row.received_at for row in rows],
        [0 for _ in rows], [row.payload.basic for row in rows], [row.payload.body for row in rows],
        [row.payload.raw for row in rows],
    ]  # fmt: skip
    return stored, [
        [row.tenant_id for row in rows], [draft_.key() for draft_ in drafts], [row.event_id for row in rows]
    ]  # fmt: skip


if __name__ == "__main__":
    measure.main("publish_events", QUESTION, METHOD, program)
