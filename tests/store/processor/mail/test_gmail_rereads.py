"""History is read again until its end is confirmed: records that were read before cost no fetch."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.processor.worker import running
from tests.store.processor.ground import Ground

CREATED, UPDATED = "mail.created", "mail.updated"
_LONG = {"gmail_settle_seconds": 600}


async def _pushed(ground: Ground, tenant: Any, times: int = 1) -> None:
    """Push the present history id some times, each after the push before is done: history is read each time."""

    async def is_done() -> bool:
        return not await ground.pending(tenant)

    for _ in range(times):
        await ground.push_present(tenant)
        await ground.until(is_done, what="the push is done")


async def _told(ground: Ground, tenant: Any) -> list[tuple[str, str]]:
    return [(event.event_type, event.message_id) for event in await ground.events(tenant)]


async def _has_told(ground: Ground, tenant: Any, wanted: list[tuple[str, str]]) -> bool:
    return wanted == await _told(ground, tenant)


async def _count(ground: Ground, tenant: Any, endpoint: str) -> int:
    return int(await ground.control.call_count(endpoint=endpoint, account=tenant.address))


async def test_a_message_that_waits_for_its_lookup_is_not_fetched_by_reads_of_the_same_record(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    mail = await ground.control.deliver(tenant.address, subject="Fails")
    await ground.control.add_fault("status", endpoint="gmail.messages.get", message=mail["id"], status=500)
    patient = ground.worker_settings(retry_base_seconds=600, retry_max_seconds=900, **_LONG)
    async with running(patient):
        await _pushed(ground, tenant, 4)
        assert 4 <= await _count(ground, tenant, "gmail.history.list")
        assert 1 == await _count(ground, tenant, "gmail.messages.get")
        await ground.control.clear_faults()
        # Another change is news: it is fetched now, and not when the lookup is due.
        await ground.control.update(tenant.address, mail["id"], isFlagged=True)
        await _pushed(ground, tenant)

    assert [(CREATED, True)] == [(event.event_type, event.mail.is_enriched) for event in await ground.events(tenant)]
    assert 0 == await ground.waiting(tenant)


async def test_a_message_that_is_only_recorded_is_not_fetched_again(ground: Ground) -> None:
    tenant = await ground.tenant("googlews", kinds=("deleted",))
    await ground.begin(tenant)
    await ground.control.deliver(tenant.address, subject="Recorded")
    async with running(ground.worker_settings(**_LONG)):
        await _pushed(ground, tenant, 3)

    assert 1 == await _count(ground, tenant, "gmail.messages.get")
    assert [] == await ground.types(tenant)


async def test_a_draft_that_makes_no_event_is_not_fetched(ground: Ground) -> None:
    tenant = await ground.tenant("googlews", labels=())
    await ground.begin(tenant)
    await ground.control.create_draft(tenant.address, subject="Draft", text="Not yet")
    async with running(ground.worker_settings(**_LONG)):
        await _pushed(ground, tenant, 3)

    assert 0 == await _count(ground, tenant, "gmail.messages.get")
    assert [] == await ground.types(tenant)


async def test_what_was_fetched_before_the_mailbox_failed_is_committed(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    ids = [mail["id"] for mail in (await ground.control.generate(tenant.address, 8))["messages"]]
    await ground.control.add_fault(
        "status", endpoint="gmail.messages.get", account=tenant.address, status=429, retry_after=1, skip=3, count=1
    )
    async with running(ground.worker_settings(gmail_requests_at_once=1)):
        await ground.push_present(tenant)
        await ground.settled()

    assert ids == [event.message_id for event in await ground.events(tenant)]
    assert len(ids) + 1 == await _count(ground, tenant, "gmail.messages.get")


async def test_a_push_whose_history_id_is_below_the_cursor_is_read(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings()):
        await ground.settled()
        early = await ground.history_id(tenant)
        await ground.control.deliver(tenant.address, subject="Above the old id")
        await _pushed(ground, tenant)

        async def is_confirmed() -> bool:
            return not await ground.processor.fetchval("SELECT count(history_claim) FROM processor.mailboxes")

        await ground.until(is_confirmed, what="every claim is confirmed")
        reads = await _count(ground, tenant, "gmail.history.list")
        await ground.push(tenant, early)
        await ground.settled()
        assert reads < await _count(ground, tenant, "gmail.history.list")

    assert [CREATED] == await ground.types(tenant)


async def test_mail_of_a_mailbox_whose_history_began_again_is_told(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings()):
        await ground.settled()
        await ground.control.expire_history(tenant.address, back=500_000)
        told = []
        for subject in ("The first", "The second"):
            told.append((await ground.control.deliver(tenant.address, subject=subject))["id"])
            await _pushed(ground, tenant)
            await ground.settled()
            assert told == [event.message_id for event in await ground.events(tenant)]

    assert 1 == await _count(ground, tenant, "gmail.profile")


async def test_changes_of_mail_from_before_a_history_that_began_again_are_told(ground: Ground) -> None:
    tenant = await ground.tenant("googlews", covered_from=datetime.now(UTC) - timedelta(days=40))
    await ground.begin(tenant)
    old_ms = int((datetime.now(UTC) - timedelta(days=20)).timestamp() * 1000)
    async with running(ground.worker_settings()):
        await ground.settled()
        found, later = [
            (await ground.control.deliver(tenant.address, subject=subject, receivedAtMs=old_ms))["id"]
            for subject in ("Compared", "Read from history")
        ]
        await _pushed(ground, tenant)
        await ground.settled()
        told = await _told(ground, tenant)
        assert {(CREATED, found), (CREATED, later)} == set(told)
        await ground.control.expire_history(tenant.address, back=500_000)
        for one in (found, later):  # the first before the comparison, the second after it
            await ground.control.update(tenant.address, one, isFlagged=True)
            await _pushed(ground, tenant)
            told.append((UPDATED, one))
            await ground.until(lambda: _has_told(ground, tenant, told), what=f"{one} is told")

    assert told == await _told(ground, tenant)


@pytest.mark.parametrize("is_lost", [False, True])
async def test_a_copy_of_history_behind_a_fresh_cursor_makes_no_comparison(ground: Ground, *, is_lost: bool) -> None:
    """A cursor of a read, and one that a comparison has set: the profile is read once for each comparison."""
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings(**_LONG)):
        await ground.settled()
        await _pushed(ground, tenant)
        if is_lost:
            await ground.control.expire_history(tenant.address)
            await ground.processor.execute("UPDATE processor.mailboxes SET caught_up_at = now() - interval '1 day'")
        await ground.control.lag(tenant.address, old_answers=3)
        mail = await ground.control.deliver(tenant.address, subject="Behind the copy")
        await _pushed(ground, tenant)
        await ground.until(lambda: _has_told(ground, tenant, [(CREATED, mail["id"])]), what="the mail is told")

    assert int(is_lost) == await _count(ground, tenant, "gmail.profile")
    assert 0 == await ground.processor.fetchval("SELECT cursor_refusals FROM processor.mailboxes")
