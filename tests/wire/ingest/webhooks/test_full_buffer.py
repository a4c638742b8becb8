"""A full buffer refuses honest notifications; items of strangers never fill it."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from services.ingest.server import serving
from services.meshkit.errors import ResourceExhausted
from services.meshkit.ids import new_id
from services.meshkit.server import MeshServer
from tests.factories.ingest import add_watched, graph_body, graph_item
from tests.programs.postgres import TestDatabase
from tests.wire.ingest.conftest import MakeSettings
from tests.wire.ingest.pushing import push_graph

REFUSED = "mailmesh_ingest_refused_total"


def refused() -> float:
    return sum(
        REGISTRY.get_sample_value(REFUSED, {"bound": bound}) or 0 for bound in ("buffered_notifications", "store")
    )


async def until_committing(database: asyncpg.Connection) -> None:
    """Wait until a commit of items waits for the lock. A sweep that waits for it leaves the buffer empty."""
    waiting = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO ingest.items%'
    """
    async with asyncio.timeout(30):
        while not await database.fetchval(waiting):
            await asyncio.sleep(0.01)


async def test_items_of_strangers_neither_take_room_nor_count_as_refused(
    make_settings: MakeSettings,
    clients_of: Callable[[MeshServer], Any],
    ingest_database: TestDatabase,
    database: asyncpg.Connection,
) -> None:
    watched, blocker = await add_watched(database), await asyncpg.connect(ingest_database.url)
    junk = graph_body(*(graph_item(watched, subscriptionId=new_id()) for _ in range(500)))
    async with serving(make_settings(buffer_notifications=1, commit_seconds=10)) as server:
        clients, before = await clients_of(server), refused()
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE ingest.items IN ACCESS EXCLUSIVE MODE")
            # The first is being committed, the second waits in the buffer.
            waiting = [asyncio.create_task(push_graph(clients, graph_body(graph_item(watched, "AAMk1"))))]
            await until_committing(database)
            waiting.append(asyncio.create_task(push_graph(clients, graph_body(graph_item(watched, "AAMk2")))))
            async with asyncio.timeout(30):
                while not REGISTRY.get_sample_value("mailmesh_ingest_buffered_notifications"):
                    await asyncio.sleep(0.01)

            assert ["202"] * 5 == [await push_graph(clients, junk) for _ in range(5)]
            assert before == refused()
            with pytest.raises(ResourceExhausted):
                await push_graph(clients, graph_body(graph_item(watched, "AAMk3"), *[None] * 100))
            assert before + 1 == refused()
        assert ["202"] * 2 == await asyncio.gather(*waiting)
    await blocker.close()
