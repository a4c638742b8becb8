"""MessageService: callers act on mail here."""

from typing import TYPE_CHECKING, Any

import grpc
from google.api.httpbody_pb2 import HttpBody
from typing_extensions import override

from mailmesh.processor.v1 import message_service_pb2 as pb2
from mailmesh.processor.v1.message_service_pb2_grpc import MessageServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.processor.messages.content import ID_CHARACTERS, check_text
from services.processor.messages.reading.download import Download
from services.processor.messages.reading.names import disposition
from services.processor.messages.reading.reads import Place, Reads
from services.processor.messages.requests import Modifications
from services.processor.messages.rows import ModificationRow
from services.processor.stream.filter import scope_of

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
_ATTACHMENT_CHARACTERS = 1000


class MessageServicer(Base):
    """Answers MessageService.

    Args:
        modifications: The use cases of modifications.
        reads: The use cases of reads.
    """

    def __init__(self, modifications: Modifications, reads: Reads) -> None:
        self._modifications = modifications
        self._reads = reads

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

    @override
    async def GetMessage(self, request: pb2.GetMessageRequest, context: "Context") -> pb2.GetMessageResponse:
        """Fetch one mail."""
        provider, mail = await self._reads.message(_place(request))
        raw = mail.raw if request.include_raw else None
        return pb2.GetMessageResponse(provider=provider, version=mail.version, message=mail.message, raw=raw)

    @override
    async def GetRawMessage(self, request: pb2.GetRawMessageRequest, context: "Context") -> None:  # type: ignore[override]
        """Stream one mail in MIME."""
        async with self._reads.raw(_place(request), _offset(request.offset)) as download:
            await _send(download, context)

    @override
    async def GetAttachment(self, request: pb2.GetAttachmentRequest, context: "Context") -> None:  # type: ignore[override]
        """Stream the content of one attachment."""
        place, offset = _place(request), _offset(request.offset)
        check_text("attachment_id", request.attachment_id, _ATTACHMENT_CHARACTERS)
        async with self._reads.attachment(place, request.attachment_id, offset) as download:
            await _send(download, context)


async def _send(download: Download, context: "Context") -> None:
    """Send content; the headers go out with the first bytes, so that a failure before them has its status."""
    pieces = aiter(download.pieces)
    first = await anext(pieces, b"")
    headers = [("content-disposition", disposition(download.name))]
    if download.size is not None:
        headers.append(("x-content-size", str(download.size)))
    await context.send_initial_metadata(tuple(headers))
    await context.write(HttpBody(content_type=download.media_type, data=first))
    async for piece in pieces:
        await context.write(HttpBody(content_type=download.media_type, data=piece))


def _place(request: pb2.GetMessageRequest | pb2.GetRawMessageRequest | pb2.GetAttachmentRequest) -> Place:
    tenant_id = check_id("tenant_id", request.tenant_id)
    check_text("message_id", request.message_id, ID_CHARACTERS)
    return Place(tenant_id, request.message_id, current_caller().may_see(tenant_id))


def _offset(offset: int) -> int:
    if offset < 0:
        raise FieldInvalid.of("offset", "must not be negative")
    return offset


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
