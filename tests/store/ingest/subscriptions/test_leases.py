"""One step at a time for a tenant; a lost lease stores nothing; concurrent changes are not lost."""

import asyncio
from datetime import timedelta

import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as pb
from services.ingest.store import subscription_leases as leases
from services.ingest.store.subscription_rows import ProviderSubscription
from services.ingest.store.subscriptions import FIRST_STEP
from services.meshkit import db
from services.meshkit.ids import new_id
from tests.store.ingest.subscriptions.conftest import NOW, WEEK, Ground, record_active

AFTER_LEASE = NOW + timedelta(seconds=leases.LEASE_SECONDS + 1)
MADE = ProviderSubscription("provider-1", NOW + WEEK)


async def test_a_tenants_subscriptions_are_worked_one_at_a_time(ground: Ground) -> None:
    tenant_id = new_id()
    inbox, sent = await ground.add(tenant_id), await ground.add(tenant_id, folder_id="sentitems")
    other = await ground.add()

    assert await ground.lease(inbox) is not None
    assert await ground.lease(inbox, "two") is None
    assert await ground.lease(sent, "two") is None
    assert await ground.lease(other, "two") is not None


async def test_of_many_that_lease_at_once_one_gets_it(ground: Ground) -> None:
    tenant_id = new_id()
    rows = [await ground.add(tenant_id, folder_id=f"folder-{number}") for number in range(4)]

    leased = await asyncio.gather(*(ground.lease(row, f"holder-{number}") for number, row in enumerate(rows * 4)))

    assert 1 == sum(row is not None for row in leased)


async def test_the_lease_of_one_that_died_ends_by_itself(ground: Ground) -> None:
    row = await ground.add()
    await ground.lease(row)

    assert [] == await ground.due()
    assert [row.subscription_id] == await ground.due(AFTER_LEASE)
    again = await ground.lease(row, "two", AFTER_LEASE)
    assert again is not None
    assert 2 == again.lease_fence


async def test_whoever_lost_his_lease_stores_nothing(ground: Ground) -> None:
    row = await ground.add()
    late = await ground.lease(row)
    assert late is not None
    held = await ground.lease(row, "two", AFTER_LEASE)
    assert held is not None

    async with db.transaction(ground.pool) as connection:
        assert not await record_active(connection, late, MADE, NOW, is_new=True)
        assert not await leases.put_client_state(connection, late, b"digest")
        assert not await leases.record_failure(connection, late, reason="X", detail="", retry_at=NOW)
        assert not await leases.record_ended(
            connection, late, state=pb.SUBSCRIPTION_STATE_DELETED, is_at_provider=False
        )
    assert pb.SUBSCRIPTION_STATE_PENDING == (await ground.read(row)).state
    async with db.transaction(ground.pool) as connection:
        assert await record_active(connection, held, MADE, NOW, is_new=True)
    assert pb.SUBSCRIPTION_STATE_ACTIVE == (await ground.read(row)).state


async def test_a_lease_that_is_given_back_leaves_it_due(ground: Ground) -> None:
    row = await ground.add()
    held = await ground.lease(row)
    assert held is not None
    async with db.transaction(ground.pool) as connection:
        await leases.release(connection, held)

    assert [row.subscription_id] == await ground.due()


async def test_the_first_step_is_left_to_whoever_asked_for_as_long_as_he_may_live(ground: Ground) -> None:
    row = await ground.add(at=NOW + FIRST_STEP)

    assert [] == await ground.due(NOW + FIRST_STEP / 2)
    assert [row.subscription_id] == await ground.due(NOW + FIRST_STEP)


async def test_what_another_process_has_done_meanwhile_is_not_done_again(ground: Ground) -> None:
    row = await ground.add()
    assert [row.subscription_id] == await ground.due()
    made = await ground.make(row)

    async with db.transaction(ground.pool) as connection:
        assert await leases.lease(connection, row.subscription_id, "late", NOW, if_due=True) is None
    assert made.lease_fence == (await ground.read(row)).lease_fence


async def test_what_is_due_is_one_for_each_tenant_most_overdue_first(ground: Ground) -> None:
    tenant_id = new_id()
    later = await ground.add(at=NOW - timedelta(minutes=1))
    first = await ground.add(tenant_id, at=NOW - timedelta(minutes=9))
    await ground.add(tenant_id, folder_id="sentitems", at=NOW - timedelta(minutes=5))
    await ground.add(at=NOW + timedelta(minutes=1))
    watch = await ground.add_watch(new_id(), "INBOX")

    assert [first.subscription_id, later.subscription_id] == await ground.due()
    assert [first.subscription_id] == await ground.due(limit=1)
    assert [watch.subscription_id] == await ground.due(provider="googlews")
    await ground.lease(first)
    assert [later.subscription_id] == await ground.due()


async def test_what_is_made_is_due_at_about_half_of_its_life_and_a_failure_at_its_own_time(ground: Ground) -> None:
    made = await ground.make(await ground.add())
    assert made.renew_at is not None
    assert timedelta(days=3.1) < made.renew_at - NOW < timedelta(days=3.9)
    assert (pb.SUBSCRIPTION_STATE_ACTIVE, None, 0) == (made.state, made.reconcile_reason, made.failures)

    held = await ground.lease(made)
    assert held is not None
    retry_at = NOW + timedelta(seconds=15)
    async with db.transaction(ground.pool) as connection:
        await leases.record_failure(connection, held, reason="PROVIDER_UNAVAILABLE", detail="No.", retry_at=retry_at)
    failing = await ground.read(made)
    assert (pb.SUBSCRIPTION_STATE_FAILING, 1, retry_at) == (failing.state, failing.failures, failing.renew_at)
    assert failing.provider_subscription_id == made.provider_subscription_id


