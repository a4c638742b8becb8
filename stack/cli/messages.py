"""`mailmesh messages`: act on mail of connected accounts."""

import sys
import time
import uuid
from pathlib import Path
from typing import Annotated

import typer

from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import message_service_pb2_grpc as services
from mailmesh.vault.v1 import tenant_service_pb2 as tenant_pb2
from mailmesh.vault.v1 import tenant_service_pb2_grpc as tenant_services
from stack.cli.connection import channel
from stack.cli.downloads import Call, download
from stack.cli.exits import CommandError
from stack.cli.output import (
    JsonOption,
    LimitOption,
    pages,
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
MessageArgument = Annotated[str, typer.Argument(metavar="MESSAGE", help="Provider's id of the mail.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write. [default: the mail's own name]")
]
NamesOption = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Category, Microsoft only; repeatable.")]
LabelsOption = Annotated[
    list[str] | None, typer.Option(metavar="LABEL", help="Id of a label, Google only; repeatable.")
]


@app.command()
def mark(
    context: typer.Context,
    message_ids: Annotated[
        list[str], typer.Argument(metavar="MESSAGE...", help="Ids of 1 to 1,000 mails; - reads them.")
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


@app.command()
def get(
    context: typer.Context,
    message_id: MessageArgument,
    *,
    tenant: TenantOption,
    raw: Annotated[bool, typer.Option("--raw", help="Add the provider's own object; with --json.")] = False,
    json: JsonOption = False,
) -> None:
    """Fetch a mail from the provider, as it is now.

    Examples:
      mailmesh messages get AAMkAGI1 --tenant 019a9f0e-7c1e-7000-8000-000000000002
    """
    request = messages.GetMessageRequest(tenant_id=tenant, message_id=message_id, include_raw=raw)
    with channel(context) as opened:
        found = services.MessageServiceStub(opened).GetMessage(request)
    if json:
        print_json(found)
        return
    mail = found.message
    print_record(
        [
            ("from", mail.from_address.address),
            ("to", ", ".join(one.address for one in mail.to)),
            ("subject", mail.subject),
            ("received", when(mail.mail_received_at)),
            ("read", "yes" if mail.is_read else "no"),
            ("folder", mail.folder_id),
            ("labels", ", ".join(mail.label_ids)),
            ("categories", ", ".join(mail.categories)),
            ("preview", mail.preview),
        ]
    )
    rows = [
        (one.part_id or one.attachment_id, one.name, one.content_type, str(one.size_bytes)) for one in mail.attachments
    ]
    if rows:
        print_table(("ATTACHMENT", "NAME", "TYPE", "BYTES"), rows, "")


@app.command()
def raw(
    context: typer.Context,
    message_id: MessageArgument,
    *,
    tenant: TenantOption,
    output: OutputOption = None,
) -> None:
    """Download a mail in MIME.

    Examples:
      mailmesh messages raw AAMkAGI1 --tenant 019a9f0e-7c1e-7000-8000-000000000002 --output mail.eml
    """
    with channel(context) as opened:
        stub = services.MessageServiceStub(opened)

        def ask(offset: int) -> Call:
            return stub.GetRawMessage(
                messages.GetRawMessageRequest(tenant_id=tenant, message_id=message_id, offset=offset)
            )

        download(ask, output)


@app.command()
def attachment(
    context: typer.Context,
    message_id: MessageArgument,
    attachment_id: Annotated[
        str, typer.Argument(metavar="ATTACHMENT", help="Id of the attachment; `messages get` shows it.")
    ],
    *,
    tenant: TenantOption,
    output: OutputOption = None,
) -> None:
    """Download an attachment. A download that was interrupted goes on where it ended.

    Examples:
      mailmesh messages attachment AAMkAGI1 AAMkATT1 --tenant 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        stub = services.MessageServiceStub(opened)

        def ask(offset: int) -> Call:
            request = messages.GetAttachmentRequest(
                tenant_id=tenant, message_id=message_id, attachment_id=attachment_id, offset=offset
            )
            return stub.GetAttachment(request)

        download(ask, output)


@app.command()
def folders(
    context: typer.Context, *, tenant: TenantOption, limit: LimitOption = 500, json: JsonOption = False
) -> None:
    """List the folders of a Microsoft mailbox, or the labels of a Google mailbox.

    Examples:
      mailmesh messages folders --tenant 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        asked = tenant_pb2.GetTenantRequest(tenant_id=tenant)
        provider = tenant_services.TenantServiceStub(opened).GetTenant(asked).tenant.provider
        stub = services.MessageServiceStub(opened)
        found: list[messages.MailFolder | messages.MailLabel]
        if provider == "googlews":
            found = list(pages(lambda size, token: _labels(stub, tenant, size, token), limit))
        else:
            found = list(pages(lambda size, token: _folders(stub, tenant, size, token), limit))
    if json:
        print_json(found)
        return
    print_table(("ID", "NAME", "UNREAD"), map(_folder_row, found), "There are no folders.")


def _labels(
    stub: services.MessageServiceStub, tenant: str, size: int, token: str
) -> tuple[list[messages.MailLabel], str]:
    answer = stub.ListLabels(messages.ListLabelsRequest(tenant_id=tenant, page_size=size, page_token=token))
    return list(answer.labels), answer.next_page_token


def _folders(
    stub: services.MessageServiceStub, tenant: str, size: int, token: str
) -> tuple[list[messages.MailFolder], str]:
    answer = stub.ListFolders(messages.ListFoldersRequest(tenant_id=tenant, page_size=size, page_token=token))
    return list(answer.folders), answer.next_page_token


def _folder_row(found: messages.MailFolder | messages.MailLabel) -> tuple[str, str, str]:
    if isinstance(found, messages.MailLabel):
        return found.label_id, found.display_name, ""
    return found.folder_id, found.display_name, f"{found.unread_count}/{found.total_count}"


@app.command()
def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Words of the subject, the sender or the body.")] = "",
    *,
    tenant: TenantOption,
    sender: Annotated[str, typer.Option("--from", help="Part of the sender's name or address.")] = "",
    to: Annotated[str, typer.Option(help="Part of a recipient's name or address.")] = "",
    subject: Annotated[str, typer.Option(help="Words of the subject, next to each other.")] = "",
    attachments: Annotated[bool, typer.Option("--attachments", help="Only mails with attachments.")] = False,
    limit: LimitOption = 50,
    json: JsonOption = False,
) -> None:
    """Search a mailbox by the provider's own index, which lags behind the newest mail.

    Examples:
      mailmesh messages search "late invoice" --tenant 019a9f0e-7c1e-7000-8000-000000000002 --from ada@example.com
    """
    query = messages.MessageQuery(text=text, to=to, subject=subject, has_attachments=attachments)
    setattr(query, "from", sender)
    with channel(context) as opened:
        stub = services.MessageServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.FoundMessage], str]:
            request = messages.SearchMessagesRequest(tenant_id=tenant, query=query, page_size=size, page_token=token)
            answer = stub.SearchMessages(request)
            return list(answer.messages), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    rows = [(one.message_id, one.provider_thread_id) for one in found]
    print_table(("MESSAGE", "THREAD"), rows, "There are no such mails.")


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
