"""A cancellation removes an event once, and notifies its attendees once, wherever its worker dies."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.errors import (
    CalendarEventNotOrganized,
    CalendarFieldUnsupported,
    CalendarNotifyUnsupported,
)
from services.processor.calendar.write_rows import State, WriteRow
from services.processor.worker import running
from tests.store.processor.calendar.meetings import TIMES, Meeting, attendees
from tests.store.processor.calendar.test_writes import FAULTS, ONCE, QUICK, Writer, has_struck, is_in_doubt
from tests.store.processor.ground import PATIENCE, Ground
from tests.store.processor.workers import end_holds, worker_process

pytestmark = pytest.mark.timeout(300)
CANCEL = {"ms365": "graph.events.cancel", "googlews": "calendar.events.delete"}
GUEST = "eve@example.com"


async def organized(writer: Writer, provider: str, **fields: Any) -> str:
    """Add a meeting with a guest, follow the calendar, and return mailmesh's id of the meeting."""
    account, calendar = writer.followed.tenant.address, writer.followed.provider_id
    await writer.ground.control.create_event(
        account, calendar, **{**TIMES[provider], **attendees(provider, GUEST), **fields}
    )
    await writer.followed.follow()
    return (await writer.followed.page()).events[0].calendar_event_id


async def cancel(writer: Writer, event_id: str, **fields: Any) -> WriteRow:
    """Commit a cancellation: by default one of which all attendees are notified."""
    asked = {"idempotency_key": "k", "notify": pb2.CALENDAR_NOTIFY_ALL, **fields}
    request = pb2.CancelCalendarEventRequest(calendar_event_id=event_id, **asked)
    return (await writer.writes.cancel(request, None))[0]


async def notices(writer: Writer) -> list[list[str]]:
    """Return the people of each notice that the writes to the calendar caused."""
    (calendar, *_) = await writer.ground.control.calendars(writer.followed.tenant.address)
    return [one["to"] for one in calendar["told"]]


@pytest.mark.parametrize("provider", CANCEL)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_provider_makes_no_second_cancellation(ground: Ground, fault: str, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    kind, facts = FAULTS[fault]
    async with running(ground.worker_settings(**QUICK)):
        event_id = await organized(writer, provider)
        account = writer.followed.tenant.address
        await ground.control.add_fault(kind, endpoint=CANCEL[provider], account=account, **facts)
        done = await writer.ended(await cancel(writer, event_id))
        await ground.until(lambda: _is_empty(writer), PATIENCE)

    (told,) = [one for one in await writer.followed.told() if one.event_type == "calendar.event.deleted"]
    assert (State.DONE, event_id, [[GUEST]]) == (done.state, done.calendar_event_id, await notices(writer))
    assert event_id == told.event.calendar_event_id


@pytest.mark.parametrize("provider", CANCEL)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_provider_makes_no_failed_cancellation_of_an_event_without_attendees(
    ground: Ground, fault: str, provider: str
) -> None:
    """Such an event is deleted, and an HTTP client repeats a DELETE without an answer: the second one is refused."""
    writer = await Writer.of(ground, provider)
    kind, facts = FAULTS[fault]
    endpoint = {"ms365": "graph.events.delete", "googlews": "calendar.events.delete"}[provider]
    async with running(ground.worker_settings(**QUICK)):
        event_id = await organized(writer, provider, attendees=[])
        account = writer.followed.tenant.address
        await ground.control.add_fault(kind, endpoint=endpoint, account=account, **facts)
        done = await writer.ended(await cancel(writer, event_id))
        await ground.until(lambda: _is_empty(writer), PATIENCE)

    assert (State.DONE, "") == (done.state, done.reason)


async def test_a_cancellation_of_an_event_that_is_gone_is_refused_by_name(ground: Ground) -> None:
    writer = await Writer.of(ground, "ms365")
    async with running(ground.worker_settings(**QUICK | {"calendar_poll_seconds": 86_400})):
        event_id = await organized(writer, "ms365")
        account, calendar = writer.followed.tenant.address, writer.followed.provider_id
        (provider_id,) = await writer.events()
        await ground.control.delete_event(account, calendar, provider_id)
        ended = await writer.ended(await cancel(writer, event_id))

    assert (State.FAILED, "CALENDAR_EVENT_NOT_FOUND") == (ended.state, ended.reason)


@pytest.mark.parametrize("provider", CANCEL)
@pytest.mark.parametrize("phase", ["before", "after"])
async def test_a_cancellation_is_made_once_wherever_its_worker_dies(
    ground: Ground, tmp_path: Path, phase: str, provider: str
) -> None:
    writer = await Writer.of(ground, provider)
    async with running(ground.worker_settings(**QUICK)):
        event_id = await organized(writer, provider)
    account = writer.followed.tenant.address
    await ground.control.add_fault("hang", endpoint=CANCEL[provider], account=account, phase=phase, seconds=90)
    row = await cancel(writer, event_id)
    with worker_process(ground, tmp_path, **QUICK) as worker:
        await ground.until(lambda: has_struck(ground), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**QUICK)):
        done = await writer.ended(row)

    assert (State.DONE, [[GUEST]]) == (done.state, await notices(writer))


