"""An answer to an invitation is given once or uncertain, after any answer and wherever its worker dies."""

import asyncio
from pathlib import Path

import pytest

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.errors import (
    CalendarEventNotInvited,
    CalendarFieldUnsupported,
    CalendarNotifyUnsupported,
)
from services.processor.calendar.write_rows import State
from services.processor.worker import running
from tests.store.processor.calendar.meetings import Meeting
from tests.store.processor.calendar.test_writes import FAULTS, ONCE, QUICK, has_struck
from tests.store.processor.ground import PATIENCE, Ground
from tests.store.processor.workers import end_holds, worker_process

pytestmark = pytest.mark.timeout(300)
RESPOND = {"ms365": "graph.events.accept", "googlews": "calendar.events.patch"}


@pytest.mark.parametrize("provider", RESPOND)
@pytest.mark.parametrize("fault", [*FAULTS, "changed meanwhile"])
async def test_a_fault_of_the_provider_makes_no_second_answer(ground: Ground, fault: str, provider: str) -> None:
    meeting = await Meeting.of(ground, provider)
    kind, facts = FAULTS.get(fault, ("status", {"status": 412, **ONCE}))
    async with running(ground.worker_settings(**QUICK)):
        event_id = await meeting.followed()
        await ground.control.add_fault(kind, endpoint=RESPOND[provider], account=meeting.address, **facts)
        done = await meeting.writer.ended(await meeting.respond(event_id, comment="Glad to"))

    assert (State.DONE, event_id) == (done.state, done.calendar_event_id)
    assert ("accepted", 1) == (await meeting.heard(), len(await meeting.told()))


@pytest.mark.parametrize("provider", RESPOND)
@pytest.mark.parametrize("phase", ["before", "after"])
async def test_an_answer_is_given_once_wherever_its_worker_dies(
    ground: Ground, tmp_path: Path, phase: str, provider: str
) -> None:
    meeting = await Meeting.of(ground, provider)
    async with running(ground.worker_settings(**QUICK)):
        event_id = await meeting.followed()
    await ground.control.add_fault("hang", endpoint=RESPOND[provider], account=meeting.address, phase=phase, seconds=90)
    row = await meeting.respond(event_id)
    with worker_process(ground, tmp_path, **QUICK) as worker:
        await ground.until(lambda: has_struck(ground), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**QUICK)):
        done = await meeting.writer.ended(row)

    assert (State.DONE, "accepted", 1) == (done.state, await meeting.heard(), len(await meeting.told()))


@pytest.mark.parametrize("provider", RESPOND)
async def test_an_answer_that_a_later_one_hides_is_uncertain_and_not_repeated(ground: Ground, provider: str) -> None:
    meeting = await Meeting.of(ground, provider)
    writer = meeting.writer
    async with running(ground.worker_settings(**QUICK | {"calendar_write_settle_seconds": 600.0})):
        event_id = await meeting.followed()
        await ground.control.add_fault(
            "status", endpoint=RESPOND[provider], account=meeting.address, status=504, **ONCE
        )
        row = await meeting.respond(event_id)

        async def is_submitted() -> bool:
            return await ground.control.call_count(endpoint=RESPOND[provider], account=meeting.address) > 0

        await ground.until(is_submitted, PATIENCE)
        other = {"email": meeting.address, "self": True, "responseStatus": "declined"}
        later = {"responseStatus": {"response": "declined"}} if provider == "ms365" else {"attendees": [other]}
        await ground.control.update_event(meeting.address, writer.followed.provider_id, row.provider_event_id, **later)
        ended = await writer.ended(row)

    calls = await ground.control.call_count(endpoint=RESPOND[provider], account=meeting.address)
    assert (State.UNCERTAIN, "CALENDAR_WRITE_UNKNOWN", 1) == (ended.state, ended.reason, calls)


