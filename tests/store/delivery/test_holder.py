"""A process runs one deliverer for an endpoint, even when its own lease ends while it looks for free ones."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.delivery.sending.deliverer import Deliverer, Means
from services.delivery.sending.holder import Holder
from services.delivery.sending.slots import Slots
from services.delivery.store import leases
from services.meshkit import db
from services.meshkit.clock import SystemClock
from tests.store.delivery.test_queue import SCHEDULE, VALUES, Pool, pool, use_cases

__all__ = ["pool"]
_END_ALL = "UPDATE delivery.endpoints SET leased_until = now() - interval '1 second'"


class SilentFeed:
    """A stream that does not answer."""

    async def page(self, _row: object, _count: int) -> None:
        await asyncio.Event().wait()


def delivering() -> int:
    """Counts the deliverers that run."""
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return sum(getattr(one, "__qualname__", "") == Deliverer.run.__qualname__ for one in coroutines)


async def test_a_claimed_endpoint_of_its_own_gets_no_second_deliverer(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed: Any = SilentFeed()
    none: Any = None
    means = Means(pool, feed, none, SCHEDULE, SystemClock(), Slots(1), 100)
    holder = Holder(means, 10, timedelta(seconds=30))
    await use_cases(pool).create(VALUES, {}, "latest")
    assert 1 == await holder.round()
    read = leases.revisions

    async def read_and_end(connection: db.Connection, lease_id: str) -> dict[str, int]:
        found = await read(connection, lease_id)
        await connection.execute(_END_ALL)
        return found

    monkeypatch.setattr(leases, "revisions", read_and_end)
    try:
        assert (1, 1) == (await holder.round(), delivering())
    finally:
        await holder.stop(0)
