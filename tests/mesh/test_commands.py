"""The command line against the running mesh."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack.diagnosis.finding import Grade
from stack.diagnosis.reach import reach_findings
from tests.mesh.accounts import PROVIDERS, connect, new_address, subscribe, told_when_all_are
from tests.programs.mesh import Mesh, eventually
from tests.programs.old_proxy import old_proxy

pytestmark = pytest.mark.timeout(400)
NOBODY = "01900000-0000-7000-8000-000000000000"


@contextmanager
def command(mesh: Mesh, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Runs a command that goes on for a while."""
    words = (sys.executable, "-m", "stack", "--data", str(mesh.data), *arguments)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_connect_prints_the_address_waits_and_tells_the_result(mesh: Mesh, provider: str) -> None:
    address = new_address(mesh, provider)
    with command(mesh, "connect", provider, "--no-browser", "--json", "--timeout", "60") as waiting:
        assert waiting.stderr is not None
        url = waiting.stderr.readline().strip()
        mesh.consent(url, address)
        shown, complaint = waiting.communicate(timeout=60)

    assert waiting.returncode == 0, complaint
    assert json.loads(shown)["address"] == address


def test_connect_tells_that_someone_said_no(mesh: Mesh) -> None:
    address = new_address(mesh, "googlews")
    with command(mesh, "connect", "googlews", "--no-browser", "--timeout", "60") as waiting:
        assert waiting.stderr is not None
        url = waiting.stderr.readline().strip()
        mesh.consent(url, address, accept=False)
        _, complaint = waiting.communicate(timeout=60)

    assert waiting.returncode == 6
    assert "CONSENT_DENIED" in complaint


def operators_key(mesh: Mesh, folder: Path) -> tuple[str, str]:
    """The option that makes a command use a key which may not read the audit log."""
    key = folder / "operator.key"
    key.write_text(mesh.run("keys", "create", "helpdesk", "--role", "operator").stdout)
    return "--key-file", str(key)


def test_connect_with_an_operators_key_says_why_and_what_to_do(mesh: Mesh, tmp_path: Path) -> None:
    address = new_address(mesh, "googlews")
    asked = (*operators_key(mesh, tmp_path), "connect", "googlews", "--no-browser", "--timeout", "60")
    with command(mesh, *asked) as waiting:
        assert waiting.stderr is not None
        url = waiting.stderr.readline().strip()
        mesh.consent(url, address, accept=False)
        _, complaint = waiting.communicate(timeout=60)

    assert waiting.returncode == 6
    assert len(complaint.strip().splitlines()) == 1
    assert "CONSENT_DENIED" in complaint
    assert "begin again" in complaint


def test_connect_with_an_operators_key_takes_nobody_elses_account(mesh: Mesh, tmp_path: Path) -> None:
    own, other = new_address(mesh, "ms365"), new_address(mesh, "ms365")
    asked = (*operators_key(mesh, tmp_path), "connect", "ms365", "--no-browser", "--json", "--timeout", "60")
    with command(mesh, *asked) as waiting:
        assert waiting.stderr is not None
        url = waiting.stderr.readline().strip()
        connect(mesh, "ms365", other)
        mesh.consent(url, own)
        shown, complaint = waiting.communicate(timeout=60)

    assert waiting.returncode == 0, complaint
    assert json.loads(shown)["address"] == own


def test_connect_waits_no_longer_than_it_is_told_to(mesh: Mesh) -> None:
    done = mesh.run("connect", "ms365", "--no-browser", "--timeout", "1")

    assert done.returncode == 5
    assert "the sign-in was not finished in time; the attempt ends at" in done.stderr


def test_tail_gives_one_event_a_line_as_they_come(mesh: Mesh) -> None:
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    subscribe(mesh, tenant)
    save = mesh.data / "position.txt"
    tail = ("events", "tail", "--json", "--tenant", tenant, "--type", "mail.created", "--save", str(save))
    with command(mesh, *tail, "--cursor", "earliest", "--count", "2") as following:
        mails = mesh.simulator.generate(address, 2)
        shown, complaint = following.communicate(timeout=60)
    assert following.returncode == 0, complaint
    told = [json.loads(line)["mail"]["messageId"] for line in shown.splitlines()]
    assert sorted(told) == sorted(mail["id"] for mail in mails)

    with command(mesh, *tail, "--count", "1") as following:
        later = mesh.simulator.generate(address, 1, first=2)
        shown, _ = following.communicate(timeout=60)
    assert [json.loads(line)["mail"]["messageId"] for line in shown.splitlines()] == [later[0]["id"]]


def test_a_replay_appends_the_events_again(mesh: Mesh) -> None:
    address = new_address(mesh, "ms365")
    tenant = connect(mesh, "ms365", address)
    subscribe(mesh, tenant)
    mesh.simulator.generate(address, 3)
    eventually(lambda: told_when_all_are(mesh, tenant, 3))
    chosen = ("--from", "earliest", "--tenant", tenant, "--type", "mail.created")
    counted = json.loads(mesh.run("replay", *chosen, "--dry-run", "--json").stdout)
    done = json.loads(mesh.run("replay", *chosen, "--json").stdout)
    listed = mesh.run("events", "list", "--tenant", tenant, "--replays", "--cursor", done["startCursor"], "--json")

    assert (counted["matched"], done["appended"]) == ("3", "3")
    replays = [json.loads(line)["mail"] for line in listed.stdout.splitlines()]
    assert {replay["replayId"] for replay in replays if replay["isReplay"]} == {done["replayId"]}
    assert sum(replay["isReplay"] for replay in replays) == 3


