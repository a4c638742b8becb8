"""The events of a storm: many calendars have a copy of the same series, and the series is edited."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bench import measure
from bench.event_store import event_store
from bench.measure import Figure, Options
from mailmesh.calendar.v1 import calendar_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.calendar.decide import UPDATED
from services.processor.calendar.ledger import CalendarLedger, event_of
from services.processor.calendar.mapping.graph_event import map_event
from services.processor.calendar.mapping.parts import CalendarOfEvents
from services.processor.calendar.mapping.series import Series
from services.processor.calendar.rows import CalendarRow, SeenEvent, State
from services.processor.calendar.store import calendars
from services.processor.mailbox.store import mailboxes
from services.processor.mailbox.transaction import Transactions
from services.processor.stream.publish import EventDraft, publish

QUESTION = "How many events does one edit of a series make that 1,000 calendars have?"
METHOD = """20 accounts follow 50 calendars each, and each calendar has a copy of one weekly series without an end. The
series gets another title and place, one instance is cancelled and one is moved. mailmesh commits the new version of
each copy and publishes what changed, in one transaction for each calendar. The comparison publishes each instance from
30 days before to 400 days after the edit as an event of its own, also in one transaction for each calendar, by the same
code into the same PostgreSQL, which waits for its disk at each commit. Reading the calendars at the providers is not
part of it."""

PEOPLE, CALENDARS = 20, 50
QUICK_PEOPLE, QUICK_CALENDARS = 2, 3
EDITED_AT = datetime(2026, 12, 1, tzinfo=UTC)
FIRST = datetime(2026, 1, 5, 14, tzinfo=UTC)
HORIZON = EDITED_AT - timedelta(days=30), EDITED_AT + timedelta(days=400)
ZONE = "Eastern Standard Time"
_FENCE = 1


@dataclass(frozen=True)
class Person:
    """An account with its followed calendars."""

    tenant: tenant_pb2.Tenant
    rows: Sequence[CalendarRow]


async def program(options: Options) -> Sequence[Figure]:
    """Publish the storm in both ways."""
    people, count = (QUICK_PEOPLE, QUICK_CALENDARS) if options.is_quick else (PEOPLE, CALENDARS)
    async with (
        event_store(is_careless=False) as url,
        db.open_pool(Secret(url), "bench", db.DatabaseLimits(connections=4)) as pool,
    ):
        transactions = Transactions(pool)
        found = [await _person(pool, count) for _ in range(people)]
        for one in found:
            await _commit(transactions, one, edited=False)
        by_series = await _measured(pool, lambda: _each(found, lambda one: _commit(transactions, one, edited=True)))
        by_instance = await _measured(pool, lambda: _each(found, lambda one: _expanded(transactions, one)))
    return [
        Figure("calendars", people * count, "calendars"),
        *by_series.figures("an event for each series"),
        *by_instance.figures("an event for each instance"),
        Figure("events of the storm, by series", by_series.events / (people * count), "per calendar", "<= 1"),
        Figure("fewer events by series than by instance", by_instance.events / by_series.events, "ratio", ">= 10"),
    ]


@dataclass(frozen=True)
class Storm:
    """The events of one way.

    Args:
        events: Their number.
        size: Their bytes.
        seconds: The time until the last one was committed.
    """

    events: int
    size: int
    seconds: float

    def figures(self, name: str) -> list[Figure]:
        """Return the figures of this way."""
        return [
            Figure(f"{name}: events", self.events, "events"),
            Figure(f"{name}: size", self.size / 2**20, "MiB"),
            Figure(f"{name}: time", self.seconds, "s"),
        ]


async def _measured(pool: db.Pool, work: Callable[[], Awaitable[None]]) -> Storm:
    before, began = await _stored(pool), time.monotonic()
    await work()
    seconds = time.monotonic() - began
    after = await _stored(pool)
    return Storm(after[0] - before[0], after[1] - before[1], seconds)


async def _stored(pool: db.Pool) -> tuple[int, int]:
    row = await pool.fetchrow(
        "SELECT count(*), coalesce(sum(octet_length(basic) + coalesce(octet_length(body), 0)"
        " + coalesce(octet_length(raw), 0)), 0) FROM processor.events"
    )
    assert row is not None
    return int(row[0]), int(row[1])


async def _each(people: Sequence[Person], work: Callable[[Person], Awaitable[None]]) -> None:
    for one in people:
        await work(one)


async def _person(pool: db.Pool, count: int) -> Person:
    tenant = tenant_pb2.Tenant(tenant_id=new_id(), provider="ms365", address=f"{new_id()}@contoso.test")
    listed = [
        calendar_pb2.Calendar(provider_calendar_id=f"calendar-{n}", provider="ms365", name=f"Team {n}")
        for n in range(count)
    ]
    async with db.transaction(pool) as connection:
        await mailboxes.open_mailbox(
            connection,
            tenant.tenant_id,
            _FENCE,
            None,
            is_polled=True,
            is_watched=False,
            reconcile_within=HORIZON[1] - HORIZON[0],
        )
        await calendars.save_list(connection, tenant.tenant_id, listed)
        rows = await calendars.page(connection, tenant.tenant_id, None, count)
        followed = [
            await calendars.change(connection, row.calendar_id, row.follows, {"state": State.READING}) for row in rows
        ]
    return Person(tenant, [row for row in followed if row is not None])


async def _commit(transactions: Transactions, person: Person, *, edited: bool) -> None:
    """Commit the series' version of each calendar; the first one is read and not published."""
    ledger = CalendarLedger(transactions, person.tenant, _FENCE, SystemClock())
    for row in person.rows:
        now = replace(row, state=State.FOLLOWED) if edited else row
        await ledger.commit(now, [_seen(row, edited=edited)], {"state": State.FOLLOWED})


