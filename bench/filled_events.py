"""Fill the store with millions of events, and choose random positions in it."""

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from bench.event_store import draft
from services.processor.stream.cursor import Cursor, tag_of
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EventReader, EventView
from services.processor.stream.serialization import split
from services.processor.stream.store.retention import make_partition

TENANTS = 200
DAYS = 30
_BATCH = 50_000
_SEED = 20261121

# Event n of a whole: tenant n % 200, but one in 100,000 is a rare tenant's; one in 10,000 is a tenant's event; one in
# 100 is a replay. Ids grow with the position, as those of UUIDv7 do.
_FILL = """
    INSERT INTO processor.events (position, event_id, tenant_id, provider, event_type, kind, received_at, replay_id,
        original_event_id, basic_size, body_size, raw_size, basic, body, raw)
    SELECT $1 + n * $2, (lpad(to_hex(($1 + n * $2) / 1000), 12, '0') || '7000800' || lpad(to_hex(n), 13, '0'))::uuid,
        (CASE WHEN n % 100000 = 7 THEN $8 ELSE ($3::uuid[])[n % $4 + 1] END), 'ms365',
        CASE WHEN n % 10000 = 5 THEN 'tenant.disabled' WHEN n % 3 = 0 THEN 'mail.updated' ELSE 'mail.created' END, 1,
        to_timestamp(($1 + n * $2) / 1000000.0), CASE WHEN n % 100 = 3 THEN $8 END, CASE WHEN n % 100 = 3 THEN $8 END,
        length($5::bytea), 2000, 2000, $5, $6, $7
    FROM generate_series($9::bigint, $10::bigint) AS n
"""


def tenant(number: int) -> str:
    """Return the id of one of the tenants."""
    return str(UUID(int=0x019A9F0E_0000_7000_8000_000000000000 + number))


RARE = tenant(10_000)


async def fill(url: str, count: int) -> float:
    """Put events of the last thirty days into an empty store. Return the number of events a second."""
    began = time.monotonic()
    connection = await asyncpg.connect(url)
    try:
        today = datetime.now(UTC).date()
        for day in range(-DAYS - 1, 1):
            await make_partition(connection, today + timedelta(days=day))
        start = int((datetime.now(UTC) - timedelta(days=DAYS)).timestamp() * 1_000_000)
        step = DAYS * 86_400_000_000 // count
        await _insert(connection, start, step, count)
        await connection.execute(
            "UPDATE processor.stream SET head = last.position, head_event_id = last.event_id FROM"
            " (SELECT position, event_id FROM processor.events ORDER BY position DESC LIMIT 1) AS last WHERE id = 1"
        )
        await connection.execute("ANALYZE processor.events")
    finally:
        await connection.close()
    return count / (time.monotonic() - began)


async def _insert(connection: Any, start: int, step: int, count: int) -> None:
    sample = draft(tenant(0), "The pallets come on Monday at seven, please keep the gate open. " * 8).mail
    assert sample is not None
    payload, tenants = split(sample), [tenant(number) for number in range(TENANTS)]
    for first in range(0, count, _BATCH):
        last = min(first + _BATCH, count) - 1
        await connection.execute(
            _FILL, start, step, tenants, TENANTS, payload.basic, payload.body, payload.raw, RARE, first, last
        )
        if first % (20 * _BATCH) == 0:
            print(f"  {first:,} events", flush=True)


async def cursors(pool: Any, count: int) -> list[Cursor]:
    """Return random positions of events over the whole stream."""
    chance = random.Random(_SEED)
    low, high, epoch = await pool.fetchrow(
        "SELECT (SELECT min(position) FROM processor.events), head, epoch FROM processor.stream WHERE id = 1"
    )
    found = []
    for _ in range(count):
        row = await pool.fetchrow(
            "SELECT position, event_id FROM processor.events WHERE position >= $1 ORDER BY position LIMIT 1",
            chance.randint(low, high),
        )
        found.append(Cursor(epoch, row["position"], tag_of(row["event_id"])))
    return found


async def timed_pages(
    pool: Any, selection: Selection, view: EventView, page_events: int, pages: int
) -> tuple[list[float], float]:
    """Read pages at random cursors, one after the other; the first three only warm up.

    Returns:
        The milliseconds of each page, and the mean number of events in a page.
    """
    reader, took, given = EventReader(pool), [], 0
    for cursor in await cursors(pool, pages + 3):
        began = time.perf_counter()
        page = await reader.page(cursor, selection, view, page_events)
        took.append((time.perf_counter() - began) * 1000)
        given += len(page.events)
    return took[3:], given / len(took)