def test_keys_have_roles_and_end_when_revoked(mesh: Mesh) -> None:
    made = json.loads(mesh.run("keys", "create", "reader", "--json").stdout)
    key_file = mesh.data / "reader.key"
    key_file.write_text(made["secret"])
    reader = ("--key-file", str(key_file))

    assert mesh.run(*reader, "tenants", "list").returncode == 0
    assert mesh.run(*reader, "keys", "list").returncode == 4
    assert mesh.run("keys", "revoke", made["apiKey"]["apiKeyId"], "--yes").returncode == 0
    refused = eventually(lambda: _refusal(mesh, reader))
    assert "API_KEY_INVALID" in refused


def _refusal(mesh: Mesh, key: tuple[str, ...]) -> str:
    done = mesh.run(*key, "tenants", "list")
    return done.stderr if done.returncode == 4 else ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("tenants", "show", NOBODY), 3),
        (("subscriptions", "show", NOBODY), 3),
        (("events", "show", NOBODY), 3),
        (("connect", "yahoo", "--no-browser"), 2),
        (("events", "list", "--cursor", "nonsense"), 2),
        (("--server", "127.0.0.1:1", "--key-file", "{key}", "tenants", "list"), 5),
    ],
)
def test_exit_codes_tell_what_went_wrong(mesh: Mesh, arguments: tuple[str, ...], code: int) -> None:
    done = mesh.run(*(part.format(key=mesh.ready.admin_key_file) for part in arguments))

    assert done.returncode == code, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments", [("status",), ("dead-letters", "list"), ("audit",), ("subscriptions", "list")])
def test_what_is_shown_to_people_is_also_told_to_machines(mesh: Mesh, arguments: tuple[str, ...]) -> None:
    shown, told = mesh.run(*arguments), mesh.run(*arguments, "--json")

    assert shown.returncode == 0, shown.stderr
    json.loads(told.stdout)


def test_the_doctor_finds_the_mesh_healthy(mesh: Mesh) -> None:
    done = mesh.run("doctor", "--json")
    grades = {finding["name"]: finding["grade"] for finding in json.loads(done.stdout)}

    assert done.returncode == 0, done.stdout
    assert grades["Graph handshake"] == "good"
    assert grades["Gmail push without proof"] == "good"
    assert grades["Protocol to the edge"] == "good"


def test_the_doctor_checks_an_installation_from_outside(mesh: Mesh) -> None:
    done = mesh.run("doctor", "--deployed", f"http://{mesh.ready.grpc}", "--json")
    grades = {finding["name"]: finding["grade"] for finding in json.loads(done.stdout)}

    assert grades.pop("TLS") == "warning"
    assert set(grades.values()) == {"good"}, done.stdout
    expected = {"edge", "clock", "console", "Graph handshake", "gRPC health", "API without a key", "contract"}
    assert expected <= set(grades)
    assert done.returncode == 0


def test_the_doctor_names_a_proxy_that_speaks_http_1_0(mesh: Mesh) -> None:
    with old_proxy(mesh.ready.grpc) as public:
        found = {finding.name: finding for finding in reach_findings({"MAILMESH_PUBLIC_URL": public}, mesh.ready)}

    assert found["Graph handshake"].grade is Grade.GOOD
    assert found["Protocol to the edge"].grade is Grade.WARNING
    assert "proxy_http_version 1.1" in found["Protocol to the edge"].remedy


def test_the_vaults_keys_are_rotated_while_tokens_are_lent_and_nothing_is_restarted(mesh: Mesh) -> None:
    tenant = connect(mesh, "ms365", new_address(mesh, "ms365"))
    before = (mesh.data / "vault.keys").read_text().splitlines()
    starts = _vault_says(mesh, "process started")
    done = mesh.run("vault", "rotate", "--retire", "--yes")

    assert done.returncode == 0, done.stderr
    eventually(lambda: _vault_says(mesh, "keys read again") >= 2)
    assert _vault_says(mesh, "process started") == starts
    assert re.search(r"[1-9]\d* data keys were rewrapped", done.stdout)
    after = (mesh.data / "vault.keys").read_text().splitlines()
    assert len(after) == 1
    assert after[0] not in before
    eventually(lambda: mesh.run("tenants", "test", tenant).returncode == 0)


def test_a_file_of_keys_that_cannot_be_read_rotates_nothing_and_is_told(mesh: Mesh) -> None:
    file = mesh.data / "vault.keys"
    good = file.read_text()
    file.write_text(f"{good}no colon here\n")
    try:
        done = mesh.run("vault", "rotate")
    finally:
        file.write_text(good)

    assert done.returncode == 1
    assert "needs an id" in done.stderr


def _vault_says(mesh: Mesh, event: str) -> int:
    """How many lines TokenVault has written about something."""
    lines = (mesh.ready.log_folder / "token-vault.log").read_text().splitlines()
    return sum(f'"event": "{event}"' in line for line in lines)


def test_a_reader_that_stops_reading_ends_the_command_quietly(mesh: Mesh) -> None:
    with command(mesh, "events", "list", "--limit", "0", "--json") as listing:
        assert listing.stdout is not None
        threading.Thread(target=listing.stdout.close).start()
        assert listing.stderr is not None
        complaint = listing.stderr.read()
        listing.wait(60)

    assert complaint == ""
