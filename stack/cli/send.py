"""`mailmesh send`: send a mail from a connected account, answer one, or forward one."""

import mimetypes
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from mailmesh.processor.v1 import send_service_pb2 as messages
from mailmesh.processor.v1 import send_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.exits import CommandError
from stack.cli.output import JsonOption, console, parse_time, show_aside
from stack.cli.sends import print_send, state_of

Written: TypeAlias = messages.NewMail | messages.Reply | messages.Forward
WAIT_STEP_SECONDS = 0.5
PART_BYTES = 512 * 1024
UNFINISHED = (messages.SEND_STATE_QUEUED, messages.SEND_STATE_SENDING)
OriginalOption = Annotated[
    str, typer.Option(metavar="MESSAGE", help="Answer this mail, to its author; `events list` shows its message id.")
]
RecipientOption = Annotated[list[str] | None, typer.Option(metavar="ADDRESS", help="Recipient; repeatable.")]
CopyOption = Annotated[list[str] | None, typer.Option(metavar="ADDRESS", help="Recipient of a copy; repeatable.")]
BlindCopyOption = Annotated[
    list[str] | None, typer.Option(metavar="ADDRESS", help="Recipient of a copy that no other one sees; repeatable.")
]


def send(
    context: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="Id of the tenant whose account sends; `tenants list` shows it.")],
    to: RecipientOption = None,
    sender: Annotated[str, typer.Option("--from", metavar="ADDRESS", help="Verified address of the account.")] = "",
    cc: CopyOption = None,
    bcc: BlindCopyOption = None,
    subject: Annotated[str, typer.Option(help="Subject of the mail.")] = "",
    text: Annotated[str, typer.Option(help="Body as plain text; - reads standard input.")] = "",
    reply: OriginalOption = "",
    reply_all: Annotated[
        str, typer.Option(metavar="MESSAGE", help="Answer this mail, to its author and its other recipients.")
    ] = "",
    conversation: Annotated[
        str,
        typer.Option(
            metavar="CONVERSATION", help="Answer in this conversation, unless it has changed; needs --version."
        ),
    ] = "",
    version: Annotated[
        int, typer.Option(min=0, help="Version of the conversation that you have seen; `conversations get` shows it.")
    ] = 0,
    forward: Annotated[str, typer.Option(metavar="MESSAGE", help="Forward this mail with its attachments.")] = "",
    html_file: Annotated[Path | None, typer.Option(metavar="FILE", help="File with the body as HTML, UTF-8.")] = None,
    attach: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="File to attach; repeatable.")] = None,
    attach_received: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MESSAGE:ATTACHMENT",
            help="Attachment of a mail of the account, by the ids that `messages get` shows; repeatable.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Header field of your own, X-...; repeatable.")
    ] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Keep the mail as a draft; do not send it.")] = False,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="Send at this time, RFC 3339. [default: now]")] = None,
    key: Annotated[
        str,
        typer.Option(help="Idempotency key: repeating the command with it sends no second mail. [default: a new one]"),
    ] = "",
    wait: Annotated[float, typer.Option(min=0, max=600, help="Seconds to wait for the outcome.")] = 0.0,
    json: JsonOption = False,
) -> None:
    """Send a mail from a connected account, answer one, or forward one.

    The mesh commits the send and returns; a worker sends it. With --wait the command waits for the outcome.

    Examples:
      mailmesh send --tenant 019a9f0e-7c1e-7000-8000-000000000002 --to ada@example.com --subject Offer --text "30 euros"
      mailmesh send --tenant 019a9f0e-7c1e-7000-8000-000000000002 --to ada@example.com --text - --key order-17 --wait 60
      mailmesh send --tenant 019a9f0e-7c1e-7000-8000-000000000002 --reply AAMkAGI1AAA= --text Gladly. --draft
    """
    if at is not None and at[:-1].isdecimal():
        raise typer.BadParameter("--at takes a time as RFC 3339 has it: a span would lie in the past")
    originals = {"reply": reply, "reply_all": reply_all, "forward": forward}
    request = messages.SendRequest(tenant_id=tenant, send_at=parse_time(at), is_draft_only=draft)
    written = _written(request, {name: original for name, original in originals.items() if original}, subject)
    written.text, written.html = _standard_input() if text == "-" else text, _read(html_file)
    _address(written, {"to": to or (), "cc": cc or (), "bcc": bcc or ()})
    if conversation or version:
        if not isinstance(written, messages.Reply):
            raise typer.BadParameter("--conversation and --version belong to --reply or --reply-all")
        written.conversation_id, written.expected_version = conversation, version
    if sender:
        request.from_address.address = sender
    for field in header or ():
        name, _, value = field.partition("=")
        request.headers.add(name=name.strip(), value=value.strip())
    request.attachments.extend(_received(source) for source in attach_received or ())
    if not key:
        key = str(uuid.uuid4())
        # Before the call: repeating a call that failed after the commit takes this key.
        show_aside(f"idempotency key: {key}")
    request.idempotency_key = key
    with channel(context) as opened:
        stub = services.SendServiceStub(opened)
        request.attachments.extend(
            messages.SendAttachment(upload_id=_uploaded(stub, tenant, file)) for file in attach or ()
        )
        accepted = stub.Send(request)
        found = _outcome(stub, accepted.send, wait) if wait else accepted.send
    print_send(found, json=json)
    if found.state in (messages.SEND_STATE_FAILED, messages.SEND_STATE_UNCERTAIN):
        raise CommandError(f"the send is {state_of(found)}: {found.reason} {found.detail}".rstrip())


