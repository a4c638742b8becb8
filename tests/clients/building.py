"""Clients for tests, built where the toolchain and its registry are at hand."""

import os
import re

import pytest

from clients.builds import BuildError, Client, Program
from tests.programs.toolchains import require

UNREACHABLE = re.compile(
    "failed to (download|get|fetch|load source)|Could not resolve host|spurious network"
    "|Could not (transfer|find|resolve)|Unable to resolve artifact|Missing:"
)
"""Words of Cargo and Maven for a registry that does not answer or lacks a package, which is no fault of the client."""


def built(client: Client) -> Program:
    """Builds a client; skips the test where Cargo or Maven cannot fetch the packages, except in CI."""
    require(*client.programs)
    try:
        return client.build()
    except BuildError as fault:
        if UNREACHABLE.search(str(fault)) and os.environ.get("CI") != "true":
            pytest.skip(f"the packages of {client.name} cannot be fetched")
        raise
