"""Pushes about calendars on the running mesh, at both providers: an edit arrives at once, and none is lost."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.mesh.processor.test_calendars import TIMES, reader, told
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)
SOON_SECONDS = 20.0
"""A third of the interval at which calendars without pushes are polled."""
ZONE = {"timeZone": "Europe/Berlin"}
GOOGLE_TIMES = {
    "start": {"dateTime": "2026-11-30T14:00:00+01:00", **ZONE},
    "end": {"dateTime": "2026-11-30T15:00:00+01:00", **ZONE},
}
QUIET_SECONDS = 4
"""Longer than the pause between two polls of a calendar that is not pushed, in tests."""


class Follower:
    """A followed calendar of an account of its own.

    Args:
        mesh: The running mesh.
        provider: "ms365" or "googlews".
        facts: Of a further calendar of the account; without any, its main calendar is followed.
    """

    def __init__(self, mesh: Mesh, provider: str, **facts: Any) -> None:
        self.mesh, self.provider = mesh, provider
        self.address, self.tenant = reader(mesh, provider)
        if facts:
            mesh.simulator.call("POST", f"accounts/{self.address}/calendars", **facts)
        listed = json.loads(mesh.run("calendars", "list", self.tenant, "--json").stdout)
        (chosen,) = [one for one in listed if not facts or one["name"] == facts["name"]]
        self.calendar, self.provider_id = chosen["calendarId"], chosen["providerCalendarId"]
        self.path = f"accounts/{self.address}/calendars/{self.provider_id}/events"
        done = mesh.run("calendars", "follow", self.calendar)
        assert done.returncode == 0, done.stderr
        eventually(self.told, what="the calendar is connected")

    def told(self) -> list[Any]:
        """Reads the entries of the stream about the account's calendars."""
        return told(self.mesh, self.tenant)

    def create(self, subject: str) -> str:
        """Creates an event at the provider and returns its id there."""
        google = self.provider == "googlews"
        fields = {"summary": subject, **GOOGLE_TIMES} if google else {"subject": subject, **TIMES}
        return str(self.mesh.simulator.call("POST", self.path, **fields)["id"])

    def rename(self, event: str, subject: str) -> None:
        """Changes the subject of an event at the provider."""
        name = "summary" if self.provider == "googlews" else "subject"
        self.mesh.simulator.call("PATCH", f"{self.path}/{event}", **{name: subject})

    def subscription(self) -> dict[str, Any]:
        """Returns the calendar's subscription; empty before it is created."""
        query = {"tenantId": self.tenant}
        answer = httpx.get(
            f"{self.mesh.ready.http}/v1/subscriptions",
            params=query,
            headers={"authorization": f"Bearer {self.mesh.key}"},
            timeout=10,
            trust_env=False,
        )
        found = [one for one in answer.json()["subscriptions"] if one["calendarId"] == self.calendar]
        return dict(found[0]) if found else {}

    def wait_pushed(self) -> dict[str, Any]:
        """Waits until the provider pushes the calendar's changes, and mailmesh polls it seldom."""
        eventually(lambda: self.subscription().get("state") == "SUBSCRIPTION_STATE_ACTIVE", what="it is pushed")
        shown = self.subscription()
        # The reading that follows the beginning of pushes finds earlier changes; the test's come after it. A poll that
        # was under way at that time may precede it.
        eventually(lambda: self._synced_at() > _time(shown["lastRenewedAt"]), what="it is read once more")
        eventually(self._is_quiet, what="no reading of it is under way")
        return shown

    def _is_quiet(self) -> bool:
        before = self._synced_at()
        time.sleep(QUIET_SECONDS)
        return before == self._synced_at()

    def _synced_at(self) -> datetime:
        listed = json.loads(self.mesh.run("calendars", "list", self.tenant, "--json").stdout)
        return _time(next(one["syncedAt"] for one in listed if one["calendarId"] == self.calendar))

    def channels(self) -> list[dict[str, Any]]:
        """Returns the living channels on the calendar at Google."""
        every = self.mesh.simulator.call("GET", "channels")
        return [one for one in every if (one["account"], one["calendar"]) == (self.address, self.provider_id)]

    def subscriptions_at_graph(self) -> list[dict[str, Any]]:
        """Returns the account's living subscriptions to calendars at Microsoft."""
        every = self.mesh.simulator.call("GET", "subscriptions")
        return [one for one in every if one["account"] == self.address and one["resource"].endswith("events")]


