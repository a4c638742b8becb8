"""The plain way to accept webhooks, for comparison: FastAPI, one insert and one arq enqueue for each notification.

It checks the same things (subscription, `clientState`, repeats) and gives the same promise: a 2xx means committed.
Run as `uvicorn bench.plain_ingest:app`; DATABASE_URL and REDIS_URL are the addresses of its stores.
"""

import hashlib
import hmac
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from arq import create_pool
from arq.connections import RedisSettings
from fastapi import FastAPI, Request, Response

TABLES = """
CREATE TABLE IF NOT EXISTS plain_inbox (
    id uuid PRIMARY KEY, tenant_id uuid NOT NULL, key text NOT NULL UNIQUE, body jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
)
"""
INSERT = """
INSERT INTO plain_inbox (id, tenant_id, key, body) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO NOTHING RETURNING id
"""
SUBSCRIPTIONS = "SELECT provider_subscription_id, tenant_id, client_state_digest FROM ingest.subscriptions"


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10) as pool:
        await pool.execute(TABLES)
        rows = await pool.fetch(SUBSCRIPTIONS)
        app.state.subscriptions = {row[0]: (row[1], row[2]) for row in rows}
        app.state.pool = pool
        app.state.queue = await create_pool(RedisSettings.from_dsn(os.environ["REDIS_URL"]))
        yield
        await app.state.queue.aclose()


app = FastAPI(lifespan=_lifespan)


@app.post("/api/ms365/webhook")
async def receive(request: Request) -> Response:
    """Accept Graph's notifications."""
    for item in json.loads(await request.body())["value"]:
        tenant_id, digest = app.state.subscriptions[item["subscriptionId"]]
        given = hashlib.sha256(item.pop("clientState").encode()).digest()
        if hmac.compare_digest(given, digest):
            await _keep(tenant_id, item)
    return Response(status_code=202)


async def _keep(tenant_id: uuid.UUID, item: dict[str, Any]) -> None:
    item_id, data = uuid.uuid4(), item["resourceData"]
    key = f"{tenant_id}|{data['id']}|{item['changeType']}|{data['@odata.etag']}"
    if await app.state.pool.fetchval(INSERT, item_id, tenant_id, key, json.dumps(item)):
        await app.state.queue.enqueue_job("process", str(item_id))
