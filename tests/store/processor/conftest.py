"""The surroundings of the worker in tests."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
import structlog

from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret
from stack.certificates import MeshCertificates
from tests.programs.postgres import TestDatabase
from tests.programs.simulator import RunningSimulator
from tests.store.processor.ground import Ground, standing


@pytest.fixture
async def pool(processor_database: TestDatabase) -> "AsyncIterator[asyncpg.Pool[Any]]":
    async with open_pool(Secret(processor_database.url), "test", DatabaseLimits(connections=8)) as opened:
        yield opened


@pytest.fixture
async def ground(
    simulator: RunningSimulator,
    certificates: MeshCertificates,
    ingest_database: TestDatabase,
    processor_database: TestDatabase,
) -> AsyncIterator[Ground]:
    """Open everything except the worker, without Redis."""
    async with standing(simulator, certificates, ingest_database, processor_database) as made:
        yield made


@pytest.fixture
async def woken_ground(
    simulator: RunningSimulator,
    certificates: MeshCertificates,
    ingest_database: TestDatabase,
    processor_database: TestDatabase,
    redis_url: str,
) -> AsyncIterator[Ground]:
    """Open everything except the worker, with Redis."""
    async with standing(simulator, certificates, ingest_database, processor_database, redis_url) as made:
        yield made


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    """Write logs as lines, so that a failure shows them."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    yield
    structlog.reset_defaults()
