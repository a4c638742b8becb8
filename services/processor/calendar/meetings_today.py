"""Count today's meetings of all followed calendars for the metric, some calendars at a time."""

from collections import Counter
from datetime import datetime, timedelta

import structlog

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.ids import new_id
from services.processor.calendar.errors import CalendarWindowTooLarge
from services.processor.calendar.mapping.zones import UTC_ZONE, zone_info
from services.processor.calendar.meetings import MeetingCounter
from services.processor.calendar.reading import Window
from services.processor.calendar.store import calendars
from services.processor.metrics import MEETINGS_TODAY
from services.processor.stream.store import tenants

logger = structlog.get_logger(__name__)

_PERIOD = timedelta(minutes=15)
# The duty lasts until the next count begins: one process alone shows the numbers.
_DUTY, _DUTY_LASTS = "meetings-today", _PERIOD + timedelta(minutes=5)
_AT_ONCE = 50
_NONE, _OTHER = "none", "other"
_KINDS = frozenset({
    "teamsForBusiness", "skypeForBusiness", "skypeForConsumer", "hangoutsMeet", "eventHangout", "eventNamedHangout",
    "addOn",
})  # fmt: skip
"""The kinds of online meetings that have a label of their own: a label must not take values from outside."""
_DAY = timedelta(days=1)


class MeetingsToday:
    """Runs rounds of counting; for a periodic loop of the server process.

    Args:
        pool: Connections to PostgreSQL.
        counter: Counts the meetings of a calendar.
        clock: The time.
    """

    def __init__(self, pool: db.Pool, counter: MeetingCounter, clock: Clock) -> None:
        self._pool = pool
        self._counter = counter
        self._clock = clock
        self._holder = new_id()
        self._counted = Counter[tuple[str, str]]()
        self._after = ""
        self._begun_at: datetime | None = None
        self._due_at: datetime | None = None

    async def round(self) -> int:
        """Count some calendars; after the last one, show the numbers. Return the number of calendars.

        A process that loses the duty shows nothing any more. Safe to call again and concurrently.
        """
        now = self._clock.now()
        if self._due_at is not None and now < self._due_at:
            return 0
        async with db.connection(self._pool) as connection:
            if not await tenants.take_duty(connection, _DUTY, self._holder, _DUTY_LASTS):
                self._restart(now)
                MEETINGS_TODAY.clear()
                return 0
            rows = await calendars.followed_after(connection, self._after, _AT_ONCE)
        if self._begun_at is None:
            self._begun_at = now
        window = _day_of(self._begun_at)
        for row in rows:
            try:
                found = await self._counter.of_calendar(row, window, zone_info(UTC_ZONE))
            except CalendarWindowTooLarge:
                logger.warning("meetings of calendar not counted", calendar_id=row.calendar_id)
                continue
            for (_, kind), number in found.items():
                self._counted[row.info.provider, _label(kind)] += number
        if len(rows) == _AT_ONCE:
            self._after = rows[-1].calendar_id
            return len(rows)
        self._show()
        self._restart(self._begun_at)
        return 0

    def _show(self) -> None:
        MEETINGS_TODAY.clear()
        for (provider, kind), number in self._counted.items():
            MEETINGS_TODAY.labels(provider, kind).set(number)

    def _restart(self, since: datetime) -> None:
        self._counted, self._after, self._begun_at = Counter(), "", None
        self._due_at = since + _PERIOD


def _day_of(moment: datetime) -> Window:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(midnight, midnight + _DAY)


def _label(kind: str) -> str:
    return kind if kind in _KINDS else _OTHER if kind else _NONE
