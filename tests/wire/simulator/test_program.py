"""The program as a whole: its options, its ready file, its scenarios, its end."""

import asyncio
import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator.__main__ import main
from simulator.control_client import blocking
from simulator.program import SAVE_SECONDS
from stack.certificates import MeshCertificates
from tests.programs.simulator import running_simulator

# Each test starts the program, some of them twice.
pytestmark = pytest.mark.timeout(300)

SCENARIO = """
settings: {gmail_units_per_minute: 6000}
accounts:
  - {provider: ms365, address: "s{n}@scenario.test", count: 3}
faults:
  - {kind: status, endpoint: gmail.profile, status: 503, count: 2}
steps:
  - {at: 0, do: mail.deliver, with: {account: s0@scenario.test, subject: First, text: Hi}}
  - {at: 0.2, do: mail.generate, with: {account: s1@scenario.test, count: 2}, repeat: 2, every: 0.1}
  - {at: 0.1, do: load.start, with: {accounts: [s2@scenario.test], perSecond: 50, seconds: 0.2}}
"""


def test_a_scenario_makes_its_world_and_takes_its_steps(certificates: MeshCertificates, tmp_path):
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO)
    with running_simulator(
        certificates.identity("simulator"), "--scenario", str(file), "--account", "ms365:a@b.test"
    ) as program:

        async def finished(control):
            async with asyncio.timeout(60):
                while (await control.request("GET", "/scenario"))["running"]:
                    await asyncio.sleep(0.05)
            counts = {account["address"]: account["messages"] for account in await control.accounts()}
            return counts, await control.request("GET", "/settings"), await control.request("GET", "/faults")

        counts, settings, faults = blocking(str(program.ready["controlUrl"]), finished)
        assert {"a@b.test": 0, "s0@scenario.test": 1, "s1@scenario.test": 4, "s2@scenario.test": 10} == counts
        assert (6000, 1) == (settings["gmail_units_per_minute"], len(faults))


def test_mailboxes_are_fed_from_eml_files_and_from_the_seed(certificates: MeshCertificates, tmp_path):
    folder = tmp_path / "mail" / "a@b.test"
    folder.mkdir(parents=True)
    (folder / "1.eml").write_bytes(b"Message-ID: <1@x>\r\nSubject: One\r\n\r\nHi")
    (folder / "2.eml").write_bytes(b"\xff\xfe not a mail at all")
    options = ("--account", "ms365:a@b.test", "--mail", str(tmp_path / "mail"), "--old-mails", "10", "--seed", "7")
    with running_simulator(certificates.identity("simulator"), *options) as program:
        truth = blocking(str(program.ready["controlUrl"]), lambda control: control.truth("a@b.test"))
    with running_simulator(certificates.identity("simulator"), *options) as program:
        again = blocking(str(program.ready["controlUrl"]), lambda control: control.truth("a@b.test"))
    assert 12 == len(truth["messages"])
    assert "<1@x>" in [mail["internetMessageId"] for mail in truth["messages"]]
    assert [mail["id"] for mail in truth["messages"]] == [mail["id"] for mail in again["messages"]]


def test_the_same_seed_churns_a_mailbox_in_the_same_way(certificates: MeshCertificates):
    ends = []
    for _ in range(2):
        with running_simulator(certificates.identity("simulator"), "--seed", "3") as program:
            for account in ("anna@contoso.test", "carla@fabrikam.test"):
                blocking(
                    str(program.ready["controlUrl"]),
                    lambda control, account=account: control.churn(account, 200, seed=5),
                )
            truths = [
                blocking(str(program.ready["controlUrl"]), lambda control, account=account: control.truth(account))
                for account in ("anna@contoso.test", "carla@fabrikam.test")
            ]
        ends.append(
            [[(mail["id"], mail["subject"], mail["version"]) for mail in truth["messages"]] for truth in truths]
        )
        assert all(truth["deleted"] for truth in truths)
    assert ends[0] == ends[1]


def test_the_ready_file_is_private_and_points_services_here(certificates: MeshCertificates, tmp_path):
    identity = certificates.identity("simulator")
    with running_simulator(identity, "--push-endpoint", "http://127.0.0.1:9/push", "--pubsub-audience", "") as program:
        settings = program.settings
        assert "http://127.0.0.1:9/push" == settings["MAILMESH_GOOGLEWS_PUBSUB_AUDIENCE"]
        assert f"{program.microsoft}/organizations" == settings["MAILMESH_MS365_AUTHORITY"]
        assert str(identity.authority) == settings["MAILMESH_PROVIDER_CA"]
        assert program.process.pid == program.ready["pid"]
        from_file = next(path for path in program.process.args if str(path).endswith("ready.json"))
        assert 0o600 == stat.S_IMODE(Path(from_file).stat().st_mode)


def test_client_secrets_come_from_the_environment(certificates: MeshCertificates, monkeypatch):
    monkeypatch.setenv("SIMULATOR_MICROSOFT_CLIENT_SECRET", "another")
    with running_simulator(certificates.identity("simulator")) as program:
        assert "another" == program.settings["MAILMESH_MS365_CLIENT_SECRET"]
        assert "another" not in " ".join(map(str, program.process.args))


