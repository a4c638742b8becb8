"""Writes to calendars on the running mesh: one key is one event, with its address to join and its source."""

import json
from typing import Any

import httpx
import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from tests.mesh.accounts import new_address
from tests.mesh.processor.test_calendars import reader, told
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)
WRITING = ("mail.read", "calendar.read", "calendar.write")
TIMES = ("--start", "2026-11-30T09:00:00", "--end", "2026-11-30T10:00:00", "--zone", "America/New_York")
MEETINGS = {"ms365": "teamsForBusiness", "googlews": "hangoutsMeet"}
JOIN = "https://join.example.test/1"
JOINS: dict[str, dict[str, Any]] = {
    "ms365": {"onlineMeeting": {"joinUrl": JOIN}},
    "googlews": {
        "conferenceData": {
            "conferenceSolution": {"key": {"type": "hangoutsMeet"}},
            "entryPoints": [{"entryPointType": "video", "uri": JOIN}],
        }
    },
}
"""The fields by which each provider gives the address to join."""


def created(mesh: Mesh, calendar: str, *options: str) -> Any:
    """Creates an event, waits for the outcome, and returns the write."""
    return json.loads(mesh.run("calendars", "create", calendar, *TIMES, *options, "--wait", "120", "--json").stdout)


@pytest.mark.parametrize("provider", MEETINGS)
def test_one_key_is_one_event_with_its_online_meeting(mesh: Mesh, provider: str) -> None:
    address, tenant = reader(mesh, provider, WRITING)
    (listed,) = json.loads(mesh.run("calendars", "list", tenant, "--json").stdout)
    calendar = listed["calendarId"]
    mesh.run("calendars", "follow", calendar)
    eventually(lambda: told(mesh, tenant), what="the calendar is connected")
    mesh.simulator.call("PATCH", "settings", meeting_reads=100_000)
    options = (
        *("--subject", "Review", "--attendee", "ada@example.com", "--notify", "all"),
        *("--online-meeting", MEETINGS[provider], "--rule", "FREQ=WEEKLY;COUNT=3"),
    )
    first, again = (created(mesh, calendar, *options, "--key", "review-1") for _ in range(2))
    differs = (*TIMES, "--subject", "Other", "--notify", "all", "--key", "review-1")
    other = mesh.run("calendars", "create", calendar, *differs)
    eventually(lambda: _of_event(mesh, tenant, 1), 200, what="the event is announced")
    mesh.simulator.call("PATCH", "settings", meeting_reads=0)
    path = f"accounts/{address}/calendars/{listed['providerCalendarId']}/events/{first['providerEventId']}"
    mesh.simulator.call("PATCH", path, **JOINS[provider])

    def ready() -> Any:
        shown = json.loads(mesh.run("calendar-writes", "get", first["calendarWriteId"], "--json").stdout)
        return shown if shown["onlineMeeting"]["state"] == "ONLINE_MEETING_STATE_READY" else None

    shown = eventually(ready, 200, what="the address to join is there")
    found = eventually(lambda: _of_event(mesh, tenant, 2), 200, what="the meeting is announced")
    (kept,) = mesh.simulator.call("GET", f"accounts/{address}/calendars")

    assert "IDEMPOTENCY_KEY_REUSED" in other.stderr
    assert first["calendarWriteId"] == again["calendarWriteId"]
    assert JOIN == shown["onlineMeeting"]["joinUrl"] == found[1].event.online_meeting.join_url
    assert ["Review"] == [one["subject"] for one in kept["events"]]
    assert (first["calendarWriteId"], mail_pb2.EVENT_SOURCE_COMMAND) == (found[0].calendar_write_id, found[0].source)
    assert [first["calendarEventId"]] * 2 == [one.event.calendar_event_id for one in found]
    assert (["online_meeting"], "") == (list(found[1].change.fields), found[1].calendar_write_id)
    (done,) = [one for one in told(mesh, tenant) if one.event_type == "calendar.write.done"]
    assert first["calendarEventId"] == done.calendar_event_id


def _of_event(mesh: Mesh, tenant: str, count: int) -> list[Any]:
    found = [one for one in told(mesh, tenant) if one.event_type.startswith("calendar.event.")]
    return found if len(found) == count else []


def test_an_account_that_lets_only_read_is_refused_with_the_command(mesh: Mesh) -> None:
    _, tenant = reader(mesh)
    (listed,) = json.loads(mesh.run("calendars", "list", tenant, "--json").stdout)
    done = mesh.run("calendars", "create", listed["calendarId"], *TIMES, "--subject", "x", "--notify", "none")

    assert done.returncode != 0
    assert "ABILITY_NOT_GRANTED" in done.stderr
    assert "--ability calendar.write" in done.stderr


