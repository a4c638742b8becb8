"""An embedded server in a data directory, with an archive of its log: written to, lost, and restored."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import asyncpg

from stack.backup.program import archiver_program
from stack.backup.recovery import Replay
from stack.backup.restore import Restored, restore_backup
from stack.backup.slots import bytes_behind
from stack.backup.take import take_backup
from stack.blocking import run_blocking
from stack.data_directory import DataDirectory
from stack.programs.postgres import PostgresServer
from stack.programs.running import RunningProgram, running, wait_until
from stack.ready import Ready
from tests.programs.standby import order

WAIT_SECONDS = 90.0
# Each question is a new connection, whose password takes milliseconds to check.
POLL_SECONDS = 0.2
KEY = secrets.token_bytes(32)


class Installation:
    """An embedded server in a data directory, with an archive beside it."""

    def __init__(self, folder: Path, archive: Path) -> None:
        self.folder, self.archive = folder, archive
        self.data = DataDirectory(folder / "data")
        self.data.prepare()
        self.server = PostgresServer(self.data.postgres, folder, self.data.postgres_password)
        self.server.initialize()
        self.running = RunningProgram(self.server.program(), folder / "postgres.log")
        self.running.wait_until_ready()
        self.do("CREATE TABLE notes (said text, at timestamptz DEFAULT clock_timestamp())")

    def do(self, *statements: str) -> None:
        run_blocking(order(self.server.url(), *statements))

    def note(self, text: str) -> datetime:
        """Commit a note; return the time between it and the next one, by the server's clock."""
        return run_blocking(_note(self.server.url(), text))

    def back_up(self, name: str) -> Path:
        addresses = {"http": "", "grpc": "", "public_url": "", "ca_file": self.folder, "admin_key_file": self.folder}
        places = {"log_folder": self.folder, "supervisor": self.folder / "door", "processes": {"postgres": 1}}
        folder = self.folder / name
        take_backup(self.data, Ready.model_validate(addresses | places), folder, KEY, 60.0)
        return folder

    @contextmanager
    def archiving(self, gigabytes: int = 1) -> Iterator[RunningProgram]:
        program = archiver_program(self.server, self.archive, gigabytes, 30, self.folder / "archiver")
        with running(program, self.folder) as archiver:
            yield archiver

    def archive_everything(self) -> None:
        assert wait_until(lambda: run_blocking(bytes_behind(self.server.url())) == 0, WAIT_SECONDS, POLL_SECONDS)

    def lose_the_disk(self) -> None:
        self.running.kill()
        shutil.rmtree(self.data.root)

    def restore(self, backup: Path, until: datetime | None = None, archive: Path | None = None) -> Restored:
        """Restore into a new data directory; it is that of this installation from now on."""
        self.data = DataDirectory(self.folder / f"restored-{secrets.token_hex(3)}")
        return restore_backup(self.data, backup, KEY, {}, Replay(archive or self.archive, until, 60.0))

    def start(self) -> None:
        self.server = PostgresServer(self.data.postgres, self.folder, self.data.postgres_password)
        self.running = RunningProgram(self.server.program(), self.folder / "postgres.log")
        self.running.wait_until_ready()

    def notes(self) -> list[str]:
        return run_blocking(_notes(self.server.url()))

    def restored_notes(self, backup: Path, until: datetime | None = None) -> list[str]:
        self.restore(backup, until)
        self.start()
        try:
            return self.notes()
        finally:
            self.running.stop()


async def _note(url: str, text: str) -> datetime:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("INSERT INTO notes (said) VALUES ($1)", text)
        return datetime.fromisoformat(str(await connection.fetchval("SELECT clock_timestamp()")))
    finally:
        await connection.close()


async def _notes(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row["said"] for row in await connection.fetch("SELECT said FROM notes ORDER BY at")]
    finally:
        await connection.close()
