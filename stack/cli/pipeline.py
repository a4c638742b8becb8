"""The operator's commands for the pipeline: dead letters, replays, reconciliation, status."""

import time
import uuid
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table

from mailmesh.ingest.v1 import dead_letter_service_pb2 as letters
from mailmesh.ingest.v1 import dead_letter_service_pb2_grpc as letter_services
from mailmesh.processor.v1 import processor_service_pb2 as messages
from mailmesh.processor.v1 import processor_service_pb2_grpc as services
from stack.cli.connection import LONG_CALL_SECONDS, channel
from stack.cli.events import ProviderOption, TenantOption, TypeOption, event_filter
from stack.cli.output import (
    TIME_FORMS,
    JsonOption,
    LimitOption,
    YesOption,
    confirm,
    console,
    pages,
    parse_time,
    print_json,
    print_table,
    show,
    when,
)
from stack.terminal import line

dead_letters = typer.Typer(no_args_is_help=True, help="List, count and retry items that could not be processed.")
WATCH_SECONDS = 2.0


@dead_letters.command("list")
def list_dead_letters(
    context: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="List only dead letters of this tenant.")] = "",
    reason: Annotated[str, typer.Option(help="List only dead letters with this reason.")] = "",
    retried: Annotated[bool, typer.Option("--retried", help="Also list dead letters that were retried.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"List those buried at or after: {TIME_FORMS}.")
    ] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help=f"List those buried before: {TIME_FORMS}.")] = None,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the items that could not be processed, newest first.

    Examples:
      mailmesh dead-letters list --since 1d
    """
    chosen = letters.DeadLetterFilter(
        tenant_id=tenant, reason=reason, buried_from=parse_time(since), buried_before=parse_time(before)
    )
    with channel(context) as opened:
        stub = letter_services.DeadLetterServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[letters.DeadLetter], str]:
            request = letters.ListDeadLettersRequest(
                page_size=size, page_token=token, filter=chosen, include_retried=retried
            )
            answer = stub.ListDeadLetters(request)
            return list(answer.dead_letters), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("DEAD LETTER", "TENANT", "WHAT", "REASON", "TRIES", "BURIED", "DETAIL"),
        [
            (
                *(letter.dead_letter_id, letter.item.tenant_id, letter.item.WhichOneof("content") or "", letter.reason),
                *(str(letter.item.attempts), when(letter.buried_at), letter.detail),
            )
            for letter in found
        ],
        "There are no dead letters.",
    )


@dead_letters.command("count")
def count_dead_letters(
    context: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="Count only dead letters of this tenant.")] = "",
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Count those buried at or after: {TIME_FORMS}.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Count those buried before: {TIME_FORMS}.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Count the items that could not be processed, by reason.

    Examples:
      mailmesh dead-letters count --since 1d
    """
    chosen = letters.DeadLetterFilter(tenant_id=tenant, buried_from=parse_time(since), buried_before=parse_time(before))
    with channel(context) as opened:
        stub = letter_services.DeadLetterServiceStub(opened)
        answer = stub.CountDeadLetters(letters.CountDeadLettersRequest(filter=chosen))
    if json:
        print_json(answer)
        return
    print_table(
        ("REASON", "DEAD LETTERS", "TENANTS", "OLDEST", "NEWEST"),
        [
            (
                *(one.reason, str(one.dead_letters), str(one.tenants)),
                *(when(one.oldest_buried_at), when(one.newest_buried_at)),
            )
            for one in answer.counts
        ],
        "There are no dead letters.",
    )


