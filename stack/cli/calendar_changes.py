"""`mailmesh calendars respond`, `update` and `cancel`: changes of events that a calendar has."""

from typing import Annotated

import typer

from mailmesh.processor.v1 import calendar_service_pb2 as messages
from mailmesh.processor.v1 import calendar_service_pb2_grpc as services
from stack.cli.calendar_writes import (
    NOTIFY,
    KeyOption,
    NotifyOption,
    WaitOption,
    new_key,
    outcome,
    print_outcome,
    time_of,
)
from stack.cli.calendars import EventArgument, StartOption
from stack.cli.connection import channel
from stack.cli.output import JsonOption, YesOption, confirm, enum_value

ANSWER = "CALENDAR_ANSWER_"


def respond(
    context: typer.Context,
    event_id: EventArgument,
    answer: Annotated[str, typer.Argument(metavar="accepted|tentative|declined", help="The answer.")],
    *,
    notify: NotifyOption,
    comment: Annotated[str, typer.Option(help="Text for the organizer.")] = "",
    original_start: StartOption = "",
    key: KeyOption = "",
    wait: WaitOption = 0.0,
    json: JsonOption = False,
) -> None:
    """Answer an invitation; --notify says whether the provider tells the organizer.

    The mesh commits the answer and returns; a worker gives it. With --wait the command waits for the outcome.

    Examples:
      mailmesh calendars respond 019a9f0e-7c1e-7000-8000-00000000000d accepted --notify all
      mailmesh calendars respond 019a9f0e-7c1e-7000-8000-00000000000d declined --notify all --comment "On leave"
    """
    request = messages.RespondToCalendarEventRequest(
        idempotency_key=key or new_key(),
        calendar_event_id=event_id,
        original_start=original_start,
        answer=enum_value(messages.CalendarAnswer, ANSWER, answer),
        comment=comment,
        notify=enum_value(messages.CalendarNotify, NOTIFY, notify),
    )
    with channel(context) as opened:
        stub = services.CalendarServiceStub(opened)
        print_outcome(outcome(stub, stub.RespondToCalendarEvent(request).write, wait), json=json)


def cancel(
    context: typer.Context,
    event_id: EventArgument,
    *,
    notify: NotifyOption,
    comment: Annotated[str, typer.Option(help="Text for the attendees. Microsoft only.")] = "",
    original_start: StartOption = "",
    key: KeyOption = "",
    wait: WaitOption = 0.0,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Cancel an event that the calendar's owner organizes; a series with all its instances.

    The mesh commits the cancellation and returns; a worker makes it. With --wait the command waits for the outcome.

    Examples:
      mailmesh calendars cancel 019a9f0e-7c1e-7000-8000-00000000000d --notify all --comment "Postponed" --yes
      mailmesh calendars cancel 019a9f0e-7c1e-7000-8000-00000000000d --original-start 2026-12-07T09:00:00 --notify all
    """
    confirm(f"Cancel event {event_id}?", yes=yes)
    request = messages.CancelCalendarEventRequest(
        idempotency_key=key or new_key(),
        calendar_event_id=event_id,
        original_start=original_start,
        comment=comment,
        notify=enum_value(messages.CalendarNotify, NOTIFY, notify),
    )
    with channel(context) as opened:
        stub = services.CalendarServiceStub(opened)
        print_outcome(outcome(stub, stub.CancelCalendarEvent(request).write, wait), json=json)


def update(
    context: typer.Context,
    event_id: EventArgument,
    *,
    notify: NotifyOption,
    subject: Annotated[str | None, typer.Option(help="Title of the event.")] = None,
    text: Annotated[str | None, typer.Option(help="Body as plain text.")] = None,
    location: Annotated[str | None, typer.Option(help="Name of the place.")] = None,
    start: Annotated[str, typer.Option(metavar="TIME", help="Beginning in --zone, or a day; with --end.")] = "",
    end: Annotated[str, typer.Option(metavar="TIME", help="End in --zone, or the first day after the event.")] = "",
    zone: Annotated[str, typer.Option(help="IANA time zone, such as Europe/Berlin; none for an all-day event.")] = "",
    add: Annotated[
        list[str] | None, typer.Option("--add-attendee", metavar="ADDRESS", help="Address to invite; repeatable.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove-attendee", metavar="ADDRESS", help="Address to uninvite; repeatable.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="Other rule of a series, such as FREQ=WEEKLY;COUNT=5.")] = None,
    version: Annotated[str, typer.Option(help="Change the event only if it still has this version.")] = "",
    original_start: StartOption = "",
    key: KeyOption = "",
    wait: WaitOption = 0.0,
    json: JsonOption = False,
) -> None:
    """Change an event that the calendar's owner organizes; fields without an option stay as they are.

    The mesh commits the changes and returns; a worker makes them. With --wait the command waits for the outcome.

    Examples:
      mailmesh calendars update 019a9f0e-7c1e-7000-8000-00000000000d --location "Room 2" --notify all
      mailmesh calendars update 019a9f0e-7c1e-7000-8000-00000000000d --add-attendee ada@example.com --notify all
    """
    changes = messages.CalendarEventChanges(
        subject=subject,
        body_text=text,
        location=location,
        add_attendees=[messages.NewAttendee(address=address) for address in add or ()],
        remove_attendees=remove or (),
        recurrence_rule=rule,
    )
    for name, value in (("start", start), ("end", end)):
        if value:
            getattr(changes, name).CopyFrom(time_of(value, zone))
    request = messages.UpdateCalendarEventRequest(
        idempotency_key=key or new_key(),
        calendar_event_id=event_id,
        original_start=original_start,
        event=changes,
        notify=enum_value(messages.CalendarNotify, NOTIFY, notify),
        version=version,
    )
    with channel(context) as opened:
        stub = services.CalendarServiceStub(opened)
        print_outcome(outcome(stub, stub.UpdateCalendarEvent(request).write, wait), json=json)
