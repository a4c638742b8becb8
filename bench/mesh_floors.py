"""The lower bounds of a mesh's steps, each measured separately in a mesh at rest: no step can be faster."""

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable

import asyncpg

from bench.measure import median
from bench.mesh_counts import told
from services.ingest.webhooks.google import parse_push
from services.ingest.webhooks.matcher import GraphOrigin, Matcher
from services.ingest.webhooks.microsoft import parse_notifications
from services.meshkit import queue
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret
from tests.factories.ingest import Watched, graph_body, graph_item, push_body
from tests.programs.mesh import Mesh

_QUEUE = "bench"
_PAGE_BYTES = 8192
_WAIT_SECONDS = 10.0
_A_SUBSCRIPTION = """
SELECT provider_subscription_id, client_state_digest FROM ingest.subscriptions
WHERE provider = 'ms365' AND provider_subscription_id <> '' LIMIT 1
"""


async def decode_ms(provider: str, repeats: int) -> float:
    """Return the median time to read a body as the provider sends it, milliseconds."""
    watched = Watched("", "", "7f105c7d-2dc5-4530-97cd-4e7ae6534c07", "a-client-state", "person@fabrikam.test")
    bodies = [graph_body(graph_item(watched)) if provider == "ms365" else push_body(watched.address)] * repeats

    async def once() -> None:
        body = bodies.pop()
        list(parse_notifications(body)) if provider == "ms365" else parse_push(body)

    return await _median_ms(once, repeats)


async def lookup_ms(mesh: Mesh, provider: str, address: str, repeats: int) -> float:
    """Return the median time to find whose a notification is when it is remembered, milliseconds."""
    url = Secret(told(mesh, "MAILMESH_DATABASE_URL"))
    async with open_pool(url, "bench", DatabaseLimits(1)) as pool:
        matcher = Matcher(pool, entries=1000, seconds=60)
        if provider == "ms365":
            row = await pool.fetchrow(_A_SUBSCRIPTION)
            assert row is not None, "no subscription"
            origin = GraphOrigin(row["provider_subscription_id"], row["client_state_digest"])
            return await _median_ms(lambda: matcher.subscriptions([origin], ""), repeats)
        return await _median_ms(lambda: matcher.mailboxes(address), repeats)


async def wake_up_ms(mesh: Mesh, repeats: int) -> float:
    """Return the mean time from a wake-up to its handling, through the mesh's Redis and a queue of its own."""
    url = Secret(told(mesh, "MAILMESH_REDIS_URL"))
    woken = asyncio.Event()

    async def wake(_key: str) -> None:
        woken.set()

    worker = asyncio.create_task(queue.work(url, _QUEUE, wake))
    spent = 0.0
    try:
        async with queue.WakeQueue.open(url, _QUEUE) as sender, asyncio.timeout(_WAIT_SECONDS + repeats):
            for number in range(repeats + 1):
                # Wake-ups come at varying moments of the worker's round.
                await asyncio.sleep(number % 7 * 0.003)
                woken.clear()
                began = time.perf_counter()
                sender.wake(hashlib.sha256(b"%d" % number).hexdigest())
                await woken.wait()
                spent += time.perf_counter() - began if number else 0.0
    finally:
        worker.cancel()
        await asyncio.wait([worker])
    return spent / repeats * 1000


async def round_trip_ms(mesh: Mesh, repeats: int) -> float:
    """Return the median time of a statement that does nothing, milliseconds."""
    connection = await asyncpg.connect(told(mesh, "MAILMESH_DATABASE_URL"), timeout=_WAIT_SECONDS)
    try:
        return await _median_ms(lambda: connection.fetchval("SELECT 1"), repeats)
    finally:
        await connection.close()


async def fsync_ms(mesh: Mesh, repeats: int) -> float:
    """Return the median time until a page at the end of a file is on the mesh's disk, milliseconds."""
    path = mesh.data / "fsync"
    with path.open("wb", buffering=0) as file:

        async def once() -> None:
            file.write(b"\0" * _PAGE_BYTES)
            os.fdatasync(file.fileno())

        found = await _median_ms(once, repeats)
    path.unlink()
    return found


async def _median_ms(act: Callable[[], Awaitable[object]], repeats: int) -> float:
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        await act()
        found.append(time.perf_counter() - began)
    return median(found) * 1000
