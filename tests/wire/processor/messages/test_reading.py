"""The requests that read for callers, against the simulated providers."""

import base64
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.processor.mailbox.failures import SourceError
from services.processor.messages.errors import AttachmentNotFound
from services.processor.messages.reading.download import skipped
from services.processor.messages.reading.gmail import GmailContent
from services.processor.messages.reading.graph import GraphContent
from services.processor.messages.reading.listings import GmailListings, GraphListings
from services.processor.messages.reading.query import check_query
from tests.programs.simulator import RunningSimulator
from tests.wire.processor.messages.acting import Acting, acting

CONTENT = bytes(range(256)) * 2000 + b"end"


@pytest.fixture(params=["ms365", "googlews"])
async def account(simulator: RunningSimulator, request: pytest.FixtureRequest) -> AsyncIterator[Acting]:
    async with acting(simulator, request.param) as opened:
        yield opened


def content_of(account: Acting) -> GraphContent | GmailContent:
    if account.access.provider == "googlews":
        return GmailContent(account.access, account.url, lambda _tenant, _units: 0.0)
    return GraphContent(account.access, account.url)


def listings_of(account: Acting) -> GraphListings | GmailListings:
    if account.access.provider == "googlews":
        return GmailListings(account.access, account.url, lambda _tenant, _units: 0.0)
    return GraphListings(account.access, account.url)


async def attachment_of(account: Acting, message_id: str) -> str:
    """Returns the id of a mail's attachment, which a caller has from an event."""
    if account.access.provider == "googlews":
        return "1"
    url = f"{account.url}/me/messages/{message_id}/attachments"
    listed = await account.access.call("test", url, params={"$select": "id"})
    return str(listed["value"][0]["id"])


async def test_an_attachment_and_its_end_are_read_piece_by_piece(account: Acting) -> None:
    file = {"name": "a.bin", "contentType": "application/x-thing", "base64": base64.b64encode(CONTENT).decode()}
    message_id = await account.deliver(text="Hello", attachments=[file])
    attachment_id = await attachment_of(account, message_id)
    async with content_of(account).attachment(message_id, attachment_id) as download:
        pieces = [piece async for piece in download.pieces]
    async with content_of(account).attachment(message_id, attachment_id) as again:
        rest = b"".join([piece async for piece in skipped(again.pieces, len(CONTENT) - 3)])

    assert ("a.bin", "application/x-thing", len(CONTENT)) == (download.name, download.media_type, download.size)
    assert (CONTENT, b"end") == (b"".join(pieces), rest)
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= 1024 * 1024


@pytest.mark.parametrize("account", ["googlews"], indirect=True)
async def test_an_attachment_is_found_by_its_part_after_its_id_has_ended(account: Acting) -> None:
    file = {"name": "a.bin", "contentType": "application/x-thing", "base64": base64.b64encode(CONTENT).decode()}
    message_id = await account.deliver(text="Hello", attachments=[file])
    url = f"{account.url}/users/me/messages/{message_id}"
    mail = await account.access.call("test", url, params={"format": "full"})
    old = next(part["body"]["attachmentId"] for part in mail["payload"]["parts"] if part["filename"])
    await account.control.advance_clock(301)
    with pytest.raises(SourceError) as ended:
        await account.access.call("test", f"{url}/attachments/{old}")
    async with content_of(account).attachment(message_id, "1") as download:
        found = b"".join([piece async for piece in download.pieces])

    assert (400, CONTENT) == (ended.value.status, found)


