"""Files that are uploaded in parts and reach the recipient with their mail, once."""

from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit.clock import SystemClock
from services.meshkit.errors import FieldInvalid
from services.meshkit.ids import new_id
from services.processor.outbox.errors import UploadIncomplete, UploadNotFound, UploadsFull
from services.processor.outbox.retention import SendRetention
from services.processor.outbox.rows import State
from services.processor.outbox.store.uploads import UploadRow
from services.processor.outbox.uploads import PART_BYTES, Uploads
from services.processor.worker import running
from tests.store.processor.ground import Ground
from tests.store.processor.outbox.sending import HASTE, Outgoing

pytestmark = pytest.mark.timeout(300)

LARGE = bytes(range(256)) * 3000
PICTURE = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


async def upload(outgoing: Outgoing, name: str, content: bytes, **fields: Any) -> UploadRow:
    """Upload a file in parts."""
    uploads = Uploads(outgoing.ground.processor, outgoing.ground.worker_settings(), SystemClock())
    request = pb2.UploadAttachmentRequest(
        tenant_id=outgoing.tenant.tenant_id, name=name, size_bytes=len(content), **fields
    )
    for start in range(0, len(content), PART_BYTES):
        request.start_byte, request.content = start, content[start : start + PART_BYTES]
        row = await uploads.take(request)
        request.upload_id = row.upload_id
    return row


async def with_files(outgoing: Outgoing) -> pb2.SendRequest:
    """Return a request for a mail with a large file and a picture in its HTML."""
    large = await upload(outgoing, "Grüße.bin", LARGE)
    picture = await upload(outgoing, "logo.png", PICTURE, content_type="image/png")
    request = outgoing.request(html='<p>Thirty euros.</p><img src="cid:logo@x.test">')
    request.attachments.add(upload_id=large.upload_id)
    request.attachments.add(upload_id=picture.upload_id, content_id="logo@x.test")
    return request


async def mail_of(outgoing: Outgoing) -> EmailMessage:
    """Return the one mail that arrived."""
    (mail,) = await outgoing.received()
    found = message_from_bytes(await outgoing.eml(outgoing.recipient, mail["id"]), policy=default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.mark.parametrize("fault", ["", "a file taken, and its answer dropped", "an answer about the mark dropped"])
@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_a_mail_arrives_once_with_its_files(ground: Ground, provider: str, fault: str) -> None:
    outgoing = await Outgoing.of(ground, provider)
    request = await with_files(outgoing)
    if fault:
        endpoint = "graph.attachments.create" if "file" in fault else "graph.messages.update"
        await ground.control.add_fault("close", endpoint=endpoint, phase="after", count=1)
        await ground.control.add_fault("close", endpoint="gmail.drafts.create", phase="after", count=1)
    row, _ = await outgoing.sends().accept(request)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)
        await outgoing.cleared(row.send_id)
    mail = await mail_of(outgoing)
    files = {part.get_filename(): part.get_payload(decode=True) for part in mail.walk() if part.get_filename()}
    ids = [str(part["Content-ID"]) for part in mail.walk() if part["Content-ID"]]
    left = await ground.processor.fetchval("SELECT count(*) FROM processor.send_files")

    assert (State.SENT, {"Grüße.bin": LARGE, "logo.png": PICTURE}) == (sent.state, files)
    assert (["<logo@x.test>"], [], 0) == (ids, await outgoing.own(drafts=True), left)


@pytest.mark.parametrize("fault", ["", "a piece taken, and its answer dropped", "the last piece's answer dropped"])
async def test_a_file_above_three_megabytes_goes_to_microsoft_in_pieces(ground: Ground, fault: str) -> None:
    outgoing = await Outgoing.of(ground)
    files = {"large.bin": LARGE * 10, "between.bin": bytes(3_100_000), "small.txt": b"small"}
    request = outgoing.request()
    for name, content in files.items():
        request.attachments.add(upload_id=(await upload(outgoing, name, content)).upload_id)
    if fault:
        await ground.control.set(upload_ranges="span")
        after = 2 if "last" in fault else 0
        await ground.control.add_fault("close", endpoint="graph.upload.put", phase="after", count=1, skip=after)
    row, _ = await outgoing.sends().accept(request)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)
        await outgoing.cleared(row.send_id)
    mail = await mail_of(outgoing)
    arrived = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}

    assert (State.SENT, files, []) == (sent.state, arrived, await outgoing.own(drafts=True))


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_a_recipient_gets_a_file_name_without_a_path(ground: Ground, provider: str) -> None:
    """The largest file goes to Microsoft in pieces, whose session names the file by itself."""
    outgoing = await Outgoing.of(ground, provider)
    request = outgoing.request()
    for name, content in {"../../etc/passwd": b"small", "..\\con": bytes(3_100_000)}.items():
        request.attachments.add(upload_id=(await upload(outgoing, name, content)).upload_id)
    row, _ = await outgoing.sends().accept(request)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)
    names = [part.get_filename() for part in (await mail_of(outgoing)).iter_attachments()]

    assert (State.SENT, ["_.._etc_passwd", "_con"]) == (sent.state, names)


