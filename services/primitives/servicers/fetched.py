"""FetchedService: Processor lets content that it has fetched for a caller be read here."""

from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.primitives.v1 import fetched_service_pb2 as pb2
from mailmesh.primitives.v1.fetched_service_pb2_grpc import FetchedServiceServicer as Base
from services.primitives.servicers.primitives import PrimitiveServicer

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class FetchedServicer(Base):
    """Answers FetchedService.

    Args:
        primitives: Reads what callers hand in, by the same bounds.
    """

    def __init__(self, primitives: PrimitiveServicer) -> None:
        self._primitives = primitives

    @override
    async def ParseFetched(self, request: pb2.ParseFetchedRequest, context: "Context") -> pb2.ParseFetchedResponse:
        """Parse a mail."""
        return pb2.ParseFetchedResponse(answer=await self._primitives.ParseMail(request.request, context))

    @override
    async def ExtractFetched(
        self, request: pb2.ExtractFetchedRequest, context: "Context"
    ) -> pb2.ExtractFetchedResponse:
        """Read a document."""
        return pb2.ExtractFetchedResponse(answer=await self._primitives.ExtractDocument(request.request, context))
