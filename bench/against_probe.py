"""One measurement of one build for `bench.against`: run by that build's Python, in that build's folder.

It uses only what every commit since the first release has: the mesh of the tests, the simulated providers' control, and
the counters of the system and of PostgreSQL.
"""

import asyncio
import contextlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import asyncpg
import psutil

from bench.end_to_end_latency import Reader
from bench.measure import percentile
from bench.mesh_counts import OURS, SCHEMAS, Span, counts_of
from stack.data_directory import DataDirectory
from stack.programs.postgres import SUPERUSER
from tests.mesh.accounts import connect, new_address, subscribe
from tests.programs.mesh import Mesh, running_mesh

MAILBOXES, WARM_UP = 5, 20
REST_SECONDS, SETTLE_SECONDS = 10.0, 3.0
SINGLES, BACKLOG = 20, 1000
STARTS = 3
PATIENCE_SECONDS = 240.0
_PROVIDERS = ("ms365", "googlews")
_NOT_OURS = ("simulator", "prometheus")
_IN_LINE = ("ingest", "processor worker")
_SYNCS = """
SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal' AND backend_type = 'client backend'
"""
_RELOAD = "SELECT pg_reload_conf()"
_STATEMENT = re.compile(r"^(?P<application>[^|]*)\|LOG:  (?:execute [^:]*|statement): ")

Figures = Mapping[str, float]


def probe(seconds: int, per_second: int) -> Figures:
    """Start this build's mesh and measure it.

    Args:
        seconds: The duration of the load; 0 measures starts and rest only.
        per_second: The mails of the load in a second, over both providers.
    """
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="mm-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        with _started(Path(folder) / "mesh", found, "first `mailmesh up` to ready") as mesh:
            boxes = {provider: [new_address(mesh, provider) for _ in range(MAILBOXES)] for provider in _PROVIDERS}
            for provider, addresses in boxes.items():
                for address in addresses:
                    subscribe(mesh, connect(mesh, provider, address))
            with Reader(mesh, "ms365") as graph, Reader(mesh, "googlews") as gmail:
                readers = {"ms365": graph, "googlews": gmail}
                rest = _rest(mesh, boxes, readers, found)
                if seconds:
                    found |= _steady(mesh, boxes, readers, rest, seconds, per_second)
                    for provider in _PROVIDERS:
                        found |= _one_by_one(mesh, provider, boxes[provider], readers[provider])
                    found |= _drain(mesh, boxes["ms365"], graph)
        starts: list[dict[str, float]] = []
        for _ in range(STARTS):
            starts.append({})
            with _started(Path(folder) / "mesh", starts[-1], "`mailmesh up` to ready with data"):
                pass
    return found | {name: percentile([start[name] for start in starts], 50) for name in starts[0]}


@contextlib.contextmanager
def _started(data: Path, found: dict[str, float], name: str) -> Iterator[Mesh]:
    """Run a mesh for the length of a block, and record the time and the processor time until it was ready."""
    begun = time.monotonic()
    with running_mesh(data, environment={"MAILMESH_PROCESSOR_GMAIL_UNITS_PER_MINUTE": "1000000"}) as mesh:
        found[f"{name}; s"] = time.monotonic() - begun
        found[f"{name}, processor time; s"] = _spent_below(mesh.process.pid)
        yield mesh


def _spent_below(pid: int) -> float:
    """Return the processor time of a process and all below it, those that have ended included."""
    spent = 0.0
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended: its parent has its time
            times = process.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
    return spent


def _rest(
    mesh: Mesh, boxes: Mapping[str, Sequence[str]], readers: Mapping[str, Reader], found: dict[str, float]
) -> Span:
    """Measure a mesh at rest that has processed a few mails."""
    for provider, reader in readers.items():
        for number in range(WARM_UP):
            mesh.simulator.generate(boxes[provider][number % MAILBOXES], 1, seed=7)
        reader.wait_for(WARM_UP)
    time.sleep(SETTLE_SECONDS)
    begun = counts_of(mesh)
    time.sleep(REST_SECONDS)
    rest = Span(begun, counts_of(mesh))
    found["CPU at rest; % of one processor"] = sum(map(rest.processor_seconds, OURS)) / rest.seconds * 100
    others = sum(map(rest.processor_seconds, _others(rest)))
    found["CPU at rest, other processes; % of one processor"] = others / rest.seconds * 100
    found |= _memory(mesh)
    return rest


