"""Clients for tests, built where the toolchain and its registry are at hand."""

import re

import pytest

from clients.builds import BuildError, Client, Program
from tests.programs.toolchains import require

UNREACHABLE = re.compile("failed to (download|get|fetch|load source)|Could not resolve host|spurious network")


def built(client: Client) -> Program:
    """Builds a client; skips the test where Cargo cannot fetch the crates."""
    require(*client.programs)
    try:
        return client.build()
    except BuildError as fault:
        if UNREACHABLE.search(str(fault)):
            pytest.skip("Cargo cannot fetch the crates")
        raise
