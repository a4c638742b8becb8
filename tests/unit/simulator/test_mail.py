"""The same bytes as Graph and as Gmail show them, however broken they are."""

import base64
from typing import Any

import pytest

from simulator.clock import Clock
from simulator.eml import Eml, addresses, compose, date_ms, parse
from simulator.generate import GeneratedMail
from simulator.google.render import View as GmailView
from simulator.google.render import find_attachment
from simulator.knobs import Knobs
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.mailbox import MailboxError
from simulator.microsoft.render import View as GraphView


def both(raw: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """One mail as Graph's message with everything selected, and as Gmail's."""
    graph = GraphMailbox("a@b.test", Clock(), 1)
    gmail = GmailMailbox("a@b.test", Clock(), 1, Knobs())
    select = ("subject", "body", "from", "toRecipients", "internetMessageHeaders", "internetMessageId", "sentDateTime")
    view = GraphView(graph, is_immutable=True, select=select)
    return view.message(graph.deliver(Eml(raw))), GmailView(gmail).message(gmail.deliver(Eml(raw)), "full")


def parts(payload: dict[str, Any]) -> list[dict[str, Any]]:
    return [payload, *[inner for part in payload.get("parts", []) for inner in parts(part)]]


def test_both_providers_show_the_same_subject_headers_and_bodies():
    fields = {
        "from": "Zoë Müller <z@x.test>",
        "to": "a@b.test",
        "subject": "Größe — 提案",
        "text": "Grüße\n",
        "html": "<p>Grüße</p>",
    }
    graph, gmail = both(compose(fields, default_date="Fri, 21 Nov 2025 03:00:00 +0100", default_message_id="<1@x>"))
    headers = {header["name"]: header["value"] for header in gmail["payload"]["headers"]}
    assert graph["subject"] == headers["Subject"] == "Größe — 提案"
    assert graph["internetMessageHeaders"] == gmail["payload"]["headers"]
    bodies = {part["mimeType"]: part["body"].get("data", "") for part in parts(gmail["payload"])}
    assert graph["body"]["content"] == base64.urlsafe_b64decode(bodies["text/html"]).decode().replace("\r\n", "\n")
    assert "2025-11-21T02:00:00Z" == graph["sentDateTime"]


BROKEN = {
    "empty": b"",
    "no headers": b"\r\njust a body",
    "bytes": bytes(range(256)),
    "bad date": b"Date: the day after tomorrow\r\nSubject: x\r\n\r\nhi",
    "far date": b"Date: Fri, 21 Nov 99999 03:00:00 +0000\r\n\r\nhi",
    "wrong charset": b'Content-Type: text/plain; charset="klingon"\r\n\r\n\xff\xfe',
    "latin in a header": b"Subject: Gr\xf6\xdfe\r\nFrom: \xff <a@b>\r\n\r\nhi",
    "bad encoded word": b"Subject: =?klingon?b?////?= =?utf-8?q?=E4?=\r\n\r\nhi",
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\nhi",
    "open multipart": b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi',
    "bad base64": b"Content-Transfer-Encoding: base64\r\nContent-Type: application/pdf\r\n\r\n!!!!",
    "only an attachment": b"Content-Type: application/pdf; name=a.pdf\r\n\r\n%PDF",
    "groups": b"To: undisclosed-recipients:;\r\nCc: G: a@b.test, c@d.test;\r\n\r\nhi",
    "thousands of people": b"To: " + b", ".join(b"p%d@x.test" % n for n in range(10_000)) + b"\r\n\r\nhi",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_broken_mail_is_shown_and_never_fails(raw):
    graph, gmail = both(raw)
    assert isinstance(graph["body"]["content"], str)
    assert "payload" in gmail


def test_deeply_nested_mail_is_shown():
    raw = b"Subject: innermost\r\n\r\nhi"
    for _ in range(40):
        raw = b"Subject: outer\r\nContent-Type: message/rfc822\r\n\r\n" + raw
    graph, gmail = both(raw)
    assert ("outer", 41) == (graph["subject"], len(parts(gmail["payload"])))


def test_names_with_commas_stay_one_person():
    raw = b"From: =?utf-8?q?M=C3=BCller=2C_Zo=C3=AB?= <z@x.test>, b@x.test\r\n\r\nhi"
    assert [("Müller, Zoë", "z@x.test"), ("", "b@x.test")] == addresses(parse(raw), "From")


def test_a_date_without_sense_is_none():
    assert None is date_ms(parse(BROKEN["bad date"]))


def test_attachment_ids_change_with_each_fetch_and_live_for_some_time():
    clock = Clock()
    mailbox = GmailMailbox("a@b.test", clock, 1, Knobs())
    mail = mailbox.deliver(Eml(BROKEN["only an attachment"]))
    ids = {GmailView(mailbox).message(mail, "full")["payload"]["body"]["attachmentId"] for _ in range(3)}
    assert 3 == len(ids)
    assert {b"%PDF"} == {part.content for given in ids if (part := find_attachment(mail, given))}
    later = clock.milliseconds() + 1
    assert {None} == {find_attachment(mail, given, later) for given in ids}
    assert None is find_attachment(mail, "ANGjdJnonsense")


def test_generated_mail_is_the_same_each_time_and_answers_what_came_before():
    mails = [GeneratedMail(1, number, "a@b.test", 0) for number in range(50)]
    replies = [mail for mail in mails if mail.is_reply]
    assert 5 < len(replies) < 30
    assert all((mails[mail.number - 1].message_id,) == mail.references for mail in replies)
    assert [mail.raw() for mail in mails] == [GeneratedMail(1, number, "a@b.test", 0).raw() for number in range(50)]
    assert 50 == len({mail.message_id for mail in mails})


def test_a_conversation_is_joined_by_reference_in_both_mailboxes():
    first, reply = b"Message-ID: <1@x>\r\nSubject: A\r\n\r\nhi", b"References: <0@x> <1@x>\r\nSubject: Re: A\r\n\r\nhi"
    graph, gmail = GraphMailbox("a@b.test", Clock(), 1), GmailMailbox("a@b.test", Clock(), 1, Knobs())
    for mailbox in (graph, gmail):
        root = mailbox.deliver(Eml(first))
        assert root.thread == mailbox.deliver(Eml(reply)).thread


def test_unknown_ids_find_nothing():
    graph, gmail = GraphMailbox("a@b.test", Clock(), 1), GmailMailbox("a@b.test", Clock(), 1, Knobs())
    for mailbox in (graph, gmail):
        for given in ("", "ffffffffffffffff", "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A" + "A" * 28, "é", "x" * 500):
            with pytest.raises(MailboxError):
                mailbox.find(given)
