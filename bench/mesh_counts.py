"""What a running mesh has used until now: processors, disk, wire, and all that its processes count themselves."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from stack.data_directory import DataDirectory
from tests.programs.mesh import Mesh

OURS = {
    "envoy": "Envoy",
    "token-vault": "TokenVault",
    "ingest": "Ingest",
    "processor": "Processor's server",
    "worker": "Processor's worker",
    "postgres": "PostgreSQL",
    "redis": "Redis",
}
"""Kinds of process that run in production too, and what they are called."""
KINDS = OURS | {"simulator": "simulator"}
SCHEMAS = ("vault", "ingest", "processor")
_GROWN = """
SELECT spaces.nspname, coalesce(sum(pg_total_relation_size(tables.oid)), 0)
FROM pg_namespace spaces LEFT JOIN pg_class tables ON tables.relnamespace = spaces.oid AND tables.relkind = 'r'
WHERE spaces.nspname = ANY($1) GROUP BY spaces.nspname
"""
_WRITTEN = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
_WAL = "WAL"
_ANSWER_SECONDS = 10.0

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True)
class Counts:
    """The state of all counters at one moment.

    Args:
        at: On the monotonic clock.
        samples: What the processes show as Prometheus metrics, Envoy among them; the same of several is added up.
        processor_seconds: By kind of process, user and system, its ended children among them.
        disk_bytes: By schema what its tables take with their indexes; by "WAL" what was ever written to it.
    """

    at: float
    samples: Samples
    processor_seconds: Mapping[str, float]
    disk_bytes: Mapping[str, float]


@dataclass(frozen=True)
class Span:
    """What happened between two moments."""

    before: Counts
    after: Counts

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.after.at - self.before.at

    def count(self, name: str, **labels: str) -> float:
        """By how much a sample grew, all that have these labels added up."""
        return _sum(self.after.samples, name, labels) - _sum(self.before.samples, name, labels)

    def mean(self, histogram: str, **labels: str) -> float:
        """The mean of what a histogram was given; 0 when that was nothing."""
        number = self.count(f"{histogram}_count", **labels)
        return self.count(f"{histogram}_sum", **labels) / number if number else 0.0

    def processor_seconds(self, kind: str) -> float:
        """What a kind of process has computed."""
        return self.after.processor_seconds.get(kind, 0.0) - self.before.processor_seconds.get(kind, 0.0)

    def disk_bytes(self, what: str) -> float:
        """By how much a schema grew, or what was written to the WAL."""
        return self.after.disk_bytes[what] - self.before.disk_bytes[what]


def counts_of(mesh: Mesh) -> Counts:
    """Reads everything now."""
    return Counts(time.monotonic(), _samples(mesh), _processor_seconds(mesh), asyncio.run(_disk_bytes(mesh)))


def told(mesh: Mesh, variable: str) -> str:
    """A variable that Ingest was started with."""
    environment = DataDirectory(mesh.data).environments / "ingest-1.json"
    value: str = json.loads(environment.read_text())[variable]
    return value


def _samples(mesh: Mesh) -> Samples:
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = defaultdict(float)
    with httpx.Client(timeout=_ANSWER_SECONDS, trust_env=False) as client:
        for address in mesh.ready.metrics.values():
            for family in text_string_to_metric_families(client.get(address).raise_for_status().text):
                for sample in family.samples:
                    found[sample.name, frozenset(sample.labels.items())] += sample.value
    return found


def _sum(samples: Samples, name: str, labels: Mapping[str, str]) -> float:
    wanted = frozenset(labels.items())
    return sum(value for (sample, has), value in samples.items() if sample == name and wanted <= has)


def _processor_seconds(mesh: Mesh) -> Mapping[str, float]:
    found: dict[str, float] = defaultdict(float)
    for name, pid in mesh.ready.processes.items():
        if name not in ("up", "supervisor"):  # of those all others are children
            process = psutil.Process(pid)
            found[name.rstrip("-0123456789")] += sum(map(_spent, (process, *process.children(recursive=True))))
    return found


def _spent(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # ended just now: its parent has its time
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


async def _disk_bytes(mesh: Mesh) -> Mapping[str, float]:
    connection = await asyncpg.connect(told(mesh, "MAILMESH_DATABASE_URL"), timeout=_ANSWER_SECONDS)
    try:
        rows = await connection.fetch(_GROWN, list(SCHEMAS))
        written = await connection.fetchval(_WRITTEN)
    finally:
        await connection.close()
    return {row[0]: float(row[1]) for row in rows} | {_WAL: float(written)}
