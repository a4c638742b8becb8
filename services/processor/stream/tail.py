"""The newest events in memory, read once for all streams of the process that have caught up.

Without it every stream would query PostgreSQL at every event. A stream that is further behind, or that wants more of an
event than the basic view, reads pages of its own.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from mailmesh.processor.v1 import event_pb2
from services.meshkit.guard import Guard
from services.processor.stream.cursor import Cursor, read_cursor
from services.processor.stream.filter import Selection
from services.processor.stream.head import HeadWatch
from services.processor.stream.pages import LATEST, EventReader, EventView, Page

_EVERYTHING = Selection(tenants=None, include_replays=True)
_PAGE_EVENTS = 256
_LOOK_SECONDS = 5.0
_LOST_SECONDS = 0.5
_RETRY_SECONDS = 0.25
_LONGEST_RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class TailLimits:
    """The bounds of the events in memory.

    Args:
        events: The largest number of events.
        size_bytes: The largest size, in bytes of serialized messages.
    """

    events: int = 2048
    size_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True)
class _Entry:
    cursor: Cursor
    event: event_pb2.Event
    size: int


class Tail:
    """Follows the stream on behalf of the live streams.

    Args:
        events: The reader of pages.
        head: The watch for new events.
        limits: The bounds.
    """

    def __init__(self, events: EventReader, head: HeadWatch, limits: TailLimits | None = None) -> None:
        self._events = events
        self._head = head
        self._limits = limits or TailLimits()
        self.life = 0
        """A number that grows with each gap, as when PostgreSQL could not be reached or was restored."""
        self._entries: deque[_Entry] = deque()
        self._bytes = 0
        self._start: Cursor | None = None
        self._end: Cursor | None = None
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled. While PostgreSQL cannot be reached, streams query it themselves and get the error."""
        await Guard("newest events", _RETRY_SECONDS, _LONGEST_RETRY_SECONDS).until_cancelled(self._step_or_forget)

    async def _step_or_forget(self) -> None:
        try:
            await self._step()
        except Exception:
            self._forget()
            raise

    def page(self, after: Cursor, selection: Selection, view: EventView, count: int) -> Page | None:
        """Return the events after a cursor.

        Args:
            after: The reader's cursor.
            selection: The events that the reader gets.
            view: The parts of each event.
            count: The largest number of events.

        Returns:
            None when only PostgreSQL can answer: the reader is too far behind, or wants more than the basic view of an
            event, or its cursor names no event in memory, so PostgreSQL must decide whether the event ever existed.
        """
        if self._start is None or self._end is None:
            return None
        behind = self._behind(after, self._start)
        if behind is None:
            return None
        taken: list[_Entry] = []
        for entry in behind:
            if selection.takes(entry.event):
                if view != event_pb2.EVENT_VIEW_BASIC:
                    return None
                taken.append(entry)
                if len(taken) == count:
                    break
        events = [entry.event for entry in taken]
        if len(taken) == count:
            return Page(events, taken[-1].cursor, taken[-1].cursor.position < self._end.position)
        return Page(events, self._end if self._end.position > after.position else after, has_more=False)

    async def beyond(self, position: int, seconds: float) -> None:
        """Wait until there is an event after a position, for a time at most, or until all waiters are woken."""
        if self._end is None:
            await self._head.beyond(position, min(seconds, _LOST_SECONDS))
        elif self._end.position <= position:
            try:
                async with asyncio.timeout(seconds):
                    await self._moved.wait()
            except TimeoutError:
                return

    def wake(self) -> None:
        """Wake all waiters, so that they check their conditions."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _step(self) -> None:
        if self._end is None:
            self._start = self._end = await self._events.start(LATEST, LATEST)
        page = await self._events.page(self._end, _EVERYTHING, event_pb2.EVENT_VIEW_BASIC, _PAGE_EVENTS)
        if page.next != self._end:  # rows that this release cannot read move the end, too
            self._take(page)
            self.wake()
            self._head.note(page.next.position)
        if not page.has_more and page.is_settled:
            await self._head.beyond(self._end.position, _LOOK_SECONDS)

    def _take(self, page: Page) -> None:
        for event in page.events:
            entry = _Entry(read_cursor(event.position), event, event.ByteSize())
            self._entries.append(entry)
            self._bytes += entry.size
        self._end = page.next
        while len(self._entries) > self._limits.events or self._bytes > self._limits.size_bytes:
            oldest = self._entries.popleft()
            self._bytes -= oldest.size
            self._start = oldest.cursor

    def _forget(self) -> None:
        self._entries.clear()
        self._bytes = 0
        self._start = self._end = None
        self.life += 1
        self.wake()

    def _behind(self, after: Cursor, start: Cursor) -> list[_Entry] | None:
        """Return the entries after a cursor, in order; None when the cursor's event is not in memory.

        Readers are near the end, so entries are counted from there. A cursor ahead of the tail has no entries after it
        yet.
        """
        behind, before = 0, start
        for entry in reversed(self._entries):
            if entry.cursor.position <= after.position:
                before = entry.cursor
                break
            behind += 1
        if before != after and (behind or after.position <= before.position):
            return None
        return [self._entries[place] for place in range(len(self._entries) - behind, len(self._entries))]
