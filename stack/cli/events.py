"""`mailmesh events`: the events that consumers read."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import grpc
import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mailmesh.processor.v1 import event_pb2
from mailmesh.processor.v1 import event_service_pb2 as messages
from mailmesh.processor.v1 import event_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.exits import code_of, reason_of
from stack.cli.output import JsonOption, console, enum_value, print_json, print_json_line, print_table, when
from stack.files import write_private
from stack.terminal import line

app = typer.Typer(no_args_is_help=True, help="Read the events that consumers read.")
TenantOption = Annotated[
    list[str] | None, typer.Option("--tenant", help="Choose only events of this tenant; repeatable.")
]
TypeOption = Annotated[
    list[str] | None, typer.Option("--type", help="Choose only this type, such as mail.created or mail.*; repeatable.")
]
ProviderOption = Annotated[
    list[str] | None, typer.Option("--provider", help="Choose only this provider: ms365 or googlews; repeatable.")
]
ReplaysOption = Annotated[bool, typer.Option("--replays", help="Include replayed events.")]
ViewOption = Annotated[str, typer.Option(help="How much of each event to show: basic, body or full.")]

COLUMNS = ("RECEIVED", "TYPE", "PROVIDER", "FROM", "SUBJECT", "EVENT")
LIVE_ROWS = 25
# From here on there is room for the events' ids.
WIDE_COLUMNS = 130
PAGE_SIZE = 200
HEARTBEAT_SECONDS = 15
# Reasons for the end of a stream that can resume at its last position.
RESUMABLE = ("SHUTTING_DOWN", "READER_TOO_SLOW", "SERVICE_UNAVAILABLE", "STORE_UNAVAILABLE")
RECONNECT_SECONDS = 1.0
RECONNECT_FOR_SECONDS = 120.0


def event_filter(
    tenant: list[str] | None, kinds: list[str] | None, provider: list[str] | None, *, replays: bool
) -> messages.EventFilter:
    """Returns the filter that the options mean."""
    return messages.EventFilter(
        tenant_ids=tenant or (), event_types=kinds or (), providers=provider or (), include_replays=replays
    )


def row_of(event: event_pb2.Event) -> tuple[str, ...]:
    """Returns an event's cells for a table."""
    if event.HasField("endpoint"):
        return _endpoint_row(event.endpoint)
    return _row_of_tenant(event)


def _endpoint_row(told: event_pb2.EndpointEvent) -> tuple[str, ...]:
    detail = f"{told.endpoint_id} {told.reason}".strip()
    return (when(told.received_at), told.event_type, "", "", detail, told.event_id)


def _row_of_tenant(event: event_pb2.Event) -> tuple[str, ...]:  # noqa: PLR0911 - a row for each kind
    if event.HasField("mail"):
        mail = event.mail
        sender = mail.message.from_address.address if mail.HasField("message") else ""
        subject = mail.message.subject if mail.HasField("message") else _why_not(event)
        return (when(mail.received_at), mail.event_type, mail.provider, sender, subject, mail.event_id)
    if event.HasField("tenant"):
        change = event.tenant
        detail = change.status_detail or change.tenant_id
        return (when(change.received_at), change.event_type, change.provider, "", detail, change.event_id)
    if event.HasField("send"):
        sent = event.send
        detail = f"{sent.reason} {sent.detail}".strip() or sent.idempotency_key
        return (when(sent.received_at), sent.event_type, sent.provider, "", detail, sent.event_id)
    if event.HasField("conversation"):
        told = event.conversation
        about = told.conversation
        return (when(told.received_at), told.event_type, told.provider, about.requester, about.subject, told.event_id)
    if event.HasField("workflow"):
        run = event.workflow
        detail = f"{run.workflow} {run.run_id} {run.reason}".strip()
        return (when(run.received_at), run.event_type, "", "", detail, run.event_id)
    if event.HasField("calendar_event"):
        entry = event.calendar_event
        detail = entry.event.subject if entry.HasField("event") else f"{entry.calendar.name} {entry.reason}".strip()
        sender = entry.event.organizer.address
        return (when(entry.received_at), entry.event_type, entry.provider, sender, detail, entry.event_id)
    return ("", "(unknown kind)", "", "", "", "")


@app.command("list")
def list_events(
    context: typer.Context,
    *,
    cursor: Annotated[
        str, typer.Option(help="Where to start: earliest, latest, a time such as 2026-11-28T21:00:00Z, or a position.")
    ] = "earliest",
    tenant: TenantOption = None,
    kind: TypeOption = None,
    provider: ProviderOption = None,
    replays: ReplaysOption = False,
    view: ViewOption = "basic",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Show at most this many; 0 shows all.")] = 50,
    json: JsonOption = False,
) -> None:
    """List events in the order of the stream. With --json each event is one line.

    Examples:
      mailmesh events list --type 'mail.*' --limit 20
      mailmesh events list --cursor 2026-11-28T21:00:00Z
      mailmesh events list --limit 0 --view full --json > events.jsonl
    """
    wanted = messages.ListEventsRequest(
        cursor=cursor,
        filter=event_filter(tenant, kind, provider, replays=replays),
        view=enum_value(event_pb2.EventView, "EVENT_VIEW_", view),
    )
    with channel(context) as opened:
        found = _listed(services.EventServiceStub(opened), wanted, limit)
        if json:
            for event in found:
                print_json_line(event)
        else:
            print_table(COLUMNS, map(row_of, found), "There are no such events.")


