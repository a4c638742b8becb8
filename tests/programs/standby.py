"""A standby of a PostgreSQL server, and one address that leads to the primary of the moment, as services have it."""

import os
import subprocess
from pathlib import Path
from urllib.parse import quote

import asyncpg

from stack.blocking import run_blocking
from stack.files import write_private
from stack.programs.postgres import BINARIES, SOCKET_PORT, SUPERUSER, PostgresServer
from stack.programs.program import Program
from stack.programs.running import RunningProgram
from stack.programs.unprivileged import give, unprivileged_user

BACKUP_SECONDS = 60.0


class Standby:
    """A standby that follows a primary by streaming. It is made by a base backup, and runs at once.

    Args:
        primary: The running primary.
        folder: A new folder with a short path, which everyone may pass.
        settings: More settings, such as `{"hot_standby": "off"}`.
    """

    def __init__(self, primary: PostgresServer, folder: Path, settings: dict[str, str] | None = None) -> None:
        folder.mkdir()
        folder.chmod(0o711)
        sockets = folder / "s"
        sockets.mkdir()
        password = folder / "password"
        write_private(password, primary.password_file.read_text())
        self.server = PostgresServer(folder / "data", sockets, password)
        user = unprivileged_user(BINARIES, folder / "data", sockets, password)
        for owned in (folder, sockets):
            give(owned, user)
        _back_up(primary, self.server.data, Program("backup", _command(primary, self.server.data), bool, user=user))
        self._configuration = self.server.data / "postgresql.auto.conf"
        with self._configuration.open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in (settings or {}).items())
        self.running = RunningProgram(self.server.program("standby"), folder / "standby.log")

    def promote(self) -> None:
        """Make it the primary, and wait until it is."""
        run_blocking(order(self.server.url(), "SELECT pg_promote()"))


class Address:
    """An address that stays the same while the server behind it changes.

    Args:
        link: A path for the address; a symbolic link takes its place.
        server: The server behind it at first.
    """

    def __init__(self, link: Path, server: PostgresServer) -> None:
        self._link = link
        self.lead_to(server)

    def lead_to(self, server: PostgresServer) -> None:
        """Lead new connections to another server."""
        staged = self._link.with_suffix(".new")
        staged.symlink_to(server.sockets.resolve())
        staged.replace(self._link)

    def of(self, url: str) -> str:
        """Return the database's address with this one in the place of its server's."""
        return f"{url.partition('?')[0]}?host={quote(str(self._link), safe='')}&port={SOCKET_PORT}"


def _command(primary: PostgresServer, data: Path) -> tuple[str, ...]:
    source = ("-h", str(primary.sockets.resolve()), "-p", str(SOCKET_PORT), "-U", SUPERUSER)
    return (str(BINARIES / "pg_basebackup"), *source, "-D", str(data), "-R", "-X", "stream", "-c", "fast")


def _back_up(primary: PostgresServer, data: Path, program: Program) -> None:
    environment = {**os.environ, "PGPASSWORD": primary.password_file.read_text()}
    command = program.tethered_command()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BACKUP_SECONDS, check=False)
    assert done.returncode == 0, f"no backup in {data}: {done.stderr}"


async def order(url: str, *statements: str) -> None:
    """Executes statements as the operator, who can also write on a server that is read-only."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET default_transaction_read_only = off")
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
