"""Prepares folders, secrets, databases and configuration, before the start and between the stages."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import asyncpg

from stack.backup.restore import is_to_be_settled
from stack.backup.slots import drop_unused
from stack.blocking import run_blocking
from stack.data_directory import DataDirectory
from stack.errors import StartError
from stack.files import MAX_SOCKET_FOLDER_BYTES, private_folder
from stack.options import UpOptions
from stack.plan import Plan, Planner
from stack.programs.postgres import PostgresServer
from stack.programs.program import Program
from stack.programs.roles import (
    create_database,
    prepare_database,
    prepare_roles,
    roles_for,
    with_database,
    with_role,
)
from stack.programs.running import RunningProgram, wait_until
from stack.programs.tether import machine_environment
from stack.schema_mark import is_migrated, mark_migrated

DATABASE = "mailmesh"
MIGRATION_SECONDS = 300.0
RESTORED_SECONDS = 3600.0
RENDER_SECONDS = 30.0


def socket_folder(data: DataDirectory) -> Path:
    """Returns a folder for unix sockets: in the data directory if its path is short enough, else a temporary one."""
    preferred = data.run.resolve()
    if len(os.fsencode(preferred)) <= MAX_SOCKET_FOLDER_BYTES:
        preferred.mkdir(exist_ok=True)
        preferred.chmod(0o711)
        return preferred
    temporary = Path(tempfile.mkdtemp(prefix="mailmesh-"))
    temporary.chmod(0o711)
    return temporary


def is_temporary(folder: Path, data: DataDirectory) -> bool:
    """Says whether the folder for sockets is outside the data directory."""
    return folder != data.run.resolve()


def remove_socket_folder(folder: Path, data: DataDirectory) -> None:
    """Removes the folder if it was a temporary one. Safe to call again: yes."""
    if is_temporary(folder, data):
        shutil.rmtree(folder, ignore_errors=True)


def database_urls(admin_url: str, passwords: Mapping[str, str]) -> dict[str, str]:
    """Returns the database's address for each service's own role."""
    roles = roles_for(admin_url)
    return {service: with_role(admin_url, role.role, passwords[service]) for service, role in roles.items()}


def prepare_databases(admin_url: str, passwords: dict[str, str], server: PostgresServer | None) -> None:
    """Makes the database, the services' roles and their schemas. Safe to call again: yes.

    Args:
        admin_url: The database, as a role that may create roles and schemas.
        passwords: Password by service.
        server: Our own server, in which the database is made first.

    Raises:
        StartError: The server refuses; with its reason.
    """
    with _refusals("PostgreSQL refuses to make roles and schemas"):
        run_blocking(_prepare(admin_url, passwords, server))


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Turns failures of PostgreSQL into one line for the person at the terminal."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as fault:
        sentence = str(fault).partition("\n")[0]
        raise StartError(f"{what}: {sentence}") from fault


async def _prepare(admin_url: str, passwords: dict[str, str], server: PostgresServer | None) -> None:
    if server is not None:
        await create_database(server.url(), DATABASE)
    roles = roles_for(admin_url)
    await prepare_roles(admin_url, passwords, roles)
    await prepare_database(admin_url, list(roles), roles, is_ours=server is not None)


def migrate(admin_url: str, plan: Plan, data: DataDirectory) -> None:
    """Runs the migrations of all services side by side, unless all have run. Safe to call again: yes.

    Raises:
        StartError: One failed; the message has the end of its log.
    """
    with _refusals("PostgreSQL cannot be asked for its schemas"):
        if run_blocking(is_migrated(admin_url)):
            return
    _run_to_end(plan.migrations, data, MIGRATION_SECONDS)
    with _refusals("PostgreSQL refuses the mark of the migrations"):
        run_blocking(mark_migrated(admin_url))


def settle_restored(plan: Plan, data: DataDirectory, environment: Mapping[str, str]) -> None:
    """Settles what a backup left open, after the migrations, when the data directory was restored.

    Safe to call again: yes; an interrupted start repeats it.

    Raises:
        StartError: A program failed; the message has the end of its log.
        BackupError: The restore was interrupted, or DATABASE_URL names another database than the restored one.
    """
    if not is_to_be_settled(data, environment):
        return
    _run_to_end(plan.restored, data, RESTORED_SECONDS)
    data.restored.unlink()


def check_archive(options: UpOptions, data: DataDirectory, environment: Mapping[str, str]) -> None:
    """Refuses an archive of the write-ahead log that would be none.

    Raises:
        StartError: The database is on a server of its own, or the archive is inside the data directory.
    """
    if options.wal_archive is None:
        return
    if environment.get("DATABASE_URL"):
        raise StartError("--wal-archive is for the embedded PostgreSQL: archive the log of the other server there")
    if options.wal_archive.resolve().is_relative_to(data.root):
        raise StartError(f"{options.wal_archive} is inside the data directory: name a folder on another disk")


def end_unused_archives(planner: Planner) -> None:
    """Has the embedded server keep no log for an archive that is not written any more. Safe to call again: yes.

    Raises:
        StartError: The server refuses; with its reason.
    """
    if planner.postgres is None or planner.options.wal_archive is not None:
        return
    with _refusals("PostgreSQL cannot be asked for its archives"):
        run_blocking(drop_unused(planner.postgres.url()))


def _run_to_end(programs: Sequence[Program], data: DataDirectory, seconds: float) -> None:
    """Runs programs side by side until all have ended.

    Raises:
        StartError: One failed, or the time is over; the message has the end of its log.
    """
    # Logs are shown to others, so the programs' variables lie elsewhere.
    started = [
        RunningProgram(program, data.logs / f"{program.name}.log", data.environments / f"{program.name}.json")
        for program in programs
    ]
    in_time = wait_until(lambda: not any(run.is_running for run in started), seconds)
    for run in started:
        if not in_time:
            run.kill()
        if run.exit_code != 0:
            raise StartError(f"{run.program.name} failed:\n{run.log_tail()}")


class EdgeRendering:
    """Envoy's configuration, being rendered while other things start.

    Args:
        environment: The variables for it.
        folder: Where it is written.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        private_folder(folder)
        program = Program("render", (sys.executable, "-m", "gateway", "render", str(folder)), is_ready=bool)
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            program.tethered_command(),
            env={**machine_environment(), **environment},
            stdout=pipe,
            stderr=pipe,
            text=True,
        )

    def wait(self) -> list[str]:
        """Waits until it is written, and returns the warnings for the operator.

        Raises:
            StartError: A setting is wrong; with the reason.
        """
        try:
            _, complaint = self._process.communicate(timeout=RENDER_SECONDS)
        except subprocess.TimeoutExpired:
            self.close()
            raise StartError("the edge's configuration is not made in time") from None
        if self._process.returncode != 0:
            raise StartError(f"the edge's configuration cannot be made:\n{complaint.strip()}")
        return complaint.splitlines()

    def close(self) -> None:
        """Ends it, if it has not ended. Safe to call again: yes."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def admin_url_of(server: PostgresServer) -> str:
    """Returns the address of our own database for its superuser."""
    return with_database(server.url(), DATABASE)
