"""Sends and files of a sealed tenant: sealed in the tables, and sent, exported, erased and restored as they are."""

import base64
import json
from collections.abc import AsyncIterator

import pytest

from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.erasing_marks import PersonToErase
from services.meshkit.erasing_persons import Pace, PersonErasing
from services.meshkit.exporting import TenantRows
from services.meshkit.ids import new_id
from services.processor.exporting import EXPORT
from services.processor.outbox.retention import SendRetention
from services.processor.outbox.rows import State
from services.processor.outbox.store import sends, uploads
from services.processor.persons import PERSONS
from services.processor.restored import settle_sends
from services.processor.stream.errors import SealBroken
from services.processor.stream.key_follower import KeyFollower
from services.processor.stream.publish import publish
from services.processor.stream.sealing import StoredSealing
from services.processor.stream.serialization import KIND_ERASED, KIND_MAIL, KIND_SEND
from services.processor.worker import running
from tests.store.planting import cells_with
from tests.store.processor.ground import Ground
from tests.store.processor.outbox.sending import HASTE, Outgoing
from tests.store.processor.outbox.test_files import mail_of, upload
from tests.store.processor.sealed import Sealed
from tests.store.processor.stream.conftest import mail_draft
from tests.store.test_exporting import exported

pytestmark = pytest.mark.timeout(300)
CANARY = "rosebud-7731"
FILE = b"\x01 a file that begins like a seal, " + CANARY.encode() * 3
OF_A_SEALED_TENANT = {("events", "basic"), ("sends", "content"), ("sends", "body"), ("upload_parts", "content")}


@pytest.fixture
async def sealed(ground: Ground) -> AsyncIterator[Sealed]:
    made = Sealed(ground.processor, ground.vault.content_keys)
    yield made
    made.forget()


async def accept(outgoing: Outgoing) -> str:
    """Commit a send with a file, all with the canary."""
    file = await upload(outgoing, "offer.bin", FILE)
    request = outgoing.request(subject=f"Offer {CANARY}", text=f"Thirty euros, {CANARY}.")
    request.attachments.add(upload_id=file.upload_id)
    row, _ = await outgoing.sends().accept(request)
    return row.send_id


async def found_in(ground: Ground, text: str = CANARY) -> set[tuple[str, str]]:
    return await cells_with(ground.processor, "processor", text) & OF_A_SEALED_TENANT


@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_a_sealed_send_arrives_with_its_file_and_no_table_has_its_text(
    ground: Ground, sealed: Sealed, provider: str
) -> None:
    outgoing = await Outgoing.of(ground, provider)
    await sealed.enable(outgoing.tenant.tenant_id)
    send_id = await accept(outgoing)
    accepted = await cells_with(ground.processor, "processor", CANARY)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(send_id)
    mail = await mail_of(outgoing)
    files = {part.get_filename(): part.get_payload(decode=True) for part in mail.walk() if part.get_filename()}

    assert (State.SENT, {"offer.bin": FILE}, set()) == (sent.state, files, accepted)
    assert f"Offer {CANARY}" == mail["Subject"] == sent.content.mail.subject
    assert ["send.sent"] == [event.event_type for event in await outgoing.events()]
    assert set() == await cells_with(ground.processor, "processor", CANARY)


async def test_an_answer_keeps_its_derived_recipients_sealed(ground: Ground, sealed: Sealed) -> None:
    outgoing = await Outgoing.of(ground)
    await sealed.enable(outgoing.tenant.tenant_id)
    row = await outgoing.answer(subject=f"Offer {CANARY}")
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(row.send_id)

    assert (State.SENT, f"RE: Offer {CANARY}") == (sent.state, sent.addressed.subject)
    assert set() == await cells_with(ground.processor, "processor", CANARY)


