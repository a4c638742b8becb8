"""Acting on mail on the running mesh: by REST and by the command line, at both providers."""

import base64
import email
import email.policy
import json
import urllib.parse
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from mailmesh.ingest.v1 import subscription_service_pb2 as subscriptions
from mailmesh.ingest.v1 import subscription_service_pb2_grpc as subscription_services
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import message_service_pb2_grpc as services
from mailmesh.vault.v1 import tenant_service_pb2 as tenants
from mailmesh.vault.v1 import tenant_service_pb2_grpc as tenant_services
from tests.mesh.accounts import PROVIDERS, all_events, connect, created_events, new_address
from tests.programs.mesh import Mesh, eventually
from tests.unit.primitives import samples

pytestmark = pytest.mark.timeout(400)
COMMAND = mail_pb2.EVENT_SOURCE_COMMAND


def marker(mesh: Mesh, provider: str) -> tuple[str, str]:
    """Connects an account whose mail may be marked, watches all of it, and returns its address and its tenant."""
    address = new_address(mesh, provider)
    stub = tenant_services.TenantServiceStub(mesh.channel)
    request = tenants.StartAuthorizationRequest(
        provider=provider, login_hint=address, abilities=["mail.read", "mail.mark"]
    )
    mesh.consent(stub.StartAuthorization(request).authorization_url, address)
    tenant = stub.ListTenants(tenants.ListTenantsRequest(address=address)).tenants[0].tenant_id
    watch = subscriptions.CreateSubscriptionRequest(tenant_id=tenant, all_mail=provider == "ms365")
    subscription_services.SubscriptionServiceStub(mesh.channel).CreateSubscription(watch)
    return address, tenant


def announced(mesh: Mesh, address: str, tenant: str, count: int) -> list[str]:
    """Delivers mails, waits until they are announced, and returns their ids in order."""
    for number in range(count):
        mesh.simulator.deliver(address, subject=f"Mail {number}")
    eventually(lambda: len(created_events(mesh, tenant)) >= count)
    return [event.mail.message_id for event in created_events(mesh, tenant)]


def updates(mesh: Mesh, tenant: str) -> list[mail_pb2.NormalizedMailEvent]:
    """Reads a tenant's events of changed mails, in order."""
    return [event.mail for event in all_events(mesh, tenant) if event.mail.event_type == "mail.updated"]


def truth(mesh: Mesh, address: str) -> list[dict[str, Any]]:
    """Reads the mails of a simulated mailbox."""
    found: list[dict[str, Any]] = mesh.simulator.truth(address)["messages"]
    return found


