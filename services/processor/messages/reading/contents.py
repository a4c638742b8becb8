"""The use cases of callers that let Primitives read what lies at the provider: a mail, an attachment."""

from mailmesh.primitives.v1 import fetched_service_pb2 as fetched_pb2
from mailmesh.primitives.v1 import primitive_service_pb2 as primitives_pb2
from mailmesh.primitives.v1.fetched_service_pb2_grpc import FetchedServiceAsyncStub
from services.meshkit.shares import Shares
from services.processor.errors import PrimitivesNotAvailable
from services.processor.messages.errors import ContentTooLarge
from services.processor.messages.reading.download import Download
from services.processor.messages.reading.reads import Place, Reads

CALL_SECONDS = 58.0
"""Above the time that Primitives gives one content: its wait for a process, and its reading."""


class Contents:
    """Fetches content and lets Primitives read it. Whole contents are in memory, so only a few at a time.

    Args:
        reads: The reads at the providers.
        primitives: The service that reads contents; None without its address.
        most_bytes: The largest content.
        shares: The contents that are in memory at the same time, by API key.
    """

    def __init__(
        self, reads: Reads, primitives: FetchedServiceAsyncStub | None, most_bytes: int, shares: Shares
    ) -> None:
        self._reads, self._primitives, self._most_bytes, self._shares = reads, primitives, most_bytes, shares

    async def parse(self, place: Place) -> primitives_pb2.ParseMailResponse:
        """Fetch a mail in MIME and parse it. Safe to call again.

        Raises:
            MeshError: See `ContentService.ParseMessage`.
        """
        primitives = self._available()
        with self._shares.take(place.key_id):
            async with self._reads.raw(place, 0) as download:
                content = await self._whole(download)
            request = fetched_pb2.ParseFetchedRequest(request=primitives_pb2.ParseMailRequest(content=content))
            return (await primitives.ParseFetched(request, timeout=CALL_SECONDS)).answer

    async def extract(self, place: Place, attachment_id: str) -> primitives_pb2.ExtractDocumentResponse:
        """Fetch an attachment and read it as a document. Safe to call again.

        Raises:
            MeshError: See `ContentService.ExtractAttachment`.
        """
        primitives = self._available()
        with self._shares.take(place.key_id):
            async with self._reads.attachment(place, attachment_id, 0) as download:
                content = await self._whole(download)
                name, media_type = download.name, download.media_type
            asked = primitives_pb2.ExtractDocumentRequest(content=content, file_name=name, content_type=media_type)
            request = fetched_pb2.ExtractFetchedRequest(request=asked)
            return (await primitives.ExtractFetched(request, timeout=CALL_SECONDS)).answer

    def _available(self) -> FetchedServiceAsyncStub:
        if self._primitives is None:
            raise PrimitivesNotAvailable(subject="primitives")
        return self._primitives

    async def _whole(self, download: Download) -> bytes:
        content = bytearray()
        async for piece in download.pieces:
            content += piece
            if len(content) > self._most_bytes:
                raise ContentTooLarge(subject="content", metadata={"maximum": str(self._most_bytes)})
        return bytes(content)
