"""Keeps the surroundings of the machine out of the tests: no proxies, no settings, no network."""

import ipaddress
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.suite.sandbox import IN_MEMORY, MEMORY_VARIABLE, memory_is_roomy

SCRUBBED_PREFIXES = ("MAILMESH_", "OTEL_", "GRPC_", "SSL_CERT_", "REQUESTS_CA_", "CURL_CA_", "PG")
SCRUBBED_SUFFIXES = ("_PROXY",)
SCRUBBED_NAMES = ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "GOOGLE_APPLICATION_CREDENTIALS", "PYTHONASYNCIODEBUG")

# Unix sockets have paths of at most 107 bytes, and the longest of ours begin 60 bytes below this folder.
SHORT_PATH = 30


def is_scrubbed(name: str) -> bool:
    """Says whether an environment variable could change what a test sees."""
    upper = name.upper()
    return upper.startswith(SCRUBBED_PREFIXES) or upper.endswith(SCRUBBED_SUFFIXES) or upper in SCRUBBED_NAMES


@pytest.fixture(scope="session", autouse=True)
def scrubbed_environment() -> Iterator[None]:
    """Takes settings and proxies out of the environment, for this process and the programs it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in filter(is_scrubbed, list(os.environ)):
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A temporary folder with a path short enough for unix sockets, open for passage, gone at the end.

    It is in TMPDIR where that is short, as it is when `make test` runs, and in /tmp elsewhere.
    """
    inside = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="mm-", dir=inside if len(inside) <= SHORT_PATH else "/tmp"))  # noqa: S108
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def memory_folder(short_folder: Path) -> Iterator[Path]:
    """A folder in memory, for what no test wants to find after a crash; a folder on the disk where memory is scarce.

    The runner of the suite says where it is; without the runner it is a new one.
    """
    told = os.environ.get(MEMORY_VARIABLE, "")
    if not told and not memory_is_roomy():
        yield short_folder
        return
    folder = Path(tempfile.mkdtemp(prefix="mm-", dir=told or IN_MEMORY))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class NetworkForbiddenError(Exception):
    """A test tried to reach another machine."""


def _refuse_other_machines(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    connection, address = arguments[0], arguments[1]
    if connection.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(str(address[0])):
        raise NetworkForbiddenError(f"tests reach this machine only, not {address[0]}")


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# An audit hook sees every connect of this interpreter, whatever library makes it; it cannot be taken away again.
sys.addaudithook(_refuse_other_machines)
