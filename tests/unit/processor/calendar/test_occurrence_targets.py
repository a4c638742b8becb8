"""The event that a write to an occurrence changes is the one with the asked original start, and no other."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as pb2
from services.processor.calendar.write_rows import Kind, State, WriteRow
from services.processor.calendar.writing.google_changes import GoogleChanges
from services.processor.calendar.writing.target import ImpossibleError

_NOW = datetime(2026, 11, 28, tzinfo=UTC)
BERLIN = "Europe/Berlin"
FIRST = {"dateTime": "2026-11-30T09:00:00-05:00", "timeZone": "America/New_York"}
SECOND = {"dateTime": "2026-12-07T09:00:00-05:00", "timeZone": "America/New_York"}


def cancellation(original_start: str) -> WriteRow:
    """Return a cancellation of an occurrence that has no event of its own."""
    content = pb2.CancelCalendarEventRequest(calendar_event_id="event", idempotency_key="k")
    return WriteRow(
        calendar_write_id="write", tenant_id="tenant", calendar_id="calendar", provider_calendar_id="primary",
        idempotency_key="k", digest=b"", provider="googlews", kind=Kind.CANCEL, content=content, state=State.PENDING,
        reason="", detail="", correlation_id="", created_at=_NOW, due_at=_NOW, deadline_at=_NOW, finished_at=None,
        attempts=0, submitted_at=None, submissions=0, calendar_event_id=None, provider_event_id="", series_id="event",
        provider_series_id="series", original_start=original_start, version_before="", was_given=False, version="",
        meeting=event_pb2.OnlineMeeting(), resolutions=0, is_resolved=False,
    )  # fmt: skip


class Google:
    """An account whose answer about instances has the given ones, whatever was asked for."""

    def __init__(self, *instances: dict[str, Any]) -> None:
        self.instances = instances

    async def call(self, operation: str, url: str, **_: Any) -> dict[str, Any]:
        """Answer a request."""
        if operation == "calendar_instances":
            return {"items": list(self.instances)}
        event_id = url.rpartition("/")[2]
        return {"id": event_id, "etag": f"etag-of-{event_id}", "organizer": {"self": True}}


def instance(event_id: str, original: dict[str, Any], status: str = "confirmed") -> dict[str, Any]:
    return {"id": event_id, "status": status, "originalStartTime": original}


async def target(original_start: str, *instances: dict[str, Any]) -> str:
    changes = GoogleChanges(Google(*instances), "https://calendar.test")  # type: ignore[arg-type]
    return (await changes.target(cancellation(original_start))).provider_event_id


@pytest.mark.parametrize(
    ("asked", "original"),
    [
        ("2026-12-07T14:00:00Z", SECOND),
        ("2026-12-07T14:00:00Z", {"dateTime": "2026-12-07T15:00:00+01:00", "timeZone": BERLIN}),
        ("2026-12-07T14:00:00Z", {"dateTime": "2026-12-07T15:00:00", "timeZone": BERLIN}),
        ("2026-12-07", {"date": "2026-12-07"}),
    ],
)
async def test_google_is_asked_to_cancel_the_occurrence_with_the_original_start(
    asked: str, original: dict[str, Any]
) -> None:
    others = instance("first", FIRST), instance("unreadable", {}), instance("a-day", {"date": "2026-11-30"})
    assert "second" == await target(asked, *others, instance("second", original))


@pytest.mark.parametrize(
    "instances",
    [
        (),
        (instance("first", FIRST),),
        (instance("a-day", {"date": "2026-12-07"}),),
        (instance("second", SECOND, "cancelled"),),
    ],
)
async def test_google_is_asked_to_cancel_nothing_without_it(instances: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(ImpossibleError, match="CALENDAR_OCCURRENCE_NOT_FOUND"):
        await target("2026-12-07T14:00:00Z", *instances)