async def _expanded(transactions: Transactions, person: Person) -> None:
    """Publish each instance of each calendar in the horizon, as a design without series would."""
    for row in person.rows:
        seen = _seen(row, edited=True)
        assert seen.event is not None
        series = Series.of(seen.event, seen.exceptions)
        assert series is not None
        drafts = []
        for slot in series.slots(*HORIZON, lambda: None):
            event = event_of(row, UPDATED, EDITED_AT, "contoso", person.tenant.address)
            event.event.CopyFrom(slot.event())
            drafts.append(EventDraft(calendar_event=event, change_id=f"bench:{slot.event_id}"))
        async with transactions.fenced(person.tenant.tenant_id, _FENCE) as connection:
            await publish(connection, drafts)


def _seen(row: CalendarRow, *, edited: bool) -> SeenEvent:
    facts = CalendarOfEvents(row.calendar_id)
    pattern = {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "sunday"}
    span = {"type": "noEnd", "startDate": f"{FIRST:%Y-%m-%d}", "recurrenceTimeZone": ZONE}
    people = [{"type": "required", "emailAddress": {"address": f"p{n}@contoso.test", "name": "P"}} for n in range(20)]
    content = {
        "id": "series", "type": "seriesMaster", "subject": "Review of the quarter" if edited else "Review",
        "body": {"contentType": "text", "content": "Bring numbers. " * 40}, "attendees": people,
        "locations": [{"displayName": "Room 2" if edited else "Room 1"}],
        "recurrence": {"pattern": pattern, "range": span},
        "cancelledOccurrences": ["OID.series.2026-12-14"] if edited else [], **_times(FIRST),
    }  # fmt: skip
    master = map_event(content, facts)
    if not edited:
        return SeenEvent(master.calendar_event_id, master)
    moved = {
        **content, "id": "moved", "type": "exception", "seriesMasterId": "series", "recurrence": None,
        "originalStart": "2026-12-07T14:00:00Z", **_times(datetime(2026, 12, 8, 15, tzinfo=UTC)),
    }  # fmt: skip
    return SeenEvent(master.calendar_event_id, master, {"2026-12-07": map_event(moved, facts)})


def _times(begins: datetime) -> dict[str, object]:
    times = {
        name: {"dateTime": f"{at:%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"}
        for name, at in (("start", begins), ("end", begins + timedelta(hours=1)))
    }
    return {**times, "originalStartTimeZone": ZONE, "originalEndTimeZone": ZONE}


if __name__ == "__main__":
    measure.main("calendar_storm", QUESTION, METHOD, program)
