"""Mailboxes with the app's own access on the running mesh: consent, events by push, a send, and nothing of others."""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from mailmesh.ingest.v1 import subscription_service_pb2
from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import message_service_pb2_grpc as message_services
from services.meshkit.status import info_of
from tests.mesh.accounts import connect, created_events, subscribe, told_when_all_are
from tests.programs.mesh import Mesh, eventually, running_mesh

pytestmark = pytest.mark.timeout(400)
KEYLESS, KEYLESS_ID = "mailmesh@mailmesh-simulator.iam.gserviceaccount.com", str(10**20 + 1)


def run(mesh: Mesh, *arguments: str) -> Any:
    """Runs a command and returns its answer."""
    done = mesh.run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def account(mesh: Mesh, address: str) -> dict[str, Any]:
    """Adds an account and returns it."""
    mesh.simulator.add_account("ms365", address)
    found: dict[str, Any] = mesh.simulator.call("GET", f"accounts/{address}")
    return found


def refused_mark(mesh: Mesh, tenant: str, mail: str) -> tuple[str, str]:
    """Marks a mail without the ability to, and returns the sentence of the refusal and the command in it."""
    change = messages.MessageChange(is_read=True)
    request = messages.ModifyMessagesRequest(
        idempotency_key="refused", tenant_id=tenant, message_ids=[mail], change=change
    )
    with pytest.raises(grpc.RpcError) as refused:
        message_services.MessageServiceStub(mesh.channel).ModifyMessages(request)
    info = info_of(refused.value)
    assert "ABILITY_NOT_GRANTED" == info.reason
    return refused.value.details() or "", info.metadata["command"]


def test_a_mailbox_with_the_apps_access_tells_of_mail_and_sends(mesh: Mesh) -> None:
    boss, desk = account(mesh, "boss@appnorth.test"), account(mesh, "desk@appnorth.test")
    recipient = account(mesh, "friend@appsouth.test")
    directory = boss["directory"]
    started = run(mesh, "directories", "consent", directory, "--allow", desk["address"])
    page = mesh.consent(started["authorizationUrl"], boss["address"])
    listed = run(mesh, "directories", "mailboxes", directory)
    abilities = ("--ability", "mail.read", "--ability", "mail.send")
    tenant = run(mesh, "directories", "connect", directory, listed[0]["mailboxId"], *abilities)["tenantId"]
    subscription = eventually(lambda: subscribe(mesh, tenant), what="Ingest knows the tenant")
    mail = mesh.simulator.deliver(desk["address"], subject="For the desk")["id"]
    mesh.simulator.deliver(boss["address"], subject="For the boss")
    eventually(lambda: told_when_all_are(mesh, tenant, 1), what="the mail is told")
    to = ("--to", recipient["address"], "--subject", "From the app", "--text", "Hello", "--wait", "60")
    sent = run(mesh, "send", "--tenant", tenant, *to)
    sentence, command = refused_mark(mesh, tenant, mail)

    assert "Your organisation is connected" in str(page), page
    assert "An administrator of the organisation first grants it to the app in the directory" in sentence
    assert f"mailmesh directories connect {directory} {listed[0]['mailboxId']} --ability mail.mark" == command
    assert [desk["address"]] == [one["address"] for one in listed]
    assert subscription.subscription_id
    (event,) = created_events(mesh, tenant)
    assert (mail, "For the desk", True) == (
        event.mail.message_id, event.mail.message.subject, event.mail.is_enriched
    )  # fmt: skip
    assert "SEND_STATE_SENT" == sent["state"]
    eventually(lambda: mesh.simulator.truth(recipient["address"])["messages"], what="the mail arrives")
    assert [] == mesh.simulator.truth(recipient["address"])["messages"][1:]
    assert 0 == mesh.simulator.call("GET", f"calls/counts?endpoint=graph.*&account={boss['address']}")["total"]


def google_account(mesh: Mesh, address: str, **facts: Any) -> dict[str, Any]:
    """Adds an account at Google and returns it."""
    mesh.simulator.call("POST", "accounts", provider="googlews", address=address, **facts)
    found: dict[str, Any] = mesh.simulator.call("GET", f"accounts/{address}")
    return found


