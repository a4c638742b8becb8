"""A Gmail history id that is too old: changes of any date are found, late ones too, and consumers are notified."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.processor.worker import running
from tests.store.processor.ground import Ground, read_events

CREATED, UPDATED, DELETED = "mail.created", "mail.updated", "mail.deleted"
LIST_REFUSED = (
    "mailmesh_processor_failures_total",
    {"provider": "googlews", "remedy": "list", "reason": "MESSAGE_UNREADABLE"},
)
OLD_MS = int((datetime.now(UTC) - timedelta(days=20)).timestamp() * 1000)


async def _told(ground: Ground, tenant: Any) -> set[tuple[str, str]]:
    return {(event.event_type, event.message_id) for event in await ground.events(tenant)}


async def _until_told(ground: Ground, tenant: Any, wanted: set[tuple[str, str]]) -> None:
    async def is_told() -> bool:
        return wanted == await _told(ground, tenant)

    await ground.until(is_told, 60, f"{wanted} are told")


async def _until_compared(ground: Ground) -> None:
    async def is_compared() -> bool:
        return not await ground.processor.fetchval("SELECT count(*) FROM processor.mailboxes WHERE resync IS NOT NULL")

    await ground.until(is_compared, 60, "both comparisons are done")


async def _losses(ground: Ground) -> list[str]:
    events = [event.tenant for event in await read_events(ground.processor) if event.WhichOneof("kind") == "tenant"]
    return [event.status_reason for event in events if event.event_type == "tenant.history_lost"]


async def _with_known_mail(ground: Ground, old: int = 40, **watch: Any) -> tuple[Any, dict[str, str]]:
    """Return a tenant whose worker has reported mail with an old date, and stopped."""
    covered_from = datetime.now(UTC) - timedelta(days=40)
    tenant = await ground.tenant("googlews", covered_from=covered_from, **watch)
    await ground.control.load_old(tenant.address, old, days=60)
    await ground.begin(tenant)
    ids = {}
    async with running(ground.worker_settings()):
        for name in ("stays", "goes", "changes"):
            mail = await ground.control.deliver(tenant.address, subject=name, receivedAtMs=OLD_MS)
            ids[name] = mail["id"]
        await ground.push_present(tenant)
        await ground.settled()
    assert {(CREATED, one) for one in ids.values()} == await _told(ground, tenant)
    return tenant, ids


async def test_a_reconciliation_since_a_time_reads_the_history_before_its_cursor_moves(ground: Ground) -> None:
    """Pushes were refused: the changes of old mail are in history alone, and the list has only recent mail."""
    tenant, ids = await _with_known_mail(ground)
    before = {(CREATED, one) for one in ids.values()}
    await ground.control.delete(tenant.address, ids["goes"])
    await ground.control.update(tenant.address, ids["changes"], isFlagged=True)
    async with running(ground.worker_settings()):
        await ground.reconcile(tenant, since=datetime.now(UTC) - timedelta(minutes=10))
        await _until_told(ground, tenant, {*before, (DELETED, ids["goes"]), (UPDATED, ids["changes"])})
        await _until_compared(ground)


async def test_a_reconciliation_since_the_first_time_of_the_calendar_is_done(ground: Ground) -> None:
    tenant, ids = await _with_known_mail(ground)
    await ground.control.delete(tenant.address, ids["goes"])
    async with running(ground.worker_settings()):
        await ground.reconcile(tenant, since=datetime(1, 1, 1, tzinfo=UTC))
        await ground.settled()
        await _until_compared(ground)

    assert (DELETED, ids["goes"]) in await _told(ground, tenant)


async def test_a_list_that_gmail_refuses_for_good_ends_and_stops_no_other_work(ground: Ground) -> None:
    tenant, ids = await _with_known_mail(ground)
    await ground.control.add_fault("status", endpoint="gmail.messages.list", account=tenant.address, status=400)
    left_out = REGISTRY.get_sample_value(*LIST_REFUSED) or 0
    await ground.control.delete(tenant.address, ids["goes"])
    await ground.control.expire_history(tenant.address)
    before = {(CREATED, one) for one in ids.values()} | {(DELETED, ids["goes"])}
    async with running(ground.worker_settings(fetch_attempts=2)):
        await ground.push_present(tenant)
        await _until_told(ground, tenant, before)
        live = await ground.control.deliver(tenant.address, subject="Live")
        await ground.push_present(tenant)
        await _until_told(ground, tenant, before | {(CREATED, live["id"])})
        await _until_compared(ground)
        await ground.reconcile(tenant, since=datetime.now(UTC) - timedelta(minutes=10))
        await ground.settled()
        await _until_compared(ground)

    assert ["COMPARISON_CUT"] == await _losses(ground)
    assert (REGISTRY.get_sample_value(*LIST_REFUSED) or 0) > left_out


async def test_a_message_that_fails_while_it_is_checked_is_fetched_later(ground: Ground) -> None:
    tenant, ids = await _with_known_mail(ground)
    await ground.control.update(tenant.address, ids["changes"], isFlagged=True)
    await ground.control.expire_history(tenant.address)
    await ground.control.add_fault(
        "status", endpoint="gmail.messages.get", account=tenant.address, message=ids["changes"], status=500, count=2
    )
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)
        await _until_told(ground, tenant, {*((CREATED, one) for one in ids.values()), (UPDATED, ids["changes"])})


async def test_old_mail_that_fails_while_it_is_checked_makes_no_event(ground: Ground) -> None:
    """It came before coverage and has not changed."""
    tenant, ids = await _with_known_mail(ground)
    await ground.control.expire_history(tenant.address)
    await ground.control.add_fault(
        "status", endpoint="gmail.messages.get", account=tenant.address, query="format=minimal", status=500, count=6
    )
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)

        async def is_lost() -> bool:
            return ["COMPARISON_COMPLETE"] == await _losses(ground)

        await ground.until(is_lost, 60, "the first comparison is done")
        await _until_compared(ground)

    assert {(CREATED, one) for one in ids.values()} == await _told(ground, tenant)


@pytest.mark.parametrize("listed", ["recent", "all"])
async def test_a_page_token_that_gmail_refuses_begins_its_list_again(ground: Ground, listed: str) -> None:
    tenant, ids = await _with_known_mail(ground, old=120)
    await ground.control.update(tenant.address, ids["changes"], isFlagged=True)
    recent = (await ground.control.generate(tenant.address, 5))["messages"]
    await ground.control.expire_history(tenant.address)
    query = "*q=after*pageToken*" if listed == "recent" else "includeSpamTrash=true&maxResults=100&pageToken*"
    await ground.control.add_fault("status", endpoint="gmail.messages.list", query=query, status=500)
    pages = {"page_size": 2} if listed == "recent" else {}
    async with running(ground.worker_settings(**pages)):
        await ground.push_present(tenant)

        async def has_token() -> bool:
            question = "SELECT coalesce(resync ->> 'page_token', '') <> '' FROM processor.mailboxes"
            return bool(await ground.processor.fetchval(question))

        await ground.until(has_token, what="a page token is stored")
    await ground.control.clear_faults()
    await ground.processor.execute(
        """UPDATE processor.mailboxes SET resync = jsonb_set(resync, '{page_token}', '"refused"')"""
    )
    wanted = {(CREATED, one) for one in (*ids.values(), *(mail["id"] for mail in recent))}
    async with running(ground.worker_settings(**pages)):
        await _until_told(ground, tenant, wanted | {(UPDATED, ids["changes"])})
        await _until_compared(ground)


async def test_a_comparison_without_quota_pauses_until_the_quota_has_room(ground: Ground) -> None:
    tenant, _ = await _with_known_mail(ground)
    await ground.control.expire_history(tenant.address)
    async with running(ground.worker_settings(gmail_units_per_minute=1200)):
        await ground.push_present(tenant)

        async def is_paused() -> bool:
            question = "SELECT resync_due_at > now() + interval '4 seconds' AND resync ->> 'round' = '1'"
            return bool(await ground.processor.fetchval(f"{question} FROM processor.mailboxes"))

        await ground.until(is_paused, what="the comparison pauses")


async def test_changes_of_any_date_are_found_after_a_lost_cursor(ground: Ground) -> None:
    tenant, ids = await _with_known_mail(ground)
    await ground.control.delete(tenant.address, ids["goes"])
    await ground.control.update(tenant.address, ids["changes"], isFlagged=True)
    imported = await ground.control.deliver(tenant.address, subject="Imported", receivedAtMs=OLD_MS - 1000)
    await ground.control.expire_history(tenant.address)
    before = {(CREATED, one) for one in ids.values()}
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)
        wanted = {(DELETED, ids["goes"]), (UPDATED, ids["changes"]), (CREATED, imported["id"])}
        await _until_told(ground, tenant, before | wanted)
        await _until_compared(ground)
        live = await ground.control.deliver(tenant.address, subject="Live")
        await ground.push_present(tenant)
        await _until_told(ground, tenant, before | wanted | {(CREATED, live["id"])})

    assert 7 == len(await ground.events(tenant))
    assert ["COMPARISON_COMPLETE"] == await _losses(ground)


async def test_mail_that_lists_do_not_know_yet_is_found_by_the_second_comparison(ground: Ground) -> None:
    tenant, ids = await _with_known_mail(ground)
    await ground.control.lag(tenant.address, list_seconds=3600)
    recent = await ground.control.deliver(tenant.address, subject="Recent")
    imported = await ground.control.deliver(tenant.address, subject="Imported", receivedAtMs=OLD_MS - 1000)
    await ground.control.expire_history(tenant.address)
    before = {(CREATED, one) for one in ids.values()}
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)
        await ground.settled()
        assert before == await _told(ground, tenant)
        await ground.control.lag(tenant.address)
        await _until_told(ground, tenant, before | {(CREATED, recent["id"]), (CREATED, imported["id"])})
        await _until_compared(ground)

    assert 5 == len(await ground.events(tenant))


async def test_a_comparison_that_left_mail_unchecked_says_so_and_reports_deletions_all_the_same(ground: Ground) -> None:
    tenant, ids = await _with_known_mail(ground)
    await ground.control.delete(tenant.address, ids["goes"])
    await ground.control.expire_history(tenant.address)
    async with running(ground.worker_settings(gmail_compare_messages=1)):
        await ground.push_present(tenant)
        await _until_told(ground, tenant, {(CREATED, one) for one in ids.values()} | {(DELETED, ids["goes"])})
        await _until_compared(ground)

    assert ["COMPARISON_CUT"] == await _losses(ground)


async def test_a_comparison_continues_after_a_restart_and_behind_a_small_quota(ground: Ground) -> None:
    tenant, ids = await _with_known_mail(ground)
    await ground.control.update(tenant.address, ids["changes"], isFlagged=True)
    await ground.control.expire_history(tenant.address)
    before = {(CREATED, one) for one in ids.values()}
    async with running(ground.worker_settings(slice_seconds=0.01, gmail_units_per_minute=9_000)):
        await ground.push_present(tenant)
        await ground.settled()
    async with running(ground.worker_settings(slice_seconds=0.01)):
        await _until_told(ground, tenant, before | {(UPDATED, ids["changes"])})
        await _until_compared(ground)

    assert 4 == len(await ground.events(tenant))
