"""Calendars on the running mesh: connected with the ability, followed, and their changes in the stream exactly once."""

import json
from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from mailmesh.access.v1 import access_pb2
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from mailmesh.vault.v1 import api_key_service_pb2 as keys
from mailmesh.vault.v1 import api_key_service_pb2_grpc as key_services
from mailmesh.vault.v1 import tenant_service_pb2 as tenants
from mailmesh.vault.v1 import tenant_service_pb2_grpc as tenant_services
from stack.cli.connection import CHANNEL_OPTIONS, with_key
from tests.mesh.accounts import connect, new_address
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)
TIMES = {"start": "2026-11-30T14:00:00", "end": "2026-11-30T15:00:00"}
WINDOW = ("--from", "2026-11-01T00:00:00Z", "--to", "2027-01-01T00:00:00Z")


def reader(
    mesh: Mesh, provider: str = "ms365", abilities: Sequence[str] = ("mail.read", "calendar.read")
) -> tuple[str, str]:
    """Connects an account that shows its calendars, and returns its address and its tenant."""
    address = new_address(mesh, provider)
    stub = tenant_services.TenantServiceStub(mesh.channel)
    request = tenants.StartAuthorizationRequest(provider=provider, login_hint=address, abilities=abilities)
    mesh.consent(stub.StartAuthorization(request).authorization_url, address)
    return address, stub.ListTenants(tenants.ListTenantsRequest(address=address)).tenants[0].tenant_id


def told(mesh: Mesh, tenant: str, channel: grpc.Channel | None = None) -> list[Any]:
    """Reads the entries of the stream about a tenant's calendars."""
    chosen = events.EventFilter(tenant_ids=[tenant], event_types=["calendar.*"])
    request = events.ListEventsRequest(page_size=1000, cursor="earliest", filter=chosen)
    found = event_services.EventServiceStub(channel or mesh.channel).ListEvents(request).events
    return [event.calendar_event for event in found]


def test_an_event_arrives_once_edited_and_cancelled(mesh: Mesh) -> None:
    address, tenant = reader(mesh)
    control = mesh.simulator
    listed = json.loads(mesh.run("calendars", "list", tenant, "--json").stdout)
    (calendar,) = [one["calendarId"] for one in listed]
    provider_id = listed[0]["providerCalendarId"]
    path = f"accounts/{address}/calendars/{provider_id}/events"
    assert "READING" in mesh.run("calendars", "follow", calendar).stdout.upper()
    eventually(lambda: told(mesh, tenant), what="the calendar is connected")
    made = control.call("POST", path, subject="Review", body="Bring numbers.", **TIMES)
    eventually(lambda: len(told(mesh, tenant)) == 2, 200, what="the event is created")
    shown = json.loads(mesh.run("calendars", "events", calendar, *WINDOW, "--json").stdout)
    week = ("--from", "2026-11-29T00:00:00Z", "--to", "2026-12-06T00:00:00Z")
    asked = mesh.run("calendars", "free-busy", tenant, address, "nobody@elsewhere.example", *week)
    control.call("PATCH", f"{path}/{made['id']}", subject="Second review")
    eventually(lambda: len(told(mesh, tenant)) == 3, 200, what="the event is updated")
    detail = mesh.run("calendars", "get", shown[0]["calendarEventId"])
    control.call("DELETE", f"{path}/{made['id']}")
    eventually(lambda: len(told(mesh, tenant)) == 4, 200, what="the event is deleted")

    found = told(mesh, tenant)
    assert ["connected", "event.created", "event.updated", "event.deleted"] == [
        one.event_type.removeprefix("calendar.") for one in found
    ]
    assert 4 == len({one.event_id for one in found})
    assert {shown[0]["calendarEventId"]} == {one.event.calendar_event_id for one in found[1:]}
    assert ("Review", "Second review") == (shown[0]["subject"], found[2].event.subject)
    assert "Second review" in detail.stdout
    assert all(words in asked.stdout.lower() for words in ("busy", "2026-11-30", "not_found")), asked
    assert ["subject"] == list(found[2].change.fields)
    _check_that_mail_alone_shows_no_calendar(mesh, tenant, found[1].event_id)
    mesh.run("calendars", "unfollow", calendar, "--yes")
    refused = mesh.run("calendars", "events", calendar, *WINDOW)
    assert "CALENDAR_NOT_FOLLOWED" in refused.stderr


def _check_that_mail_alone_shows_no_calendar(mesh: Mesh, tenant: str, event_id: str) -> None:
    """A key that may read mail alone gets no entry about calendars, neither from the stream nor by id."""
    request = keys.CreateApiKeyRequest(display_name="mail alone", role=access_pb2.ROLE_READER, abilities=["mail.read"])
    made = key_services.ApiKeyServiceStub(mesh.channel).CreateApiKey(request)
    with grpc.insecure_channel(mesh.ready.grpc, CHANNEL_OPTIONS) as opened:
        channel = with_key(opened, made.secret)
        assert [] == told(mesh, tenant, channel)
        with pytest.raises(grpc.RpcError) as refused:
            event_services.EventServiceStub(channel).GetEvent(events.GetEventRequest(event_id=event_id))
    assert grpc.StatusCode.NOT_FOUND == refused.value.code()


def test_an_account_without_the_ability_is_refused_with_the_command(mesh: Mesh) -> None:
    tenant = connect(mesh, "ms365", new_address(mesh, "ms365"))
    google = connect(mesh, "googlews", new_address(mesh, "googlews"))
    for one in (tenant, google):
        done = mesh.run("calendars", "list", one)
        assert done.returncode != 0
        assert "ABILITY_NOT_GRANTED" in done.stderr


def test_a_calendar_of_google_is_followed_as_one_of_microsoft(mesh: Mesh) -> None:
    address, tenant = reader(mesh, "googlews")
    (listed,) = json.loads(mesh.run("calendars", "list", tenant, "--json").stdout)
    mesh.run("calendars", "follow", listed["calendarId"])
    eventually(lambda: told(mesh, tenant), what="the calendar is connected")
    zone = {"timeZone": "America/New_York"}
    times = {
        "start": {"dateTime": "2026-11-30T09:00:00-05:00", **zone},
        "end": {"dateTime": "2026-11-30T10:00:00-05:00", **zone},
    }
    path = f"accounts/{address}/calendars/{listed['providerCalendarId']}/events"
    series = mesh.simulator.call("POST", path, summary="Weekly", recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"], **times)
    eventually(lambda: len(told(mesh, tenant)) == 2, 200, what="the series is created")
    mesh.simulator.call("POST", f"{path}/{series['id']}/cancel", original={"dateTime": "2026-12-07T09:00:00-05:00"})
    eventually(lambda: len(told(mesh, tenant)) == 3, 200, what="an instance is cancelled")
    shown = json.loads(mesh.run("calendars", "events", listed["calendarId"], *WINDOW, "--expand", "--json").stdout)

    connected, created, updated = told(mesh, tenant)
    assert ("calendar.connected", "googlews", address) == (
        connected.event_type, connected.provider, connected.calendar.owner_address
    )  # fmt: skip
    assert ("Weekly", ["2026-12-07T09:00:00"]) == (
        created.event.subject, [one.local for one in updated.change.cancelled_starts]
    )  # fmt: skip
    assert ["2026-11-30", "2026-12-14"] == [one["start"]["local"][:10] for one in shown]
