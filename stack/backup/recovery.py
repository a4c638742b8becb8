"""Recovery: the unpacked cluster replays the write-ahead log, up to a point in time, and begins a timeline of its own.

Without a timeline of its own, the log of a restored server could be mistaken for that of the server before it.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import asyncpg

from stack.backup.manifest import BackupError
from stack.blocking import run_blocking
from stack.data_directory import DataDirectory
from stack.programs.postgres import BINARIES, CONNECT_SECONDS, PostgresServer
from stack.programs.program import Program
from stack.programs.running import RunningProgram
from stack.programs.unprivileged import give, unprivileged_user

POLL_SECONDS = 0.2
SIGNAL = "recovery.signal"
_LAST_LINE_CHARACTERS = 300
_STARTING = "the database system is"


@dataclass(frozen=True)
class Replay:
    """The log to replay after a backup was unpacked.

    Attributes:
        archive: The folder of the archive; None for the log in the backup alone.
        until: The time up to which changes come back, with a zone; None for all that were archived.
        timeout_seconds: The time after which the recovery is given up.
    """

    archive: Path | None = None
    until: datetime | None = None
    timeout_seconds: float = 3600.0


def recover(data: DataDirectory, wanted: Replay) -> datetime | None:
    """Replays the log in the unpacked cluster, begins a new timeline, and stops the server.

    Args:
        data: The data directory, with the cluster unpacked and the archived segments in its log.
        wanted: How far.

    Returns:
        The time of the last change that came back; None when the log had none.

    Raises:
        BackupError: The log ends before the wanted time, or cannot be replayed; with PostgreSQL's reason.
    """
    with _server(data) as server:
        program = _recovering(server, wanted)
        log = data.logs / "recovery.log"
        log.unlink(missing_ok=True)  # of an earlier attempt
        running = RunningProgram(program, log, data.environments / "recovery.json")
        try:
            deadline = time.monotonic() + wanted.timeout_seconds
            while not (found := run_blocking(_recovered(server.url()))).is_over:
                if not running.is_running:
                    raise BackupError(f"the log is not replayed: {_reason(running)}")
                if time.monotonic() > deadline:
                    raise BackupError(f"the log is not replayed within {wanted.timeout_seconds:g} s: see --timeout")
                time.sleep(POLL_SECONDS)
        finally:
            running.stop()
    return found.last_change_at


@dataclass(frozen=True)
class _Recovered:
    is_over: bool
    last_change_at: datetime | None = None


@contextmanager
def _server(data: DataDirectory) -> Iterator[PostgresServer]:
    """Gives the cluster's server with a short folder for its socket."""
    with tempfile.TemporaryDirectory(prefix="mailmesh-") as name:
        sockets = Path(name)
        sockets.chmod(0o711)
        server = PostgresServer(data.postgres, sockets, data.postgres_password)
        user = unprivileged_user(BINARIES, data.postgres)
        give(sockets, user)
        (data.postgres / SIGNAL).touch(mode=0o600)
        give(data.postgres / SIGNAL, user)
        yield server


def _recovering(server: PostgresServer, wanted: Replay) -> Program:
    # The segments are in the cluster already; without this command PostgreSQL refuses to recover.
    settings = {"restore_command": "false", "recovery_target_action": "promote"}
    if wanted.until is not None:
        settings["recovery_target_time"] = wanted.until.isoformat()
    program = server.program("recovery")
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return replace(program, command=(*program.command, *options))


async def _recovered(url: str) -> _Recovered:
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return _Recovered(is_over=False)  # it is not consistent yet, or has ended
    try:
        rows = await connection.fetch("SELECT NOT pg_is_in_recovery(), pg_last_xact_replay_timestamp()")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return _Recovered(is_over=False)
    finally:
        connection.terminate()
    return _Recovered(*rows[0])


def _reason(running: RunningProgram) -> str:
    lines = running.log_tail().strip().splitlines()
    # It also complains of our own questions while it starts.
    fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line and _STARTING not in line]
    return (fatal[-1] if fatal else lines[-1] if lines else "the server ended")[:_LAST_LINE_CHARACTERS]
