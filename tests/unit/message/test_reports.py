"""Bounces and complaints are read in the forms of six servers, and hostile ones within bounds."""

import pytest

from mailmesh.mail.v1 import message_pb2
from services.message.report_parts import MAX_REPORT_BYTES
from services.message.reports import MAX_REPORTED, read_report
from simulator.bounces import FORMS, report

ORIGINAL = (
    b"From: me@here.test\r\nTo: gone@there.test, fine@there.test\r\nSubject: Offer\r\n"
    b"Message-ID: <sent-1@here.test>\r\nReferences: <older@here.test>\r\n\r\nHello to fine@there.test\r\n"
)
HARD, SOFT = message_pb2.BOUNCE_KIND_HARD, message_pb2.BOUNCE_KIND_SOFT


def dsn(*blocks: str, kind: str = "message/delivery-status", original: str = "Message-ID: <sent-1@here.test>") -> bytes:
    """Writes a report with these blocks about recipients."""
    status = "\n\n".join(("Reporting-MTA: dns; mx.test", *blocks))
    return (
        'From: <mailer-daemon@mx.test>\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\n\nIt failed.\n--b\nContent-Type: {kind}\n\n{status}\n"
        f"--b\nContent-Type: text/rfc822-headers\n\n{original}\n\n--b--\n"
    ).encode()


def block(action: str = "failed", status: str = "5.1.1", recipient: str = "rfc822; a@b.test", more: str = "") -> str:
    """Writes a block about a recipient."""
    return f"Final-Recipient: {recipient}\nAction: {action}\nStatus: {status}{more}"


@pytest.mark.parametrize("form", sorted(FORMS))
def test_each_form_names_the_mail_and_only_the_recipients_that_failed(form: str) -> None:
    raw = report(form, ORIGINAL, ["gone@there.test"], sender="me@here.test", date="", message_id="<r@x.test>")
    found = read_report(raw)
    assert found is not None
    assert ("<sent-1@here.test>", [("gone@there.test", "failed", HARD)], "") == (
        found.original_message_id,
        [(one.address, one.action, one.bounce) for one in found.recipients],
        found.feedback_type,
    )
    assert "5.1.1" == found.recipients[0].status
    assert "550 5.1.1" in found.recipients[0].diagnostic


@pytest.mark.parametrize(
    ("action", "status", "bounce"),
    [("failed", "5.1.1", HARD), ("failed", "4.4.7", SOFT), ("failed", "5.2.2", SOFT), ("failed", "", HARD),
     ("failed", "5.1.90", SOFT), ("failed", "5.4.5", SOFT), ("failed", "5.7.232", SOFT), ("failed", "5.7.233", SOFT),
     ("failed", "5.1.9", HARD), ("failed", "5.7.1", HARD),
     ("delayed", "4.4.1", 0), ("delivered", "2.0.0", 0), ("relayed", "2.0.0", 0)],
)  # fmt: skip
def test_only_a_failure_is_a_bounce_and_its_status_tells_the_kind(action: str, status: str, bounce: int) -> None:
    found = read_report(dsn(block(action, status)))
    assert found is not None
    assert [(action, status, bounce)] == [(one.action, one.status, one.bounce) for one in found.recipients]


def test_a_basic_code_gives_the_class_and_the_diagnostic_gives_the_enhanced_code() -> None:
    plain = read_report(dsn(block(status="550")))
    told = read_report(dsn(block(status="550", more="\nDiagnostic-Code: smtp; 550 5.7.1 Not\n  wanted")))
    assert plain is not None
    assert told is not None
    assert ("5.0.0", "5.7.1", "smtp; 550 5.7.1 Not wanted") == (
        plain.recipients[0].status, told.recipients[0].status, told.recipients[0].diagnostic
    )  # fmt: skip


def test_the_original_recipient_is_the_one_that_was_written_to() -> None:
    recipient = "rfc822; target@else.test\nOriginal-Recipient: rfc822;alias@b.test"
    found = read_report(dsn(block(recipient=recipient)))
    assert found is not None
    assert ["alias@b.test"] == [one.address for one in found.recipients]


def test_other_characters_in_base64_cost_no_report() -> None:
    alone = b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n\xff\xffabcd\n"
    assert read_report(alone) is None
    raw = dsn(block()).replace(b"--b\n\nIt failed.", b"--b\nContent-Transfer-Encoding: base64\n\n\xff\xc3abcd\xe9", 1)
    found = read_report(raw)
    assert found is not None
    assert ["a@b.test"] == [one.address for one in found.recipients]


