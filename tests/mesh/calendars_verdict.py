"""The faults of a torture's calendars: lists, streams and writes against what the load did at the providers."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.calendar.v1 import event_pb2 as calendar_pb2
from mailmesh.processor.v1 import calendar_service_pb2 as service
from mailmesh.processor.v1 import event_pb2
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from tests.mesh.torture_calendars import CalendarLoad, Write
from tests.mesh.verdict import Account
from tests.programs.mesh import Mesh, eventually

_WINDOW = "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"
_CREATED, _UPDATED, _DELETED = (f"calendar.event.{name}" for name in ("created", "updated", "deleted"))
LEAST_ACTS_PER_SECOND = 0.25
MOST_DOUBTS = 0.25
FEW_DOUBTS = 2


def calendar_faults(load: CalendarLoad) -> list[str]:
    """Compare all calendars with their lists and streams. Returns sentences, none when all is well."""
    return [sentence for account in load.accounts for sentence in _account_faults(load, account)]


def run_faults(load: CalendarLoad, seconds: float) -> list[str]:
    """Judge the run: the writes by key, their doubts, and whether there was enough to judge."""
    outcomes = {one.key: load.outcome(one) for one in load.writes}
    found = [*load.wrong, *(f"{one.key} has the ids {one.ids}" for one in load.writes if len(one.ids) != 1)]
    called_off = {one.target.key: one for one in load.writes if one.target}
    for account in load.accounts:
        kept = Counter(one["subject"] for one in _kept(load, account))
        for write in (one for one in load.writes if one.account is account and one.target is None):
            found += write_faults(write.key, outcomes, called_off.get(write.key), kept[write.key])
    doubts = [key for key, one in outcomes.items() if one.state == service.CALENDAR_WRITE_STATE_UNCERTAIN]
    most = max(FEW_DOUBTS, int(MOST_DOUBTS * len(outcomes)))
    if len(doubts) > most:
        found.append(f"{len(doubts)} of {len(outcomes)} writes are uncertain, more than {most}: {doubts}")
    acts, least = sum(load.done.values()), max(1, int(LEAST_ACTS_PER_SECOND * seconds))
    return [*found, f"there were {acts} acts, fewer than {least}"] if acts < least else found


def write_faults(key: str, outcomes: dict[str, Any], called_off: Write | None, kept: int) -> list[str]:
    """Compare one new event, and its cancellation, with the calendar: there once, gone, or in doubt with a reason."""
    done, uncertain = service.CALENDAR_WRITE_STATE_DONE, service.CALENDAR_WRITE_STATE_UNCERTAIN
    one = outcomes[key]
    found = []
    for name, write in ((key, one), *([(called_off.key, outcomes[called_off.key])] if called_off else [])):
        state = service.CalendarWriteState.Name(write.state)
        if write.state not in (done, uncertain):
            found.append(f"{name} ended as {state}: {write.reason} {write.detail}")
        elif write.state == uncertain and not (write.reason and write.detail):
            found.append(f"{name} is {state} without an explanation")
    least = int(one.state == done)
    if called_off is not None:
        most = int(outcomes[called_off.key].state != done)
        least = 0
    else:
        most = 1
    return found if least <= kept <= most else [*found, f"{key} is in the calendar {kept} times, not {least} to {most}"]


def calendar_events(mesh: Mesh, account: Account) -> list[calendar_pb2.NormalizedCalendarEvent]:
    """Read the entries of the stream about the events of an account's calendars, in order."""
    chosen = events.EventFilter(tenant_ids=[account.tenant_id], event_types=[_CREATED, _UPDATED, _DELETED])
    request = events.ListEventsRequest(page_size=1000, cursor="earliest", filter=chosen)
    found: list[calendar_pb2.NormalizedCalendarEvent] = []
    while True:
        page = event_services.EventServiceStub(mesh.channel).ListEvents(request)
        found += [event.calendar_event for event in page.events]
        request.cursor = page.next_cursor
        if not page.has_more:
            return found


