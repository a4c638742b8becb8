"""One occurrence of a series, named by its original start: read, changed, answered and cancelled, once and alone."""

from typing import Any

import pytest

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.calendar.v1 import event_pb2 as stream_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.processor.calendar.errors import CalendarEventNotFound, CalendarOccurrenceNotFound
from services.processor.calendar.write_rows import State, WriteRow
from services.processor.errors import IdempotencyKeyReused
from services.processor.worker import running
from tests.store.processor.calendar.meetings import Meeting
from tests.store.processor.calendar.test_cancellations import CANCEL, organized
from tests.store.processor.calendar.test_writes import FAULTS, QUICK, Writer
from tests.store.processor.ground import Ground

pytestmark = pytest.mark.timeout(300)
PROVIDERS = ("ms365", "googlews")
SECOND, THIRD = "2026-12-07T09:00:00", "2026-12-14T09:00:00"
_ZONE = {"timeZone": "America/New_York"}
SERIES: dict[str, dict[str, Any]] = {
    "ms365": {
        "subject": "Weekly",
        "start": "2026-11-30T14:00:00",
        "end": "2026-11-30T15:00:00",
        "originalStartTimeZone": "Eastern Standard Time",
        "originalEndTimeZone": "Eastern Standard Time",
        "recurrence": {
            "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "sunday"},
            "range": {"type": "numbered", "startDate": "2026-11-30", "numberOfOccurrences": 4},
        },
    },
    "googlews": {
        "summary": "Weekly",
        "start": {"dateTime": "2026-11-30T09:00:00-05:00", **_ZONE},
        "end": {"dateTime": "2026-11-30T10:00:00-05:00", **_ZONE},
        "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
    },
}
DAYS: dict[str, dict[str, Any]] = {
    "ms365": {
        **SERIES["ms365"],
        "start": "2026-11-30T00:00:00",
        "end": "2026-12-01T00:00:00",
        "originalStartTimeZone": "UTC",
        "originalEndTimeZone": "UTC",
        "isAllDay": True,
    },
    "googlews": {**SERIES["googlews"], "start": {"date": "2026-11-30"}, "end": {"date": "2026-12-01"}},
}


async def cancel(writer: Writer, series: str, start: str, key: str = "k") -> WriteRow:
    request = pb2.CancelCalendarEventRequest(
        calendar_event_id=series, original_start=start, idempotency_key=key, notify=pb2.CALENDAR_NOTIFY_ALL
    )
    return (await writer.writes.cancel(request, None))[0]


async def rename(writer: Writer, series: str, start: str, subject: str, key: str, **fields: Any) -> WriteRow:
    request = pb2.UpdateCalendarEventRequest(
        calendar_event_id=series, original_start=start, idempotency_key=key, notify=pb2.CALENDAR_NOTIFY_ALL, **fields
    )
    request.event.subject = subject
    return (await writer.writes.update(request, None))[0]


async def updates(writer: Writer, count: int) -> list[stream_pb2.NormalizedCalendarEvent]:
    """Wait until so many changes of events are announced; each is an update."""

    async def found() -> list[stream_pb2.NormalizedCalendarEvent]:
        return [one for one in await writer.followed.told() if one.event_type.startswith("calendar.event.")]

    async def are_there() -> bool:
        return len(await found()) >= count

    await writer.ground.until(are_there, what=f"there are {count} changes")
    told = await found()
    assert ["calendar.event.updated"] * count == [one.event_type for one in told]
    return told


