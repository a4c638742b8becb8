"""`mailmesh conversations assign`, `link` and `timer`: who has a conversation, its relations, and its reminders."""

from typing import Annotated

import typer

from mailmesh.conversation.v1 import conversation_service_pb2 as messages
from mailmesh.conversation.v1 import conversation_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.conversations import ConversationArgument, VersionOption, app, show_conversation
from stack.cli.output import JsonOption, parse_time, print_json, print_table, when

__all__ = ["app"]


@app.command()
def assign(
    context: typer.Context,
    conversation: ConversationArgument,
    assignee: Annotated[str, typer.Argument(metavar="NAME", help="Person or team; empty means none.")],
    *,
    version: VersionOption,
    json: JsonOption = False,
) -> None:
    """Say who has a conversation.

    Examples:
      mailmesh conversations assign 019a9f0e-7c1e-7000-8000-00000000000c Kim --version 4
    """
    request = messages.AssignConversationRequest(
        conversation_id=conversation, expected_version=version, assignee=assignee
    )
    with channel(context) as opened:
        found = services.ConversationServiceStub(opened).AssignConversation(request).conversation
    show_conversation(found, json=json)


@app.command()
def link(
    context: typer.Context,
    conversation: ConversationArgument,
    *,
    to: Annotated[str, typer.Option("--to", metavar="CONVERSATION", help="Another conversation of the tenant.")] = "",
    record: Annotated[str, typer.Option("--record", help="Your name of your own record, such as a ticket.")] = "",
    version: VersionOption,
    json: JsonOption = False,
) -> None:
    """Relate a conversation to another one of any requester, or to a record of yours; no mail joins by it.

    Examples:
      mailmesh conversations link 019a9f0e-7c1e-7000-8000-00000000000c --record TICKET-4711 --version 4
    """
    request = messages.LinkConversationRequest(
        conversation_id=conversation, expected_version=version, to_conversation_id=to, external_ref=record
    )
    with channel(context) as opened:
        found = services.ConversationServiceStub(opened).LinkConversation(request).conversation
    show_conversation(found, json=json)


@app.command()
def timer(
    context: typer.Context,
    conversation: ConversationArgument,
    name: Annotated[str, typer.Option("--name", help="Your name of the timer; a second one replaces the first.")],
    *,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time, such as 2026-12-01T09:00:00Z; none deletes it.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Set a timer of a conversation, or delete it; at its time the stream has `conversation.timer_due`.

    Examples:
      mailmesh conversations timer 019a9f0e-7c1e-7000-8000-00000000000c --name first-answer --at 2026-12-01T09:00:00Z
    """
    request = messages.SetConversationTimerRequest(conversation_id=conversation, name=name, due_at=parse_time(at))
    with channel(context) as opened:
        found = services.ConversationServiceStub(opened).SetConversationTimer(request)
    if json:
        print_json(found)
        return
    print_table(
        ("TIMER", "DUE", "FAILURE"), [(one.name, when(one.due_at), one.reason) for one in found.timers], "No timer."
    )
