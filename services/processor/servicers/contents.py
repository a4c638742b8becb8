"""ContentService: callers let a mail or an attachment at the provider be read as Primitives reads what they hand in."""

from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.processor.v1 import content_service_pb2 as pb2
from mailmesh.processor.v1.content_service_pb2_grpc import ContentServiceServicer as Base
from services.meshkit.identity.caller import current_caller
from services.meshkit.ids import check_id
from services.processor.messages.content import ATTACHMENT_CHARACTERS, ID_CHARACTERS, check_text
from services.processor.messages.reading.contents import Contents
from services.processor.messages.reading.reads import Place

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class ContentServicer(Base):
    """Answers ContentService.

    Args:
        contents: The use cases.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    @override
    async def ParseMessage(self, request: pb2.ParseMessageRequest, context: "Context") -> pb2.ParseMessageResponse:
        """Parse one mail."""
        return pb2.ParseMessageResponse(mail=await self._contents.parse(_place(request)))

    @override
    async def ExtractAttachment(
        self, request: pb2.ExtractAttachmentRequest, context: "Context"
    ) -> pb2.ExtractAttachmentResponse:
        """Read one attachment."""
        place = _place(request)
        check_text("attachment_id", request.attachment_id, ATTACHMENT_CHARACTERS)
        return pb2.ExtractAttachmentResponse(document=await self._contents.extract(place, request.attachment_id))


def _place(request: pb2.ParseMessageRequest | pb2.ExtractAttachmentRequest) -> Place:
    tenant_id = check_id("tenant_id", request.tenant_id)
    check_text("message_id", request.message_id, ID_CHARACTERS)
    caller = current_caller()
    return Place(tenant_id, request.message_id, caller.may_see(tenant_id), caller.key_id)
