"""The simulated calendars answer as the models of Microsoft's SDK say, with Graph's silences."""

from typing import Any

import pytest

from tests.wire.simulator.sdk import graph_client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
WEEKLY = {
    "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "sunday"},
    "range": {"type": "noEnd", "startDate": "2026-11-30", "recurrenceTimeZone": "Eastern Standard Time"},
}
TIMES = {"start": "2026-11-30T14:00:00", "end": "2026-11-30T15:00:00", "originalStartTimeZone": "Eastern Standard Time"}


@pytest.fixture
async def calendar(graph: Any, control: Any) -> dict[str, Any]:
    """The account's own calendar."""
    return dict((await control.calendars(graph.account))[0])


async def changes(graph: Any, link: str) -> tuple[list[Any], str]:
    """Read a round of changes to its end."""
    found = []
    while True:
        page = await graph.get(link, headers={"prefer": "odata.maxpagesize=1"})
        found += page["value"]
        if "@odata.deltaLink" in page:
            return found, page["@odata.deltaLink"]
        link = page["@odata.nextLink"]


async def test_the_sdk_reads_calendars_and_a_series_with_its_changes(graph, control, simulator, calendar):
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.models.event_type import EventType
    from msgraph.generated.users.item.calendars.item.events.item.event_item_request_builder import (
        EventItemRequestBuilder,
    )

    master = await control.create_event(graph.account, calendar["id"], subject="Weekly", recurrence=WEEKLY, **TIMES)
    await control.cancel_instance(graph.account, calendar["id"], master["id"], "2026-12-07")
    await control.change_instance(
        graph.account, calendar["id"], master["id"], "2026-12-14", "2026-12-14T14:00:00Z", subject="Moved"
    )
    query = EventItemRequestBuilder.EventItemRequestBuilderGetQueryParameters(
        select=["subject", "cancelledOccurrences", "type", "recurrence"], expand=["exceptionOccurrences"]
    )
    async with graph_client(graph, simulator) as client:
        listed = (await client.me.calendars.get()).value
        found = (
            await client.me.calendars.by_calendar_id(calendar["id"])
            .events.by_event_id(master["id"])
            .get(RequestConfiguration(query_parameters=query))
        )
    assert [("Calendar", True)] == [(one.name, one.is_default_calendar) for one in listed]
    assert ("Weekly", EventType.SeriesMaster) == (found.subject, found.type)
    assert [f"OID.{master['id']}.2026-12-07"] == found.cancelled_occurrences
    assert [("Moved", None)] == [(one.subject, one.original_start) for one in found.exception_occurrences]


async def test_every_answer_is_what_the_models_say(graph, control, calendar):
    path = f"/me/calendars/{calendar['id']}"
    made = await control.create_event(
        graph.account, calendar["id"], subject="One", body="Text", locations=["Room 1"], **TIMES,
        attendees=[{"type": "required", "emailAddress": {"address": "bob@x.test", "name": "Bob"},
                    "status": {"response": "none", "time": "0001-01-01T00:00:00Z"}}],
    )  # fmt: skip
    await graph.get("/me/calendars")
    await graph.get(path)
    (listed,) = (await graph.get(f"{path}/events"))["value"]
    one = await graph.get(f"{path}/events/{made['id']}")
    assert listed == one
    assert {"originalStart", "cancelledOccurrences"}.isdisjoint(one)
    assert ("UTC", "<p>Text</p>") == (one["start"]["timeZone"], one["body"]["content"])
    text = await graph.get(f"{path}/events/{made['id']}", headers={"prefer": 'outlook.body-content-type="text"'})
    assert {"contentType": "text", "content": "Text"} == text["body"]
    await graph.get(f"{path}/events/nothing", 404)
    await graph.get("/me/calendars/nothing/events", 404)
    await graph.get(f"{path}/events/{made['id']}?$select=nonsense", 501)


async def test_an_event_has_no_conversation(graph, control, calendar):
    from msgraph.generated.models.event import Event

    made = await control.create_event(graph.account, calendar["id"], subject="One", **TIMES)
    assert not {"conversation_id", "conversation_index"} & Event().get_field_deserializers().keys()
    assert "conversationId" not in Event().get_field_deserializers()
    await graph.get(f"/me/calendars/{calendar['id']}/events/{made['id']}?$select=conversationId", 501)


async def test_the_times_of_people_are_those_of_their_events_with_an_error_for_an_unknown_one(graph, control, calendar):
    await control.create_event(graph.account, calendar["id"], subject="One", **TIMES)
    zone = {"timeZone": "Eastern Standard Time"}
    body = {
        "schedules": [graph.account, "nobody@x.test"],
        "startTime": {"dateTime": "2026-11-30T08:30:00", **zone},
        "endTime": {"dateTime": "2026-11-30T10:30:00", **zone},
        "availabilityViewInterval": 30,
    }
    answer = await graph.call("POST", "/me/calendar/getSchedule", json=body)
    known, unknown = answer.json()["value"]
    refused = await graph.call("POST", "/me/calendar/getSchedule", json={**body, "availabilityViewInterval": 1})

    assert ("0220", ["busy"]) == (known["availabilityView"], [one["status"] for one in known["scheduleItems"]])
    assert "ErrorMailRecipientNotFound" == unknown["error"]["responseCode"]
    assert 400 == refused.status_code


