"""The connection that stores are handed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

import asyncpg

from services.meshkit.db import store_errors

_WAIT_SECONDS = 2.0

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""Of a pool, too: what a pool lends passes everything on to one of these."""


@asynccontextmanager
async def lent(pool: "asyncpg.Pool[Any]") -> AsyncIterator[Connection]:
    """Lends a connection for a few statements.

    Raises:
        StoreUnavailable: The database is away, or no connection is free in time.
        Conflict: Another transaction was in the way.
    """
    with store_errors():
        async with pool.acquire(timeout=_WAIT_SECONDS) as connection:
            yield cast("Connection", connection)
