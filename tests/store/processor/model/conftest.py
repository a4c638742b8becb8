"""Tenants that ask the simulated model."""

from collections.abc import AsyncIterator

import pytest

from services.meshkit import db
from tests.store.processor.model.asking import Ground, asking


@pytest.fixture
async def ground(pool: db.Pool) -> AsyncIterator[Ground]:
    async with asking(pool) as made:
        yield made