async def test_an_answer_has_files_too(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    original = await ground.control.deliver(
        outgoing.tenant.address, **{"from": outgoing.recipient, "to": [outgoing.tenant.address], "subject": "Offer"}
    )
    row = await upload(outgoing, "offer.pdf", b"%PDF")
    request = outgoing.request()
    request.reply.CopyFrom(pb2.Reply(message_id=original["id"], text="Gladly."))
    request.attachments.add(upload_id=row.upload_id)
    accepted, _ = await outgoing.sends().accept(request)
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(accepted.send_id)
    mail = await mail_of(outgoing)

    assert ["offer.pdf"] == [part.get_filename() for part in mail.iter_attachments()]


async def test_a_file_that_is_incomplete_gone_or_anothers_is_not_sent(ground: Ground) -> None:
    outgoing, other = await Outgoing.of(ground), await Outgoing.of(ground)
    uploads = Uploads(ground.processor, ground.worker_settings(), SystemClock())
    begun = await uploads.take(
        pb2.UploadAttachmentRequest(
            tenant_id=outgoing.tenant.tenant_id, name="a", size_bytes=len(LARGE), content=LARGE[:PART_BYTES]
        )
    )
    anothers = await upload(other, "b", b"b")
    for upload_id, refusal in (
        (begun.upload_id, UploadIncomplete), (anothers.upload_id, UploadNotFound), (new_id(), UploadNotFound),
    ):  # fmt: skip
        request = outgoing.request()
        request.attachments.add(upload_id=upload_id)
        with pytest.raises(refusal):
            await outgoing.sends().accept(request)


async def test_a_part_that_was_received_changes_nothing_and_a_gap_is_refused(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    uploads = Uploads(ground.processor, ground.worker_settings(), SystemClock())
    request = pb2.UploadAttachmentRequest(
        tenant_id=outgoing.tenant.tenant_id, name="a", size_bytes=len(LARGE), content=LARGE[:PART_BYTES]
    )
    request.upload_id = (await uploads.take(request)).upload_id
    again = await uploads.take(request)
    request.start_byte = PART_BYTES + 1
    with pytest.raises(FieldInvalid):
        await uploads.take(request)

    assert PART_BYTES == again.received_bytes


async def test_files_of_a_tenant_are_bounded_and_end_after_a_day_unless_a_send_waits(ground: Ground) -> None:
    outgoing = await Outgoing.of(ground)
    kept, gone = await upload(outgoing, "kept", b"kept"), await upload(outgoing, "gone", b"gone")
    request = outgoing.request()
    request.attachments.add(upload_id=kept.upload_id)
    await outgoing.sends().accept(request)
    small = Uploads(ground.processor, ground.worker_settings(upload_bytes=1024 * 1024), SystemClock())
    with pytest.raises(UploadsFull):
        await small.take(
            pb2.UploadAttachmentRequest(
                tenant_id=outgoing.tenant.tenant_id, name="a", size_bytes=1024 * 1024, content=b"a" * 65536
            )
        )
    await ground.processor.execute("UPDATE processor.uploads SET expires_at = now() - $1::interval", timedelta(hours=1))
    await SendRetention(ground.processor, SystemClock()).round()
    left = await ground.processor.fetch("SELECT upload_id::text AS id FROM processor.uploads")

    assert ([kept.upload_id], True) == ([row["id"] for row in left], gone.upload_id != kept.upload_id)


async def test_files_of_two_mailboxes_are_in_memory_one_after_the_other(ground: Ground) -> None:
    both = [await Outgoing.of(ground, "googlews") for _ in range(2)]
    await ground.control.add_fault("latency", endpoint="gmail.drafts.create", seconds=1.5, count=2)
    rows = []
    for outgoing in both:
        request = outgoing.request()
        request.attachments.add(upload_id=(await upload(outgoing, "a.bin", bytes(14 * 1024 * 1024))).upload_id)
        rows.append((await outgoing.sends().accept(request))[0])
    async with running(ground.worker_settings(**HASTE, send_memory_bytes=25 * 1024 * 1024, slice_seconds=0.3)):
        ended = [await outgoing.ended(row.send_id) for outgoing, row in zip(both, rows, strict=True)]
    first, second = sorted(
        await ground.control.calls(endpoint="gmail.drafts.create"), key=lambda call: float(call["number"])
    )

    assert [State.SENT, State.SENT] == [row.state for row in ended]
    # A call is recorded when it ends: the second one began after the end of the first.
    assert second["at"] - second["milliseconds"] / 1000 >= first["at"]
