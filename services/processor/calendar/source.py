"""The seam between the reading of calendars and a provider."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mailmesh.calendar.v1 import calendar_pb2
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.rows import SeenEvent, StoredEvent
from services.processor.mailbox.provider_http import JSON

Known = Callable[[Sequence[str]], Awaitable[Mapping[str, StoredEvent]]]
"""Reads stored events by mailmesh's id."""


@dataclass(frozen=True)
class ChangesPage:
    """One page of changes.

    Args:
        entries: Events, stubs, or marks of deletions.
        link: The link of the next page, or of the next round.
        is_last: Whether the round is over.
    """

    entries: list[JSON]
    link: str
    is_last: bool


class Fetcher(Protocol):
    """Finds the present versions of the events that entries of pages name."""

    async def seen(self, entries: Sequence[JSON]) -> list[SeenEvent]:
        """Return the present versions of changed events, each once. An instance stands for its series.

        Raises:
            SourceError: An event could not be read, and is worth another attempt.
        """

    async def whole(self, entries: Sequence[JSON]) -> list[SeenEvent]:
        """Return the versions of events of a complete round, of which the entries have every part.

        Raises:
            SourceError: As in `seen`.
        """

    async def one(self, provider_id: str) -> SeenEvent:
        """Return the present version of an event; of one that cannot be read, the cause.

        Raises:
            SourceError: As in `seen`.
        """


class CalendarSource(Protocol):
    """The calendars of one account at its provider."""

    provider: str
    is_staged: bool
    """Whether the parts of a series come on several pages, so that a complete round is stored before it is compared."""
    can_list_instead: bool
    """Whether the whole calendar can be listed where changes cannot."""

    async def calendars(self, own_address: str) -> list[calendar_pb2.Calendar]:
        """List the account's calendars, at most 1000. Raises `SourceError`."""

    async def has_calendar(self, calendar_id: str) -> bool:
        """Return whether a calendar can still be read. Raises `SourceError` for other failures than its absence."""

    def first_link(self, calendar_id: str, begins: datetime, *, is_listing: bool) -> str:
        """Return the link of a complete round.

        Args:
            calendar_id: The provider's id of the calendar.
            begins: Earlier single events need not be listed.
            is_listing: Whether changes cannot be listed.
        """

    async def page(self, link: str) -> ChangesPage:
        """Read a page of changes. Raises `SourceError`; with `CURSOR_LOST` a complete round has to begin."""

    def fetcher(self, provider_calendar_id: str, calendar: CalendarOfEvents, failures: int, known: Known) -> Fetcher:
        """Return the fetcher of a calendar.

        Args:
            provider_calendar_id: The provider's id of the calendar.
            calendar: The facts that its events carry.
            failures: The failed readings of the calendar in a row. From `fetch.FAILED_READINGS` on, an event that
                cannot be read is left out, so that it does not stop the others; the next complete round tries it again.
            known: Reads stored events.
        """
