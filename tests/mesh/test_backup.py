"""The drill: a backup of a running mesh is restored into an empty directory, while the providers live on."""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import httpx
import pytest

from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from mailmesh.processor.v1 import send_service_pb2 as sends
from mailmesh.processor.v1 import send_service_pb2_grpc as send_services
from stack.backup.slots import bytes_behind
from stack.blocking import run_blocking
from stack.programs.postgres import PostgresServer
from stack.simulated import SimulatorControl
from tests.mesh.accounts import PROVIDERS, all_events, connect, new_address, subscribe, told_when_all_are
from tests.mesh.delivery.receiver import OK, Receiver, receiving, verified
from tests.programs.mesh import Mesh, eventually, running_mesh
from tests.programs.providers import Providers

pytestmark = pytest.mark.timeout(500)
UNCERTAIN, SENT = sends.SEND_STATE_UNCERTAIN, sends.SEND_STATE_SENT


@dataclass
class Drill:
    """The test's own knowledge of the accounts, beside that of the mesh.

    Attributes:
        addresses: The mailbox of each tenant that receives mail.
        mails: The ids of the mails that arrived, by tenant.
        recipient: The mailbox that receives what the mesh sends.
    """

    addresses: dict[str, str] = field(default_factory=dict)
    mails: dict[str, list[str]] = field(default_factory=dict)
    recipient: str = ""

    def connect(self, mesh: Mesh) -> None:
        """Connect an account of each provider and subscribe to it."""
        self.recipient = new_address(mesh, "ms365")
        for provider in PROVIDERS:
            address = new_address(mesh, provider)
            tenant = connect(mesh, provider, address)
            subscribe(mesh, tenant)
            self.addresses[tenant], self.mails[tenant] = address, []

    def deliver(self, providers: Providers, count: int) -> None:
        """Let mail arrive at every account."""
        for tenant, address in self.addresses.items():
            first = len(self.mails[tenant])
            self.mails[tenant] += [mail["id"] for mail in providers.control.generate(address, count, first=first)]

    def expect_events(self, mesh: Mesh) -> None:
        """Wait until every mail is announced, and make sure that each is announced once."""
        for tenant, mails in self.mails.items():
            told = eventually(partial(told_when_all_are, mesh, tenant, len(mails)), what="all mail is announced")
            assert told == sorted(mails)

    def received(self, control: SimulatorControl) -> list[str]:
        """Return the subjects of the mails that the mesh has sent."""
        return sorted(mail["subject"] for mail in control.truth(self.recipient)["messages"])


def send(mesh: Mesh, tenant: str, recipient: str, subject: str) -> str:
    words = ("send", "--tenant", tenant, "--to", recipient, "--subject", subject, "--text", "Hello", "--json")
    done = mesh.run(*words)
    assert done.returncode == 0, done.stderr
    send_id: str = json.loads(done.stdout)["sendId"]
    return send_id


def state_of(mesh: Mesh, send_id: str) -> "sends.SendState.ValueType":
    return send_services.SendServiceStub(mesh.channel).GetSend(sends.GetSendRequest(send_id=send_id)).send.state


def cursor_of(mesh: Mesh) -> str:
    request = events.ListEventsRequest(cursor="latest")
    return event_services.EventServiceStub(mesh.channel).ListEvents(request).next_cursor


def reason_at(mesh: Mesh, cursor: str) -> str:
    """Return the reason why a cursor is refused; empty when it is not."""
    try:
        event_services.EventServiceStub(mesh.channel).ListEvents(events.ListEventsRequest(cursor=cursor))
    except grpc.RpcError as fault:
        call: Any = fault
        return next((word for word in ("CURSOR_EPOCH_CHANGED",) if word in str(call.trailing_metadata())), str(fault))
    return ""


def have_all_arrived(mesh: Mesh, drill: Drill, receiver: Receiver) -> bool:
    wanted = {event.mail.event_id for tenant in drill.addresses for event in all_events(mesh, tenant)}
    return wanted <= {webhook.webhook_id for webhook in receiver.accepted}


