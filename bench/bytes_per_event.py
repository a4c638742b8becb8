"""The bytes that an event adds to PostgreSQL's tables and to its write-ahead log, by table and index."""

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg

from bench import measure
from bench.end_to_end_latency import Reader
from bench.measure import Figure, Options
from bench.mesh_counts import told
from stack.data_directory import DataDirectory
from stack.programs.postgres import SUPERUSER
from tests.mesh.accounts import connect, new_address, subscribe
from tests.programs.mesh import Mesh, running_mesh

PER_SECOND, SECONDS, MAILBOXES = 50, 20, 5
WARM_UP, SETTLE_SECONDS = 100, 3.0
SHOWN_BYTES = 25.0
"""Relations with less for an event at both providers are one line together."""
REST, OTHERS, PAGES, ALL = "smaller ones", "commits and others", "of all: whole pages", "all"
# A partition counts for its table, a TOAST table and its index for the table that they belong to.
_RELATIONS = """
WITH RECURSIVE relations AS (
    SELECT c.oid, c.relfilenode, CASE
        WHEN c.relkind = 'i' AND n.nspname = 'pg_toast' THEN
            (SELECT t.oid FROM pg_index i JOIN pg_class t ON t.reltoastrelid = i.indrelid WHERE i.indexrelid = c.oid)
        WHEN c.relkind = 't' THEN (SELECT t.oid FROM pg_class t WHERE t.reltoastrelid = c.oid)
        ELSE c.oid END AS owner
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'i', 't', 'm')
), roots AS (
    SELECT oid AS child, oid AS root FROM pg_class
    UNION ALL
    SELECT roots.child, inhparent FROM roots JOIN pg_inherits ON inhrelid = roots.root
), named AS (
    SELECT relations.relfilenode, relations.oid, n.nspname || '.' || c.relname AS name
    FROM relations
    JOIN roots ON roots.child = relations.owner AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = roots.root)
    JOIN pg_class c ON c.oid = roots.root JOIN pg_namespace n ON n.oid = c.relnamespace
)
"""
_SIZES = f"""
{_RELATIONS}
SELECT name, sum(pg_relation_size(oid)) FROM named WHERE name !~ '^(pg_|information_schema)' GROUP BY name
"""  # noqa: S608 - constants
# The head of a record counts for its first block.
_WRITTEN = f"""
{_RELATIONS}, blocks AS (
    SELECT relfilenode, sum(coalesce(block_data_length, 0) + coalesce(block_fpi_length, 0) + CASE WHEN block_id = 0
        THEN record_length - all_blocks ELSE 0 END) AS bytes
    FROM (
        SELECT *, sum(coalesce(block_data_length, 0) + coalesce(block_fpi_length, 0))
            OVER (PARTITION BY start_lsn) AS all_blocks
        FROM pg_get_wal_block_info($1::text::pg_lsn, $2::text::pg_lsn, false)
    ) AS info GROUP BY relfilenode
)
SELECT coalesce(name, '{OTHERS}') AS name, sum(bytes) FROM blocks LEFT JOIN named USING (relfilenode) GROUP BY 1
"""  # noqa: S608 - constants
_PAGES = (
    "SELECT coalesce(sum(block_fpi_length), 0) FROM pg_get_wal_block_info($1::text::pg_lsn, $2::text::pg_lsn, false)"
)
_HEAD = "SELECT pg_current_wal_insert_lsn()::text"


async def program(options: Options) -> Sequence[Figure]:
    """Run the whole mesh and count the bytes of each provider in turn."""
    return await asyncio.to_thread(_measured, options)


