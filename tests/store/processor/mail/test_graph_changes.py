"""Listing the changes of all folders between complete rounds: refused, given up in part, and while mail changes."""

import asyncio
from typing import Any

from prometheus_client import REGISTRY

from services.processor.worker import running
from tests.store.processor.ground import Ground

CREATED, UPDATED, DELETED = "mail.created", "mail.updated", "mail.deleted"
LISTING = "*lastModifiedDateTime*"


async def _rounds(ground: Ground, tenant: Any) -> int:
    return int(await ground.control.call_count(endpoint="graph.messages.delta", account=tenant.address))


async def _scheduled(ground: Ground, tenant: Any) -> None:
    await ground.reconcile(tenant, is_scheduled=True)
    await ground.settled()


async def _ids(ground: Ground, tenant: Any) -> set[str]:
    return {event.message_id for event in await ground.events(tenant)}


async def test_a_listing_that_is_always_refused_makes_fewer_and_fewer_complete_rounds(ground: Ground) -> None:
    labels = {"provider": "ms365", "remedy": "changes", "reason": "MESSAGE_UNREADABLE"}
    failures = REGISTRY.get_sample_value("mailmesh_processor_failures_total", labels) or 0
    tenant = await ground.tenant("ms365", folder="")
    async with running(ground.worker_settings()):
        await ground.reconcile(tenant)
        await ground.settled()
        await ground.control.add_fault(
            "status", endpoint="graph.messages.list", query=LISTING, status=400, code="ErrorInvalidRestriction"
        )
        await _scheduled(ground, tenant)
        rounds = await _rounds(ground, tenant)
        for _ in range(3):
            await _scheduled(ground, tenant)
        assert rounds == await _rounds(ground, tenant)
        # The pause is over: the complete round replaces the listing again.
        await ground.processor.execute(
            "UPDATE processor.mailboxes SET last_reconciled_at = last_reconciled_at - interval '20 minutes'"
        )
        await _scheduled(ground, tenant)
        assert rounds < await _rounds(ground, tenant)
        rounds = await _rounds(ground, tenant)
        await ground.control.clear_faults()
        mail = await ground.control.deliver(tenant.address, subject="Unannounced")
        await _scheduled(ground, tenant)

    assert rounds == await _rounds(ground, tenant)
    assert {mail["id"]} == await _ids(ground, tenant)
    assert 0 == await ground.processor.fetchval("SELECT listing_refusals FROM processor.mailboxes")
    assert failures + 5 == REGISTRY.get_sample_value("mailmesh_processor_failures_total", labels)


async def test_a_round_that_gave_a_folder_up_is_not_counted_as_read(ground: Ground) -> None:
    tenant = await ground.tenant("ms365", folder="")
    async with running(ground.worker_settings(fetch_attempts=1, overlap_seconds=0)):
        await ground.reconcile(tenant)
        await ground.settled()
        refused = await _folder(ground, tenant, "archive")
        await _refuse(ground, refused)
        hidden = await ground.control.deliver(tenant.address, subject="Hidden", folder=refused)
        await asyncio.sleep(1.1)  # Graph's times have whole seconds, and the round has to begin in a later one
        await ground.reconcile(tenant)
        await ground.settled()
        assert set() == await _ids(ground, tenant)
        await _scheduled(ground, tenant)

    assert {hidden["id"]} == await _ids(ground, tenant)


async def test_a_folder_that_is_refused_from_the_start_leaves_the_listing_of_changes(ground: Ground) -> None:
    tenant = await ground.tenant("ms365", folder="")
    await _refuse(ground, await _folder(ground, tenant, "archive"))
    async with running(ground.worker_settings(fetch_attempts=1)):
        await ground.reconcile(tenant)
        await ground.settled()
        rounds = await _rounds(ground, tenant)
        mail = await ground.control.deliver(tenant.address, subject="In the refused folder", folder="archive")
        await _scheduled(ground, tenant)

    assert rounds == await _rounds(ground, tenant)
    assert {mail["id"]} == await _ids(ground, tenant)


async def test_an_old_mail_of_a_folder_that_was_never_listed_is_not_new_when_it_is_deleted(ground: Ground) -> None:
    tenant = await ground.tenant("ms365", folder="")
    await ground.control.load_old(tenant.address, 1, days=60, folder="archive")
    old = (await ground.control.truth(tenant.address))["messages"][0]
    await _refuse(ground, await _folder(ground, tenant, "archive"))
    async with running(ground.worker_settings(fetch_attempts=1)):
        await ground.reconcile(tenant)
        await ground.settled()
        await ground.control.delete(tenant.address, old["id"])
        await ground.notify(tenant, "deleted", old)
        await ground.settled()

    assert [DELETED] == await ground.types(tenant)


async def test_a_deletion_between_two_pages_of_the_listing_hides_no_mail(ground: Ground) -> None:
    tenant = await ground.tenant("ms365", folder="")
    async with running(ground.worker_settings(page_size=2)):
        await ground.reconcile(tenant)
        await ground.settled()
        ids = [(await ground.control.deliver(tenant.address, subject=f"Mail {n}"))["id"] for n in range(4)]
        await asyncio.sleep(1.1)  # the times of changes have whole seconds, and a page of one second is another case
        ids += [(await ground.control.deliver(tenant.address, subject=f"Mail {n}"))["id"] for n in range(4)]
        await ground.control.add_fault(
            "latency", endpoint="graph.messages.list", query=LISTING, seconds=5, skip=1, count=1
        )
        await ground.reconcile(tenant, is_scheduled=True)
        await ground.until(lambda: _ids(ground, tenant), what="the first page is read")
        for gone in await _ids(ground, tenant):
            await ground.control.delete(tenant.address, gone)
        await ground.settled()

    assert set(ids) == {event.message_id for event in await ground.events(tenant) if event.event_type == CREATED}


async def _folder(ground: Ground, tenant: Any, well_known: str) -> str:
    folders = await ground.control.request("GET", f"/accounts/{tenant.address}/folders")
    return next(str(folder["id"]) for folder in folders if folder["wellKnown"] == well_known)


async def _refuse(ground: Ground, folder: str) -> None:
    await ground.control.add_fault(
        "status", endpoint="graph.messages.delta", folder=folder, status=403, code="ErrorAccessDenied"
    )
