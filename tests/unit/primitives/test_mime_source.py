"""Raw MIME becomes the contract's mail: as the standard library reads it, within bounds, and whatever the bytes are."""

import email
import email.policy
import random
import time
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailmesh.mail.v1 import message_pb2
from services.primitives.mail.mime_source import MAX_PARTS, MimeSource
from services.primitives.mail.parse import parse_mail

REPLY = b"""From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.com>\r
To: desk@example.org, "Doe, John" <john@example.org>\r
Subject: =?utf-8?b?UsO8Y2tmcmFnZQ==?=\r
Date: Fri, 27 Nov 2026 10:00:00 +0100\r
Message-ID: <b@example.com>\r
In-Reply-To: <a@example.org>\r
References: <0@example.org>\r
 <a@example.org>\r
Content-Type: text/plain; charset=iso-8859-1\r
Content-Transfer-Encoding: quoted-printable\r
\r
Das ist m=F6glich.\r
\r
On Thu, Nov 26, 2026 at 9:00 AM Desk <desk@example.org> wrote:\r
> Is it?\r
"""


def test_a_reply_has_its_headers_its_text_and_its_new_text() -> None:
    parsed = parse_mail(REPLY)
    mail = parsed.message

    assert mail.subject == "Rückfrage"
    assert (mail.from_address.name, mail.from_address.address) == ("Jürgen", "juergen@example.com")
    assert [to.address for to in mail.to] == ["desk@example.org", "john@example.org"]
    assert mail.sent_at.ToJsonString() == "2026-11-27T09:00:00Z"
    assert list(mail.references) == ["<0@example.org>", "<a@example.org>"]
    assert mail.body.reply_text == "Das ist möglich."
    assert mail.body.text.endswith("> Is it?")
    assert (mail.size_bytes, list(parsed.faults)) == (len(REPLY), [])


def test_attachments_are_described_with_the_size_of_the_file_and_a_name_without_control_characters() -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "a@example.com", "Files"
    message.set_content("See the files.")
    message.add_alternative("<p>See the <b>files</b>.</p>", subtype="html")
    message.add_attachment(b"\0" * 1000, maintype="application", subtype="pdf", filename="Angebot für Köln.pdf")
    message.add_attachment(EmailMessage())

    mail = parse_mail(message.as_bytes()).message

    assert mail.body.text == "See the files."
    assert "<b>files</b>" in mail.body.html
    file = mail.attachments[0]
    assert (file.name, file.size_bytes, file.part_id) == ("Angebot für Köln.pdf", 1000, "1")
    assert mail.attachments[1].kind == message_pb2.ATTACHMENT_KIND_ITEM


@pytest.mark.parametrize(
    ("field", "encoded", "text"),
    [
        (b"(as usual) base64", b"aMOkbGxv", "hällo"),
        (b"Quoted-Printable (folded)", b"h=c3=A4llo", "hällo"),
        (b"quoted-printable", b"hel= \t\r\nlo =3D", "hello ="),
        (b"quoted-printable", b"hel=\t\nlo", "hello"),
    ],
)
def test_an_encoding_may_have_comments_and_white_space_behind_soft_breaks(
    field: bytes, encoded: bytes, text: str
) -> None:
    parsed = parse_mail(
        b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: " + field + b"\n\n" + encoded
    )

    assert (parsed.message.body.text, list(parsed.faults)) == (text, [])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"no header at all", "header_missing"),
        (b"Subject: x\nbroken line\n\nbody", "header_malformed"),
        (b"Subject: x\nX: " + b"y" * 300_000 + b"\n\nbody", "header_too_long"),
        (b"Content-Type: multipart/mixed\n\nbody", "boundary_missing"),
        (b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nbody", "multipart_unclosed"),
        (b"Subject: x\nContent-Transfer-Encoding: base64\n\n!!!!", "encoding_malformed"),
        (b"Subject: x\nContent-Transfer-Encoding: x-uuencode\n\nbody", "encoding_unknown"),
    ],
)
def test_a_defect_of_form_is_named_and_the_rest_is_read(content: bytes, fault: str) -> None:
    assert fault in parse_mail(content).faults


def test_text_of_a_multipart_without_parts_is_still_read() -> None:
    assert parse_mail(b"Content-Type: multipart/mixed\n\nstill here").message.body.text == "still here"


