"""The erasure of a person on the running mesh: the address is in no file, and everybody else's data is as before."""

import hmac
import json
import re
import time
from typing import Any

import pytest

from mailmesh.processor.v1 import event_pb2
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from tests.mesh.accounts import created_events, in_a_week
from tests.mesh.delivery.receiver import receiving
from tests.mesh.test_erasure import Account, cursor_at, expect_forgotten, files_with, operate, verified
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(500)
ABILITIES = ("mail.read", "mail.send", "calendar.read", "calendar.write")
TIMES = ("--start", "2026-12-21T14:00:00", "--end", "2026-12-21T15:00:00", "--zone", "Europe/Berlin")


class Office(Account):
    """An account whose mail, sends, calendar and conversations name a person and the person's neighbours.

    Args:
        mesh: The running mesh.
        mark: A word of this run.
    """

    def __init__(self, mesh: Mesh, mark: str) -> None:
        super().__init__(mesh, "ms365", f"word{mark}", ABILITIES)
        self.mark = mark
        self.person = f"ann{mark}@example.test"
        self.longer, self.tagged = f"jo{self.person}", f"ann{mark}+tag@example.test"
        assert mesh.run("conversations", "enable", self.tenant, "--address", self.address).returncode == 0
        (listed,) = json.loads(mesh.run("calendars", "list", self.tenant, "--json").stdout)
        self.calendar = listed["calendarId"]
        assert mesh.run("calendars", "follow", self.calendar).returncode == 0

    @property
    def canaries(self) -> list[bytes]:
        """The address in any case, but for the longer one that ends in it."""
        return [rb"(?i)(?<!jo)" + re.escape(self.person.encode())]

    def fill(self, mesh: Mesh) -> None:
        """Receive and send mail, and invite, until the mesh has everything."""
        eventually(lambda: of_type(mesh, self.tenant, "calendar.*"), 200, what="the calendar is connected")
        self.deliver(mesh, self.person.title(), "From")
        self.deliver(mesh, "bob@example.test", "Quote", text=f"<{self.person}> wrote")
        self.deliver(mesh, self.tagged, "Tagged")
        self.deliver(mesh, self.longer, "Longer")
        for person in (self.person, self.longer):
            self.send(mesh, person)
            words = ("--subject", f"Meet {person}", "--attendee", person, "--notify", "all", "--wait", "80")
            made = mesh.run("calendars", "create", self.calendar, *TIMES, *words)
            assert made.returncode == 0, made.stderr
        eventually(lambda: len(created_events(mesh, self.tenant)) >= 4, what="the mail is announced")
        eventually(lambda: len(of_type(mesh, self.tenant, "conversation.*")) >= 4, 200, what="mail is in conversations")
        eventually(lambda: len(self.meetings(mesh)) >= 2, 200, what="events are announced")

    def deliver(self, mesh: Mesh, sender: str, subject: str, text: str = "Text") -> None:
        content = {"subject": f"{subject} {self.mark}", "text": f"{text} for {subject}"}
        mesh.simulator.deliver(self.address, **{"from": sender, "to": [self.address], **content})

    def send(self, mesh: Mesh, person: str) -> None:
        words = ("--to", person, "--subject", f"Sent {self.mark}", "--text", "Mail", "--at", in_a_week())
        sent = mesh.run("send", "--tenant", self.tenant, *words)
        assert sent.returncode == 0, sent.stderr

    def meetings(self, mesh: Mesh) -> list[event_pb2.Event]:
        """Return the entries of the stream about new events of the calendar."""
        found = of_type(mesh, self.tenant, "calendar.*")
        return [one for one in found if one.calendar_event.event_type == "calendar.event.created"]

    def by_subject(self, mesh: Mesh) -> dict[str, event_pb2.Event]:
        """Return the events of received mail by the first word of the subject."""
        return {event.mail.message.subject.split()[0]: event for event in created_events(mesh, self.tenant)}


def of_type(mesh: Mesh, tenant: str, event_type: str) -> list[event_pb2.Event]:
    """Return the events of a type of a tenant."""
    chosen = events.EventFilter(tenant_ids=[tenant], event_types=[event_type])
    request = events.ListEventsRequest(page_size=1000, cursor="earliest", filter=chosen)
    return list(event_services.EventServiceStub(mesh.channel).ListEvents(request).events)


def listed(mesh: Mesh, *words: str) -> list[dict[str, Any]]:
    """Return what a command lists."""
    found: list[dict[str, Any]] = json.loads(mesh.run(*words, "--json").stdout)
    return found


