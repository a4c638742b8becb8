"""TokenVault's log of tenant changes: it joins the stream once, in order, and workers drop tokens."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

import pytest

from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit.errors import StoreUnavailable
from services.meshkit.ids import new_id
from services.meshkit.metrics import LOOP_RUNS
from services.processor.mailbox.token_cache import TokenCache
from services.processor.mailbox.token_dropper import TokenDropper
from services.processor.stream.tenant_events import event_type_of, tenant_follower
from services.processor.worker import running
from tests.store.processor.ground import Ground, read_events

ACTIVE = tenant_pb2.TENANT_STATUS_ACTIVE
EXPIRED = tenant_pb2.TENANT_STATUS_TOKEN_EXPIRED
NEEDS = tenant_pb2.TENANT_STATUS_NEEDS_REAUTHORIZATION
NEW = tenant_pb2.TENANT_STATUS_UNSPECIFIED


class Log:
    """TokenVault's log, as far as a follower sees it."""

    def __init__(self, changes: Sequence[vault_pb2.TenantChange]) -> None:
        self.changes = list(changes)
        self.asked: list[str] = []

    async def ListTenantChanges(
        self, request: vault_pb2.ListTenantChangesRequest, timeout: float
    ) -> vault_pb2.ListTenantChangesResponse:
        """Return one change at a time."""
        assert timeout > 0
        self.asked.append(request.cursor)
        at = int(request.cursor or "0")
        return vault_pb2.ListTenantChangesResponse(
            changes=self.changes[at : at + 1], next_cursor=str(min(at + 1, len(self.changes))), has_more=False
        )


def change(
    tenant_id: str,
    before: "tenant_pb2.TenantStatus.ValueType",
    now: "tenant_pb2.TenantStatus.ValueType",
    *,
    is_reconnected: bool = False,
) -> vault_pb2.TenantChange:
    """Return one change of a tenant."""
    made = vault_pb2.TenantChange(
        change_id=new_id(),
        tenant=tenant_pb2.Tenant(tenant_id=tenant_id, provider="ms365", status=now, status_reason="grant_revoked"),
        previous_status=before,
        correlation_id=new_id(),
        is_reconnected=is_reconnected,
    )
    made.changed_at.FromDatetime(datetime.now(UTC))
    return made


@pytest.mark.parametrize(
    ("before", "now", "is_reconnected", "expected"),
    [
        (NEW, ACTIVE, False, "tenant.connected"),
        (ACTIVE, NEEDS, False, "tenant.needs_reauthorization"),
        (NEEDS, ACTIVE, True, "tenant.connected"),
        (NEEDS, ACTIVE, False, "tenant.active"),
        (ACTIVE, EXPIRED, False, ""),
        (EXPIRED, ACTIVE, False, ""),
        (ACTIVE, ACTIVE, False, ""),
        (ACTIVE, tenant_pb2.TENANT_STATUS_DISABLED, False, "tenant.disabled"),
        (tenant_pb2.TENANT_STATUS_DISCONNECTING, tenant_pb2.TENANT_STATUS_DISCONNECTED, False, "tenant.disconnected"),
    ],
)
def test_the_event_type_that_consumers_receive_for_a_tenant_change(
    before: "tenant_pb2.TenantStatus.ValueType",
    now: "tenant_pb2.TenantStatus.ValueType",
    is_reconnected: bool,
    expected: str,
) -> None:
    assert expected == event_type_of(change(new_id(), before, now, is_reconnected=is_reconnected), "")


async def test_changes_join_the_stream_once_and_in_order(ground: Ground) -> None:
    tenant_id = new_id()
    log = Log(
        [
            change(tenant_id, NEW, ACTIVE),
            change(tenant_id, ACTIVE, NEEDS),
            change(tenant_id, NEEDS, ACTIVE, is_reconnected=True),
        ]
    )
    follower = tenant_follower(ground.processor, cast("TokenVaultServiceAsyncStub", log))
    for _ in range(3):
        await follower.round()

    told = [event.tenant.event_type for event in await read_events(ground.processor)]
    assert ["tenant.connected", "tenant.needs_reauthorization", "tenant.connected"] == told
    assert ["", "1", "2"] == log.asked


