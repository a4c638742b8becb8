"""How long does a page of `ListEvents` take at any cursor of five million events?"""

import argparse
import random
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from bench import measure
from bench.event_store import draft, event_store
from bench.measure import Figure, Options
from mailmesh.processor.v1 import event_pb2
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret
from services.processor.cursor import Cursor, tag_of
from services.processor.payloads import split
from services.processor.reading import EventReader, EventView
from services.processor.selection import Selection
from services.processor.store.retention import make_partition

QUESTION = "How long does a page of 50 events take, at any cursor of five million events?"
METHOD = """Events of 200 mailboxes over 30 days, one partition a day, are put into a real PostgreSQL. Pages are read by
the code that answers `ListEvents`, at cursors drawn by chance over the whole range, one after the other; each page is
three statements or more, and the messages built from them. The seed is fixed."""

EVENTS = 5_000_000
QUICK_EVENTS = 20_000
TENANTS = 200
DAYS = 30
PAGE = 50
PAGES = 400
QUICK_PAGES = 5
TARGET_MS = 20
_BATCH = 50_000
_SEED = 20261121
BASIC, FULL = event_pb2.EVENT_VIEW_BASIC, event_pb2.EVENT_VIEW_FULL

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


async def program(options: Options) -> Sequence[Figure]:
    """Fills the store and reads it."""
    count = QUICK_EVENTS if options.is_quick else _events
    async with event_store(is_careless=True) as url:
        filled = await _fill(url, count)
        async with open_pool(Secret(url), "bench", DatabaseLimits(connections=4)) as pool:
            figures = [Figure("events", count, "events"), filled]
            for name, selection, view in _cases():
                figures += await _read(pool, name, selection, view, QUICK_PAGES if options.is_quick else PAGES)
            return figures


def _tenant(number: int) -> str:
    return str(UUID(int=0x019A9F0E_0000_7000_8000_000000000000 + number))


RARE = _tenant(10_000)


def _cases() -> list[tuple[str, Selection, EventView]]:
    return [
        ("any event", Selection(None), BASIC),
        ("any event, whole", Selection(None), FULL),
        ("one mailbox of 200", Selection(frozenset({_tenant(7)})), BASIC),
        ("40 mailboxes of 200", Selection(frozenset(map(_tenant, range(40)))), BASIC),
        ("150 mailboxes of 200", Selection(frozenset(map(_tenant, range(150)))), BASIC),
        ("a mailbox with one event in 100,000", Selection(frozenset({RARE})), BASIC),
        ("a type that one event in 10,000 has", Selection(None, event_types=["tenant.*"], kinds=("tenant",)), BASIC),
        ("a type that no event has", Selection(None, event_types=["mail.deleted"]), BASIC),
    ]


async def _fill(url: str, count: int) -> Figure:
    """Puts events of the last thirty days into the store."""
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
            " (SELECT position, event_id FROM processor.events ORDER BY position DESC LIMIT 1) AS last"
        )
        await connection.execute("ANALYZE processor.events")
    finally:
        await connection.close()
    return Figure("filling", count / (time.monotonic() - began), "events/s")


async def _insert(connection: Any, start: int, step: int, count: int) -> None:
    sample = draft(_tenant(0), "The pallets come on Monday at seven, please keep the gate open. " * 8).mail
    assert sample is not None
    payload, tenants = split(sample), [_tenant(number) for number in range(TENANTS)]
    for first in range(0, count, _BATCH):
        last = min(first + _BATCH, count) - 1
        await connection.execute(
            _FILL, start, step, tenants, TENANTS, payload.basic, payload.body, payload.raw, RARE, first, last
        )
        if first % (20 * _BATCH) == 0:
            print(f"  {first:,} events", flush=True)


async def _read(pool: Any, name: str, selection: Selection, view: EventView, pages: int) -> list[Figure]:
    """Reads pages at cursors drawn by chance."""
    reader, took, given = EventReader(pool), [], 0
    for cursor in await _cursors(pool, pages + 3):
        began = time.perf_counter()
        page = await reader.page(cursor, selection, view, PAGE)
        took.append((time.perf_counter() - began) * 1000)
        given += len(page.events)
    warm = took[3:]
    return [
        Figure(f"{name}: p50", measure.median(warm), "ms", note=f"{given / len(took):.0f} events a page"),
        Figure(f"{name}: p99", measure.percentile(warm, 99), "ms", f"<= {TARGET_MS}"),
    ]


async def _cursors(pool: Any, count: int) -> list[Cursor]:
    """Positions of events, spread by chance over the whole stream."""
    chance = random.Random(_SEED)
    low, high, epoch = await pool.fetchrow(
        "SELECT (SELECT min(position) FROM processor.events), head, epoch FROM processor.stream"
    )
    found = []
    for _ in range(count):
        row = await pool.fetchrow(
            "SELECT position, event_id FROM processor.events WHERE position >= $1 ORDER BY position LIMIT 1",
            chance.randint(low, high),
        )
        found.append(Cursor(epoch, row["position"], tag_of(row["event_id"])))
    return found


def _asked_events() -> int:
    """Takes `--events N` out of the command line."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--events", type=int, default=EVENTS)
    found, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    return int(found.events)


_events = EVENTS

if __name__ == "__main__":
    _events = _asked_events()
    measure.main("list_events", QUESTION, METHOD, program)
