"""The command that publishes the mail from before the subscriptions of a mailbox."""

import time
from typing import Annotated, Any

import grpc
import typer

from mailmesh.processor.v1 import processor_service_pb2 as messages
from mailmesh.processor.v1 import processor_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.output import TIME_FORMS, JsonOption, parse_time, print_json, show
from stack.cli.progress import progress

LOOK_SECONDS = 1.0
CALL_SECONDS = 30.0
_RUNNING = messages.BACKFILL_STATE_RUNNING
_NOT_THERE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def backfill(
    context: typer.Context,
    tenant_id: Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")],
    *,
    since: Annotated[str, typer.Option(help=f"Publish mail from this time on: {TIME_FORMS}.")],
    wait: Annotated[bool, typer.Option(help="Follow the backfill to its end, which may take hours.")] = True,
    json: JsonOption = False,
) -> None:
    """Publish the mail from before the subscriptions of a mailbox as events, behind new mail.

    A backfill that is running is followed instead; Ctrl-C ends the command only.

    Examples:
      mailmesh backfill 019a9f0e-7c1e-7000-8000-000000000002 --since 30d
    """
    request = messages.BackfillMailboxRequest(tenant_id=tenant_id, since=parse_time(since))
    with channel(context) as opened:
        stub = services.ProcessorServiceStub(opened)
        found = stub.BackfillMailbox(request, timeout=CALL_SECONDS).backfill
        if wait:
            found = _followed(stub, found)
    if json:
        print_json(found)
    else:
        show(_sentence(found))
    if found.state == messages.BACKFILL_STATE_FAILED:
        raise typer.Exit(1)


def _followed(stub: services.ProcessorServiceStub, begun: messages.Backfill) -> messages.Backfill:
    found = begun
    with progress("backfill, seconds of the time", max(1, _seconds(begun, begun.since))) as step:
        while found.state == _RUNNING:
            step(_seconds(found, found.reached_at))
            time.sleep(LOOK_SECONDS)
            found = _read(stub, found)
    return found


def _read(stub: services.ProcessorServiceStub, last: messages.Backfill) -> messages.Backfill:
    """Read the progress; a mesh that is not there for a moment changes nothing."""
    request = messages.GetBackfillRequest(tenant_id=last.tenant_id)
    try:
        return stub.GetBackfill(request, timeout=CALL_SECONDS).backfill
    except grpc.RpcError as fault:
        if fault.code() not in _NOT_THERE:
            raise
        return last


def _seconds(found: messages.Backfill, moment: Any) -> int:
    return int(found.until.seconds - moment.seconds)


def _sentence(found: messages.Backfill) -> str:
    if found.state == _RUNNING:
        return f"the backfill is under way: {found.messages} mails so far; {found.detail}".rstrip("; ")
    if found.state == messages.BACKFILL_STATE_FAILED:
        return f"the backfill has failed: {found.reason} {found.detail}"
    cut = (
        ", which is the bound: begin another one with the same --since to go on behind these mails"
        if found.is_cut
        else ""
    )
    return f"the backfill is finished: {found.messages} mails{cut}"
