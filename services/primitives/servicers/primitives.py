"""PrimitiveService: callers hand in mails, documents and texts here."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from mailmesh.primitives.v1.primitive_service_pb2_grpc import PrimitiveServiceServicer as Base
from services.meshkit.errors import FieldInvalid
from services.meshkit.identity.caller import current_caller
from services.primitives.documents.extracted import NO_TEXT
from services.primitives.documents.formats import PDF
from services.primitives.errors import ContentUnreadable
from services.primitives.sandbox.pool import Sandbox
from services.primitives.servicers.classifying import Classifier
from services.primitives.servicers.field_checks import check_extract
from services.primitives.servicers.label_checks import check_classify
from services.primitives.servicers.reading import read_content
from services.primitives.servicers.scans import add_scan
from services.primitives.texts.fields import is_verified

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
_MAX_NAME = 1000
# The edge gives a call 60 seconds: an answer of the service itself has to come before.
_SECONDS_IN_ALL = 55.0


@dataclass(frozen=True)
class Readers:
    """The processes without rights.

    Args:
        mails: Those that parse mails.
        documents: Those that read documents.
        scans: Those that read pictures of pages; None where Tesseract is not installed.
    """

    mails: Sandbox
    documents: Sandbox
    scans: Sandbox | None = None


class PrimitiveServicer(Base):
    """Answers PrimitiveService.

    Args:
        readers: The processes without rights.
        content_bytes: The largest content.
        classifier: Classifies texts.
    """

    def __init__(self, readers: Readers, content_bytes: int, classifier: Classifier) -> None:
        self._readers, self._content_bytes, self._classifier = readers, content_bytes, classifier

    @override
    async def ParseMail(self, request: pb2.ParseMailRequest, context: "Context") -> pb2.ParseMailResponse:
        """Parse a mail."""
        self._check(request.content)
        return pb2.ParseMailResponse.FromString(await read_content(self._readers.mails, "mail", request.content))

    @override
    async def ExtractDocument(
        self, request: pb2.ExtractDocumentRequest, context: "Context"
    ) -> pb2.ExtractDocumentResponse:
        """Read a document."""
        self._check(request.content)
        for name in ("file_name", "content_type"):
            if len(getattr(request, name)) > _MAX_NAME:
                raise FieldInvalid.of(name, f"has more than {_MAX_NAME} characters")
        ends_at = time.monotonic() + _SECONDS_IN_ALL
        read = await read_content(self._readers.documents, "document", request.SerializeToString(), is_alone=True)
        answer = pb2.ExtractDocumentResponse.FromString(read)
        if answer.format == PDF and NO_TEXT in answer.flags:
            await add_scan(answer, request, self._readers.scans, ends_at - time.monotonic())
        return answer

    @override
    async def ClassifyMessage(
        self, request: pb2.ClassifyMessageRequest, context: "Context"
    ) -> pb2.ClassifyMessageResponse:
        """Classify a mail's text."""
        return await self._classifier.classify(request, check_classify(request), key_id=current_caller().key_id)

    @override
    async def ExtractFields(self, request: pb2.ExtractFieldsRequest, context: "Context") -> pb2.ExtractFieldsResponse:
        """Extract the values of a schema from a text."""
        fields = check_extract(request)
        content = request.SerializeToString()
        answer = pb2.ExtractFieldsResponse.FromString(await read_content(self._readers.mails, "fields", content))
        if not is_verified(request, answer, fields):
            raise ContentUnreadable(metadata={"cause": "crashed"})
        for value in (value for field in answer.fields for value in field.values):
            value.source = request.text[value.start : value.end]
        return answer

    def _check(self, content: bytes) -> None:
        if not content:
            raise FieldInvalid.of("content", "is empty")
        if len(content) > self._content_bytes:
            raise FieldInvalid.of("content", f"has more than {self._content_bytes} bytes")
