"""Answers and forwards at both simulated providers: recipients, thread, quote and files come from the original."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses

import pytest

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.processor.mail.sources.reading import read_mail
from services.processor.mailbox.failures import SourceError
from services.processor.outbox.content import checked
from services.processor.outbox.gmail import GmailOutbox
from services.processor.outbox.graph import GraphOutbox
from services.processor.outbox.mailbox import MailNotMadeError, is_refused, refusal_of
from services.processor.outbox.rows import File, SendRow
from tests.programs.go_mail import read_by_go
from tests.programs.simulator import RunningSimulator
from tests.wire.processor.outbox.sending import Outgoing, sending

SCOPES = {
    "ms365": "openid profile email offline_access User.Read Mail.ReadWrite Mail.Send",
    "googlews": "openid email https://www.googleapis.com/auth/gmail.compose "
    "https://www.googleapis.com/auth/gmail.readonly",
}
PROVIDERS = list(SCOPES)
LONG_ID = f"<{'AM0PR01MB' * 9}@eurprd01.prod.exchangelabs.example>"
ROOT_ID = f"<{'root' * 22}@mail.example>"


@pytest.fixture(params=PROVIDERS)
async def outgoing(simulator: RunningSimulator, request: pytest.FixtureRequest) -> AsyncIterator[Outgoing]:
    provider, settings = str(request.param), simulator.settings

    def mailbox(access):  # type: ignore[no-untyped-def]
        if provider == "ms365":
            return GraphOutbox(access, settings["MAILMESH_MS365_GRAPH_URL"], read_mail)
        return GmailOutbox(access, settings["MAILMESH_GOOGLEWS_GMAIL_URL"], read_mail)

    async with sending(simulator, provider, SCOPES[provider], mailbox) as opened:
        yield opened


async def deliver(outgoing: Outgoing, **mail: object) -> str:
    """Deliver a mail that the recipient has written, and return its id."""
    fields = {
        "from": f"Ada <{outgoing.recipient}>",
        "to": [outgoing.sender, "Bob <bob@outside.test>"],
        "cc": [f"Me <{outgoing.sender.upper()}>", "Eve <eve@outside.test>"],
        "subject": "Offer",
        "messageId": LONG_ID,
        "references": f"{ROOT_ID} {LONG_ID[:-2]}2>",
        "text": "How much?\nAnswer to mallory@outside.test please.",
        **mail,
    }
    return str((await outgoing.control.deliver(outgoing.sender, **fields))["id"])


async def sent(outgoing: Outgoing, row: SendRow) -> EmailMessage:
    """Make the draft, submit it, and return the mail that arrived."""
    row = replace(row, draft_id=await outgoing.mailbox.draft(row))
    await outgoing.mailbox.submit(row)
    found = message_from_bytes(await outgoing.arrived(), policy=default)
    assert isinstance(found, EmailMessage)
    return found


def people(mail: EmailMessage, *names: str) -> set[str]:
    return {address for _, address in getaddresses([str(mail[name]) for name in names if mail[name]])}


async def test_an_answer_goes_to_its_author_alone_in_the_thread(outgoing: Outgoing) -> None:
    row = await outgoing.answer(await deliver(outgoing))
    mail = await sent(outgoing, row)
    (found,) = (await outgoing.mailbox.find(row)).copies

    assert {outgoing.recipient} == people(mail, "To", "Cc")
    assert "re: offer" == str(mail["Subject"]).lower()
    assert LONG_ID == str(mail["In-Reply-To"]).strip()
    body = mail.get_body(("html",))
    assert body is not None
    text = body.get_content()
    assert text.index("Gladly.") < text.index("How much?")
    assert not found.is_draft


async def test_an_answer_to_all_reaches_all_but_the_accounts_own_addresses(outgoing: Outgoing) -> None:
    row = await outgoing.answer(await deliver(outgoing, replyTo=[f"Desk <{outgoing.recipient}>"]), to_all=True)
    mail = await sent(outgoing, row)

    assert [outgoing.recipient, "bob@outside.test"] == [one.address for one in row.addressed.to]
    assert ["eve@outside.test"] == [one.address for one in row.addressed.cc]
    assert {outgoing.recipient, "bob@outside.test"} == people(mail, "To")
    assert {"eve@outside.test"} == people(mail, "Cc")


async def test_another_language_reads_the_long_ids_of_the_thread(outgoing: Outgoing) -> None:
    await sent(outgoing, await outgoing.answer(await deliver(outgoing)))
    raw = await outgoing.arrived()
    read = read_by_go(raw)

    assert ([LONG_ID], [ROOT_ID, f"{LONG_ID[:-2]}2>", LONG_ID]) == (
        read["In-Reply-To"], read["References"][0].split()
    )  # fmt: skip
    assert LONG_ID.encode() in raw


async def test_an_answer_joins_the_thread_of_its_original_at_its_account(outgoing: Outgoing) -> None:
    original = await deliver(outgoing)
    row = await outgoing.answer(original)
    await sent(outgoing, row)
    (found,) = (await outgoing.mailbox.find(row)).copies
    threads = {mail["id"]: mail["threadId"] for mail in (await outgoing.control.truth(outgoing.sender))["messages"]}

    assert 1 == len(set(threads.values())), threads
    assert found.thread_id in threads.values()


async def test_the_accounts_own_mail_is_followed_up_at_its_recipients(outgoing: Outgoing) -> None:
    original = await deliver(outgoing, **{"from": outgoing.sender, "to": [outgoing.recipient], "cc": []})
    row = await outgoing.answer(original)

    assert [outgoing.recipient] == [one.address for one in row.addressed.to]


async def test_a_reply_address_of_the_accounts_own_gives_way_to_the_author(outgoing: Outgoing) -> None:
    row = await outgoing.answer(await deliver(outgoing, replyTo=[outgoing.sender]))

    assert [outgoing.recipient] == [one.address for one in row.addressed.to]


async def test_an_original_that_cannot_be_answered_is_named(outgoing: Outgoing) -> None:
    gone = await deliver(outgoing)
    await outgoing.control.delete(outgoing.sender, gone)
    for original in (gone, await deliver(outgoing, **{"from": "nobody"})):
        with pytest.raises(MailNotMadeError):
            await outgoing.answer(original)


async def test_a_draft_of_an_answer_whose_answer_is_lost_is_found_and_is_one(outgoing: Outgoing) -> None:
    row = await outgoing.answer(await deliver(outgoing))
    for endpoint in ("graph.messages.create_reply", "gmail.drafts.create"):
        await outgoing.control.add_fault("close", endpoint=endpoint, phase="after", count=1)
    with pytest.raises(SourceError):
        await outgoing.mailbox.draft(row)
    (lost,) = (await outgoing.mailbox.find(row)).copies
    again = await outgoing.mailbox.draft(row) if lost.is_spare else lost.message_id
    copies = (await outgoing.mailbox.find(row)).copies

    assert lost.is_draft
    assert [again] == [copy.message_id for copy in copies if not copy.is_spare]


async def test_only_an_identity_of_the_account_is_a_sender(outgoing: Outgoing) -> None:
    desk, is_google = f"desk-{outgoing.sender}", not outgoing.sender.endswith("contoso.test")
    row = replace(outgoing.row(), history_anchor=await outgoing.mailbox.anchor())
    row.content.from_address.address = desk
    if is_google:
        await outgoing.control.update_account(outgoing.sender, sendAs={desk: "pending"})
    else:
        await outgoing.control.create_account("ms365", desk)
    with pytest.raises(SourceError) as refused:
        await outgoing.mailbox.submit(replace(row, draft_id=await outgoing.mailbox.draft(row)))
    if is_google:
        await outgoing.control.update_account(outgoing.sender, sendAs={desk: "accepted"})
    else:
        await outgoing.control.update_account(desk, delegates=[outgoing.sender])
    mail = await sent(outgoing, row)

    assert is_refused(refused.value)
    assert "SENDER_NOT_PERMITTED" == refusal_of(refused.value, names_sender=True)
    assert desk == str(mail["From"]).strip("<>")


async def test_headers_of_the_callers_own_reach_the_recipient(outgoing: Outgoing) -> None:
    row = await outgoing.answer(await deliver(outgoing))
    row.content.headers.add(name="X-Order", value="17, urgent")
    mail = await sent(outgoing, row)

    assert "17, urgent" == mail["X-Order"]


async def test_a_new_mail_has_its_headers_and_an_address_in_another_script(outgoing: Outgoing) -> None:
    address = f"ada-{outgoing.recipient[2:14]}@xn--bcher-kva.test"
    await outgoing.control.create_account("ms365", address)
    given = outgoing.row(text="", html="<p>Thirty <b>euros</b>.</p>")
    given.content.idempotency_key, given.content.tenant_id = "one", "t"
    given.content.mail.to[0].address = address.replace("xn--bcher-kva", "Bücher")
    given.content.headers.add(name="X-Order", value="17")
    row = replace(given, content=checked(given.content), history_anchor=await outgoing.mailbox.anchor())
    row = replace(row, draft_id=await outgoing.mailbox.draft(row))
    await outgoing.mailbox.submit(row)
    (found,) = (await outgoing.control.truth(address))["messages"]
    mail = message_from_bytes(await outgoing.eml(address, found["id"]), policy=default)

    assert ("17", address) == (mail["X-Order"], str(mail["To"]).strip("<>"))
    assert isinstance(mail, EmailMessage)
    if not outgoing.sender.endswith("contoso.test"):  # Exchange makes the text itself
        text = mail.get_body(("plain",))
        assert text is not None
        assert "Thirty euros." == text.get_content().strip()
        assert "multipart/alternative" == mail.get_content_type()


SECRET = "secret@outside.test"


async def test_a_forward_of_the_accounts_own_mail_hides_its_blind_recipient(outgoing: Outgoing) -> None:
    blind = [pb2.Recipient(address=SECRET)]
    own = replace(outgoing.row(bcc=blind), history_anchor=await outgoing.mailbox.anchor())
    own.content.mail.to[0].address = "bob@outside.test"
    files = [File("a.txt", "text/plain", b"hello"), File("b.pdf", "application/pdf", b"%PDF")]
    own = replace(own, draft_id=await outgoing.mailbox.draft(own, files))
    await outgoing.mailbox.submit(own)
    (copy,) = (await outgoing.mailbox.find(own)).copies
    assert SECRET.encode() in await outgoing.eml(outgoing.sender, copy.message_id)
    mail = await sent(outgoing, await outgoing.forward(copy.message_id))
    names = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}

    assert {"a.txt": b"hello", "b.pdf": b"%PDF"} == names
    assert SECRET not in everything(mail)


async def test_a_whole_original_that_is_attached_names_no_blind_recipient(outgoing: Outgoing) -> None:
    inner = base64.b64encode(b"Subject: inner\r\n\r\nThe inner mail.\r\n").decode()
    original = await deliver(
        outgoing,
        bcc=[SECRET],
        headers={"X-Mailmesh-Send-Id": "4d0f", "X-Order": "17"},
        attachments=[{"contentType": "message/rfc822", "base64": inner}],
    )
    mail = await sent(outgoing, await outgoing.forward(original))

    assert "The inner mail." in everything(mail)
    assert SECRET not in everything(mail)
    if not outgoing.sender.endswith("contoso.test"):  # Exchange attaches the inner mail alone
        (whole,) = mail.iter_attachments()
        read = whole.get_payload(0)
        assert isinstance(read, EmailMessage)
        assert ("message/rfc822", "forwarded.eml") == (whole.get_content_type(), whole.get_filename())
        assert ("Offer", "17", None) == (read["Subject"], read["X-Order"], read["X-Mailmesh-Send-Id"])


def everything(mail: EmailMessage) -> str:
    """Return the headers and the decoded contents of all parts, those of attached mails included."""
    contents = [part.get_payload(decode=True) or b"" for part in mail.walk()]
    heads = [f"{name}: {value}" for part in mail.walk() for name, value in part.items()]
    return "\n".join([*heads, *(content.decode("latin-1") for content in contents if isinstance(content, bytes))])


async def test_a_forward_has_the_text_and_the_files_of_its_original(outgoing: Outgoing) -> None:
    files = [
        {"name": "offer.pdf", "contentType": "application/pdf", "base64": base64.b64encode(b"%PDF 1" * 999).decode()},
        {"name": "Grüße.txt", "contentType": "text/plain", "base64": base64.b64encode(b"hello").decode()},
    ]
    row = await outgoing.forward(await deliver(outgoing, attachments=files), text="For you.")
    mail = await sent(outgoing, row)
    names = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}
    body = mail.get_body(("html",))

    assert {"offer.pdf": b"%PDF 1" * 999, "Grüße.txt": b"hello"} == names
    assert {outgoing.recipient} == people(mail, "To", "Cc")
    assert body is not None
    assert "For you." in body.get_content()
    assert "How much?" in body.get_content()


@pytest.mark.parametrize("outgoing", ["ms365"], indirect=True)
async def test_a_forward_that_lacks_files_on_a_later_page_of_the_list_is_refused(outgoing: Outgoing) -> None:
    content = base64.b64encode(b"hello").decode()
    files = [{"name": f"{number}.txt", "contentType": "text/plain", "base64": content} for number in range(3)]
    row = await outgoing.forward(await deliver(outgoing, attachments=files))
    await outgoing.control.set(graph_attachments_page=2, graph_forward_attachments_max=2)
    with pytest.raises(MailNotMadeError, match="without all attachments"):
        await outgoing.mailbox.draft(row)
    await outgoing.control.set(graph_forward_attachments_max=0)
    mail = await sent(outgoing, await outgoing.forward(row.original_id))

    assert ["0.txt", "1.txt", "2.txt"] == [part.get_filename() for part in mail.iter_attachments()]


async def test_a_forward_whose_draft_lacks_the_files_of_its_original_is_refused(outgoing: Outgoing) -> None:
    file = {"name": "offer.pdf", "contentType": "application/pdf", "base64": base64.b64encode(b"%PDF").decode()}
    row = await outgoing.forward(await deliver(outgoing, attachments=[file]))
    await outgoing.control.set(graph_forward_attachments=False)
    if outgoing.sender.endswith("contoso.test"):
        with pytest.raises(MailNotMadeError, match="without all attachments"):
            await outgoing.mailbox.draft(row)
        assert all(copy.is_spare for copy in (await outgoing.mailbox.find(row)).copies)
    else:  # the files of a forward at Google are ours to attach
        assert ["offer.pdf"] == [part.get_filename() for part in (await sent(outgoing, row)).iter_attachments()]
