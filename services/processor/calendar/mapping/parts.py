"""The common parts of both providers' mappings: facts of the calendar, bounds, and cuts that the event names."""

from dataclasses import dataclass
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.json_format import ParseDict, ParseError

from mailmesh.calendar.v1 import calendar_event_pb2 as pb2

MAX_BODY = 200_000
MAX_ATTENDEES = 1000
MAX_NAMES = 100
MAX_EVENT_BYTES = 600_000
_FEW_ATTENDEES = 50
MAX_CANCELLED = 2000
_MAX_FORM_BYTES = 10_000
MAX_NAME = 500
MAX_SUBJECT = 2000
MAX_REMINDER = 10_000_000
MAX_DIAL_INS = 50


class UnreadableEventError(ValueError):
    """The event has no id or no time that can be read."""


@dataclass(frozen=True)
class CalendarOfEvents:
    """The facts of a calendar that its events carry.

    Args:
        calendar_id: mailmesh's UUID of the calendar.
        delegate_email: The owner's address when it is not the account's own.
        zone: The provider's name of the mailbox's zone, for events whose own zone is unknown; empty without one.
    """

    calendar_id: str
    delegate_email: str = ""
    zone: str = ""


def fit(event: pb2.CalendarEvent, cut: pb2.EventTruncation) -> None:
    """Cut attendees, then the body, until the event leaves room in an entry of the stream, which holds 1 MiB."""
    while event.ByteSize() > MAX_EVENT_BYTES and len(event.attendees) > _FEW_ATTENDEES:
        del event.attendees[len(event.attendees) // 2 :]
        cut.are_attendees_cut = True
    while event.ByteSize() > MAX_EVENT_BYTES and event.body_text:
        event.body_text = event.body_text[: len(event.body_text) // 2]
        cut.is_body_cut = True


def names_of(names: list[str], cut: pb2.EventTruncation) -> list[str]:
    """Return names within their bounds."""
    if len(names) > MAX_NAMES:
        cut.are_texts_cut = True
    return [cut_text(name, MAX_NAME, cut) for name in names[:MAX_NAMES]]


def cut_text(value: str, most: int, cut: pb2.EventTruncation) -> str:
    """Return a text within its bound."""
    if len(value) > most:
        cut.are_texts_cut = True
    return value[:most]


def provider_form(given: Any) -> struct_pb2.Struct | None:
    """Return the provider's form; None when it is too large or cannot be kept."""
    try:
        form = ParseDict(given if isinstance(given, dict) else {}, struct_pb2.Struct())
    except (ParseError, ValueError, RecursionError):
        return None
    return form if form.ByteSize() <= _MAX_FORM_BYTES else None


def web_address(url: str) -> str:
    """Return an address that a person may open; nothing for other schemes, which a stranger could have written."""
    return url if url.lower().startswith(("https://", "http://")) else ""
