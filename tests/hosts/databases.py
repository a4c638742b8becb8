"""PostgreSQL on two hosts: a primary, a synchronous standby, and one address that leads to the one that writes."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import asyncpg

from services.meshkit.schema import VERSION_TABLE
from stack.blocking import run_blocking
from stack.programs.postgres import PostgresServer
from stack.programs.program import Program
from stack.programs.roles import (
    SERVICE_ROLES,
    create_database,
    prepare_database,
    prepare_roles,
    roles_for,
    with_database,
)
from stack.programs.running import RunningProgram, wait_until
from tests.hosts.programs import on_host
from tests.hosts.wire import NETWORK, Host, Wire
from tests.programs.output import output_of
from tests.programs.standby import BACKUP_SECONDS, order, standby_of

DATABASE = "mailmesh"
ADDRESS = f"{NETWORK}.20"
PORT = 5432
_RULES = f"\nhost all all {NETWORK}.0/24 scram-sha-256\nhost replication all {NETWORK}.0/24 scram-sha-256\n"


class Databases:
    """The pair of servers.

    Args:
        folder: A private folder with a short path.
        wire: The wire of both hosts.
        first: The primary's host.
        second: The standby's host.
    """

    def __init__(self, folder: Path, wire: Wire, first: Host, second: Host) -> None:
        self._wire = wire
        self.first, self.second = first, second
        self.primary = PostgresServer(folder / "a" / "data", folder / "a" / "sockets", folder / "a.password")
        (folder / "a").mkdir()
        (folder / "a").chmod(0o711)
        self.primary.initialize()
        with (self.primary.data / "pg_hba.conf").open("a") as rules:
            rules.write(_RULES)
        self.running = RunningProgram(_listening(self.primary, "database-a", first), folder / "database-a.log")
        self.running.wait_until_ready()
        wire.lead(ADDRESS, first)
        self._follow(folder)

    def prepare(self, passwords: dict[str, str]) -> dict[str, str]:
        """Make the database and the services' roles; return the database's address by service."""
        run_blocking(create_database(self.primary.url(), DATABASE))
        admin = with_database(self.primary.url(), DATABASE)
        roles = roles_for(admin)
        run_blocking(prepare_roles(admin, passwords, roles))
        run_blocking(prepare_database(admin, list(roles), roles))
        return {
            service: f"postgresql://{role.role}:{quote(passwords[service], safe='')}@database:{PORT}/{DATABASE}"
            for service, role in roles.items()
        }

    def wait_for_the_standby(self) -> None:
        """From now on a commit that is acknowledged is on both."""
        synchronous = ("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        run_blocking(order(self.primary.url(), *synchronous))

    def refuse(self, *, refuses: bool) -> None:
        """Refuse every new connection of the services, and end those that are there; or let them in again."""
        url = with_database(self.primary.url(), DATABASE)
        statements = [f"ALTER DATABASE {DATABASE} CONNECTION LIMIT {0 if refuses else -1}"]
        if refuses:
            statements.append(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        run_blocking(order(url, *statements))

    def revision(self, service: str) -> str:
        """Return the revision of a service's schema.

        Args:
            service: Its package under services/.
        """
        return run_blocking(_revision(with_database(self.primary.url(), DATABASE), SERVICE_ROLES[service].schema))

    def lose_the_primary(self) -> None:
        """The primary's host falls silent and its server dies."""
        self.first.is_cut = True
        self.running.kill()

    def fail_over(self) -> None:
        """Promote the standby, and lead the database's address to it: the two steps that docs name."""
        run_blocking(order(self.standby.url(), "SELECT pg_promote()"))
        self._wire.lead(ADDRESS, self.second)

    def stop(self) -> None:
        """Stop both servers."""
        for running in (self.running, self.following):
            running.stop()

    def _follow(self, folder: Path) -> None:
        self.standby, backup = standby_of(self.primary, folder / "b", (self.first.address, PORT))
        output_of(on_host(backup, self.second), folder, BACKUP_SECONDS)
        self.following = RunningProgram(_listening(self.standby, "database-b", self.second), folder / "database-b.log")
        assert wait_until(self.standby.is_ready, 60.0), self.following.log_tail()


def _listening(server: PostgresServer, name: str, host: Host) -> Program:
    program = server.program(name)
    return on_host(replace(program, command=(*program.command, "-c", "listen_addresses=*")), host)


async def _revision(url: str, schema: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(f"SELECT version_num FROM {schema}.{VERSION_TABLE}"))  # noqa: S608 - constants
    finally:
        await connection.close()
