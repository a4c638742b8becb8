"""The statements over events of calendars that could not be read."""

from collections.abc import Sequence
from datetime import datetime

from services.meshkit import db
from services.processor.calendar.rows import SeenEvent


async def save(
    connection: db.Connection, calendar_id: str, seen: Sequence[SeenEvent], number: int, now: datetime
) -> None:
    """Store what could not be read of events, instead of what was stored of them before.

    Args:
        connection: A connection in a transaction.
        calendar_id: Their calendar.
        seen: The events that were read now.
        number: The number of the calendar's last complete round.
        now: The time.
    """
    await connection.execute(
        "DELETE FROM processor.calendar_unread WHERE calendar_event_id = ANY($1::uuid[]) OR series_id = ANY($1)",
        [one.event_id for one in seen],
    )
    rows = [
        (one.event_id, calendar_id, None if one.event_id == each.event_id else each.event_id, number, one.reason,
         one.detail, now)
        for each in seen
        for one in each.unread
    ]  # fmt: skip
    await connection.executemany(
        "INSERT INTO processor.calendar_unread"
        " (calendar_event_id, calendar_id, series_id, round, reason, detail, seen_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (calendar_event_id) DO UPDATE SET"
        " series_id = excluded.series_id, round = excluded.round, reason = excluded.reason, detail = excluded.detail,"
        " seen_at = excluded.seen_at",
        rows,
    )


async def forget_unlisted(connection: db.Connection, calendar_id: str, number: int) -> None:
    """Forget the events that a complete round did not list: the calendar does not have them any more."""
    await connection.execute(
        "DELETE FROM processor.calendar_unread WHERE calendar_id = $1 AND round < $2", calendar_id, number
    )
