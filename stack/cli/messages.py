"""`mailmesh messages`: act on mail of connected accounts."""

import sys
import time
import uuid
from typing import Annotated

import typer

from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import message_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.exits import CommandError
from stack.cli.output import (
    JsonOption,
    print_json,
    print_record,
    print_table,
    show_aside,
    when,
    word,
)
from stack.cli.progress import progress

app = typer.Typer(no_args_is_help=True, help="Act on mail: mark, move, fetch, download.")
STATE, OUTCOME = "MODIFICATION_STATE_", "MESSAGE_OUTCOME_"
WAIT_STEP_SECONDS = 0.3
PLACES = {
    "inbox": messages.MAIL_PLACE_INBOX,
    "archive": messages.MAIL_PLACE_ARCHIVE,
    "trash": messages.MAIL_PLACE_TRASH,
}
TenantOption = Annotated[str, typer.Option(help="Id of the tenant whose mailbox it is; `tenants list` shows it.")]
NamesOption = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Category, Microsoft only; repeatable.")]
LabelsOption = Annotated[
    list[str] | None, typer.Option(metavar="LABEL", help="Id of a label, Google only; repeatable.")
]


@app.command()
def mark(
    context: typer.Context,
    message_ids: Annotated[
        list[str], typer.Argument(metavar="MESSAGE...", help="Ids of 1 to 1,000 mails; - reads standard input.")
    ],
    *,
    tenant: TenantOption,
    read: Annotated[bool | None, typer.Option("--read/--unread", help="Mark as read or as unread.")] = None,
    flag: Annotated[
        bool | None, typer.Option("--flag/--unflag", help="Set or clear the flag; Google: the star.")
    ] = None,
    add_category: NamesOption = None,
    remove_category: NamesOption = None,
    add_label: LabelsOption = None,
    remove_label: LabelsOption = None,
    folder: Annotated[str, typer.Option(help="Move to the folder with this id, Microsoft only.")] = "",
    move_to: Annotated[str, typer.Option("--to", metavar="inbox|archive|trash", help="Move to this place.")] = "",
    key: Annotated[
        str, typer.Option(help="Idempotency key: repeating it is the same modification. [default: a new one]")
    ] = "",
    wait: Annotated[float, typer.Option(min=0, max=3600, help="Seconds to wait for the outcome of each mail.")] = 60.0,
    json: JsonOption = False,
) -> None:
    """Mark mails as read, flag them, set categories or labels, and move them.

    The mesh commits the modification; a worker makes it. The command waits for the outcome of each mail, unless --wait
    is 0.

    Examples:
      mailmesh messages mark AAMkAGI1 --tenant 019a9f0e-7c1e-7000-8000-000000000002 --read --to archive
      mailmesh messages mark - --tenant 019a9f0e-7c1e-7000-8000-000000000002 --add-category Done < ids.txt
    """
    change = _change(read, flag, folder, move_to)
    change.add_categories.extend(add_category or ())
    change.remove_categories.extend(remove_category or ())
    change.add_label_ids.extend(add_label or ())
    change.remove_label_ids.extend(remove_label or ())
    ids = sys.stdin.read().split() if message_ids == ["-"] else message_ids
    if not key:
        key = str(uuid.uuid4())
        # Before the call: repeating a call that failed after the commit takes this key.
        show_aside(f"idempotency key: {key}")
    request = messages.ModifyMessagesRequest(idempotency_key=key, tenant_id=tenant, message_ids=ids, change=change)
    with channel(context) as opened:
        stub = services.MessageServiceStub(opened)
        found = stub.ModifyMessages(request).modification
        found = _outcome(stub, found, wait) if wait else found
    _print(found, json=json)
    _check(found)


@app.command()
def modification(
    context: typer.Context,
    modification_id: Annotated[str, typer.Argument(metavar="MODIFICATION", help="Id of the modification.")],
    *,
    json: JsonOption = False,
) -> None:
    """Show a modification and the outcome of each mail.

    Examples:
      mailmesh messages modification 019a9f0e-7c1e-7000-8000-00000000000b
    """
    request = messages.GetModificationRequest(modification_id=modification_id)
    with channel(context) as opened:
        found = services.MessageServiceStub(opened).GetModification(request).modification
    _print(found, json=json)


