"""A send waits for its time, its ability, the provider's pace and the other sends of its account."""

from datetime import UTC, datetime, timedelta

import pytest

from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from services.processor.outbox.errors import SendQueueFull
from services.processor.outbox.rows import SendRow, State
from services.processor.worker import running
from tests.store.processor.ground import Ground
from tests.store.processor.outbox.sending import HASTE, Outgoing

pytestmark = pytest.mark.timeout(300)


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


DAY_FAULT = {"endpoint": "graph.messages.send", "status": 400, "code": "ErrorSubmissionQuotaExceeded"}
RELEASED = "UPDATE processor.mailboxes SET sends_held_until = NULL WHERE tenant_id = $1"


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_an_account_at_its_limit_of_the_day_waits_with_the_limit_named(ground: Ground, provider: str) -> None:
    outgoing = await Outgoing.of(ground, provider, **({"labels": ()} if provider == "googlews" else {}))
    account = outgoing.tenant.address
    if provider == "googlews":
        await ground.control.set(gmail_sends_per_day=1)
    else:
        await ground.control.add_fault("status", account=account, skip=1, **DAY_FAULT)
    async with running(ground.worker_settings(**HASTE)):
        first = await outgoing.ended((await outgoing.accept("one")).send_id)
        row = await outgoing.accept("two")

        async def waits() -> SendRow | None:
            found = await outgoing.read(row.send_id)
            return found if found.reason else None

        waiting: SendRow = await ground.until(waits, what="the second mail waits")
    assert (State.SENT, State.QUEUED, "PROVIDER_THROTTLED") == (first.state, waiting.state, waiting.reason)
    assert "within 24 hours" in waiting.detail
    least = datetime.now(UTC) + timedelta(minutes=10)
    assert waiting.due_at is not None
    assert waiting.due_at > least
    assert 1 == len(await outgoing.received())

    await ground.control.set(gmail_sends_per_day=0)
    await ground.control.clear_faults()
    await ground.processor.execute("UPDATE processor.sends SET due_at = now() WHERE send_id = $1", row.send_id)
    await ground.processor.execute(RELEASED, outgoing.tenant.tenant_id)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)
    assert (State.SENT, 2) == (sent.state, len(await outgoing.received()))


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
