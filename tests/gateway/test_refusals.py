"""Ingest learns how many notifications the edge itself refused, and has the mailboxes reconciled."""

from datetime import UTC, datetime

import asyncpg
import httpx
import pytest

from services.ingest.errors import EdgeUnavailable
from services.ingest.inbox.upkeep import Upkeep
from services.ingest.settings import IngestSettings
from services.ingest.store import refusals
from services.ingest.webhooks.edge_refusals import EdgeRefusals
from services.meshkit.clock import SystemClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret
from services.meshkit.settings import load
from stack.ports import free_port
from tests.factories.ingest import add_watched
from tests.gateway.conftest import Edge, StartEdge
from tests.programs.postgres import TestDatabase

NOW = datetime(2026, 11, 21, 9, 0, 30, tzinfo=UTC)


async def push(edge: Edge, count: int) -> int:
    """Push so often; return how many pushes were refused."""
    answers = [await edge.client.post("/api/ms365/webhook", content=b"{}") for _ in range(count)]
    return sum(answer.status_code == 503 for answer in answers)


async def test_a_rise_of_the_edges_refusals_has_the_mailboxes_compared(
    start_edge: StartEdge, ingest_database: TestDatabase
) -> None:
    edge = await start_edge(webhooks_per_second=1, webhooks_burst=5)
    url = f"http://127.0.0.1:{edge.metrics_port}"
    database: asyncpg.Connection = await asyncpg.connect(ingest_database.url)
    watched = await add_watched(database)
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        open_pool(Secret(ingest_database.url), "ingest", DatabaseLimits(connections=4)) as pool,
    ):
        lookers = [EdgeRefusals(http, (url,), pool, SystemClock()) for _ in range(2)]
        await lookers[0].round()
        refused = await push(edge, 40)
        for looker in (*lookers, *lookers):
            await looker.round()
        noted = await database.fetchval("SELECT sum(notifications) FROM ingest.refusals")
        await database.execute("UPDATE ingest.refusals SET minute = minute - interval '5 minutes'")
        settings = load(
            IngestSettings,
            database_url=ingest_database.url,
            tls_cert="/dev/null", tls_key="/dev/null", tls_ca="/dev/null",
            token_vault_address="127.0.0.1:1",
            refusals_to_reconcile=20,
            reconcile_spread_seconds=0,
        )  # fmt: skip
        upkeep = Upkeep(settings, pool, SystemClock())
        await upkeep.round()
        await upkeep.round()
    waiting = await database.fetch("SELECT tenant_id::text FROM ingest.items WHERE kind = 10")
    await database.close()

    assert refused > 20
    # Two processes poll the same edge: a refusal is recorded once.
    assert refused == noted
    assert [watched.tenant_id] == [item["tenant_id"] for item in waiting]


async def test_an_edge_that_starts_anew_counts_from_nothing(ingest_database: TestDatabase) -> None:
    async with open_pool(Secret(ingest_database.url), "ingest", DatabaseLimits(connections=2)) as pool:
        totals = (1000, 1010, 1010, 4, 6)

        assert [0, 10, 0, 4, 2] == [
            await refusals.note_edge_total(pool, "http://edge-1", total, NOW) for total in totals
        ]
        assert 0 == await refusals.note_edge_total(pool, "http://edge-2", 7, NOW)
        async with pool.acquire() as connection:
            found = await connection.fetch("SELECT minute, notifications, is_answered FROM ingest.refusals")
    assert [(NOW.replace(second=0), 16, False)] == [tuple(row) for row in found]


async def test_an_edge_that_does_not_answer_is_said_so(ingest_database: TestDatabase) -> None:
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        open_pool(Secret(ingest_database.url), "ingest", DatabaseLimits(connections=2)) as pool,
    ):
        looker = EdgeRefusals(http, (f"http://127.0.0.1:{free_port()}",), pool, SystemClock())
        with pytest.raises(EdgeUnavailable):
            await looker.round()
