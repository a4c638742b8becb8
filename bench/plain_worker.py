"""The plain design, for comparison: one arq job per event, one GET per message, one insert.

`python -m bench.plain_worker` processes the queue in the environment until it is stopped. It maps the message
as Processor does, and does no other part of Processor's task: no order, no fence, no threads, no positions.
"""

import os
import ssl
from typing import Any, cast

import asyncpg
import httpx
from arq.connections import RedisSettings
from arq.worker import Worker, func
from orjson import dumps, loads

from services.processor.mail.sources.graph import QUERY
from services.processor.mail.sources.graph_mapping import map_message

TABLE = """
    CREATE TABLE IF NOT EXISTS processor.plain_events (
        tenant_id text, message_id text, event bytea, done_at timestamptz DEFAULT clock_timestamp(),
        PRIMARY KEY (tenant_id, message_id)
    )
"""
QUEUE = "plain"
JOBS_AT_ONCE = 64


async def fetch(context: dict[str, Any], tenant_id: str, message_id: str, token: str) -> None:
    """Run one job: one message becomes one row."""
    answer = await context["http"].get(
        f"{os.environ['MAILMESH_MS365_GRAPH_URL']}/me/messages/{message_id}",
        params=QUERY,
        headers={"authorization": f"Bearer {token}", "prefer": 'IdType="ImmutableId"'},
    )
    answer.raise_for_status()
    mapped = map_message(answer.json())
    await context["pool"].execute(
        "INSERT INTO processor.plain_events (tenant_id, message_id, event) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        tenant_id, message_id, mapped.message.SerializeToString() + mapped.raw.SerializeToString(),
    )  # fmt: skip


async def start(context: dict[str, Any]) -> None:
    """Open the connections."""
    trust = ssl.create_default_context(cafile=os.environ["MAILMESH_PROVIDER_CA"])
    limits = httpx.Limits(max_connections=JOBS_AT_ONCE, max_keepalive_connections=JOBS_AT_ONCE)
    context["http"] = httpx.AsyncClient(verify=trust, limits=limits, timeout=60, trust_env=False)
    context["pool"] = await asyncpg.create_pool(os.environ["MAILMESH_DATABASE_URL"], max_size=16)


def main() -> None:
    """Process jobs until stopped."""
    Worker(
        [func(cast("Any", fetch), name="fetch", max_tries=5)],
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
