"""The example programs in each language against the whole mesh: real services, a real account, real mail."""

import asyncio
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.programs import Program, build
from tests.mesh.accounts import connect, created_events, new_address, subscribe
from tests.mesh.processor.test_calendars import reader, told
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Consumer:
    """Someone who may see one tenant, and three mails of it."""

    key: str
    tenant: str
    address: str
    subjects: list[str]


@pytest.fixture(scope="module")
def consumer(mesh: Mesh) -> Consumer:
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    subscribe(mesh, tenant)
    subjects = [f"{number}: {uuid.uuid4()}" for number in range(3)]
    for subject in subjects:
        mesh.simulator.deliver(address, subject=subject, text="Hello", **{"from": "ada@example.test"})
    eventually(lambda: len(created_events(mesh, tenant)) >= len(subjects))
    made = mesh.run("keys", "create", "consumer", "--role", "reader", "--tenant", tenant)
    assert made.returncode == 0, made.stderr
    return Consumer(made.stdout.strip(), tenant, address, subjects)


@pytest.fixture(scope="module", params=["python", "typescript", "typescript-web", "go"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    return build(request.param, tmp_path_factory.mktemp(request.param))


def run(program: Program, mesh: Mesh, key: str, *arguments: str) -> tuple[int, list[str], str]:
    return asyncio.run(program.run(mesh.ready.http, key, *arguments))


def test_a_key_sees_its_own_tenant_only(program: Program, mesh: Mesh, consumer: Consumer) -> None:
    line = f"{consumer.tenant}\tms365\tactive\t{consumer.address}"

    assert run(program, mesh, consumer.key, "tenants") == (0, [line], "")


def test_mail_arrives_as_events(program: Program, mesh: Mesh, consumer: Consumer, tmp_path: Path) -> None:
    cursor = tmp_path / "cursor"
    told: list[str] = []
    while not set(consumer.subjects) <= {line.rpartition("\t")[2] for line in told}:
        status, lines, complaint = run(program, mesh, consumer.key, "tail", str(cursor), "1")
        assert (status, len(lines)) == (0, 1), complaint
        told += lines

    created = [line for line in told if line.startswith("mail.created\t")]
    assert sorted(created) == sorted(f"mail.created\t{consumer.tenant}\t{subject}" for subject in consumer.subjects)


def test_a_mail_is_answered_once_however_often_the_program_runs(program: Program, mesh: Mesh) -> None:
    address, author = new_address(mesh, "ms365"), new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address, ["mail.read", "mail.send"])
    fields = {"from": author, "to": [address], "subject": "Question", "text": "How much?"}
    question = mesh.simulator.deliver(address, **fields)["id"]
    made = mesh.run("keys", "create", "sender", "--role", "operator", "--tenant", tenant, "--ability", "mail.send")
    answers = [run(program, mesh, made.stdout.strip(), "reply", tenant, question, "Thirty euros.") for _ in range(2)]
    send_id = answers[0][1][0]
    sent = eventually(lambda: _sent(mesh, send_id))

    assert [(0, [send_id], "")] * 2 == answers
    assert ["SEND_STATE_SENT", author] == [sent["state"], sent["to"][0]["address"]]
    assert ["RE: Question"] == [mail["subject"] for mail in mesh.simulator.truth(author)["messages"]]


def test_a_teams_meeting_is_made_and_accepted_once_however_often_the_program_runs(program: Program, mesh: Mesh) -> None:
    address, tenant = reader(mesh, "ms365", ("mail.read", "calendar.read", "calendar.write"))
    (calendar,) = json.loads(mesh.run("calendars", "list", tenant, "--json").stdout)
    mesh.run("calendars", "follow", calendar["calendarId"])
    made = mesh.run(
        "keys", "create", "planner", "--role", "operator", "--tenant", tenant, "--ability", "calendar.write"
    )
    key = made.stdout.strip()
    meeting = ("meet", calendar["calendarId"], "Review", "2026-11-30T09:00:00", "2026-11-30T10:00:00", "Europe/Berlin")
    meetings = [run(program, mesh, key, *meeting) for _ in range(2)]
    held = eventually(lambda: _written(mesh, meetings[0][1][0]))
    organizer = new_address(mesh, "ms365")
    (theirs,) = mesh.simulator.call("GET", f"accounts/{organizer}/calendars")
    invited = [{"type": "required", "emailAddress": {"address": address, "name": address}}]
    times = {"start": "2026-11-30T14:00:00", "end": "2026-11-30T15:00:00"}
    path = f"accounts/{organizer}/calendars/{theirs['id']}/events"
    mesh.simulator.call("POST", path, subject="Plan", attendees=invited, **times)
    invitation = eventually(lambda: [one for one in told(mesh, tenant) if one.event.subject == "Plan"], 200)[0]
    answers = [run(program, mesh, key, "accept", invitation.event.calendar_event_id) for _ in range(2)]
    answered = eventually(lambda: _written(mesh, answers[0][1][0]))
    (shown,) = mesh.simulator.call("GET", f"accounts/{organizer}/calendars")
    (own,) = mesh.simulator.call("GET", f"accounts/{address}/calendars")

    assert [(0, [held["calendarWriteId"]], "")] * 2 == meetings
    assert [(0, [answered["calendarWriteId"]], "")] * 2 == answers
    assert ["CALENDAR_WRITE_STATE_DONE"] * 2 == [held["state"], answered["state"]]
    assert "teamsForBusiness" == held["onlineMeeting"]["provider"]
    assert ["Plan", "Review"] == sorted(one["subject"] for one in own["events"])
    assert ["accepted"] == [one["attendees"][address] for one in shown["events"]]


def _written(mesh: Mesh, write_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(mesh.run("calendar-writes", "get", write_id, "--json").stdout)
    return found if "finishedAt" in found else {}


def _sent(mesh: Mesh, send_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(mesh.run("sends", "get", send_id, "--json").stdout)
    return found if "finishedAt" in found else {}


def test_failures_are_told_by_their_reason(program: Program, mesh: Mesh, consumer: Consumer) -> None:
    nobody = str(uuid.uuid4())

    assert run(program, mesh, consumer.key, "tenant", nobody) == (1, [], f"there is no tenant {nobody}\n")
    assert run(program, mesh, "mm_wrong", "tenants") == (1, [], "the API key is not good (any more)\n")
