"""Grounds: TokenVault's processes, a database, the simulated providers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stack.certificates import MeshCertificates
from tests.programs.postgres import PostgresProgram, TestDatabase
from tests.programs.simulator import RunningSimulator
from tests.programs.vault import VaultGround, VaultProcess, new_keys, vault_ground
from tests.programs.vault_clients import Stubs


@dataclass(frozen=True)
class Shared:
    """A process that all tests of a module use."""

    database: TestDatabase
    process: VaultProcess
    keys: str


@pytest.fixture
async def ground(
    token_vault_database: TestDatabase, simulator: RunningSimulator, certificates: MeshCertificates, tmp_path: Path
) -> AsyncIterator[VaultGround]:
    """A ground without processes, for tests that start, kill and configure their own."""
    async with vault_ground(token_vault_database, simulator, certificates, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(
    postgres: PostgresProgram,
    simulator: RunningSimulator,
    certificates: MeshCertificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shared]:
    database, keys = postgres.migrated_database("token_vault"), new_keys("k1")
    folder = tmp_path_factory.mktemp("vault")

    async def start() -> VaultProcess:
        async with vault_ground(database, simulator, certificates, folder, keys) as ground:
            # A token that a test makes due is refreshed for the caller, and not by the process before that.
            await ground.start(MAILMESH_VAULT_REFRESH_INTERVAL_SECONDS="3600")
            return ground.lend()

    process = asyncio.run(start())
    yield Shared(database, process, keys)
    process.kill()
    postgres.drop(database)


@pytest.fixture
async def served(
    shared: Shared, simulator: RunningSimulator, certificates: MeshCertificates, tmp_path: Path
) -> AsyncIterator[VaultGround]:
    """A ground with one process that is up already, and nothing stored."""
    async with vault_ground(shared.database, simulator, certificates, tmp_path, shared.keys) as opened:
        await opened.empty()
        opened.borrow(shared.process)
        yield opened


@pytest.fixture
async def edge(served: VaultGround) -> Stubs:
    """The edge, which passes on what keys and browsers ask."""
    return await served.stubs(served.processes[0], "envoy")


@pytest.fixture
async def ingest(served: VaultGround) -> Stubs:
    """Ingest, as TokenVault sees it."""
    return await served.stubs(served.processes[0], "ingest")
