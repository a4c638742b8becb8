"""`mailmesh sends`: the mails that were to be sent, and their outcomes."""

from typing import Annotated

import typer

from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import send_service_pb2 as messages
from mailmesh.processor.v1 import send_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.output import (
    JsonOption,
    LimitOption,
    YesOption,
    confirm,
    enum_value,
    pages,
    print_json,
    print_record,
    print_table,
    when,
    word,
)

app = typer.Typer(no_args_is_help=True, help="List, cancel and resolve sends.")
STATE, RESOLUTION, BOUNCE = "SEND_STATE_", "SEND_RESOLUTION_", "BOUNCE_KIND_"
SendArgument = Annotated[str, typer.Argument(metavar="SEND", help="Id of the send; `sends list` shows it.")]


@app.command("list")
def list_sends(
    context: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="List only sends of this tenant.")] = "",
    state: Annotated[
        list[str] | None, typer.Option(help="List only sends in this state, such as uncertain; repeatable.")
    ] = None,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List sends, newest first.

    Examples:
      mailmesh sends list --state uncertain
    """
    states = [enum_value(messages.SendState, STATE, one) for one in state or ()]
    with channel(context) as opened:
        stub = services.SendServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.Send], str]:
            request = messages.ListSendsRequest(page_size=size, page_token=token, tenant_id=tenant, states=states)
            answer = stub.ListSends(request)
            return list(answer.sends), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("SEND", "TENANT", "STATE", "TO", "SUBJECT", "CREATED", "REASON"),
        [
            (one.send_id, one.tenant_id, state_of(one), _people(one), one.subject, when(one.created_at), one.reason)
            for one in found
        ],
        "There are no sends.",
    )


@app.command()
def identities(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")],
    *,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the addresses from which an account may send, as `send --from` takes them.

    Examples:
      mailmesh sends identities 019a9f0e-7c1e-7000-8000-000000000001
    """
    with channel(context) as opened:
        stub = services.SendServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.Identity], str]:
            answer = stub.ListIdentities(
                messages.ListIdentitiesRequest(tenant_id=tenant, page_size=size, page_token=token)
            )
            return list(answer.identities), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    rows = [(one.address, one.display_name, "yes" if one.is_primary else "") for one in found]
    print_table(("ADDRESS", "NAME", "PRIMARY"), rows, "The account names no address.")


@app.command()
def get(context: typer.Context, send_id: SendArgument, *, json: JsonOption = False) -> None:
    """Show a send and its outcome.

    Examples:
      mailmesh sends get 019a9f0e-7c1e-7000-8000-00000000000a
    """
    with channel(context) as opened:
        found = services.SendServiceStub(opened).GetSend(messages.GetSendRequest(send_id=send_id)).send
    print_send(found, json=json)


@app.command()
def cancel(context: typer.Context, send_id: SendArgument, *, json: JsonOption = False) -> None:
    """Cancel a send that is queued or scheduled.

    Examples:
      mailmesh sends cancel 019a9f0e-7c1e-7000-8000-00000000000a
    """
    with channel(context) as opened:
        found = services.SendServiceStub(opened).CancelSend(messages.CancelSendRequest(send_id=send_id)).send
    print_send(found, json=json)


@app.command()
def resolve(
    context: typer.Context,
    send_id: SendArgument,
    resolution: Annotated[str, typer.Argument(metavar="sent|send_again", help="The decision.")],
    *,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Decide about an uncertain send: it was sent, or is to be sent again.

    Examples:
      mailmesh sends resolve 019a9f0e-7c1e-7000-8000-00000000000a sent
      mailmesh sends resolve 019a9f0e-7c1e-7000-8000-00000000000a send_again --yes
    """
    chosen = enum_value(messages.SendResolution, RESOLUTION, resolution)
    if chosen == messages.SEND_RESOLUTION_SEND_AGAIN:
        confirm("Send the mail again? If it did arrive, its recipients get it twice.", yes=yes)
    request = messages.ResolveSendRequest(send_id=send_id, resolution=chosen)
    with channel(context) as opened:
        found = services.SendServiceStub(opened).ResolveSend(request).send
    print_send(found, json=json)


def print_send(found: messages.Send, *, json: bool) -> None:
    """Prints a send and its outcome."""
    if json:
        print_json(found)
        return
    record = [
        ("send", found.send_id),
        ("tenant", found.tenant_id),
        ("key", found.idempotency_key),
        ("state", state_of(found)),
        ("reason", f"{found.reason} {found.detail}".strip()),
        ("to", _people(found)),
        ("subject", found.subject),
        ("created", when(found.created_at)),
        ("send at", when(found.send_at)),
        ("finished", when(found.finished_at)),
        ("draft", found.draft_id if found.state == messages.SEND_STATE_DRAFTED else ""),
        ("message id", found.internet_message_id),
    ]
    print_record([(name, value) for name, value in [*record, *map(_report, found.reports)] if value])


def _report(found: messages.SendReport) -> tuple[str, str]:
    kind = "complaint" if found.is_complaint else f"{word(message_pb2.BounceKind.Name(found.bounce), BOUNCE)} bounce"
    return (kind, f"{found.recipient} {found.status} {found.diagnostic}".strip())


def state_of(found: messages.Send) -> str:
    """Returns the state of a send in small letters."""
    return word(messages.SendState.Name(found.state), STATE)


def _people(found: messages.Send) -> str:
    return ", ".join(one.address for one in (*found.to, *found.cc, *found.bcc))