async def test_delta_lists_all_then_changes_and_is_silent_about_deleted_instances(graph, control, calendar):
    master = await control.create_event(graph.account, calendar["id"], subject="Weekly", recurrence=WEEKLY, **TIMES)
    single = await control.create_event(graph.account, calendar["id"], subject="One", **TIMES)
    path = f"/me/calendars/{calendar['id']}/events/delta?startDateTime=2026-01-01T00:00:00Z"
    first, link = await changes(graph, path)
    await control.cancel_instance(graph.account, calendar["id"], master["id"], "2026-12-07")
    await control.delete_event(graph.account, calendar["id"], single["id"])
    changed = await control.change_instance(
        graph.account, calendar["id"], master["id"], "2026-12-14", "2026-12-14T14:00:00Z", subject="Moved"
    )
    second, link = await changes(graph, link)

    assert ["Weekly", "One"] == [one["subject"] for one in first]
    assert [master["id"], single["id"], changed["id"]] == [one["id"] for one in second]
    assert {"reason": "deleted"} == second[1]["@removed"]
    assert "subject" not in second[2]
    assert [] == (await changes(graph, link))[0]
    await control.expire_history(graph.account)
    await graph.get(link, 410)


async def test_a_repeated_transaction_is_one_event_whose_address_to_join_comes_later(graph, control, calendar):
    mark = {"id": "String {8d3f6d0a-5e0b-4c53-9d0c-6f4b3a1c7e52} Name Mark", "value": "w1"}
    zone = {"timeZone": "Eastern Standard Time"}
    body = {
        "subject": "Review",
        "start": {"dateTime": "2026-11-30T09:00:00", **zone},
        "end": {"dateTime": "2026-11-30T10:00:00", **zone},
        "attendees": [{"type": "required", "emailAddress": {"address": "ada@example.com"}}],
        "isOnlineMeeting": True,
        "onlineMeetingProvider": "teamsForBusiness",
        "transactionId": "w1",
        "singleValueExtendedProperties": [mark],
    }
    await control.set(meeting_reads=2)
    path = f"/me/calendars/{calendar['id']}/events"
    made, again = [(await graph.call("POST", path, json=body)).json() for _ in range(2)]
    condition = f"ep/id eq '{mark['id']}' and ep/value eq 'w1'"
    found = await graph.get(path, params={"$filter": f"singleValueExtendedProperties/Any(ep: {condition})"})
    first, second = [await graph.get(f"{path}/{made['id']}") for _ in range(2)]

    assert made["id"] == again["id"]
    assert [made["id"]] == [one["id"] for one in found["value"]]
    assert ("2026-11-30T14:00:00.0000000", "UTC") == tuple(made["start"].values())
    assert (None, None) == (made["onlineMeeting"], first["onlineMeeting"])
    assert second["onlineMeeting"]["joinUrl"].startswith("https://")
    assert made["changeKey"] != second["changeKey"]


async def test_an_occurrence_is_read_and_changed_by_an_id_of_its_own(graph, control, calendar):
    master = await control.create_event(graph.account, calendar["id"], subject="Weekly", recurrence=WEEKLY, **TIMES)
    await control.cancel_instance(graph.account, calendar["id"], master["id"], "2026-12-07")
    path = f"/me/calendars/{calendar['id']}/events"
    window = "startDateTime=2026-11-30T00:00:00Z&endDateTime=2026-12-22T00:00:00Z"
    select = "$select=subject,start,type,originalStart,seriesMasterId"
    listed = (await graph.get(f"{path}/{master['id']}/instances?{window}&{select}"))["value"]
    second = listed[1]["id"]
    answer = await graph.call("PATCH", f"{path}/{second}", json={"subject": "Moved"})
    changed = await graph.get(f"{path}/{second}")
    removed = await graph.call("DELETE", f"{path}/{listed[2]['id']}")
    left = (await graph.get(f"{path}/{master['id']}/instances?{window}&{select}"))["value"]

    assert [("occurrence", day) for day in ("2026-11-30", "2026-12-14", "2026-12-21")] == [
        (one["type"], one["start"]["dateTime"][:10]) for one in listed
    ]
    assert {("Weekly", master["id"])} == {(one["subject"], one["seriesMasterId"]) for one in listed}
    assert "2026-12-14T14:00:00Z" == listed[1]["originalStart"]
    assert (200, 204) == (answer.status_code, removed.status_code)
    assert ("exception", "Moved") == (changed["type"], changed["subject"])
    assert [("occurrence", "Weekly"), ("exception", "Moved")] == [(one["type"], one["subject"]) for one in left]
    await graph.get(f"{path}/{listed[2]['id']}", 404)
    await graph.get(f"{path}/{master['id']}/instances", 400)