async def test_two_followers_tell_each_change_once(ground: Ground) -> None:
    tenant_id = new_id()
    log = Log([change(tenant_id, NEW, ACTIVE), change(tenant_id, ACTIVE, NEEDS)])
    followers = [tenant_follower(ground.processor, cast("TokenVaultServiceAsyncStub", log)) for _ in range(2)]
    for _ in range(3):
        await asyncio.gather(*(follower.round() for follower in followers))

    assert 2 == len(await read_events(ground.processor))


async def test_a_change_that_is_read_again_is_no_second_event(ground: Ground) -> None:
    log = Log([change(new_id(), NEW, ACTIVE)])
    follower = tenant_follower(ground.processor, cast("TokenVaultServiceAsyncStub", log))
    await follower.round()
    await ground.processor.execute("UPDATE processor.followed SET cursor = ''")
    await follower.round()

    assert 1 == len(await read_events(ground.processor))


async def test_a_worker_drops_the_token_of_a_tenant_that_was_changed(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    async with running(ground.worker_settings()):
        await _looked(ground, 1)
        await ground.notify(tenant, "created", await ground.control.deliver(tenant.address, subject="One"))
        await ground.settled()
        ground.vault.refusals[tenant.tenant_id] = "TENANT_DISABLED"
        log = Log([change(tenant.tenant_id, ACTIVE, tenant_pb2.TENANT_STATUS_DISABLED)])
        await tenant_follower(ground.processor, cast("TokenVaultServiceAsyncStub", log)).round()
        await _looked(ground, 2)
        await ground.notify(tenant, "created", await ground.control.deliver(tenant.address, subject="Two"))

        async def is_given_back() -> bool:
            return bool(await ground.ingest.fetchval("SELECT count(*) FROM ingest.items WHERE due_at > now()"))

        await ground.until(is_given_back)

    assert 1 == len(await ground.events(tenant))


async def test_a_token_that_was_on_its_way_when_its_tenant_changed_is_not_kept(ground: Ground) -> None:
    tenant, log = await ground.tenant("ms365"), Log([])
    follower = tenant_follower(ground.processor, cast("TokenVaultServiceAsyncStub", log))
    lender = Lender()
    tokens = TokenCache(cast("TokenVaultServiceAsyncStub", lender), 300.0)
    dropper = TokenDropper(ground.processor, tokens)
    await tokens.of(tenant.tenant_id)
    await dropper.round()
    for number in range(2):
        lender.is_free.clear()
        asked = asyncio.create_task(tokens.of(tenant.tenant_id))
        async with asyncio.timeout(30):
            while lender.lent < 2 + number:
                await asyncio.sleep(0)
        log.changes.append(change(tenant.tenant_id, ACTIVE, NEEDS if number else ACTIVE))
        await follower.round()
        await dropper.round()
        lender.is_free.set()
        await asked
    await tokens.of(tenant.tenant_id)
    await tokens.of(tenant.tenant_id)

    assert 4 == lender.lent


class Lender:
    """TokenVault's side of lending a token, which takes as long as a test wants."""

    def __init__(self) -> None:
        self.lent = 0
        self.is_free = asyncio.Event()
        self.is_free.set()

    async def IssueToken(self, _request: vault_pb2.IssueTokenRequest, timeout: float) -> vault_pb2.IssueTokenResponse:
        """Lend a token when the test permits it."""
        assert timeout > 0
        self.lent += 1
        await self.is_free.wait()
        return vault_pb2.IssueTokenResponse(access_token=f"token-{self.lent}")


async def _looked(ground: Ground, times: int) -> None:
    """Wait until the worker has polled for changes so often: the second of two polls has begun after now."""
    looks = LOOP_RUNS.labels("tokens", "ok")
    before = looks._value.get()

    async def is_enough() -> bool:
        return bool(looks._value.get() >= before + times)

    await ground.until(is_enough)


async def test_an_unreachable_store_is_reported_as_such(ground: Ground) -> None:
    follower = tenant_follower(ground.processor, cast("TokenVaultServiceAsyncStub", Log([])))
    await ground.processor.close()

    with pytest.raises(StoreUnavailable):
        await follower.round()
