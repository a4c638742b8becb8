"""Mails of any shape give a message, never an exception, within bounds of size and of time."""

import base64
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailmesh.mail.v1 import event_pb2
from mailmesh.processor.v1 import event_pb2 as processor_pb2
from mailmesh.processor.v1 import event_service_pb2
from services.message.bounds import EVENT_BYTES, fit
from services.processor.mail.sources import gmail_mapping, graph_mapping
from services.processor.mail.sources.mapped import MappedMessage
from tests.unit.message.growth import TIMES, grows_too_fast

Map = Callable[[Any], MappedMessage]
MAPPINGS = [graph_mapping.map_message, gmail_mapping.map_message]

# Half surrogates and NUL come in JSON as escapes.
TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=())) | st.sampled_from([
    "text/html", "text/plain", "multipart/mixed", "multipart/alternative", "message/rfc822", "2026-11-21T03:52:16Z",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999+14:00", "a@b.c", '"x" <a@b.c>, g: d@e;', "=?utf-8?q?=C3?=",
    "=?utf-16?b?/w?=", "<a@b>", "PGI-PGI_", "\ud800", "\0", "9" * 30, "-1", "<p onclick=x>", "<!--", "&#0;", "html",
])  # fmt: skip
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)

HEADER_NAMES = st.sampled_from([
    "From", "Sender", "To", "Cc", "Bcc", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References",
    "Content-Type", "Content-Disposition", "Content-ID", "Importance", "X-Priority", "Auto-Submitted", "Return-Path",
    "List-Id", "Precedence", "X-Auto-Response-Suppress",
])  # fmt: skip
HEADERS = st.lists(st.fixed_dictionaries({"name": HEADER_NAMES | TEXT, "value": TEXT}) | JSON, max_size=8) | JSON
RECIPIENT = st.fixed_dictionaries({"emailAddress": st.fixed_dictionaries({"name": JSON, "address": JSON})}) | JSON
GRAPH_TEXTS = (
    "id", "changeKey", "@odata.etag", "subject", "bodyPreview", "importance", "parentFolderId", "conversationId",
    "internetMessageId", "webLink", "receivedDateTime", "sentDateTime", "isRead", "isDraft", "categories",
)  # fmt: skip
GRAPH_ATTACHMENT = ["@odata.type", "id", "name", "contentType", "size", "isInline", "contentId"]
GRAPH_SIZES = st.fixed_dictionaries({"id": st.just("Integer 0xE08"), "value": JSON})
GRAPH = st.fixed_dictionaries({}, optional={
    **dict.fromkeys(GRAPH_TEXTS, TEXT | JSON),
    "body": st.fixed_dictionaries({"contentType": TEXT, "content": TEXT}) | JSON,
    **dict.fromkeys(("from", "sender"), RECIPIENT),
    **dict.fromkeys(
        ("toRecipients", "ccRecipients", "bccRecipients", "replyTo"), st.lists(RECIPIENT, max_size=3) | JSON
    ),
    "internetMessageHeaders": HEADERS,
    "attachments": st.lists(st.dictionaries(st.sampled_from(GRAPH_ATTACHMENT), JSON), max_size=3) | JSON,
    "singleValueExtendedProperties": st.lists(GRAPH_SIZES),
})  # fmt: skip
PART = st.recursive(
    st.fixed_dictionaries({}, optional={
        "mimeType": TEXT, "filename": TEXT, "headers": HEADERS,
        "body": st.fixed_dictionaries({}, optional={"data": TEXT, "attachmentId": TEXT, "size": JSON}) | JSON,
    }) | JSON,
    lambda inner: st.fixed_dictionaries({"mimeType": TEXT, "headers": HEADERS, "parts": st.lists(inner, max_size=3)}),
    max_leaves=6,
)  # fmt: skip
GMAIL = st.fixed_dictionaries({}, optional={
    **dict.fromkeys(("id", "threadId", "snippet", "historyId", "internalDate", "sizeEstimate"), TEXT | JSON),
    "labelIds": st.lists(TEXT, max_size=4) | JSON,
    "payload": PART,
})  # fmt: skip