async def test_stored_sends_and_files_are_sealed_by_the_pass(ground: Ground, sealed: Sealed) -> None:
    outgoing = await Outgoing.of(ground)
    send_id = await accept(outgoing)
    before, stored = await outgoing.read(send_id), await found_in(ground)
    await sealed.enable(outgoing.tenant.tenant_id)
    await StoredSealing(ground.processor, (sends.seal_some, uploads.seal_some)).round()
    after, left = await outgoing.read(send_id), await cells_with(ground.processor, "processor", CANARY)
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(send_id)
    mail = await mail_of(outgoing)

    assert {("sends", "content"), ("sends", "body"), ("upload_parts", "content")} == stored
    assert (before, set()) == (after, left)
    assert FILE in [part.get_payload(decode=True) for part in mail.walk()]


async def test_an_export_opens_what_is_sealed(ground: Ground, sealed: Sealed) -> None:
    outgoing = await Outgoing.of(ground)
    await sealed.enable(outgoing.tenant.tenant_id)
    await accept(outgoing)
    await receive(outgoing, f"{CANARY}@example.test")
    found = await exported(TenantRows(ground.processor, EXPORT), outgoing.tenant.tenant_id)
    (send,), (event,), (part,) = found["sends"], found["events"], found["upload_parts"]

    assert f"Thirty euros, {CANARY}." == send["request"]["mail"]["text"]
    assert f"{CANARY}@example.test" in json.dumps(event["event"])
    assert FILE == base64.b64decode(part["content"]["base64"])
    assert 1 == len(found["sealed_tenants"])


async def receive(outgoing: Outgoing, sender: str) -> None:
    """Publish a mail that the tenant has received."""
    draft = mail_draft(tenant_id=outgoing.tenant.tenant_id)
    assert draft.mail is not None
    draft.mail.message.from_address.address = sender
    async with db.transaction(outgoing.ground.processor) as connection:
        await publish(connection, [draft])


async def test_the_erasure_of_a_person_finds_the_address_in_sealed_content(ground: Ground, sealed: Sealed) -> None:
    outgoing = await Outgoing.of(ground)
    tenant_id = outgoing.tenant.tenant_id
    await sealed.enable(tenant_id)
    named = (await outgoing.accept(text="To Ann.")).send_id
    async with running(ground.worker_settings(**HASTE)):
        await outgoing.ended(named)
        await outgoing.cleared(named)
    await receive(outgoing, outgoing.recipient)
    await receive(outgoing, "bob@example.test")
    person = PersonToErase(erasure_id=new_id(), tenant_id=tenant_id, address=outgoing.recipient)
    pace = Pace(settle_seconds=0, slice_seconds=60, rest=0)
    progress = await PersonErasing(ground.processor, "processor", PERSONS, pace).advance(person)

    assert progress.mark.is_done
    assert (1, 1) == (progress.mark.removed["sends"], progress.mark.removed["events"])
    kinds = await ground.processor.fetch("SELECT kind FROM processor.events ORDER BY position")
    assert [KIND_SEND, KIND_ERASED, KIND_MAIL] == [row["kind"] for row in kinds]


async def test_a_sealed_send_that_waited_in_a_backup_becomes_uncertain(ground: Ground, sealed: Sealed) -> None:
    outgoing = await Outgoing.of(ground)
    await sealed.enable(outgoing.tenant.tenant_id)
    send_id = await accept(outgoing)
    sealed.forget()  # TokenVault does not run when a backup is restored
    settled = await settle_sends(ground.processor, SystemClock())
    async with running(ground.worker_settings(**HASTE)):
        await SendRetention(ground.processor, SystemClock()).round()
        row = await outgoing.read(send_id)

    assert (1, State.UNCERTAIN) == (settled, row.state)
    assert [] == await outgoing.received()


async def broken_send(ground: Ground, outgoing: Outgoing, key: str = "one") -> str:
    """Commit a send whose sealed content was altered in the table."""
    row = await outgoing.accept(key)
    await ground.processor.execute(
        "UPDATE processor.sends SET content = set_byte(content, 20, 255 - get_byte(content, 20)) WHERE send_id = $1",
        row.send_id,
    )
    return row.send_id


