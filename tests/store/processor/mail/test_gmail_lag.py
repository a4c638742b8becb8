"""Gmail's history names a newer id before it has the record: no mail is lost or reported twice."""

import asyncio
from typing import Any

from services.processor.worker import running
from tests.store.processor.ground import Ground

CREATED, UPDATED, DELETED = "mail.created", "mail.updated", "mail.deleted"
_NEVER = 3600


async def _lag(ground: Ground, tenant: Any, seconds: float) -> None:
    await ground.control.lag(tenant.address, history_seconds=seconds)


async def _told(ground: Ground, tenant: Any, types: list[str]) -> None:
    async def is_told() -> bool:
        return types == await ground.types(tenant)

    await ground.until(is_told, 30, f"{types} are told")


async def _reads(ground: Ground, tenant: Any) -> int:
    return int(await ground.control.call_count(endpoint="gmail.history.list", account=tenant.address))


async def _closed(ground: Ground) -> None:
    async def is_closed() -> bool:
        return not await ground.processor.fetchval("SELECT count(*) FROM processor.mailboxes WHERE history_claim > 0")

    await ground.until(is_closed, 30, "every claim is confirmed")


async def test_a_record_that_comes_after_its_history_id_is_told_without_another_push(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings()):
        await ground.settled()
        await _lag(ground, tenant, _NEVER)
        mail = await ground.control.deliver(tenant.address, subject="Late")
        await ground.push_present(tenant)
        await ground.settled()
        assert [] == await ground.types(tenant)
        await _lag(ground, tenant, 0)
        await _told(ground, tenant, [CREATED])
        await ground.control.update(tenant.address, mail["id"], isFlagged=True)
        await ground.push_present(tenant)
        await _told(ground, tenant, [CREATED, UPDATED])
        await _closed(ground)

    assert [CREATED, UPDATED] == await ground.types(tenant)


async def test_a_push_at_the_claimed_id_reads_history_again(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings(gmail_settle_seconds=600)):
        await ground.settled()
        await _lag(ground, tenant, _NEVER)
        await ground.control.deliver(tenant.address, subject="Late")
        await ground.push_present(tenant)
        await ground.settled()
        await _lag(ground, tenant, 0)
        await ground.push_present(tenant)
        await _told(ground, tenant, [CREATED])


async def test_a_reconciliation_finds_a_record_that_came_late(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings(gmail_settle_seconds=0.1)):
        await ground.reconcile(tenant)
        await ground.settled()
        await _lag(ground, tenant, _NEVER)
        await ground.control.deliver(tenant.address, subject="Very late")
        await ground.push_present(tenant)
        await ground.settled()
        await _closed(ground)
        await _lag(ground, tenant, 0)
        await ground.reconcile(tenant)
        await _told(ground, tenant, [CREATED])


async def test_a_worker_that_starts_in_the_settling_time_reads_history_again(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    await _lag(ground, tenant, _NEVER)
    await ground.control.deliver(tenant.address, subject="Late")
    await ground.push_present(tenant)
    async with running(ground.worker_settings()):
        await ground.settled()
    await _lag(ground, tenant, 0)
    async with running(ground.worker_settings()):
        await _told(ground, tenant, [CREATED])


async def test_reading_again_fetches_no_message_twice_and_ends(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings(gmail_settle_seconds=1)):
        await ground.control.generate(tenant.address, 30)
        gone = await ground.control.deliver(tenant.address, subject="Goes")
        await ground.push_present(tenant)
        await ground.settled()
        await ground.control.delete(tenant.address, gone["id"])
        await ground.push_present(tenant)
        await ground.settled()
        await _closed(ground)
        reads = await _reads(ground, tenant)
        await asyncio.sleep(1.5)  # a mailbox without an open claim must not be read: this is the time it is given
        fetched = await ground.control.call_count(endpoint="gmail.messages.get", account=tenant.address)

        assert reads == await _reads(ground, tenant)
    assert reads <= 8
    assert 31 == fetched
    assert [CREATED] * 31 + [DELETED] == await ground.types(tenant)