def test_a_mailbox_of_a_delegated_domain_tells_of_mail_and_sends(mesh: Mesh, tmp_path: Path) -> None:
    boss = google_account(mesh, "boss@deleg.test", isAdmin=True)
    desk = google_account(mesh, "desk@deleg.test")
    recipient = google_account(mesh, "friend@elsewhere.test")
    key = mesh.simulator.call("POST", "service-accounts")
    scopes = ["admin.directory.user.readonly", "userinfo.email", "gmail.readonly", "gmail.compose"]
    granted = ["openid", *(f"https://www.googleapis.com/auth/{one}" for one in scopes)]
    mesh.simulator.call("POST", "delegations", clientId=key["client_id"], domain="deleg.test", scopes=granted)
    file = tmp_path / "service-account.json"
    file.write_text(json.dumps(key))
    credential = run(mesh, "app-credentials", "add", "--service-account", str(file))
    directory = run(mesh, "directories", "add", boss["address"], "--allow", desk["address"])["directoryId"]
    listed = run(mesh, "directories", "mailboxes", directory)
    abilities = ("--ability", "mail.read", "--ability", "mail.send")
    tenant = run(mesh, "directories", "connect", directory, listed[0]["mailboxId"], *abilities)
    subscription = eventually(lambda: subscribe(mesh, tenant["tenantId"]), what="Ingest knows the tenant")
    mail = mesh.simulator.deliver(desk["address"], subject="For the desk")["id"]
    mesh.simulator.deliver(boss["address"], subject="For the boss")
    eventually(lambda: told_when_all_are(mesh, tenant["tenantId"], 1), what="the mail is told")
    to = ("--to", recipient["address"], "--subject", "From the app", "--text", "Hello", "--wait", "60")
    sent = run(mesh, "send", "--tenant", tenant["tenantId"], *to)
    sentence, command = refused_mark(mesh, tenant["tenantId"], mail)
    (kept,) = run(mesh, "app-credentials", "list")
    run(mesh, "app-credentials", "delete", kept["credentialId"], "--yes")

    assert "domain-wide delegation in the Admin console" in sentence
    assert command.startswith(f"mailmesh directories connect {directory} ")
    assert (key["client_email"], key["client_id"]) == (credential["account"], credential["clientId"])
    assert credential["credentialId"] == kept["credentialId"]
    assert [desk["address"]] == [one["address"] for one in listed]
    assert ("app", directory) == (tenant["tokenType"], tenant["externalTenantId"])
    assert subscription.subscription_id
    (event,) = created_events(mesh, tenant["tenantId"])
    assert (mail, "For the desk", True) == (
        event.mail.message_id, event.mail.message.subject, event.mail.is_enriched
    )  # fmt: skip
    assert "SEND_STATE_SENT" == sent["state"]
    eventually(lambda: mesh.simulator.truth(recipient["address"])["messages"], what="the mail arrives")
    assert 0 == mesh.simulator.call("GET", f"calls/counts?endpoint=gmail.*&account={boss['address']}")["total"]


def test_a_mailbox_is_delegated_to_the_platforms_identity_without_a_key(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    platform = {"MAILMESH_GOOGLEWS_KEYLESS_ACCOUNT": KEYLESS, "MAILMESH_GOOGLEWS_KEYLESS_CLIENT_ID": KEYLESS_ID}
    with running_mesh(tmp_path_factory.mktemp("keyless") / "d", environment=platform) as mesh:
        boss = google_account(mesh, "boss@keyless.test", isAdmin=True)
        desk = google_account(mesh, "desk@keyless.test")
        set_up = mesh.simulator.call("POST", "platform-identity", email=KEYLESS, maySign=False)
        scopes = ["admin.directory.user.readonly", "userinfo.email", "gmail.readonly"]
        granted = ["openid", *(f"https://www.googleapis.com/auth/{one}" for one in scopes)]
        mesh.simulator.call("POST", "delegations", clientId=KEYLESS_ID, domain="keyless.test", scopes=granted)
        refused = mesh.run("directories", "add", boss["address"], "--allow", desk["address"])
        mesh.simulator.call("POST", "platform-identity", email=KEYLESS)
        directory = run(mesh, "directories", "add", boss["address"], "--allow", desk["address"])["directoryId"]
        (listed,) = run(mesh, "directories", "mailboxes", directory)
        tenant = run(mesh, "directories", "connect", directory, listed["mailboxId"], "--ability", "mail.read")
        eventually(lambda: subscribe(mesh, tenant["tenantId"]), what="Ingest knows the tenant")
        mail = mesh.simulator.deliver(desk["address"], subject="For the desk")["id"]
        eventually(lambda: told_when_all_are(mesh, tenant["tenantId"], 1), what="the mail is told")

        assert (KEYLESS, KEYLESS_ID) == (set_up["signs"], set_up["clientId"])
        assert 0 != refused.returncode
        assert f"Service Account Token Creator on {KEYLESS}" in refused.stderr
        assert [] == run(mesh, "app-credentials", "list")
        assert ("app", ["mail.read"]) == (tenant["tokenType"], tenant["grantedAbilities"])
        (event,) = created_events(mesh, tenant["tenantId"])
        assert (mail, "For the desk") == (event.mail.message_id, event.mail.message.subject)


def test_a_shared_mailbox_is_polled_by_the_grant_of_its_person(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("shared") / "d"
    with running_mesh(data, environment={"MAILMESH_MS365_SHARED_MAILBOXES": "true"}) as mesh:
        ada, box = account(mesh, "ada@polled.test"), account(mesh, "info@polled.test")
        mesh.simulator.call("PATCH", f"accounts/{box['address']}", delegates=[ada["address"]])
        owner = connect(mesh, "ms365", ada["address"])
        tenant = run(mesh, "tenants", "connect-shared", owner, box["address"])["tenantId"]
        subscription = eventually(lambda: subscribe(mesh, tenant), what="Ingest knows the tenant")
        mail = mesh.simulator.deliver(box["address"], subject="For all of us")["id"]
        mesh.simulator.deliver(ada["address"], subject="For Ada")
        run(mesh, "reconcile", tenant)
        eventually(lambda: told_when_all_are(mesh, tenant, 1), what="the mail is told")
        sentence, command = refused_mark(mesh, tenant, mail)

        assert "The owner of the shared mailbox consents to it first" in sentence
        assert f"mailmesh tenants connect-shared {owner} {box['address']} --ability mail.mark" == command
        assert subscription_service_pb2.SUBSCRIPTION_STATE_POLLING == subscription.state
        assert [(mail, "For all of us")] == [
            (event.mail.message_id, event.mail.message.subject) for event in created_events(mesh, tenant)
        ]
        assert [] == [one for one in mesh.simulator.call("GET", "subscriptions") if one["account"] == box["address"]]
