"""`mailmesh calendars meetings` and `mailmesh calendars versions`: questions about the meetings of an account."""

import datetime as dt
from typing import Annotated
from zoneinfo import ZoneInfoNotFoundError

import typer
import tzlocal

from mailmesh.calendar.v1 import event_pb2 as entry_messages
from mailmesh.processor.v1 import calendar_service_pb2 as messages
from mailmesh.processor.v1 import calendar_service_pb2_grpc as services
from stack.cli.calendars import FromOption, TodayOption, ToOption, today_of, window_of
from stack.cli.connection import channel
from stack.cli.exits import CommandError, Exit
from stack.cli.output import JsonOption, LimitOption, pages, print_json, print_table, when

TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")]


def meetings(
    context: typer.Context,
    tenant: TenantArgument,
    *,
    calendar: Annotated[
        str, typer.Option("--calendar", metavar="CALENDAR", help="Only this calendar. [default: all followed ones]")
    ] = "",
    start: FromOption = None,
    end: ToOption = None,
    today: TodayOption = False,
    zone: Annotated[
        str,
        typer.Option(
            "--zone", metavar="ZONE", help="IANA time zone of the days. [default: UTC; this machine's with --today]"
        ),
    ] = "",
    json: JsonOption = False,
) -> None:
    """Count the meetings of an account's followed calendars by day and kind of online meeting.

    Examples:
      mailmesh calendars meetings 019a9f0e-7c1e-7000-8000-000000000002 --today
      mailmesh calendars meetings 019a9f0e-7c1e-7000-8000-000000000002 --from 2026-12-01T00:00:00Z --zone Europe/Berlin
    """
    begins, ends = today_of() if today else window_of(start, end)
    request = messages.CountMeetingsRequest(
        tenant_id=tenant,
        calendar_id=calendar,
        window_start=begins,
        window_end=ends,
        time_zone=zone or days_of(today=today),
    )
    with channel(context) as opened:
        found = list(services.CalendarServiceStub(opened).CountMeetings(request).counts)
    if json:
        print_json(found)
        return
    print_table(
        ("DAY", "ONLINE MEETING", "MEETINGS"),
        [(one.date, one.online_meeting_provider or "none", str(one.meetings)) for one in found],
        "There are no meetings in this window.",
    )


def days_of(*, today: bool) -> str:
    """Return the time zone of the days that are counted: this machine's for its present day, else UTC.

    Raises:
        CommandError: This machine's time zone has no name.
    """
    if not today:
        return "UTC"
    try:
        name = tzlocal.get_localzone_name()
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise CommandError("this machine's time zone has no IANA name: give --zone", Exit.USAGE) from exc
    return name or "UTC"


def versions(
    context: typer.Context,
    tenant: TenantArgument,
    conversation: Annotated[
        str, typer.Argument(metavar="CONVERSATION", help="Conversation of an event, or thread of a mail.")
    ],
    *,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List all versions of the calendar events of a conversation, oldest first.

    Examples:
      mailmesh calendars versions 019a9f0e-7c1e-7000-8000-000000000002 019a9f0e-7c1e-7000-8000-00000000000e
    """
    with channel(context) as opened:
        stub = services.CalendarServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[entry_messages.NormalizedCalendarEvent], str]:
            request = messages.ListCalendarEventVersionsRequest(
                tenant_id=tenant, conversation_id=conversation, page_size=size, page_token=token
            )
            answer = stub.ListCalendarEventVersions(request)
            return list(answer.versions), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("FOUND", "TYPE", "EVENT", "START", "SUBJECT", "CHANGED"),
        [
            (
                when(one.received_at),
                one.event_type,
                one.event.calendar_event_id,
                one.event.start.date or one.event.start.instant.ToDatetime(dt.UTC).isoformat(),
                one.event.subject,
                ", ".join(one.change.fields),
            )
            for one in found
        ],
        "The stream has no versions of this conversation's calendar events.",
    )
