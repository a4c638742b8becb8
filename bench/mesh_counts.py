"""The resources that a running mesh has used so far: processors, disk, network, and its processes' own counters."""

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
"""Kinds of process that run in production too, and their names."""
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
        at: The time on the monotonic clock.
        samples: The Prometheus metrics of all processes, Envoy included; equal samples of several processes are summed.
        processor_seconds: User and system time by kind of process, its ended children included.
        disk_bytes: The size of tables and indexes by schema; under "WAL" the bytes ever written to it.
    """

    at: float
    samples: Samples
    processor_seconds: Mapping[str, float]
    disk_bytes: Mapping[str, float]


@dataclass(frozen=True)
class Span:
    """The difference between two moments."""

    before: Counts
    after: Counts

    @property
    def seconds(self) -> float:
        """Return the duration in seconds."""
        return self.after.at - self.before.at

    def count(self, name: str, **labels: str) -> float:
        """Return the growth of a sample, summed over all series with these labels."""
        return _sum(self.after.samples, name, labels) - _sum(self.before.samples, name, labels)

    def mean(self, histogram: str, **labels: str) -> float:
        """Return the mean of a histogram's observations; 0 when there were none."""
        number = self.count(f"{histogram}_count", **labels)
        return self.count(f"{histogram}_sum", **labels) / number if number else 0.0

    def processor_seconds(self, kind: str) -> float:
        """Return the processor time of a kind of process."""
        return self.after.processor_seconds.get(kind, 0.0) - self.before.processor_seconds.get(kind, 0.0)

    def disk_bytes(self, what: str) -> float:
        """Return the growth of a schema, or the bytes written to the WAL."""
        return self.after.disk_bytes[what] - self.before.disk_bytes[what]


def counts_of(mesh: Mesh) -> Counts:
    """Read all counters now."""
    return Counts(time.monotonic(), _samples(mesh), _processor_seconds(mesh), asyncio.run(_disk_bytes(mesh)))


def told(mesh: Mesh, variable: str) -> str:
    """Return a variable of Ingest's environment."""
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
        if name not in ("up", "supervisor"):  # all other processes are children of these
            process = psutil.Process(pid)
            found[name.rstrip("-0123456789")] += sum(map(_spent, (process, *process.children(recursive=True))))
    return found


def _spent(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # it has just ended: its parent has its time
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
