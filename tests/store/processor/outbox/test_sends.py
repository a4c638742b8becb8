"""A send becomes one mail at the recipient, one event, and one created event of its own copy."""

import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit import db
from services.processor.errors import AbilityNotGranted, IdempotencyKeyReused, TenantNotFound
from services.processor.outbox.errors import SendNotCancellable, SendNotFound, SendNotUncertain
from services.processor.outbox.rows import State
from services.processor.outbox.store import sends
from services.processor.servicers.sends import message_of
from services.processor.worker import running
from tests.store.processor.ground import Ground
from tests.store.processor.outbox.sending import HASTE, Outgoing

pytestmark = pytest.mark.timeout(300)


async def test_a_send_is_one_mail_one_event_and_no_draft(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.accept(subject="Offer 17")
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)

    assert ["Offer 17"] == [mail["subject"] for mail in await outgoing.received()]
    assert (State.SENT, [], "", None) == (
        sent.state,
        await outgoing.own(drafts=True),
        sent.content.mail.text,
        sent.due_at,
    )
    copies = await outgoing.own(drafts=False)
    assert [(sent.message_id, sent.internet_message_id)] == [(copy["id"], copy["internetMessageId"]) for copy in copies]
    events = await outgoing.events()
    assert [("send.sent", row.send_id, "one", sent.message_id)] == [
        (event.event_type, event.send_id, event.idempotency_key, event.message_id) for event in events
    ]
    assert (sent.internet_message_id, sent.provider_thread_id) == (
        events[0].internet_message_id,
        events[0].provider_thread_id,
    )


async def test_a_wake_up_makes_a_worker_send_at_once(woken_ground: Ground) -> None:
    outgoing = await Outgoing.of(woken_ground)
    async with running(woken_ground.worker_settings(**HASTE, sweep_seconds=60.0)):
        row = await outgoing.accept()
        await outgoing.ended(row.send_id, State.SENT)

    assert 1 == len(await outgoing.received())


@pytest.mark.parametrize("has_draft_events", [False, True])
async def test_our_copy_is_one_created_event_that_names_its_send(ground: Ground, has_draft_events: bool) -> None:
    outgoing = await Outgoing.of(ground, folder="")
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE, draft_events=has_draft_events)):
        sent = await outgoing.ended(row.send_id)
        (copy,) = await outgoing.own(drafts=False)
        # Graph reports the copy in Drafts and in Sent Items.
        await ground.notify(outgoing.tenant, "created", copy)
        await ground.notify(outgoing.tenant, "created", copy)
        await ground.settled()
        await ground.control.update(outgoing.tenant.address, copy["id"], isFlagged=True)
        (changed,) = await outgoing.own(drafts=False)
        await ground.notify(outgoing.tenant, "updated", changed)
        await ground.settled()

    created, updated = await ground.events(outgoing.tenant)
    assert ("mail.created", sent.message_id, mail_pb2.EVENT_SOURCE_COMMAND, row.send_id) == (
        created.event_type, created.message_id, created.mail.source, created.mail.send_id
    )  # fmt: skip
    assert ("mail.updated", mail_pb2.EVENT_SOURCE_NOTIFICATION, "") == (
        updated.event_type, updated.mail.source, updated.mail.send_id
    )  # fmt: skip


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_our_answer_is_in_the_thread_of_the_mail_that_it_answers(ground: Ground, provider: str) -> None:
    is_google = provider == "googlews"
    outgoing = await Outgoing.of(ground, provider, **({"labels": ()} if is_google else {"folder": ""}))
    if is_google:
        await ground.begin(outgoing.tenant)
    async with running(ground.worker_settings(**HASTE)):
        await ground.settled()
        row = await outgoing.answer()
        await outgoing.ended(row.send_id)
        if is_google:
            await ground.push_present(outgoing.tenant)
        else:
            for mail in await outgoing.own(drafts=False):
                await ground.notify(outgoing.tenant, "created", mail)
        await ground.settled()

    created = {event.mail.send_id: event.mail for event in await ground.events(outgoing.tenant)}
    assert {"", row.send_id} == set(created)
    threads = {mail.message.thread.thread_id for mail in created.values()}
    assert 1 == len(threads)
    assert "" not in threads
    assert mail_pb2.EVENT_SOURCE_COMMAND == created[row.send_id].source