def _others(span: Span) -> set[str]:
    """Return the kinds of process that one of the builds may lack."""
    return {kind for kind in span.after.processor_seconds if kind not in OURS and kind not in _NOT_OURS}


def _steady(
    mesh: Mesh,
    boxes: Mapping[str, Sequence[str]],
    readers: Mapping[str, Reader],
    rest: Span,
    seconds: int,
    per_second: int,
) -> dict[str, float]:
    """Measure a steady load on both providers at once, beyond the same mesh at rest."""
    for reader in readers.values():
        reader.milliseconds.clear()
    everyone = [address for addresses in boxes.values() for address in addresses]
    mesh.simulator.call("POST", "load", accounts=everyone, perSecond=per_second, seconds=seconds, seed=8)
    _wait(readers.values(), seconds * per_second)
    mesh.simulator.wait_until_idle()
    time.sleep(SETTLE_SECONDS)
    load, events = Span(rest.after, counts_of(mesh)), seconds * per_second
    share = load.seconds / rest.seconds

    def cost(kinds: Iterable[str]) -> float:
        beyond = (load.processor_seconds(kind) - rest.processor_seconds(kind) * share for kind in kinds)
        return sum(beyond) / events * 1e6

    found = {f"CPU, {kind}; s per million": cost([kind]) for kind in OURS}
    found["CPU, other processes; s per million"] = cost(_others(load))
    found["CPU, all of mailmesh; s per million"] = sum(found.values())
    found["gRPC calls that Ingest answers; per event"] = _ingest_calls(load, rest, share) / events
    found["WAL; bytes per event"] = load.disk_bytes("WAL") / events
    found["tables and indexes; bytes per event"] = sum(load.disk_bytes(schema) for schema in SCHEMAS) / events
    for provider, reader in readers.items():
        found[f"accepted to streamed, {provider}, p50; ms"] = percentile(reader.milliseconds, 50)
        found[f"accepted to streamed, {provider}, p99; ms"] = percentile(reader.milliseconds, 99)
    return found


def _memory(mesh: Mesh) -> Figures:
    """Return the memory of the mesh's Python processes, the simulated providers left out.

    A page that processes share counts in each of them as resident, and once in their proportional shares.
    """
    resident = shares = 0.0
    tops = [psutil.Process(pid) for name, pid in mesh.ready.processes.items() if not name.startswith("simulator")]
    every = {process.pid: process for top in tops for process in (top, *_children(top, mesh))}
    for process in every.values():
        with contextlib.suppress(psutil.NoSuchProcess):  # such as a worker of PostgreSQL that has just ended
            if Path(process.exe()).name.startswith("python"):
                used = process.memory_full_info()
                resident, shares = resident + used.rss, shares + used.pss
    return {
        "resident memory of Python processes at rest; MiB": resident / 2**20,
        "proportional shares of memory of Python processes at rest; MiB": shares / 2**20,
    }


def _children(top: psutil.Process, mesh: Mesh) -> Sequence[psutil.Process]:
    """Return the processes below one, but those below the simulated providers."""
    left_out = {pid for name, pid in mesh.ready.processes.items() if name.startswith("simulator")}
    found: list[psutil.Process] = []
    for child in top.children():
        if child.pid not in left_out:
            found += [child, *_children(child, mesh)]
    return found


def _ingest_calls(load: Span, rest: Span, share: float) -> float:
    """Return the calls of the load beyond those at rest: one for each webhook, and those of the worker."""
    name = "mailmesh_grpc_server_handling_seconds_count"
    methods = {dict(labels)["method"] for sample, labels in load.after.samples if sample == name}
    return sum(
        load.count(name, method=method) - rest.count(name, method=method) * share
        for method in sorted(methods)
        if method.startswith("/mailmesh.ingest.")
    )


