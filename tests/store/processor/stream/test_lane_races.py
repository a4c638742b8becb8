"""Publishers within and outside of transactions race, and die, while lanes are added: readers miss nothing."""

import asyncio
import random
from collections.abc import Sequence

import asyncpg
import pytest

from mailmesh.processor.v1 import event_pb2
from services.meshkit import db
from services.meshkit.errors import StoreUnavailable
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EARLIEST, EventReader
from services.processor.stream.publish import publish
from services.processor.stream.store import event_log
from tests.store.processor.stream.conftest import mail_draft

EVERYTHING = Selection(tenants=None)
SECONDS = 4.0
PUBLISHERS, READERS = 5, 2
_KILL = """
    SELECT count(pg_terminate_backend(pid)) FROM (
        SELECT pid FROM pg_stat_activity WHERE query LIKE '%INSERT INTO processor.event_keys%' AND state <> 'idle'
            AND pid <> pg_backend_pid() AND datname = current_database() LIMIT 1) AS one
"""


class RolledBackError(Exception):
    """A publisher changes its mind."""


def change_mind(chance: random.Random) -> None:
    if chance.random() < 0.1:
        raise RolledBackError


async def publish_on(pool: db.Pool, chance: random.Random, ends_at: float) -> None:
    clock = asyncio.get_running_loop().time
    while clock() < ends_at:
        drafts = [mail_draft() for _ in range(chance.choice((1, 1, 3)))]
        try:
            if chance.random() < 0.5:
                async with db.connection(pool) as connection:
                    await publish(connection, drafts)
            else:
                async with db.transaction(pool) as connection:
                    await publish(connection, drafts)
                    await asyncio.sleep(chance.choice((0, 0, 0.01)))
                    change_mind(chance)
        except (RolledBackError, StoreUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            continue


async def read_on(pool: db.Pool, seen: list[str], is_over: asyncio.Event) -> None:
    reader = EventReader(pool)
    cursor = await reader.start("", EARLIEST)
    while True:
        was_over = is_over.is_set()
        try:
            page = await reader.page(cursor, EVERYTHING, event_pb2.EVENT_VIEW_BASIC, 7)
        except StoreUnavailable:  # no connection was free in time: a reader repeats the page
            continue
        seen.extend(event.mail.event_id for event in page.events)
        cursor = page.next
        if was_over and not page.has_more and page.is_settled:
            return


async def committed(pool: db.Pool) -> Sequence[str]:
    rows = await pool.fetch("SELECT event_id::text AS id FROM processor.events ORDER BY position")
    return [row["id"] for row in rows]


@pytest.mark.parametrize("seed", [1, 2])
async def test_readers_miss_nothing_while_publishers_of_both_ways_race_and_die(pool: db.Pool, seed: int) -> None:
    await pool.execute("DELETE FROM processor.stream WHERE id > 1")
    chance, is_over = random.Random(seed), asyncio.Event()
    ends_at = asyncio.get_running_loop().time() + SECONDS
    seen: list[list[str]] = [[] for _ in range(READERS)]
    readers = [asyncio.create_task(read_on(pool, each, is_over)) for each in seen]
    publishers = [
        asyncio.create_task(publish_on(pool, random.Random(chance.random()), ends_at)) for _ in range(PUBLISHERS)
    ]
    killed = 0
    while not all(one.done() for one in publishers):
        await asyncio.sleep(0.2)
        killed += await pool.fetchval(_KILL)
        if asyncio.get_running_loop().time() > ends_at - SECONDS / 2:
            async with db.connection(pool) as connection:
                await event_log.add_lanes(connection)
    await asyncio.gather(*publishers)
    is_over.set()
    await asyncio.gather(*readers)

    stored = await committed(pool)
    assert killed
    assert len(stored) > 100
    assert [stored] * READERS == seen
