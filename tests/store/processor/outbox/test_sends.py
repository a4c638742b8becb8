"""A send becomes one mail at the recipient, one event, and one created event of its own copy."""

from datetime import UTC, datetime, timedelta

import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import send_service_pb2 as pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from services.meshkit import db
from services.meshkit.clock import ManualClock
from services.processor.errors import (
    AbilityNotGranted,
    IdempotencyKeyReused,
    SendNotCancellable,
    SendNotFound,
    SendNotUncertain,
    SendQueueFull,
    TenantNotFound,
)
from services.processor.outbox.outcome import end
from services.processor.outbox.retention import SendRetention
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


async def test_one_throttled_send_holds_the_others_read_with_it_back(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    endpoint, account = "graph.messages.send", outgoing.tenant.address
    await ground.control.add_fault("status", endpoint=endpoint, account=account, status=429, retry_after=600)
    rows = [await outgoing.accept(str(number)) for number in range(3)]
    async with running(ground.worker_settings(**HASTE)):

        async def is_refused() -> bool:
            return any([(await outgoing.read(row.send_id)).reason == "PROVIDER_THROTTLED" for row in rows])

        await ground.until(is_refused)

    assert 1 == await ground.control.call_count(endpoint=endpoint, account=account)
    assert 1 == len(await outgoing.own(drafts=True))


async def test_a_send_whose_ability_was_withdrawn_waits_a_minute(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.accept()
    ground.vault.refusals[outgoing.tenant.tenant_id] = "ABILITY_NOT_GRANTED"
    async with running(ground.worker_settings(**HASTE)):

        async def is_put_off() -> bool:
            return (await outgoing.read(row.send_id)).reason == "ABILITY_NOT_GRANTED"

        await ground.until(is_put_off)

    held = await outgoing.read(row.send_id)
    least = datetime.now(UTC) + timedelta(seconds=20)
    assert (State.QUEUED, True) == (held.state, held.due_at is not None and held.due_at > least)


async def test_a_sent_mail_cannot_be_cancelled_or_resolved(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(row.send_id)

    with pytest.raises(SendNotCancellable):
        await outgoing.sends().cancel(row.send_id, None)
    with pytest.raises(SendNotUncertain):
        await outgoing.sends().resolve(row.send_id, pb2.SEND_RESOLUTION_SENT, None)


async def test_a_scheduled_send_waits_for_its_time(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    request = outgoing.request()
    request.send_at.FromDatetime(datetime.now(UTC) + timedelta(seconds=2))
    row, _ = await outgoing.sends().accept(request)
    async with running(ground.worker_settings(**HASTE)):
        other = await outgoing.accept("two")
        await outgoing.ended(other.send_id)
        before = await outgoing.read(row.send_id)
        sent = await outgoing.ended(row.send_id)

    assert (State.SCHEDULED, State.SCHEDULED, State.SENT) == (row.state, before.state, sent.state)
    assert sent.submitted_at is not None
    assert sent.send_at is not None
    assert sent.submitted_at >= sent.send_at


async def test_an_account_sends_no_more_mails_in_a_minute_than_its_pace(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    rows = [await outgoing.accept(f"key {number}".replace(" ", "-")) for number in range(4)]
    async with running(ground.worker_settings(**HASTE, sends_per_minute=2)):
        for row in rows[:2]:
            await outgoing.ended(row.send_id)

        async def is_held_back() -> bool:
            held = await ground.processor.fetchval(
                "SELECT sends_held_until FROM processor.mailboxes WHERE tenant_id = $1", outgoing.tenant.tenant_id
            )
            return held is not None and held > datetime.now(UTC) + timedelta(seconds=30)

        await ground.until(is_held_back)

    waiting = [await outgoing.read(row.send_id) for row in rows[2:]]
    assert [row.due_at for row in rows[2:]] == [row.due_at for row in waiting]  # no waiting send is written
    states = [(await outgoing.read(row.send_id)).state for row in rows]
    assert [State.SENT, State.SENT, State.QUEUED, State.QUEUED] == states
    assert 2 == len(await outgoing.received())


async def test_sends_share_the_quota_of_their_gmail_mailbox(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground, "googlews", labels=())
    rows = [await outgoing.accept(f"key-{number}") for number in range(2)]
    async with running(ground.worker_settings(**HASTE, gmail_units_per_minute=200)):
        await outgoing.ended(rows[0].send_id)

        async def waits() -> bool:
            return (await outgoing.read(rows[1].send_id)).reason == "PROVIDER_THROTTLED"

        await ground.until(waits)

    waiting = await outgoing.read(rows[1].send_id)
    assert (State.QUEUED, "the mailbox's own quota is used up") == (waiting.state, waiting.detail)


async def test_a_second_refused_token_is_reported(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    await ground.control.add_fault("status", endpoint="graph.messages.create", status=401)
    await outgoing.accept()
    async with running(ground.worker_settings(**HASTE)):
        await ground.until(lambda: _is_reported(ground), what="the fault is reported")


async def _is_reported(ground: Ground) -> bool:
    return vault_pb2.TENANT_FAULT_TOKEN_REJECTED in [request.fault for request in ground.vault.faults]


async def test_a_tenant_has_a_bounded_number_of_unfinished_sends(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    callers = outgoing.sends(sends_waiting=1)
    await callers.accept(outgoing.request())
    with pytest.raises(SendQueueFull):
        await callers.accept(outgoing.request("two"))


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


async def test_a_send_past_its_deadline_ends_and_an_old_one_is_deleted(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.accept()
    clock = ManualClock(datetime.now(UTC))
    retention = SendRetention(ground.processor, clock, timedelta(days=-2))
    await retention.round()
    failed = await outgoing.read(row.send_id)
    clock.advance(timedelta(days=31))
    await retention.round()

    assert (State.FAILED, "SEND_EXPIRED") == (failed.state, failed.reason)
    assert ["send.failed"] == [event.event_type for event in await outgoing.events()]
    with pytest.raises(SendNotFound):
        await outgoing.read(row.send_id)


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


async def test_an_unsubmitted_send_past_its_deadline_is_not_submitted(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.accept()
    await _change(ground, row.send_id, "deadline_at = now()")
    async with running(ground.worker_settings(**HASTE)):
        ended = await outgoing.ended(row.send_id)

    assert (State.FAILED, "SEND_EXPIRED", []) == (ended.state, ended.reason, await outgoing.received())


@pytest.mark.parametrize("ending", ["deadline", "refused draft", "retention", "refused look-up"])
async def test_a_mail_sent_again_is_never_told_as_not_sent(ground: Ground, ending: str) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.accept()
    await _change(ground, row.send_id, "state = 6, due_at = NULL, finished_at = now(), prepared_at = now()")
    again = await outgoing.sends().resolve(row.send_id, pb2.SEND_RESOLUTION_SEND_AGAIN, None)
    with pytest.raises(SendNotCancellable):
        await outgoing.sends().cancel(row.send_id, None)
    endpoint = "graph.messages.list" if ending == "refused look-up" else "graph.messages.create"
    if ending.startswith("refused"):
        await ground.control.add_fault("status", endpoint=endpoint, status=403, account=outgoing.tenant.address)
    elif ending == "deadline":
        await _change(ground, row.send_id, "deadline_at = now()")
    if ending == "retention":
        await SendRetention(ground.processor, ManualClock(datetime.now(UTC)), timedelta(days=-2)).round()
    else:
        async with running(ground.worker_settings(**HASTE, send_attempts=2)):
            await outgoing.ended(row.send_id)
    ended = await outgoing.read(row.send_id)

    assert (State.QUEUED, State.UNCERTAIN, "SEND_OUTCOME_UNKNOWN") == (again.state, ended.state, ended.reason)
    assert ("SEND_REFUSED" if ending == "refused draft" else "SEND_EXPIRED") in ended.detail
    assert ["send.uncertain"] == [event.event_type for event in await outgoing.events()]


async def test_an_uncertain_send_is_not_deleted(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.accept()
    await _change(ground, row.send_id, "state = 6, due_at = NULL, finished_at = now() - interval '60 days'")
    await SendRetention(ground.processor, ManualClock(datetime.now(UTC))).round()

    assert State.UNCERTAIN is (await outgoing.read(row.send_id)).state


@pytest.mark.parametrize(("state", "ends_as"), [(State.QUEUED, State.FAILED), (State.SENDING, State.UNCERTAIN)])
async def test_a_send_on_which_our_code_fails_ends_after_its_attempts(
    ground: Ground, state: State, ends_as: State
) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.accept()
    await _change(ground, row.send_id, f"state = {int(state)}, attempts = 3, submitted_at = NULL")
    async with db.transaction(ground.processor) as connection:
        counted = await sends.put_off(connection, row.send_id, datetime.now(UTC))
        assert counted is not None
        await end(connection, counted, datetime.now(UTC), "UNEXPECTED")
    ended = await outgoing.read(row.send_id)

    assert (4, ends_as) == (counted.attempts, ended.state)


async def test_a_wait_keeps_the_reason_of_a_send_that_has_its_outcome(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    row = await outgoing.accept()
    await _change(ground, row.send_id, "state = 5, finished_at = now(), reason = 'SEND_REFUSED', detail = 'why'")
    until = datetime.now(UTC) + timedelta(hours=1)
    async with db.connection(ground.processor) as connection:
        await sends.postpone(connection, outgoing.tenant.tenant_id, until, "OTHER", "other")
        await sends.put_off(connection, row.send_id, until)
    kept = await outgoing.read(row.send_id)

    assert ("SEND_REFUSED", "why", until) == (kept.reason, kept.detail, kept.due_at)


async def _change(ground: Ground, send_id: str, assigned: str) -> None:
    await ground.processor.execute(f"UPDATE processor.sends SET {assigned} WHERE send_id = $1", send_id)  # noqa: S608