async def test_a_draft_of_ours_makes_no_event_even_where_drafts_do(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground, folder="")
    await ground.control.set(graph_sent_copy_seconds=3)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE, draft_events=True)):
        await outgoing.ended(row.send_id, State.SENDING)
        (draft,) = await ground.until(lambda: outgoing.own(drafts=True))
        await ground.notify(outgoing.tenant, "created", draft)
        await outgoing.ended(row.send_id)
        (copy,) = await outgoing.own(drafts=False)
        await ground.notify(outgoing.tenant, "updated", copy)
        await ground.settled()

    assert [("mail.created", row.send_id)] == [
        (event.event_type, event.mail.send_id) for event in await ground.events(outgoing.tenant)
    ]


async def test_the_same_key_is_one_send_and_other_content_is_refused(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    callers = outgoing.sends()
    first, was_known = await callers.accept(outgoing.request())
    again, is_known = await callers.accept(outgoing.request())
    with pytest.raises(IdempotencyKeyReused):
        await callers.accept(outgoing.request(text="Forty euros."))
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(first.send_id)
    after, _ = await callers.accept(outgoing.request())

    assert (first.send_id, False, True) == (again.send_id, was_known, is_known)
    assert (first.send_id, State.SENT, 1) == (after.send_id, after.state, len(await outgoing.received()))


async def test_another_tenant_may_use_the_same_key(ground: Ground) -> None:
    one, two = await Outgoing.of(ground), await Outgoing.of(ground)

    assert (await one.accept()).send_id != (await two.accept()).send_id


async def test_a_cancelled_send_is_never_sent_and_its_draft_is_deleted(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    await ground.control.add_fault("status", endpoint="graph.messages.send", status=429, retry_after=30)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):

        async def is_refused() -> bool:
            return (await outgoing.read(row.send_id)).reason == "PROVIDER_THROTTLED"

        await ground.until(is_refused)
        await ground.control.clear_faults()
        cancelled = await outgoing.sends().cancel(row.send_id, None)
        await outgoing.cleared(row.send_id)
    again = await outgoing.sends().cancel(row.send_id, None)

    assert (State.CANCELLED, State.CANCELLED, [], []) == (
        cancelled.state, again.state, await outgoing.received(), await outgoing.events()
    )  # fmt: skip
    assert [] == await outgoing.own(drafts=True)


async def test_a_sent_mail_cannot_be_cancelled_or_resolved(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(row.send_id)

    with pytest.raises(SendNotCancellable):
        await outgoing.sends().cancel(row.send_id, None)
    with pytest.raises(SendNotUncertain):
        await outgoing.sends().resolve(row.send_id, pb2.SEND_RESOLUTION_SENT, None)


async def test_a_send_of_another_tenant_does_not_exist(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.accept()
    others = ["019a9f0e-7c1e-7000-8000-000000000000"]
    with pytest.raises(SendNotFound):
        await outgoing.sends().get(row.send_id, others)
    with pytest.raises(SendNotFound):
        await outgoing.sends().cancel(row.send_id, others)
    request = outgoing.request("two")
    request.tenant_id = others[0]
    with pytest.raises(TenantNotFound):
        await outgoing.sends().accept(request)


async def test_a_tenant_that_has_not_granted_sending_is_refused_with_the_remedy(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    await ground.processor.execute(
        "UPDATE processor.tenants SET granted_abilities = $2 WHERE tenant_id = $1",
        outgoing.tenant.tenant_id,
        ["mail.read"],
    )
    with pytest.raises(AbilityNotGranted) as refused:
        await outgoing.accept()

    assert f"--tenant {outgoing.tenant.tenant_id} --ability mail.send" in refused.value.metadata["command"]


@pytest.mark.parametrize("fault", ["", "accepted, and the answer dropped", "a draft made, and its answer dropped"])
async def test_a_google_account_sends_one_mail_that_its_event_names(ground: Ground, fault: str) -> None:
    outgoing = await Outgoing.of(ground, "googlews", labels=())
    await ground.begin(outgoing.tenant)
    if fault:
        endpoint = "gmail.drafts.send" if fault.startswith("accepted") else "gmail.drafts.create"
        await ground.control.add_fault("close", endpoint=endpoint, phase="after", count=1)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)
        await ground.push_present(outgoing.tenant)
        await ground.settled()

    assert (State.SENT, 1) == (sent.state, len(await outgoing.received()))
    assert sent.internet_message_id.endswith("@mail.gmail.com>")
    assert [] == await _google_drafts(outgoing)
    assert [("mail.created", sent.message_id, mail_pb2.EVENT_SOURCE_COMMAND, row.send_id)] == [
        (event.event_type, event.message_id, event.mail.source, event.mail.send_id)
        for event in await ground.events(outgoing.tenant)
    ]


async def _google_drafts(outgoing: Outgoing) -> list[str]:
    messages = (await outgoing.ground.control.truth(outgoing.tenant.address))["messages"]
    return [mail["id"] for mail in messages if mail["isDraft"]]


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_an_answer_is_one_mail_whose_recipients_come_from_its_original(ground: Ground, provider: str) -> None:
    outgoing = await Outgoing.of(ground, provider)
    row = await outgoing.answer()
    before = message_of(row)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)
    shown = message_of(sent)

    assert (State.SENT, [], [outgoing.recipient]) == (sent.state, list(before.to), [one.address for one in shown.to])
    assert ["re: offer"] == [mail["subject"].lower() for mail in await outgoing.received()]
    assert "" == sent.content.reply.text


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_a_draft_is_kept_and_not_sent(ground: Ground, provider: str) -> None:
    outgoing = await Outgoing.of(ground, provider)
    row = await outgoing.answer(is_draft_only=True)
    async with running(ground.worker_settings(**HASTE)):
        kept = await outgoing.ended(row.send_id, State.DRAFTED)
    (draft,) = await outgoing.own(drafts=True)
    (event,) = await outgoing.events()

    assert ([], "re: offer") == (await outgoing.received(), draft["subject"].lower())
    assert ("send.drafted", kept.draft_id, None) == (event.event_type, event.draft_id, kept.due_at)
    with pytest.raises(SendNotCancellable):
        await outgoing.sends().cancel(row.send_id, None)


async def test_an_answer_to_a_mail_that_is_gone_fails_by_name(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.answer()
    await ground.control.delete(outgoing.tenant.address, row.content.reply.message_id)
    async with running(ground.worker_settings(**HASTE)):
        failed = await outgoing.ended(row.send_id)

    assert (State.FAILED, "SEND_REFUSED") == (failed.state, failed.reason)
    assert "not in the mailbox" in failed.detail


async def test_sends_are_listed_newest_first_in_pages(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    rows = [await outgoing.accept(f"key-{number}") for number in range(3)]
    scope = [outgoing.tenant.tenant_id]
    first, has_more = await outgoing.sends().page(scope, [], None, 2)
    then, has_rest = await outgoing.sends().page(scope, [], first[-1].send_id, 2)
    none, _ = await outgoing.sends().page(scope, [pb2.SEND_STATE_SENT], None, 2)

    assert [row.send_id for row in reversed(rows)] == [row.send_id for row in [*first, *then]]
    assert (True, False) == (has_more, has_rest)
    assert {("Offer", "")} == {(row.content.mail.subject, row.content.mail.text) for row in [*first, *then]}
    assert [] == none


async def test_a_page_of_sends_is_bounded_by_its_bytes(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    rows = [await outgoing.accept(f"key-{number}") for number in range(3)]
    async with db.connection(ground.processor) as connection:
        found, has_more = await sends.page(connection, [outgoing.tenant.tenant_id], [], None, 10, page_bytes=1)

    assert ([rows[2].send_id], True) == ([row.send_id for row in found], has_more)