async def state_of(ground: Ground, send_id: str) -> tuple[int, str]:
    row = await ground.processor.fetchrow("SELECT state, reason FROM processor.sends WHERE send_id = $1", send_id)
    assert row is not None
    return row["state"], row["reason"]


async def test_a_send_that_does_not_open_ends_and_stops_neither_its_mailbox_nor_a_list(
    ground: Ground, sealed: Sealed
) -> None:
    outgoing = await Outgoing.of(ground)
    await sealed.enable(outgoing.tenant.tenant_id)
    broken, whole = await broken_send(ground, outgoing), (await outgoing.accept("two")).send_id
    with pytest.raises(SealBroken):
        await outgoing.read(broken)
    async with running(ground.worker_settings(**HASTE)):
        sent = await outgoing.ended(whole)
    listed, _ = await outgoing.sends().page(None, [], None, 10)

    assert State.SENT == sent.state
    assert (State.FAILED, "SEAL_BROKEN") == await state_of(ground, broken)
    assert ["send.failed", "send.sent"] == sorted(event.event_type for event in await outgoing.events())
    assert [(whole, False), (broken, True)] == [(row.send_id, row.is_broken) for row in listed]
    assert 1 == len(await outgoing.received())


async def test_a_tenant_without_its_key_or_with_a_broken_send_does_not_hold_up_the_retention_of_others(
    ground: Ground, sealed: Sealed
) -> None:
    away, altered, plain = [await Outgoing.of(ground) for _ in range(3)]
    await sealed.enable(away.tenant.tenant_id)
    await sealed.enable(altered.tenant.tenant_id)
    waits = (await away.accept()).send_id
    broken = await broken_send(ground, altered)
    overdue = (await plain.accept()).send_id
    await ground.processor.execute(
        "UPDATE processor.sends SET due_at = now() - interval '2 days', deadline_at = now() - interval '1 day'"
    )
    sealed.forget()
    sealed.keys.reasons[away.tenant.tenant_id] = "KEY_UNAVAILABLE"
    await KeyFollower(ground.processor, sealed.keys).start()  # type: ignore[arg-type] # a stub's calls
    await SendRetention(ground.processor, SystemClock()).round()
    states = [(await state_of(ground, one))[0] for one in (waits, broken, overdue)]

    assert [State.QUEUED, State.FAILED, State.FAILED] == states


async def test_a_file_that_does_not_open_ends_its_send_and_does_not_stop_the_mailbox(
    ground: Ground, sealed: Sealed
) -> None:
    outgoing = await Outgoing.of(ground)
    await sealed.enable(outgoing.tenant.tenant_id)
    broken = await accept(outgoing)
    await ground.processor.execute(
        "UPDATE processor.upload_parts SET content = set_byte(content, 20, 255 - get_byte(content, 20))"
    )
    whole = (await outgoing.accept("two")).send_id
    async with running(ground.worker_settings(**HASTE)):
        ended = [(await outgoing.ended(one)).state for one in (broken, whole)]

    assert [State.FAILED, State.SENT] == ended
    assert 1 == len(await outgoing.received())


async def test_the_erasure_of_a_person_ends_although_a_send_does_not_open(ground: Ground, sealed: Sealed) -> None:
    outgoing = await Outgoing.of(ground)
    await sealed.enable(outgoing.tenant.tenant_id)
    broken = await broken_send(ground, outgoing)
    person = PersonToErase(erasure_id=new_id(), tenant_id=outgoing.tenant.tenant_id, address=outgoing.recipient)
    pace = Pace(settle_seconds=0, slice_seconds=60, rest=0)
    progress = await PersonErasing(ground.processor, "processor", PERSONS, pace).advance(person)
    left = await ground.processor.fetchval("SELECT content FROM processor.sends WHERE send_id = $1", broken)

    assert (True, b"") == (progress.mark.is_done, left)