@pytest.mark.parametrize("provider", PROVIDERS)
def test_mails_are_modified_once_and_their_events_name_the_modification(mesh: Mesh, provider: str) -> None:
    address, tenant = marker(mesh, provider)
    ids = announced(mesh, address, tenant, 3)
    body: dict[str, Any] = {
        "idempotencyKey": "ticket-17",
        "tenantId": tenant,
        "messageIds": ids[:2],
        "change": {"isRead": True},
    }
    headers = {"authorization": f"Bearer {mesh.key}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=60, trust_env=False) as client:
        accepted = [client.post("/v1/messages:modify", json=body).json() for _ in range(2)]
        modification_id = accepted[0]["modification"]["modificationId"]
        finished = eventually(lambda: _finished(client, modification_id))
        other = client.post("/v1/messages:modify", json={**body, "messageIds": ids}).json()
    eventually(lambda: len(updates(mesh, tenant)) >= 2)
    assert mesh.simulator.wait_until_idle(60)

    assert [False, True] == [answer["wasKnown"] for answer in accepted]
    assert [(one, "MESSAGE_OUTCOME_DONE") for one in ids[:2]] == [
        (one["messageId"], one["outcome"]) for one in finished["messages"]
    ]
    assert "IDEMPOTENCY_KEY_REUSED" == other["details"][0]["reason"]
    assert sorted((one, COMMAND, modification_id, True) for one in ids[:2]) == sorted(
        (mail.message_id, mail.source, mail.modification_id, mail.message.is_read) for mail in updates(mesh, tenant)
    )


def test_a_change_by_others_is_not_named_as_ours(mesh: Mesh) -> None:
    address, tenant = marker(mesh, "ms365")
    (one,) = announced(mesh, address, tenant, 1)
    mesh.run("messages", "mark", one, "--tenant", tenant, "--add-category", "Done")
    eventually(lambda: len(updates(mesh, tenant)) >= 1)
    mesh.simulator.call("PATCH", f"accounts/{address}/messages/{one}", isRead=True)
    eventually(lambda: len(updates(mesh, tenant)) >= 2)

    ours, others = updates(mesh, tenant)
    assert (COMMAND, ["categories"]) == (ours.source, list(ours.change.fields))
    assert (mail_pb2.EVENT_SOURCE_NOTIFICATION, "", ["is_read"]) == (
        others.source, others.modification_id, list(others.change.fields)
    )  # fmt: skip


def test_the_command_line_marks_files_and_moves(mesh: Mesh) -> None:
    address, tenant = marker(mesh, "ms365")
    first, second = announced(mesh, address, tenant, 2)
    words = ("messages", "mark", first, second, "no-such-mail", "--tenant", tenant, "--json")
    done = mesh.run(*words, "--read", "--flag", "--add-category", "Done", "--to", "archive", "--key", "k1")
    shown = mesh.run("messages", "modification", json.loads(done.stdout)["modificationId"])
    removed = json.loads(mesh.run(*words[:3], *words[5:], "--remove-category", "DONE", "--unflag").stdout)

    assert ["MESSAGE_OUTCOME_DONE", "MESSAGE_OUTCOME_DONE", "MESSAGE_OUTCOME_NOT_FOUND"] == [
        one["outcome"] for one in json.loads(done.stdout)["messages"]
    ]
    assert "1 of 3 mails were not modified" in done.stderr
    assert "not_found" in shown.stdout
    assert "MODIFICATION_STATE_FINISHED" == removed["state"]
    assert [(True, [], False), (True, ["Done"], True)] == sorted(
        (mail["isRead"], mail["categories"], mail["isFlagged"]) for mail in truth(mesh, address)
    )


def test_an_account_without_the_ability_is_refused_with_the_command(mesh: Mesh) -> None:
    tenant = connect(mesh, "ms365", new_address(mesh, "ms365"))
    done = mesh.run("messages", "mark", "one", "--tenant", tenant, "--read")

    assert done.returncode != 0
    assert "ABILITY_NOT_GRANTED" in done.stderr


def _finished(client: httpx.Client, modification_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/modifications/{modification_id}").json()["modification"]
    return found if found["state"] == "MODIFICATION_STATE_FINISHED" else {}


def _mail_with_file(mesh: Mesh, provider: str, size: int, name: str) -> tuple[str, str, bytes]:
    """Connects an account, delivers a mail with a file to it, and returns its tenant, the mail's id and the file."""
    address, tenant = marker(mesh, provider)
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    file = {"name": name, "contentType": "application/pdf", "base64": base64.b64encode(content).decode()}
    mesh.simulator.deliver(address, subject="With a file", text="See below", attachments=[file])
    eventually(lambda: created_events(mesh, tenant))
    return tenant, created_events(mesh, tenant)[0].mail.message_id, content


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_mail_its_mime_and_its_attachment_are_read_fresh_and_resumed(mesh: Mesh, provider: str) -> None:
    tenant, message_id, content = _mail_with_file(mesh, provider, 1_000_003, "../../Rechnung \u202egpj.pdf")
    base = f"/v1/tenants/{tenant}/messages/{message_id}"
    headers = {"authorization": f"Bearer {mesh.key}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=60, trust_env=False) as client:
        mail = client.get(base).json()
        (file,) = mail["message"]["attachments"]
        path = f"{base}/attachments/{file['partId'] or file['attachmentId']}"
        whole, rest = client.get(path), client.get(path, params={"offset": 1_000_000})
        beyond, none = client.get(path, params={"offset": 1_000_004}), client.get(f"{base}/attachments/99")
        mime = client.get(f"{base}:raw")

    assert ("With a file", 200) == (mail["message"]["subject"], whole.status_code)
    assert (content, content[1_000_000:]) == (whole.content, rest.content)
    assert str(len(content)) == whole.headers["x-content-size"] == rest.headers["x-content-size"]
    assert "nosniff" == whole.headers["x-content-type-options"]
    assert "application/pdf" == whole.headers["content-type"]
    disposition = whole.headers["content-disposition"]
    assert disposition.startswith("attachment; filename=")
    assert not {"/", "\u202e"} & set(urllib.parse.unquote(disposition.partition("''")[2]))
    reasons = [answer.json()["details"][0]["reason"] for answer in (beyond, none)]
    assert ["FIELD_INVALID", "ATTACHMENT_NOT_FOUND"] == reasons
    (part,) = email.message_from_bytes(mime.content, policy=email.policy.default).iter_attachments()
    assert content == part.get_payload(decode=True)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_mail_and_an_attachment_are_read_by_reference_as_those_that_are_handed_in(mesh: Mesh, provider: str) -> None:
    address, tenant = marker(mesh, provider)
    offer = samples.word(samples.paragraph("Thirty euros."))
    file = {"name": "offer.docx", "contentType": "application/msword", "base64": base64.b64encode(offer).decode()}
    mesh.simulator.deliver(address, subject="With a file", text="See below", attachments=[file])
    eventually(lambda: created_events(mesh, tenant))
    base = f"/v1/tenants/{tenant}/messages/{created_events(mesh, tenant)[0].mail.message_id}"
    headers = {"authorization": f"Bearer {mesh.key}"}
    with httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=90, trust_env=False) as client:
        (named,) = client.get(base).json()["message"]["attachments"]
        attachment = named["partId"] or named["attachmentId"]
        parsed, mime = client.get(f"{base}:parse"), client.get(f"{base}:raw").content
        handed_in = client.post("/v1/primitives:parseMail", json={"content": base64.b64encode(mime).decode()})
        extracted = client.get(f"{base}/attachments/{attachment}:extract")
        missing = client.get(f"{base}/attachments/99:extract")
        none = client.get(f"/v1/tenants/{tenant}/messages/no-such-mail:parse")
    shown = mesh.run("messages", "extract", base.rpartition("/")[2], attachment, "--tenant", tenant)

    assert 200 == parsed.status_code, parsed.text
    assert handed_in.json() == parsed.json()["mail"]
    assert "See below" == parsed.json()["mail"]["message"]["body"]["replyText"]
    assert ("docx", "Thirty euros.\n") == (
        extracted.json()["document"]["format"], extracted.json()["document"]["text"],
    ), extracted.text  # fmt: skip
    assert "Thirty euros." in shown.stdout, shown.stderr
    reasons = [answer.json()["details"][0]["reason"] for answer in (missing, none)]
    assert ["ATTACHMENT_NOT_FOUND", "MESSAGE_NOT_FOUND"] == reasons


def test_the_command_line_reads_and_downloads(mesh: Mesh, tmp_path: Path) -> None:
    tenant, message_id, content = _mail_with_file(mesh, "googlews", 300_000, "offer.pdf")
    found = json.loads(mesh.run("messages", "get", message_id, "--tenant", tenant, "--json").stdout)
    part, file = found["message"]["attachments"][0]["partId"], tmp_path / "offer.pdf"
    (tmp_path / "offer.pdf.part").write_bytes(content[:1000])
    done = mesh.run("messages", "attachment", message_id, part, "--tenant", tenant, "--output", str(file))
    mime = mesh.run("messages", "raw", message_id, "--tenant", tenant, "--output", str(tmp_path / "mail.eml"))
    missing = mesh.run("messages", "get", "no-such-mail", "--tenant", tenant)

    assert (0, 0) == (done.returncode, mime.returncode), done.stderr + mime.stderr
    assert content == file.read_bytes()
    assert b"With a file" in (tmp_path / "mail.eml").read_bytes()
    assert "MESSAGE_NOT_FOUND" in missing.stderr


def test_the_command_line_lists_folders_and_labels_and_searches(mesh: Mesh) -> None:
    tenants_of = {provider: marker(mesh, provider) for provider in PROVIDERS}
    for provider, (address, tenant) in tenants_of.items():
        (wanted, _) = [mesh.simulator.deliver(address, subject=subject)["id"] for subject in ("Late invoice", "Lunch")]
        found = json.loads(mesh.run("messages", "search", "invoice", "--tenant", tenant, "--json").stdout)
        folders = mesh.run("messages", "folders", "--tenant", tenant)
        refused = mesh.run("messages", "search", 'a" OR "b', "--tenant", tenant)

        assert ([wanted], provider) == ([one["messageId"] for one in found], provider)
        assert {"ms365": "Sent Items", "googlews": "STARRED"}[provider] in folders.stdout
        assert "FIELD_INVALID" in refused.stderr


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_mail_of_an_event_is_marked_as_processed_once(mesh: Mesh, provider: str) -> None:
    address, tenant = marker(mesh, provider)
    stub = services.MessageServiceStub(mesh.channel)
    (message_id,) = announced(mesh, address, tenant, 1)
    (event,) = created_events(mesh, tenant)
    unset = mesh.run("messages", "processed", event.mail.event_id)
    fields = {"ms365": {"folder_name": "Done's"}, "googlews": {"label_name": "Orders/Done"}}[provider]
    wrong = {"ms365": {"label_name": "Done"}, "googlews": {"folder_name": "Done"}}[provider]
    mark = messages.ProcessedMark(is_read=True, **fields)
    changes = [
        stub.SetProcessedMark(messages.SetProcessedMarkRequest(tenant_id=tenant, mark=mark)).change for _ in range(2)
    ]
    with pytest.raises(grpc.RpcError) as refused:
        other = messages.ProcessedMark(**wrong)
        stub.SetProcessedMark(messages.SetProcessedMarkRequest(tenant_id=tenant, mark=other))
    kept = json.loads(mesh.run("messages", "processed-mark", tenant, "--json").stdout)
    done = [json.loads(mesh.run("messages", "processed", event.mail.event_id, "--json").stdout) for _ in range(2)]

    assert "PROCESSED_MARK_NOT_SET" in unset.stderr
    assert (changes[0], True) == (changes[1], kept["isRead"])
    assert "is not a field of" in str(refused.value)
    assert 1 == len({one["modificationId"] for one in done})
    assert [{"messageId": message_id, "outcome": "MESSAGE_OUTCOME_DONE"}] == done[0]["messages"]
    places = changes[0].folder_id or changes[0].add_label_ids[0]
    (found,) = truth(mesh, address)
    assert places in str(found)
