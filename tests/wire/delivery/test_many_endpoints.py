"""One process delivers to thousands of endpoints, and its memory does not grow with what it delivers."""

import asyncio
import gc

import psutil
import pytest
from prometheus_client import REGISTRY

from tests.store.processor.stream.conftest import mail_draft
from tests.wire.delivery.delivering import Delivery, Receiver, Start, receiving, start_delivery
from tests.wire.processor.stream.conftest import Processor, processor, start_processor, tls

__all__ = ["processor", "start_delivery", "start_processor", "tls"]
pytestmark = pytest.mark.timeout(600)

ENDPOINTS, AT_ONCE = 2000, 50
PATIENCE_SECONDS = 240
MOST_GROWTH = 32 * 2**20


async def created(delivery: Delivery, receiver: Receiver) -> None:
    """Create all endpoints, each with an address of its own."""
    for begin in range(0, ENDPOINTS, AT_ONCE):
        urls = [f"{receiver.url}?{number}" for number in range(begin, begin + AT_ONCE)]
        await asyncio.gather(*(delivery.create(url) for url in urls))


async def arrived(receiver: Receiver, count: int) -> int:
    """Wait for so many webhooks, and return the process's resident memory."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while receiver.count < count:
            await asyncio.sleep(0.1)
    gc.collect()
    return int(psutil.Process().memory_info().rss)


async def test_one_process_delivers_to_thousands_of_endpoints_in_bounded_memory(
    processor: Processor, start_delivery: Start
) -> None:
    async with receiving() as receiver:
        delivery = await start_delivery(endpoints=ENDPOINTS, endpoints_held=ENDPOINTS)
        await created(delivery, receiver)
        await processor.publish(mail_draft())
        first = await arrived(receiver, ENDPOINTS)
        held = REGISTRY.get_sample_value("mailmesh_delivery_endpoints_held")
        await processor.publish(mail_draft())
        last = await arrived(receiver, 2 * ENDPOINTS)

    assert held == ENDPOINTS
    assert {ENDPOINTS} == {len(ids) for ids in receiver.seen.values()}
    assert {1} == {len(set(ids)) for ids in receiver.seen.values()}
    assert last - first < MOST_GROWTH
