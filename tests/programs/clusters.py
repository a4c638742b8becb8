"""A PostgreSQL cluster in which all migrations have run, made once by each process of tests and copied for its meshes.

A first start of `mailmesh up` makes a cluster and runs all migrations, which takes longer than everything else that it
does. The tests of first starts, of the demo and of given servers copy nothing.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.blocking import run_blocking
from stack.data_directory import DataDirectory
from stack.prepare import admin_url_of, database_urls, prepare_databases
from stack.programs.postgres import PostgresServer
from stack.programs.roles import load_passwords
from stack.programs.running import running
from stack.schema_mark import mark_migrated
from tests.programs.migrations import migrate

VARIABLE = "TESTS_CLUSTER"
"""Names the data directory to copy; programs that a test starts find it, too. Without it nothing is copied."""
_NOT_YET = "not yet"


@pytest.fixture(scope="session", autouse=True)
def clusters() -> Iterator[None]:
    """Meshes of this process begin with a copy of the cluster, which the first of them makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, _NOT_YET)
        yield
        if (made := os.environ[VARIABLE]) != _NOT_YET:
            shutil.rmtree(Path(made).parent)


def lay_cluster(data: Path) -> None:
    """Copies the cluster into a new data directory, with the passwords of its roles; leaves one that exists alone.

    Args:
        data: The data directory of a mesh.
    """
    if data.exists() or not (made := os.environ.get(VARIABLE)):
        return
    if made == _NOT_YET:
        made = os.environ[VARIABLE] = str(_make())
    # It belongs to the user that the server runs as.
    subprocess.run(("cp", "--archive", made, str(data)), check=True)


def _make() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="mc-"))
    folder.chmod(0o711)
    data = DataDirectory(folder / "data")
    data.prepare()
    server = PostgresServer(data.postgres, folder, data.postgres_password, is_careless=True)
    server.initialize()
    with running(server.program(), folder):
        passwords = load_passwords(data.database_passwords)
        prepare_databases(admin_url_of(server), passwords, server)
        for service, url in database_urls(admin_url_of(server), passwords).items():
            migrate(service, url, folder / f"migrate-{service}.log")
        run_blocking(mark_migrated(admin_url_of(server)))
    return data.root
