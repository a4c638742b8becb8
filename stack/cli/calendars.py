"""`mailmesh calendars`: the calendars of connected accounts, and their events."""

import datetime as dt
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.calendar.v1 import calendar_event_pb2 as event_messages
from mailmesh.calendar.v1 import calendar_pb2 as calendar_messages
from mailmesh.processor.v1 import calendar_service_pb2 as messages
from mailmesh.processor.v1 import calendar_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.output import (
    JsonOption,
    LimitOption,
    YesOption,
    confirm,
    enum_value,
    pages,
    parse_time,
    print_json,
    print_record,
    print_table,
    when,
    word,
)

app = typer.Typer(no_args_is_help=True, help="List and follow calendars, and read their events.")
STATE, KIND, RESPONSE = "CALENDAR_STATE_", "EVENT_KIND_", "RESPONSE_STATUS_"
IMPORTANCE = "EVENT_IMPORTANCE_"
DAYS = 30
CalendarArgument = Annotated[
    str, typer.Argument(metavar="CALENDAR", help="Id of the calendar; `calendars list` shows it.")
]
StartOption = Annotated[
    str,
    typer.Option(
        "--original-start",
        metavar="TIME",
        help="Original start of one occurrence of the series: a wall clock or a day.",
    ),
]
EventArgument = Annotated[str, typer.Argument(metavar="EVENT", help="Id of the event; `calendars events` shows it.")]
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Beginning of the window, RFC 3339. [default: now]")
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help=f"End of the window. [default: {DAYS} days after --from]")
]

TodayOption = Annotated[
    bool, typer.Option("--today", help="The present day of this machine's time zone, instead of --from and --to.")
]


@app.command("list")
def list_calendars(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")],
    *,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the calendars of a tenant's account.

    Examples:
      mailmesh calendars list 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        stub = services.CalendarServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[calendar_messages.Calendar], str]:
            request = messages.ListCalendarsRequest(tenant_id=tenant, page_size=size, page_token=token)
            answer = stub.ListCalendars(request)
            return list(answer.calendars), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("CALENDAR", "NAME", "OWNER", "STATE", "CHANGES", "SYNCED", "UNREADABLE", "REASON"),
        [
            (
                one.calendar_id,
                one.name,
                one.owner_address,
                _state(one),
                _arrival(one),
                when(one.synced_at),
                str(one.unreadable_events or ""),
                one.reason,
            )
            for one in found
        ],
        "The account has no calendars.",
    )


@app.command()
def follow(context: typer.Context, calendar_id: CalendarArgument, *, json: JsonOption = False) -> None:
    """Follow a calendar: its changes become events of the stream.

    Examples:
      mailmesh calendars follow 019a9f0e-7c1e-7000-8000-00000000000c
    """
    request = messages.FollowCalendarRequest(calendar_id=calendar_id)
    with channel(context) as opened:
        found = services.CalendarServiceStub(opened).FollowCalendar(request).calendar
    _print_calendar(found, json=json)


@app.command()
def unfollow(
    context: typer.Context, calendar_id: CalendarArgument, *, yes: YesOption = False, json: JsonOption = False
) -> None:
    """End the following of a calendar, and delete its stored events.

    Examples:
      mailmesh calendars unfollow 019a9f0e-7c1e-7000-8000-00000000000c --yes
    """
    confirm(f"Unfollow calendar {calendar_id} and delete its stored events?", yes=yes)
    request = messages.UnfollowCalendarRequest(calendar_id=calendar_id)
    with channel(context) as opened:
        found = services.CalendarServiceStub(opened).UnfollowCalendar(request).calendar
    _print_calendar(found, json=json)


@app.command("events")
def list_events(
    context: typer.Context,
    calendar_id: CalendarArgument,
    *,
    start: FromOption = None,
    end: ToOption = None,
    expand: Annotated[bool, typer.Option("--expand", help="Show each instance of a series.")] = False,
    online: Annotated[
        bool | None, typer.Option("--online/--not-online", help="Only events with an online meeting, or without one.")
    ] = None,
    importance: Annotated[
        list[str] | None,
        typer.Option(
            "--importance", metavar="NAME", help="Only events of this importance: low, normal, high; repeatable."
        ),
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option("--category", metavar="NAME", help="Only events with this category; repeatable.")
    ] = None,
    conversation: Annotated[
        str, typer.Option("--conversation", metavar="THREAD", help="Only events to which this thread of mail invites.")
    ] = "",
    today: TodayOption = False,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the events of a followed calendar that overlap a window.

    Examples:
      mailmesh calendars events 019a9f0e-7c1e-7000-8000-00000000000c --today --online --expand
      mailmesh calendars events 019a9f0e-7c1e-7000-8000-00000000000c --expand
      mailmesh calendars events 019a9f0e-7c1e-7000-8000-00000000000c --from 2026-12-01T00:00:00Z --limit 0
      mailmesh calendars events 019a9f0e-7c1e-7000-8000-00000000000c --online --importance high
    """
    begins, ends = today_of() if today else window_of(start, end)
    wanted = [enum_value(event_messages.EventImportance, IMPORTANCE, one) for one in importance or ()]
    with channel(context) as opened:
        stub = services.CalendarServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[event_messages.CalendarEvent], str]:
            request = messages.ListCalendarEventsRequest(
                calendar_id=calendar_id,
                page_size=size,
                page_token=token,
                window_start=begins,
                window_end=ends,
                is_expanded=expand,
                has_online_meeting=online,
                importances=wanted,
                categories=category or (),
                conversation_id=conversation,
            )
            answer = stub.ListCalendarEvents(request)
            return list(answer.events), answer.next_page_token

        found = list(pages(fetch, limit))
    _print_events(found, json=json)


@app.command()
def instances(
    context: typer.Context,
    event_id: EventArgument,
    *,
    start: FromOption = None,
    end: ToOption = None,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the instances of a series that overlap a window.

    Examples:
      mailmesh calendars instances 019a9f0e-7c1e-7000-8000-00000000000d
    """
    begins, ends = window_of(start, end)
    with channel(context) as opened:
        stub = services.CalendarServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[event_messages.CalendarEvent], str]:
            request = messages.ListCalendarInstancesRequest(
                calendar_event_id=event_id, page_size=size, page_token=token, window_start=begins, window_end=ends
            )
            answer = stub.ListCalendarInstances(request)
            return list(answer.events), answer.next_page_token

        found = list(pages(fetch, limit))
    _print_events(found, json=json)


