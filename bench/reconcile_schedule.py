"""The cost of the scheduled reconciliations of many quiet mailboxes with pushes."""

import asyncio
import time
from collections.abc import Sequence

import psutil

from bench import measure
from bench.measure import Figure, Options
from bench.worker_machine import WorkerMachine, worker_machine

QUESTION = "What does a scheduled reconciliation of a mailbox without a change cost?"
METHOD = """Half of the mailboxes are at each provider; each has a subscription to its inbox and ten mails that are
known. All of them fall due at once, and one worker reconciles them. The providers count their requests. The CPU time is
that of the worker, of PostgreSQL, and of the process that serves the inbox and lends tokens in place of Ingest and
TokenVault. The simulated providers run on the same machine and are not counted."""

MAILBOXES = 300
QUICK_MAILBOXES = 6
MAILS = 10
PER_HOUR_ACTIVE, PER_HOUR_IDLE = 12, 2
_DUE = "UPDATE processor.mailboxes SET reconcile_due_at = now()"
_DONE = "SELECT count(*) FROM processor.mailboxes WHERE last_reconciled_at > $1"


async def program(options: Options) -> Sequence[Figure]:
    """Measure one round over all mailboxes."""
    count = QUICK_MAILBOXES if options.is_quick else MAILBOXES
    async with worker_machine() as machine:
        await _mailboxes(machine, count)
        with machine.worker() as worker:
            await _round(machine, count)
            await machine.ground.control.reset_calls()
            before, began = _cpu_seconds(machine, worker), time.monotonic()
            await _round(machine, count)
            seconds, after = time.monotonic() - began, _cpu_seconds(machine, worker)
            requests = await machine.ground.control.call_count()
    cpu = [1000 * (late - early) / count for early, late in zip(before, after, strict=True)]
    return [
        Figure("mailboxes", count, "mailboxes"),
        Figure("requests to the providers for each mailbox", requests / count, "requests", "<= 1"),
        Figure("CPU of the worker for each mailbox", cpu[0], "ms"),
        Figure("CPU of PostgreSQL for each mailbox", cpu[1], "ms"),
        Figure("CPU of inbox and tokens for each mailbox", cpu[2], "ms"),
        Figure("mailboxes a second, one worker", count / seconds, "1/s"),
        *(_hourly(name, times, requests / count, sum(cpu)) for name, times in _TIMES.items()),
    ]


_TIMES = {"in use": PER_HOUR_ACTIVE, "idle": PER_HOUR_IDLE}


def _hourly(name: str, times: int, requests: float, milliseconds: float) -> Figure:
    note = f"{times * requests * 1000:.0f} requests an hour; {times} reconciliations of each mailbox"
    return Figure(f"CPU for 1,000 mailboxes {name}", times * milliseconds * 1000 / 1000, "s/h", note=note)


async def _mailboxes(machine: WorkerMachine, count: int) -> None:
    ground = machine.ground
    for number in range(count):
        tenant = await ground.tenant("ms365" if number % 2 else "googlews")
        if tenant.provider == "googlews":
            await ground.begin(tenant)
        else:
            await ground.reconcile(tenant)
        await ground.control.generate(tenant.address, MAILS)


async def _round(machine: WorkerMachine, count: int) -> None:
    """Let all mailboxes fall due, and wait until each is reconciled."""
    await machine.ground.settled(600)
    began = machine.ground.now()
    await machine.ground.processor.execute(_DUE)
    while await machine.ground.processor.fetchval(_DONE, began) < count:
        await asyncio.sleep(0.25)
    await machine.ground.settled(600)


def _cpu_seconds(machine: WorkerMachine, worker: psutil.Process) -> tuple[float, float, float]:
    postgres = psutil.Process(machine.postgres.running.pid)
    return (
        _used(worker),
        _used(postgres) + sum(_used(child) for child in postgres.children(recursive=True)),
        _used(psutil.Process()),
    )


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    measure.main("reconcile_schedule", QUESTION, METHOD, program)
