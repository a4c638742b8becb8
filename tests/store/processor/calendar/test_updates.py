"""Changes of an event are made once, and only in the version that the caller knows, wherever their worker dies."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.processor.calendar.errors import (
    CalendarBodyHoldsMeeting,
    CalendarEventChanged,
    CalendarEventNotOrganized,
    CalendarFieldUnsupported,
    CalendarRuleUnsupported,
)
from services.processor.calendar.write_rows import State, WriteRow
from services.processor.worker import running
from tests.store.processor.calendar.following import MONDAYS
from tests.store.processor.calendar.meetings import Meeting, attendees
from tests.store.processor.calendar.test_cancellations import GUEST, notices, organized
from tests.store.processor.calendar.test_writes import FAULTS, ONCE, QUICK, Writer, has_struck, is_in_doubt
from tests.store.processor.ground import PATIENCE, Ground
from tests.store.processor.workers import end_holds, worker_process

pytestmark = pytest.mark.timeout(300)
UPDATE = {"ms365": "graph.events.update", "googlews": "calendar.events.patch"}
MOVED: dict[str, Any] = {
    "start": pb2.NewEventTime(local="2026-12-01T09:00:00", time_zone="Europe/Berlin"),
    "end": pb2.NewEventTime(local="2026-12-01T10:00:00", time_zone="Europe/Berlin"),
}


async def update(writer: Writer, event_id: str, version: str = "", **changes: Any) -> WriteRow:
    """Commit changes of which all attendees are notified: by default another title."""
    request = pb2.UpdateCalendarEventRequest(
        idempotency_key="k",
        calendar_event_id=event_id,
        event=pb2.CalendarEventChanges(**(changes or {"subject": "Other"})),
        notify=pb2.CALENDAR_NOTIFY_ALL,
        version=version,
    )
    return (await writer.writes.update(request, None))[0]


@pytest.mark.parametrize("provider", UPDATE)
@pytest.mark.parametrize("fault", [*FAULTS, "changed meanwhile"])
async def test_a_fault_of_the_provider_makes_no_second_change(ground: Ground, fault: str, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    kind, facts = FAULTS.get(fault, ("status", {"status": 412, **ONCE}))
    async with running(ground.worker_settings(**QUICK)):
        event_id = await organized(writer, provider)
        account = writer.followed.tenant.address
        await ground.control.add_fault(kind, endpoint=UPDATE[provider], account=account, **facts)
        done = await writer.ended(await update(writer, event_id, subject="Other", **MOVED))
        await ground.until(lambda: _is_announced(writer), PATIENCE)

    (event,) = (await writer.followed.page()).events
    assert (State.DONE, [[GUEST]]) == (done.state, await notices(writer))
    assert ("Other", "2026-12-01T08:00:00Z") == (event.subject, event.start.instant.ToJsonString())


@pytest.mark.parametrize("provider", UPDATE)
@pytest.mark.parametrize("phase", ["before", "after"])
async def test_a_change_is_made_once_wherever_its_worker_dies(
    ground: Ground, tmp_path: Path, phase: str, provider: str
) -> None:
    writer = await Writer.of(ground, provider)
    async with running(ground.worker_settings(**QUICK)):
        event_id = await organized(writer, provider)
    account = writer.followed.tenant.address
    await ground.control.add_fault("hang", endpoint=UPDATE[provider], account=account, phase=phase, seconds=90)
    row = await update(writer, event_id)
    with worker_process(ground, tmp_path, **QUICK) as worker:
        await ground.until(lambda: has_struck(ground), PATIENCE)
        worker.kill()
        await asyncio.to_thread(worker.wait, 30)
    await ground.control.clear_faults()
    await end_holds(ground)
    async with running(ground.worker_settings(**QUICK)):
        done = await writer.ended(row)

    assert (State.DONE, [[GUEST]]) == (done.state, await notices(writer))


@pytest.mark.parametrize("provider", UPDATE)
async def test_a_change_of_another_version_names_the_newest(ground: Ground, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    async with running(ground.worker_settings(**QUICK)):
        event_id = await organized(writer, provider)
    (event,) = (await writer.followed.page()).events
    with pytest.raises(CalendarEventChanged) as refused:
        await update(writer, event_id, version="old")
    title = {"ms365": "subject", "googlews": "summary"}[provider]
    account = writer.followed.tenant.address
    await ground.control.update_event(
        account, writer.followed.provider_id, event.provider_event_id, **{title: "Theirs"}
    )
    row = await update(writer, event_id, version=event.version)
    async with running(ground.worker_settings(**QUICK)):
        ended = await writer.ended(row)

    (calendar, *_) = await ground.control.calendars(account)
    assert event.version == refused.value.metadata["version"]
    assert (State.FAILED, "CALENDAR_EVENT_CHANGED") == (ended.state, ended.reason)
    assert ["Theirs"] == [one["subject"] for one in calendar["events"]]


@pytest.mark.parametrize("provider", UPDATE)
async def test_attendees_come_and_go_once_and_the_others_keep_their_answers(ground: Ground, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    account, endpoint = writer.followed.tenant.address, UPDATE[provider]
    others = attendees(provider, GUEST, "kim@example.com")["attendees"]
    others[1] |= {"status": {"response": "accepted"}} if provider == "ms365" else {"responseStatus": "accepted"}
    changes = {"add_attendees": [pb2.NewAttendee(address=one) for one in ("bob@example.com", "KIM@example.com")]}
    async with running(ground.worker_settings(**QUICK)):
        event_id = await organized(writer, provider, attendees=others)
        await ground.control.add_fault("close", endpoint=endpoint, account=account, phase="after", **ONCE)
        done = await writer.ended(await update(writer, event_id, **changes, remove_attendees=[GUEST, "no@example.com"]))

    (calendar, *_) = await ground.control.calendars(account)
    ((told),) = await notices(writer)
    answers = calendar["events"][0]["attendees"]
    assert (State.DONE, {"bob@example.com", "kim@example.com"}) == (done.state, set(answers))
    assert "accepted" == answers["kim@example.com"]
    assert {"bob@example.com", GUEST} <= set(told)


@pytest.mark.parametrize("provider", UPDATE)
async def test_a_series_follows_another_rule_from_its_own_start(ground: Ground, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    rule: Any = MONDAYS if provider == "ms365" else ["RRULE:FREQ=WEEKLY;COUNT=5;BYDAY=MO"]
    async with running(ground.worker_settings(**QUICK)):
        event_id = await organized(writer, provider, recurrence=rule)
        with pytest.raises(FieldInvalid):
            await update(writer, event_id, recurrence_rule="FREQ=WEEKLY;COUNT=3;BYDAY=TU")
        done = await writer.ended(await update(writer, event_id, recurrence_rule="FREQ=WEEKLY;COUNT=3;BYDAY=MO,WE"))
        await ground.until(lambda: _is_announced(writer), PATIENCE)
        found = (await writer.followed.page(is_expanded=True)).events

    assert State.DONE is done.state
    assert ["2026-11-30", "2026-12-02", "2026-12-07"] == [one.start.local[:10] for one in found]


async def test_what_no_provider_holds_of_attendees_and_rules_is_refused(ground: Ground) -> None:
    writer = await Writer.of(ground, "ms365")
    async with running(ground.worker_settings(**QUICK)):
        event_id = await organized(writer, "ms365")
        series = await Writer.of(ground, "ms365")
        series_id = await organized(series, "ms365", recurrence=MONDAYS)
    with pytest.raises(CalendarFieldUnsupported):
        await update(writer, event_id, recurrence_rule="FREQ=DAILY;COUNT=2")
    with pytest.raises(CalendarRuleUnsupported):
        await update(series, series_id, recurrence_rule="FREQ=MONTHLY;BYDAY=-1MO,5MO;COUNT=3")
    guest = [pb2.NewAttendee(address=GUEST.upper())]
    for wrong in (
        {"recurrence_rule": ""},
        {"add_attendees": guest, "remove_attendees": [GUEST]},
        {"add_attendees": guest * 2},
        {"remove_attendees": ["nobody"]},
    ):
        with pytest.raises(FieldInvalid):
            await update(writer, event_id, **wrong)


async def test_a_body_that_holds_a_meeting_and_the_times_of_a_series_stay(ground: Ground) -> None:
    writer = await Writer.of(ground, "ms365")
    online = {"isOnlineMeeting": True, "onlineMeetingProvider": "teamsForBusiness"}
    async with running(ground.worker_settings(**QUICK)):
        event_id = await organized(
            writer, "ms365", recurrence=MONDAYS, **online, onlineMeeting={"joinUrl": "https://join.example.test/1"}
        )
        with pytest.raises(CalendarBodyHoldsMeeting):
            await update(writer, event_id, body_text="Other")
        with pytest.raises(CalendarFieldUnsupported):
            await update(writer, event_id, **MOVED)
        meeting = await Meeting.of(ground, "ms365")
        theirs = await meeting.followed()
    with pytest.raises(CalendarEventNotOrganized):
        await update(meeting.writer, theirs)


@pytest.mark.parametrize("provider", UPDATE)
async def test_a_change_in_doubt_that_another_overtook_is_uncertain_at_once(ground: Ground, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    account, endpoint = writer.followed.tenant.address, UPDATE[provider]
    async with running(ground.worker_settings(**{**QUICK, "calendar_write_settle_seconds": 60.0})):
        event_id = await organized(writer, provider)
        (event,) = (await writer.followed.page()).events
        await ground.control.add_fault("status", endpoint=endpoint, account=account, status=504, **ONCE)
        row = await update(writer, event_id)
        await ground.until(lambda: is_in_doubt(writer, row), PATIENCE)
        title = {"ms365": "subject", "googlews": "summary"}[provider]
        await ground.control.update_event(
            account, writer.followed.provider_id, event.provider_event_id, **{title: "Theirs"}
        )
        ended = await writer.ended(row)

    (calendar, *_) = await ground.control.calendars(account)
    assert (State.UNCERTAIN, "CALENDAR_WRITE_UNKNOWN", 1) == (ended.state, ended.reason, ended.submissions)
    assert (["Theirs"], []) == ([one["subject"] for one in calendar["events"]], calendar["told"])


@pytest.mark.parametrize("provider", UPDATE)
async def test_the_event_of_a_change_says_so(ground: Ground, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    async with running(ground.worker_settings(**QUICK)):
        done = await writer.ended(await update(writer, await organized(writer, provider)))
        await ground.until(lambda: _is_announced(writer), PATIENCE)

    (told,) = [one for one in await writer.followed.told() if one.event_type == "calendar.event.updated"]
    assert (mail_pb2.EVENT_SOURCE_COMMAND, done.calendar_write_id) == (told.source, told.calendar_write_id)


async def _is_announced(writer: Writer) -> bool:
    return "event.updated" in await writer.followed.types()