@app.command("processed-mark")
def processed_mark(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")],
    *,
    read: Annotated[bool, typer.Option("--read", help="Mark as read.")] = False,
    category: Annotated[str, typer.Option(help="Category to add, Microsoft only.")] = "",
    label: Annotated[str, typer.Option(help="Name of the label to add, Google only; made where there is none.")] = "",
    folder: Annotated[
        str, typer.Option(help="Name of the folder to move to, Microsoft only; made where there is none.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Set how mails of a tenant are marked once they are processed; without options, show it.

    Examples:
      mailmesh messages processed-mark 019a9f0e-7c1e-7000-8000-000000000002 --category Processed
      mailmesh messages processed-mark 019a9f0e-7c1e-7000-8000-000000000002
    """
    mark = messages.ProcessedMark(is_read=read, category=category, label_name=label, folder_name=folder)
    with channel(context) as opened:
        stub = services.MessageServiceStub(opened)
        if mark.ListFields():
            mark = stub.SetProcessedMark(messages.SetProcessedMarkRequest(tenant_id=tenant, mark=mark)).mark
        else:
            mark = stub.GetProcessedMark(messages.GetProcessedMarkRequest(tenant_id=tenant)).mark
    if json:
        print_json(mark)
        return
    names = (("read", "yes" if mark.is_read else ""), ("category", mark.category), ("label", mark.label_name))
    print_record([*names, ("folder", mark.folder_name)])


@app.command()
def processed(
    context: typer.Context,
    event_id: Annotated[str, typer.Argument(metavar="EVENT", help="Id of the event whose mail is processed.")],
    *,
    wait: Annotated[float, typer.Option(min=0, max=3600, help="Seconds to wait for the outcome.")] = 60.0,
    json: JsonOption = False,
) -> None:
    """Mark the mail of an event as processed, as the tenant's `processed-mark` says. It can be repeated.

    Examples:
      mailmesh messages processed 019a9f0e-7c1e-7000-8000-00000000000c
    """
    with channel(context) as opened:
        stub = services.MessageServiceStub(opened)
        found = stub.MarkProcessed(messages.MarkProcessedRequest(event_id=event_id)).modification
        found = _outcome(stub, found, wait) if wait else found
    _print(found, json=json)
    _check(found)


def _change(read: bool | None, flag: bool | None, folder: str, move_to: str) -> messages.MessageChange:
    change = messages.MessageChange(is_read=read, is_flagged=flag)
    if folder and move_to:
        raise typer.BadParameter("--folder and --to exclude each other")
    if folder:
        change.folder_id = folder
    if move_to:
        if move_to not in PLACES:
            raise typer.BadParameter(f"--to takes one of {', '.join(PLACES)}")
        change.place = PLACES[move_to]
    return change


def _outcome(stub: services.MessageServiceStub, found: messages.Modification, seconds: float) -> messages.Modification:
    """Wait until each mail has its outcome, at most so long; return the modification as it is then."""
    deadline = time.monotonic() + seconds
    request = messages.GetModificationRequest(modification_id=found.modification_id)
    with progress("Modifying", len(found.messages)) as show:
        while found.state == messages.MODIFICATION_STATE_PENDING and time.monotonic() < deadline:
            time.sleep(WAIT_STEP_SECONDS)
            found = stub.GetModification(request).modification
            show(sum(one.outcome != messages.MESSAGE_OUTCOME_PENDING for one in found.messages))
    return found


def _check(found: messages.Modification) -> None:
    failed = [one for one in found.messages if one.outcome > messages.MESSAGE_OUTCOME_DONE]
    if failed:
        told = f"{found.reason} {found.detail}".strip()
        raise CommandError(f"{len(failed)} of {len(found.messages)} mails were not modified: {told}".rstrip(": "))


def _print(found: messages.Modification, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    record = [
        ("modification", found.modification_id),
        ("tenant", found.tenant_id),
        ("key", found.idempotency_key),
        ("state", word(messages.ModificationState.Name(found.state), STATE)),
        ("reason", f"{found.reason} {found.detail}".strip()),
        ("created", when(found.created_at)),
        ("finished", when(found.finished_at)),
    ]
    print_record([(name, value) for name, value in record if value])
    rows = [(one.message_id, word(messages.MessageOutcome.Name(one.outcome), OUTCOME)) for one in found.messages]
    print_table(("MESSAGE", "OUTCOME"), rows, "")