def test_a_cited_id_that_no_index_holds_is_none() -> None:
    found = read_report(dsn(block(), original=f"Message-ID: <{'ä' * 490}@here.test>"))
    too_long = read_report(dsn(block(), original=f"Message-ID: <{'ä' * 500}@here.test>"))
    assert found is not None
    assert too_long is not None
    assert ("", True) == (too_long.original_message_id, found.original_message_id.startswith("<ä"))


def test_an_internationalised_status_is_read() -> None:
    found = read_report(dsn(block(recipient="utf-8; jörg@b.test"), kind="message/global-delivery-status"))
    assert found is not None
    assert ["jörg@b.test"] == [one.address for one in found.recipients]


def arf(fields: str, original: str) -> bytes:
    """Writes a complaint."""
    return (
        "From: fbl@isp.test\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\nSpam.\n"
        f"--b\nContent-Type: message/feedback-report\n\n{fields}\n"
        f"--b\nContent-Type: message/rfc822\n\n{original}\n--b--\n"
    ).encode()


@pytest.mark.parametrize(
    ("fields", "to", "recipients"),
    [("Feedback-Type: abuse\nOriginal-Rcpt-To: a@b.test\nOriginal-Rcpt-To: <c@d.test>", "x@y.test",
      ["a@b.test", "c@d.test"]),
     ("Feedback-Type: abuse", "x@y.test", ["x@y.test"])],
)  # fmt: skip
def test_a_complaint_names_its_recipients_or_the_only_one_of_the_mail(
    fields: str, to: str, recipients: list[str]
) -> None:
    found = read_report(arf(fields, f"Message-ID: <sent-1@here.test>\nTo: {to}\n\nBuy"))
    assert found is not None
    assert ("abuse", recipients, "<sent-1@here.test>") == (
        found.feedback_type, [one.address for one in found.recipients], found.original_message_id
    )  # fmt: skip


def test_a_redacted_complaint_about_several_and_one_that_is_none_report_nothing() -> None:
    original = "Message-ID: <sent-1@here.test>\nTo: x@y.test, z@y.test\n\nBuy"
    assert read_report(arf("Feedback-Type: abuse", original)) is None
    assert read_report(arf("Feedback-Type: not-spam\nOriginal-Rcpt-To: a@b.test", original)) is None


def test_a_complaint_of_hotmail_names_the_recipient_in_the_returned_mail() -> None:
    raw = (
        b"From: staff@hotmail.com\nSubject: complaint\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
        b"Content-Type: message/rfc822\n\nX-HmXmrOriginalRecipient: a@hotmail.com\n"
        b"Message-ID: <sent-1@here.test>\n\nx\n--b--\n"
    )
    found = read_report(raw)
    assert found is not None
    assert ("abuse", ["a@hotmail.com"]) == (found.feedback_type, [one.address for one in found.recipients])


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n", b"\xff" * 5000, b"Content-Type: multipart/report; boundary=b\n\n" + b"--b\n\n" * 90_000,
     (b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n"
      b"Content-Transfer-Encoding: base64\n\n!!!\n--b--"), b"A: b\n" * 60_000, b" " * 300_000, b"a@" * 200_000],
)  # fmt: skip
def test_bytes_without_a_report_give_none(raw: bytes) -> None:
    assert read_report(raw) is None


def test_a_flood_is_cut_and_its_words_are_one_safe_line() -> None:
    many = [block(recipient=f"rfc822; u{n}@b.test", more="\nDiagnostic-Code: smtp; \x1b[31m\u202ered " + "x" * 999)
            for n in range(3 * MAX_REPORTED)]  # fmt: skip
    raw = dsn(*many)
    assert len(raw) > MAX_REPORT_BYTES
    found = read_report(raw)
    assert found is not None
    assert MAX_REPORTED >= len(found.recipients) > 0
    words = found.recipients[0].diagnostic
    assert (True, True) == (len(words) <= 300, words.isprintable())


def test_a_nested_multipart_ends_the_search() -> None:
    inner = "".join(f"--b{n}\nContent-Type: multipart/mixed; boundary=b{n + 1}\n\n" for n in range(5000))
    assert read_report(f"Content-Type: multipart/report; boundary=b0\n\n{inner}".encode()) is None
