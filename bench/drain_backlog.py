"""The rate at which a backlog is drained, compared to one arq job per event with one GET per message."""

import asyncio
import sys
from collections.abc import Sequence

import psutil
from arq.connections import RedisSettings, create_pool
from orjson import dumps, loads

from bench import measure, plain_worker
from bench.measure import Figure, Options
from bench.worker_machine import WorkerMachine, worker_machine

MESSAGES, TENANTS = 10_000, 50
QUICK_MESSAGES, QUICK_TENANTS = 60, 3
PATIENCE_SECONDS = 600.0


async def program(options: Options) -> Sequence[Figure]:
    """Drain the same mails by both designs, in turn."""
    messages, tenants = (QUICK_MESSAGES, QUICK_TENANTS) if options.is_quick else (MESSAGES, TENANTS)
    async with worker_machine() as machine:
        await machine.ground.control.set(graph_concurrency=0)  # the plain design has no bound of its own
        made = await machine.tenants(tenants)
        mails = await machine.mails(made, messages // tenants)
        ours, first_mib, most_mib = await _ours(machine, mails)
        plain = await _plain(machine, mails)
    count = len(mails)
    return [
        Figure("messages a second, one worker process", count / ours, "1/s"),
        Figure("messages a second, plain design, one process", count / plain, "1/s"),
        Figure("times the plain design", plain / ours, "ratio", "" if options.is_quick else ">= 3"),
        Figure("resident memory after a third", first_mib, "MiB"),
        Figure("peak resident memory", most_mib, "MiB"),
        Figure("growth after that", most_mib - first_mib, "MiB", "" if options.is_quick else "<= 24"),
    ]


async def drain(machine: WorkerMachine, mails: Sequence[tuple[object, str]]) -> float:
    """Drain a backlog of mails of new mailboxes by one worker process.

    Args:
        machine: The running programs.
        mails: Pairs of tenant and mail id.

    Returns:
        The seconds from the first commit to the last.
    """
    ground, tenants = machine.ground, sorted({tenant.tenant_id for tenant, _ in mails})  # type: ignore[attr-defined]
    earlier = await ground.processor.fetchval("SELECT count(*) FROM processor.messages")
    await machine.backlog(mails)  # type: ignore[arg-type]
    with machine.worker() as process:
        await machine.is_up()
        await machine.release()
        await _watched(machine, process, "SELECT count(*) FROM processor.messages", earlier + len(mails))
    spent = await ground.processor.fetchval(
        "SELECT extract(epoch FROM max(changed_at) - min(changed_at)) FROM processor.messages"
        " WHERE tenant_id = ANY ($1::uuid[])",
        tenants,
    )
    return float(spent)


async def _ours(machine: WorkerMachine, mails: Sequence[tuple[object, str]]) -> tuple[float, float, float]:
    await machine.backlog(mails)  # type: ignore[arg-type]
    with machine.worker() as process:
        await machine.is_up()
        await machine.release()
        memory = await _watched(machine, process, "SELECT count(*) FROM processor.messages", len(mails))
    spent = await machine.ground.processor.fetchval(
        "SELECT extract(epoch FROM max(changed_at) - min(changed_at)) FROM processor.messages"
    )
    return float(spent), memory[len(memory) // 3], max(memory)


async def _plain(machine: WorkerMachine, mails: Sequence[tuple[object, str]]) -> float:
    ground = machine.ground
    await ground.processor.execute(plain_worker.TABLE)
    redis = await create_pool(
        RedisSettings.from_dsn(machine.redis.url()), job_serializer=dumps, job_deserializer=loads,
        default_queue_name=plain_worker.QUEUE,
    )  # fmt: skip
    for tenant, mail_id in mails:
        tenant_id = tenant.tenant_id  # type: ignore[attr-defined]
        await redis.enqueue_job("fetch", tenant_id, mail_id, ground.vault.tokens[tenant_id])
    await redis.aclose()
    with machine.worker(sys.executable, "-m", "bench.plain_worker") as process:
        await _watched(machine, process, "SELECT count(*) FROM processor.plain_events", len(mails))
    spent = await ground.processor.fetchval(
        "SELECT extract(epoch FROM max(done_at) - min(done_at)) FROM processor.plain_events"
    )
    return float(spent)


async def _watched(machine: WorkerMachine, process: psutil.Process, count: str, wanted: int) -> list[float]:
    """Wait until all items are done; return samples of the process's resident memory, in MiB."""
    memory = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await machine.ground.processor.fetchval(count) < wanted:
            memory.append(process.memory_info().rss / 2**20)
            await asyncio.sleep(0.1)
    return memory or [0.0]


if __name__ == "__main__":
    measure.main(
        "drain_backlog",
        "How fast does one worker process drain ten thousand notifications of fifty mailboxes?",
        "The simulated provider answers at once: it runs on the same machine and has parsed each mail in advance."
        " Both designs fetch the same mails with the same fields and map them alike; PostgreSQL waits for its disk"
        " at each commit. The time is from the first commit to the last. Memory is flat once all mailboxes are in"
        " progress, after about a third.",
        program,
    )
