"""`mailmesh calendars free-busy`: when people are busy."""

from typing import Annotated

import typer

from mailmesh.calendar.v1 import calendar_event_pb2 as event_messages
from mailmesh.processor.v1 import calendar_service_pb2 as messages
from mailmesh.processor.v1 import calendar_service_pb2_grpc as services
from stack.cli.calendars import FromOption, window_of
from stack.cli.connection import channel
from stack.cli.output import JsonOption, print_json, print_table, when, word

DAYS = 7
BUSY, FAILURE = "EVENT_BUSY_", "FREE_BUSY_FAILURE_"
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help=f"End of the window. [default: {DAYS} days after --from]")
]


def free_busy(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant whose account asks.")],
    addresses: Annotated[
        list[str], typer.Argument(metavar="ADDRESS...", help="Addresses of people, rooms or calendars, at most 20.")
    ],
    *,
    start: FromOption = None,
    end: ToOption = None,
    json: JsonOption = False,
) -> None:
    """Show when people, rooms and calendars are busy.

    Examples:
      mailmesh calendars free-busy 019a9f0e-7c1e-7000-8000-000000000002 ada@example.com room1@example.com
    """
    begins, ends = window_of(start, end, DAYS)
    request = messages.QueryFreeBusyRequest(tenant_id=tenant, addresses=addresses, window_start=begins, window_end=ends)
    with channel(context) as opened:
        found = list(services.CalendarServiceStub(opened).QueryFreeBusy(request).schedules)
    if json:
        print_json(found)
        return
    rows = [row for one in found for row in _rows(one)]
    print_table(("ADDRESS", "STATE", "START", "END"), rows, "All addresses are free in this window.")


def _rows(found: messages.FreeBusySchedule) -> list[tuple[str, str, str, str]]:
    if found.failure:
        failure = word(messages.FreeBusyFailure.Name(found.failure), FAILURE)
        return [(found.address, f"{failure}: {found.detail}", "", "")]
    rows = [
        (found.address, word(event_messages.EventBusy.Name(one.busy), BUSY), when(one.start), when(one.end))
        for one in found.busy_times
    ]
    return [*rows, (found.address, "more times are omitted", "", "")] if found.is_cut else rows