@app.command()
def get(
    context: typer.Context, event_id: EventArgument, *, original_start: StartOption = "", json: JsonOption = False
) -> None:
    """Show an event, a series, or one occurrence of a series.

    Examples:
      mailmesh calendars get 019a9f0e-7c1e-7000-8000-00000000000d
      mailmesh calendars get 019a9f0e-7c1e-7000-8000-00000000000d --original-start 2026-12-07T09:00:00
    """
    request = messages.GetCalendarEventRequest(calendar_event_id=event_id, original_start=original_start)
    with channel(context) as opened:
        found = services.CalendarServiceStub(opened).GetCalendarEvent(request).event
    if json:
        print_json(found)
        return
    attendees = [f"{one.person.address} {_response(one.response)}".rstrip() for one in found.attendees]
    record = [
        ("event", found.calendar_event_id),
        ("calendar", found.calendar_id),
        ("kind", _kind(found)),
        ("subject", found.subject),
        ("start", _time(found.start)),
        ("end", _time(found.end)),
        ("rule", found.recurrence.rule),
        ("cancelled", ", ".join(found.cancelled_dates)),
        ("organizer", found.organizer.address),
        ("attendees", ", ".join(attendees)),
        ("locations", ", ".join(found.locations)),
        ("join", found.online_meeting.join_url),
        ("conversation", found.conversation_id),
    ]
    print_record([(name, value) for name, value in record if value])


def window_of(start: str | None, end: str | None, days: int = DAYS) -> tuple[Timestamp, Timestamp]:
    """Return the window of two options: from now on, for some days, where they are left out."""
    begins = parse_time(start)
    if begins is None:
        begins = Timestamp()
        begins.GetCurrentTime()
    ends = parse_time(end)
    if ends is None:
        ends = Timestamp()
        ends.FromDatetime(begins.ToDatetime(dt.UTC) + dt.timedelta(days=days))
    return begins, ends


def today_of() -> tuple[Timestamp, Timestamp]:
    """Return the window of the present day in this machine's time zone."""
    begins, ends = Timestamp(), Timestamp()
    midnight = dt.datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    begins.FromDatetime(midnight.astimezone(dt.UTC))
    # By wall clock: a day of a change of the clocks is longer or shorter.
    following = (midnight.replace(tzinfo=None) + dt.timedelta(days=1)).astimezone()
    ends.FromDatetime(following.astimezone(dt.UTC))
    return begins, ends


def _print_calendar(found: calendar_messages.Calendar, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    record = [
        ("calendar", found.calendar_id),
        ("name", found.name),
        ("owner", found.owner_address),
        ("state", _state(found)),
        ("changes", f"{_arrival(found)} {found.poll_detail}".strip()),
        ("reason", f"{found.reason} {found.detail}".strip()),
        ("synced", when(found.synced_at)),
        ("unreadable events", str(found.unreadable_events or "")),
    ]
    print_record([(name, value) for name, value in record if value])


def _print_events(found: list[event_messages.CalendarEvent], *, json: bool) -> None:
    if json:
        print_json(found)
        return
    print_table(
        ("EVENT", "KIND", "START", "END", "SUBJECT", "ORGANIZER"),
        [
            (one.calendar_event_id, _kind(one), _time(one.start), _time(one.end), one.subject, one.organizer.address)
            for one in found
        ],
        "There are no events in this window.",
    )


def _state(found: calendar_messages.Calendar) -> str:
    return word(calendar_messages.CalendarState.Name(found.state), STATE)


def _arrival(found: calendar_messages.Calendar) -> str:
    """Return how the changes of a followed calendar arrive, and why by polling."""
    if not found.HasField("followed_at"):
        return ""
    return "pushed" if found.is_pushed else f"polled {found.poll_reason}".rstrip()


def _kind(found: event_messages.CalendarEvent) -> str:
    return word(event_messages.EventKind.Name(found.kind), KIND)


def _response(response: "event_messages.ResponseStatus.ValueType") -> str:
    return word(event_messages.ResponseStatus.Name(response), RESPONSE) if response else ""


def _time(time: event_messages.EventTime) -> str:
    return time.date or f"{time.local.replace('T', ' ')} {time.iana_zone}"
