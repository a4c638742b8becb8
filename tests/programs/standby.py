"""A standby of a PostgreSQL server, and one address that leads to the primary of the moment, as services have it."""

from pathlib import Path
from urllib.parse import quote

import asyncpg

from stack.blocking import run_blocking
from stack.files import write_private
from stack.programs.postgres import BINARIES, SOCKET_PORT, SUPERUSER, PostgresServer
from stack.programs.program import Program
from stack.programs.running import RunningProgram
from stack.programs.unprivileged import give, unprivileged_user
from tests.programs.output import output_of

BACKUP_SECONDS = 120.0


class Standby:
    """A standby that follows a primary by streaming. It is made by a base backup, and runs at once.

    Args:
        primary: The running primary.
        folder: A new folder with a short path, which everyone may pass.
        settings: More settings, such as `{"hot_standby": "off"}`.
    """

    def __init__(self, primary: PostgresServer, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.server, program = standby_of(primary, folder, (str(primary.sockets.resolve()), SOCKET_PORT))
        output_of(program, folder, BACKUP_SECONDS)
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


def standby_of(primary: PostgresServer, folder: Path, address: tuple[str, int]) -> tuple[PostgresServer, Program]:
    """Prepare a standby: its folders, and the base backup that makes it, as a program that is to be run to its end.

    Args:
        primary: The primary, which runs when the backup is taken.
        folder: A new folder with a short path, which everyone may pass.
        address: The primary's host and port, as the standby sees them.
    """
    folder.mkdir()
    folder.chmod(0o711)
    sockets, password = folder / "s", folder / "password"
    sockets.mkdir()
    write_private(password, primary.password_file.read_text())
    server = PostgresServer(folder / "data", sockets, password)
    user = unprivileged_user(BINARIES, server.data, sockets, password)
    for owned in (folder, sockets):
        give(owned, user)
    source = ("-h", address[0], "-p", str(address[1]), "-U", SUPERUSER)
    command = (str(BINARIES / "pg_basebackup"), *source, "-D", str(server.data), "-R", "-X", "stream", "-c", "fast")
    return server, Program("backup", command, bool, {"PGPASSWORD": password.read_text()}, user)


async def order(url: str, *statements: str) -> None:
    """Executes statements as the operator, who can also write on a server that is read-only."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET default_transaction_read_only = off")
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
