"""ConversationService: callers read and change conversations here."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.conversation.v1 import conversation_pb2
from mailmesh.conversation.v1 import conversation_service_pb2 as pb2
from mailmesh.conversation.v1.conversation_service_pb2_grpc import ConversationServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.meshkit.pages import PageTokens, Position, is_row_id, is_time, page_size
from services.meshkit.text import check_name
from services.processor.conversations.kinship import moment
from services.processor.conversations.requests import Actor, Conversations
from services.processor.conversations.setting_checks import checked_settings
from services.processor.conversations.timers import Timers, time_of
from services.processor.stream.filter import scope_of

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

_SETTABLE = (
    conversation_pb2.CONVERSATION_STATE_OPEN,
    conversation_pb2.CONVERSATION_STATE_PENDING,
    conversation_pb2.CONVERSATION_STATE_SOLVED,
    conversation_pb2.CONVERSATION_STATE_CLOSED,
)
_NAME_CHARACTERS = 200
_TIMER = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_ID_CHARACTERS = 500
_MAX_STATES = 10
_MAX_MOVED = 100


class ConversationServicer(Base):
    """Answers ConversationService.

    Args:
        conversations: The use cases.
        timers: The use cases of timers.
    """

    def __init__(self, conversations: Conversations, timers: Timers) -> None:
        self._conversations = conversations
        self._timers = timers
        self._tokens = PageTokens(columns=(is_time, is_row_id))
        self._message_tokens = PageTokens(columns=(is_time, _is_message_id))

    @override
    async def GetConversation(
        self, request: pb2.GetConversationRequest, context: "Context"
    ) -> pb2.GetConversationResponse:
        """Return a conversation."""
        found = await self._conversations.get(_id(request), _actor())
        return pb2.GetConversationResponse(conversation=found, timers=await self._timers.of(found))

    @override
    async def ListConversations(
        self, request: pb2.ListConversationsRequest, context: "Context"
    ) -> pb2.ListConversationsResponse:
        """Return a page of a tenant's conversations."""
        tenant_id, size = check_id("tenant_id", request.tenant_id), page_size(request.page_size)
        if len(request.states) > _MAX_STATES:
            raise FieldInvalid.of("states", f"must not have more than {_MAX_STATES} values")
        before = _place(self._tokens.read(request))
        found = await self._conversations.page(tenant_id, list(request.states), before, size + 1, _actor())
        last = found[size - 1] if len(found) > size else None
        position = None if last is None else [moment(last.last_message_at).isoformat(), last.conversation_id]
        token = self._tokens.write(request, position)  # type: ignore[arg-type] # texts are among its values
        return pb2.ListConversationsResponse(conversations=found[:size], next_page_token=token)

    @override
    async def ListConversationMessages(
        self, request: pb2.ListConversationMessagesRequest, context: "Context"
    ) -> pb2.ListConversationMessagesResponse:
        """Return a page of a conversation's messages."""
        identity, size = _id(request), page_size(request.page_size)
        after = _place(self._message_tokens.read(request))
        found = await self._conversations.messages(identity, after, size + 1, _actor())
        last = found[size - 1] if len(found) > size else None
        position = None if last is None else [moment(last.at).isoformat(), last.message_id]
        token = self._message_tokens.write(request, position)  # type: ignore[arg-type] # texts are among its values
        return pb2.ListConversationMessagesResponse(messages=found[:size], next_page_token=token)

    @override
    async def SetConversationState(
        self, request: pb2.SetConversationStateRequest, context: "Context"
    ) -> pb2.SetConversationStateResponse:
        """Set the state of a conversation."""
        if request.state not in _SETTABLE:
            raise FieldInvalid.of("state", "must be OPEN, PENDING, SOLVED or CLOSED")
        made = await self._conversations.set_state(_id(request), _version(request), request.state, _actor())
        return pb2.SetConversationStateResponse(conversation=made)

    @override
    async def MergeConversation(
        self, request: pb2.MergeConversationRequest, context: "Context"
    ) -> pb2.MergeConversationResponse:
        """Merge a conversation into another one."""
        into = check_id("into_conversation_id", request.into_conversation_id)
        made = await self._conversations.merge(_id(request), _version(request), into, _actor())
        return pb2.MergeConversationResponse(conversation=made)

    @override
    async def LinkConversation(
        self, request: pb2.LinkConversationRequest, context: "Context"
    ) -> pb2.LinkConversationResponse:
        """Relate a conversation to another one, or to the caller's record."""
        check_name("external_ref", request.external_ref, _NAME_CHARACTERS)
        to = check_id("to_conversation_id", request.to_conversation_id) if request.to_conversation_id else ""
        if not (to or request.external_ref):
            raise FieldInvalid.of("to_conversation_id", "or external_ref is required")
        made = await self._conversations.link(_id(request), _version(request), to, request.external_ref, _actor())
        return pb2.LinkConversationResponse(conversation=made)

    @override
    async def SplitConversation(
        self, request: pb2.SplitConversationRequest, context: "Context"
    ) -> pb2.SplitConversationResponse:
        """Move messages into a new conversation."""
        ids = list(request.message_ids)
        if not 0 < len(ids) <= _MAX_MOVED or not all(_is_message_id(one) for one in ids):
            raise FieldInvalid.of("message_ids", f"must have 1 to {_MAX_MOVED} ids")
        old, made = await self._conversations.split(_id(request), _version(request), ids, _actor())
        return pb2.SplitConversationResponse(conversation=old, new_conversation=made)

    @override
    async def ClaimConversation(
        self, request: pb2.ClaimConversationRequest, context: "Context"
    ) -> pb2.ClaimConversationResponse:
        """Claim a conversation."""
        check_name("name", request.name, _NAME_CHARACTERS, least=1)
        made = await self._conversations.claim(_id(request), request.name, _actor())
        return pb2.ClaimConversationResponse(conversation=made)

    @override
    async def ReleaseConversation(
        self, request: pb2.ReleaseConversationRequest, context: "Context"
    ) -> pb2.ReleaseConversationResponse:
        """End a claim."""
        check_name("name", request.name, _NAME_CHARACTERS, least=1)
        made = await self._conversations.release(_id(request), request.name, _actor())
        return pb2.ReleaseConversationResponse(conversation=made)

    @override
    async def AssignConversation(
        self, request: pb2.AssignConversationRequest, context: "Context"
    ) -> pb2.AssignConversationResponse:
        """Name who has a conversation."""
        check_name("assignee", request.assignee, _NAME_CHARACTERS)
        made = await self._conversations.assign(_id(request), _version(request), request.assignee, _actor())
        return pb2.AssignConversationResponse(conversation=made)

    @override
    async def SetConversationTimer(
        self, request: pb2.SetConversationTimerRequest, context: "Context"
    ) -> pb2.SetConversationTimerResponse:
        """Set or delete a timer."""
        if not _TIMER.fullmatch(request.name):
            raise FieldInvalid.of("name", "must have 1 to 100 of the characters A-Z a-z 0-9 . _ : -")
        due_at = time_of(request.due_at) if request.HasField("due_at") else None
        timers = await self._timers.set(_id(request), request.name, due_at, _actor())
        return pb2.SetConversationTimerResponse(timers=timers)

    @override
    async def SetOriginalSender(
        self, request: pb2.SetOriginalSenderRequest, context: "Context"
    ) -> pb2.SetOriginalSenderResponse:
        """Name the customer of a forwarded mail."""
        made = await self._conversations.set_original_sender(_id(request), _version(request), request.address, _actor())
        return pb2.SetOriginalSenderResponse(conversation=made)

    @override
    async def GetConversationSettings(
        self, request: pb2.GetConversationSettingsRequest, context: "Context"
    ) -> pb2.GetConversationSettingsResponse:
        """Return a tenant's settings."""
        found = await self._conversations.settings(check_id("tenant_id", request.tenant_id), _actor())
        return pb2.GetConversationSettingsResponse(settings=found)

    @override
    async def UpdateConversationSettings(
        self, request: pb2.UpdateConversationSettingsRequest, context: "Context"
    ) -> pb2.UpdateConversationSettingsResponse:
        """Replace a tenant's settings."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        if not request.HasField("settings"):
            raise FieldInvalid.of("settings", "is required")
        made = await self._conversations.update_settings(tenant_id, checked_settings(request.settings), _actor())
        return pb2.UpdateConversationSettingsResponse(settings=made)


def _actor() -> Actor:
    caller = current_caller()
    return Actor(caller.key_id, scope_of(caller))


def _id(request: Any) -> str:
    return check_id("conversation_id", request.conversation_id)


def _version(request: Any) -> int:
    if request.expected_version < 1:
        raise FieldInvalid.of("expected_version", "must be the version that the caller has seen")
    return int(request.expected_version)


def _is_message_id(value: str | int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _ID_CHARACTERS and "\0" not in value


def _place(position: Position | None) -> tuple[datetime, str] | None:
    if position is None:
        return None
    return datetime.fromisoformat(str(position[0])).astimezone(UTC), str(position[1])