@pytest.mark.parametrize("account", ["ms365"], indirect=True)
@pytest.mark.parametrize(
    ("content", "name", "media_type"),
    [
        (b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n" + CONTENT, "Lunch.ics", "text/calendar"),
        (b"\xef\xbb\xbfbegin:vcard\r\nend:vcard\r\n", "Lunch.vcf", "text/vcard"),
        (b"Subject: Lunch\r\n\r\nBEGIN:VCALENDAR\r\n", "Lunch.eml", "message/rfc822"),
    ],
)
async def test_an_attached_item_is_named_by_its_content(
    account: Acting, content: bytes, name: str, media_type: str
) -> None:
    item = {"name": "Lunch", "isItem": True, "base64": base64.b64encode(content).decode()}
    message_id = await account.deliver(text="Hello", attachments=[item])
    attachment_id = await attachment_of(account, message_id)
    async with content_of(account).attachment(message_id, attachment_id) as download:
        found = b"".join([piece async for piece in download.pieces])

    assert (name, media_type, content) == (download.name, download.media_type, found)


def long_answers(account: Acting, operation: str) -> float:
    found = REGISTRY.get_sample_value(
        "mailmesh_processor_long_answers_total", {"provider": account.access.provider, "operation": operation}
    )
    return found or 0.0


async def test_an_attachment_of_a_mail_with_many_fields_is_found_beside_the_event_loop(account: Acting) -> None:
    mail = EmailMessage()
    for number in range(9000):
        mail[f"X-Field-{number}"] = "value"
    mail.set_content("Hello")
    mail.add_attachment(CONTENT, maintype="application", subtype="x-thing", filename="a.bin")
    message_id = str((await account.control.deliver(account.address, eml=mail.as_string()))["id"])
    attachment_id, before = await attachment_of(account, message_id), long_answers(account, "attachment")
    async with content_of(account).attachment(message_id, attachment_id) as download:
        found = b"".join([piece async for piece in download.pieces])

    assert CONTENT == found
    if account.access.provider == "googlews":  # the mail comes with the place of the attachment
        assert before + 1 == long_answers(account, "attachment")


async def test_an_attachment_that_a_mail_has_not_is_not_found(account: Acting) -> None:
    message_id = await account.deliver(text="Hello")
    with pytest.raises(AttachmentNotFound):
        async with content_of(account).attachment(message_id, "77"):
            pytest.fail("there is none")


async def test_an_offset_beyond_the_end_is_refused(account: Acting) -> None:
    message_id = await account.deliver(text="Hello")
    async with content_of(account).raw(message_id) as download:
        with pytest.raises(FieldInvalid):
            [piece async for piece in skipped(download.pieces, 1_000_000)]


async def test_a_search_finds_by_each_field_and_goes_on_page_by_page(account: Acting) -> None:
    wanted = [await account.deliver(subject="Late invoice", text=f"number {number}") for number in range(3)]
    await account.deliver(subject="Lunch", text="noodles")
    listings, query = listings_of(account), pb2.MessageQuery(subject="late invoice")
    first = await listings.search(query, 2, "")
    last = await listings.search(query, 2, first.token)
    none = await listings.search(pb2.MessageQuery(text="noodles", subject="Late"), 10, "")

    assert sorted(wanted) == sorted(one.message_id for one in [*first.messages, *last.messages])
    assert (2, "", []) == (len(first.messages), last.token, none.messages)


@pytest.mark.parametrize("text", ["subject:Lunch", "Late OR Lunch", "-Late", "(Lunch)", "is:read"])
async def test_operators_in_a_text_are_words(account: Acting, text: str) -> None:
    await account.deliver(subject="Lunch", text="noodles")
    found = await listings_of(account).search(pb2.MessageQuery(text=text), 10, "")

    assert [] == found.messages


@pytest.mark.parametrize("text", ['a" OR "b', "a\\", "a\nb", "x" * 201])
def test_a_text_that_could_end_its_quotes_is_refused(text: str) -> None:
    with pytest.raises(FieldInvalid):
        check_query(pb2.MessageQuery(text=text))


async def test_folders_and_labels_are_listed(account: Acting) -> None:
    made = await account.control.add_folder(account.address, "Customers")
    listings = listings_of(account)
    if isinstance(listings, GmailListings):
        names = {one.label_id: one.display_name for one in await listings.labels()}
    else:
        folders, is_cut = await listings.folders()
        names = {one.folder_id: one.display_name for one in folders}
        assert not is_cut

    assert "Customers" == names[made["id"]]
    assert len(names) > 5


def resident_mib(name: str) -> float:
    """Returns the resident memory of this process, or the kernel's peak of it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def reset_peak() -> float:
    """Makes the peak the present resident memory, and returns it in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident_mib("VmRSS")


@pytest.mark.serial
@pytest.mark.timeout(300)
@pytest.mark.parametrize("provider", ["ms365", "googlews"])
async def test_a_hundred_megabytes_pass_with_the_memory_of_a_few_pieces(
    simulator: RunningSimulator, provider: str
) -> None:
    # The simulated provider, a process of its own, makes the whole answer before its first byte.
    async with acting(simulator, provider, timeout_seconds=120) as account:
        file = {"name": "large.bin", "contentType": "application/x-thing", "bytes": 100_000_000}
        message_id = await account.deliver(text="Hello", attachments=[file])
        attachment_id = await attachment_of(account, message_id)
        before, received = reset_peak(), 0
        async with content_of(account).attachment(message_id, attachment_id) as download:
            async for piece in download.pieces:
                received += len(piece)
        grown = resident_mib("VmHWM") - before
        await account.control.remove_account(account.address)

    assert received == 100_000_000
    assert grown < 32, f"{grown:.1f} MiB"
