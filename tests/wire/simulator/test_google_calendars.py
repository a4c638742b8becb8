"""The simulated Google Calendar answers as Google's discovery document says, with its rules of sync tokens."""

from typing import Any

import pytest
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError

from tests.wire.simulator.google_schema import check_answer, document

AUTH = "https://www.googleapis.com/auth/"
MONDAYS = ["RRULE:FREQ=WEEKLY;COUNT=5;BYDAY=MO"]


def at(day: str, hour: int = 9) -> dict[str, str]:
    return {"dateTime": f"{day}T{hour:02}:00:00-05:00", "timeZone": "America/New_York"}


TIMES = {"start": at("2026-11-30"), "end": at("2026-11-30", 10)}


@pytest.fixture
async def google(gmail: Any, control: Any, simulator: Any) -> Any:
    """The account with a token for its calendars."""
    scopes = f"openid {AUTH}calendar.calendarlist.readonly {AUTH}calendar.events.readonly"
    gmail.tokens = await control.issue_tokens(gmail.account, scopes=scopes)
    gmail.base = f"{simulator.google}/calendar/v3"
    return gmail


async def everything(google: Any, path: str, **params: Any) -> tuple[list[dict[str, Any]], str]:
    """Read a listing to its end, and return its sync token."""
    found, page = [], {}
    while True:
        answer = await google.get(path, params={"maxResults": 2, **params, **page})
        found += answer["items"]
        if "nextSyncToken" in answer:
            return found, answer["nextSyncToken"]
        page = {"pageToken": answer["nextPageToken"]}


async def test_a_listing_and_its_changes_tell_of_series_and_their_instances_apart(google, control):
    account, path = google.account, f"/calendars/{google.account}/events"
    master = await control.create_event(account, account, summary="Weekly", recurrence=MONDAYS, **TIMES)
    single = await control.create_event(account, account, summary="One", **TIMES)
    gone = await control.create_event(account, account, summary="Gone", **TIMES)
    await control.delete_event(account, account, gone["id"])
    await control.cancel_google(account, account, master["id"], at("2026-12-07"))
    first, token = await everything(google, path)
    await control.change_google(account, account, master["id"], at("2026-12-14"), summary="Moved")
    await control.delete_event(account, account, single["id"])
    second, later = await everything(google, path, syncToken=token)

    assert {master["id"], single["id"], f"{master['id']}_20261207T140000Z"} == {one["id"] for one in first}
    (cancelled,) = [one for one in first if one["status"] == "cancelled"]
    assert {"kind", "etag", "id", "status", "recurringEventId", "originalStartTime"} == set(cancelled)
    assert [("Moved", master["id"]), (None, None)] == [
        (one.get("summary"), one.get("recurringEventId")) for one in second
    ]
    assert {"kind", "etag", "id", "status"} == set(second[1])
    assert [] == (await everything(google, path, syncToken=later))[0]
    await google.get(f"{path}/{gone['id']}")
    await google.get(f"{path}/nothing", 404)
    await google.get("/calendars/nothing/events", 404)


async def test_a_token_takes_no_other_parameters_and_is_lost_for_good(google, control):
    path = "/calendars/primary/events"
    _, token = await everything(google, path)
    for wrong in ({"timeMin": "2026-01-01T00:00:00Z"}, {"orderBy": "updated"}, {"showDeleted": "false"}):
        await google.get(path, 400, params={"syncToken": token, **wrong})
    await google.get(path, 400, params={"syncToken": "***"})
    await google.get(path, 501, params={"singleEvents": "true"})
    await control.expire_history(google.account)
    lost = await google.get(path, 410, params={"syncToken": token})
    assert "fullSyncRequired" == lost["error"]["errors"][0]["reason"]


async def test_the_list_tells_owners_and_rights_and_mail_alone_shows_none(google, control):
    await control.add_calendar(google.account, "Boss", owner="boss@fabrikam.test", role="reader")
    listed = (await google.get("/users/me/calendarList", params={"maxResults": 1}))["items"]
    rest = await google.get("/users/me/calendarList", params={"maxResults": 250})
    boss = rest["items"][1]
    one = await google.get(f"/users/me/calendarList/{boss['id']}")
    assert ([True], "boss@fabrikam.test", "reader") == (
        [entry.get("primary") for entry in listed], one["dataOwner"], one["accessRole"]
    )  # fmt: skip
    google.tokens = await control.issue_tokens(google.account, scopes=f"openid {AUTH}gmail.readonly")
    await google.get("/users/me/calendarList", 403)