@pytest.mark.parametrize("provider", CANCEL)
async def test_a_cancellation_in_doubt_is_uncertain_where_the_calendar_is_out_of_reach(
    ground: Ground, provider: str
) -> None:
    writer = await Writer.of(ground, provider)
    account = writer.followed.tenant.address
    async with running(ground.worker_settings(**QUICK | {"calendar_write_settle_seconds": 600.0})):
        event_id = await organized(writer, provider)
        await ground.control.add_fault("status", endpoint=CANCEL[provider], account=account, status=504, **ONCE)
        row = await cancel(writer, event_id)
        await ground.until(lambda: is_in_doubt(writer, row), PATIENCE)
        await ground.control.remove_calendar(account, writer.followed.provider_id)
        ended = await writer.ended(row)

    assert (State.UNCERTAIN, "CALENDAR_WRITE_UNKNOWN") == (ended.state, ended.reason)
    assert "the calendar itself" in ended.detail


@pytest.mark.parametrize("provider", CANCEL)
async def test_the_deletion_of_a_cancelled_event_says_so(ground: Ground, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    async with running(ground.worker_settings(**QUICK)):
        done = await writer.ended(await cancel(writer, await organized(writer, provider)))
        await ground.until(lambda: _is_empty(writer), PATIENCE)

    (told,) = [one for one in await writer.followed.told() if one.event_type == "calendar.event.deleted"]
    assert (mail_pb2.EVENT_SOURCE_COMMAND, done.calendar_write_id) == (told.source, told.calendar_write_id)


async def test_an_event_without_attendees_is_deleted_without_notice(ground: Ground) -> None:
    writer = await Writer.of(ground, "ms365")
    async with running(ground.worker_settings(**QUICK)):
        event_id = await organized(writer, "ms365", attendees=[])
        done = await writer.ended(await cancel(writer, event_id, notify=pb2.CALENDAR_NOTIFY_NONE))

    assert (State.DONE, [], []) == (done.state, await writer.events(), await notices(writer))


@pytest.mark.parametrize("provider", CANCEL)
async def test_only_the_organizer_cancels_and_only_as_the_provider_permits(ground: Ground, provider: str) -> None:
    meeting = await Meeting.of(ground, provider)
    async with running(ground.worker_settings(**QUICK)):
        event_id = await meeting.followed()
        with pytest.raises(CalendarEventNotOrganized):
            await cancel(meeting.writer, event_id)
        writer = await Writer.of(ground, provider)
        own = await organized(writer, provider)
    unsupported = {"ms365": {"notify": pb2.CALENDAR_NOTIFY_NONE}, "googlews": {"comment": "Postponed"}}[provider]
    with pytest.raises((CalendarNotifyUnsupported, CalendarFieldUnsupported)):
        await cancel(writer, own, **unsupported)


async def _is_empty(writer: Writer) -> bool:
    return not (await writer.followed.page()).events
