"""`mailmesh calendars create` and `mailmesh calendar-writes`: changes of calendars, and their outcome."""

import time
import uuid
from typing import Annotated

import typer

from mailmesh.calendar.v1 import calendar_event_pb2 as event_messages
from mailmesh.processor.v1 import calendar_service_pb2 as messages
from mailmesh.processor.v1 import calendar_service_pb2_grpc as services
from stack.cli.calendars import CalendarArgument
from stack.cli.connection import channel
from stack.cli.exits import CommandError
from stack.cli.output import (
    JsonOption,
    LimitOption,
    YesOption,
    confirm,
    console,
    enum_value,
    pages,
    print_json,
    print_record,
    print_table,
    show_aside,
    when,
    word,
)

app = typer.Typer(no_args_is_help=True, help="List and resolve writes to calendars.")
STATE, KIND, RESOLUTION = "CALENDAR_WRITE_STATE_", "CALENDAR_WRITE_KIND_", "CALENDAR_WRITE_RESOLUTION_"
NOTIFY, MEETING = "CALENDAR_NOTIFY_", "ONLINE_MEETING_STATE_"
WAIT_STEP_SECONDS = 0.5
UNFINISHED = (messages.CALENDAR_WRITE_STATE_PENDING, messages.CALENDAR_WRITE_STATE_WRITING)
WriteArgument = Annotated[
    str, typer.Argument(metavar="WRITE", help="Id of the write; `calendar-writes list` shows it.")
]
NotifyOption = Annotated[str, typer.Option(metavar="all|external|none", help="People whom the provider tells.")]
KeyOption = Annotated[
    str,
    typer.Option(help="Idempotency key: repeating the command with it makes no second change. [default: a new one]"),
]
WaitOption = Annotated[float, typer.Option(min=0, max=600, help="Seconds to wait for the outcome.")]
PeopleOption = Annotated[list[str] | None, typer.Option(metavar="ADDRESS", help="Person to invite; repeatable.")]
OptionalOption = Annotated[
    list[str] | None, typer.Option(metavar="ADDRESS", help="Person to invite, who need not attend; repeatable.")
]


def create(
    context: typer.Context,
    calendar_id: CalendarArgument,
    *,
    subject: Annotated[str, typer.Option(help="Title of the event.")],
    start: Annotated[
        str, typer.Option(metavar="TIME", help="Beginning in --zone, 2026-03-08T09:00:00; or a day, 2026-03-08.")
    ],
    end: Annotated[
        str, typer.Option(metavar="TIME", help="End in --zone; of an all-day event the first day after it.")
    ],
    notify: NotifyOption,
    zone: Annotated[str, typer.Option(help="IANA time zone, such as Europe/Berlin; none for an all-day event.")] = "",
    attendee: PeopleOption = None,
    optional: OptionalOption = None,
    rule: Annotated[str, typer.Option(help="Rule of a series by RFC 5545, such as FREQ=WEEKLY;COUNT=5.")] = "",
    online_meeting: Annotated[
        str, typer.Option(metavar="PROVIDER", help="Online meeting: teamsForBusiness, hangoutsMeet, ...")
    ] = "",
    text: Annotated[str, typer.Option(help="Body as plain text.")] = "",
    location: Annotated[str, typer.Option(help="Name of the place.")] = "",
    key: KeyOption = "",
    wait: WaitOption = 0.0,
    json: JsonOption = False,
) -> None:
    """Create an event, or with --rule a series, in a calendar.

    The mesh commits the write and returns; a worker makes it. With --wait the command waits for the outcome.

    Examples:
      mailmesh calendars create 019a9f0e-7c1e-7000-8000-00000000000c --subject Leave --start 2026-12-24 --end 2026-12-27 --notify none
    """  # noqa: E501 - one command
    event = messages.NewCalendarEvent(
        subject=subject,
        body_text=text,
        start=time_of(start, zone),
        end=time_of(end, zone),
        recurrence_rule=rule,
        location=location,
        online_meeting_provider=online_meeting,
    )
    event.attendees.extend(messages.NewAttendee(address=address) for address in attendee or ())
    late = event_messages.ATTENDEE_ROLE_OPTIONAL
    event.attendees.extend(messages.NewAttendee(address=address, role=late) for address in optional or ())
    request = messages.CreateCalendarEventRequest(
        idempotency_key=key or new_key(),
        calendar_id=calendar_id,
        event=event,
        notify=enum_value(messages.CalendarNotify, NOTIFY, notify),
    )
    with channel(context) as opened:
        stub = services.CalendarServiceStub(opened)
        print_outcome(outcome(stub, stub.CreateCalendarEvent(request).write, wait), json=json)


