"""Refusals of a whole Gmail mailbox: a cursor that is refused with any word, throttling with and without a time."""

from datetime import UTC, datetime, timedelta

import pytest

from services.processor.worker import running
from tests.store.processor.ground import Ground

CREATED = "mail.created"


@pytest.mark.parametrize(("status", "code"), [(400, "invalidArgument"), (422, "somethingNew"), (409, "aborted")])
async def test_a_cursor_that_is_refused_twice_with_an_unknown_word_begins_anew(
    ground: Ground, status: int, code: str
) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    async with running(ground.worker_settings()):
        await ground.settled()
        fault = await ground.control.add_fault(
            "status", endpoint="gmail.history.list", status=status, code=code, account=tenant.address, count=2
        )
        mail = await ground.control.deliver(tenant.address, subject="After the refusal")
        await ground.push_present(tenant)
        await ground.settled()

    assert fault["id"] not in [rule["id"] for rule in await ground.control.request("GET", "/faults")]
    assert [mail["id"]] == [event.message_id for event in await ground.events(tenant)]
    assert 0 == await ground.processor.fetchval("SELECT cursor_refusals FROM processor.mailboxes")
    assert 1 == await ground.control.call_count(endpoint="gmail.profile", account=tenant.address)


async def test_a_cursor_that_is_refused_once_is_kept(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    await ground.control.add_fault(
        "status", endpoint="gmail.history.list", status=400, code="invalidArgument", account=tenant.address, count=1
    )
    mail = await ground.control.deliver(tenant.address, subject="After the refusal")
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)
        await ground.settled()

    assert [mail["id"]] == [event.message_id for event in await ground.events(tenant)]
    assert 0 == await ground.control.call_count(endpoint="gmail.profile", account=tenant.address)


async def _throttled_until(ground: Ground) -> datetime | None:
    until: datetime | None = await ground.processor.fetchval("SELECT throttled_until FROM processor.mailboxes")
    return until


async def test_the_time_in_googles_sentence_is_waited_for(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10)
    await ground.control.add_fault(
        "status",
        endpoint="gmail.history.list",
        status=429,
        account=tenant.address,
        text=f"User-rate limit exceeded.  Retry after {end:%Y-%m-%dT%H:%M:%S.000Z}",
    )
    await ground.control.deliver(tenant.address, subject="Waits")
    async with running(ground.worker_settings()):
        await ground.push_present(tenant)
        until = await ground.until(lambda: _throttled_until(ground), 30, "throttled")

    assert timedelta(seconds=2) > abs(until - end)
    assert 1 == await ground.control.call_count(endpoint="gmail.history.list", account=tenant.address)


async def test_pauses_without_a_time_grow_and_begin_again_after_a_success(ground: Ground) -> None:
    tenant = await ground.tenant("googlews")
    await ground.begin(tenant)
    await ground.control.add_fault("status", endpoint="gmail.history.list", status=429, account=tenant.address, count=3)
    await ground.control.deliver(tenant.address, subject="Waits")
    # A pause is known within the time between the refused call and the query for its end, on a busy machine as well.
    longest: list[float] = []
    shortest: list[float] = []
    async with running(ground.worker_settings(retry_max_seconds=900)):
        await ground.push_present(tenant)
        for attempt in range(1, 4):

            async def is_throttled(wanted: int = attempt) -> bool:
                return bool(wanted == await ground.processor.fetchval("SELECT throttles FROM processor.mailboxes"))

            await ground.until(is_throttled, 30, f"throttled {attempt} times")
            until = await _throttled_until(ground)
            assert until is not None
            call = (await ground.control.calls(endpoint="gmail.history.list", account=tenant.address))[-1]
            longest.append(until.timestamp() - call["at"])
            shortest.append((until - datetime.now(UTC)).total_seconds())
            # The pause ends at once, so that the test does not wait for the next one.
            await ground.processor.execute("UPDATE processor.mailboxes SET throttled_until = now()")
            await ground.ingest.execute("UPDATE ingest.items SET due_at = now()")
            await ground.ingest.execute("UPDATE ingest.mailboxes SET next_due_at = now()")
        await ground.settled()

    assert [True] * 3 == [longest[0] > 3.7, longest[1] > 7.4, longest[2] > 14.9]
    assert [True] * 3 == [shortest[0] < 6.3, shortest[1] < 12.6, shortest[2] < 25.1]
    assert [CREATED] == await ground.types(tenant)
    assert 0 == await ground.processor.fetchval("SELECT throttles FROM processor.mailboxes")
