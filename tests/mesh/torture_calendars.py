"""The calendars of a torture: events and series change at both providers, and callers make and cancel events by keys.

The load keeps its own account of each event. At the end the mesh must list exactly these events and instances, the
stream must have each event's life once and in order, and each key must be one event, or one explained doubt.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from mailmesh.processor.v1 import calendar_service_pb2 as service
from mailmesh.processor.v1 import calendar_service_pb2_grpc as services
from tests.mesh.verdict import Account
from tests.programs.mesh import Mesh, eventually

ACTS_PER_SECOND = 2.0
CALL_SECONDS = 5.0
ENDED_SECONDS = 180.0
ENVIRONMENT = {
    # Real ones are polled each minute, and a doubt waits for minutes.
    "MAILMESH_PROCESSOR_CALENDAR_POLL_SECONDS": "2",
    "MAILMESH_PROCESSOR_CALENDAR_LISTING_SECONDS": "5",
    # The faults drop notifications: the poll beside them, half an hour otherwise, finds what they concerned.
    "MAILMESH_PROCESSOR_CALENDAR_PUSHED_POLL_SECONDS": "15",
    "MAILMESH_PROCESSOR_CALENDAR_WRITE_SETTLE_SECONDS": "10",
}
ABILITIES = ("calendar.read", "calendar.write")
ENDPOINTS = (
    *("graph.events.create", "graph.events.delete", "graph.events.delta", "graph.events.get"),
    *("calendar.events.insert", "calendar.events.delete", "calendar.events.list", "calendar.events.get"),
)
"""The requests whose answers are lost."""
DAYS = tuple(f"2026-12-{day:02}" for day in range(7, 17))
"""The local days of each series; each event is at nine in New York."""
_ZONE = "America/New_York"
_GRAPH_ZONE = "Eastern Standard Time"
_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_FINAL = (
    service.CALENDAR_WRITE_STATE_DONE,
    service.CALENDAR_WRITE_STATE_UNCERTAIN,
    service.CALENDAR_WRITE_STATE_FAILED,
)


@dataclass
class Meeting:
    """An event or a series that the load made at a provider, as it should be now.

    Attributes:
        moved: The hour and the subject of changed instances, by day.
    """

    account: Account
    id: str
    subject: str
    is_series: bool
    is_deleted: bool = False
    cancelled: set[str] = field(default_factory=set)
    moved: dict[str, tuple[int, str]] = field(default_factory=dict)

    def instances(self) -> Counter[tuple[str, str]]:
        """Return the subjects and wall clocks of its instances."""
        if self.is_deleted:
            return Counter()
        days = [day for day in (DAYS if self.is_series else DAYS[:1]) if day not in self.cancelled]
        told = {day: self.moved.get(day, (9, self.subject)) for day in days}
        return Counter((subject, f"{day}T{hour:02}:00:00") for day, (hour, subject) in told.items())


@dataclass
class Write:
    """A request for a write, and the ids under which it was answered.

    Attributes:
        target: For a cancellation, the write that made the event.
    """

    account: Account
    request: Any
    ids: set[str] = field(default_factory=set)
    target: "Write | None" = None

    @property
    def key(self) -> str:
        """The idempotency key; for a new event its subject as well."""
        key: str = self.request.idempotency_key
        return key


class CalendarLoad:
    """Changes events at random, and keeps what they should be.

    Args:
        mesh: The mesh.
        seed: Of the choice.
        accounts: The accounts, whose own calendars are followed.
    """

    def __init__(self, mesh: Mesh, seed: int, accounts: list[Account]) -> None:
        self.mesh = mesh
        self.simulator = mesh.simulator
        self.accounts = accounts
        self.meetings: list[Meeting] = []
        self.writes: list[Write] = []
        self.wrong: list[str] = []
        self.done: Counter[str] = Counter()
        self.calendars: dict[str, tuple[str, str]] = {}
        self._chance = random.Random(f"calendars:{seed}")

    def follow(self) -> None:
        """Follow the own calendar of each account, and wait until it is read."""
        for account in self.accounts:
            request = service.ListCalendarsRequest(tenant_id=account.tenant_id)
            (one,) = self.stub().ListCalendars(request, timeout=60).calendars
            self.calendars[account.address] = one.calendar_id, one.provider_calendar_id
            self.stub().FollowCalendar(service.FollowCalendarRequest(calendar_id=one.calendar_id))
        eventually(lambda: all(map(self._is_read, self.accounts)), ENDED_SECONDS, what="the calendars are followed")

    def load(self, stop: threading.Event) -> None:
        """Act until the event."""
        while not stop.wait(self._chance.expovariate(ACTS_PER_SECOND)):
            self._act(self._chance.choice(self.accounts))

    def finish(self) -> None:
        """Repeat the calls that were never answered, and wait until each write has its outcome.

        Raises:
            AssertionError: A write does not end.
        """
        for one in self.writes:
            eventually(lambda one=one: one.ids or self._ask(one), ENDED_SECONDS, what=f"{one.key} is taken")  # type: ignore[misc]
        for one in self.writes:
            eventually(lambda one=one: self.outcome(one).state in _FINAL, ENDED_SECONDS, what=f"{one.key} ends")  # type: ignore[misc]

    def outcome(self, write: Write) -> Any:
        """Read the present state of a write that was taken."""
        (one,) = write.ids
        request = service.GetCalendarWriteRequest(calendar_write_id=one)
        return self.stub().GetCalendarWrite(request, timeout=CALL_SECONDS).write

    def stub(self) -> Any:
        """Return the service."""
        return services.CalendarServiceStub(self.mesh.channel)

    def path(self, account: Account) -> str:
        """Return the control path of the events of an account's calendar."""
        return f"accounts/{account.address}/calendars/{self.calendars[account.address][1]}/events"

    def _is_read(self, account: Account) -> bool:
        request = service.ListCalendarsRequest(tenant_id=account.tenant_id)
        (one,) = self.stub().ListCalendars(request, timeout=60).calendars
        return bool(one.synced_at.seconds)

    def _act(self, account: Account) -> None:
        verbs: dict[str, tuple[int, Callable[[Account], bool]]] = {
            "single": (10, lambda one: self._create(one, is_series=False)),
            "series": (10, lambda one: self._create(one, is_series=True)),
            "rename": (15, self._rename),
            "cancel": (15, self._cancel),
            "move": (15, self._move),
            "delete": (8, self._delete),
            "write": (15, self._write),
            "call off": (6, self._call_off),
        }
        name = self._chance.choices(list(verbs), [weight for weight, _ in verbs.values()])[0]
        if verbs[name][1](account):
            self.done[name] += 1

    def _create(self, account: Account, *, is_series: bool) -> bool:
        subject = f"event {len(self.meetings)}"
        if account.provider == "ms365":
            fields = {"subject": subject, "originalStartTimeZone": _GRAPH_ZONE, "originalEndTimeZone": _GRAPH_ZONE}
            pattern = {"type": "daily", "interval": 1}
            span = {"type": "numbered", "startDate": DAYS[0], "numberOfOccurrences": len(DAYS)}
            fields |= {"recurrence": {"pattern": pattern, "range": span}} if is_series else {}
        else:
            fields = {"summary": subject}
            fields |= {"recurrence": [f"RRULE:FREQ=DAILY;COUNT={len(DAYS)}"]} if is_series else {}
        made = self.simulator.call("POST", self.path(account), **fields, **_times(account, DAYS[0], 9))
        self.meetings.append(Meeting(account, made["id"], subject, is_series))
        return True

    def _rename(self, account: Account) -> bool:
        meeting = self._some(account)
        if meeting is None:
            return False
        subject = f"{meeting.subject}+"
        name = "subject" if account.provider == "ms365" else "summary"
        self.simulator.call("PATCH", f"{self.path(account)}/{meeting.id}", **{name: subject})
        meeting.subject = subject
        return True

    def _cancel(self, account: Account) -> bool:
        meeting, day = self._some_day(account)
        if meeting is None:
            return False
        self.simulator.call("POST", f"{self.path(account)}/{meeting.id}/cancel", **_named(account, day))
        meeting.cancelled.add(day)
        meeting.moved.pop(day, None)
        return True

    def _move(self, account: Account) -> bool:
        meeting, day = self._some_day(account)
        if meeting is None:
            return False
        hour = self._chance.randint(10, 18)
        fields = {**_named(account, day), **_times(account, day, hour)}
        if account.provider == "ms365":
            fields["original"] = f"{day}T14:00:00Z"
        self.simulator.call("POST", f"{self.path(account)}/{meeting.id}/instances", **fields)
        meeting.moved[day] = hour, meeting.moved.get(day, (9, meeting.subject))[1]
        return True

    def _delete(self, account: Account) -> bool:
        meeting = self._some(account)
        if meeting is None:
            return False
        self.simulator.call("DELETE", f"{self.path(account)}/{meeting.id}")
        meeting.is_deleted = True
        return True

    def _some(self, account: Account, *, is_series: bool = False) -> Meeting | None:
        own = [one for one in self.meetings if one.account is account and not one.is_deleted]
        found = [one for one in own if one.is_series or not is_series]
        return self._chance.choice(found) if found else None

    def _some_day(self, account: Account) -> tuple[Meeting | None, str]:
        """Choose an instance of a series; one instance of each stays, so that the series does."""
        meeting = self._some(account, is_series=True)
        left = [] if meeting is None else [day for day in DAYS if day not in meeting.cancelled]
        return (meeting, self._chance.choice(left)) if len(left) > 1 else (None, "")

    def _write(self, account: Account) -> bool:
        key = f"key-{len(self.writes)}-of-the-calendars"
        start, end = (service.NewEventTime(local=f"{DAYS[0]}T{hour:02}:00:00", time_zone=_ZONE) for hour in (9, 10))
        request = service.CreateCalendarEventRequest(
            idempotency_key=key,
            calendar_id=self.calendars[account.address][0],
            event=service.NewCalendarEvent(subject=key, start=start, end=end),
            notify=service.CALENDAR_NOTIFY_NONE,
        )
        return self._taken(Write(account, request))

    def _call_off(self, account: Account) -> bool:
        """Cancel an event that a write made, once the mesh knows it."""
        gone = {one.target.key for one in self.writes if one.target}
        own = [
            one for one in self.writes if one.account is account and one.ids and not one.target and one.key not in gone
        ]
        try:
            known = [(one, found.calendar_event_id) for one in own if (found := self.outcome(one)).calendar_event_id]
            if not known:
                return False
            target, event_id = self._chance.choice(known)
            self.stub().GetCalendarEvent(
                service.GetCalendarEventRequest(calendar_event_id=event_id), timeout=CALL_SECONDS
            )
        except (grpc.RpcError, FileNotFoundError):  # the mesh is away, or has not read the event yet
            return False
        request = service.CancelCalendarEventRequest(
            idempotency_key=f"key-{len(self.writes)}-of-the-calendars",
            calendar_event_id=event_id,
            notify=service.CALENDAR_NOTIFY_NONE,
        )
        return self._taken(Write(account, request, target=target))

    def _taken(self, write: Write) -> bool:
        self.writes.append(write)
        self._ask(write)
        if self._chance.random() < 0.3:
            self._ask(write)
        return True

    def _ask(self, write: Write) -> bool:
        """Call for a write; a call without an answer is repeated later, with the same key."""
        call = self.stub().CreateCalendarEvent if write.target is None else self.stub().CancelCalendarEvent
        try:
            write.ids.add(call(write.request, timeout=CALL_SECONDS).write.calendar_write_id)
        except FileNotFoundError:  # the mesh is not there
            return False
        except grpc.RpcError as error:
            if error.code() not in _LOST:
                self.wrong.append(f"{write.key} was refused: {error.code().name} {error.details()}")
            return False
        return True


def _times(account: Account, day: str, hour: int) -> dict[str, Any]:
    """Return the times of an event of an hour, in New York's winter, as the account's provider takes them."""
    if account.provider == "ms365":
        return {"start": f"{day}T{hour + 5:02}:00:00", "end": f"{day}T{hour + 5:02}:30:00"}
    at = [{"dateTime": f"{day}T{hour:02}:{minute}:00-05:00", "timeZone": _ZONE} for minute in ("00", "30")]
    return {"start": at[0], "end": at[1]}


def _named(account: Account, day: str) -> dict[str, Any]:
    """Return how the account's provider names the instance of a day."""
    if account.provider == "ms365":
        return {"day": day}
    return {"original": {"dateTime": f"{day}T09:00:00-05:00"}}
