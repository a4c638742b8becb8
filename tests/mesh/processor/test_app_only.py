"""Mailboxes with the app's own access on the running mesh: consent, events by push, a send, and nothing of others."""

import json
from typing import Any

import pytest

from tests.mesh.accounts import created_events, subscribe, told_when_all_are
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)


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

    assert "Your organisation is connected" in str(page), page
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