async def test_a_renewal_forgets_the_secret_before_and_a_new_make_keeps_it(ground: Ground) -> None:
    row = await ground.add()
    for digest in (b"first", b"second"):
        held = await ground.lease(row)
        assert held is not None
        async with db.transaction(ground.pool) as connection:
            await leases.put_client_state(connection, held, digest)
            await record_active(connection, held, MADE, NOW, is_new=True)
    assert (b"second", b"first") == await _digests(ground, row.subscription_id)

    held = await ground.lease(row)
    assert held is not None
    async with db.transaction(ground.pool) as connection:
        await record_active(connection, held, MADE, NOW, is_new=False)
    assert (b"second", None) == await _digests(ground, row.subscription_id)


@pytest.mark.parametrize("ending", ["made", "failed", "put_away"])
async def test_a_deletion_that_comes_while_a_step_is_under_way_is_not_lost(ground: Ground, ending: str) -> None:
    row = await ground.add()
    held = await ground.lease(row)
    assert held is not None
    asked_at = NOW + timedelta(seconds=3)
    await ground.delete(row, asked_at)

    async with db.transaction(ground.pool) as connection:
        if ending == "made":
            assert await record_active(connection, held, MADE, NOW, is_new=True)
        elif ending == "failed":
            assert await leases.record_failure(connection, held, reason="X", detail="", retry_at=NOW + WEEK)
        else:
            state = pb.SUBSCRIPTION_STATE_SUSPENDED
            assert await leases.record_ended(connection, held, state=state, is_at_provider=True)

    after = await ground.read(row)
    assert (pb.SUBSCRIPTION_STATE_DELETING, asked_at) == (after.state, after.renew_at)
    assert [row.subscription_id] == await ground.due(asked_at)


async def test_a_tenants_change_that_comes_while_a_step_is_under_way_is_not_lost(ground: Ground) -> None:
    row = await ground.add()
    held = await ground.lease(row)
    assert held is not None
    await ground.change_tenant(row.tenant_id, 2)
    changed_at = (await ground.read(row)).renew_at
    async with db.transaction(ground.pool) as connection:
        await record_active(connection, held, MADE, NOW, is_new=True)

    after = await ground.read(row)
    assert after.renew_at == changed_at
    assert (pb.SUBSCRIPTION_STATE_ACTIVE, 1) == (after.state, after.reconcile_reason)


async def test_a_watch_made_again_lasts_as_long_for_all_of_the_tenants_subscriptions(ground: Ground) -> None:
    tenant_id = new_id()
    inbox = await ground.make(await ground.add_watch(tenant_id, "INBOX"), history_id=100)
    work = await ground.make(await ground.add_watch(tenant_id, "Label_7"), history_id=110)
    stranger = await ground.make(await ground.add_watch(new_id(), "INBOX"), history_id=7)
    later = NOW + timedelta(hours=20)

    renewed = await ground.make(work, at=later, history_id=120)

    assert later + WEEK == (await ground.read(inbox)).expires_at == renewed.expires_at
    assert renewed.renew_at is not None
    assert renewed.renew_at == (await ground.read(inbox)).renew_at
    assert stranger == await ground.read(stranger)


async def test_a_watch_made_again_does_not_put_off_what_is_due_for_a_reason_of_its_own(ground: Ground) -> None:
    tenant_id = new_id()
    inbox = await ground.make(await ground.add_watch(tenant_id, "INBOX"), history_id=100)
    work = await ground.add_watch(tenant_id, "Label_7")
    held = await ground.lease(work)
    assert held is not None
    await ground.change_tenant(tenant_id)
    due_at = (await ground.read(inbox)).renew_at
    async with db.transaction(ground.pool) as connection:
        later = NOW + timedelta(days=3650)
        await record_active(connection, held, ProviderSubscription("", later + WEEK, 120), later, is_new=True)

    assert due_at == (await ground.read(inbox)).renew_at


async def test_the_watch_is_the_union_of_what_is_watched_but_for_what_ends_or_is_refused(ground: Ground) -> None:
    tenant_id = new_id()
    rows = {label: await ground.add_watch(tenant_id, label) for label in ("A", "B", "C", "D", "E")}
    await ground.add(tenant_id, provider="googlews", folder_id="", label_ids=("F",), delivery_mode=2)
    await ground.delete(rows["B"])
    for label, reason in (("C", "SUBSCRIPTION_REFUSED"), ("D", "PROVIDER_UNAVAILABLE")):
        held = await ground.lease(rows[label])
        assert held is not None
        async with db.transaction(ground.pool) as connection:
            await leases.record_failure(connection, held, reason=reason, detail="", retry_at=NOW)

    async with db.transaction(ground.pool) as connection:
        others = await leases.watched_labels(connection, tenant_id, rows["A"].subscription_id)
    assert [("D",), ("E",)] == sorted(others)


async def _digests(ground: Ground, subscription_id: str) -> tuple[bytes, bytes | None]:
    async with db.transaction(ground.pool) as connection:
        found = await connection.fetchrow(
            "SELECT client_state_digest, previous_client_state_digest FROM ingest.subscriptions"
            " WHERE subscription_id = $1",
            subscription_id,
        )
    assert found is not None
    return found[0], found[1]
