"""The command that publishes the mail from before the subscriptions of a mailbox, or ends that."""

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
_RUNNING, _CANCELLED = messages.BACKFILL_STATE_RUNNING, messages.BACKFILL_STATE_CANCELLED
_NOT_THERE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def backfill(
    context: typer.Context,
    tenant_id: Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")],
    *,
    since: Annotated[str, typer.Option(metavar="TIME", help=f"Publish mail from this time on: {TIME_FORMS}.")] = "",
    cancel: Annotated[bool, typer.Option("--cancel", help="End the running backfill instead.")] = False,
    wait: Annotated[bool, typer.Option(help="Follow the backfill to its end, which may take hours.")] = True,
    json: JsonOption = False,
) -> None:
    """Publish the mail from before the subscriptions of a mailbox as events, behind new mail.

    A backfill that is running is followed instead; Ctrl-C ends the command only, and --cancel ends the backfill.

    Examples:
      mailmesh backfill 019a9f0e-7c1e-7000-8000-000000000002 --since 30d
      mailmesh backfill 019a9f0e-7c1e-7000-8000-000000000002 --cancel
    """
    if bool(since) is cancel:
        raise typer.BadParameter("exactly one of --since and --cancel is required", param_hint="--since")
    with channel(context) as opened:
        stub = services.ProcessorServiceStub(opened)
        found = _cancelled(stub, tenant_id) if cancel else _begun(stub, tenant_id, since)
        if wait and not cancel:
            found = _followed(stub, found)
    if json:
        print_json(found)
    else:
        show(_sentence(found))
    if found.state == messages.BACKFILL_STATE_FAILED or (found.state == _CANCELLED and not cancel):
        raise typer.Exit(1)


def _begun(stub: services.ProcessorServiceStub, tenant_id: str, since: str) -> messages.Backfill:
    request = messages.BackfillMailboxRequest(tenant_id=tenant_id, since=parse_time(since))
    return stub.BackfillMailbox(request, timeout=CALL_SECONDS).backfill


def _cancelled(stub: services.ProcessorServiceStub, tenant_id: str) -> messages.Backfill:
    request = messages.CancelBackfillRequest(tenant_id=tenant_id)
    return stub.CancelBackfill(request, timeout=CALL_SECONDS).backfill


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
    if found.state == messages.BACKFILL_STATE_UNSPECIFIED:
        return "the tenant has had no backfill"
    if found.state == _CANCELLED:
        return f"the backfill is cancelled: {found.messages} mails"
    if found.state == messages.BACKFILL_STATE_FAILED:
        return f"the backfill has failed: {found.reason} {found.detail}"
    cut = (
        ", which is the bound: begin another one with the same --since to go on behind these mails"
        if found.is_cut
        else ""
    )
    return f"the backfill is finished: {found.messages} mails{cut}"
