"""An attempt is made for the tenants of the endpoint's filter only."""

import asyncio
import os
from dataclasses import asdict, replace
from typing import Any

import pytest

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from services.delivery.endpoints.secrets import KeptKey, Sealer
from services.delivery.errors import TenantNotFound
from services.delivery.sending.attempt import TESTS, Attempts
from services.delivery.sending.receivers import Receivers
from services.delivery.signing_keys import HmacKey
from services.delivery.store.rows import Delivery
from services.meshkit.clock import SystemClock
from services.meshkit.errors import DataLoss, MeshError, Unavailable
from services.meshkit.ids import new_id
from services.meshkit.loops import cancel
from tests.unit.delivery.test_schedule import endpoint


async def test_nothing_is_sent_for_a_tenant_that_the_filter_excludes() -> None:
    nowhere: Any = None  # Without a client and a stream, anything that were read or sent would fail otherwise.
    attempts = Attempts(nowhere, Sealer({"one": os.urandom(32)}), nowhere, nowhere, SystemClock())
    other = Delivery(new_id(), new_id(), "mail.created", "a", b"{}")

    with pytest.raises(TenantNotFound):
        await attempts.deliver(endpoint(tenant_ids=[new_id()]), other)


class UnreadableFeed:
    """A stream that answers each read of an event with a failure."""

    def __init__(self, failure: MeshError) -> None:
        self._failure = failure

    async def event(self, _event_id: str) -> None:
        raise self._failure


async def test_an_event_that_stays_unreadable_is_a_failed_attempt_and_a_pause_of_processor_is_none() -> None:
    nowhere: Any = None
    row, one = endpoint(view=pb2.ENDPOINT_VIEW_FULL), Delivery(new_id(), new_id(), "mail.created", "a", b"{}", 3)

    def attempts(failure: MeshError) -> Attempts:
        feed: Any = UnreadableFeed(failure)
        return Attempts(nowhere, Sealer({"one": os.urandom(32)}), feed, nowhere, SystemClock())

    tried = await attempts(DataLoss()).deliver(row, one)
    assert (4, False, 0, "DATA_LOSS") == (
        tried.row.number, tried.row.is_delivered, tried.row.status, tried.row.reason
    )  # fmt: skip
    with pytest.raises(Unavailable):
        await attempts(Unavailable()).deliver(row, one)


class SlowClient:
    """A way to receivers whose names stay silent; it counts the requests that wait."""

    def __init__(self) -> None:
        self.waiting = 0

    async def post(self, *_values: object, **_named: object) -> None:
        self.waiting += 1
        await asyncio.Event().wait()


async def test_tests_of_slow_receivers_take_a_few_lookups_only() -> None:
    nowhere: Any = None
    client: Any = SlowClient()
    sealer = Sealer({"one": os.urandom(32)})
    row = endpoint(endpoint_id=new_id(), timeout_ms=15_000)
    row = replace(row, **asdict(sealer.seal(row.endpoint_id, [KeptKey(HmacKey.generate())], {})))
    attempts = Attempts(Receivers(client, sealer), sealer, nowhere, nowhere, SystemClock())
    tests = [asyncio.create_task(attempts.test(row)) for _ in range(TESTS * 3)]
    for _ in range(20):
        await asyncio.sleep(0)
    await cancel(tests)

    assert TESTS == client.waiting