def _measured(options: Options) -> list[Figure]:
    found: dict[str, Mapping[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="mm-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        environment = {"MAILMESH_PROCESSOR_GMAIL_UNITS_PER_MINUTE": "1000000"}
        with running_mesh(Path(folder) / "mesh", environment=environment) as mesh:
            for provider in ("ms365", "googlews"):
                found |= _of(mesh, provider, options)
    return _figures(found)


def _of(mesh: Mesh, provider: str, options: Options) -> dict[str, Mapping[str, float]]:
    """Return the growth and the written bytes for an event of a provider, by relation."""
    addresses = [new_address(mesh, provider) for _ in range(MAILBOXES)]
    for address in addresses:
        subscribe(mesh, connect(mesh, provider, address))
    seconds, per_second = (1, 5) if options.is_quick else (SECONDS, PER_SECOND)
    with Reader(mesh, provider) as reader:
        for number in range(MAILBOXES if options.is_quick else WARM_UP):
            mesh.simulator.generate(addresses[number % MAILBOXES], 1, seed=7)
        reader.wait_for(MAILBOXES if options.is_quick else WARM_UP)
        time.sleep(SETTLE_SECONDS)
        have = len(reader.milliseconds)
        before, head = asyncio.run(_state(mesh))
        mesh.simulator.call("POST", "load", accounts=addresses, perSecond=per_second, seconds=seconds, seed=8)
        reader.wait_for(have + seconds * per_second)
        mesh.simulator.wait_until_idle()
        time.sleep(SETTLE_SECONDS)
        after, end = asyncio.run(_state(mesh))
    events = seconds * per_second
    growth = {name: (size - before.get(name, 0.0)) / events for name, size in after.items()}
    written = {name: size / events for name, size in asyncio.run(_written(mesh, head, end)).items()}
    return {f"{provider} tables": growth | {ALL: sum(growth.values())}, f"{provider} WAL": written}


def _figures(found: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    special = (OTHERS, ALL, PAGES)
    names = {name for column in found.values() for name in column} - set(special)
    shown = sorted(name for name in names if any(column.get(name, 0.0) >= SHOWN_BYTES for column in found.values()))
    rows = {name: {column: values.get(name, 0.0) for column, values in found.items()} for name in shown}
    small = names.difference(shown)
    rows[REST] = {column: sum(values.get(name, 0.0) for name in small) for column, values in found.items()}
    rows |= {name: {column: values.get(name, 0.0) for column, values in found.items()} for name in special}
    return [
        Figure(f"bytes, {column}: {row}", value, "bytes per event")
        for row, values in rows.items()
        for column, value in values.items()
    ]


async def _state(mesh: Mesh) -> tuple[dict[str, float], str]:
    """Return the size of each relation, and the end of the log."""
    connection = await _connected(mesh)
    try:
        sizes = {row[0]: float(row[1]) for row in await connection.fetch(_SIZES)}
        return sizes, str(await connection.fetchval(_HEAD))
    finally:
        await connection.close()


async def _written(mesh: Mesh, head: str, end: str) -> dict[str, float]:
    """Return the bytes between two places of the log, by relation."""
    connection = await _connected(mesh)
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_walinspect")
        found = {row[0]: float(row[1]) for row in await connection.fetch(_WRITTEN, head, end)}
        whole = float(
            await connection.fetchval("SELECT pg_wal_lsn_diff($1::text::pg_lsn, $2::text::pg_lsn)", end, head)
        )
        pages = float(await connection.fetchval(_PAGES, head, end))
    finally:
        await connection.close()
    named = sum(size for name, size in found.items() if name != OTHERS)
    return found | {OTHERS: whole - named, PAGES: pages, ALL: whole}


async def _connected(mesh: Mesh) -> asyncpg.Connection:
    password = DataDirectory(mesh.data).postgres_password.read_text()
    return await asyncpg.connect(told(mesh, "MAILMESH_DATABASE_URL"), user=SUPERUSER, password=password)


if __name__ == "__main__":
    measure.main(
        "bytes_per_event",
        "How many bytes does an event add to the tables and to the write-ahead log, and to which tables?",
        "The whole mesh runs on one machine with the simulated providers. Each provider in turn delivers 50 mails a"
        " second for 20 seconds to five mailboxes. The growth of each table and index, and the records of the"
        " write-ahead log about them (by pg_walinspect), are divided by the events. A table includes its partitions and"
        " its long values. The bytes of the same mesh at rest are included.",
        program,
    )
