"""The refresh of ten thousand due tokens, its memory and its concurrency."""

import asyncio
import time
from collections.abc import Sequence

import httpx
import psutil

from bench import measure
from bench.measure import Figure, Options
from bench.vault_machine import VaultMachine, vault_machine
from stack.ports import free_ports

QUESTION = "Are ten thousand tokens that fall due at once refreshed, with bounded memory and concurrency?"
METHOD = """Half of the accounts are at each provider. The simulated providers, which run on the same machine and answer
over TLS, have issued their tokens. Every refresh is one request to a provider, and is committed. One TokenVault with
its default settings processes them. Its memory and its open requests to the providers are checked four times a
second."""

DUE = 10_000
QUICK_DUE = 40
LOOK_SECONDS = 0.25
MIB = 2**20


async def program(options: Options) -> Sequence[Figure]:
    """Measure the refresh of all due tokens."""
    due = QUICK_DUE if options.is_quick else DUE
    async with vault_machine() as machine:
        tenants = [await machine.add_tenants(provider, due // 2, due=True) for provider in ("ms365", "googlews")]
        (port,) = free_ports(1)
        vault = await machine.ground.start(MAILMESH_METRICS_LISTEN=f"127.0.0.1:{port}")
        began, process = time.monotonic(), psutil.Process(vault.process.pid)
        memory, busy = await _watch(machine, process, port, sum(map(len, tenants)))
        seconds = time.monotonic() - began
        calls = await machine.ground.control.call_count("*.token")
    tenth = memory[len(memory) // 10]
    return [
        Figure("tokens refreshed", due, "tokens"),
        Figure("requests to the providers", calls, "requests", f"<= {due}"),
        Figure("refreshes a second, one process", due / seconds, "1/s"),
        Figure("most concurrent refreshes", max(busy), "calls", "<= 8"),
        Figure("resident memory after a tenth of the time", tenth / MIB, "MiB"),
        Figure("growth of memory after that, to its peak", (max(memory) - tenth) / MIB, "MiB", "<= 32"),
    ]


async def _watch(machine: VaultMachine, process: psutil.Process, port: int, due: int) -> tuple[list[int], list[float]]:
    """Poll until all tokens are refreshed."""
    memory: list[int] = []
    busy: list[float] = []
    async with httpx.AsyncClient(trust_env=False) as http:
        while await _left(machine):
            memory.append(process.memory_info().rss)
            metrics = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
            busy.append(_busy(metrics))
            await asyncio.sleep(LOOK_SECONDS)
    rows = await machine.ground.fetch("SELECT count(*) FROM vault.tenant_tokens WHERE version = 2")
    if rows[0]["count"] != due:
        raise RuntimeError(f"{rows[0]['count']} of {due} tokens were refreshed once")
    return memory or [process.memory_info().rss], busy or [0.0]


async def _left(machine: VaultMachine) -> int:
    rows = await machine.ground.fetch("SELECT count(*) FROM vault.tenant_tokens WHERE next_refresh_at <= now()")
    return int(rows[0]["count"])


def _busy(metrics: str) -> float:
    lines = [line for line in metrics.splitlines() if line.startswith("mailmesh_vault_provider_threads_busy{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


if __name__ == "__main__":
    measure.main("refresh_ahead", QUESTION, METHOD, program)
