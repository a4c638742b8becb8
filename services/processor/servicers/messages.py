"""MessageService: callers act on mail here."""

from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.processor.v1 import message_service_pb2 as pb2
from mailmesh.processor.v1.message_service_pb2_grpc import MessageServiceServicer as Base
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.processor.messages.requests import Modifications
from services.processor.messages.rows import ModificationRow
from services.processor.stream.filter import scope_of

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class MessageServicer(Base):
    """Answers MessageService.

    Args:
        modifications: The use cases of modifications.
    """

    def __init__(self, modifications: Modifications) -> None:
        self._modifications = modifications

    @override
    async def ModifyMessages(
        self, request: pb2.ModifyMessagesRequest, context: "Context"
    ) -> pb2.ModifyMessagesResponse:
        """Commit a modification."""
        request.tenant_id = check_id("tenant_id", request.tenant_id)
        is_in_scope = current_caller().may_see(request.tenant_id)
        row, was_known = await self._modifications.accept(request, is_in_scope=is_in_scope)
        return pb2.ModifyMessagesResponse(modification=message_of(row), was_known=was_known)

    @override
    async def GetModification(
        self, request: pb2.GetModificationRequest, context: "Context"
    ) -> pb2.GetModificationResponse:
        """Return one modification."""
        modification_id = check_id("modification_id", request.modification_id)
        row = await self._modifications.get(modification_id, scope_of(current_caller()))
        return pb2.GetModificationResponse(modification=message_of(row))


def message_of(row: ModificationRow) -> pb2.Modification:
    """Return a modification in the form of the contract."""
    pairs = zip(row.content.message_ids, row.outcomes, strict=True)
    message = pb2.Modification(
        modification_id=row.modification_id,
        tenant_id=row.tenant_id,
        provider=row.provider,
        idempotency_key=row.idempotency_key,
        state=int(row.state),  # type: ignore[arg-type]
        reason=row.reason,
        detail=row.detail,
        change=row.content.change,
        messages=[pb2.ModifiedMessage(message_id=one, outcome=outcome) for one, outcome in pairs],  # type: ignore[arg-type]
        attempts=row.attempts,
    )
    message.created_at.FromDatetime(row.created_at)
    if row.finished_at is not None:
        message.finished_at.FromDatetime(row.finished_at)
    return message
