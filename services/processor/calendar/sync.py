"""Read a followed calendar: changes by the provider's cursor, or a complete round and a check of unlisted events."""

import time
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from services.meshkit.clock import Clock
from services.processor.calendar.fetch import facts_of
from services.processor.calendar.ids import event_uuid
from services.processor.calendar.ledger import CalendarLedger
from services.processor.calendar.rows import CalendarRow, Phase, SeenEvent, State
from services.processor.calendar.source import CalendarSource, ChangesPage, Fetcher
from services.processor.mailbox.failures import Remedy, SourceError
from services.processor.settings import ProcessorSettings

logger = structlog.get_logger(__name__)

_PAST = timedelta(days=366)
"""Single events that began longer before the calendar was followed need not be listed."""
_MISSING_AT_ONCE = 20
_MERGED_AT_ONCE = 50
_NO_SUCH_CALL = frozenset({400, 404, 405, 501})
"""The statuses of an account that cannot list changes without a window."""


class CalendarGoneError(Exception):
    """The account does not have the calendar any more."""


class CalendarSync:
    """Reads the calendars of one account.

    Args:
        source: The account's calendars at the provider.
        ledger: Commits what was read.
        settings: Intervals and the length of a turn.
        clock: The time.
        own_address: The account's address.
        pushed: The calendars whose changes the provider pushes.
    """

    def __init__(
        self,
        source: CalendarSource,
        ledger: CalendarLedger,
        settings: ProcessorSettings,
        clock: Clock,
        own_address: str,
        pushed: Collection[str] = (),
    ) -> None:
        self._pushed = pushed
        self._source = source
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._own_address = own_address

    async def read(self, row: CalendarRow) -> None:
        """Read a due calendar until it is up to date or its turn is over. Each page is committed with its cursor.

        Raises:
            CalendarGoneError: The account does not have the calendar any more.
            CalendarChangedError: The calendar was followed again or unfollowed.
            SourceError: The provider did not answer as it should.
        """
        until = time.monotonic() + self._settings.slice_seconds
        facts = facts_of(row.calendar_id, row.info, self._own_address)
        known = partial(self._ledger.known, row)
        fetcher = self._source.fetcher(row.provider_calendar_id, facts, row.failures, known)
        present: CalendarRow | None = self._round_is_due(row)
        while present is not None and time.monotonic() < until:
            present = await self._step(present, fetcher)

    async def _step(self, row: CalendarRow, fetcher: Fetcher) -> CalendarRow | None:
        if row.phase is Phase.CLEAR:
            return await self._ledger.clear(row)
        if row.phase is Phase.MERGE:
            return await self._merge(row, fetcher)
        return await (self._check(row, fetcher) if row.phase is Phase.CHECK else self._page(row, fetcher))

    def _round_is_due(self, row: CalendarRow) -> CalendarRow:
        """Return the calendar without its cursor when a complete round is due."""
        longest = timedelta(seconds=self._settings.calendar_round_seconds)
        is_due = row.rounded_at is not None and row.rounded_at + longest < self._clock.now()
        return replace(row, cursor="") if is_due and row.phase is Phase.CHANGES else row

    async def _page(self, row: CalendarRow, fetcher: Fetcher) -> CalendarRow | None:
        """Read and commit one page; return the calendar when more is to be read."""
        begins = not row.cursor
        row = self._begun(row) if begins else row
        try:
            page = await self._source.page(row.cursor)
        except SourceError as exc:
            return await self._refused(row, exc, begins=begins)
        if row.phase is Phase.ROUND and self._source.is_staged:
            return await self._ledger.stage(row, page.entries, _progress(row, page, Phase.MERGE))
        seen = await fetcher.seen(page.entries)
        if page.is_last and row.phase is Phase.CHANGES:
            await self._ledger.commit(row, seen, self._up_to_date(row, page.link))
            return None
        return await self._ledger.commit(row, seen, _progress(row, page, Phase.CHECK))

    def _begun(self, row: CalendarRow) -> CalendarRow:
        """Return the calendar at the beginning of a complete round."""
        begins = (row.followed_at or self._clock.now()) - _PAST
        link = self._source.first_link(row.provider_calendar_id, begins, is_listing=row.is_listing)
        return replace(row, cursor=link, phase=Phase.ROUND, round=row.round + 1)

    async def _refused(self, row: CalendarRow, error: SourceError, *, begins: bool) -> CalendarRow:
        """Handle the refusal of a page: a lost cursor, a call that the account does not know, a lost calendar."""
        if error.status in _NO_SUCH_CALL and not await self._source.has_calendar(row.provider_calendar_id):
            raise CalendarGoneError from error
        if not begins and error.remedy is Remedy.CURSOR_LOST:
            logger.info("calendar cursor lost", calendar_id=row.calendar_id, detail=error.detail)
            return await self._ledger.commit(row, (), {"cursor": "", "phase": Phase.CHANGES})
        can_list = self._source.can_list_instead and not row.is_listing
        if begins and can_list and error.status in _NO_SUCH_CALL:
            logger.info("calendar changes cannot be listed", calendar_id=row.calendar_id, detail=error.detail)
            return await self._ledger.commit(row, (), {"cursor": "", "phase": Phase.CHANGES, "is_listing": True})
        raise error

    async def _merge(self, row: CalendarRow, fetcher: Fetcher) -> CalendarRow:
        """Compare some series and events of a complete round, each with all its parts."""
        staged = await self._ledger.staged(row, _MERGED_AT_ONCE)
        seen = await fetcher.whole([one.entry for one in staged])
        phase = Phase.MERGE if staged else Phase.CHECK
        return await self._ledger.commit(row, seen, {"phase": phase}, merged=[one.series for one in staged])

    async def _check(self, row: CalendarRow, fetcher: Fetcher) -> CalendarRow | None:
        """Read some stored events that the complete round did not list; each is there after all, or deleted.

        One that cannot be read stays as it is until the next round.
        """
        missing = await self._ledger.missing(row, _MISSING_AT_ONCE)
        if missing:
            found = [(event_uuid(row.calendar_id, one), await fetcher.one(one)) for one in missing]
            # A single event that became an instance is its series' now. Its row goes first: the series may bring it.
            seen = [SeenEvent(event_id, None) for event_id, one in found if one.event_id != event_id]
            seen += [one for _, one in found]
            return await self._ledger.commit(row, seen, {"phase": Phase.CHECK})
        values = self._up_to_date(row, "" if row.is_listing else row.cursor)
        values |= {"rounded_at": self._clock.now(), "state": State.FOLLOWED}
        await self._ledger.commit(row, (), values, connects=row.state is State.READING)
        return None

    def _up_to_date(self, row: CalendarRow, cursor: str) -> dict[str, Any]:
        now, settings = self._clock.now(), self._settings
        seconds = settings.calendar_poll_seconds if cursor else settings.calendar_listing_seconds
        if row.calendar_id in self._pushed:
            seconds = max(seconds, settings.calendar_pushed_poll_seconds)
        return {
            "cursor": cursor,
            "phase": Phase.CHANGES,
            "synced_at": now,
            "due_at": now + timedelta(seconds=seconds),
            "failures": 0,
            "reason": "",
            "detail": "",
        }


def _progress(row: CalendarRow, page: ChangesPage, following: Phase) -> dict[str, Any]:
    """Return the values behind a page; behind the last page of a round, the following phase begins."""
    phase = following if page.is_last else row.phase
    return {"cursor": page.link, "phase": phase, "round": row.round}
