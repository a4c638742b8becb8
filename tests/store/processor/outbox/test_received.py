"""Attachments of received mails: read when a mail is written, and refused by name when they are gone."""

import base64
import ssl
from typing import Any

import httpx
import pytest

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.processor.outbox.rows import State
from services.processor.worker import running
from tests.store.processor.ground import Ground
from tests.store.processor.outbox.sending import HASTE, Outgoing
from tests.store.processor.outbox.test_files import LARGE, mail_of, upload

pytestmark = pytest.mark.timeout(300)
SMALL = b"small as a part that Gmail gives in the mail"
PROVIDERS = ("ms365", "googlews")


async def deliver(outgoing: Outgoing, *files: tuple[str, bytes]) -> str:
    """Deliver a mail with files to the account, and return its id."""
    attachments = [{"name": name, "base64": base64.b64encode(content).decode()} for name, content in files]
    mail = await outgoing.ground.control.deliver(
        outgoing.tenant.address, subject="Files", text="See below.", attachments=attachments
    )
    return str(mail["id"])


async def attachment_ids(outgoing: Outgoing, message_id: str) -> list[str]:
    """Return the ids by which a mail's attachments stay: of attachments at Microsoft, of parts at Google."""
    ground, provider = outgoing.ground, outgoing.tenant.provider
    token = (await ground.control.issue_tokens(outgoing.tenant.address))["access_token"]
    base = ground.settings["ms365_graph_url" if provider == "ms365" else "google_gmail_url"]
    path = f"me/messages/{message_id}/attachments" if provider == "ms365" else f"users/me/messages/{message_id}"
    trust = ssl.create_default_context(cafile=str(ground.settings["provider_ca"]))
    async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=30) as client:
        headers = {"authorization": f"Bearer {token}", "prefer": 'IdType="ImmutableId"'}
        found: dict[str, Any] = (await client.get(f"{base}/{path}", headers=headers)).json()
    if provider == "ms365":
        return [str(entry["id"]) for entry in found["value"]]
    return [str(part["partId"]) for part in found["payload"]["parts"] if part["filename"]]


def with_received(request: pb2.SendRequest, message_id: str, ids: list[str], content_id: str = "") -> pb2.SendRequest:
    for one in ids:
        source = pb2.ReceivedAttachment(message_id=message_id, attachment_id=one)
        request.attachments.add(received=source, content_id=content_id)
    return request


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_received_attachments_arrive_beside_an_uploaded_file(ground: Ground, provider: str) -> None:
    outgoing = await Outgoing.of(ground, provider)
    original = await deliver(outgoing, ("big.bin", LARGE), ("small.txt", SMALL), ("../../up.pdf", b"%PDF-1.4"))
    request = with_received(outgoing.request(), original, await attachment_ids(outgoing, original))
    request.attachments.add(upload_id=(await upload(outgoing, "own.txt", b"own")).upload_id)
    row, _ = await outgoing.sends().accept(request)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)
        await outgoing.cleared(row.send_id)
    mail = await mail_of(outgoing)
    files = {part.get_filename(): part.get_payload(decode=True) for part in mail.walk() if part.get_filename()}

    assert sent.state is State.SENT, sent.detail
    assert {"big.bin": LARGE, "small.txt": SMALL, "_up.pdf": b"%PDF-1.4", "own.txt": b"own"} == {
        (name or "").replace(".._", ""): content for name, content in files.items()
    }
    assert await outgoing.own(drafts=True) == []


async def test_a_received_event_is_sent_as_a_calendar_file(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    event = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n"
    item = {"name": "Lunch", "isItem": True, "base64": base64.b64encode(event).decode()}
    mail = await ground.control.deliver(outgoing.tenant.address, subject="Item", text="See.", attachments=[item])
    ids = await attachment_ids(outgoing, str(mail["id"]))
    row, _ = await outgoing.sends().accept(with_received(outgoing.request(), str(mail["id"]), ids))
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)
    found = {part.get_filename(): part for part in (await mail_of(outgoing)).walk()}["Lunch.ics"]

    assert sent.state is State.SENT, sent.detail
    assert ("text/calendar", event) == (found.get_content_type(), found.get_payload(decode=True))


