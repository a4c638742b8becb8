"""`mailmesh messages`: read mail at the provider, download it, search it."""

from pathlib import Path
from typing import Annotated

import typer

from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import message_service_pb2_grpc as services
from mailmesh.vault.v1 import tenant_service_pb2 as tenant_pb2
from mailmesh.vault.v1 import tenant_service_pb2_grpc as tenant_services
from stack.cli.connection import channel
from stack.cli.downloads import Call, download
from stack.cli.messages import TenantOption, app
from stack.cli.output import JsonOption, LimitOption, pages, print_json, print_record, print_table, when

__all__ = ["app"]
MessageArgument = Annotated[str, typer.Argument(metavar="MESSAGE", help="Provider's id of the mail.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write. [default: the mail's own name]")
]


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
