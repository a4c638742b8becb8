"""Checks of this machine: files, certificates, processes."""

import datetime as dt
import stat
from collections.abc import Iterator

import asyncpg
import psutil
from cryptography import x509

from stack.backup.program import NAME as ARCHIVER
from stack.backup.slots import bytes_behind
from stack.blocking import run_blocking
from stack.certificates import MESH_IDENTITIES
from stack.data_directory import DataDirectory
from stack.diagnosis.finding import Finding, bad, good, warning
from stack.programs.postgres import PostgresServer
from stack.ready import Ready

SOON = dt.timedelta(days=7)
# Four segments of the log.
BEHIND_BYTES = 64 * 1024 * 1024


def local_findings(data: DataDirectory, ready: Ready | None) -> Iterator[Finding]:
    """Checks the data directory and the processes of the mesh that runs in it."""
    if not data.root.exists():
        yield warning("data directory", f"{data.root} does not exist", "Start the mesh once with `mailmesh up`.")
        return
    yield from _private_files(data)
    yield from _certificates(data)
    yield _processes(data, ready)
    if ready is not None and ARCHIVER in ready.processes:
        yield _archive(data, ready)


def _private_files(data: DataDirectory) -> Iterator[Finding]:
    for path in (*data.sealing_keys, data.admin_key, data.database_passwords):
        if not path.exists():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield bad(
                path.name,
                f"{path} can be read by others (mode {mode:o})",
                f"chmod 600 {path}, and replace its secrets.",
            )
        else:
            yield good(path.name, "readable by its owner only")
    if data.vault_keys.exists():
        yield good("backup", f"{data.vault_keys} opens every stored credential", "Keep a copy apart from the database.")


def _certificates(data: DataDirectory) -> Iterator[Finding]:
    now = dt.datetime.now(dt.UTC)
    ends = {}
    for name in MESH_IDENTITIES:
        path = data.certificates.identity(name).certificate
        if path.exists():
            ends[name] = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    if not ends:
        return
    name, end = min(ends.items(), key=lambda pair: pair[1])
    if end < now:
        yield bad("mesh certificates", f"{name}'s ended on {end:%Y-%m-%d}", "Restart `mailmesh up`: it makes new ones.")
    elif end - now < SOON:
        yield warning(
            "mesh certificates", f"{name}'s ends on {end:%Y-%m-%d}", "Restart `mailmesh up`: it makes new ones."
        )
    else:
        yield good("mesh certificates", f"good until {end:%Y-%m-%d}")


def _processes(data: DataDirectory, ready: Ready | None) -> Finding:
    if ready is None:
        return warning("processes", f"no mesh is ready in {data.root}", "Start it with `mailmesh up`.")
    dead = sorted(name for name, pid in ready.processes.items() if not psutil.pid_exists(pid))
    if dead:
        return bad("processes", f"not running: {', '.join(dead)}", f"Read their logs in {ready.log_folder}.")
    return good("processes", f"{len(ready.processes)} run")


def _archive(data: DataDirectory, ready: Ready) -> Finding:
    server = PostgresServer(data.postgres, ready.supervisor.parent, data.postgres_password)
    remedy = f"Read {ready.log_folder / ARCHIVER}.log; the disk of the archive may be full or missing."
    try:
        behind = run_blocking(bytes_behind(server.url()))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
        return bad("log archive", f"PostgreSQL cannot be asked: {type(fault).__name__}", "Start it with `mailmesh up`.")
    if behind is None:
        return bad("log archive", "the write-ahead log is not being archived", remedy)
    if behind > BEHIND_BYTES:
        return warning("log archive", f"{behind:,} bytes of the write-ahead log are not archived yet", remedy)
    return good("log archive", "the write-ahead log is archived as it is written")
