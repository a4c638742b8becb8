"""The meaning of header fields."""

from datetime import UTC, datetime

import pytest

from mailmesh.mail.v1 import message_pb2 as pb2
from services.message.headers import Headers, automation, importance


def headers(*fields: tuple[str, str]) -> Headers:
    return Headers([{"name": name, "value": value} for name, value in fields])


@pytest.mark.parametrize(("fields", "expected"), [
    ([], pb2.AUTOMATION_KIND_UNSPECIFIED),
    ([("Auto-Submitted", "no")], pb2.AUTOMATION_KIND_UNSPECIFIED),
    ([("X-Auto-Response-Suppress", "All")], pb2.AUTOMATION_KIND_UNSPECIFIED),
    ([("Auto-Submitted", "auto-replied (vacation)")], pb2.AUTOMATION_KIND_AUTO_REPLY),
    ([("Auto-Submitted", "auto-replied"), ("Return-Path", "<>")], pb2.AUTOMATION_KIND_AUTO_REPLY),
    ([("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "DR, All")], pb2.AUTOMATION_KIND_AUTO_REPLY),
    ([("X-Autoreply", "yes")], pb2.AUTOMATION_KIND_AUTO_REPLY),
    ([("Return-Path", "<>")], pb2.AUTOMATION_KIND_BOUNCE),
    ([("Content-Type", "multipart/report; report-type=delivery-status"), ("Auto-Submitted", "auto-replied")],
     pb2.AUTOMATION_KIND_BOUNCE),
    ([("Content-Type", "multipart/report; report-type=disposition-notification")], pb2.AUTOMATION_KIND_RECEIPT),
    ([("List-Id", "<x.example>"), ("Precedence", "bulk")], pb2.AUTOMATION_KIND_MAILING_LIST),
    ([("list-unsubscribe", "<mailto:u@x.example>")], pb2.AUTOMATION_KIND_MAILING_LIST),
    ([("Precedence", "Bulk")], pb2.AUTOMATION_KIND_AUTO_GENERATED),
    ([("Auto-Submitted", "auto-generated")], pb2.AUTOMATION_KIND_AUTO_GENERATED),
])  # fmt: skip
def test_machines_are_known_by_their_headers(fields: list[tuple[str, str]], expected: int) -> None:
    assert expected == automation(headers(*fields))


@pytest.mark.parametrize(("fields", "expected"), [
    ([], pb2.IMPORTANCE_UNSPECIFIED),
    ([("Importance", "High")], pb2.IMPORTANCE_HIGH),
    ([("X-Priority", "1 (Highest)")], pb2.IMPORTANCE_HIGH),
    ([("X-Priority", "5")], pb2.IMPORTANCE_LOW),
    ([("X-Priority", "3")], pb2.IMPORTANCE_NORMAL),
    ([("Priority", "non-urgent")], pb2.IMPORTANCE_LOW),
    ([("Importance", "nonsense"), ("Priority", "urgent")], pb2.IMPORTANCE_HIGH),
])  # fmt: skip
def test_importance_is_the_senders(fields: list[tuple[str, str]], expected: int) -> None:
    assert expected == importance(headers(*fields))


@pytest.mark.parametrize(("value", "expected"), [
    ("<a@b> <c@d>", ["<a@b>", "<c@d>"]),
    ("<a@b>\r\n <c@\r\n d>", ["<a@b>", "<c@d>"]),
    ("a@b", ["<a@b>"]),
    ("Your message of Monday", []),
    ("<>", []),
    ("<" + "x" * 1000 + "@y>", []),
    ("text <a@b> text", ["<a@b>"]),
])  # fmt: skip
def test_message_ids_are_found_in_whatever_stands_around_them(value: str, expected: list[str]) -> None:
    assert expected == headers(("References", value)).message_ids("references")


@pytest.mark.parametrize(("value", "expected"), [
    ("Sat, 21 Nov 2026 04:52:16 +0100", datetime(2026, 11, 21, 3, 52, 16, tzinfo=UTC)),
    ("21 Nov 2026 03:52 GMT", datetime(2026, 11, 21, 3, 52, tzinfo=UTC)),
    ("Sat, 21 Nov 2026 03:52:16 -0000", datetime(2026, 11, 21, 3, 52, 16, tzinfo=UTC)),
    ("yesterday", None), ("", None), ("Sat, 99 Nov 2026 99:99:99 +9999", None), ("1" * 500, None),
    ("Sat, 21 Nov 99999999999 03:52:16 +0000", None),
])  # fmt: skip
def test_a_date_is_read_or_absent(value: str, expected: datetime | None) -> None:
    assert expected == headers(("Date", value)).date()