def test_what_it_knows_outlives_a_restart(certificates: MeshCertificates, tmp_path):
    options = ("--state", str(tmp_path / "state.json"), "--push-endpoint", "http://127.0.0.1:9/push")
    accounts = ("anna@contoso.test", "carla@fabrikam.test")

    async def first_life(control):
        for account in accounts:
            await control.load_old(account, 20)
            await control.churn(account, 100, seed=2)
            await control.issue_tokens(account)
        folder = await control.add_folder(accounts[0], "Projects")
        await control.deliver(accounts[0], subject="Filed", folder=folder["id"])
        await control.update_account(accounts[1], sendAs={"sales@fabrikam.test": "accepted"})
        return [await control.truth(account) for account in accounts], await control.accounts()

    async def second_life(control):
        assert "Projects" in [one["path"] for one in await control.request("GET", f"/accounts/{accounts[0]}/folders")]
        truths, kept = [await control.truth(account) for account in accounts], await control.accounts()
        mails = [await control.deliver(account, subject="New") for account in accounts]
        return truths, kept, mails

    with running_simulator(certificates.identity("simulator"), *options) as program:
        before, facts = blocking(str(program.ready["controlUrl"]), first_life)
    with running_simulator(certificates.identity("simulator"), *options) as program:
        after, kept, mails = blocking(str(program.ready["controlUrl"]), second_life)
    assert facts == kept
    for was, now, mail in zip(before, after, mails, strict=True):
        assert was["messages"] == now["messages"]
        assert was["deleted"] == now["deleted"]
        assert mail["id"] not in [one["id"] for one in (*was["messages"], *was["deleted"])]
    assert int(after[1]["historyId"]) > int(before[1]["historyId"])


def test_it_goes_on_while_its_state_cannot_be_saved(certificates: MeshCertificates, tmp_path):
    """As while the disk is full: the folder of the file is not there at first."""
    folder = tmp_path / "full"
    options = ("--state", str(folder / "state.json"))
    address = "anna@contoso.test"
    with running_simulator(certificates.identity("simulator"), *options) as program:
        url = str(program.ready["controlUrl"])
        blocking(url, lambda control: control.deliver(address, subject="Kept"))
        time.sleep(SAVE_SECONDS + 1)
        assert program.process.poll() is None
        folder.mkdir()
    with running_simulator(certificates.identity("simulator"), *options) as program:
        truth = blocking(str(program.ready["controlUrl"]), lambda control: control.truth(address))
    assert "Kept" in [mail["subject"] for mail in truth["messages"]]


def test_mail_that_waits_for_transport_leaves_before_the_end(certificates: MeshCertificates, tmp_path):
    options = ("--state", str(tmp_path / "state.json"), "--set", "graph_sent_copy_seconds=600")
    people = [{"emailAddress": {"address": "carla@fabrikam.test"}}]

    async def send(control):
        tokens = await control.issue_tokens("anna@contoso.test", scopes="Mail.Send")
        async with program.browser() as client:
            url = f"{program.microsoft}/graph/v1.0/me/sendMail"
            headers = {"authorization": f"Bearer {tokens['access_token']}"}
            body = {"message": {"subject": "Late", "toRecipients": people}}
            return (await client.post(url, json=body, headers=headers)).status_code

    async def arrived(control):
        return [(await control.truth(one))["messages"] for one in ("anna@contoso.test", "carla@fabrikam.test")]

    with running_simulator(certificates.identity("simulator"), *options) as program:
        assert 202 == blocking(str(program.ready["controlUrl"]), send)
    with running_simulator(certificates.identity("simulator"), *options) as program:
        (sent,), (received,) = blocking(str(program.ready["controlUrl"]), arrived)
    assert ("sentitems", False, "Late") == (sent["wellKnownFolder"], sent["isDraft"], received["subject"])


def test_pubsubs_message_ids_go_on_rising_after_a_restart(certificates: MeshCertificates):
    async def forge(control):
        forged = await control.request("POST", "/pubsub/forge", {"historyId": 1})
        return int(forged["body"]["message"]["messageId"])

    ids = []
    for _ in range(2):
        with running_simulator(certificates.identity("simulator")) as program:
            ids += [blocking(str(program.ready["controlUrl"]), forge) for _ in range(2)]
    assert sorted(set(ids)) == ids


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_and_cleanly(certificates: MeshCertificates, number):
    with running_simulator(certificates.identity("simulator")) as program:
        blocking(str(program.ready["controlUrl"]), lambda control: control.accounts())
        began = time.monotonic()
        program.process.send_signal(number)
        assert 0 == program.process.wait(30)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("wrong", [["--set", "nonsense=1"], ["--account", "nobody"], ["--set", "nonsense"]], ids=str)
def test_a_wrong_option_is_one_clear_line(certificates: MeshCertificates, capsys, wrong):
    identity = certificates.identity("simulator")
    try:
        code = main(["--cert", str(identity.certificate), "--key", str(identity.key), *wrong])
    except SystemExit as end:
        code = end.code
    assert code in (1, 2)
    assert wrong[-1].partition("=")[0] in capsys.readouterr().err


def test_a_scenario_that_is_not_there_is_one_clear_line(certificates: MeshCertificates):
    identity = certificates.identity("simulator")
    base = [sys.executable, "-m", "simulator", "--cert", str(identity.certificate), "--key", str(identity.key)]
    done = subprocess.run([*base, "--scenario", "/nowhere"], capture_output=True, text=True, timeout=60, check=False)
    assert (1, 1) == (done.returncode, len(done.stderr.strip().splitlines()))


def test_the_shell_can_ask_for_anything(certificates: MeshCertificates):
    with running_simulator(certificates.identity("simulator")) as program:
        command = [sys.executable, "-m", "simulator.control_client", str(program.ready["controlUrl"])]
        post = [*command, "POST", "/accounts/anna@contoso.test/messages", "subject=From the shell"]
        done = subprocess.run(post, capture_output=True, text=True, timeout=60, check=True)
    assert "From the shell" == json.loads(done.stdout)["subject"]