def unseen_calendar_events(load: CalendarLoad, seen: Sequence[event_pb2.Event]) -> list[str]:
    """Compare the entries that a consumer saw with the stored ones."""
    stored = [one for account in load.accounts for one in calendar_events(load.mesh, account)]

    def unseen() -> list[str]:
        ids = {event.calendar_event.event_id for event in list(seen) if event.HasField("calendar_event")}
        return [f"the consumer never saw {one.event_type} {one.event_id}" for one in stored if one.event_id not in ids]

    with suppress(AssertionError):
        eventually(lambda: not unseen(), 30.0)
    return unseen()


def _account_faults(load: CalendarLoad, account: Account) -> list[str]:
    lives: dict[str, list[Any]] = defaultdict(list)
    entries = calendar_events(load.mesh, account)
    for entry in entries:
        lives[entry.event.provider_event_id].append(entry)
    ids = Counter(one.event_id for one in entries)
    found = [f"event {event_id} is stored {count} times" for event_id, count in ids.items() if count > 1]
    for name, life in lives.items():
        found += life_faults(f"{name} of {account.address}", life)
    for meeting in (one for one in load.meetings if one.account is account):
        found += last_faults(meeting.subject, lives.get(meeting.id, []), is_deleted=meeting.is_deleted)
    return [*found, *_list_faults(load, account)]


def life_faults(name: str, life: Sequence[Any]) -> list[str]:
    """Judge the entries about one event: created once and first, deleted last, and each update changes something."""
    types = [one.event_type for one in life]
    found = []
    if types[0] != _CREATED or types.count(_CREATED) != 1 or _DELETED in types[:-1]:
        found.append(f"{name} has the life {types}")
    for one in life:
        change = one.change
        parts = (change.fields, change.cancelled_starts, change.changed_instances, change.restored_starts)
        if one.event_type == _UPDATED and not any(parts):
            found.append(f"{name} has an update that changes nothing: {one.event_id}")
    return found


def last_faults(subject: str, life: Sequence[Any], *, is_deleted: bool) -> list[str]:
    """Compare an event with the last entry about it. One that came and went between two readings has none."""
    if not life:
        return [] if is_deleted else [f"{subject} was never told"]
    last = life[-1]
    if is_deleted:
        return [] if last.event_type == _DELETED else [f"{subject} is deleted, and its last entry is {last.event_type}"]
    if last.event_type == _DELETED or last.event.subject != subject:
        return [f"{subject} is there, and its last entry is {last.event_type} of {last.event.subject}"]
    return []


def _list_faults(load: CalendarLoad, account: Account) -> list[str]:
    """Compare the instances that the mesh lists with those of the load and of the writes."""
    expected = Counter[tuple[str, str]]()
    for meeting in (one for one in load.meetings if one.account is account):
        expected += meeting.instances()
    keys = {one.key for one in load.writes}
    written = [one["subject"] for one in _kept(load, account) if one["subject"] in keys]
    expected += Counter((subject, "2026-12-07T09:00:00") for subject in written)
    listed = Counter((one.subject, one.start.local) for one in _listed(load, account))
    missing, extra = expected - listed, listed - expected
    found = [f"{account.address} lacks {list(missing.elements())[:5]}"] if missing else []
    return [*found, f"{account.address} lists {list(extra.elements())[:5]} too"] if extra else found


def _listed(load: CalendarLoad, account: Account) -> list[Any]:
    request = service.ListCalendarEventsRequest(
        calendar_id=load.calendars[account.address][0], is_expanded=True, page_size=1000
    )
    for name, text in zip(("window_start", "window_end"), _WINDOW, strict=True):
        moment = Timestamp()
        moment.FromJsonString(text)
        getattr(request, name).CopyFrom(moment)
    found: list[Any] = []
    while True:
        page = load.stub().ListCalendarEvents(request, timeout=30)
        found += page.events
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return found


def _kept(load: CalendarLoad, account: Account) -> list[dict[str, Any]]:
    """Return the events of an account's calendar that are not cancelled, without the instances of series."""
    (calendar,) = load.simulator.call("GET", f"accounts/{account.address}/calendars")
    return [one for one in calendar["events"] if one.get("status") != "cancelled"]
