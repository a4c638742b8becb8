"""Ends of leases travel with a claim, or by a call of their own when no claim takes them along."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from mailmesh.ingest.v1 import inbox_service_pb2 as pb2
from services.meshkit.errors import ServiceUnavailable
from services.meshkit.ids import new_id
from services.processor.mailbox.inbox_client import InboxClient
from services.processor.mailbox.lease_endings import LONGEST_WAIT_SECONDS, LeaseEndings, LeaseLostError


class Stub:
    """Ingest as the client of the inbox calls it: this release, an earlier one, or one that is away."""

    def __init__(self, *, knows_endings: bool = True, is_away: bool = False, lost: Sequence[str] = ()) -> None:
        self.knows_endings = knows_endings
        self.is_away = is_away
        self.lost = lost
        self.claims: list[pb2.ClaimItemsRequest] = []
        self.deadlines: list[float] = []
        self.is_due = True
        self.acks: list[pb2.AckItemsRequest] = []

    async def ClaimItems(self, request: pb2.ClaimItemsRequest, timeout: float) -> pb2.ClaimItemsResponse:
        self.claims.append(request)
        self.deadlines.append(timeout)
        if self.is_away:
            raise ServiceUnavailable
        ended = [pb2.LeaseEnded(is_lost=one.tenant_id in self.lost) for one in request.endings]
        return pb2.ClaimItemsResponse(endings=ended if self.knows_endings else [])

    async def AckItems(self, request: pb2.AckItemsRequest, timeout: float) -> pb2.AckItemsResponse:
        self.acks.append(request)
        return pb2.AckItemsResponse(is_due=self.is_due)


def made(stub: Stub, longest_wait_seconds: float = 60.0) -> tuple[LeaseEndings, asyncio.Event]:
    anything: Any = stub
    endings, woken = LeaseEndings(InboxClient(anything, "worker", 60), longest_wait_seconds), asyncio.Event()
    endings.open(woken.set)
    return endings, woken


async def ending(endings: LeaseEndings, tenant_id: str, *, has_more: bool = False) -> "asyncio.Task[bool]":
    task = asyncio.create_task(endings.end(tenant_id, 7, [new_id()], has_more=has_more))
    await asyncio.sleep(0)
    return task


async def test_a_claim_takes_the_ends_along_that_wait() -> None:
    stub = Stub()
    endings, woken = made(stub)
    tenants = [new_id(), new_id()]
    tasks = [await ending(endings, tenant_id) for tenant_id in tenants]
    assert not woken.is_set(), "they wait for a claim"

    await endings.claim(10, 1)

    assert [False, False] == [await task for task in tasks], "a mailbox with more would be among the new leases"
    assert tenants == [one.tenant_id for one in stub.claims[0].endings]
    assert not stub.acks


async def test_an_end_that_no_claim_takes_along_asks_for_one() -> None:
    endings, woken = made(Stub())
    task = await ending(endings, new_id())
    async with asyncio.timeout(5):
        await woken.wait()
    await endings.claim(10, 1)
    assert not await task


async def test_a_mailbox_that_has_more_does_not_wait() -> None:
    endings, woken = made(Stub())
    task = await ending(endings, new_id(), has_more=True)
    assert woken.is_set()
    await endings.claim(10, 1)
    await task


async def test_a_lost_lease_is_told_to_its_holder_alone() -> None:
    mine, lost = new_id(), new_id()
    endings, _ = made(Stub(lost=[lost]))
    tasks = [await ending(endings, mine), await ending(endings, lost)]
    await endings.claim(10, 1)
    assert not await tasks[0]
    with pytest.raises(LeaseLostError):
        await tasks[1]


@pytest.mark.parametrize("stub", [Stub(knows_endings=False), Stub(is_away=True)], ids=["earlier release", "away"])
async def test_what_a_claim_does_not_end_ends_by_a_call_of_its_own(stub: Stub) -> None:
    endings, _ = made(stub)
    tenant_id = new_id()
    task = await ending(endings, tenant_id)
    if stub.is_away:
        with pytest.raises(ServiceUnavailable):
            await endings.claim(10, 1)
    else:
        await endings.claim(10, 1)
    assert await task, "the mailbox is due again"
    assert [tenant_id] == [request.tenant_id for request in stub.acks]


async def test_a_process_that_stops_ends_each_lease_by_a_call_of_its_own() -> None:
    stub = Stub()
    endings, _ = made(stub)
    task = await ending(endings, new_id())
    endings.close()
    assert await task
    assert await (await ending(endings, new_id()))
    assert 2 == len(stub.acks)
    assert not stub.claims


async def test_a_cancelled_end_is_not_sent_and_one_claim_takes_a_bounded_number() -> None:
    stub = Stub()
    endings, woken = made(stub)
    cancelled = await ending(endings, new_id())
    cancelled.cancel()
    await asyncio.wait([cancelled])
    tasks = [await ending(endings, new_id()) for _ in range(11)]
    assert woken.is_set()

    await endings.claim(10, 1)
    woken.clear()
    async with asyncio.timeout(5):
        await woken.wait()
    await endings.claim(10, 1)

    await asyncio.gather(*tasks)
    assert [10, 1] == [len(request.endings) for request in stub.claims]


async def test_an_end_that_no_claim_takes_in_time_ends_by_a_call_of_its_own() -> None:
    stub = Stub()
    endings, woken = made(stub, LONGEST_WAIT_SECONDS)
    tenant_id = new_id()
    async with asyncio.timeout(5):  # the dispatcher pauses after a failure
        assert await (await ending(endings, tenant_id, has_more=True))
    assert woken.is_set()
    assert [tenant_id] == [request.tenant_id for request in stub.acks]
    assert not endings.next_count
    await endings.claim(10, 1)
    assert not stub.claims[0].endings, "no end is sent twice"


async def test_a_claim_that_ends_leases_has_a_short_deadline() -> None:
    stub = Stub()
    endings, _ = made(stub)
    task = await ending(endings, new_id())
    await endings.claim(10, 1)
    await endings.claim(10, 1)
    assert not await task
    with_endings, without = stub.deadlines
    assert with_endings <= 3 < without, "a worker that stops gives back its leases within 5 seconds"


async def test_a_mailbox_counts_as_due_after_an_answer_that_was_lost() -> None:
    stub = Stub(is_away=True)
    stub.is_due = False  # the lease had ended before: Ingest tells nothing about it by the second call
    endings, _ = made(stub)
    task = await ending(endings, new_id())
    with pytest.raises(ServiceUnavailable):
        await endings.claim(10, 1)
    assert await task
    assert 1 == len(stub.acks)