def _one_by_one(mesh: Mesh, provider: str, addresses: Sequence[str], reader: Reader) -> Figures:
    """Count statements and awaited commits of single events, each with nothing else under way."""
    log = DataDirectory(mesh.data).logs / "postgres.log"
    _as_superuser(mesh, "ALTER SYSTEM SET log_line_prefix = '%a|'", "ALTER SYSTEM SET log_statement = 'all'", _RELOAD)
    try:
        quiet, quiet_syncs, seconds = _counted(mesh, log, lambda: time.sleep(SETTLE_SECONDS))

        def singles() -> None:
            for number in range(SINGLES):
                have = len(reader.milliseconds)
                mesh.simulator.generate(addresses[number % len(addresses)], 1, seed=9)
                reader.wait_for(have + 1)
            time.sleep(SETTLE_SECONDS)

        busy, syncs, lasted = _counted(mesh, log, singles)
    finally:
        _as_superuser(mesh, "ALTER SYSTEM RESET log_statement", _RELOAD)
    share = lasted / seconds
    return {
        f"statements of Ingest and worker, {provider}; per event": (busy - quiet * share) / SINGLES,
        f"commits waited for, {provider}; per event": (syncs - quiet_syncs * share) / SINGLES,
    }


def _counted(mesh: Mesh, log: Path, act: Callable[[], None]) -> tuple[int, float, float]:
    """Return the statements and the fsyncs of clients while something happens, and its duration in seconds."""
    time.sleep(0.5)
    size, syncs, begun = log.stat().st_size, _as_superuser(mesh, _SYNCS), time.monotonic()
    act()
    lasted = time.monotonic() - begun
    with log.open(errors="replace") as file:
        file.seek(size)
        found = [match["application"] for line in file if (match := _STATEMENT.match(line))]
    return sum(name.startswith(_IN_LINE) for name in found), _as_superuser(mesh, _SYNCS) - syncs, lasted


def _drain(mesh: Mesh, addresses: Sequence[str], reader: Reader) -> Figures:
    """Let a backlog gather, and measure the processor time that the worker and PostgreSQL spend on it."""
    hold = "UPDATE ingest.mailboxes SET is_waiting = true"
    _as_superuser(mesh, hold)
    have = len(reader.milliseconds)
    for address in addresses:
        mesh.simulator.generate(address, BACKLOG // len(addresses), seed=10)
    mesh.simulator.wait_until_idle()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _as_superuser(mesh, "SELECT count(*) FROM ingest.items") < BACKLOG:
        assert time.monotonic() < deadline, "the backlog was not accepted"
        time.sleep(0.2)
    before = counts_of(mesh)
    release = "UPDATE ingest.mailboxes SET is_waiting = false, next_due_at = now() WHERE is_waiting"
    _as_superuser(mesh, release)
    _wait([reader], have + BACKLOG)
    spent = Span(before, counts_of(mesh))
    used = spent.processor_seconds("worker") + spent.processor_seconds("postgres")
    return {"drained by worker and PostgreSQL; messages per CPU second": BACKLOG / used}


def _wait(readers: Iterable[Reader], count: int) -> None:
    deadline, waited_for = time.monotonic() + PATIENCE_SECONDS, list(readers)
    while sum(len(reader.milliseconds) for reader in waited_for) < count:
        assert time.monotonic() < deadline, f"{[len(reader.milliseconds) for reader in waited_for]} of {count} events"
        time.sleep(0.05)


def _as_superuser(mesh: Mesh, *statements: str) -> float:
    """Run statements in the mesh's database; return the first value of the last one, if it is a number."""
    data = DataDirectory(mesh.data)
    url = json.loads((data.environments / "ingest-1.json").read_text())["MAILMESH_DATABASE_URL"]

    async def run() -> object:
        connection = await asyncpg.connect(url, user=SUPERUSER, password=data.postgres_password.read_text())
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    value = asyncio.run(run())
    return float(value) if isinstance(value, int | float | Decimal) else 0.0


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(probe(int(sys.argv[2]), int(sys.argv[3]))))