@app.command("list")
def list_writes(
    context: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="List only writes of this tenant.")] = "",
    state: Annotated[
        list[str] | None, typer.Option(help="List only writes in this state, such as uncertain; repeatable.")
    ] = None,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List writes to calendars, newest first.

    Examples:
      mailmesh calendar-writes list --state uncertain
    """
    states = [enum_value(messages.CalendarWriteState, STATE, one) for one in state or ()]
    with channel(context) as opened:
        stub = services.CalendarServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.CalendarWrite], str]:
            request = messages.ListCalendarWritesRequest(
                page_size=size, page_token=token, tenant_id=tenant, states=states
            )
            answer = stub.ListCalendarWrites(request)
            return list(answer.writes), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("WRITE", "TENANT", "KIND", "STATE", "CREATED", "REASON"),
        [
            (one.calendar_write_id, one.tenant_id, _kind(one), _state(one), when(one.created_at), one.reason)
            for one in found
        ],
        "There are no writes.",
    )


@app.command()
def get(context: typer.Context, write_id: WriteArgument, *, json: JsonOption = False) -> None:
    """Show a write to a calendar and its outcome.

    Examples:
      mailmesh calendar-writes get 019a9f0e-7c1e-7000-8000-00000000000e
    """
    request = messages.GetCalendarWriteRequest(calendar_write_id=write_id)
    with channel(context) as opened:
        found = services.CalendarServiceStub(opened).GetCalendarWrite(request).write
    _print(found, json=json)


@app.command()
def resolve(
    context: typer.Context,
    write_id: WriteArgument,
    resolution: Annotated[str, typer.Argument(metavar="done|write_again", help="The decision.")],
    *,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Decide about an uncertain write: the calendar has the change, or it is to be made again.

    Examples:
      mailmesh calendar-writes resolve 019a9f0e-7c1e-7000-8000-00000000000e done
      mailmesh calendar-writes resolve 019a9f0e-7c1e-7000-8000-00000000000e write_again --yes
    """
    chosen = enum_value(messages.CalendarWriteResolution, RESOLUTION, resolution)
    if chosen == messages.CALENDAR_WRITE_RESOLUTION_WRITE_AGAIN:
        confirm("Make the change again? If the calendar does have it, it may be made twice.", yes=yes)
    request = messages.ResolveCalendarWriteRequest(calendar_write_id=write_id, resolution=chosen)
    with channel(context) as opened:
        found = services.CalendarServiceStub(opened).ResolveCalendarWrite(request).write
    _print(found, json=json)


def new_key() -> str:
    """Return a new key, and show it before the call: repeating a call that failed after the commit takes it."""
    key = str(uuid.uuid4())
    show_aside(f"idempotency key: {key}")
    return key


def time_of(text: str, zone: str) -> messages.NewEventTime:
    """Return a time of an option: a day, or a wall clock in a zone."""
    is_day = "T" not in text
    return messages.NewEventTime(date=text) if is_day else messages.NewEventTime(local=text, time_zone=zone)


def outcome(
    stub: services.CalendarServiceStub, found: messages.CalendarWrite, seconds: float
) -> messages.CalendarWrite:
    """Wait for the outcome, at most so long; return the write as it is then."""
    deadline = time.monotonic() + seconds
    with console.status("Waiting for the outcome"):
        while found.state in UNFINISHED and time.monotonic() < deadline:
            time.sleep(WAIT_STEP_SECONDS)
            request = messages.GetCalendarWriteRequest(calendar_write_id=found.calendar_write_id)
            found = stub.GetCalendarWrite(request).write
    return found


def print_outcome(found: messages.CalendarWrite, *, json: bool) -> None:
    """Show a write. Raises `CommandError` when it failed or is uncertain."""
    _print(found, json=json)
    if found.state in (messages.CALENDAR_WRITE_STATE_FAILED, messages.CALENDAR_WRITE_STATE_UNCERTAIN):
        raise CommandError(f"the write is {_state(found)}: {found.reason} {found.detail}".rstrip())


def _print(found: messages.CalendarWrite, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    meeting = found.online_meeting
    meeting_state = word(event_messages.OnlineMeetingState.Name(meeting.state), MEETING) if meeting.state else ""
    record = [
        ("write", found.calendar_write_id),
        ("calendar", found.calendar_id),
        ("key", found.idempotency_key),
        ("kind", _kind(found)),
        ("state", _state(found)),
        ("reason", f"{found.reason} {found.detail}".strip()),
        ("event", found.calendar_event_id),
        ("meeting", meeting_state),
        ("join", meeting.join_url),
        ("created", when(found.created_at)),
        ("finished", when(found.finished_at)),
    ]
    print_record([(name, value) for name, value in record if value])


def _state(found: messages.CalendarWrite) -> str:
    return word(messages.CalendarWriteState.Name(found.state), STATE)


def _kind(found: messages.CalendarWrite) -> str:
    return word(messages.CalendarWriteKind.Name(found.kind), KIND)
