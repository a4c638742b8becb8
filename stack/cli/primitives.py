"""`mailmesh primitives`: files of one's own, read as the mesh reads them."""

import sys
from pathlib import Path
from typing import Annotated, Any

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
    content = read_file(file)
    with channel(context) as opened:
        parsed = services.PrimitiveServiceStub(opened).ParseMail(messages.ParseMailRequest(content=content))
    show_mail(parsed, json=json)


def show_mail(parsed: messages.ParseMailResponse, *, json: bool) -> None:
    """Prints a parsed mail."""
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
    request = messages.ExtractDocumentRequest(content=read_file(file), file_name=Path(file).name)
    with channel(context) as opened:
        found = services.PrimitiveServiceStub(opened).ExtractDocument(request)
    show_document(found, json=json)


def show_document(found: messages.ExtractDocumentResponse, *, json: bool) -> None:
    """Prints what was read of a document."""
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


@app.command("classify")
def classify(
    context: typer.Context,
    file: FileArgument,
    label: Annotated[
        list[str],
        typer.Option(metavar="NAME[=EXAMPLE]", help="A label and a text that has it; repeat it for each example."),
    ],
    *,
    subject: Annotated[str, typer.Option(help="The mail's subject.")] = "",
    json: JsonOption = False,
) -> None:
    """Classify the text of a mail by the nearest of your labels.

    Examples:
      mailmesh primitives classify text.txt --label "bill=Our invoice is attached." --label "end=Please cancel."
      mailmesh primitives classify - --subject "Your offer" --label offer --label complaint --json
    """
    request = messages.ClassifyMessageRequest(subject=subject, text=read_file(file).decode(errors="replace"))
    request.labels.extend(labels_of(label))
    with channel(context) as opened:
        found = services.PrimitiveServiceStub(opened).ClassifyMessage(request)
    if json:
        print_json(found)
        return
    scores = ", ".join(f"{score.label} {score.score:.3f}" for score in found.scores)
    print_record({"label": found.label, "margin": f"{found.margin:.3f}", "scores": scores}.items())


@app.command("fields")
def fields(
    context: typer.Context,
    file: FileArgument,
    field: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FORMAT", help="A value to find: date, email, uri, iban, phone, amount, identifier, text."
        ),
    ],
    *,
    json: JsonOption = False,
) -> None:
    """Find values in a text, by their formats and by the labels before them.

    Examples:
      mailmesh primitives fields text.txt --field orderNumber=identifier --field total=amount --field due=date
    """
    request = messages.ExtractFieldsRequest(text=read_file(file).decode(errors="replace"))
    request.schema.update(schema_of(field))
    with channel(context) as opened:
        found = services.PrimitiveServiceStub(opened).ExtractFields(request)
    if json:
        print_json(found)
        return
    print_record((one.name, ", ".join(value.value for value in one.values)) for one in found.fields)


def schema_of(options: list[str]) -> dict[str, Any]:
    """Returns the JSON schema of options such as "total=amount"."""
    pairs = [option.partition("=") for option in options]
    properties = {name: {} if kind in ("", "text") else {"format": kind} for name, _, kind in pairs}
    return {"type": "object", "properties": properties}


def labels_of(options: list[str]) -> list[messages.ClassifyLabel]:
    """Returns the labels of options such as "bill=The amount is wrong.", with the examples of equal names together."""
    labels: dict[str, list[str]] = {}
    for option in options:
        name, has_example, example = option.partition("=")
        labels.setdefault(name, []).extend([example] if has_example else [])
    return [messages.ClassifyLabel(name=name, examples=examples) for name, examples in labels.items()]


def _address(address: message_pb2.Address) -> str:
    return f"{address.name} <{address.address}>" if address.name else address.address


def read_file(file: str) -> bytes:
    """Returns the content of a file, or of standard input. Raises `CommandError`."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as exc:
        raise CommandError(f"{file} cannot be read: {exc.strerror}") from exc
    if not content:
        raise CommandError(f"{file} is empty")
    return content
