"""`mailmesh conversations`: conversations with customers."""

from typing import Annotated

import typer

from mailmesh.conversation.v1 import conversation_pb2
from mailmesh.conversation.v1 import conversation_service_pb2 as messages
from mailmesh.conversation.v1 import conversation_service_pb2_grpc as services
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

app = typer.Typer(no_args_is_help=True, help="Read conversations with customers, and change them.")
STATE, SIDE, DIRECTION, AUTHOR, JOIN = "CONVERSATION_STATE_", "SIDE_", "DIRECTION_", "AUTHOR_", "JOIN_REASON_"
ConversationArgument = Annotated[
    str, typer.Argument(metavar="CONVERSATION", help="Id of the conversation; `conversations list` shows it.")
]
TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")]
NameOption = Annotated[str, typer.Option("--name", help="Name of the person who answers.")]
VersionOption = Annotated[int, typer.Option("--version", min=1, help="Version that you have seen; `get` shows it.")]


@app.command("list")
def list_conversations(
    context: typer.Context, tenant: TenantArgument, *, limit: LimitOption = 100, json: JsonOption = False
) -> None:
    """List the conversations of a tenant, the newest first.

    Examples:
      mailmesh conversations list 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        stub = services.ConversationServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[conversation_pb2.Conversation], str]:
            request = messages.ListConversationsRequest(tenant_id=tenant, page_size=size, page_token=token)
            answer = stub.ListConversations(request)
            return list(answer.conversations), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("CONVERSATION", "REQUESTER", "STATE", "WAITING ON", "LAST MESSAGE", "SUBJECT"),
        [
            (one.conversation_id, one.requester, _state(one), _side(one), when(one.last_message_at), one.subject)
            for one in found
        ],
        "The tenant has no conversations.",
    )


@app.command()
def get(context: typer.Context, conversation: ConversationArgument, *, json: JsonOption = False) -> None:
    """Show a conversation.

    Examples:
      mailmesh conversations get 019a9f0e-7c1e-7000-8000-00000000000c
    """
    with channel(context) as opened:
        request = messages.GetConversationRequest(conversation_id=conversation)
        found = services.ConversationServiceStub(opened).GetConversation(request).conversation
    show_conversation(found, json=json)


@app.command("messages")
def list_messages(
    context: typer.Context, conversation: ConversationArgument, *, limit: LimitOption = 100, json: JsonOption = False
) -> None:
    """List the messages of a conversation, and why each is in it.

    Examples:
      mailmesh conversations messages 019a9f0e-7c1e-7000-8000-00000000000c
    """
    with channel(context) as opened:
        stub = services.ConversationServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[conversation_pb2.ConversationMessage], str]:
            request = messages.ListConversationMessagesRequest(
                conversation_id=conversation, page_size=size, page_token=token
            )
            answer = stub.ListConversationMessages(request)
            return list(answer.messages), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("MESSAGE", "AT", "SENDER", "DIRECTION", "AUTHOR", "JOINED BY", "TRIED"),
        [_message(one) for one in found],
        "The conversation has no messages.",
    )


@app.command("set-state")
def set_state(
    context: typer.Context,
    conversation: ConversationArgument,
    state: Annotated[
        str, typer.Argument(metavar="STATE", help="One of open, pending, solved, closed; closed is final.")
    ],
    *,
    version: VersionOption,
    json: JsonOption = False,
) -> None:
    """Open, solve or close a conversation.

    Examples:
      mailmesh conversations set-state 019a9f0e-7c1e-7000-8000-00000000000c solved --version 4
    """
    wanted = enum_value(conversation_pb2.ConversationState, STATE, state)
    with channel(context) as opened:
        request = messages.SetConversationStateRequest(
            conversation_id=conversation,
            expected_version=version,
            state=wanted,
        )
        found = services.ConversationServiceStub(opened).SetConversationState(request).conversation
    show_conversation(found, json=json)


@app.command()
def merge(
    context: typer.Context,
    conversation: ConversationArgument,
    into: Annotated[str, typer.Argument(metavar="INTO", help="Id of the conversation that later replies join.")],
    *,
    version: VersionOption,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Merge a conversation into another one of the same requester; this cannot be undone.

    Examples:
      mailmesh conversations merge 019a9f0e-7c1e-7000-8000-00000000000c 019a9f0e-7c1e-7000-8000-00000000000d --version 4
    """
    confirm(f"Merge conversation {conversation} into {into}?", yes=yes)
    with channel(context) as opened:
        request = messages.MergeConversationRequest(
            conversation_id=conversation, expected_version=version, into_conversation_id=into
        )
        found = services.ConversationServiceStub(opened).MergeConversation(request).conversation
    show_conversation(found, json=json)