@dead_letters.command()
def retry(
    context: typer.Context,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="DEAD_LETTER", help="Ids of the dead letters to retry.")
    ] = None,
    *,
    tenant: Annotated[str, typer.Option(help="Retry all dead letters of this tenant.")] = "",
    reason: Annotated[str, typer.Option(help="Retry all dead letters with this reason.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="Retry all dead letters.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only count; change nothing.")] = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Put dead letters back into the inbox, chosen by id, tenant or reason.

    Examples:
      mailmesh dead-letters retry 019a9f0e-7c1e-7000-8000-000000000009
      mailmesh dead-letters retry --reason MESSAGE_FORBIDDEN --dry-run
    """
    if not (ids or tenant or reason or all_):
        raise typer.BadParameter("name the ids of dead letters, or choose them by --tenant, --reason or --all")
    chosen = None if ids else letters.DeadLetterFilter(tenant_id=tenant, reason=reason)
    if all_ and chosen is not None:
        # An empty filter is refused; all dead letters are younger than 1970.
        chosen.buried_from.SetInParent()
    if all_ and not dry_run:
        confirm("Put all dead letters back?", yes=yes)
    request = letters.RetryDeadLettersRequest(dead_letter_ids=ids or (), filter=chosen, dry_run=dry_run)
    with channel(context) as opened:
        done = letter_services.DeadLetterServiceStub(opened).RetryDeadLetters(request, timeout=LONG_CALL_SECONDS)
    if json:
        print_json(done)
    else:
        show(f"{done.matched} chosen, {done.retried} put back")


def replay(
    context: typer.Context,
    *,
    from_cursor: Annotated[
        str, typer.Option("--from", metavar="POSITION", help="Position of the first event, or earliest.")
    ] = "",
    to_cursor: Annotated[
        str, typer.Option("--to", metavar="POSITION", help="Position of the last event. [default: the newest event]")
    ] = "",
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Replay events received at or after: {TIME_FORMS}.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Replay events received before: {TIME_FORMS}.")
    ] = None,
    tenant: TenantOption = None,
    kind: TypeOption = None,
    provider: ProviderOption = None,
    dry_run: Annotated[bool, typer.Option(help="Only count; change nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Append events again, marked as replays, for readers that ask for replays.

    Examples:
      mailmesh replay --since 2h --dry-run
      mailmesh replay --from earliest --tenant 019a9f0e-7c1e-7000-8000-000000000002
    """
    if not (from_cursor or since):
        raise typer.BadParameter("name the start of the range by --from or --since")
    request = messages.ReplayEventsRequest(
        from_cursor=from_cursor,
        to_cursor=to_cursor,
        received_from=parse_time(since),
        received_before=parse_time(before),
        filter=event_filter(tenant, kind, provider, replays=False),
        dry_run=dry_run,
        request_id=str(uuid.uuid4()),
    )
    with channel(context) as opened, console.status("Replaying"):
        done = services.ProcessorServiceStub(opened).ReplayEvents(request, timeout=LONG_CALL_SECONDS)
    if json:
        print_json(done)
    elif dry_run:
        show(f"{done.matched} events would be replayed")
    else:
        show(f"{done.appended} events appended as replay {done.replay_id}")
        show(f"read them: mailmesh events list --replays --cursor {done.start_cursor}")


def reconcile(
    context: typer.Context,
    tenant_id: Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")],
    *,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Compare mail from this time on: {TIME_FORMS}.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare a mailbox with the provider and make one event of each missed change.

    Examples:
      mailmesh reconcile 019a9f0e-7c1e-7000-8000-000000000002 --since 7d
    """
    request = messages.ReconcileMailboxRequest(tenant_id=tenant_id, since=parse_time(since))
    with channel(context) as opened:
        done = services.ProcessorServiceStub(opened).ReconcileMailbox(request)
    if json:
        print_json(done)
    else:
        show("a comparison is waiting already" if done.was_waiting else f"comparison {done.item_id} is under way")


def status(
    context: typer.Context,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh every two seconds until Ctrl-C.")] = False,
    tenants: Annotated[int, typer.Option(min=1, max=1000, help="Number of tenants to list, worst first.")] = 20,
    json: JsonOption = False,
) -> None:
    """Show the state of the pipeline between a push and its event.

    Examples:
      mailmesh status --watch
    """
    request = messages.GetPipelineStatusRequest(max_tenants=tenants)
    with channel(context) as opened:
        stub = services.ProcessorServiceStub(opened)
        found = stub.GetPipelineStatus(request)
        if json:
            print_json(found)
        elif not watch:
            console.print(_overview(found))
        else:
            with Live(_overview(found), console=console, auto_refresh=False) as live:
                while True:
                    time.sleep(WATCH_SECONDS)
                    live.update(_overview(stub.GetPipelineStatus(request)), refresh=True)


def _overview(found: messages.GetPipelineStatusResponse) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    oldest = f", oldest {found.inbox_oldest_seconds:.0f} s" if found.inbox_pending else ""
    rows = [
        ("inbox", f"{found.inbox_pending} waiting{oldest}"),
        ("events in the last hour", str(found.events_last_hour)),
        ("tenants", _counts(found.tenants_by_status)),
        ("subscriptions", _counts(found.subscriptions_by_state)),
        ("dead letters", str(found.dead_letters)),
        ("still without content", str(found.unenriched_pending)),
        ("refused in the last hour", str(found.refused_last_hour)),
        ("failed refreshes, last hour", str(found.refresh_failures_last_hour)),
        ("workers", str(len(found.workers))),
    ]
    if found.unavailable:
        rows.append(("unavailable services", ", ".join(found.unavailable)))
    for name, value in rows:
        facts.add_row(line((name, "bold")), line(value))
    return Group(facts, *([_lags(found)] if found.tenants else []))


def _lags(found: messages.GetPipelineStatusResponse) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("TENANT", "PROVIDER", "LAG", "WAITING", "LAST EVENT", "LAST PUSH", "COMPARED", ""):
        table.add_column(column, overflow="fold")
    for lag in found.tenants:
        note = "waits for a person" if lag.is_waiting_for_person else ""
        cells = (
            *(lag.tenant_id, lag.provider, f"{lag.lag_seconds:.0f} s", str(lag.inbox_pending)),
            *(when(lag.last_event_at), when(lag.last_notification_at), when(lag.last_reconciled_at), note),
        )
        table.add_row(*map(line, cells))
    return table


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "none"