async def listed(writer: Writer) -> list[tuple[str, str]]:
    """The days and titles of the instances."""
    found = (await writer.followed.page(is_expanded=True)).events
    return [((one.start.date or one.start.local)[:10], one.subject) for one in found]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_occurrence_is_changed_and_then_cancelled_alone(ground: Ground, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    async with running(ground.worker_settings(**QUICK)):
        series = await organized(writer, provider, **SERIES[provider])
        plain = await writer.followed.reader.occurrence(series, SECOND, None)
        changed = await writer.ended(await rename(writer, series, SECOND, "Second", "k-1"))
        await updates(writer, 1)
        found = await writer.followed.reader.occurrence(series, SECOND, None)
        renamed = await writer.ended(await rename(writer, series, SECOND, "Second still", "k-2", version=found.version))
        await updates(writer, 2)
        before = await listed(writer)
        done = await writer.ended(await cancel(writer, series, SECOND, "k-3"))
        await updates(writer, 3)
        other = await writer.ended(await cancel(writer, series, THIRD, "k-4"))
        told = await updates(writer, 4)
        again = await cancel(writer, series, THIRD, "k-4")
        after = await listed(writer)
        (calendar, *_) = await ground.control.calendars(writer.followed.tenant.address)

    assert (event_pb2.EVENT_KIND_OCCURRENCE, series, SECOND) == (
        plain.kind, plain.series_master_id, plain.start.local
    )  # fmt: skip
    assert (State.DONE, State.DONE, State.DONE, State.DONE) == (
        changed.state, renamed.state, done.state, other.state
    ), (changed, renamed, done, other)  # fmt: skip
    assert (event_pb2.EVENT_KIND_EXCEPTION, "Second", SECOND) == (found.kind, found.subject, found.original_start.local)
    assert changed.calendar_event_id == found.calendar_event_id == renamed.calendar_event_id
    days = ["2026-11-30", "2026-12-07", "2026-12-14", "2026-12-21"]
    assert list(zip(days, ["Weekly", "Second still", "Weekly", "Weekly"], strict=True)) == before
    assert [("2026-11-30", "Weekly"), ("2026-12-21", "Weekly")] == after
    assert other.calendar_write_id == again.calendar_write_id == told[3].calendar_write_id
    assert [changed.calendar_write_id, renamed.calendar_write_id] == [one.calendar_write_id for one in told[:2]]
    # Google ignores the meetings of a write without the version.
    versions = {"ms365": {None}, "googlews": {"1"}}
    assert versions[provider] == {one.get("conferenceDataVersion") for one in calendar["told"]}


@pytest.mark.parametrize(
    ("provider", "zone"),
    [
        ("googlews", ""),
        ("ms365", "UTC"),
        ("ms365", "Hawaiian Standard Time"),
        ("ms365", "Line Islands Standard Time"),
    ],
)
async def test_an_occurrence_of_whole_days_is_named_by_its_date(ground: Ground, provider: str, zone: str) -> None:
    writer = await Writer.of(ground, provider)
    zones = {"originalStartTimeZone": zone, "originalEndTimeZone": zone} if zone else {}
    async with running(ground.worker_settings(**QUICK)):
        series = await organized(writer, provider, **{**DAYS[provider], **zones})
        done = await writer.ended(await rename(writer, series, "2026-12-07", "Second", "k-1"))
        await updates(writer, 1)
        shown = await listed(writer)

    assert State.DONE is done.state, done
    assert ("2026-12-07", "Second") == shown[1]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_occurrence_is_answered_alone(ground: Ground, provider: str) -> None:
    meeting = await Meeting.of(ground, provider, SERIES[provider])
    async with running(ground.worker_settings(**QUICK)):
        series = await meeting.followed()
        declined = {"answer": pb2.CALENDAR_ANSWER_DECLINED, "original_start": SECOND}
        done = await meeting.writer.ended(await meeting.respond(series, **declined))
        await updates(meeting.writer, 1)
        answers = [one.my_response for one in (await meeting.writer.followed.page(is_expanded=True)).events]
    (calendar, *_) = await meeting.control.calendars(meeting.organizer)
    heard = [str(event["attendees"][meeting.address]) for event in calendar["events"]]

    assert State.DONE is done.state, done
    assert 1 == answers.count(event_pb2.RESPONSE_STATUS_DECLINED), answers
    assert ("declined", 2) == (heard[1], len(heard))


@pytest.mark.parametrize("provider", CANCEL)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_provider_changes_an_occurrence_once(ground: Ground, fault: str, provider: str) -> None:
    writer = await Writer.of(ground, provider)
    kind, facts = FAULTS[fault]
    endpoint = {"ms365": "graph.events.update", "googlews": "calendar.events.patch"}[provider]
    async with running(ground.worker_settings(**QUICK)):
        series = await organized(writer, provider, **SERIES[provider])
        account = writer.followed.tenant.address
        await ground.control.add_fault(kind, endpoint=endpoint, account=account, **facts)
        done = await writer.ended(await rename(writer, series, SECOND, "Second", "k-1"))
        await updates(writer, 1)
        shown = await listed(writer)
        (calendar, *_) = await ground.control.calendars(account)

    assert (State.DONE, 1) == (done.state, len(calendar["told"])), done
    assert ["Weekly", "Second", "Weekly", "Weekly"] == [subject for _, subject in shown]


async def test_an_occurrence_that_a_series_does_not_have_is_refused_by_name(ground: Ground) -> None:
    writer = await Writer.of(ground, "ms365")
    account, calendar = writer.followed.tenant.address, writer.followed.provider_id
    async with running(ground.worker_settings(**QUICK)):
        series = await organized(writer, "ms365", **SERIES["ms365"])
        (master,) = (await ground.control.calendars(account))[0]["events"]
        await ground.control.cancel_instance(account, calendar, master["id"], "2026-12-07")
        await updates(writer, 1)
    for start in (SECOND, "2026-12-08T09:00:00", "2026-12-14T10:00:00", "2026-12-28T09:00:00", "2026-12-14"):
        with pytest.raises(CalendarOccurrenceNotFound):
            await cancel(writer, series, start)
    for start in ("soon", "2026-02-30", "2026-12-14T09:00:00Z", "9" * 300):
        with pytest.raises(FieldInvalid):
            await cancel(writer, series, start)
    with pytest.raises(FieldInvalid):
        await rename(writer, series, THIRD, "x", "k", version="1")
    with pytest.raises(CalendarEventNotFound):
        await writer.followed.reader.occurrence(series, THIRD, [])
    await cancel(writer, series, THIRD)
    with pytest.raises(IdempotencyKeyReused):
        await cancel(writer, series, "2026-12-21T09:00:00")


async def test_an_occurrence_that_the_provider_lost_meanwhile_fails_by_name(ground: Ground) -> None:
    writer = await Writer.of(ground, "ms365")
    account, calendar = writer.followed.tenant.address, writer.followed.provider_id
    async with running(ground.worker_settings(**QUICK)):
        series = await organized(writer, "ms365", **SERIES["ms365"])
    (master,) = (await ground.control.calendars(account))[0]["events"]
    await ground.control.cancel_instance(account, calendar, master["id"], "2026-12-07")
    row = await cancel(writer, series, SECOND)
    async with running(ground.worker_settings(**QUICK)):
        done = await writer.ended(row)

    assert (State.FAILED, "CALENDAR_OCCURRENCE_NOT_FOUND") == (done.state, done.reason)
