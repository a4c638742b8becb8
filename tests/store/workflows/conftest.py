"""A pool of Workflows, its key, and runs that this process holds."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.meshkit import db
from services.meshkit.db import open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.workflows.sealing import Cipher
from tests.programs.postgres import TestDatabase


@pytest.fixture
async def pool(workflows_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with open_pool(Secret(workflows_database.url), "tests") as opened:
        yield opened


@pytest.fixture
def cipher() -> Cipher:
    return Cipher({"test": os.urandom(32)})


@pytest.fixture
def tenant_id() -> str:
    return new_id()


HOUR = timedelta(hours=1)
