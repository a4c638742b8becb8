"""Events of mail in a Google mailbox: labels, trash, deletions, drafts, lost cursors, failures."""

import pytest

from services.processor.worker import running
from tests.store.processor.ground import Ground

CREATED, UPDATED, DELETED, ENRICHED = "mail.created", "mail.updated", "mail.deleted", "mail.enriched"


async def test_labels_trash_and_deletion_are_published_in_order(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings()):
        await ground.settled()
        mail = await ground.control.deliver(tenant.address, subject="Life")
        await ground.push_present(tenant)
        await ground.settled()
        await ground.control.update(tenant.address, mail["id"], isFlagged=True)
        await ground.push_present(tenant)
        await ground.settled()
        await ground.control.trash(tenant.address, mail["id"])
        await ground.push_present(tenant)
        await ground.settled()
        await ground.control.delete(tenant.address, mail["id"])
        await ground.push_present(tenant)
        await ground.settled()

    events = await ground.events(tenant)
    assert [CREATED, UPDATED, UPDATED, DELETED] == [event.event_type for event in events]
    assert (["STARRED"], ["INBOX"]) == (
        list(events[1].mail.change.label_ids_added), list(events[2].mail.change.label_ids_removed)
    )  # fmt: skip


async def test_drafts_and_mail_outside_of_the_watched_labels_make_no_events(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    draft = await ground.control.create_draft(tenant.address, subject="Draft", to="a@b.test", text="...")
    await ground.control.update_draft(tenant.address, draft["id"], subject="Draft 2", to="a@b.test", text="...")
    await ground.control.deliver(tenant.address, subject="Spam", labels=["SPAM"])
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)
        await ground.settled()

    assert [] == await ground.types(tenant)


async def test_a_mail_that_enters_the_watched_label_later_is_created_then(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    mail = await ground.control.deliver(tenant.address, subject="Later", labels=["SPAM"])
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)
        await ground.settled()
        assert [] == await ground.types(tenant)
        await ground.control.update(tenant.address, mail["id"], addLabels=["INBOX"], removeLabels=["SPAM"])
        await ground.push_present(tenant)
        await ground.settled()

    assert [CREATED] == await ground.types(tenant)


async def test_a_change_of_old_mail_is_an_update_without_a_created_event(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.control.load_old(tenant.address, 1, days=30)
    mail = (await ground.control.truth(tenant.address))["messages"][0]
    await ground.begin(tenant)
    async with running(ground.worker_settings()):
        await ground.settled()
        await ground.control.update(tenant.address, mail["id"], isFlagged=True)
        await ground.push_present(tenant)
        await ground.settled()

    assert [UPDATED] == await ground.types(tenant)


async def test_a_mail_added_and_deleted_between_two_reads_makes_both_events(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    mail = await ground.control.deliver(tenant.address, subject="Short")
    await ground.control.delete(tenant.address, mail["id"])
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)
        await ground.settled()

    assert [CREATED, DELETED] == await ground.types(tenant)


async def test_a_lost_cursor_is_made_good_by_a_comparison_by_time(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.control.load_old(tenant.address, 50, days=30)
    await ground.begin(tenant)
    async with running(ground.worker_settings()):
        first = await ground.control.deliver(tenant.address, subject="Stays")
        gone = await ground.control.deliver(tenant.address, subject="Goes")
        await ground.push_present(tenant)
        await ground.settled()
    await ground.control.delete(tenant.address, gone["id"])
    await ground.control.update(tenant.address, first["id"], isRead=True)
    missed = (await ground.control.generate(tenant.address, 30))["messages"]
    await ground.control.expire_history(tenant.address)
    async with running(ground.worker_settings(page_size=10, slice_seconds=60.0)):
        await ground.push_present(tenant)
        await ground.settled()

    events = await ground.events(tenant)
    assert {mail["id"] for mail in missed} | {first["id"], gone["id"]} == {
        e.message_id for e in events if e.event_type == CREATED
    }
    assert [first["id"]] == [e.message_id for e in events if e.event_type == UPDATED]
    assert [gone["id"]] == [e.message_id for e in events if e.event_type == DELETED]
    assert 32 == len([e for e in events if e.event_type == CREATED])


async def test_a_message_that_fails_holds_up_no_other_and_is_enriched_later(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    mails = (await ground.control.generate(tenant.address, 5))["messages"]
    await ground.control.add_fault("status", endpoint="gmail.messages.get", status=500, account=tenant.address, count=1)
    async with running(ground.worker_settings(fetch_attempts=1)):
        await ground.push_present(tenant)
        await ground.settled()

    events = await ground.events(tenant)
    assert sorted(mail["id"] for mail in mails) == sorted(e.message_id for e in events if e.event_type == CREATED)
    assert 1 == len([e for e in events if e.event_type == ENRICHED])


async def test_a_used_up_quota_waits_and_loses_nothing(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    mails = (await ground.control.generate(tenant.address, 12))["messages"]
    await ground.control.add_fault(
        "status",
        endpoint="gmail.messages.get",
        status=403,
        code="rateLimitExceeded",
        account=tenant.address,
        skip=3,
        count=2,
    )
    async with running(ground.worker_settings(commit_messages=4)):
        await ground.push_present(tenant)
        await ground.settled()

    # The mails fetched before the throttle are published first: only the order of one message's events is promised.
    assert sorted(mail["id"] for mail in mails) == sorted(event.message_id for event in await ground.events(tenant))


async def test_a_push_that_history_never_reaches_is_given_up_and_holds_up_nothing(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings(bury_attempts=3)):
        await ground.push(tenant, await ground.history_id(tenant) + 1_000_000)
        mail = await ground.control.deliver(tenant.address, subject="Real")
        await ground.push_present(tenant)
        await ground.settled()

    assert [mail["id"]] == [event.message_id for event in await ground.events(tenant)]
    assert 1 == await ground.ingest.fetchval("SELECT count(*) FROM ingest.dead_letters")


async def test_pushes_without_a_subscription_are_acknowledged_and_tell_nothing(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    await ground.ingest.execute("DELETE FROM ingest.subscriptions")
    await ground.control.deliver(tenant.address, subject="Unwatched")
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)
        await ground.settled()

    assert [] == await ground.types(tenant)


@pytest.mark.parametrize(("status", "is_there"), [(0, True), (503, True), (404, False)])
async def test_a_body_that_gmail_holds_back_is_fetched_or_said_to_be_cut(
    ground: Ground, status: int, *, is_there: bool
) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    await ground.control.set(gmail_held_back_bytes=2_000)
    told = "The pallets come on Monday at seven. " * 100
    await ground.control.deliver(tenant.address, subject="Long", text=told)
    if status:
        times = {"count": 1} if is_there else {}
        await ground.control.add_fault(
            "status", endpoint="gmail.attachments.get", status=status, account=tenant.address, **times
        )
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)
        await ground.settled()

    (event,) = [event.mail for event in await ground.events(tenant) if event.mail.is_enriched]
    assert (told.strip() if is_there else "") == event.message.body.text.strip()
    assert (not is_there) == event.truncation.is_text_cut
