"""The growth of the drain rate with worker processes."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack

from bench import measure
from bench.measure import Figure, Options
from bench.worker_machine import WorkerMachine, worker_machine

WORKERS, QUICK_WORKERS = (1, 2, 4), (2,)
MESSAGES, TENANTS = 4_000, 50
QUICK_MESSAGES, QUICK_TENANTS = 40, 2
PATIENCE_SECONDS = 300.0
_DONE = "SELECT count(*) FROM processor.messages"
_SPENT = "SELECT extract(epoch FROM max(changed_at) - min(changed_at)) FROM (SELECT changed_at FROM processor.messages"
_LATEST = " ORDER BY changed_at DESC LIMIT $1) AS latest"


async def program(options: Options) -> Sequence[Figure]:
    """Drain new mails of the same mailboxes by one, two and four workers, in turn."""
    messages, tenants = (QUICK_MESSAGES, QUICK_TENANTS) if options.is_quick else (MESSAGES, TENANTS)
    figures = []
    async with worker_machine() as machine:
        known, made = await machine.tenants(tenants), set[str]()
        for workers in QUICK_WORKERS if options.is_quick else WORKERS:
            mails = [mail for mail in await machine.mails(known, messages // tenants, workers) if mail[1] not in made]
            made |= {mail_id for _, mail_id in mails}
            rate, memory = await _drained(machine, workers, mails, len(made))
            figures += [
                Figure(f"workers, {workers}: messages a second", rate, "1/s"),
                Figure(f"workers, {workers}: peak memory of one", memory, "MiB"),
            ]
    return figures


async def _drained(
    machine: WorkerMachine, workers: int, mails: Sequence[tuple[object, str]], wanted: int
) -> tuple[float, float]:
    await machine.backlog(mails)  # type: ignore[arg-type]
    with ExitStack() as stack:
        processes = [stack.enter_context(machine.worker()) for _ in range(workers)]
        await machine.is_up(workers)
        await machine.release()
        most = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await machine.ground.processor.fetchval(_DONE) < wanted:
                most = max(most, *(process.memory_info().rss for process in processes))
                await asyncio.sleep(0.1)
    spent = await machine.ground.processor.fetchval(_SPENT + _LATEST, len(mails))
    return len(mails) / float(spent), most / 2**20


if __name__ == "__main__":
    measure.main(
        "grow_workers",
        "How does draining grow with worker processes?",
        f"{MESSAGES:,} notifications of {TENANTS} Microsoft mailboxes are waiting when the workers start. One"
        " simulated provider answers at once, on the same machine, and takes a large part of a processor for"
        " itself, as PostgreSQL does. The time is from the first commit to the last.",
        program,
    )
