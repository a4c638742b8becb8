"""A worker holds no more mailboxes than its bound, however many of its leases end at once."""

import asyncio
from typing import Any

import pytest

from mailmesh.ingest.v1 import inbox_service_pb2 as pb2
from services.meshkit.ids import new_id
from services.processor.mailbox.dispatcher import Dispatcher
from services.processor.mailbox.inbox_client import InboxClient
from services.processor.mailbox.lease_endings import LeaseEndings
from services.processor.settings import ProcessorSettings

AT_ONCE = 32
MAILBOXES = 400


class Inbox:
    """Ingest with many due mailboxes; it counts the leases that it has given and that have not ended."""

    def __init__(self) -> None:
        self.left = MAILBOXES
        self.held: set[str] = set()
        self.most = 0
        self.is_over = asyncio.Event()

    async def ClaimItems(self, request: pb2.ClaimItemsRequest, timeout: float) -> pb2.ClaimItemsResponse:
        self.held -= {ending.tenant_id for ending in request.endings}
        count = min(request.max_tenants, self.left)
        self.left -= count
        leases = [pb2.TenantLease(tenant_id=new_id(), fence=1) for _ in range(count)]
        self.held |= {lease.tenant_id for lease in leases}
        self.most = max(self.most, len(self.held))
        self._check()
        await asyncio.sleep(0.005)
        return pb2.ClaimItemsResponse(leases=leases, endings=[pb2.LeaseEnded() for _ in request.endings])

    async def AckItems(self, request: pb2.AckItemsRequest, timeout: float) -> pb2.AckItemsResponse:
        self.held.discard(request.tenant_id)
        self._check()
        return pb2.AckItemsResponse()

    def _check(self) -> None:
        if not self.left and not self.held:
            self.is_over.set()


@pytest.mark.parametrize("items", [1, 200], ids=["short leases", "leases with many items"])
async def test_a_worker_holds_no_more_mailboxes_than_its_bound(items: int) -> None:
    inbox: Any = Inbox()
    client = InboxClient(inbox, "worker", 60)
    endings = LeaseEndings(client, longest_wait_seconds=5)
    ids = [new_id() for _ in range(items)]

    async def process(lease: pb2.TenantLease) -> bool:
        return await endings.end(lease.tenant_id, lease.fence, ids, has_more=False)

    async def no_lookups(_most: int) -> list[str]:
        return []

    settings = ProcessorSettings.model_construct(
        tenants_at_once=AT_ONCE, sweep_seconds=0.1, claim_items=500, grace_seconds=1
    )
    dispatcher = Dispatcher(client, endings, no_lookups, process, settings)
    running = asyncio.create_task(dispatcher.run())
    try:
        async with asyncio.timeout(60):
            await inbox.is_over.wait()
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert AT_ONCE == inbox.most
