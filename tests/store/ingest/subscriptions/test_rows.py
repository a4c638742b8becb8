"""Requested subscriptions, their visibility, and the effect of a tenant's state on them."""

from datetime import timedelta

import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as pb
from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1.token_vault_service_pb2 import TenantChange
from services.ingest.store import subscription_leases as leases
from services.ingest.store import subscription_monitors, subscriptions, tenants
from services.meshkit import db
from services.meshkit.erasing import Plan, erase_rows
from services.meshkit.ids import new_id
from tests.store.ingest.subscriptions.conftest import NOW, Ground, tenant

QUIET = timedelta(hours=4)


async def test_the_same_asked_for_again_is_the_same(ground: Ground) -> None:
    first = await ground.add()

    assert first == await ground.add(first.tenant_id)
    assert first.subscription_id != (await ground.add(first.tenant_id, folder_id="archive")).subscription_id
    assert first.subscription_id != (await ground.add()).subscription_id
    watch = await ground.add_watch(new_id(), "A", "B")
    assert watch == await ground.add_watch(watch.tenant_id, "A", "B")


async def test_after_a_deletion_the_same_is_another(ground: Ground) -> None:
    first = await ground.make(await ground.add())
    await ground.delete(first)
    held = await ground.lease(first)
    assert held is not None
    async with db.transaction(ground.pool) as connection:
        await leases.record_ended(connection, held, state=pb.SUBSCRIPTION_STATE_DELETED, is_at_provider=False)

    assert first.subscription_id != (await ground.add(first.tenant_id)).subscription_id
    await ground.delete(first)
    assert pb.SUBSCRIPTION_STATE_DELETED == (await ground.read(first)).state


async def test_what_never_was_at_the_provider_can_be_forgotten_and_nothing_else(ground: Ground) -> None:
    never, made = await ground.add(), await ground.make(await ground.add())
    async with db.transaction(ground.pool) as connection:
        for row in (never, made):
            await subscriptions.forget(connection, row.subscription_id, NOW)

    assert pb.SUBSCRIPTION_STATE_DELETED == (await ground.read(never)).state
    assert pb.SUBSCRIPTION_STATE_ACTIVE == (await ground.read(made)).state


async def test_what_somebody_works_on_is_not_forgotten_before_he_is_done(ground: Ground) -> None:
    row = await ground.add()
    held = await ground.lease(row)
    assert held is not None
    async with db.transaction(ground.pool) as connection:
        assert not await subscriptions.forget(connection, row.subscription_id, NOW)
        await leases.record_failure(connection, held, reason="X", detail="", retry_at=NOW + timedelta(days=7))
        assert await subscriptions.forget(connection, row.subscription_id, NOW)

    assert pb.SUBSCRIPTION_STATE_DELETED == (await ground.read(row)).state


async def test_nothing_outside_of_the_scope_is_seen_or_ended(ground: Ground) -> None:
    mine, foreign = await ground.add(), await ground.add()
    scope = frozenset({mine.tenant_id})

    async with db.transaction(ground.pool) as connection:
        assert await subscriptions.get(connection, foreign.subscription_id, scope) is None
        assert not await subscriptions.begin_deletion(connection, foreign.subscription_id, scope, NOW)
        for tenant_id, wanted in (("", [mine.subscription_id]), (foreign.tenant_id, [])):
            seen = await subscriptions.page(connection, scope, tenant_id=tenant_id, states=(), after=None, limit=10)
            assert wanted == [row.subscription_id for row in seen]
        assert [] == await subscriptions.page(connection, frozenset(), tenant_id="", states=(), after=None, limit=10)


async def test_pages_follow_one_another_without_a_gap(ground: Ground) -> None:
    rows = [await ground.add() for _ in range(7)]
    seen: list[str] = []
    after = None
    while True:
        async with db.connection(ground.pool) as connection:
            page = await subscriptions.page(connection, None, tenant_id="", states=(), after=after, limit=3)
        if not page:
            break
        seen += [row.subscription_id for row in page]
        after = (page[-1].created_at, page[-1].subscription_id)

    assert [row.subscription_id for row in rows] == seen


async def test_states_are_chosen_and_deleted_ones_seen_only_when_asked_for(ground: Ground) -> None:
    pending, active, gone = await ground.add(), await ground.make(await ground.add()), await ground.add()
    async with db.transaction(ground.pool) as connection:
        await subscriptions.forget(connection, gone.subscription_id, NOW)

    for states, wanted in (
        ((), {pending, active}),
        ((pb.SUBSCRIPTION_STATE_ACTIVE,), {active}),
        ((pb.SUBSCRIPTION_STATE_DELETED,), {gone}),
    ):
        async with db.connection(ground.pool) as connection:
            seen = await subscriptions.page(connection, None, tenant_id="", states=states, after=None, limit=10)
        assert {row.subscription_id for row in wanted} == {row.subscription_id for row in seen}


