"""A send ends: at its deadline, after its attempts, and after a resolution; it is deleted when it is old."""

from datetime import UTC, datetime, timedelta

import pytest

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.clock import ManualClock
from services.processor.outbox.errors import SendNotCancellable, SendNotFound
from services.processor.outbox.outcome import end
from services.processor.outbox.retention import SendRetention
from services.processor.outbox.rows import State
from services.processor.outbox.store import due_sends
from services.processor.worker import running
from tests.store.processor.ground import Ground
from tests.store.processor.outbox.sending import HASTE, Outgoing

pytestmark = pytest.mark.timeout(300)


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
        counted = await due_sends.put_off(connection, row.send_id, datetime.now(UTC))
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
        await due_sends.postpone(connection, outgoing.tenant.tenant_id, until, "OTHER", "other")
        await due_sends.put_off(connection, row.send_id, until)
    kept = await outgoing.read(row.send_id)

    assert ("SEND_REFUSED", "why", until) == (kept.reason, kept.detail, kept.due_at)


async def _change(ground: Ground, send_id: str, assigned: str) -> None:
    await ground.processor.execute(f"UPDATE processor.sends SET {assigned} WHERE send_id = $1", send_id)  # noqa: S608
