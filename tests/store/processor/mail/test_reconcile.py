"""Comparing mailboxes: first rounds, lost cursors, folders, polling, and work that is interrupted.

MAILMESH_TEST_OLD_MAILS sets how many old mails a first comparison has to skip, MAILMESH_TEST_CATCH_UP how many
new ones it has to find.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from services.processor.worker import running
from tests.store.processor.ground import Ground
from tests.store.processor.mailbox.test_killing import hanging
from tests.store.processor.workers import end_holds, worker_process

OLD_MAILS = int(os.environ.get("MAILMESH_TEST_OLD_MAILS", "100000"))
CATCH_UP = int(os.environ.get("MAILMESH_TEST_CATCH_UP", "600"))
CREATED, UPDATED, DELETED = "mail.created", "mail.updated", "mail.deleted"


@pytest.mark.timeout(300)
async def test_a_first_comparison_announces_none_of_many_old_mails(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    await ground.control.load_old(tenant.address, OLD_MAILS, days=3000)
    await asyncio.sleep(0)
    began = time.monotonic()
    async with running(ground.worker_settings(slice_seconds=1.0)):
        await ground.reconcile(tenant)
        new = await ground.control.deliver(tenant.address, subject="New")
        await ground.notify(tenant, "created", new)

        async def is_told() -> bool:
            return bool(await ground.events(tenant))

        await ground.until(is_told, 120, "new mail waits behind the comparison")
        assert await _known(ground) < OLD_MAILS
        await ground.settled(240)
    taken = time.monotonic() - began

    known = await _known(ground)
    assert [new["id"]] == [event.message_id for event in await ground.events(tenant)]
    assert known == OLD_MAILS, f"{taken:.0f} s"


async def test_a_forgotten_delta_cursor_makes_no_second_event_and_finds_deletions(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    async with running(ground.worker_settings(page_size=4)):
        mails = (await ground.control.generate(tenant.address, 12))["messages"]
        await ground.reconcile(tenant)
        await ground.settled()
        await ground.control.expire_history(tenant.address, status=410, code="syncStateNotFound")
        await ground.control.delete(tenant.address, mails[0]["id"])
        await ground.control.move(tenant.address, mails[1]["id"], "archive")
        missed = await ground.control.deliver(tenant.address, subject="Missed")
        await ground.reconcile(tenant)
        await ground.settled()

    events = await ground.events(tenant)
    assert {mail["id"] for mail in mails} | {missed["id"]} == {e.message_id for e in events if e.event_type == CREATED}
    assert 13 == len([e for e in events if e.event_type == CREATED])
    assert [mails[0]["id"]] == [e.message_id for e in events if e.event_type == DELETED]
    assert [mails[1]["id"]] == [e.message_id for e in events if e.event_type == UPDATED]


async def test_a_first_comparison_finds_the_deletion_of_a_mail_that_was_announced_before(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    async with running(ground.worker_settings()):
        gone, kept = (await ground.control.generate(tenant.address, 2))["messages"]
        await ground.notify(tenant, "created", gone)
        await ground.notify(tenant, "created", kept)
        await ground.settled()
        await ground.control.delete(tenant.address, gone["id"])
        await ground.reconcile(tenant)
        await ground.settled()

    events = await ground.events(tenant)
    assert [CREATED, DELETED] == [event.event_type for event in events if event.message_id == gone["id"]]
    assert [CREATED] == [event.event_type for event in events if event.message_id == kept["id"]]


async def test_after_a_lost_cursor_the_deletion_of_a_mail_without_content_is_found(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    await asyncio.sleep(1.1)  # The provider cuts times to the second: what follows is surely after the beginning.
    async with running(ground.worker_settings()):
        await ground.reconcile(tenant)
        await ground.settled()
        refusal = {"endpoint": "graph.messages.get", "account": tenant.address, "status": 400, "code": "BadRequest"}
        await ground.control.add_fault("status", **refusal)
        mail = await ground.control.deliver(tenant.address, subject="Unreadable")
        await ground.notify(tenant, "created", mail)
        await ground.settled()
        await ground.control.clear_faults()
        await ground.control.expire_history(tenant.address)
        await ground.control.delete(tenant.address, mail["id"])
        await ground.reconcile(tenant)
        await ground.settled()

    assert [CREATED, DELETED] == await ground.types(tenant)


@pytest.mark.parametrize("folder", ["inbox", ""])
async def test_a_request_is_answered_by_a_round_that_began_after_it(ground: Ground, folder: str) -> None:
    tenant = await ground.tenant("ms365", folder=folder)
    await asyncio.sleep(1.1)  # The provider cuts times to the second: what follows is surely after the beginning.
    mails = (await ground.control.generate(tenant.address, 6))["messages"]
    fault = {"endpoint": "graph.messages.delta", "account": tenant.address, "stored": True, "status": 503}
    await ground.control.add_fault("status", **fault)
    async with running(ground.worker_settings(page_size=4, retry_base_seconds=600.0, retry_max_seconds=600.0)):
        interrupted = await ground.reconcile(tenant)
        await ground.until(lambda: _waits(ground, interrupted), what="the first round is interrupted after a page")
        listed = {event.message_id for event in await ground.events(tenant)}
        gone = next(mail for mail in mails if mail["id"] in listed)
        await ground.control.delete(tenant.address, gone["id"])
        await ground.control.clear_faults()
        asked = await ground.reconcile(tenant)
        await ground.until(lambda: _is_done(ground, asked), what="the second request is answered")
        await ground.until(lambda: _is_told_last(ground, tenant, gone["id"], DELETED), what="the deletion is told")
        assert await _waits(ground, interrupted)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (410, "syncStateNotFound"),
        (400, "resyncRequired"),
        (400, "ErrorInvalidSyncStateData"),
        (404, "ErrorSomethingNew"),
        (409, "ErrorSomethingElse"),
    ],
)
async def test_every_spelling_of_a_forgotten_cursor_begins_anew(ground: Ground, status: int, code: str) -> None:
    tenant = await ground.tenant("ms365")
    async with running(ground.worker_settings()):
        await ground.control.generate(tenant.address, 3)
        await ground.reconcile(tenant)
        await ground.settled()
        await ground.control.expire_history(tenant.address, status=status, code=code)
        await ground.control.generate(tenant.address, 2, first=3)
        await ground.reconcile(tenant)
        await ground.settled()

    assert [CREATED] * 5 == await ground.types(tenant)


async def test_all_mail_compares_every_folder_children_included(ground: Ground) -> None:
    tenant = await ground.tenant("ms365", folder="")
    await ground.control.add_folder(tenant.address, "Projects", parent="inbox")
    await ground.control.deliver(tenant.address, subject="In", folder="inbox")
    await ground.control.deliver(tenant.address, subject="Below", folder="Inbox/Projects")
    await ground.control.deliver(tenant.address, subject="Archived", folder="archive")
    async with running(ground.worker_settings()):
        await ground.reconcile(tenant)
        await ground.settled()

    assert ["Archived", "Below", "In"] == sorted(event.mail.message.subject for event in await ground.events(tenant))


async def test_a_comparison_and_a_notification_of_the_same_change_are_one_event(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")
    async with running(ground.worker_settings()):
        mails = (await ground.control.generate(tenant.address, 6))["messages"]
        await ground.reconcile(tenant)
        for mail in mails:
            await ground.notify(tenant, "created", mail)
        await ground.reconcile(tenant)
        await ground.settled()

    assert sorted(mail["id"] for mail in mails) == sorted(event.message_id for event in await ground.events(tenant))


async def test_a_polled_mailbox_lives_on_the_schedule_alone(ground: Ground) -> None:
    tenant = await ground.tenant("ms365", is_polled=True)
    async with running(ground.worker_settings(poll_seconds=1)):
        await ground.reconcile(tenant)
        await ground.settled()
        mail = await ground.control.deliver(tenant.address, subject="Polled")

        async def is_told() -> bool:
            return [mail["id"]] == [event.message_id for event in await ground.events(tenant)]

        await ground.until(is_told)


async def test_a_reconciliation_that_another_process_put_off_too_long_comes_within_the_interval(ground: Ground) -> None:
    tenant = await ground.tenant("ms365")

    async def is_within(interval: str) -> bool:
        question = "SELECT reconcile_due_at < now() + $1::text::interval FROM processor.mailboxes"
        return bool(await ground.processor.fetchval(question, interval))

    async with running(ground.worker_settings()):
        await ground.reconcile(tenant)
        await ground.settled()
        assert await is_within("1 hour")
        await ground.processor.execute("UPDATE processor.mailboxes SET reconcile_due_at = now() + interval '30 days'")
        await ground.until(lambda: is_within("1 hour"), 30, "due within the interval")


@pytest.mark.timeout(240 + CATCH_UP // 20)
async def test_a_long_catch_up_survives_any_number_of_interruptions(ground: Ground, tmp_path: Path) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings()):
        await ground.settled()
    await ground.control.generate(tenant.address, CATCH_UP)
    expected = {mail["id"] for mail in (await ground.control.truth(tenant.address))["messages"]}
    await ground.push_present(tenant)
    told = [0]
    for _ in range(4):
        with worker_process(ground, tmp_path, page_size=100) as worker:
            async with hanging(ground, "gmail.messages.get", tenant.address, CATCH_UP // 8) as reached:
                await reached.wait()
                worker.kill()
                await asyncio.to_thread(worker.wait, 30)
        await end_holds(ground)
        told.append(await _told(ground))
    async with running(ground.worker_settings()):
        await ground.settled(60 + CATCH_UP / 50)

    ids = [event.message_id for event in await ground.events(tenant)]
    assert (CATCH_UP, expected) == (len(ids), set(ids))
    # Each worker that was killed had continued from the position of the previous one.
    assert sorted({*told, CATCH_UP}) == [*told, CATCH_UP]


async def test_an_interrupted_comparison_continues_from_its_position(ground: Ground, tmp_path: Path) -> None:
    tenant = await ground.tenant("ms365")
    await ground.control.load_old(tenant.address, 3000, days=300)
    await ground.reconcile(tenant)
    with worker_process(ground, tmp_path, page_size=100):

        async def is_under_way() -> bool:
            return bool(await ground.processor.fetchval("SELECT count(*) >= 300 FROM processor.messages"))

        await ground.until(is_under_way)
    await end_holds(ground)
    pages = await ground.control.call_count(endpoint="graph.messages.delta", account=tenant.address)
    async with running(ground.worker_settings(page_size=100)):
        await ground.settled()

    assert 3000 == await ground.processor.fetchval("SELECT count(*) FROM processor.messages")
    again = await ground.control.call_count(endpoint="graph.messages.delta", account=tenant.address)
    assert again <= 32
    assert pages >= 3


async def _known(ground: Ground) -> int:
    return int(await ground.processor.fetchval("SELECT count(*) FROM processor.messages WHERE state = 1"))


async def _told(ground: Ground) -> int:
    return int(await ground.processor.fetchval("SELECT count(*) FROM processor.messages WHERE state = 2"))


async def _waits(ground: Ground, item_id: str) -> bool:
    """Return whether an item was released to a later time."""
    question = "SELECT count(*) FROM ingest.items WHERE item_id = $1 AND due_at > now() + interval '60 seconds'"
    return bool(await ground.ingest.fetchval(question, item_id))


async def _is_done(ground: Ground, item_id: str) -> bool:
    return not await ground.ingest.fetchval("SELECT count(*) FROM ingest.items WHERE item_id = $1", item_id)


async def _is_told_last(ground: Ground, tenant: Any, message_id: str, event_type: str) -> bool:
    types = [event.event_type for event in await ground.events(tenant) if event.message_id == message_id]
    return types[-1:] == [event_type]