@app.command("show", hidden=True)
@app.command()
def get(
    context: typer.Context,
    event_id: Annotated[str, typer.Argument(metavar="EVENT", help="Id of the event.")],
    *,
    view: ViewOption = "full",
) -> None:
    """Show one event as JSON."""
    with channel(context) as opened:
        request = messages.GetEventRequest(event_id=event_id, view=enum_value(event_pb2.EventView, "EVENT_VIEW_", view))
        print_json(services.EventServiceStub(opened).GetEvent(request).event)


@app.command()
def tail(
    context: typer.Context,
    *,
    cursor: Annotated[
        str, typer.Option(help="Where to start: earliest, latest, a time such as 2026-11-28T21:00:00Z, or a position.")
    ] = "latest",
    save: Annotated[Path | None, typer.Option(help="File that keeps the position; the next tail starts there.")] = None,
    tenant: TenantOption = None,
    kind: TypeOption = None,
    provider: ProviderOption = None,
    replays: ReplaysOption = False,
    view: ViewOption = "basic",
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="End after this many events; 0 never ends.")] = 0,
    json: JsonOption = False,
) -> None:
    """Follow the events live until Ctrl-C. A broken stream resumes at its last position.

    Examples:
      mailmesh events tail
      mailmesh events tail --json --save position.txt | my-consumer
      mailmesh events tail --cursor earliest --count 10 --json
    """
    request = messages.StreamEventsRequest(
        cursor=save.read_text(encoding="utf-8").strip() if save is not None and save.exists() else cursor,
        filter=event_filter(tenant, kind, provider, replays=replays),
        view=enum_value(event_pb2.EventView, "EVENT_VIEW_", view),
        heartbeat_seconds=HEARTBEAT_SECONDS,
    )
    with channel(context) as opened:
        events = _counted(follow(services.EventServiceStub(opened), request), count)
        for event in _shown(events, json=json):
            if save is not None:
                write_private(save, event.position)


def follow(stub: services.EventServiceStub, request: messages.StreamEventsRequest) -> Iterator[event_pb2.Event]:
    """Gives events as they come; resumes a broken stream behind the last event.

    Args:
        stub: The service.
        request: Where to begin; its cursor moves.

    Raises:
        grpc.RpcError: The stream was unavailable for two minutes, or the mesh refuses it.
    """
    broken_since: float | None = None
    while True:
        try:
            for step in stub.StreamEvents(request):
                broken_since = None
                request.cursor = step.event.position if step.HasField("event") else step.heartbeat.position
                if step.HasField("event"):
                    yield step.event
        except grpc.RpcError as fault:
            now = time.monotonic()
            broken_since = broken_since if broken_since is not None else now
            if not _is_passing(fault) or now - broken_since > RECONNECT_FOR_SECONDS:
                raise
        time.sleep(RECONNECT_SECONDS)


def _is_passing(fault: grpc.RpcError) -> bool:
    reason = reason_of(fault)
    return reason in RESUMABLE or (not reason and code_of(fault) is grpc.StatusCode.UNAVAILABLE)


def _listed(
    stub: services.EventServiceStub, request: messages.ListEventsRequest, limit: int
) -> Iterator[event_pb2.Event]:
    given = 0
    while True:
        request.page_size = PAGE_SIZE if limit == 0 else min(PAGE_SIZE, limit - given)
        answer = stub.ListEvents(request)
        yield from answer.events
        given += len(answer.events)
        if not answer.has_more or (limit and given >= limit):
            return
        request.cursor = answer.next_cursor


def _counted(events: Iterator[event_pb2.Event], count: int) -> Iterator[event_pb2.Event]:
    for number, event in enumerate(events, start=1):
        yield event
        if number == count:
            return


def _shown(events: Iterator[event_pb2.Event], *, json: bool) -> Iterator[event_pb2.Event]:
    if json:
        return _print_lines(events)
    return _show_live(events) if console.is_terminal else _show_lines(events)


def _print_lines(events: Iterator[event_pb2.Event]) -> Iterator[event_pb2.Event]:
    for event in events:
        print_json_line(event)
        yield event


def _show_lines(events: Iterator[event_pb2.Event]) -> Iterator[event_pb2.Event]:
    for event in events:
        # A tab between the cells is ours; one inside a cell is shown as `\t`.
        console.print(Text("\t").join(map(line, row_of(event))), soft_wrap=True)
        yield event


def _show_live(events: Iterator[event_pb2.Event]) -> Iterator[event_pb2.Event]:
    rows: list[tuple[str, ...]] = []
    with Live(live_table(rows), console=console, refresh_per_second=8) as live:
        for event in events:
            rows.append(row_of(event))
            live.update(live_table(rows))
            yield event


def live_table(rows: list[tuple[str, ...]]) -> Table:
    """Returns the newest rows as a table, with the count of all."""
    table = Table(box=None, header_style="bold", pad_edge=False, caption=f"{len(rows)} events; Ctrl-C ends")
    is_wide = console.width >= WIDE_COLUMNS
    for column in COLUMNS if is_wide else COLUMNS[:-1]:
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1 if column == "SUBJECT" else None)
    for row in rows[-LIVE_ROWS:]:
        cells = (row[0].rpartition(" ")[2], *row[1 : len(table.columns)])
        table.add_row(*map(line, cells))
    return table


def _why_not(event: event_pb2.Event) -> str:
    return f"({event.mail.not_enriched.reason})" if event.mail.HasField("not_enriched") else ""