@pytest.mark.parametrize("inner", ["X--1", "X--text"])
def test_a_boundary_that_continues_another_one_ends_nothing(inner: str) -> None:
    mail = (
        "Content-Type: multipart/mixed; boundary=X\n\n"
        f'--X\nContent-Type: multipart/alternative; boundary="{inner}"\n\n'
        f"--{inner}\n\nOne\n--{inner}--\n--X\nContent-Type: image/png\n\nfile\n--X-- \nepilogue"
    )

    parsed = parse_mail(mail.encode())

    assert (parsed.message.body.text, len(parsed.message.attachments)) == ("One", 1)
    assert list(parsed.faults) == []


def nested(depth: int) -> bytes:
    head = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level) for level in range(depth)
    )
    return b"Subject: deep\n" + head + b"\nbody"


def hostile() -> dict[str, tuple[bytes, str]]:
    return {
        "2,000 nested multiparts": (nested(2000), "too_deep"),
        "20,000 parts": (
            b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 20_000 + b"--b--",
            "too_many_parts",
        ),
        "1,000 parentheses in To": (b"To: " + b"(" * 1000 + b"\n\nbody", ""),
        "a subject of 20,000 encoded words": (b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + b"\n\nbody", ""),
        "an unknown charset": (b"Content-Type: text/plain; charset=nonsense-7\n\nbody", ""),
        "a line of boundaries": (b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a" * 1_000_000, ""),
        "boundaries at each line": (b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--ab\n" * 500_000, ""),
        "blank lines": (b"Subject: x\n" + b"\n" * 5_000_000, ""),
        "fields without end": (b"a: b\n" * 1_000_000, "header_too_long"),
        "folded lines": (b"a: b\n" + b" c\n" * 1_000_000, "header_too_long"),
        "base64 with junk": (b"Content-Transfer-Encoding: base64\n\n" + b"!A" * 2_000_000, "encoding_malformed"),
        "quoted-printable of signs": (b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=" * 4_000_000, ""),
        "soft breaks of white space": (
            b"Content-Transfer-Encoding: quoted-printable\n\n" + (b"=" + b" \t" * 1000) * 2000,
            "",
        ),
        "carriage returns alone": (b"Subject: x\r\rbody\r" * 100_000, ""),
    }


@pytest.mark.parametrize("name", hostile())
def test_a_hostile_mail_is_read_within_the_bounds_of_one_process(name: str) -> None:
    content, fault = hostile()[name]
    began = time.process_time()

    parsed = parse_mail(content)

    # The bound of a process without rights; the slowest of these takes a small part of it.
    assert time.process_time() - began < 10
    assert fault in (*parsed.faults, "")
    assert len(parsed.message.attachments) <= MAX_PARTS


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_are_a_mail(content: bytes) -> None:
    assert parse_mail(content).message.size_bytes == len(content)


@given(
    st.one_of(st.binary(max_size=200), st.text("ABab01+/=\r\n -_", max_size=200).map(str.encode)),
    st.sampled_from(["", "=", "==", "===", "\r\n"]),
)
def test_a_file_that_is_not_kept_has_the_size_and_the_faults_of_its_content(encoded: bytes, end: str) -> None:
    mail = b"Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n" + encoded + end.encode()
    counted, kept = MimeSource(mail), MimeSource(mail, keeps_files=True)
    size = counted.payload()["body"]["size"]
    kept.payload()

    assert (len(kept.files["root"]), kept.faults) == (size, counted.faults)


def test_damaged_mails_are_read_without_an_exception() -> None:
    chance = random.Random(16)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "Äpfel"
    message.set_content("One\n" * 20)
    message.add_alternative("<p>One</p>", subtype="html")
    message.add_attachment(b"x" * 200, maintype="image", subtype="png", filename="ä.png")
    whole = message.as_bytes()
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 20)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        assert parse_mail(bytes(damaged[: chance.randrange(1, len(damaged))])).message is not None


def test_parts_are_those_that_the_standard_library_finds() -> None:
    message = EmailMessage()
    message["Subject"] = "Parts"
    message.set_content("text")
    message.add_related(b"png", "image", "png", cid="<logo>")
    message.add_attachment(b"a,b\n", maintype="text", subtype="csv", filename="table.csv")
    content = message.as_bytes()
    known = email.message_from_bytes(content, policy=email.policy.default)

    mail = parse_mail(content).message

    assert mail.body.text == "text"
    assert [found.content_type for found in mail.attachments] == [
        part.get_content_type()
        for part in known.walk()
        if not part.is_multipart() and part.get_content_type() != "text/plain"
    ]
