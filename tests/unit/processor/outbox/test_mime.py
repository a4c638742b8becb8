"""The mail of a send is written for Gmail and Graph as the caller gave it, whatever its texts contain."""

from email import message_from_bytes
from email.policy import SMTP
from typing import Any

import pytest

from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.processor.outbox.answers import references
from services.processor.outbox.content import checked
from services.processor.outbox.graph import draft_of
from services.processor.outbox.mailbox import MailNotMadeError, is_refused
from services.processor.outbox.mime import mime_of, without_private_fields
from services.processor.outbox.rows import File, SendRow
from tests.factories.sends import send_row

INJECTED = "=?utf-8?q?Hi=0d=0aBcc:_evil=40x.example=0d=0aX-Mailmesh-Send-Id:_OTHER=0d=0a=0d=0aother_body?="
TEXTS = [
    INJECTED,
    "=?utf-8?b?SGkNCkJjYzogZXZpbEB4LmV4YW1wbGU=?=",
    f"Grüße {INJECTED}",
    "=?utf-8?q?a?= =?utf-8?q?b?=",
    "=?",
    "",
    " spaces around  and   within ",
    "Offer 17",
    'Müller, "Ada" <eve@x.example>',
    'Miller, "Ada" <eve@x.example>; \\ (a comment)',
    "Grüße 日本語 🎉 " * 12,
    "x" * 190,
    "word " * 38 + "end",
]


def row_of(**mail: Any) -> SendRow:
    """Return a send whose content was checked."""
    fields: dict[str, Any] = {"to": [pb2.Recipient(address="ada@example.com")], "text": "Hello", **mail}
    content = checked(pb2.SendRequest(idempotency_key="one", tenant_id="t", mail=pb2.NewMail(**fields)))
    return send_row("googlews", content)


@pytest.mark.parametrize("text", TEXTS)
def test_a_subject_at_gmail_is_the_callers_text_and_nothing_else(text: str) -> None:
    row = row_of(subject=text)
    made = mime_of(row, row.mail)
    read = message_from_bytes(made, policy=SMTP)

    assert _names(made) == ["x-mailmesh-send-id", "subject", "to", *_CONTENT]
    assert (row.send_id, text) == (read["X-Mailmesh-Send-Id"], str(read["Subject"]))
    assert "Hello" == read.get_content().strip()
    assert max(map(len, made.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("field", ["to", "cc", "bcc"])
def test_a_name_at_gmail_is_the_callers_text_and_adds_no_recipient(field: str, text: str) -> None:
    row = row_of(**{"to": [], field: [pb2.Recipient(address="ada@example.com", name=text)] * 2})
    made = mime_of(row, row.mail)
    read = message_from_bytes(made, policy=SMTP)

    assert _names(made) == ["x-mailmesh-send-id", "subject", field, *_CONTENT]
    assert ["ada@example.com"] * 2 == [address.addr_spec for address in read[field].addresses]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_reach_graph_as_they_are(text: str) -> None:
    row = row_of(subject=text, cc=[pb2.Recipient(address="bob@example.com", name=text)])
    draft = draft_of(row, row.send_id)

    assert text == draft["subject"]
    assert [text] == [one["emailAddress"].get("name", "") for one in draft["ccRecipients"]]


def test_a_mail_of_many_recipients_has_each_of_them() -> None:
    people = [pb2.Recipient(address=f"p{number}@example.com", name="Grüße" * 20) for number in range(500)]
    read = message_from_bytes(mime_of(row := row_of(to=people), row.mail), policy=SMTP)

    assert [one.address for one in people] == [address.addr_spec for address in read["To"].addresses]


@pytest.mark.parametrize("broken", ["ada@example.com>,\r\n <eve@x.example", "ada@example.com>\r\nX-Other: <a"])
def test_bytes_that_would_be_another_mail_are_refused(broken: str) -> None:
    row = row_of()
    row.content.mail.to[0].address = broken
    with pytest.raises(MailNotMadeError) as refused:
        mime_of(row, row.mail)

    assert is_refused(refused.value)


_CONTENT = ["content-type", "content-transfer-encoding", "mime-version"]


def _names(made: bytes) -> list[str]:
    return [name.lower() for name in message_from_bytes(made).keys()]  # noqa: SIM118


@pytest.mark.parametrize(
    "field",
    [
        b"Bcc: a@x.example\r\n",
        b"bCC : a@x.example,\r\n\ta2@x.example,\r\n b@x.example\r\n",
        b"BCC:\n a@x.example\n",
        b"Resent-Bcc: a@x.example\r\n",
        b"X-Mailmesh-Send-Id: a@x.example\r\n",
        b"Subject: b\rBcc: a@x.example\r\n",
    ],
)
def test_private_fields_are_taken_out_of_a_head_and_nothing_else(field: bytes) -> None:
    before, after = b"To: b@x.example\r\nX-Bcc: kept\r\n", b"Cc: c@x.example\r\n\r\nBcc: text\r\n"
    made = without_private_fields(before + field + after)

    assert made.replace(b"Subject: b\r", b"") == before + after
    assert b"a@x.example" not in without_private_fields(field)
    assert b"\r\n\r\nBcc: text" == without_private_fields(b"\r\n\r\nBcc: text")


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"Subject: a\r\n\r\n--x\r\nbody", "message/rfc822"),
        ("Subject: ü\r\n\r\nbody\r\n".encode(), "application/octet-stream"),
        (b"Subject: a\r\n\r\n" + b"x" * 999, "application/octet-stream"),
        (b"Subject: a\n\nbody\n", "application/octet-stream"),
    ],
)
def test_a_mail_is_attached_as_a_mail_where_its_lines_can_stand_as_they_are(content: bytes, content_type: str) -> None:
    row = row_of(subject="Offer")
    made = mime_of(row, row.mail, (), [File("a.eml", "message/rfc822", content), File("b", "", b"b")])
    first, second = message_from_bytes(made, policy=SMTP).iter_attachments()

    assert content_type == first.get_content_type()
    assert content in made or content == first.get_payload(decode=True)
    assert ("a.eml", "b", b"b") == (first.get_filename(), second.get_filename(), second.get_payload(decode=True))
    assert max(map(len, made.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(("length", "is_kept"), [(900, True), (901, False), (990, False)])
def test_an_id_that_makes_a_line_too_long_is_left_out(length: int, is_kept: bool) -> None:
    short, long = "<root@x.example>", f"<{'x' * (length - 2)}>"
    row = row_of(subject="Offer")
    before = references(message_pb2.MailMessage(internet_message_id=short, references=[long]))
    last = references(message_pb2.MailMessage(internet_message_id=long, references=[short]))
    made = [mime_of(row, row.mail, ids) for ids in (before, last)]

    assert ([long, short] if is_kept else [short]) == before
    assert ([short, long] if is_kept else []) == last
    assert max(len(line) for one in made for line in one.split(b"\r\n")) <= 998
