"""The connection that statements run on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

import asyncpg

from services.meshkit.db import store_errors

_WAIT_SECONDS = 2.0

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""A connection, alone or from a pool: a pool's proxy passes everything on to one of these."""


@asynccontextmanager
async def lent(pool: "asyncpg.Pool[Any]") -> AsyncIterator[Connection]:
    """Lend a connection for a few statements.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached, or no connection is free in time.
        Conflict: Another transaction was in conflict.
    """
    with store_errors():
        async with pool.acquire(timeout=_WAIT_SECONDS) as connection:
            yield cast("Connection", connection)
