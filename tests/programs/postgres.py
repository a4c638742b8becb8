"""A real PostgreSQL for tests: a server per process, a migrated template per service, a clone per test."""

import itertools
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stack.blocking import run_blocking
from stack.programs.postgres import PostgresServer
from stack.programs.roles import (
    SERVICE_ROLES,
    copy_database,
    create_database,
    drop_database,
    prepare_database,
    prepare_roles,
    with_database,
    with_role,
)
from stack.programs.running import RunningProgram
from tests.programs.migrations import migrate

_numbers = itertools.count(1)


@dataclass(frozen=True)
class TestDatabase:
    """A database for one test.

    Attributes:
        url: Its address for the service's own role, which sees the service's schema only.
        admin_url: Its address for the superuser.
    """

    __test__ = False

    url: str
    admin_url: str


class PostgresProgram:
    """A PostgreSQL server for tests, with the services' roles in it."""

    def __init__(self, server: PostgresServer, running: RunningProgram, folder: Path) -> None:
        self.server = server
        self.running = running
        self.passwords = {service: secrets.token_urlsafe(16) for service in SERVICE_ROLES}
        self._folder = folder
        self._templates: dict[str, str] = {}
        run_blocking(prepare_roles(server.url(), self.passwords))

    def empty_database(self, service: str) -> TestDatabase:
        """Makes a database in which the service has its role and an empty schema."""
        name = f"{service}_{next(_numbers)}"
        run_blocking(create_database(self.server.url(), name))
        run_blocking(prepare_database(self.server.url(database=name), [service]))
        return self._database(service, name)

    def migrated_database(self, service: str) -> TestDatabase:
        """Makes a database in which the service's migrations have run: a copy of one that is migrated once."""
        template = self._template(service)
        name = f"{service}_{next(_numbers)}"
        run_blocking(copy_database(self.server.url(), name, template, SERVICE_ROLES[service]))
        return self._database(service, name)

    def drop(self, database: TestDatabase) -> None:
        """Drops a database, connected or not."""
        name = database.admin_url.split("?", maxsplit=1)[0].rpartition("/")[2]
        run_blocking(drop_database(self.server.url(), name))

    def _template(self, service: str) -> str:
        if service not in self._templates:
            made = self.empty_database(service)
            migrate(service, made.url, self._folder / f"migrate-{service}.log")
            self._templates[service] = made.admin_url.split("?", maxsplit=1)[0].rpartition("/")[2]
        return self._templates[service]

    def _database(self, service: str, name: str) -> TestDatabase:
        admin_url = with_database(self.server.url(), name)
        url = with_role(admin_url, SERVICE_ROLES[service].role, self.passwords[service])
        return TestDatabase(url, admin_url)


def start_postgres(folder: Path, *, is_careless: bool) -> PostgresProgram:
    """Makes and starts a PostgreSQL server.

    Args:
        folder: A new folder with a short path, which everyone may pass.
        is_careless: Whether a crash may lose data; faster.
    """
    folder.mkdir()
    folder.chmod(0o711)
    server = PostgresServer(folder / "data", folder, folder / "password", is_careless)
    server.initialize()
    running = RunningProgram(server.program(), folder / "postgres.log")
    running.wait_until_ready()
    return PostgresProgram(server, running, folder)


@pytest.fixture(scope="session")
def postgres(memory_folder: Path) -> Iterator[PostgresProgram]:
    """One PostgreSQL for all tests of this process, fast and careless: do not test durability with it."""
    program = start_postgres(memory_folder / "pg", is_careless=True)
    yield program
    program.running.stop()


@pytest.fixture
def durable_postgres(short_folder: Path) -> Iterator[PostgresProgram]:
    """A PostgreSQL for one test, whose commits survive a crash: `.running.kill()`, `.running.restart()`."""
    folder = short_folder / f"d{os.getpid()}-{next(_numbers)}"
    program = start_postgres(folder, is_careless=False)
    yield program
    program.running.stop()
    shutil.rmtree(folder)


@pytest.fixture
def make_database(postgres: PostgresProgram) -> Iterator[Callable[[str], TestDatabase]]:
    """Makes migrated databases: `make_database("ingest")`, names as in services/."""
    made: list[TestDatabase] = []

    def make(service: str) -> TestDatabase:
        made.append(postgres.migrated_database(service))
        return made[-1]

    yield make
    for database in made:
        postgres.drop(database)


@pytest.fixture
def token_vault_database(make_database: Callable[[str], TestDatabase]) -> TestDatabase:
    """A migrated database of TokenVault for one test."""
    return make_database("token_vault")


@pytest.fixture
def ingest_database(make_database: Callable[[str], TestDatabase]) -> TestDatabase:
    """A migrated database of Ingest for one test."""
    return make_database("ingest")


@pytest.fixture
def processor_database(make_database: Callable[[str], TestDatabase]) -> TestDatabase:
    """A migrated database of Processor for one test."""
    return make_database("processor")


@pytest.fixture
def delivery_database(make_database: Callable[[str], TestDatabase]) -> TestDatabase:
    """Makes a migrated database for Delivery."""
    return make_database("delivery")


@pytest.fixture
def workflows_database(make_database: Callable[[str], TestDatabase]) -> TestDatabase:
    """Makes a migrated database for Workflows."""
    return make_database("workflows")