@dataclass
class Backup:
    """A backup and what the test knew when it was taken.

    Attributes:
        folder: Its folder.
        key: The file with its key.
        sends: The sends that had no outcome then.
        early: A cursor from before it.
        late: A cursor from after it.
        signing_key: The key of the webhooks.
        cookie: The secret of a browser's session, which ended after the backup.
    """

    folder: Path
    key: Path
    sends: list[str] = field(default_factory=list)
    early: str = ""
    late: str = ""
    signing_key: str = ""
    cookie: str = ""

    def run(self, mesh: Mesh, command: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Take it or restore it by the command line."""
        return mesh.run(command, str(self.folder), "--backup-key", str(self.key), "--json", *words)


def sign_in(mesh: Mesh) -> str:
    """Make a browser's session, and return its cookie."""
    key = {"authorization": f"Bearer {mesh.ready.admin_key_file.read_text().strip()}"}
    answer = httpx.post(f"{mesh.ready.http}/v1/sessions", json={}, headers=key, timeout=60, trust_env=False)
    return answer.headers["set-cookie"].partition(";")[0]


def status_of(mesh: Mesh, cookie: str) -> int:
    """Return the status that a page gets which reads the session."""
    headers = {"cookie": cookie, "sec-fetch-site": "same-origin"}
    url = f"{mesh.ready.http}/v1/sessions/current"
    return httpx.get(url, headers=headers, timeout=60, trust_env=False).status_code


def receive(mesh: Mesh, drill: Drill, receiver: Receiver, providers: Providers) -> str:
    """Let mail become events and webhooks, until the receiver goes away; return the key of the webhooks."""
    made = mesh.run("endpoints", "create", receiver.url, "--event-type", "mail.*", "--json")
    drill.deliver(providers, 3)
    drill.expect_events(mesh)
    eventually(partial(have_all_arrived, mesh, drill, receiver))
    # These deliveries wait in the queue at the time of the backup.
    receiver.answer = lambda _content, _earlier: (503, {})
    drill.deliver(providers, 2)
    drill.expect_events(mesh)
    signing_key: str = json.loads(made.stdout)["signingKey"]
    return signing_key


def begin_sends(mesh: Mesh, drill: Drill, control: SimulatorControl) -> tuple[list[str], int]:
    """Begin sends that have no outcome yet; return their ids, and the fault that holds the last one back."""
    senders = {provider: new_address(mesh, provider) for provider in PROVIDERS}
    tenants = {one: connect(mesh, one, address, ["mail.read", "mail.send"]) for one, address in senders.items()}
    # One is accepted and its answer hangs; the next waits behind it; the provider refuses the last for now.
    control.fault(kind="hang", endpoint="graph.messages.send", account=senders["ms365"], phase="after", seconds=30)
    refusal = control.fault(kind="status", status=503, endpoint="gmail.*", account=senders["googlews"])
    hanging = send(mesh, tenants["ms365"], drill.recipient, "Hanging")
    behind = send(mesh, tenants["ms365"], drill.recipient, "Behind")
    refused = send(mesh, tenants["googlews"], drill.recipient, "Refused")
    eventually(lambda: "Hanging" in drill.received(control))
    return [hanging, behind, refused], refusal


def lose_the_disk(
    mesh: Mesh, drill: Drill, receiver: Receiver, providers: Providers, backup: Backup, refusal: int
) -> None:
    """Go on after the backup, then lose the events, the deliveries, and the knowledge that a mail was sent."""
    providers.control.call("DELETE", f"faults/{refusal}")
    eventually(lambda: state_of(mesh, backup.sends[-1]) == SENT)
    receiver.answer = lambda _content, _earlier: OK
    drill.deliver(providers, 3)
    drill.expect_events(mesh)
    backup.late = cursor_of(mesh)
    mesh.cut_power()
    shutil.rmtree(mesh.data)
    providers.control.clear_faults()
    drill.deliver(providers, 2)


def expect_nothing_twice(mesh: Mesh, drill: Drill, control: SimulatorControl, backup: Backup, sent: list[str]) -> None:
    """Check that a person decides about every open send, and that no mail went out a second time."""
    assert [UNCERTAIN] * 3 == [state_of(mesh, one) for one in backup.sends]
    assert sent == drill.received(control)
    # A person may have it sent again: the mail that went out is found by its mark.
    assert mesh.run("sends", "resolve", backup.sends[0], "send_again", "--yes").returncode == 0
    eventually(lambda: state_of(mesh, backup.sends[0]) == SENT)
    assert sent == drill.received(control)


def test_a_restored_backup_loses_nothing_and_sends_nothing_twice(
    providers: Providers, short_folder: Path, tmp_path: Path
) -> None:
    backup, drill = Backup(tmp_path / "backup", tmp_path / "backup.key"), Drill()
    environment = {**providers.environment, "MAILMESH_DELIVERY_ALLOWED_NETWORKS": "127.0.0.0/8"}
    environment["MAILMESH_DELIVERY_RETRY_SECONDS"] = ",".join(["1"] * 30)
    with receiving() as receiver:
        with running_mesh(short_folder / "before", *providers.options, environment=environment) as mesh:
            providers.serve(mesh)
            drill.connect(mesh)
            backup.early = cursor_of(mesh)
            backup.signing_key = receive(mesh, drill, receiver, providers)
            backup.sends, refusal = begin_sends(mesh, drill, providers.control)
            backup.cookie = sign_in(mesh)
            assert status_of(mesh, backup.cookie) == 200
            taken = [backup.run(mesh, "backup", "--new-key"), backup.run(mesh, "backup")]
            lose_the_disk(mesh, drill, receiver, providers, backup, refusal)
        sent = drill.received(providers.control)
        mesh.data = short_folder / "after"
        restored = [backup.run(mesh, "restore") for _ in range(2)]
        with running_mesh(mesh.data, *providers.options, environment=environment) as second:
            providers.serve(second)
            drill.expect_events(second)
            eventually(partial(have_all_arrived, second, drill, receiver))

            expect_nothing_twice(second, drill, providers.control, backup, sent)
            assert ["", "CURSOR_EPOCH_CHANGED"] == [reason_at(second, one) for one in (backup.early, backup.late)]
            assert verified(receiver.accepted[-1], backup.signing_key)
            assert status_of(second, backup.cookie) == 401
            assert not (mesh.data / "restored").exists()
    assert [0, 1, 0, 1] == [done.returncode for done in (*taken, *restored)], [taken, restored]
    assert "has files already" in taken[1].stderr
    assert "has an installation already" in restored[1].stderr


def wait_archived(mesh: Mesh) -> None:
    """Wait until the archive has what was written so far. A running mesh writes on, so the two are seldom equal."""
    server = PostgresServer(mesh.data / "postgres", mesh.ready.supervisor.parent, mesh.data / "postgres.password")
    written = run_blocking(position(server.url()))

    def archived() -> bool:
        now, behind = run_blocking(position(server.url())), run_blocking(bytes_behind(server.url()))
        return behind is not None and now - behind >= written

    eventually(archived, what="the log is archived")


async def position(url: str) -> int:
    """Return where the log ends, in bytes."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=10)
    try:
        return int(await connection.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"))
    finally:
        await connection.close()


def test_mail_goes_on_without_the_disk_of_the_archive_and_the_log_is_archived_when_it_is_there(
    short_folder: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "wal"
    archive.write_text("no folder, as a disk that is not mounted")
    with running_mesh(short_folder / "no-disk", "--wal-archive", str(archive)) as mesh:
        warned = mesh.log.read_text()
        without = json.loads(mesh.run("doctor", "--offline", "--json").stdout)
        archive.unlink()
        wait_archived(mesh)
        with_disk = json.loads(mesh.run("doctor", "--offline", "--json").stdout)

    assert "The mesh starts without it" in warned
    assert [["bad"], ["good"]] == [
        [finding["grade"] for finding in checked if finding["name"] == "log archive"]
        for checked in (without, with_disk)
    ]


def ids_of(mesh: Mesh, drill: Drill) -> dict[str, set[str]]:
    return {tenant: {event.mail.event_id for event in all_events(mesh, tenant)} for tenant in drill.addresses}


def test_a_restore_with_the_archived_log_keeps_the_events_and_cursors_from_after_the_backup(
    providers: Providers, short_folder: Path, tmp_path: Path
) -> None:
    backup, drill = Backup(tmp_path / "backup", tmp_path / "backup.key"), Drill()
    archive = ("--wal-archive", str(tmp_path / "wal"))
    with running_mesh(short_folder / "lost", *providers.options, *archive, environment=providers.environment) as mesh:
        providers.serve(mesh)
        drill.connect(mesh)
        assert backup.run(mesh, "backup", "--new-key").returncode == 0
        drill.deliver(providers, 3)
        drill.expect_events(mesh)
        before, backup.late = ids_of(mesh, drill), cursor_of(mesh)
        wait_archived(mesh)
        checked = json.loads(mesh.run("doctor", "--offline", "--json").stdout)
        mesh.cut_power()
        shutil.rmtree(mesh.data)
        drill.deliver(providers, 1)
    mesh.data = short_folder / "found"
    restored = backup.run(mesh, "restore", *archive)
    assert restored.returncode == 0, restored.stderr
    with running_mesh(mesh.data, *providers.options, environment=providers.environment) as second:
        providers.serve(second)
        drill.expect_events(second)

        after = ids_of(second, drill)
        assert [(True, 1)] * 2 == [(ids < after[one], len(after[one] - ids)) for one, ids in before.items()]
        assert reason_at(second, backup.late) == ""
    assert ["good"] == [finding["grade"] for finding in checked if finding["name"] == "log archive"]
    assert "lastChangeAt" in json.loads(restored.stdout)