async def test_silence_is_noted_once_for_a_while_for_what_should_push(ground: Ground) -> None:
    quiet, heard, pending = [await ground.add() for _ in range(3)]
    for row in (quiet, heard):
        await ground.make(row)
    long_ago = NOW - timedelta(days=9)
    async with db.transaction(ground.pool) as connection:
        await connection.execute(
            "UPDATE ingest.subscriptions SET created_at = $1, last_notification_at = CASE subscription_id"
            " WHEN $2::uuid THEN $3::timestamptz END",
            long_ago, heard.subscription_id, NOW + QUIET,
        )  # fmt: skip

    async def silent_at(hours: float) -> set[str]:
        async with db.transaction(ground.pool) as connection:
            now = NOW + timedelta(hours=hours)
            found = await subscription_monitors.note_silent(connection, now, QUIET, QUIET * 6, 10)
        return {one.subscription_id for one in found}

    assert set() == await silent_at(3.9)
    assert {quiet.subscription_id} == await silent_at(4)
    assert set() == await silent_at(4.1)
    assert {quiet.subscription_id, heard.subscription_id} == await silent_at(8.1)
    assert pending.subscription_id not in await silent_at(500)


async def test_what_fails_is_silent_too(ground: Ground) -> None:
    row = await ground.make(await ground.add())
    held = await ground.lease(row)
    assert held is not None
    async with db.transaction(ground.pool) as connection:
        await leases.record_failure(connection, held, reason="PROVIDER_UNAVAILABLE", detail="", retry_at=NOW)
        await connection.execute("UPDATE ingest.subscriptions SET created_at = $1", NOW)
        silent = await subscription_monitors.note_silent(connection, NOW + QUIET, QUIET, QUIET * 6, 10)

    assert [(row.subscription_id, row.tenant_id)] == [(one.subscription_id, one.tenant_id) for one in silent]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (tenant_pb2.TENANT_STATUS_ACTIVE, tenant_pb2.TENANT_STATUS_DISABLED, None),
        (tenant_pb2.TENANT_STATUS_DISABLED, tenant_pb2.TENANT_STATUS_ACTIVE, 2),
        (tenant_pb2.TENANT_STATUS_NEEDS_REAUTHORIZATION, tenant_pb2.TENANT_STATUS_ACTIVE, 2),
        (tenant_pb2.TENANT_STATUS_ACTIVE, tenant_pb2.TENANT_STATUS_DISCONNECTING, None),
        (tenant_pb2.TENANT_STATUS_DISCONNECTED, tenant_pb2.TENANT_STATUS_ACTIVE, 2),
    ],
)
async def test_a_tenants_change_makes_its_subscriptions_due(
    ground: Ground, before: int, after: int, reason: int | None
) -> None:
    row = await ground.make(await ground.add())
    await tenants.apply_changes(ground.pool, [TenantChange(tenant=tenant(row.tenant_id, before))], "", "1")
    settled = await ground.read(row)
    await tenants.apply_changes(ground.pool, [TenantChange(tenant=tenant(row.tenant_id, after))], "1", "2")

    changed = await ground.read(row)
    assert settled.renew_at == row.renew_at
    assert (True, reason) == (changed.renew_at != row.renew_at, changed.reconcile_reason)


async def test_a_tenant_that_is_not_followed_yet_is_stored_once_and_then_left_alone(ground: Ground) -> None:
    tenant_id = new_id()
    for address in ("Ann@Contoso.test", "bob@contoso.test"):
        async with db.transaction(ground.pool) as connection:
            await tenants.ensure(connection, tenant(tenant_id, address=address))

    async with db.connection(ground.pool) as connection:
        found = await connection.fetch("SELECT address FROM ingest.tenants WHERE tenant_id = $1", tenant_id)
    assert ["ann@contoso.test"] == [record["address"] for record in found]


async def test_a_disconnect_waits_until_no_step_is_due_any_more(ground: Ground) -> None:
    row = await ground.make(await ground.add())
    suspended = await ground.add(row.tenant_id, folder_id="archive")
    held = await ground.lease(suspended)
    assert held is not None
    async with db.transaction(ground.pool) as connection:
        await leases.record_ended(connection, held, state=pb.SUBSCRIPTION_STATE_SUSPENDED, is_at_provider=True)
    await ground.change_tenant(row.tenant_id)

    for left, one in ((2, row), (1, suspended)):
        async with db.transaction(ground.pool) as connection:
            assert left == await subscription_monitors.count_unreleased(connection, row.tenant_id)
        held = await ground.lease(one)
        assert held is not None
        async with db.transaction(ground.pool) as connection:
            await leases.record_ended(connection, held, state=pb.SUBSCRIPTION_STATE_SUSPENDED, is_at_provider=False)
    async with db.transaction(ground.pool) as connection:
        assert 0 == await subscription_monitors.count_unreleased(connection, row.tenant_id)


async def test_subscriptions_are_counted_by_state(ground: Ground) -> None:
    made = await ground.make(await ground.add())
    await ground.add()
    async with db.connection(ground.pool) as connection:
        counts = await subscription_monitors.counts(connection)

    assert {("ms365", 1, 1, None), ("ms365", 2, 1, made.expires_at)} == {
        (one.provider, one.state, one.subscriptions, one.soonest_expiry) for one in counts
    }


async def test_a_change_that_is_followed_behind_the_erasure_of_its_tenant_brings_nothing_back(ground: Ground) -> None:
    row = await ground.make(await ground.add())
    changes = [TenantChange(tenant=tenant(row.tenant_id, tenant_pb2.TENANT_STATUS_DISCONNECTED))]
    await tenants.apply_changes(ground.pool, changes, "", "1")
    removed = await erase_rows(ground.pool, Plan("ingest"), row.tenant_id)

    assert {"mailboxes": 1, "subscriptions": 1, "tenants": 1} == removed
    assert [] == await tenants.apply_changes(ground.pool, changes, "1", "2")
    assert removed == await erase_rows(ground.pool, Plan("ingest"), row.tenant_id)