def _written(request: messages.SendRequest, originals: dict[str, str], subject: str) -> Written:
    """Return the part of a request that has the texts, of the kind that the options choose."""
    if len(originals) > 1 or (originals and subject):
        raise typer.BadParameter("choose one of --reply, --reply-all, --forward and --subject")
    if not originals:
        request.mail.subject = subject
        return request.mail
    ((kind, original),) = originals.items()
    if kind == "forward":
        request.forward.message_id = original
        return request.forward
    request.reply.message_id, request.reply.to_all = original, kind == "reply_all"
    return request.reply


def _address(written: Written, people: dict[str, Sequence[str]]) -> None:
    """Add the recipients; those of an answer come from the mail that is answered."""
    if isinstance(written, messages.Reply):
        if any(people.values()):
            raise typer.BadParameter("the recipients of an answer come from the mail that is answered")
        return
    for name, addresses in people.items():
        getattr(written, name).extend(messages.Recipient(address=address) for address in addresses)


def _received(source: str) -> messages.SendAttachment:
    """Returns a received attachment as the contract names it. No id of a message or an attachment has a colon."""
    message, _, attachment = source.partition(":")
    if not message or not attachment:
        raise typer.BadParameter("--attach-received takes MESSAGE:ATTACHMENT")
    return messages.SendAttachment(received=messages.ReceivedAttachment(message_id=message, attachment_id=attachment))


def _uploaded(stub: services.SendServiceStub, tenant: str, file: Path) -> str:
    """Upload a file in parts and return its id."""
    try:
        content = file.read_bytes()
    except OSError as exc:
        raise typer.BadParameter(f"{file} cannot be read: {exc}") from exc
    kind = (mimetypes.guess_type(file.name)[0] or "application/octet-stream").lower()
    request = messages.UploadAttachmentRequest(
        tenant_id=tenant, name=file.name, content_type=kind, size_bytes=len(content)
    )
    for start in range(0, max(1, len(content)), PART_BYTES):
        request.start_byte, request.content = start, content[start : start + PART_BYTES]
        request.upload_id = stub.UploadAttachment(request).upload.upload_id
    return request.upload_id


def _outcome(stub: services.SendServiceStub, found: messages.Send, seconds: float) -> messages.Send:
    """Wait for the outcome, at most so long; return the send as it is then."""
    deadline = time.monotonic() + seconds
    with console.status("Waiting for the outcome"):
        while found.state in UNFINISHED and time.monotonic() < deadline:
            time.sleep(WAIT_STEP_SECONDS)
            found = stub.GetSend(messages.GetSendRequest(send_id=found.send_id)).send
    return found


def _read(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise typer.BadParameter(f"{file} cannot be read as UTF-8: {exc}") from exc


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as exc:
        raise typer.BadParameter(f"standard input is not UTF-8: {exc}") from exc
