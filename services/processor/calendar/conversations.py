"""Conversations of calendar events: an event and the mail that invites to it find each other by the iCalendar UID.

The mail's commit stores its thread under the UID (`invitations`). Stored events have no conversation: it is added when
they are read and published, so that either may come first, and one mail is enough for all versions.
"""

from collections.abc import Iterable

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from services.meshkit import db
from services.message.invitations import uid_digest
from services.processor.calendar.store import invitations


async def add_conversations(
    connection: db.Connection, calendar_id: str, found: Iterable[event_pb2.CalendarEvent]
) -> None:
    """Add the conversations of some events of one calendar to them. An event without an invitation stays as it is."""
    by_digest: dict[bytes, list[event_pb2.CalendarEvent]] = {}
    for event in found:
        by_digest.setdefault(uid_digest(event.ical_uid), []).append(event)
    by_digest.pop(b"", None)
    threads = await invitations.of_calendar(connection, calendar_id, list(by_digest)) if by_digest else {}
    for digest, thread in threads.items():
        for event in by_digest[digest]:
            event.conversation_id = thread