def test_an_invitation_is_answered_and_the_organizer_sees_it(mesh: Mesh) -> None:
    address, tenant = reader(mesh, "ms365", WRITING)
    (listed,) = json.loads(mesh.run("calendars", "list", tenant, "--json").stdout)
    mesh.run("calendars", "follow", listed["calendarId"])
    eventually(lambda: told(mesh, tenant), what="the calendar is connected")
    organizer = new_address(mesh, "ms365")
    (theirs,) = mesh.simulator.call("GET", f"accounts/{organizer}/calendars")
    invited = [{"type": "required", "emailAddress": {"address": address, "name": address}}]
    times = {"start": "2026-11-30T14:00:00", "end": "2026-11-30T15:00:00"}
    path = f"accounts/{organizer}/calendars/{theirs['id']}/events"
    mesh.simulator.call("POST", path, subject="Plan", attendees=invited, **times)
    (created,) = eventually(lambda: _of_event(mesh, tenant, 1), 200, what="the invitation is announced")
    event = created.event.calendar_event_id
    options = ("--notify", "all", "--key", "answer-1", "--wait", "120", "--json")
    first, again = (json.loads(mesh.run("calendars", "respond", event, "accepted", *options).stdout) for _ in range(2))
    (shown,) = mesh.simulator.call("GET", f"accounts/{organizer}/calendars")

    assert ("CALENDAR_WRITE_STATE_DONE", first["calendarWriteId"]) == (first["state"], again["calendarWriteId"])
    assert ["accepted"] == [one["attendees"][address] for one in shown["events"]]


def test_an_event_is_changed_and_then_cancelled_by_command(mesh: Mesh) -> None:
    address, tenant = reader(mesh, "ms365", WRITING)
    (listed,) = json.loads(mesh.run("calendars", "list", tenant, "--json").stdout)
    mesh.run("calendars", "follow", listed["calendarId"])
    eventually(lambda: told(mesh, tenant), what="the calendar is connected")
    invited = ("--attendee", "ada@example.com", "--notify", "all", "--key", "plan-1")
    made = created(mesh, listed["calendarId"], "--subject", "Plan", *invited)
    eventually(lambda: _of_event(mesh, tenant, 1), 200, what="the event is announced")
    event, end = made["calendarEventId"], ("--notify", "all", "--wait", "120", "--json")
    change = ("calendars", "update", event, "--subject", "Other", "--key", "change-1", *end)
    changed, again = (json.loads(mesh.run(*change).stdout) for _ in range(2))
    updated = eventually(lambda: _of_event(mesh, tenant, 2), 200, what="the change is announced")[1]
    (kept,) = mesh.simulator.call("GET", f"accounts/{address}/calendars")
    late = mesh.run("calendars", "update", event, "--subject", "Late", "--version", made["version"], *end)
    cancelled = json.loads(mesh.run("calendars", "cancel", event, "--key", "cancel-1", "--yes", *end).stdout)
    deleted = eventually(lambda: _of_event(mesh, tenant, 3), 200, what="the cancellation is announced")[2]
    (left,) = mesh.simulator.call("GET", f"accounts/{address}/calendars")

    assert ("CALENDAR_WRITE_STATE_DONE", changed["calendarWriteId"]) == (changed["state"], again["calendarWriteId"])
    assert ["Other"] == [one["subject"] for one in kept["events"]]
    assert "CALENDAR_EVENT_CHANGED" in late.stderr
    assert ("CALENDAR_WRITE_STATE_DONE", []) == (cancelled["state"], left["events"])
    assert [changed["calendarWriteId"], "calendar.event.deleted"] == [updated.calendar_write_id, deleted.event_type]


@pytest.mark.parametrize("provider", MEETINGS)
def test_an_occurrence_is_read_by_rest_and_cancelled_by_command(mesh: Mesh, provider: str) -> None:
    address, tenant = reader(mesh, provider, WRITING)
    (listed,) = json.loads(mesh.run("calendars", "list", tenant, "--json").stdout)
    mesh.run("calendars", "follow", listed["calendarId"])
    eventually(lambda: told(mesh, tenant), what="the calendar is connected")
    rule = ("--rule", "FREQ=WEEKLY;COUNT=3", "--notify", "none", "--key", "series-1")
    series = created(mesh, listed["calendarId"], "--subject", "Weekly", *rule)["calendarEventId"]
    eventually(lambda: _of_event(mesh, tenant, 1), 200, what="the series is announced")
    second = {"originalStart": "2026-12-07T09:00:00"}
    headers = {"authorization": f"Bearer {mesh.key}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=30, trust_env=False) as client:
        shown = client.get(f"/v1/calendar-events/{series}", params=second).json()["event"]
        body = {"idempotencyKey": "off-1", "notify": "CALENDAR_NOTIFY_NONE", **second}
        taken = client.post(f"/v1/calendar-events/{series}:cancel", json=body).json()["write"]
    options = ("--original-start", second["originalStart"], "--notify", "none", "--key", "off-1", "--yes")
    done = json.loads(mesh.run("calendars", "cancel", series, *options, "--wait", "120", "--json").stdout)
    updated = eventually(lambda: _of_event(mesh, tenant, 2), 200, what="the cancellation is announced")[1]
    gone = mesh.run("calendars", "get", series, *options[:2])
    (kept,) = mesh.simulator.call("GET", f"accounts/{address}/calendars")

    assert ("EVENT_KIND_OCCURRENCE", series, "2026-12-07T09:00:00") == (
        shown["kind"], shown["seriesMasterId"], shown["start"]["local"]
    )  # fmt: skip
    assert ("CALENDAR_WRITE_STATE_DONE", taken["calendarWriteId"]) == (done["state"], done["calendarWriteId"])
    assert ["2026-12-07T09:00:00"] == [one.local for one in updated.change.cancelled_starts]
    assert "CALENDAR_OCCURRENCE_NOT_FOUND" in gone.stderr
    assert "Weekly" in [one["subject"] for one in kept["events"]]
