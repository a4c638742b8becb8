"""Sends on the running mesh: by REST, by the command line, and while a worker is killed."""

import base64
import json
import time
from email import message_from_bytes
from pathlib import Path
from typing import Any

import httpx
import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as subscriptions
from mailmesh.ingest.v1 import subscription_service_pb2_grpc as subscription_services
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from tests.mesh.accounts import connect, created_events, in_a_week, new_address
from tests.programs.mesh import Mesh, eventually

pytestmark = pytest.mark.timeout(400)


def sender(mesh: Mesh, provider: str = "ms365") -> tuple[str, str]:
    """Connects an account that may send, and returns its address and its tenant."""
    address = new_address(mesh, provider)
    return address, connect(mesh, provider, address, ["mail.read", "mail.send"])


def send_events(mesh: Mesh, tenant: str) -> list[tuple[str, str]]:
    """Reads the types and the sends of a tenant's events about sends."""
    chosen = events.EventFilter(tenant_ids=[tenant], event_types=["send.*"])
    request = events.ListEventsRequest(page_size=1000, cursor="earliest", filter=chosen)
    found = event_services.EventServiceStub(mesh.channel).ListEvents(request).events
    return [(event.send.event_type, event.send.send_id) for event in found]


def received(mesh: Mesh, address: str, subject: str) -> int:
    """Counts the mails with a subject in a simulated mailbox."""
    truth = mesh.simulator.call("GET", f"accounts/{address}/truth")
    return [mail["subject"] for mail in truth["messages"]].count(subject)


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
def test_the_identities_of_an_account_are_listed_to_those_who_may_send(mesh: Mesh, provider: str) -> None:
    address, tenant = sender(mesh, provider)
    if provider == "googlews":
        states = {f"desk-{address}": "accepted", f"new-{address}": "pending"}
        mesh.simulator.call("PATCH", f"accounts/{address}", sendAs=states)
    reader = connect(mesh, provider, new_address(mesh, provider), ["mail.read"])
    listed = json.loads(mesh.run("sends", "identities", tenant, "--json").stdout)
    table = mesh.run("sends", "identities", tenant).stdout
    refused = mesh.run("sends", "identities", reader)

    aliases = [f"desk-{address}"] if provider == "googlews" else []
    others = [one["address"] for one in listed[1:]]
    assert (address, True, aliases) == (listed[0]["address"], listed[0]["isPrimary"], others)
    assert address in table
    assert "ABILITY_NOT_GRANTED" in refused.stderr


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
def test_a_send_over_rest_is_one_mail_its_event_and_one_created_event(mesh: Mesh, provider: str) -> None:
    _, tenant = sender(mesh, provider)
    recipient = new_address(mesh, "ms365")
    stub = subscription_services.SubscriptionServiceStub(mesh.channel)
    stub.CreateSubscription(subscriptions.CreateSubscriptionRequest(tenant_id=tenant, all_mail=True))
    time.sleep(1.1)  # The provider cuts times to the second: what follows is surely after the beginning.
    body: dict[str, Any] = {
        "idempotencyKey": "order-17",
        "tenantId": tenant,
        "mail": {"to": [{"address": recipient}], "subject": "Order 17", "text": "Thirty euros."},
    }
    headers = {"authorization": f"Bearer {mesh.key}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=60, trust_env=False) as client:
        accepted = [client.post("/v1/sends", json=body) for _ in range(2)]
        send_id = accepted[0].json()["send"]["sendId"]
        sent = eventually(lambda: _sent(client, send_id))
        other = client.post("/v1/sends", json={**body, "mail": {**body["mail"], "text": "Forty euros."}})
        late = client.post(f"/v1/sends/{send_id}:cancel", json={})

    assert ([200, 200], [send_id] * 2) == (
        [answer.status_code for answer in accepted],
        [answer.json()["send"]["sendId"] for answer in accepted],
    )
    created = eventually(lambda: created_events(mesh, tenant))
    assert (1, [("send.sent", send_id)]) == (received(mesh, recipient, "Order 17"), send_events(mesh, tenant))
    assert mesh.simulator.wait_until_idle(60)
    created = created_events(mesh, tenant)
    assert [(sent["messageId"], mail_pb2.EVENT_SOURCE_COMMAND, send_id)] == [
        (event.mail.message_id, event.mail.source, event.mail.send_id) for event in created
    ]
    reasons = [answer.json()["details"][0]["reason"] for answer in (other, late)]
    assert ["IDEMPOTENCY_KEY_REUSED", "SEND_NOT_CANCELLABLE"] == reasons


def test_an_account_without_the_ability_is_refused_with_the_command(mesh: Mesh) -> None:
    tenant = connect(mesh, "ms365", new_address(mesh, "ms365"))
    done = mesh.run("send", "--tenant", tenant, "--to", "ada@example.test", "--text", "Hello")

    assert done.returncode != 0
    assert "ABILITY_NOT_GRANTED" in done.stderr


def test_the_command_line_sends_lists_and_cancels(mesh: Mesh) -> None:
    _, tenant = sender(mesh)
    recipient = new_address(mesh, "ms365")
    words = ("send", "--tenant", tenant, "--to", recipient, "--subject", "By hand", "--text", "Hello", "--json")
    sent = json.loads(mesh.run(*words, "--wait", "60").stdout)
    later = json.loads(mesh.run(*words, "--at", in_a_week()).stdout)
    cancelled = json.loads(mesh.run("sends", "cancel", later["sendId"], "--json").stdout)
    listed = json.loads(mesh.run("sends", "list", "--tenant", tenant, "--json").stdout)
    shown = mesh.run("sends", "get", sent["sendId"]).stdout
    refused = mesh.run("sends", "resolve", sent["sendId"], "sent")

    assert ("SEND_STATE_SENT", "SEND_STATE_SCHEDULED", "SEND_STATE_CANCELLED") == (
        sent["state"], later["state"], cancelled["state"]
    )  # fmt: skip
    assert [later["sendId"], sent["sendId"]] == [one["sendId"] for one in listed]
    assert "By hand" in shown
    assert "SEND_NOT_UNCERTAIN" in refused.stderr
    assert 1 == received(mesh, recipient, "By hand")


def test_the_command_line_attaches_a_file_that_is_larger_than_a_request(mesh: Mesh, tmp_path: Path) -> None:
    _, tenant = sender(mesh)
    recipient = new_address(mesh, "ms365")
    (tmp_path / "offer.bin").write_bytes(bytes(1024) * 2000)
    words = ("send", "--tenant", tenant, "--to", recipient, "--subject", "With a file", "--text", "Hello", "--json")
    sent = json.loads(mesh.run(*words, "--attach", str(tmp_path / "offer.bin"), "--wait", "90").stdout)
    (mail,) = mesh.simulator.call("GET", f"accounts/{recipient}/truth")["messages"]
    raw = base64.b64decode(mesh.simulator.call("GET", f"accounts/{recipient}/messages/{mail['id']}/eml")["emlBase64"])
    files = [part.get_payload(decode=True) for part in message_from_bytes(raw).walk() if part.get_filename()]

    assert ("SEND_STATE_SENT", [bytes(1024) * 2000]) == (sent["state"], files)


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
def test_the_command_line_answers_forwards_and_keeps_drafts(mesh: Mesh, provider: str) -> None:
    address, tenant = sender(mesh, provider)
    author, other = new_address(mesh, "ms365"), new_address(mesh, "ms365")
    fields = {"from": author, "to": [address, other], "subject": "Question", "text": "How much?"}
    original = mesh.simulator.call("POST", f"accounts/{address}/messages", **fields)["id"]
    words = ("send", "--tenant", tenant, "--text", "Thirty euros.", "--json")
    answered = json.loads(mesh.run(*words, "--reply-all", original, "--wait", "60").stdout)
    forwarded = json.loads(mesh.run(*words, "--forward", original, "--to", other, "--wait", "60").stdout)
    drafted = json.loads(mesh.run(*words, "--reply", original, "--draft", "--wait", "60").stdout)
    refused = mesh.run(*words, "--reply", original, "--to", other)

    assert [author, other] == [one["address"] for one in answered["to"]]
    assert (1, 1) == tuple(received(mesh, one, answered["subject"]) for one in (author, other))
    assert 1 == received(mesh, other, forwarded["subject"])
    assert ("SEND_STATE_DRAFTED", original) == (drafted["state"], drafted["answeredMessageId"])
    assert (2, True) == (refused.returncode, "recipients" in refused.stderr)
    types = [kind for kind, _ in send_events(mesh, tenant)]
    assert ["send.sent", "send.sent", "send.drafted"] == types


@pytest.mark.parametrize(
    ("provider", "endpoint"), [("ms365", "graph.messages.send"), ("googlews", "gmail.drafts.send")]
)
def test_a_worker_that_is_killed_while_it_sends_sends_no_second_mail(mesh: Mesh, provider: str, endpoint: str) -> None:
    address, tenant = sender(mesh, provider)
    recipient = new_address(mesh, "ms365")
    mesh.simulator.fault(kind="hang", endpoint=endpoint, account=address, phase="after", seconds=5, count=1)
    words = ("send", "--tenant", tenant, "--to", recipient, "--subject", "Killed", "--text", "Hello", "--json")
    send_id = json.loads(mesh.run(*words).stdout)["sendId"]
    eventually(lambda: received(mesh, recipient, "Killed"))
    for name in [name for name in mesh.ready.processes if name.startswith("worker")]:
        mesh.kill(name)
    eventually(lambda: send_events(mesh, tenant))

    assert [("send.sent", send_id)] == send_events(mesh, tenant)
    assert 1 == received(mesh, recipient, "Killed")


def _sent(client: httpx.Client, send_id: str) -> dict[str, str]:
    found: dict[str, str] = client.get(f"/v1/sends/{send_id}").json()["send"]
    return found if found["state"] == "SEND_STATE_SENT" else {}


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
def test_a_bounce_is_one_event_and_stands_in_its_send(mesh: Mesh, provider: str) -> None:
    _, tenant = sender(mesh, provider)
    stub = subscription_services.SubscriptionServiceStub(mesh.channel)
    stub.CreateSubscription(subscriptions.CreateSubscriptionRequest(tenant_id=tenant, all_mail=True))
    time.sleep(1.1)  # The provider cuts times to the second: what follows is surely after the beginning.
    words = [
        "send",
        "--tenant",
        tenant,
        "--to",
        "gone@undeliverable.test",
        "--subject",
        "Offer",
        "--text",
        "Hi",
        "--json",
    ]
    send_id = json.loads(mesh.run(*words).stdout)["sendId"]
    bounced = ("send.bounced", send_id)
    eventually(lambda: bounced in send_events(mesh, tenant))
    assert mesh.simulator.wait_until_idle(60)
    shown = json.loads(mesh.run("sends", "get", send_id, "--json").stdout)
    told = mesh.run("sends", "get", send_id).stdout

    assert [("send.sent", send_id), bounced] == send_events(mesh, tenant)
    assert [("gone@undeliverable.test", "BOUNCE_KIND_HARD", "5.1.1")] == [
        (one["recipient"], one["bounce"], one["status"]) for one in shown["reports"]
    ]
    assert "hard bounce" in told
