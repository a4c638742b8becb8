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
"""Names the folder of the data directory to copy, which is made there by the first mesh, also one of a program that a
test starts. Without it nothing is copied."""


@pytest.fixture(scope="session", autouse=True)
def clusters() -> Iterator[None]:
    """Meshes of this process begin with a copy of the cluster, which the first of them makes."""
    folder = Path(tempfile.mkdtemp(prefix="mc-"))
    folder.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(folder))
        yield
    shutil.rmtree(folder)


def lay_cluster(data: Path) -> None:
    """Copies the cluster into a new data directory, with the passwords of its roles; leaves one that exists alone.

    Args:
        data: The data directory of a mesh.
    """
    if data.exists() or not (folder := os.environ.get(VARIABLE)):
        return
    made = Path(folder, "data")
    if not made.exists():
        making = Path(folder, "making")
        if making.exists():  # of a program that was ended
            shutil.rmtree(making)
        _make(Path(folder), DataDirectory(making))
        making.rename(made)
    # It belongs to the user that the server runs as.
    subprocess.run(("cp", "--archive", str(made), str(data)), check=True)


def _make(folder: Path, data: DataDirectory) -> None:
    data.prepare()
    server = PostgresServer(data.postgres, folder, data.postgres_password, is_careless=True)
    server.initialize()
    with running(server.program(), folder):
        passwords = load_passwords(data.database_passwords)
        prepare_databases(admin_url_of(server), passwords, server)
        for service, url in database_urls(admin_url_of(server), passwords).items():
            migrate(service, url, folder / f"migrate-{service}.log")
        run_blocking(mark_migrated(admin_url_of(server)))
