"""QuoteService: Processor lets the quotes of a model be looked up in their text."""

from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.primitives.v1 import quote_service_pb2 as pb2
from mailmesh.primitives.v1.quote_service_pb2_grpc import QuoteServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.primitives.errors import ContentUnreadable
from services.primitives.sandbox.pool import Sandbox
from services.primitives.servicers.field_checks import check_extract
from services.primitives.servicers.reading import read_content
from services.primitives.texts.fields import is_verified
from services.primitives.texts.quotes import WAY

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
MAX_QUOTES = 500


class QuoteServicer(Base):
    """Answers QuoteService.

    Args:
        texts: The processes without rights that read texts.
    """

    def __init__(self, texts: Sandbox) -> None:
        self._texts = texts

    @override
    async def CheckQuotes(self, request: pb2.CheckQuotesRequest, context: "Context") -> pb2.CheckQuotesResponse:
        """Look quotes up in their text; check again what the process has found."""
        fields = check_extract(request.request)
        if len(request.quotes) > MAX_QUOTES:
            raise FieldInvalid.of("quotes", f"has more than {MAX_QUOTES} quotes")
        read = await read_content(self._texts, "quotes", request.SerializeToString())
        answer = pb2.CheckQuotesResponse.FromString(read)
        if not is_verified(request.request, answer.answer, fields, (WAY,)):
            raise ContentUnreadable(metadata={"cause": "crashed"})
        for value in (value for field in answer.answer.fields for value in field.values):
            value.source = request.request.text[value.start : value.end]
        return answer
