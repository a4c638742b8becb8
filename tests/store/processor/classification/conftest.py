"""Tenants whose mail is labelled on arrival, by a service of Primitives."""

from collections.abc import AsyncIterator

import pytest

from services.meshkit import db
from tests.store.processor.classification.labelling import (
    Labelled,
    Primitives,
    primitives,
)


@pytest.fixture
async def service() -> AsyncIterator[Primitives]:
    async with primitives() as opened:
        yield opened


@pytest.fixture
async def labelled(pool: db.Pool, service: Primitives) -> Labelled:
    made = Labelled(pool, service)
    await made.begin()
    return made
