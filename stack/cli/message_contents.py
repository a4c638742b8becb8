"""`mailmesh messages parse` and `extract`: mails and attachments at the provider, read as the mesh reads files."""

from typing import Annotated

import typer

from mailmesh.processor.v1 import content_service_pb2 as contents
from mailmesh.processor.v1 import content_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.message_reads import MessageArgument, app
from stack.cli.messages import TenantOption
from stack.cli.output import JsonOption
from stack.cli.primitives import show_document, show_mail

__all__ = ["app"]


@app.command()
def parse(
    context: typer.Context, message_id: MessageArgument, *, tenant: TenantOption, json: JsonOption = False
) -> None:
    """Parse a mail at the provider, and show its new text without quoted mail.

    Examples:
      mailmesh messages parse AAMkAGI1 --tenant 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        request = contents.ParseMessageRequest(tenant_id=tenant, message_id=message_id)
        found = services.ContentServiceStub(opened).ParseMessage(request)
    show_mail(found.mail, json=json)


@app.command()
def extract(
    context: typer.Context,
    message_id: MessageArgument,
    attachment_id: Annotated[str, typer.Argument(metavar="ATTACHMENT", help="Its id; `messages get` shows it.")],
    *,
    tenant: TenantOption,
    json: JsonOption = False,
) -> None:
    """Read an attachment at the provider as a document.

    Examples:
      mailmesh messages extract AAMkAGI1 AAMkAGI2 --tenant 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        request = contents.ExtractAttachmentRequest(
            tenant_id=tenant, message_id=message_id, attachment_id=attachment_id
        )
        found = services.ContentServiceStub(opened).ExtractAttachment(request)
    show_document(found.document, json=json)
