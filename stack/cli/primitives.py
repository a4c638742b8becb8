"""`mailmesh primitives`: files of one's own, read as the mesh reads them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mailmesh.mail.v1 import message_pb2
from mailmesh.primitives.v1 import primitive_service_pb2 as messages
from mailmesh.primitives.v1 import primitive_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.exits import CommandError
from stack.cli.output import JsonOption, print_json, print_record

app = typer.Typer(no_args_is_help=True, help="Read mails and documents that you have as files.")
FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="The file; - reads standard input.")]


@app.command("parse")
def parse(context: typer.Context, file: FileArgument, *, json: JsonOption = False) -> None:
    """Parse a mail in MIME, and show its new text without quoted mail.

    Examples:
      mailmesh primitives parse mail.eml
      mailmesh primitives parse mail.eml --json
    """
    content = _read(file)
    with channel(context) as opened:
        parsed = services.PrimitiveServiceStub(opened).ParseMail(messages.ParseMailRequest(content=content))
    if json:
        print_json(parsed)
        return
    mail = parsed.message
    print_record(
        {
            "from": _address(mail.from_address),
            "to": ", ".join(map(_address, mail.to)),
            "cc": ", ".join(map(_address, mail.cc)),
            "subject": mail.subject,
            "sent": mail.sent_at.ToJsonString() if mail.HasField("sent_at") else "",
            "attachments": ", ".join(
                f"{found.name or found.content_type} ({found.size_bytes})" for found in mail.attachments
            ),
            "faults": ", ".join(parsed.faults),
            "text": mail.body.reply_text,
        }.items()
    )


@app.command("extract")
def extract(context: typer.Context, file: FileArgument, *, json: JsonOption = False) -> None:
    """Read a document: its text, and what a reader should know of it.

    Examples:
      mailmesh primitives extract offer.pdf
      mailmesh primitives extract prices.xlsx --json
    """
    request = messages.ExtractDocumentRequest(content=_read(file), file_name=Path(file).name)
    with channel(context) as opened:
        found = services.PrimitiveServiceStub(opened).ExtractDocument(request)
    if json:
        print_json(found)
        return
    print_record(
        {
            "format": found.format,
            **{name: found.metadata[name] for name in sorted(found.metadata)},
            "flags": ", ".join(found.flags),
            "pages": str(len(found.pages) or ""),
            "tables": str(len(found.tables) or ""),
            "parts": ", ".join(part.name + (f" ({part.fault})" if part.fault else "") for part in found.parts),
            "text": found.text,
        }.items()
    )


def _address(address: message_pb2.Address) -> str:
    return f"{address.name} <{address.address}>" if address.name else address.address


def _read(file: str) -> bytes:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as exc:
        raise CommandError(f"{file} cannot be read: {exc.strerror}") from exc
    if not content:
        raise CommandError(f"{file} is empty")
    return content