@pytest.mark.parametrize("gone", ["mail", "attachment"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_attachment_that_is_gone_fails_the_send_by_name_and_nothing_is_sent(
    ground: Ground, provider: str, gone: str
) -> None:
    outgoing = await Outgoing.of(ground, provider)
    original = await deliver(outgoing, ("big.bin", LARGE))
    ids = await attachment_ids(outgoing, original)
    if gone == "mail":
        await ground.control.delete(outgoing.tenant.address, original)
    else:
        ids = ["77"]
    row, _ = await outgoing.sends().accept(with_received(outgoing.request(), original, ids))
    async with running(ground.worker_settings(**HASTE)):
        failed = await outgoing.ended(row.send_id)
        await outgoing.cleared(row.send_id)

    assert (State.FAILED, "ATTACHMENT_GONE") == (failed.state, failed.reason)
    assert ([], []) == (await outgoing.received(), await outgoing.own(drafts=True))
    [event] = await outgoing.events()
    assert "ATTACHMENT_GONE" == event.reason


async def test_a_404_of_graph_for_an_attachment_that_the_mail_lists_is_retried(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    original = await deliver(outgoing, ("big.bin", LARGE))
    request = with_received(outgoing.request(), original, await attachment_ids(outgoing, original))
    await ground.control.add_fault(
        "status", endpoint="graph.attachments.get", status=404, code="ErrorItemNotFound", count=2
    )
    row, _ = await outgoing.sends().accept(request)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)

    assert sent.state is State.SENT, sent.detail


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_received_attachments_that_are_too_large_together_are_refused(ground: Ground, provider: str) -> None:
    outgoing = await Outgoing.of(ground, provider)
    original = await deliver(outgoing, ("one.bin", bytes(14_000_000)))
    other = await deliver(outgoing, ("two.bin", bytes(14_000_000)))
    request = with_received(outgoing.request(), original, await attachment_ids(outgoing, original))
    with_received(request, other, await attachment_ids(outgoing, other))
    row, _ = await outgoing.sends().accept(request)
    async with running(ground.worker_settings(**HASTE)):
        failed = await outgoing.ended(row.send_id)

    assert (State.FAILED, "SEND_REFUSED") == (failed.state, failed.reason)
    assert "too large together" in failed.detail
    assert await outgoing.received() == []


@pytest.mark.parametrize("fault", ["neither", "both", "twice", "control", "empty id"])
async def test_a_reference_that_names_nothing_or_two_things_is_refused(ground: Ground, fault: str) -> None:
    outgoing = await Outgoing.of(ground)
    request, source = outgoing.request(), pb2.ReceivedAttachment(message_id="AAMk1", attachment_id="BBB=")
    if fault == "neither":
        request.attachments.add()
    elif fault == "both":
        request.attachments.add(upload_id=(await upload(outgoing, "own.txt", b"own")).upload_id, received=source)
    elif fault == "twice":
        request.attachments.add(received=source)
        request.attachments.add(received=source)
    elif fault == "control":
        request.attachments.add(received=pb2.ReceivedAttachment(message_id="AA\nMk1", attachment_id="BBB="))
    else:
        request.attachments.add(received=pb2.ReceivedAttachment(message_id="AAMk1"))
    with pytest.raises(FieldInvalid):
        await outgoing.sends().accept(request)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_answer_takes_a_received_attachment_of_another_mail(ground: Ground, provider: str) -> None:
    outgoing = await Outgoing.of(ground, provider)
    source = await deliver(outgoing, ("terms.pdf", LARGE))
    fields = {"from": outgoing.recipient, "to": [outgoing.tenant.address], "subject": "Offer", "text": "How much?"}
    original = await ground.control.deliver(outgoing.tenant.address, **fields)
    request = pb2.SendRequest(
        idempotency_key="one",
        tenant_id=outgoing.tenant.tenant_id,
        reply=pb2.Reply(message_id=original["id"], text="Thirty euros."),
    )
    with_received(request, source, await attachment_ids(outgoing, source))
    row, _ = await outgoing.sends().accept(request)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)
    mail = await mail_of(outgoing)

    assert sent.state is State.SENT, sent.detail
    assert [("terms.pdf", LARGE)] == [
        (part.get_filename(), part.get_payload(decode=True)) for part in mail.walk() if part.get_filename()
    ]