async def test_the_times_of_calendars_are_those_of_their_events_with_an_error_for_an_unknown_one(google, control):
    google.tokens = await control.issue_tokens(google.account, scopes=f"openid {AUTH}calendar.freebusy")
    await control.create_event(google.account, google.account, summary="One", **TIMES)
    body = {
        "timeMin": "2026-11-30T00:00:00Z",
        "timeMax": "2026-11-30T14:30:00Z",
        "items": [{"id": google.account}, {"id": "nobody@x.test"}],
    }
    found = (await google.call("POST", "/freeBusy", json=body)).json()["calendars"]
    empty = await google.call("POST", "/freeBusy", json={**body, "timeMax": body["timeMin"]})

    assert [{"start": "2026-11-30T14:00:00Z", "end": "2026-11-30T14:30:00Z"}] == found[google.account]["busy"]
    assert ["notFound"] == [one["reason"] for one in found["nobody@x.test"]["errors"]]
    assert 400 == empty.status_code


async def test_an_instance_is_read_and_changed_by_an_id_of_its_own(google, control):
    scopes = f"openid {AUTH}calendar.events"
    google.tokens = await control.issue_tokens(google.account, scopes=scopes)
    account, path = google.account, f"/calendars/{google.account}/events"
    master = await control.create_event(account, account, summary="Weekly", recurrence=MONDAYS, **TIMES)
    await control.cancel_google(account, account, master["id"], at("2026-12-07"))
    many = f"{path}/{master['id']}/instances"
    listed = (await google.get(many))["items"]
    wanted = at("2026-12-14")["dateTime"]
    (third,) = (await google.get(many, params={"originalStart": wanted}))["items"]
    plain = await google.get(f"{path}/{third['id']}")
    answer = await google.call("PATCH", f"{path}/{third['id']}", json={"summary": "Moved"})
    removed = await google.call("DELETE", f"{path}/{listed[2]['id']}")
    left = (await google.get(many))["items"]

    assert ["2026-11-30", "2026-12-14", "2026-12-21", "2026-12-28"] == [one["start"]["dateTime"][:10] for one in listed]
    assert f"{master['id']}_20261214T140000Z" == third["id"]
    assert ("Weekly", master["id"], wanted) == (
        plain["summary"], plain["recurringEventId"], plain["originalStartTime"]["dateTime"]
    )  # fmt: skip
    assert (200, 204) == (answer.status_code, removed.status_code)
    assert ["Weekly", "Moved", "Weekly"] == [one["summary"] for one in left]
    await google.get(f"{path}/{master['id']}_20261215T140000Z", 404)


async def test_googles_client_reads_calendars(google, control, simulator):
    import asyncio

    import httplib2
    from google.oauth2.credentials import Credentials
    from google_auth_httplib2 import AuthorizedHttp

    await control.create_event(google.account, google.account, summary="Day", start={"date": "2026-11-30"},
                               end={"date": "2026-12-01"})  # fmt: skip
    root = f"{simulator.google}/"
    described = {**document("calendar.v3"), "rootUrl": root, "baseUrl": f"{root}calendar/v3/"}

    def work() -> tuple[Any, Any, HttpError]:
        http = httplib2.Http(ca_certs=str(simulator.ca_file), timeout=30)
        authorized = AuthorizedHttp(Credentials(google.tokens["access_token"]), http=http)
        client = build_from_document(described, http=authorized)
        calendars = client.calendarList().list().execute()["items"]
        events = client.events().list(calendarId="primary").execute()
        with pytest.raises(HttpError) as refused:
            client.events().get(calendarId="primary", eventId="nothing").execute()
        http.close()
        return calendars, events, refused.value

    calendars, events, refused = await asyncio.to_thread(work)
    assert ([google.account], [{"date": "2026-11-30"}], 404) == (
        [one["id"] for one in calendars], [one["start"] for one in events["items"]], refused.status_code
    )  # fmt: skip


def test_the_check_refuses_an_answer_that_google_would_not_give() -> None:
    with pytest.raises(AssertionError, match="no nonsense at Google"):
        check_answer("GET", "https://x/calendar/v3/calendars/primary/events", 200, b'{"nonsense": 1}')
