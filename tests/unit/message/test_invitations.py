"""The UID of an invitation equals that of its event, in each form in which the providers show it."""

import base64

import pytest

from services.message.fields import text
from services.message.invitations import MAX_CALENDAR_BYTES, event_uid, global_object_uid, invited_uid, uid_digest
from services.processor.mail.sources import gmail_mapping, graph_mapping
from services.processor.mail.sources.mapped import MappedMessage

GOOGLE = "qa87q2t552detf773508pdrchc@google.com"
GRAPH_OF_GOOGLE = (
    "040000008200E00074C5B7101A82E0080000000000000000000000000000000000000000320000007643616C2D55696401000000"
    "716138377132743535326465746637373335303870647263686340676F6F676C652E636F6D00"
)
"""The same UID as Graph shows it, published by a user of Exchange (stackoverflow.com, question 36985390)."""
EXCHANGE = (
    "040000008200E00074C5B7101A82E0080000000038C12994A0A1D1010000000000000000100000002D3AE9C22CC82C42ADE8BFFD6999115D"
)
INSTANCE = EXCHANGE[:32] + "07EA0C07" + EXCHANGE[40:]
"""The same event's instance of 7 December 2026."""


def calendar(uid: str = GOOGLE, method: str = "REQUEST", more: str = "") -> bytes:
    """Return an iCalendar object."""
    lines = ["BEGIN:VCALENDAR", f"METHOD:{method}", *more.splitlines(), "BEGIN:VEVENT", f"UID:{uid}", "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()


@pytest.mark.parametrize(
    ("content", "uid"),
    [
        (calendar(), GOOGLE),
        (calendar(EXCHANGE), EXCHANGE),
        (calendar(EXCHANGE.lower()), EXCHANGE),
        (calendar("qa87q2t552detf\r\n 773508pdrchc@google.com"), GOOGLE),
        (calendar(method="request"), GOOGLE),
        (calendar().replace(b"UID:", b"uid;X-A=b:"), GOOGLE),
        (calendar(more="BEGIN:VTIMEZONE\nUID:zone\nEND:VTIMEZONE"), GOOGLE),
        (calendar(method="REPLY"), ""),
        (calendar(method="CANCEL"), ""),
        (calendar().replace(b"METHOD:REQUEST\r\n", b""), ""),
        (calendar("x" * 1001), ""),
        (calendar() + b" " * MAX_CALENDAR_BYTES, ""),
        (b"", ""),
        (b"\0\xff\xfeBEGIN:VCALENDAR", ""),
        (b"END:VCALENDAR\r\n" * 10 + calendar(), GOOGLE),
    ],
)
def test_only_a_request_of_bounded_length_names_its_event(content: bytes, uid: str) -> None:
    assert uid == invited_uid(content)


@pytest.mark.parametrize(
    ("shown", "uid"),
    [
        (GRAPH_OF_GOOGLE, GOOGLE),
        (GRAPH_OF_GOOGLE.lower(), GOOGLE),
        (EXCHANGE, EXCHANGE),
        (INSTANCE, EXCHANGE),
        (GOOGLE, GOOGLE),
        (f" {GOOGLE} ", GOOGLE),
        (EXCHANGE[:-1], EXCHANGE[:-1]),
        (EXCHANGE[:-1] + "Z", EXCHANGE[:-1] + "Z"),
        ("", ""),
    ],
)
def test_the_forms_of_one_uid_are_equal(shown: str, uid: str) -> None:
    assert (uid, uid_digest(uid)) == (event_uid(shown), uid_digest(shown))


def test_uids_that_differ_in_case_are_two() -> None:
    assert uid_digest("Abc@x.test") != uid_digest("abc@x.test")


@pytest.mark.parametrize("value", ["", "!", "AAAA", "=" * 5000, base64.b64encode(b"\xff" * 60).decode()])
def test_a_property_that_is_no_global_object_id_names_no_event(value: str) -> None:
    assert "" == global_object_uid(value)


def graph(kind: str, uid: str = GRAPH_OF_GOOGLE) -> dict[str, object]:
    """Return a message of Graph with the global object id of an event."""
    value = base64.b64encode(bytes.fromhex(uid)).decode()
    properties = [{"id": graph_mapping.MEETING_ID.lower(), "value": value}]
    return {"@odata.type": kind, "id": "m", "singleValueExtendedProperties": properties}


@pytest.mark.parametrize(
    ("kind", "uid"),
    [
        ("#microsoft.graph.eventMessageRequest", GOOGLE),
        ("#microsoft.graph.eventMessageResponse", ""),
        ("#microsoft.graph.message", ""),
        ("", ""),
    ],
)
def test_a_meeting_request_of_graph_names_its_event(kind: str, uid: str) -> None:
    assert uid == graph_mapping.map_message(graph(kind)).invitation


def gmail(**body: object) -> dict[str, object]:
    """Return a message of Gmail with an invitation as Google sends it: an alternative beside the text."""
    parts = [
        {"mimeType": "text/plain", "body": {"data": base64.urlsafe_b64encode(b"Come").decode()}},
        {"mimeType": "text/calendar", "body": {"size": len(calendar()), **body}},
    ]
    return {"id": "m", "payload": {"mimeType": "multipart/alternative", "parts": parts}}


def test_an_invitation_of_gmail_names_its_event_and_is_fetched_where_it_is_held_back() -> None:
    data = base64.urlsafe_b64encode(calendar()).decode()
    inline, held_back = gmail(data=data), gmail(attachmentId="a")
    assert GOOGLE == gmail_mapping.map_message(inline).invitation
    assert ["a"] == [attachment_id for attachment_id, _ in gmail_mapping.detached_bodies(held_back)]
    gmail_mapping.put_in_bodies(held_back, {"a": data})
    mapped = gmail_mapping.map_message(held_back)
    assert GOOGLE == mapped.invitation == MappedMessage.from_bytes(mapped.to_bytes()).invitation
    assert "Come" == text({"t": mapped.message.body.text}, "t").strip()


def test_a_calendar_that_is_too_long_is_not_fetched() -> None:
    long = gmail(attachmentId="a", size=MAX_CALENDAR_BYTES + 1)
    assert [] == list(gmail_mapping.detached_bodies(long))
    assert "" == gmail_mapping.map_message(long).invitation
