"""The reconciler and the use cases around it, with steps that a test controls."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as pb
from mailmesh.vault.v1.token_vault_service_pb2 import (
    TENANT_FAULT_MAILBOX_UNAVAILABLE,
    TENANT_FAULT_PERMISSION_MISSING,
    IssueTokenRequest,
    IssueTokenResponse,
    ReportTenantFaultRequest,
)
from services.ingest.errors import (
    MailboxUnavailable,
    PermissionMissing,
    ProviderUnavailable,
    PublicUrlUnset,
    SubscriptionRefused,
)
from services.ingest.store import subscription_leases as leases
from services.ingest.store.subscription_rows import ProviderSubscription, SubscriptionRow
from services.ingest.subscriptions import reconciler as reconciling
from services.ingest.subscriptions.next_step import Step
from services.ingest.subscriptions.provider_calls import TokenBorrower
from services.ingest.subscriptions.reconciler import SubscriptionReconciler
from services.ingest.subscriptions.token_vault import FaultReporter
from services.ingest.subscriptions.use_cases import SubscriptionUseCases
from services.meshkit import db
from services.meshkit.clock import ManualClock
from services.meshkit.errors import MeshError
from services.meshkit.ids import new_id
from tests.store.ingest.subscriptions.conftest import WEEK, Ground, record_active, tenant


@dataclass
class Play:
    """Steps, and TokenVault, as a test wants them."""

    ground: Ground
    clock: ManualClock
    act: Callable[[SubscriptionRow], Awaitable[None]] | None = None
    taken: list[tuple[Step, str]] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)
    on_report: Callable[[ReportTenantFaultRequest], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        steps: Any = self
        self.reconciler = SubscriptionReconciler(
            self.ground.pool, steps, FaultReporter(self.report), "test", self.clock
        )

    def use_cases(self, *pushing: str) -> SubscriptionUseCases:
        """The use cases, with providers that can push."""
        return SubscriptionUseCases(
            self.ground.pool, self.reconciler, TokenBorrower(self.issue), self.clock, frozenset(pushing)
        )

    async def execute(self, step: Step, row: SubscriptionRow) -> None:
        """Takes a step."""
        self.taken.append((step, row.subscription_id))
        if self.act is not None:
            await self.act(row)
        now = self.clock.now()
        async with db.transaction(self.ground.pool) as connection:
            if step is Step.POLL:
                await leases.record_polling(connection, row)
            elif step is Step.DELETE:
                await leases.record_ended(connection, row, state=pb.SUBSCRIPTION_STATE_DELETED, is_at_provider=False)
            else:
                made, is_new = ProviderSubscription("there", now + WEEK), step is Step.MAKE
                await record_active(connection, row, made, now, is_new=is_new)

    async def report(self, request: ReportTenantFaultRequest) -> None:
        """Takes a fault."""
        self.faults.append(request.fault)
        if self.on_report is not None:
            await self.on_report(request)

    async def issue(self, request: IssueTokenRequest) -> IssueTokenResponse:
        """Lends a token."""
        return IssueTokenResponse(access_token="token", tenant=tenant(request.tenant_id))


@pytest.fixture
def play(ground: Ground, clock: ManualClock) -> Play:
    """A reconciler with controlled steps."""
    return Play(ground, clock)


def failing(error: MeshError) -> Callable[[SubscriptionRow], Awaitable[None]]:
    async def act(_: SubscriptionRow) -> None:
        raise error

    return act


async def test_one_that_fails_does_not_hinder_the_others(play: Play) -> None:
    rows = [await play.ground.add(at=play.clock.now()) for _ in range(5)]

    async def act(row: SubscriptionRow) -> None:
        if row.subscription_id == rows[0].subscription_id:
            raise ProviderUnavailable

    play.act = act
    assert 5 == await play.reconciler.round("ms365")

    states = [(await play.ground.read(row)).state for row in rows]
    assert [pb.SUBSCRIPTION_STATE_FAILING] + [pb.SUBSCRIPTION_STATE_ACTIVE] * 4 == states
    assert 0 == await play.reconciler.round("ms365")


async def test_those_that_hang_hold_up_nobody_who_is_due_later(play: Play) -> None:
    hanging = {(await play.ground.add(at=play.clock.now())).subscription_id for _ in range(reconciling.DUE_AT_ONCE - 1)}

    async def act(row: SubscriptionRow) -> None:
        if row.subscription_id in hanging:
            await asyncio.Event().wait()

    play.act = act
    async with asyncio.timeout(60), aclosing(play.reconciler):
        assert len(hanging) == await play.reconciler.round("ms365")
        later = [await play.ground.add(at=play.clock.now()) for _ in range(3)]
        assert [1, 1, 1, 0] == [await play.reconciler.round("ms365") for _ in range(4)]
        states = [(await play.ground.read(row)).state for row in later]

    assert [pb.SUBSCRIPTION_STATE_ACTIVE] * 3 == states
    assert hanging == set(await play.ground.due(play.clock.now()))


async def test_the_trouble_of_one_provider_is_not_the_others(play: Play) -> None:
    await play.ground.add(at=play.clock.now())

    assert [0, 1] == [await play.reconciler.round("googlews"), await play.reconciler.round("ms365")]


async def test_a_step_whose_caller_goes_away_gives_the_lease_back(play: Play) -> None:
    row = await play.ground.add(at=play.clock.now())
    is_under_way = asyncio.Event()

    async def act(_: SubscriptionRow) -> None:
        is_under_way.set()
        await asyncio.Event().wait()

    play.act = act
    step = asyncio.create_task(play.reconciler.process(row.subscription_id))
    await is_under_way.wait()
    assert not await play.reconciler.process(row.subscription_id)
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)

    play.act = None
    assert await play.reconciler.process(row.subscription_id)
    assert pb.SUBSCRIPTION_STATE_ACTIVE == (await play.ground.read(row)).state


async def test_a_step_without_an_end_is_ended_before_its_lease(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reconciling.STEP_SECONDS < leases.LEASE_SECONDS
    monkeypatch.setattr(reconciling, "STEP_SECONDS", 0.05)
    row = await play.ground.add(at=play.clock.now())

    async def act(_: SubscriptionRow) -> None:
        await asyncio.Event().wait()

    play.act = act
    with pytest.raises(ProviderUnavailable):
        await play.reconciler.process(row.subscription_id)
    assert pb.SUBSCRIPTION_STATE_FAILING == (await play.ground.read(row)).state


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (PermissionMissing(metadata={"detail": "ErrorAccessDenied"}), TENANT_FAULT_PERMISSION_MISSING),
        (MailboxUnavailable(), TENANT_FAULT_MAILBOX_UNAVAILABLE),
        (SubscriptionRefused(), None),
        (ProviderUnavailable(), None),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_is_the_tenants_fault_is_told_and_nothing_else(
    play: Play, error: MeshError, fault: int | None
) -> None:
    row = await play.ground.add(at=play.clock.now())
    play.act = failing(error)
    await play.reconciler.process_quietly(row.subscription_id)

    assert [fault] * (fault is not None) == play.faults
    failed = await play.ground.read(row)
    assert (error.reason, error.message) == (failed.failure_reason, failed.failure_detail)


async def test_a_fault_beside_a_subscription_that_works_is_its_own(play: Play) -> None:
    works = await play.ground.make(await play.ground.add(at=play.clock.now()), at=play.clock.now())
    row = await play.ground.add(works.tenant_id, folder_id="archive", at=play.clock.now())
    play.act = failing(PermissionMissing())
    await play.reconciler.process_quietly(row.subscription_id)

    assert [] == play.faults


async def test_without_a_public_address_pushes_are_refused_and_polling_is_the_rule(play: Play) -> None:
    use_cases = play.use_cases()
    request = pb.CreateSubscriptionRequest(tenant_id=new_id())
    made = await use_cases.create(request, None)

    assert (pb.SUBSCRIPTION_STATE_POLLING, pb.DELIVERY_MODE_POLL) == (made.state, made.delivery_mode)
    request.delivery_mode = pb.DELIVERY_MODE_PUSH
    with pytest.raises(PublicUrlUnset) as raised:
        await use_cases.create(request, None)
    assert {"setting": "MAILMESH_PUBLIC_URL"} == raised.value.metadata


async def test_a_provider_that_cannot_push_is_polled_while_the_other_pushes(play: Play) -> None:
    made = await play.use_cases("googlews").create(pb.CreateSubscriptionRequest(tenant_id=new_id()), None)

    assert pb.SUBSCRIPTION_STATE_POLLING == made.state
    made = await play.use_cases("ms365").create(pb.CreateSubscriptionRequest(tenant_id=new_id()), None)
    assert pb.SUBSCRIPTION_STATE_ACTIVE == made.state


async def test_who_was_told_no_leaves_nothing_behind_and_after_passing_trouble_it_goes_on(play: Play) -> None:
    use_cases = play.use_cases("ms365")
    for error, left in ((SubscriptionRefused(), 0), (ProviderUnavailable(), 1)):
        play.act = failing(error)
        request = pb.CreateSubscriptionRequest(tenant_id=new_id())
        with pytest.raises(type(error)):
            await use_cases.create(request, None)
        async with db.transaction(play.ground.pool) as connection:
            count = await connection.fetchval(
                "SELECT count(*) FROM ingest.subscriptions WHERE tenant_id = $1 AND state <> 7", request.tenant_id
            )
        assert left == count


@pytest.mark.parametrize("ends_with", [None, PermissionMissing()], ids=["another step done", "another step refused"])
async def test_a_deletion_waits_for_its_turn_and_is_done_then(play: Play, ends_with: MeshError | None) -> None:
    row = await play.ground.make(await play.ground.add(at=play.clock.now()), at=play.clock.now())
    is_under_way, may_end = asyncio.Event(), asyncio.Event()

    async def act(_: SubscriptionRow) -> None:
        is_under_way.set()
        await may_end.wait()
        if ends_with is not None and len(play.taken) == 1:
            raise ends_with

    play.act = act
    step = asyncio.create_task(play.reconciler.process_quietly(row.subscription_id))
    await is_under_way.wait()
    deletion = asyncio.create_task(play.use_cases("ms365").delete(row.subscription_id, None))
    while (await play.ground.read(row)).state != pb.SUBSCRIPTION_STATE_DELETING:
        await asyncio.sleep(0)
    may_end.set()

    assert pb.SUBSCRIPTION_STATE_DELETED == (await deletion).state
    assert await step
    assert [Step.RENEW, Step.DELETE] == [taken for taken, _ in play.taken]


async def test_who_was_told_no_leaves_nothing_to_a_loop_that_was_at_it_too(play: Play) -> None:
    use_cases, loop_may_end = play.use_cases("ms365"), asyncio.Event()
    request = pb.CreateSubscriptionRequest(tenant_id=new_id())
    loops: list[asyncio.Task[bool]] = []

    async def act(row: SubscriptionRow) -> None:
        if loops:
            await loop_may_end.wait()
        raise PermissionMissing

    async def report(_: ReportTenantFaultRequest) -> None:
        """The tenant's state changes, and a loop begins with its subscription before the asker gets its answer."""
        if not loops:
            (row,) = await subscriptions_of(play, request.tenant_id)
            loops.append(asyncio.create_task(play.reconciler.process_quietly(row)))
            while len(play.taken) < 2:
                await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(0.05, loop_may_end.set)

    play.act, play.on_report = act, report
    with pytest.raises(PermissionMissing):
        await use_cases.create(request, None)

    assert [] == await subscriptions_of(play, request.tenant_id)
    assert [True] == await asyncio.gather(*loops)


async def subscriptions_of(play: Play, tenant_id: str) -> list[str]:
    """The ids of a tenant's subscriptions that are not deleted."""
    async with db.transaction(play.ground.pool) as connection:
        found = await connection.fetch(
            "SELECT subscription_id FROM ingest.subscriptions WHERE tenant_id = $1 AND state <> 7", tenant_id
        )
    return [str(record["subscription_id"]) for record in found]


async def test_a_tenant_is_known_here_before_the_provider_can_push(play: Play) -> None:
    request = pb.CreateSubscriptionRequest(tenant_id=new_id())
    known: list[int] = []

    async def act(row: SubscriptionRow) -> None:
        async with db.transaction(play.ground.pool) as connection:
            statement = "SELECT count(*) FROM ingest.tenants JOIN ingest.mailboxes USING (tenant_id)"
            known.append(await connection.fetchval(f"{statement} WHERE tenant_id = $1", row.tenant_id))

    play.act = act
    await play.use_cases("ms365").create(request, None)
    assert [1] == known