EXAMPLES = int(os.environ.get("MANY_EXAMPLES", "100"))
QUICK = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def check(mapped: MappedMessage) -> event_pb2.NormalizedMailEvent:
    """An event of it can be written, is within its bound, and is read again in the deepest answer that holds it."""
    event = event_pb2.NormalizedMailEvent(message=mapped.message, truncation=mapped.truncation, raw=mapped.raw)
    fitting = fit(event)
    assert fitting.ByteSize() <= EVENT_BYTES
    answer = event_service_pb2.ListEventsResponse(events=[processor_pb2.Event(mail=fitting)])
    assert event_service_pb2.ListEventsResponse.FromString(answer.SerializeToString()) == answer
    return fitting


def mapped(map_message: Map, make: Callable[[int], dict[str, Any]], size: int) -> MappedMessage:
    """Map an object of a size; mapping must take no more than its share longer than for a quarter of that size."""
    small, large = make(size // TIMES), make(size)
    assert not grows_too_fast(lambda: map_message(small), lambda: map_message(large))
    return map_message(large)


@QUICK
@given(GRAPH)
def test_any_object_of_graph_gives_a_message(raw: dict[str, Any]) -> None:
    check(graph_mapping.map_message(raw))


@QUICK
@given(GMAIL)
def test_any_object_of_gmail_gives_a_message(raw: dict[str, Any]) -> None:
    check(gmail_mapping.map_message(raw))


@pytest.mark.parametrize("map_message", MAPPINGS)
@pytest.mark.parametrize("raw", [{}, [], None, "text", 7, {"payload": [], "body": 3}])
def test_what_is_no_message_gives_an_empty_one(map_message: Map, raw: Any) -> None:
    if isinstance(raw, dict):
        check(map_message(raw))


def _encoded(text: str | bytes) -> str:
    return base64.urlsafe_b64encode(text.encode() if isinstance(text, str) else text).decode()


def _gmail(mime_type: str, content: str | bytes, *headers: tuple[str, str], **more: Any) -> dict[str, Any]:
    fields = [{"name": name, "value": value} for name, value in headers]
    payload = {"mimeType": mime_type, "headers": fields, "body": {"data": _encoded(content)}, **more}
    return {"id": "m1", "historyId": "1", "payload": payload}


def test_ten_thousand_recipients_are_cut_and_said_so() -> None:
    def people(count: int) -> str:
        return ", ".join(f'"Person {number}" <person{number}@contoso.example>' for number in range(count))

    event = check(mapped(gmail_mapping.map_message, lambda n: _gmail("text/plain", "hi", ("To", people(n))), 10_000))

    assert 1000 < len(event.message.to) < 10_000
    assert ("Person 0", "person0@contoso.example") == (event.message.to[0].name, event.message.to[0].address)
    assert event.truncation.are_recipients_cut
    assert event.truncation.are_headers_cut
    assert event.truncation.original_size_bytes > len(people(10_000))


def test_ten_thousand_recipients_of_graph_are_cut_and_said_so() -> None:
    def recipients(count: int) -> dict[str, Any]:
        people = ({"name": f"Person {n}", "address": f"p{n}@contoso.example"} for n in range(count))
        return {"toRecipients": [{"emailAddress": person} for person in people]}

    event = check(mapped(graph_mapping.map_message, recipients, 10_000))

    assert event.truncation.are_recipients_cut
    assert event.truncation.is_raw_cut


def test_fifty_megabytes_of_text_are_cut_and_said_so() -> None:
    event = check(
        mapped(gmail_mapping.map_message, lambda n: _gmail("text/plain", "All work and no play. " * n), 2_500_000)
    )

    assert event.message.body.text.startswith("All work and no play.")
    assert 200_000 < len(event.message.body.text) <= 256 * 1024
    assert (True, True) == (event.truncation.is_text_cut, event.truncation.is_raw_cut)
    assert event.truncation.original_size_bytes > 50_000_000


@pytest.mark.parametrize("map_message", MAPPINGS)
def test_fifty_megabytes_of_html_are_cut_and_stay_well_formed(map_message: Map) -> None:
    def mail(count: int) -> dict[str, Any]:
        html = "<table><tr><td>" + "<p>All <b>work</b> and no play</p>" * count
        return {"body": {"contentType": "html", "content": html}, **_gmail("text/html", html)}

    event = check(mapped(map_message, mail, 1_500_000))

    assert (True, True) == (event.truncation.is_html_cut, event.truncation.is_text_cut)
    assert event.message.body.html.endswith("</td></tr></tbody></table>")
    assert event.message.body.text.startswith("All work and no play")


def _nested(depth: int) -> dict[str, Any]:
    part: dict[str, Any] = {"mimeType": "text/plain", "body": {"data": _encoded("deep text")}}
    for _ in range(depth):
        part = {"mimeType": "multipart/mixed", "headers": [{"name": "X-Level", "value": "x"}], "parts": [part]}
    return {"id": "m1", "payload": part}


def test_parts_nested_forty_deep_give_their_text() -> None:
    event = check(gmail_mapping.map_message(_nested(40)))

    assert "deep text" == event.message.body.text
    # Parsers of protobuf refuse what is nested so deep, so `raw` ends earlier and says so.
    assert event.truncation.is_raw_cut


@pytest.mark.parametrize("depth", [61, 300])
def test_parts_nested_without_end_give_a_message(depth: int) -> None:
    check(gmail_mapping.map_message(_nested(depth)))


def test_a_hundred_thousand_parts_give_a_message() -> None:
    def mail(count: int) -> dict[str, Any]:
        parts = [{"mimeType": "text/plain", "body": {"data": _encoded("x")}}] * count
        return {"payload": {"mimeType": "multipart/mixed", "parts": parts}}

    event = check(mapped(gmail_mapping.map_message, mail, 100_000))

    assert event.truncation.is_text_cut


def test_a_hundred_thousand_headers_are_cut_and_said_so() -> None:
    def mail(count: int) -> dict[str, Any]:
        return {"internetMessageHeaders": [{"name": f"X-{number}", "value": "v"} for number in range(count)]}

    event = check(mapped(graph_mapping.map_message, mail, 100_000))

    assert ("X-0", True) == (event.message.headers[0].name, event.truncation.are_headers_cut)


FONTS = "".join(f"<font color=c{number}>" for number in range(16_000))


@pytest.mark.parametrize("html", [
    "<div>" * 100_000, "<ul><li>" * 60_000, "<b>" * 150_000, "<p>" + FONTS + "</p>" + "<p>x" * 60_000,
    "<table>" * 60_000, "<table><tr><td>" * 30_000, "<div><applet></div></applet>" * 20_000, "<" * 500_000,
    "&" * 500_000, "<!--" * 120_000, "<p " + "a=b " * 120_000, '<a b="' * 80_000, "</p>" * 120_000,
    "<blockquote>x" * 40_000, "<select><option>" * 30_000, "<svg><p>" * 60_000, "<a><table>" * 50_000,
])  # fmt: skip
def test_html_made_to_choke_parsers_takes_bounded_time(html: str) -> None:
    def mail(length: int) -> dict[str, Any]:
        return {"body": {"contentType": "html", "content": html[:length]}}

    check(mapped(graph_mapping.map_message, mail, len(html)))


@pytest.mark.parametrize("value", [
    "(" * 500_000, '"' * 500_000, "<" * 500_000, "[" * 500_000, ":" * 500_000, "," * 500_000, "a@" * 250_000,
    "=?utf-8?q?" * 50_000, "\\" * 500_000, '"\\' * 250_000, "((a)" * 120_000, "a:b;" * 120_000,
])  # fmt: skip
def test_headers_made_to_choke_parsers_take_bounded_time(value: str) -> None:
    def mail(length: int) -> dict[str, Any]:
        names = ("From", "To", "Subject", "Date", "References", "Content-Type")
        return _gmail("text/plain", "hi", *((name, value[:length]) for name in names))

    check(mapped(gmail_mapping.map_message, mail, len(value)))


def test_an_event_that_came_by_another_way_is_cut_all_the_same() -> None:
    event = event_pb2.NormalizedMailEvent()
    event.message.body.text, event.message.body.html = "t" * 600_000, "h" * 600_000
    event.raw.update({"id": "m1", "big": "x" * 700_000, "list": [{"a": "y" * 1000}] * 500})
    fitting = fit(event)

    assert fitting.ByteSize() <= EVENT_BYTES
    assert (True, True) == (fitting.truncation.is_raw_cut, fitting.truncation.is_html_cut)
    assert event.ByteSize() == fitting.truncation.original_size_bytes
    assert not event.HasField("truncation")


def test_raw_leaves_out_its_largest_members_first() -> None:
    raw = {"id": "m1", "subject": "kept", "body": {"contentType": "text", "content": "x" * 2_000_000}}
    kept = MessageToDict(check(graph_mapping.map_message(json.loads(json.dumps(raw)))).raw)

    assert {"id": "m1", "subject": "kept", "body": {"contentType": "text"}} == kept