@app.command()
def split(
    context: typer.Context,
    conversation: ConversationArgument,
    message: Annotated[list[str], typer.Option("--message", help="Provider's id of a message to move; repeatable.")],
    *,
    version: VersionOption,
    json: JsonOption = False,
) -> None:
    """Move messages into a new conversation.

    Examples:
      mailmesh conversations split 019a9f0e-7c1e-7000-8000-00000000000c --message AAMkAGI2 --version 4
    """
    with channel(context) as opened:
        request = messages.SplitConversationRequest(
            conversation_id=conversation, expected_version=version, message_ids=message
        )
        found = services.ConversationServiceStub(opened).SplitConversation(request).new_conversation
    show_conversation(found, json=json)


@app.command()
def claim(
    context: typer.Context, conversation: ConversationArgument, name: NameOption, *, json: JsonOption = False
) -> None:
    """Say who answers a conversation, so that others wait; it ends by itself.

    Examples:
      mailmesh conversations claim 019a9f0e-7c1e-7000-8000-00000000000c --name Kim
    """
    with channel(context) as opened:
        request = messages.ClaimConversationRequest(conversation_id=conversation, name=name)
        found = services.ConversationServiceStub(opened).ClaimConversation(request).conversation
    show_conversation(found, json=json)


@app.command()
def release(
    context: typer.Context, conversation: ConversationArgument, name: NameOption, *, json: JsonOption = False
) -> None:
    """End a claim of a conversation.

    Examples:
      mailmesh conversations release 019a9f0e-7c1e-7000-8000-00000000000c --name Kim
    """
    with channel(context) as opened:
        request = messages.ReleaseConversationRequest(conversation_id=conversation, name=name)
        found = services.ConversationServiceStub(opened).ReleaseConversation(request).conversation
    show_conversation(found, json=json)


@app.command("original-sender")
def original_sender(
    context: typer.Context,
    conversation: ConversationArgument,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Address of the customer.")],
    *,
    version: VersionOption,
    json: JsonOption = False,
) -> None:
    """Name the customer of a mail that an agent has forwarded, before the first answer.

    Examples:
      mailmesh conversations original-sender 019a9f0e-7c1e-7000-8000-00000000000c ada@example.com --version 1
    """
    with channel(context) as opened:
        request = messages.SetOriginalSenderRequest(
            conversation_id=conversation, expected_version=version, address=address
        )
        found = services.ConversationServiceStub(opened).SetOriginalSender(request).conversation
    show_conversation(found, json=json)


def show_conversation(one: conversation_pb2.Conversation, *, json: bool) -> None:
    """Prints a conversation."""
    if json:
        print_json(one)
        return
    print_record(
        [
            ("Conversation", one.conversation_id),
            ("Requester", one.requester),
            ("Participants", ", ".join(person.address for person in one.participants)),
            ("Subject", one.subject),
            ("State", _state(one)),
            ("Version", str(one.version)),
            ("Waiting on", _side(one)),
            ("Assignee", one.assignee),
            ("Last message", f"{when(one.last_message_at)} {one.last_message_id}"),
            ("Merged into", one.merged_into),
            ("Follow-up of", one.follow_up_of),
            ("Split from", one.split_from),
            ("Linked to", one.linked_to),
            ("Quarantined", "yes" if one.is_quarantined else ""),
        ]
    )


def _message(one: conversation_pb2.ConversationMessage) -> tuple[str, ...]:
    tried = ", ".join(f"{attempt.conversation_id} {attempt.refusal}" for attempt in one.attempts if attempt.refusal)
    return (
        one.message_id,
        when(one.at),
        one.sender,
        word(conversation_pb2.Direction.Name(one.direction), DIRECTION),
        word(conversation_pb2.Author.Name(one.author), AUTHOR),
        word(conversation_pb2.JoinReason.Name(one.joined_by), JOIN),
        tried,
    )


def _state(one: conversation_pb2.Conversation) -> str:
    return word(conversation_pb2.ConversationState.Name(one.state), STATE)


def _side(one: conversation_pb2.Conversation) -> str:
    return word(conversation_pb2.Side.Name(one.waiting_on), SIDE)
