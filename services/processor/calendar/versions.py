"""Every version of the calendar events of one conversation: the present ones, and the entries of the stream."""

import time
from collections.abc import Collection
from dataclasses import dataclass

from mailmesh.calendar.v1 import calendar_event_pb2 as event_pb2
from mailmesh.calendar.v1 import event_pb2 as entry_pb2
from mailmesh.processor.v1 import event_pb2 as stream_pb2
from services.meshkit import db
from services.message.invitations import uid_digest
from services.processor.calendar.decide import CREATED, DELETED, UPDATED
from services.processor.calendar.store import events, invitations
from services.processor.errors import TenantNotFound
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EARLIEST, EventReader
from services.processor.stream.store import tenants

MAX_EVENTS = 100
_MAX_UIDS = 1000
_SEARCH_SECONDS = 2.0
"""The time after which a page reads no further part of the stream."""
_READ_AT_ONCE = 1000


@dataclass(frozen=True)
class VersionsPage:
    """A page of versions.

    Args:
        versions: The versions, oldest first.
        next: The cursor behind the page; empty at the end.
    """

    versions: list[entry_pb2.NormalizedCalendarEvent]
    next: str


class EventVersions:
    """Reads the versions of the calendar events of conversations.

    Args:
        pool: Connections to PostgreSQL.
        reader: Reads the stream.
    """

    def __init__(self, pool: db.Pool, reader: EventReader) -> None:
        self._pool = pool
        self._reader = reader

    async def present(self, tenant_id: str, conversation_id: str) -> list[event_pb2.CalendarEvent]:
        """Return the present events of a conversation in the tenant's followed calendars, without bodies, by start."""
        async with db.connection(self._pool) as connection:
            digests = await invitations.of_thread(connection, tenant_id, conversation_id, _MAX_UIDS)
            found = await events.of_uids(connection, tenant_id, digests, MAX_EVENTS) if digests else []
        for event in found:
            event.conversation_id = conversation_id
            event.ClearField("body_text")
        return found

    async def page(
        self, tenant_id: str, conversation_id: str, cursor: str, limit: int, *, is_in_scope: bool
    ) -> VersionsPage:
        """Return the versions behind a cursor. The stream is read in parts for `_SEARCH_SECONDS`.

        Args:
            tenant_id: The tenant.
            conversation_id: The conversation.
            cursor: The cursor of the page before; empty for the first page.
            limit: The largest number of versions.
            is_in_scope: Whether the caller may see the tenant.

        Raises:
            TenantNotFound: There is no such tenant in scope.
            CursorExpired: Retention has dropped some of the versions behind the cursor.
            CursorEpochChanged: The store was restored since.
        """
        async with db.connection(self._pool) as connection:
            if not is_in_scope or not await tenants.status(connection, tenant_id):
                raise TenantNotFound.of(tenant_id)
            digests = await invitations.of_thread(connection, tenant_id, conversation_id, _MAX_UIDS)
        if not digests:
            return VersionsPage([], "")
        return await self._search(tenant_id, conversation_id, frozenset(digests), cursor, limit)

    async def _search(
        self, tenant_id: str, conversation_id: str, digests: Collection[bytes], cursor: str, limit: int
    ) -> VersionsPage:
        selection = Selection(tenants=frozenset((tenant_id,)), event_types=[CREATED, UPDATED, DELETED])
        start, until = await self._reader.start(cursor, EARLIEST), time.monotonic() + _SEARCH_SECONDS
        found: list[entry_pb2.NormalizedCalendarEvent] = []
        has_more = True
        while has_more and len(found) < limit and time.monotonic() < until:
            # No more entries than the page has room for, so that the cursor is behind the last one that it has.
            wanted = limit - len(found)
            part = await self._reader.page(start, selection, stream_pb2.EVENT_VIEW_BASIC, min(wanted, _READ_AT_ONCE))
            start, has_more = part.next, part.has_more
            found += [one.calendar_event for one in part.events if uid_digest(_uid(one)) in digests]
        for one in found:
            one.event.conversation_id = conversation_id
        return VersionsPage(found, start.write() if has_more else "")


def _uid(event: stream_pb2.Event) -> str:
    return event.calendar_event.event.ical_uid