def test_an_erased_person_is_in_no_file_and_the_neighbours_data_stays_byte_for_byte(mesh: Mesh) -> None:
    office = Office(mesh, f"{time.time_ns():x}")
    with receiving() as receiver:
        receiver.text = f"no {office.person} here".encode()
        made = mesh.run("endpoints", "create", receiver.url, "--event-type", "mail.*", "--view", "full", "--json")
        office.fill(mesh)
        eventually(lambda: len([one for one in receiver.webhooks if office.mark.encode() in one.body]) >= 4)
        receiver.text = b"ok"
        before = office.by_subject(mesh)
        cursor = cursor_at(mesh, before["From"].mail.event_id)
        operate(mesh, "CHECKPOINT")
        assert any(name.startswith("postgres/base") for name in files_with(mesh, office.canaries))

        expect_a_cancelled_erasure(mesh, office)
        erasure = erased(mesh, office)
        endpoint_id = json.loads(made.stdout)["endpoint"]["endpointId"]
        assert mesh.run("endpoints", "delete", endpoint_id, "--yes").returncode == 0
    expect_forgotten(mesh, office.canaries)

    _expect_the_report(mesh, office, erasure)
    after = office.by_subject(mesh)
    assert {"Tagged", "Longer"} == set(after)
    for subject, event in after.items():
        assert before[subject].SerializeToString(deterministic=True) == event.SerializeToString(deterministic=True)
    _expect_the_neighbours_rows(mesh, office)
    _expect_new_mail(mesh, office, cursor)


def erased(mesh: Mesh, office: Office) -> dict[str, Any]:
    """Erase the person by command; a second call finds the erasure that runs."""
    words = ("tenants", "erase-person", office.tenant, office.person.upper(), "--yes", "--no-wait", "--json")
    begun, again = (json.loads(mesh.run(*words).stdout) for _ in range(2))
    assert begun["erasureId"] == again["erasureId"]
    digest = hmac.digest(bytes.fromhex(begun["digestKey"]), office.person.encode(), "sha256").hex()
    assert begun["addressDigest"] == digest

    def finished() -> dict[str, Any] | None:
        shown = mesh.run("tenants", "person-erasure", office.tenant, begun["erasureId"], "--json").stdout
        found: dict[str, Any] = json.loads(shown)
        seen.update((one["service"], one.get("table", "")) for one in found.get("progress", []))
        return found if found["state"] == "ERASURE_STATE_ERASED" else None

    seen: set[tuple[str, str]] = set()
    done = eventually(finished, 300, what="the person is erased") or {}
    assert {"delivery", "ingest", "processor", "token-vault"} == {service for service, _ in seen}
    assert ("ingest", "items") in seen
    assert all(one["isDone"] for one in done["progress"])
    assert (begun["addressDigest"], "") == (done["addressDigest"], done.get("digestKey", ""))
    return done


def expect_a_cancelled_erasure(mesh: Mesh, office: Office) -> None:
    """Begin an erasure of the neighbour, and cancel it: everything is as before."""
    words = ("tenants", "erase-person", office.tenant, office.longer, "--yes", "--no-wait", "--json")
    begun = json.loads(mesh.run(*words).stdout)
    for _ in range(2):
        shown = mesh.run("tenants", "cancel-person-erasure", office.tenant, begun["erasureId"], "--json").stdout
        cancelled = json.loads(shown)
        assert ("ERASURE_STATE_CANCELLED", []) == (cancelled["state"], cancelled.get("tables", []))


def _expect_the_report(mesh: Mesh, office: Office, erasure: dict[str, Any]) -> None:
    report = verified(mesh, erasure)
    removed = report["removed"]
    assert {"delivery", "ingest", "processor", "token-vault"} == set(removed)
    assert {"calendar_events", "calendar_writes", "conversations", "events", "sends", "thread_participants"} <= set(
        removed["processor"]
    )
    assert 1 == removed["processor"]["sends"]
    assert removed["delivery"]["attempts"] >= 4
    assert office.person not in json.dumps(report)
    assert "erased" in mesh.run("tenants", "person-erasure", office.tenant, erasure["erasureId"]).stdout
    assert set(report["cutOffs"]) == set(removed)
    assert report["addressHmacSha256"] == erasure["addressDigest"]
    own = mesh.run("tenants", "erase-person", office.tenant, office.address, "--yes")
    assert "erase the tenant" in own.stderr


def _expect_the_neighbours_rows(mesh: Mesh, office: Office) -> None:
    sends = listed(mesh, "sends", "list", "--tenant", office.tenant)
    recipients = [recipient["address"] for one in sends for recipient in one.get("to", [])]
    assert [office.longer] == recipients
    assert ["", "PERSON_ERASED"] == sorted(one.get("reason", "") for one in sends)
    window = ("--from", "2026-12-01T00:00:00Z", "--to", "2027-01-01T00:00:00Z")
    attendees = [one.get("attendees", []) for one in listed(mesh, "calendars", "events", office.calendar, *window)]
    assert [[], [office.longer]] == sorted([one["person"]["address"] for one in entry] for entry in attendees)
    talks = json.dumps(listed(mesh, "conversations", "list", office.tenant))
    assert (True, True) == (office.longer in talks, office.tagged in talks)


def _expect_new_mail(mesh: Mesh, office: Office, cursor: str) -> None:
    """The mail mesh goes on, for the person and for a neighbour, behind a cursor at an erased event."""
    office.deliver(mesh, office.person, "Later")
    office.deliver(mesh, office.longer, "Further")
    eventually(lambda: len(created_events(mesh, office.tenant)) == 4)
    following = event_services.EventServiceStub(mesh.channel).ListEvents(
        events.ListEventsRequest(cursor=cursor, page_size=1000, filter=events.EventFilter(tenant_ids=[office.tenant]))
    )
    told = {event.mail.message.subject.split()[0] for event in following.events if event.HasField("mail")}
    assert {"Tagged", "Longer", "Later", "Further"} <= told