def _time(text: str) -> datetime:
    moment = Timestamp()
    moment.FromJsonString(text)
    return moment.ToDatetime(UTC)


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
def test_an_edit_at_the_provider_becomes_one_event_long_before_the_poll(mesh: Mesh, provider: str) -> None:
    followed = Follower(mesh, provider)
    shown = followed.wait_pushed()
    assert ("SUBSCRIPTION_RESOURCE_CALENDAR", "DELIVERY_MODE_PUSH") == (shown["resource"], shown["deliveryMode"])

    event = followed.create("Review")
    eventually(lambda: len(followed.told()) == 2, SOON_SECONDS, what="the event is created")
    followed.rename(event, "Second review")
    eventually(lambda: len(followed.told()) == 3, SOON_SECONDS, what="the event is updated")

    assert ["connected", "event.created", "event.updated"] == [
        one.event_type.removeprefix("calendar.") for one in followed.told()
    ]
    listed = mesh.run("subscriptions", "list", "--tenant", followed.tenant)
    assert f"calendar {followed.calendar}" in listed.stdout
    health = json.loads(mesh.run("subscriptions", "health", "--tenant", followed.tenant, "--json").stdout)
    (of_calendar,) = [one for one in health if one["resource"] == "SUBSCRIPTION_RESOURCE_CALENDAR"]
    assert ("1", "1") == (of_calendar["total"], of_calendar["active"])


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
def test_a_lost_push_is_found_when_the_calendar_is_read_again(mesh: Mesh, provider: str) -> None:
    followed = Follower(mesh, provider)
    followed.wait_pushed()
    endpoint = "notify.calendar" if provider == "googlews" else "notify.graph.calendar"
    mesh.simulator.fault(kind="drop", endpoint=endpoint, account=followed.address)
    followed.create("Nobody told")
    counts = mesh.simulator.call("GET", "pushes")["counts"]
    assert counts[f"{endpoint}.drop"] >= 1
    mesh.simulator.call("DELETE", "faults")
    assert ["calendar.connected"] == [one.event_type for one in followed.told()]

    # The renewal of a subscription reads its calendar, as the poll and the silence of a day do.
    renewed = mesh.run("subscriptions", "renew", followed.subscription()["subscriptionId"])
    assert renewed.returncode == 0, renewed.stderr
    if provider == "ms365":
        (there,) = followed.subscriptions_at_graph()
        mesh.simulator.call("POST", f"subscriptions/{there['id']}/lifecycle", event="missed")
    eventually(lambda: len(followed.told()) == 2, SOON_SECONDS, what="the event is created")
    assert ["connected", "event.created"] == [one.event_type.removeprefix("calendar.") for one in followed.told()]


def test_a_replaced_channel_loses_nothing(mesh: Mesh) -> None:
    followed = Follower(mesh, "googlews")
    shown = followed.wait_pushed()
    (old,) = followed.channels()
    names = [followed.create("Before")]
    for _ in range(3):
        renewed = mesh.run("subscriptions", "renew", shown["subscriptionId"])
        assert renewed.returncode == 0, renewed.stderr
        names.append(followed.create("Meanwhile"))
    eventually(lambda: len(followed.channels()) == 1, what="the replaced channels are stopped")
    names.append(followed.create("After"))
    eventually(lambda: len(followed.told()) == 1 + len(names), SOON_SECONDS, what="every event is created")

    assert old["id"] != followed.channels()[0]["id"] == followed.subscription()["providerSubscriptionId"]
    created = [one.event.provider_event_id for one in followed.told()[1:]]
    assert sorted(names) == sorted(created)


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
def test_a_disconnect_stops_what_pushes(mesh: Mesh, provider: str) -> None:
    followed = Follower(mesh, provider)
    followed.wait_pushed()
    at_provider = followed.channels if provider == "googlews" else followed.subscriptions_at_graph
    assert at_provider()

    done = mesh.run("tenants", "disconnect", followed.tenant, "--yes")
    assert done.returncode == 0, done.stderr

    eventually(lambda: not at_provider(), what="nothing pushes any more")
    lists = [one for one in mesh.simulator.call("GET", "channels") if one["account"] == followed.address]
    assert [] == lists


def test_holidays_are_polled_and_say_why(mesh: Mesh) -> None:
    followed = Follower(mesh, "googlews", name="Holidays", pushes=False)
    eventually(
        lambda: followed.subscription().get("state") == "SUBSCRIPTION_STATE_POLLING", what="the calendar is polled"
    )

    assert ("CALENDAR_NOT_PUSHED", "DELIVERY_MODE_POLL") == tuple(
        followed.subscription()[name] for name in ("failureReason", "deliveryMode")
    )
    assert "CALENDAR_NOT_PUSHED" in mesh.run("subscriptions", "list", "--tenant", followed.tenant).stdout
    refused = mesh.run("subscriptions", "delete", followed.subscription()["subscriptionId"], "--yes")
    assert "SUBSCRIPTION_OF_CALENDAR" in refused.stderr
    followed.create("A day off")
    eventually(lambda: len(followed.told()) == 2, 200, what="the poll finds the event")