@pytest.mark.parametrize("provider", RESPOND)
async def test_an_answer_in_doubt_that_the_event_had_before_is_uncertain_until_a_person_has_it_made(
    ground: Ground, provider: str
) -> None:
    meeting = await Meeting.of(ground, provider)
    writer = meeting.writer
    async with running(ground.worker_settings(**QUICK)):
        event_id = await meeting.followed()
        await writer.ended(await meeting.respond(event_id, key="first"))
        await ground.control.add_fault(
            "status", endpoint=RESPOND[provider], account=meeting.address, status=504, **ONCE
        )
        ended = await writer.ended(await meeting.respond(event_id, key="second"))
        before = len(await meeting.told())
        await writer.writes.resolve(ended.calendar_write_id, pb2.CALENDAR_WRITE_RESOLUTION_WRITE_AGAIN, None)
        again = await writer.ended(ended)

    assert (State.UNCERTAIN, "CALENDAR_WRITE_UNKNOWN", 1) == (ended.state, ended.reason, before)
    assert (State.DONE, 2) == (again.state, len(await meeting.told()))


@pytest.mark.parametrize("provider", RESPOND)
async def test_the_event_of_an_answer_says_so(ground: Ground, provider: str) -> None:
    meeting = await Meeting.of(ground, provider)
    async with running(ground.worker_settings(**QUICK)):
        done = await meeting.writer.ended(await meeting.respond(await meeting.followed()))

        async def updated() -> bool:
            return "event.updated" in await meeting.writer.followed.types()

        await ground.until(updated, PATIENCE)

    (told,) = [one for one in await meeting.writer.followed.told() if one.event_type == "calendar.event.updated"]
    assert (mail_pb2.EVENT_SOURCE_COMMAND, done.calendar_write_id) == (told.source, told.calendar_write_id)
    assert event_pb2.RESPONSE_STATUS_ACCEPTED == told.event.my_response


async def test_an_answer_without_notice_stays_in_the_own_calendar_at_microsoft(ground: Ground) -> None:
    meeting = await Meeting.of(ground, "ms365")
    async with running(ground.worker_settings(**QUICK)):
        event_id = await meeting.followed()
        declined = pb2.CALENDAR_ANSWER_DECLINED
        await meeting.writer.ended(await meeting.respond(event_id, answer=declined, notify=pb2.CALENDAR_NOTIFY_NONE))

    (calendar, *_) = await meeting.control.calendars(meeting.address)
    assert ("none", ["declined"], []) == (
        await meeting.heard(),
        [one["response"] for one in calendar["events"]],
        calendar["told"],
    )


async def test_what_cannot_be_answered_or_told_is_refused_by_name(ground: Ground) -> None:
    meeting = await Meeting.of(ground, "ms365")
    async with running(ground.worker_settings(**QUICK)):
        event_id = await meeting.followed()
        await meeting.writer.followed.create(subject="My own")
        await ground.until(lambda: _has_events(meeting, 2), PATIENCE)
    (own,) = [one for one in (await meeting.writer.followed.page()).events if one.subject == "My own"]
    with pytest.raises(CalendarEventNotInvited):
        await meeting.respond(own.calendar_event_id)
    with pytest.raises(CalendarNotifyUnsupported):
        await meeting.respond(event_id, notify=pb2.CALENDAR_NOTIFY_EXTERNAL)
    with pytest.raises(CalendarFieldUnsupported):
        await meeting.respond(event_id, notify=pb2.CALENDAR_NOTIFY_NONE, comment="Sorry")


async def test_the_same_key_is_the_same_answer_after_the_event_is_gone(ground: Ground) -> None:
    meeting = await Meeting.of(ground, "ms365")
    followed = meeting.writer.followed
    async with running(ground.worker_settings(**QUICK)):
        event_id = await meeting.followed()
        done = await meeting.writer.ended(await meeting.respond(event_id))
        await ground.control.delete_event(meeting.address, followed.provider_id, done.provider_event_id)
        await ground.until(lambda: _has_events(meeting, 0), PATIENCE)

    assert done.calendar_write_id == (await meeting.respond(event_id)).calendar_write_id


async def _has_events(meeting: Meeting, number: int) -> bool:
    return len((await meeting.writer.followed.page()).events) == number
