"""The plain design, for comparison: one arq job per event and receiver, one HTTP client, one row for the outcome.

`python -m bench.plain_sender` processes the queue in the environment until it is stopped. It signs with the official
library and retries nothing; it knows no order, no endpoint's limits, and judges no address.
"""

import json
import os
from datetime import UTC, datetime
from typing import Any, cast

import asyncpg
import httpx
from arq.connections import RedisSettings
from arq.worker import Worker, func
from orjson import dumps, loads
from standardwebhooks import Webhook

TABLE = """
    CREATE TABLE IF NOT EXISTS delivery.plain_deliveries (
        endpoint integer, event_id uuid, status integer, done_at timestamptz DEFAULT clock_timestamp(),
        PRIMARY KEY (endpoint, event_id)
    )
"""
QUEUE = "plain"
JOBS_AT_ONCE = 64


async def send(context: dict[str, Any], endpoint: int, url: str, event_id: str, data: dict[str, Any]) -> None:
    """Run one job: one event goes to one receiver."""
    now = datetime.now(UTC)
    body = json.dumps({"type": "mail.created", "timestamp": now.isoformat(), "data": data})
    signature = context["key"].sign(event_id, now, body)
    answer = await context["http"].post(
        url,
        content=body,
        headers={
            "content-type": "application/json",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        },
    )
    answer.raise_for_status()
    await context["pool"].execute(
        "INSERT INTO delivery.plain_deliveries (endpoint, event_id, status) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        endpoint, event_id, answer.status_code,
    )  # fmt: skip


async def start(context: dict[str, Any]) -> None:
    """Open the connections."""
    limits = httpx.Limits(max_connections=JOBS_AT_ONCE, max_keepalive_connections=JOBS_AT_ONCE)
    context["http"] = httpx.AsyncClient(limits=limits, timeout=15, trust_env=False)
    context["pool"] = await asyncpg.create_pool(os.environ["MAILMESH_DATABASE_URL"], max_size=16)
    context["key"] = Webhook(os.environ["PLAIN_KEY"])


def main() -> None:
    """Process jobs until stopped."""
    Worker(
        [func(cast("Any", send), name="send", max_tries=5)],
        redis_settings=RedisSettings.from_dsn(os.environ["MAILMESH_REDIS_URL"]),
        queue_name=QUEUE,
        on_startup=cast("Any", start),
        poll_delay=0.02,
        keep_result=0,
        max_jobs=JOBS_AT_ONCE,
        job_serializer=dumps,
        job_deserializer=loads,
    ).run()


if __name__ == "__main__":
    main()
